//! Waits of async code, without the runtime's timers: a test may have paused them.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::mpsc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

/// What `future` gives, or `None` if that takes longer than `timeout`. A thread keeps the time; it
/// ends with the wait.
pub(super) async fn within<T>(timeout: Duration, future: impl Future<Output = T>) -> Option<T> {
    let (ended, wait_ends) = mpsc::channel::<()>();
    let (over, mut is_over) = oneshot::channel::<()>();
    let keep_time = move || {
        // Nothing is ever sent: the wait ends, or the time is over.
        let _ = wait_ends.recv_timeout(timeout);
        drop(over);
    };
    let started = thread::Builder::new()
        .name("flume-mini-agent-wait".to_owned())
        .spawn(keep_time);
    // Without a thread the sender is gone, and the first look at the future is all there is.
    drop(started);
    let mut future = pin!(future);
    let found = poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(found) => Poll::Ready(Some(found)),
        Poll::Pending => pin!(&mut is_over).poll(context).map(|_| None),
    });
    let found = found.await;
    drop(ended);
    found
}

/// Whether the calling thread is the only one of a tokio runtime.
pub(super) fn is_starving() -> bool {
    let runtime = Handle::try_current();
    runtime.is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::CurrentThread)
}
