//! For tests of services: what they log through `tracing`, as the events that would be sent. No socket
//! is opened, and tests can run at the same time.
//!
//! ```
//! let captured = flume_tracing::test::capture()?;
//! tracing::info!(order = 17, "placed");
//! assert!(captured.take_bodies()[0].contains(r#""msg":"placed","fields":{"order":17}"#));
//! # Ok::<(), flume_appender::BuildError>(())
//! ```
//!
//! While a subscriber holds for one thread only, as here, `tracing` drops what a value's `Debug` logs
//! when it is formatted. With a global subscriber it is passed on.

use std::ops::Deref;

use flume_appender::test::{self, Captured};
use flume_appender::{BuildError, Builder};
use tracing_core::Dispatch;
use tracing_core::dispatcher::{self, DefaultGuard};
use tracing_subscriber::layer::SubscriberExt;

use crate::layer::FlumeLayer;

/// Keeps what this thread logs, until the returned value is dropped. Works in `#[test]`, and in
/// `#[tokio::test]` on its usual runtime of one thread. Other threads log here if they are given
/// [`dispatch`](TracingCapture::dispatch).
///
/// # Errors
///
/// If the appender cannot be set up.
pub fn capture() -> Result<TracingCapture, BuildError> {
    capture_with(crate::layer())
}

/// The same, with settings.
///
/// # Errors
///
/// If the settings do not fit.
pub fn capture_with(builder: Builder<FlumeLayer>) -> Result<TracingCapture, BuildError> {
    let (layer, captured) = test::capture(builder)?;
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer));
    Ok(TracingCapture {
        _default: dispatcher::set_default(&dispatch),
        dispatch,
        captured,
    })
}

/// A layer for a subscriber of your own, and where its events are found.
///
/// # Errors
///
/// If the settings do not fit.
pub fn layer(builder: Builder<FlumeLayer>) -> Result<(FlumeLayer, Captured), BuildError> {
    test::capture(builder)
}

/// What a thread logs. Dereferences to [`Captured`], which gives the events.
#[derive(Debug)]
pub struct TracingCapture {
    // Dropped first: nothing is logged to a closed appender.
    _default: DefaultGuard,
    dispatch: Dispatch,
    captured: Captured,
}

impl TracingCapture {
    /// Where calls go, for `tracing::dispatcher::with_default` on another thread.
    #[must_use]
    pub fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }
}

impl Deref for TracingCapture {
    type Target = Captured;

    fn deref(&self) -> &Captured {
        &self.captured
    }
}
