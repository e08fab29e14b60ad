//! For tests of services: what they log through the crate `log`, as the events that would be sent. No
//! socket is opened, and tests can run at the same time.
//!
//! ```
//! let captured = flume_log::test::capture()?;
//! log::info!(order = 17; "placed");
//! let bodies = captured.take_bodies();
//! assert!(bodies[0].contains(r#""msg":"placed","fields":{"order":17}"#));
//! # Ok::<(), flume_log::InstallError>(())
//! ```

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{MutexGuard, OnceLock};

use flume_appender::test::Captured;
use flume_appender::{Builder, test};
use log::{LevelFilter, Log, Metadata, Record};

use crate::logger::{InstallError, Logger};

thread_local! {
    /// Where records of this thread go; the last one that was made and lives.
    static CURRENT: RefCell<Vec<(u64, Logger)>> = const { RefCell::new(Vec::new()) };
}

/// Keeps what this thread logs, until the returned value is dropped. Other threads log nowhere, unless
/// they [enter](LogCapture::enter) it. Works in `#[test]`, and in `#[tokio::test]` on its usual runtime
/// of one thread.
///
/// # Errors
///
/// If the program has another logger.
pub fn capture() -> Result<LogCapture, InstallError> {
    capture_with(crate::logger())
}

/// The same, with settings.
///
/// # Errors
///
/// If the program has another logger, or if the settings do not fit.
pub fn capture_with(builder: Builder<Logger>) -> Result<LogCapture, InstallError> {
    install_router()?;
    let (logger, captured) = test::capture(builder)?;
    let entered = Entered::new(logger.clone());
    Ok(LogCapture {
        _entered: entered,
        logger,
        captured,
    })
}

/// What a thread logs. Dereferences to [`Captured`], which gives the events.
#[derive(Debug)]
pub struct LogCapture {
    // Dropped first: nothing is logged to a closed appender.
    _entered: Entered,
    logger: Logger,
    captured: Captured,
}

impl LogCapture {
    /// The calling thread's records are kept as well, until the returned value is dropped.
    pub fn enter(&self) -> Entered {
        Entered::new(self.logger.clone())
    }

    /// The logger, which can be given to other threads.
    #[must_use]
    pub fn logger(&self) -> &Logger {
        &self.logger
    }
}

impl Deref for LogCapture {
    type Target = Captured;

    fn deref(&self) -> &Captured {
        &self.captured
    }
}

/// A thread's records are kept while this lives, on that thread.
#[derive(Debug)]
#[must_use = "dropped at once it has no effect"]
pub struct Entered {
    number: u64,
    // As such a guard it may be looked at from other threads, and not be sent to them.
    stays_here: PhantomData<MutexGuard<'static, ()>>,
}

impl Entered {
    fn new(logger: Logger) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let _ = CURRENT.try_with(|current| {
            if let Ok(mut current) = current.try_borrow_mut() {
                current.push((number, logger));
            }
        });
        Self {
            number,
            stays_here: PhantomData,
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let own = CURRENT.try_with(|current| {
            let mut current = current.try_borrow_mut().ok()?;
            let place = current
                .iter()
                .position(|(number, _)| *number == self.number)?;
            Some(current.remove(place))
        });
        drop(own);
    }
}

/// Hands each record to what its thread has entered.
struct Router;

fn install_router() -> Result<(), InstallError> {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    let mut error = None;
    let is_installed = INSTALLED.get_or_init(|| {
        error = log::set_logger(&Router).err();
        error.is_none()
    });
    if let Some(error) = error {
        return Err(InstallError::Taken(error));
    }
    if !is_installed {
        // Asked again only for its error.
        return log::set_logger(&Router).map_err(InstallError::Taken);
    }
    log::set_max_level(LevelFilter::Trace);
    Ok(())
}

fn current() -> Option<Logger> {
    let current = CURRENT.try_with(|current| {
        let current = current.try_borrow().ok()?;
        current.last().map(|(_, logger)| logger.clone())
    });
    current.ok().flatten()
}

impl Log for Router {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        current().is_some_and(|logger| logger.enabled(metadata))
    }

    fn log(&self, record: &Record<'_>) {
        if let Some(logger) = current() {
            logger.log(record);
        }
    }

    fn flush(&self) {
        if let Some(logger) = current() {
            logger.flush();
        }
    }
}
