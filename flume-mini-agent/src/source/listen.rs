//! The accept loop of every listener.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::carrier::{Carrier, Stream};
use crate::observed::Observed;
use crate::port::stop_listening;

/// Wait after a failed `accept`, which is most often a lack of file descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// Accepts connections until dropped, puts the carrier's layers on them, and runs what `connect` makes
/// of each; they end with it. More than `connections_max` at once are closed as they come.
pub(crate) async fn serve<F>(
    (listener, carrier): (TcpListener, Carrier),
    connections_max: usize,
    observed: &Observed,
    mut connect: impl FnMut(Stream, SocketAddr) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = Listening(listener);
    let places = Arc::new(Semaphore::new(connections_max));
    let mut connections = JoinSet::new();
    loop {
        let Ok((socket, peer)) = listener.0.accept().await else {
            tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            observed.count(|stats| stats.connections_refused += 1);
            continue;
        };
        // Those that have ended: with those that are open, not many more than `connections_max`.
        while connections.try_join_next().is_some() {}
        // What is missing was told at the start: a connection without it is of no use.
        let Ok(stream) = carrier.put_on(socket) else {
            continue;
        };
        let connection = connect(stream, peer);
        connections.spawn(async move {
            connection.await;
            drop(place);
        });
    }
}

/// Stops listening when it is dropped.
struct Listening(TcpListener);

impl Drop for Listening {
    fn drop(&mut self) {
        stop_listening(&self.0);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_free_again_though_a_forked_process_has_a_copy_of_the_socket() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let copy = listener.try_clone().unwrap();
        listener.set_nonblocking(true).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            let observed = Observed::default();
            let serving = serve((listener, Carrier::default()), 1, &observed, |_, _| async {
            });
            let end = tokio::time::timeout(Duration::from_millis(1), serving).await;
            assert!(end.is_err(), "it serves until it is dropped");
        });
        std::net::TcpListener::bind(address).unwrap();
        drop(copy);
    }
}
