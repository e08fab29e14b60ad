//! [`ControlServer`]: the thread of the control interface.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::Controlled;
use super::answer::Control;
use super::host::Addresses;
use crate::carrier::Carrier;
use crate::observed::Observed;
use crate::source::listen;
use crate::web;

const THREAD_NAME: &str = "flume-mini-agent-control";

/// Connections open at once. Most clients need one.
const CONNECTIONS_MAX: usize = 64;

/// Requests that wait for a reload; further ones wait for their turn.
const BLOCKING_THREADS_MAX: usize = 4;

/// Answers requests until dropped.
#[derive(Debug)]
pub(crate) struct ControlServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ControlServer {
    /// Listens at an address that was given as `HOST:PORT`.
    pub(crate) fn start(
        (listener, given): (TcpListener, String),
        agent: Arc<dyn Controlled>,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let control = Control::new(agent, Addresses::of(&given));
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .build()?;
        let inside = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        drop(inside);
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn(move || run(runtime, listener, control, stopped))?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has been printed by the panic hook, and nothing is left to stop.
            let _ = thread.join();
        }
    }
}

fn run(
    runtime: Runtime,
    listener: tokio::net::TcpListener,
    control: Control,
    stopped: oneshot::Receiver<()>,
) {
    runtime.block_on(async {
        tokio::spawn(serve(listener, Arc::new(control)));
        // Ends when the sender is dropped.
        let _ = stopped.await;
    });
    // Ends all tasks, and does not wait for requests that wait for events.
    runtime.shutdown_background();
}

async fn serve(listener: tokio::net::TcpListener, control: Arc<Control>) {
    // These connections are none of the agent's, and are not in its counters.
    let observed = Observed::default();
    let carried = (listener, Carrier::default());
    listen::serve(carried, CONNECTIONS_MAX, &observed, |mut stream, _| {
        let control = Arc::clone(&control);
        async move {
            let _ = stream.socket().set_nodelay(true);
            // It fails for a connection that has ended.
            if let Ok(local) = stream.socket().local_addr() {
                web::serve(&mut stream, |request| control.answer(request, local)).await;
            }
        }
    })
    .await;
}
