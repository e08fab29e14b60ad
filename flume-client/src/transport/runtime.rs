//! [`ClientRuntime`]: the runtime of the client's thread.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Runtime};

/// Unlike tokio's own, it can be dropped anywhere, also in async code: it waits for nothing. It has no
/// threads of its own; whatever may block has a [`BlockingThread`](crate::queue::BlockingThread).
#[derive(Debug)]
pub(crate) struct ClientRuntime(Option<Runtime>);

impl ClientRuntime {
    pub(crate) fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self(Some(runtime)))
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let runtime = self.0.as_ref().expect("it is there until it is dropped");
        runtime.block_on(future)
    }
}

/// What comes of a future, if that is before this time is over.
#[cfg(feature = "internals")]
pub(crate) async fn within<T>(
    limit: std::time::Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    tokio::time::timeout(limit, future).await.ok()
}

impl Drop for ClientRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_can_be_dropped_in_async_code() {
        let outer = ClientRuntime::new().unwrap();
        outer.block_on(async { drop(ClientRuntime::new().unwrap()) });
    }
}
