//! What every front end of an appender has to do, as cases that it is run through: for who writes one
//! of their own.
//!
//! The suite names a [`Case`], the front end logs what the case's documentation says, and the suite
//! looks at the events. What a front end's framework cannot say it [leaves out](Told::CannotSay).
//!
//! ```
//! use flume_appender::capture::{Capture, InlineSite, Key};
//! use flume_appender::conformance::{self, Case, Told};
//! use flume_appender::{Appender, Level, test};
//!
//! fn log(capture: &Capture, case: Case) -> Told {
//!     match case {
//!         Case::Plain => {
//!             if let Some(mut recorder) = capture.begin(Level::Info) {
//!                 recorder.inline_site(&InlineSite {
//!                     target: conformance::TARGET,
//!                     ..InlineSite::default()
//!                 });
//!                 recorder.fields().text(Key::Name("message"), "plain");
//!                 recorder.finish_inline(None);
//!             }
//!             Told::Done
//!         }
//!         // ... and so on for the other ones.
//!         _ => Told::CannotSay,
//!     }
//! }
//!
//! let (appender, captured) = test::capture(Appender::builder())?;
//! let capture = appender.capture();
//! let outcome = conformance::run(&captured, |case| log(&capture, case));
//! assert!(outcome.failed.is_empty(), "{outcome}");
//! assert_eq!(outcome.passed, [Case::Plain]);
//! # Ok::<(), flume_appender::BuildError>(())
//! ```

mod case;
mod check;

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

use crate::test::Captured;

pub use case::{Case, EVIL, MANY, SECRET, TARGET, long_text};

/// What a front end did about a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It logged what the case says.
    Done,
    /// Its framework has no way to say that.
    CannotSay,
}

/// What came of all cases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// Cases whose events were right.
    pub passed: Vec<Case>,
    /// Cases that the front end cannot say.
    pub left_out: Vec<Case>,
    /// Cases whose events were not right, and what was wrong.
    pub failed: Vec<(Case, String)>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (passed, left_out) = (self.passed.len(), self.left_out.len());
        let failed = self.failed.len();
        write!(f, "{passed} passed, {left_out} left out, {failed} failed")?;
        for (case, why) in &self.failed {
            write!(f, "\n{case:?}: {why}")?;
        }
        Ok(())
    }
}

/// Runs a front end through all cases. It logs to the appender of `captured`, which has the default
/// layout and headers.
pub fn run(captured: &Captured, mut log: impl FnMut(Case) -> Told) -> Outcome {
    let mut outcome = Outcome::default();
    for case in Case::ALL {
        drop(captured.take());
        let before = captured.guard().stats();
        // A panic of the front end is a failure of the case, and no end of the suite.
        let told = catch_unwind(AssertUnwindSafe(|| log(case)));
        let events = captured.take();
        let after = captured.guard().stats();
        let checked = match told {
            Ok(Told::CannotSay) => {
                outcome.left_out.push(case);
                continue;
            }
            Ok(Told::Done) => check::check(case, &events, &before, &after),
            Err(_) => Err("the call panicked".into()),
        };
        match checked {
            Ok(()) => outcome.passed.push(case),
            Err(why) => outcome.failed.push((case, why)),
        }
    }
    outcome
}

/// A value whose `Debug` and `Display` panic.
#[derive(Clone, Copy)]
pub struct Panics;

impl fmt::Debug for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the message on stderr that a usual panic has.
        std::panic::resume_unwind(Box::new("on purpose"))
    }
}

impl fmt::Display for Panics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A value whose `Debug` and `Display` fail.
#[derive(Clone, Copy)]
pub struct Fails;

impl fmt::Debug for Fails {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Err(fmt::Error)
    }
}

impl fmt::Display for Fails {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Err(fmt::Error)
    }
}

/// A value that runs something when it is formatted.
pub struct Runs<F: Fn()>(pub F);

impl<F: Fn()> fmt::Debug for Runs<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0)();
        f.write_str("ran")
    }
}

impl<F: Fn()> fmt::Display for Runs<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// An error `the order failed`, because of `no price`, because of `not a number`.
#[must_use]
pub fn failed() -> impl Error + Send + Sync + 'static {
    let cause = Failed("not a number", None);
    let cause = Failed("no price", Some(Box::new(cause)));
    Failed("the order failed", Some(Box::new(cause)))
}

#[derive(Debug)]
struct Failed(&'static str, Option<Box<Self>>);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|cause| cause as _)
    }
}

/// Calls `log` while a thread ends and its thread-local values are dropped. A thread that cannot be
/// started calls nothing.
pub fn at_thread_end(log: impl FnOnce() + Send + 'static) {
    use std::cell::RefCell;

    struct AtEnd(Option<Box<dyn FnOnce()>>);
    impl Drop for AtEnd {
        fn drop(&mut self) {
            if let Some(log) = self.0.take() {
                log();
            }
        }
    }
    thread_local! {
        static AT_END: RefCell<AtEnd> = const { RefCell::new(AtEnd(None)) };
    }
    let body = || AT_END.with_borrow_mut(|at_end| at_end.0 = Some(Box::new(log)));
    on_thread(body);
}

/// Calls `log` while a panic unwinds.
pub fn while_unwinding(log: impl FnOnce()) {
    struct WhenDropped<F: FnOnce()>(Option<F>);
    impl<F: FnOnce()> Drop for WhenDropped<F> {
        fn drop(&mut self) {
            if let Some(log) = self.0.take() {
                log();
            }
        }
    }
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _logs = WhenDropped(Some(log));
        std::panic::resume_unwind(Box::new("on purpose"))
    }));
    drop(unwound);
}

/// Calls `log` on a thread that counts as one of ours. A thread that cannot be started calls nothing.
pub fn on_own_thread(log: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    let body = move || {
        log();
        drop(done);
    };
    if flume_client::own_thread::spawn("flume-conformance", body).is_ok() {
        // Ends with an error when the other end is dropped, which a panic does as well.
        let _: Result<(), _> = is_done.recv();
    }
}

fn on_thread(body: impl FnOnce() + Send + 'static) {
    if let Ok(thread) = std::thread::Builder::new().spawn(body) {
        let _ = thread.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::appender::Appender;
    use crate::capture::{InlineSite, Key};
    use crate::level::Level;

    fn run_with(mut log: impl FnMut(&Appender)) -> Outcome {
        let (appender, captured) = crate::test::capture(Appender::builder()).unwrap();
        run(&captured, |_| {
            log(&appender);
            Told::Done
        })
    }

    #[test]
    fn a_front_end_that_logs_nothing_fails_all_but_the_case_of_which_nothing_may_come() {
        let outcome = run_with(|_| ());
        assert_eq!(outcome.passed, [Case::OwnThread], "{outcome}");
        assert_eq!(outcome.failed.len(), Case::ALL.len() - 1);
    }

    #[test]
    fn a_front_end_that_always_logs_the_same_fails_all_but_the_case_that_it_is() {
        let outcome = run_with(|appender| {
            let capture = appender.capture();
            let mut recorder = capture.begin(Level::Info).unwrap();
            let target = TARGET;
            recorder.inline_site(&InlineSite {
                target,
                ..InlineSite::default()
            });
            recorder.fields().text(Key::Name("message"), "plain");
            recorder.finish_inline(None);
        });
        assert_eq!(outcome.passed, [Case::Plain], "{outcome}");
    }

    #[test]
    fn a_front_end_that_panics_fails_and_the_suite_goes_on() {
        let outcome = run_with(|_| std::panic::resume_unwind(Box::new(())));
        assert_eq!(outcome.failed.len(), Case::ALL.len());
    }
}
