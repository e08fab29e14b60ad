//! The accept loop of every listener.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::agent::tally::Tally;

/// Wait after a failed `accept`, which is most often a lack of file descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// Accepts connections until dropped and runs what `connect` makes of each; they end with it. More
/// than `connections_max` at once are closed as they come.
pub(crate) async fn serve<F>(
    listener: TcpListener,
    connections_max: usize,
    tally: &Tally,
    mut connect: impl FnMut(TcpStream, SocketAddr) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(connections_max));
    let mut connections = JoinSet::new();
    loop {
        let Ok((socket, peer)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tally.count(|stats| stats.connections_refused += 1);
            continue;
        };
        // Those that have ended: with those that are open, not many more than `connections_max`.
        while connections.try_join_next().is_some() {}
        let connection = connect(socket, peer);
        connections.spawn(async move {
            connection.await;
            drop(place);
        });
    }
}
