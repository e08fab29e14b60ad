//! The smallest executor: one future on one plain thread.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::task::{Context, Poll, Wake};

use super::PATIENCE;

struct Signal(Sender<()>);

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        // Nobody listens once the future is done.
        let _ = self.0.send(());
    }
}

/// Polls a future until it is done. Polls only when it was woken.
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
