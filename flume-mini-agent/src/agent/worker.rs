//! The agent's thread and the runtime on it.

use std::io;
use std::net::TcpListener;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use crate::runner::SinkRunner;
use crate::source::avro::AvroSource;

const THREAD_NAME: &str = "flume-mini-agent";

/// Runs source and sink until dropped; then all sockets are closed and the thread has ended.
#[derive(Debug)]
pub(super) struct Worker {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Returns once the thread accepts connections from `listener`.
    pub(super) fn start(
        listener: TcpListener,
        connections_max: usize,
        source: AvroSource,
        runner: Arc<SinkRunner>,
    ) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (ready_sender, ready) = mpsc::sync_channel(1);
        let work = move || {
            let (runtime, listener) = match prepare(listener) {
                Ok(prepared) => prepared,
                Err(error) => {
                    let _ = ready_sender.send(Err(error));
                    return;
                }
            };
            runtime.block_on(async {
                tokio::spawn(runner.run());
                tokio::spawn(Arc::new(source).serve(listener, connections_max));
                // The starter waits for this; it cannot be gone.
                let _ = ready_sender.send(Ok(()));
                // Ends when the sender is dropped. Dropping the runtime ends all tasks.
                let _ = stopped.await;
            });
        };
        let thread = thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn(work)?;
        let worker = Self {
            stop: Some(stop),
            thread: Some(thread),
        };
        let died = |_| Err(io::Error::other("it ended before it was ready"));
        ready.recv().unwrap_or_else(died)?;
        Ok(worker)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has been printed by the panic hook, and nothing is left to stop.
            let _ = thread.join();
        }
    }
}

fn prepare(
    listener: TcpListener,
) -> io::Result<(tokio::runtime::Runtime, tokio::net::TcpListener)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    listener.set_nonblocking(true)?;
    let inside = runtime.enter();
    let listener = tokio::net::TcpListener::from_std(listener)?;
    drop(inside);
    Ok((runtime, listener))
}
