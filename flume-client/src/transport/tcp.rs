//! Name look-up and connecting.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

#[cfg(feature = "tls")]
use super::certificates::Certificates;
#[cfg(feature = "http")]
use super::http::Headers;
use super::names::Names;
use super::socket::Socket;
use crate::agent_url::AgentUrl;
use crate::config::Config;
use crate::error::AgentError;
use crate::spool::{Storage, is_short_of_descriptors};

/// What connecting takes from elsewhere.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) names: Names,
    /// If file descriptors run out, this spool closes some of its own for a connection.
    pub(crate) spool: Option<Arc<dyn Storage>>,
    /// For agents with TLS, if there are some.
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Certificates>,
    /// For agents that speak HTTP, if there are some.
    #[cfg(feature = "http")]
    pub(super) headers: Option<Headers>,
}

impl Means {
    /// Starts what agents with TLS need, if there are some.
    pub(crate) fn start(
        config: &Config,
        names: Names,
        spool: Option<Arc<dyn Storage>>,
    ) -> io::Result<Self> {
        let _ = config;
        Ok(Self {
            names,
            spool,
            #[cfg(feature = "tls")]
            tls: Certificates::start(config)?,
            #[cfg(feature = "http")]
            headers: Headers::start(config)?,
        })
    }

    /// Looks the agent's host name up. Without a descriptor resolvers fail with any error, so after
    /// each the spool gives its own back, and the name is looked up once more.
    pub(super) async fn resolve(&self, agent: &AgentUrl) -> io::Result<Vec<SocketAddr>> {
        match (self.names.resolve(agent).await, &self.spool) {
            (Err(_), Some(spool)) => {
                spool.let_go_of_descriptors();
                self.names.resolve(agent).await
            }
            (found, _) => found,
        }
    }

    /// Connects. If there is no descriptor for that, the spool gives back those that it can open
    /// again: sending frees the spool; storing does not free the network.
    async fn open(&self, address: SocketAddr) -> io::Result<TcpStream> {
        match (TcpStream::connect(address).await, &self.spool) {
            (Err(error), Some(spool)) if is_short_of_descriptors(&error) => {
                spool.let_go_of_descriptors();
                TcpStream::connect(address).await
            }
            (connected, _) => connected,
        }
    }
}

/// Resolves the host now and tries each of its addresses in turn.
///
/// Each address gets an equal share of the time that is left, so a silent one does not use up the
/// time of those after it. The caller bounds the whole, the name look-up included, and finds in
/// `resolved` whether that is over.
pub(crate) async fn connect(
    agent: AgentUrl,
    means: Means,
    limit: Duration,
    resolved: Arc<AtomicBool>,
) -> Result<Socket, AgentError> {
    let deadline = Instant::now() + limit;
    let mut failures = Vec::new();
    let found = means.resolve(&agent).await;
    let addresses = found.map_err(|error| AgentError::Resolve {
        host: agent.host().to_owned(),
        error,
    })?;
    resolved.store(true, Ordering::Relaxed);
    for (tried, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        match timeout(share, means.open(*address)).await {
            Ok(Ok(socket)) if is_connected_to_itself(&socket) => {
                failures.push((*address, io::ErrorKind::ConnectionRefused.into()));
            }
            Ok(Ok(socket)) => {
                socket.set_nodelay(true)?;
                watch(&socket);
                return Ok(Socket::of(socket));
            }
            Ok(Err(error)) => failures.push((*address, error)),
            Err(_) => failures.push((*address, silent(share))),
        }
    }
    Err(AgentError::Connect(failures))
}

/// A peer from which nothing was heard for so long is asked whether it is there.
#[cfg(unix)]
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
/// And again after so long, three times in all.
#[cfg(unix)]
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
#[cfg(unix)]
const KEEPALIVE_PROBES: u32 = 3;
/// A connection ends if what was written is not confirmed for so long.
#[cfg(any(target_os = "linux", target_os = "android"))]
const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// Lets the system end a connection to a peer that vanished without a word, also while nothing is sent.
/// A system that cannot do it is no reason for not connecting: the request timeout finds it out later.
fn watch(socket: &TcpStream) {
    #[cfg(unix)]
    {
        use rustix::net::sockopt;
        let _ = sockopt::set_socket_keepalive(socket, true);
        let _ = sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE);
        let _ = sockopt::set_tcp_keepintvl(socket, KEEPALIVE_INTERVAL);
        let _ = sockopt::set_tcp_keepcnt(socket, KEEPALIVE_PROBES);
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let millis = u32::try_from(USER_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
        let _ = rustix::net::sockopt::set_tcp_user_timeout(socket, millis);
    }
    #[cfg(not(unix))]
    let _ = socket;
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::spool::{Access, Directory};
    use crate::transport::ClientRuntime;

    /// Fails the first time.
    fn look_up(_: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        static ASKED: AtomicBool = AtomicBool::new(false);
        match ASKED.fetch_not(Ordering::SeqCst) {
            true => Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]),
            false => Err(io::Error::other("name or service not known")),
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_peer_that_vanishes_is_found_out_by_the_system() {
        use rustix::net::sockopt;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let runtime = ClientRuntime::new().unwrap();
        let socket = runtime.block_on(TcpStream::connect(address)).unwrap();
        watch(&socket);
        assert!(sockopt::socket_keepalive(&socket).unwrap());
        let seconds = Duration::from_secs;
        assert_eq!(sockopt::tcp_keepidle(&socket).unwrap(), seconds(15));
        assert_eq!(sockopt::tcp_keepintvl(&socket).unwrap(), seconds(5));
        assert_eq!(sockopt::tcp_keepcnt(&socket).unwrap(), 3);
        assert_eq!(sockopt::tcp_user_timeout(&socket).unwrap(), 30_000);
    }

    #[test]
    fn a_name_that_is_not_found_is_looked_up_once_more_when_the_spool_has_made_room() {
        let home = tempfile::TempDir::new().unwrap();
        let directory = Directory::open(home.path(), Access::default()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let agent: AgentUrl = format!("avro://agent.test:{port}").parse().unwrap();
        let names = Names::start_with(std::slice::from_ref(&agent), 1, look_up).unwrap();
        let spool: Option<Arc<dyn Storage>> = Some(Arc::new(directory));
        let config = Config::default();
        let means = Means::start(&config, names, spool).unwrap();
        let limit = Duration::from_secs(60);
        let connecting = connect(agent, means, limit, Arc::default());
        let connected = ClientRuntime::new().unwrap().block_on(connecting);
        assert!(connected.is_ok(), "{connected:?}");
    }
}
