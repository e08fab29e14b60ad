//! [`Appender`]: one way from log calls to a client, for any number of front ends.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use flume_client::Client;

use crate::capture::{Capture, CaptureCore, SpanNode};
use crate::counts::Counts;
use crate::filter::Filter;
use crate::flush::{Flush, Goal};
use crate::stats::Stats;

/// One way from log calls to a client, for any number of front ends. Cheap to clone.
///
/// ```no_run
/// use flume_appender::Appender;
///
/// let (appender, guard) = Appender::builder().agent("avro://collector-1:4141").build()?;
/// # Ok::<(), flume_appender::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Appender {
    pub(crate) shared: Arc<Shared>,
}

/// What an appender and its guard share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) core: Arc<CaptureCore>,
    pub(crate) client: Client,
    /// Known once: asking the client would be a lock of it.
    pub(crate) has_spool: bool,
    pub(crate) drains_at_exit: bool,
    pub(crate) span_source: SpanSource,
    pub(crate) counts: Arc<Counts>,
    pub(crate) gives_up: Arc<AtomicBool>,
    pub(crate) listeners: Listeners,
}

/// Front ends that are told of a new filter.
#[derive(Default)]
pub(crate) struct Listeners(Mutex<Vec<Listener>>);

type Listener = Arc<dyn Fn(&Filter) + Send + Sync>;

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners").finish_non_exhaustive()
    }
}

/// Who knows what span a thread is in.
#[derive(Default)]
pub(crate) struct SpanSource(OnceLock<AskSpan>);

type AskSpan = Box<dyn Fn() -> Option<Arc<SpanNode>> + Send + Sync>;

impl fmt::Debug for SpanSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanSource").finish_non_exhaustive()
    }
}

impl Shared {
    /// What the calling thread is in, if a front end knows.
    pub(crate) fn current_span(&self) -> Option<Arc<SpanNode>> {
        let ask = self.span_source.0.get()?;
        // It is asked while a thread panics, and must not panic itself.
        std::panic::catch_unwind(AssertUnwindSafe(ask)).ok()?
    }
}

impl Appender {
    /// Where a front end writes records.
    #[must_use]
    pub fn capture(&self) -> Capture {
        Capture::of(self.shared.core.clone())
    }

    /// The client that delivers, for events that are no log records.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.shared.client
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::of(&self.shared.core, &self.shared.counts)
    }

    /// Takes only what this filter wants, from now on.
    pub fn set_filter(&self, filter: Filter) {
        if self.core().is_forked() {
            return;
        }
        let filter = self.core().set_filter(filter);
        let listeners = &self.shared.listeners.0;
        // They are called without the lock: one may set a filter itself.
        let all = listeners.lock().unwrap_or_else(PoisonError::into_inner);
        let all = all.clone();
        all.iter().for_each(|listener| listener(&filter));
    }

    /// Calls `listener` whenever the filter was set: for front ends whose calls are cached by level.
    /// It lives as long as the appender.
    pub fn on_filter(&self, listener: impl Fn(&Filter) + Send + Sync + 'static) {
        let listeners = &self.shared.listeners.0;
        let mut all = listeners.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::new(listener));
    }

    /// Tells how to find the span that the calling thread is in: for records that no call of a front
    /// end made, as that of a panic. The first one that is told holds.
    pub fn on_span_asked(&self, ask: impl Fn() -> Option<Arc<SpanNode>> + Send + Sync + 'static) {
        let _ = self.shared.span_source.0.set(Box::new(ask));
    }

    pub(crate) fn core(&self) -> &Arc<CaptureCore> {
        &self.shared.core
    }

    /// Whether what is stored outlasts this process.
    pub(crate) fn has_spool(&self) -> bool {
        self.shared.has_spool
    }

    pub(crate) fn begin_flush(&self, goal: Goal, within: Duration) -> Flush {
        let Shared { core, client, .. } = &*self.shared;
        let goal = match self.has_spool() {
            true => goal,
            false => Goal::Acknowledged,
        };
        Flush::begin(core.clone(), client.clone(), goal, within)
    }

    /// The renderer waits for room in the client no longer.
    pub(crate) fn give_up(&self) {
        self.shared.gives_up.store(true, Ordering::SeqCst);
    }
}
