//! The agent's thread and the runtime on it.

use std::io;
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::runner::SinkRunner;
use crate::source::Source;

const THREAD_NAME: &str = "flume-mini-agent";

/// Runs sources and sinks until dropped; then all sockets are closed and the thread has ended.
#[derive(Debug)]
pub(super) struct Worker {
    stop_sources: Option<oneshot::Sender<()>>,
    sources_stopped: mpsc::Receiver<()>,
    stop: Option<oneshot::Sender<()>>,
    /// Gives the reason, if it could not begin.
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Worker {
    /// Returns once the thread accepts connections from all listeners.
    pub(super) fn start(
        sources: Vec<(Source, TcpListener)>,
        connections_max: usize,
        runners: Vec<SinkRunner>,
    ) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (stop_sources, to_stop_sources) = oneshot::channel();
        let (ready_sender, ready) = mpsc::sync_channel(1);
        let (sources_stopped_sender, sources_stopped) = mpsc::sync_channel(1);
        let work = move || {
            let (runtime, sources) = prepare(sources)?;
            runtime.block_on(async {
                for runner in runners {
                    tokio::spawn(runner.run());
                }
                let mut serving = JoinSet::new();
                for (source, listener) in sources {
                    serving.spawn(source.serve(listener, connections_max));
                }
                // The starter waits for this; it cannot be gone.
                let _ = ready_sender.send(());
                // Both end when their senders are dropped.
                let _ = to_stop_sources.await;
                serving.shutdown().await;
                let _ = sources_stopped_sender.send(());
                // Dropping the runtime ends all tasks.
                let _ = stopped.await;
            });
            Ok(())
        };
        let thread = thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn(work)?;
        if ready.recv().is_err() {
            let ended = thread.join().unwrap_or(Ok(()));
            return Err(ended
                .err()
                .unwrap_or_else(|| io::Error::other("it ended before it was ready")));
        }
        Ok(Self {
            stop_sources: Some(stop_sources),
            sources_stopped,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Closes listeners and connections; the sinks work on. When this returns, no request is read
    /// any more. One that waited for room may still be stored, unanswered.
    pub(super) fn stop_sources(&mut self) {
        drop(self.stop_sources.take());
        // An error: the thread has ended, and the sources with it.
        let _ = self.sources_stopped.recv();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.stop_sources.take());
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has been printed by the panic hook, and nothing is left to stop.
            let _ = thread.join();
        }
    }
}

/// Sources and their listeners, the latter inside a runtime.
type Ready = Vec<(Source, tokio::net::TcpListener)>;

fn prepare(sources: Vec<(Source, TcpListener)>) -> io::Result<(tokio::runtime::Runtime, Ready)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    let inside = runtime.enter();
    let mut ready = Vec::with_capacity(sources.len());
    for (source, listener) in sources {
        listener.set_nonblocking(true)?;
        ready.push((source, tokio::net::TcpListener::from_std(listener)?));
    }
    drop(inside);
    Ok((runtime, ready))
}
