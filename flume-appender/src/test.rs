//! For tests of services: an appender that keeps its events in memory. It opens no socket, and any
//! number of them can be used at once.
//!
//! The front ends have functions of their own that use this: `flume_tracing::test::capture()`,
//! `flume_log::test::capture()` and `flume_log::slog::test::capture()`.
//!
//! ```
//! use flume_appender::capture::{InlineSite, Key};
//! use flume_appender::{Appender, Level, test};
//!
//! let (appender, captured) = test::capture(Appender::builder())?;
//! let capture = appender.capture();
//! if let Some(mut recorder) = capture.begin(Level::Info) {
//!     recorder.inline_site(&InlineSite { target: "orders", ..InlineSite::default() });
//!     recorder.fields().text(Key::Name("message"), "placed");
//!     recorder.finish_inline(None);
//! }
//! let events = captured.take();
//! assert_eq!(events[0].header_value("target"), Some("orders"));
//! # Ok::<(), flume_appender::BuildError>(())
//! ```

use std::time::{Duration, Instant};

use flume_client::Event;

use crate::appender::Appender;
use crate::builder::{BuildError, Builder, FrontEnd};
use crate::guard::Guard;
use crate::kept::Kept;
use crate::passes::Stage;

pub use crate::kept::KEPT_BYTES_MAX;

/// The longest that [`Captured::take`] waits.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Starts an appender that keeps its events in memory. All other settings of the builder hold, and
/// agents are not spoken to, and need not be named. Its [client](Appender::client) keeps what it is
/// given directly, too.
///
/// # Errors
///
/// As [`Builder::build`].
pub fn capture<F: FrontEnd>(builder: Builder<F>) -> Result<(F, Captured), BuildError> {
    let kept = Kept::default();
    let (front_end, guard) = builder.keep(kept.clone()).build()?;
    Ok((front_end, Captured { guard, kept }))
}

/// Starts an appender that renders its events and throws them away, for measurements of what a record
/// costs without its delivery. [`Captured::take`] waits as ever, and gives none.
///
/// # Errors
///
/// As [`Builder::build`].
pub fn discard<F: FrontEnd>(builder: Builder<F>) -> Result<(F, Captured), BuildError> {
    let (front_end, captured) = capture(builder)?;
    captured.kept.lock().discards = true;
    Ok((front_end, captured))
}

/// The events that would have been sent.
#[derive(Debug)]
pub struct Captured {
    guard: Guard,
    kept: Kept,
}

impl Captured {
    /// The events of everything that was logged so far, without those that were taken before. Waits
    /// until they are rendered, at most 30 s. After them come those that the
    /// [client](Appender::client) was given directly.
    #[must_use]
    pub fn take(&self) -> Vec<Event> {
        if let Some(appender) = self.guard.appender() {
            settle(appender);
        }
        let mut events = std::mem::take(&mut self.kept.lock().events);
        events.append(&mut self.kept.take_from_client());
        events
    }

    /// Their bodies, as texts. Bytes that are no UTF-8 are replaced.
    #[must_use]
    pub fn take_bodies(&self) -> Vec<String> {
        let text = |event: &Event| String::from_utf8_lossy(event.body()).into_owned();
        self.take().iter().map(text).collect()
    }

    /// The guard of the appender, for its levels and counters.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Events that were not kept, because they would have been more than [`KEPT_BYTES_MAX`].
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.kept.lock().left_out
    }
}

fn settle(appender: &Appender) {
    let passes = &appender.core().passes;
    let pass = passes.hurry_for_next();
    passes.wait(pass, Stage::Done, Instant::now() + WAIT_MAX);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{InlineSite, Key};
    use crate::level::Level;

    #[test]
    fn what_the_client_is_given_directly_is_captured_behind_the_records() {
        let (appender, captured) = capture(Appender::builder()).unwrap();
        let receipt = appender.client().append(Event::new("direct")).unwrap();
        let capture = appender.capture();
        let mut recorder = capture.begin(Level::Info).unwrap();
        recorder.inline_site(&InlineSite::default());
        recorder.fields().text(Key::Name("message"), "logged");
        recorder.finish_inline(None);
        let bodies = captured.take_bodies();
        assert!(bodies[0].contains("logged"), "{bodies:?}");
        assert_eq!(bodies[1..], ["direct"]);
        receipt.wait(WAIT_MAX).unwrap();
        assert_eq!(captured.take_bodies(), [""; 0]);
    }
}
