//! Name look-up and connecting.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use crate::config::AgentUrl;
use crate::error::AgentError;

/// Resolves the host now and tries each of its addresses in turn, in the resolver's order.
///
/// Each address gets an equal share of the time that is left, so a silent one does not use up the
/// time of those behind it. The caller bounds the whole, the name look-up included, and finds in
/// `resolved` whether that is over.
pub(crate) async fn connect(
    agent: AgentUrl,
    limit: Duration,
    resolved: Arc<AtomicBool>,
) -> Result<TcpStream, AgentError> {
    let deadline = Instant::now() + limit;
    let mut failures = Vec::new();
    let addresses = resolve(&agent).await?;
    resolved.store(true, Ordering::Relaxed);
    for (tried, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) if is_connected_to_itself(&stream) => {
                failures.push((*address, io::ErrorKind::ConnectionRefused.into()));
            }
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => failures.push((*address, error)),
            Err(_) => failures.push((*address, silent(share))),
        }
    }
    Err(AgentError::Connect(failures))
}

/// Connecting to a port of this machine that nobody listens on can meet itself, if the port is one
/// that the system hands out to clients. It would hold the port that the agent needs to come back.
fn is_connected_to_itself(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(local), Ok(peer)) if local == peer)
}

fn silent(share: Duration) -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("no answer within {share:.1?}"),
    )
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
