//! Name look-up and connecting.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::{TcpStream, lookup_host};

use crate::config::AgentUrl;
use crate::error::AgentError;

/// Resolves the host now and tries each of its addresses in turn. The caller bounds the time.
///
/// An address that does not answer would use up that time alone, so all addresses are tried, each
/// one beginning when the one before failed; see RFC 6724 for the order the resolver gives.
pub(crate) async fn connect(agent: AgentUrl) -> Result<TcpStream, AgentError> {
    let mut failures = Vec::new();
    for address in resolve(&agent).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => failures.push((address, error)),
        }
    }
    Err(AgentError::Connect(failures))
}

async fn resolve(agent: &AgentUrl) -> Result<Vec<SocketAddr>, AgentError> {
    if let Ok(address) = agent.host().parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, agent.port())]);
    }
    let failed = |error| AgentError::Resolve {
        host: agent.host().to_owned(),
        error,
    };
    let found = lookup_host((agent.host(), agent.port()))
        .await
        .map_err(failed)?;
    let addresses: Vec<_> = found.collect();
    if addresses.is_empty() {
        return Err(failed(io::Error::new(
            io::ErrorKind::NotFound,
            "the name has no address",
        )));
    }
    Ok(addresses)
}
