//! Futures on a plain thread and in tokio runtimes, none of them for ever.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::task::{Context, Poll, Wake};

use tokio::runtime::{Builder, Runtime};

use super::PATIENCE;

struct Signal(Sender<()>);

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        // Nobody listens once the future is done.
        let _ = self.0.send(());
    }
}

/// The smallest executor: polls a future until it is done. Polls only when it was woken.
#[track_caller]
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let (sender, woken) = mpsc::channel();
    let waker = Arc::new(Signal(sender)).into();
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        woken.recv_timeout(PATIENCE).expect("the future is woken");
    }
}

/// The same in a tokio runtime.
#[track_caller]
pub(crate) fn run_in<T>(runtime: &Runtime, future: impl Future<Output = T>) -> T {
    let bounded = async { tokio::time::timeout(PATIENCE, future).await };
    runtime.block_on(bounded).expect("the future is done")
}

/// A tokio runtime that runs its tasks on the calling thread.
pub(crate) fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

/// A tokio runtime that runs its tasks on one thread of its own.
pub(crate) fn one_worker() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).enable_time().build().unwrap()
}
