//! What a log call leaves behind: a front end writes a record here, in the service's thread, and
//! goes on. Nothing is formatted as JSON, no header is made, nothing is locked while user code runs.
//!
//! | file | holds |
//! |---|---|
//! | `site` | where in the code a record comes from |
//! | `value`, `field_writer` | its fields as bytes, read and written |
//! | `span` | what it stands in |
//! | `records`, `shards` | the buffers between the threads of a service and the renderer |
//! | `sync` | the locks of the shards |
//! | `thread` | what each thread has of ours |
//! | `twice` | whether records of the crate `log` come in two ways |
//!
//! A front end of your own: look whether a record is [wanted](Capture::wants),
//! [begin](Capture::begin) it, write its [fields](Recorder::fields), and
//! [finish](Recorder::finish) it.

mod field_writer;
mod records;
mod shards;
mod site;
mod span;
mod sync;
mod thread;
mod twice;
mod value;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

pub(crate) use field_writer::{Faults, cut};
pub use field_writer::{FieldWriter, RECORD_BYTES_MAX};
pub(crate) use records::{Head, Record as CapturedRecord, Records, SpanRef};
pub use shards::limit_percent;
pub(crate) use shards::{ByLevel, Offered, Refused, Shards};
pub use site::{InlineSite, Site, SiteData, SiteText};
pub use span::{DEPTH_MAX, SpanNode};
pub use thread::NESTING_MAX;
pub(crate) use thread::now;
pub use twice::{LogPath, note_log_path};
pub use value::{Chain, Field, Fields, Key, Value};
pub(crate) use value::{Plain, split_inline_site};

use records::Draft;
use thread::Call;

use crate::filter::Filter;
use crate::level::Level;
use crate::passes::{Passes, Stage, deadline_after};
use flume_client::fork::Generation;
use flume_client::own_thread;

/// What a caller does if there is no room for its record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// The record is counted and dropped, the lesser levels first: see [`limit_percent`].
    #[default]
    Shed,
    /// The caller waits this long for room, and then sheds. Waits are counted.
    Block(Duration),
}

/// When a call returns only after its record is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoreFirst {
    /// From this level on.
    pub(crate) level: Level,
    /// The call returns after this time in any case.
    pub(crate) within: Duration,
}

/// Where front ends write records. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Capture {
    core: Arc<CaptureCore>,
}

#[derive(Debug)]
pub(crate) struct CaptureCore {
    pub(crate) shards: Shards,
    gate: Gate,
    generation: Generation,
    is_closed: AtomicBool,
    overflow: Overflow,
    store_first: Option<StoreFirst>,
    pub(crate) passes: Passes,
    forked: AtomicU64,
    waits: AtomicU64,
    broken: AtomicU64,
    cut: AtomicU64,
}

impl CaptureCore {
    pub(crate) fn new(
        bytes: usize,
        filter: Filter,
        overflow: Overflow,
        store_first: Option<StoreFirst>,
    ) -> Self {
        let processors = std::thread::available_parallelism();
        Self {
            shards: Shards::new(bytes, processors.map_or(1, usize::from)),
            gate: Gate::new(filter),
            generation: Generation::now(),
            is_closed: AtomicBool::new(false),
            overflow,
            store_first,
            passes: Passes::default(),
            forked: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            broken: AtomicU64::new(0),
            cut: AtomicU64::new(0),
        }
    }

    /// Takes only what this filter wants, from now on. The filter is given back, for those who are to
    /// be told of it.
    pub(crate) fn set_filter(&self, filter: Filter) -> Filter {
        self.gate.set(filter.clone());
        filter
    }

    /// Nothing is taken any more.
    pub(crate) fn close(&self) {
        self.shards.close();
        self.is_closed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    /// Records that came in a forked process.
    pub(crate) fn forked(&self) -> u64 {
        self.forked.load(Ordering::Relaxed)
    }

    /// How often a caller waited for room.
    pub(crate) fn waits(&self) -> u64 {
        self.waits.load(Ordering::Relaxed)
    }

    /// Values that panicked or failed, and values that were cut.
    pub(crate) fn faults(&self) -> (u64, u64) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (load(&self.broken), load(&self.cut))
    }

    pub(crate) fn is_forked(&self) -> bool {
        self.generation.is_past()
    }

    /// Whether records give way where there is no room. Otherwise callers wait for it, and so does the
    /// renderer.
    pub(crate) fn sheds(&self) -> bool {
        self.overflow == Overflow::Shed
    }

    fn count_faults(&self, faults: Faults) {
        if faults != Faults::default() {
            self.broken
                .fetch_add(faults.broken.into(), Ordering::Relaxed);
            self.cut.fetch_add(faults.cut.into(), Ordering::Relaxed);
        }
    }

    /// Lays a record down, waiting for room if that was chosen.
    fn offer(&self, thread: u32, draft: &Draft<'_>) {
        let mut offered = self.shards.offer(thread, draft);
        if let (Offered::NoRoom, Overflow::Block(most)) = (offered, self.overflow)
            && own_thread::may_wait()
        {
            offered = self.offer_within(thread, draft, most);
        }
        match offered {
            Offered::Taken { is_half } => {
                if is_half || draft.level == Level::Error {
                    self.passes.hurry();
                } else {
                    self.passes.wake_idle();
                }
            }
            Offered::NoRoom => self.shards.refuse(thread, draft.level, Refused::NoRoom),
            Offered::Closed => self.shards.refuse(thread, draft.level, Refused::Closed),
        }
    }

    #[cold]
    fn offer_within(&self, thread: u32, draft: &Draft<'_>, most: Duration) -> Offered {
        self.waits.fetch_add(1, Ordering::Relaxed);
        let deadline = deadline_after(most);
        loop {
            let pass = self.passes.hurry_for_next();
            let is_over = !self.passes.wait(pass, Stage::Taken, deadline);
            let offered = self.shards.offer(thread, draft);
            if is_over || offered != Offered::NoRoom {
                return offered;
            }
        }
    }
}

impl Capture {
    pub(crate) fn of(core: Arc<CaptureCore>) -> Self {
        Self { core }
    }

    /// Whether a record would be taken, by the filter. Costs a comparison, and a look through the
    /// directives if there are some for single targets.
    #[inline]
    #[must_use]
    pub fn wants(&self, level: Level, target: &str) -> bool {
        let core = &*self.core;
        // A forked process may have the filter's lock as held for ever. It takes nothing anyway.
        core.gate.wants(level, target, || core.is_forked())
    }

    /// The least level that is wanted of any target; none, if nothing is.
    #[must_use]
    pub fn least(&self) -> Option<Level> {
        self.core.gate.least()
    }

    /// Whether any record of this thread would be taken now: not in a forked process, after the end,
    /// or on an own thread of the client or of the appender.
    #[must_use]
    pub fn takes(&self) -> bool {
        let core = &*self.core;
        !(core.is_forked() || flume_client::is_own_thread() || core.is_closed())
    }

    /// Begins a record. `None`: it is refused, and counted: in a forked process, after the end, or
    /// if it is logged from within too many other log calls. A record that an own thread of the
    /// client or of the appender logs is refused without being counted: it would be about itself.
    #[inline]
    #[must_use]
    pub fn begin(&self, level: Level) -> Option<Recorder<'_>> {
        let core = &*self.core;
        if core.is_forked() {
            core.forked.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        if flume_client::is_own_thread() {
            return None;
        }
        let thread = thread::number();
        if core.is_closed.load(Ordering::Relaxed) {
            core.shards.refuse(thread, level, Refused::Closed);
            return None;
        }
        if core.sheds() && core.shards.looks_full(thread, level) {
            // An error goes wherever there is room.
            if level != Level::Error {
                core.shards.refuse(thread, level, Refused::NoRoom);
                return None;
            }
        }
        let Some(call) = Call::begin() else {
            core.shards.refuse(thread, level, Refused::Nested);
            return None;
        };
        Some(Recorder {
            core,
            call,
            thread,
            level,
            stamp: thread::stamp(),
            faults: Faults::default(),
        })
    }

    /// Whether the end of a record may take long, because its caller waits for room or for the disk.
    /// Then no lock of a logging framework is to be held meanwhile.
    #[must_use]
    pub fn may_wait(&self) -> bool {
        !self.core.sheds() || self.core.store_first.is_some()
    }

    /// Waits until everything that was logged so far is stored, for front ends whose framework has a
    /// call for that. `false`: it is not, within this time. On an own thread of the client or of the
    /// appender, and in a forked process, it returns at once.
    pub fn flush_stored(&self, within: Duration) -> bool {
        if self.core.is_forked() || flume_client::is_own_thread() || !own_thread::may_wait() {
            return false;
        }
        self.core.passes.wait_stored(within)
    }

    /// A span that begins now. `write` writes its fields; it may run user code.
    ///
    /// `None`: in a forked process, on an own thread, or within too many other log calls.
    #[must_use]
    pub fn span(
        &self,
        site: Site,
        parent: Option<&Arc<SpanNode>>,
        write: impl FnOnce(&mut FieldWriter<'_>),
    ) -> Option<Arc<SpanNode>> {
        let call = self.written(write)?;
        Some(Arc::new(SpanNode::new(site, parent, &call.scratch)))
    }

    /// Adds fields to a span that began before. Records that were logged before this do not get
    /// them. Beyond 64 such calls for a span each one replaces the one before it, and is counted
    /// among the values that were cut.
    pub fn record_later(&self, span: &SpanNode, write: impl FnOnce(&mut FieldWriter<'_>)) {
        if let Some(call) = self.written(write)
            && span.add(thread::stamp(), &call.scratch)
        {
            self.core.cut.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn written(&self, write: impl FnOnce(&mut FieldWriter<'_>)) -> Option<Call> {
        if self.core.is_forked() || flume_client::is_own_thread() {
            return None;
        }
        let mut call = Call::begin()?;
        let mut faults = Faults::default();
        write(&mut FieldWriter::new(&mut call.scratch, &mut faults));
        self.core.count_faults(faults);
        Some(call)
    }
}

/// A record that is being written. Dropped without [`finish`](Self::finish) it is forgotten.
#[derive(Debug)]
pub struct Recorder<'a> {
    core: &'a CaptureCore,
    call: Call,
    thread: u32,
    level: Level,
    stamp: u64,
    faults: Faults,
}

impl Recorder<'_> {
    /// Writes its fields.
    #[inline]
    pub fn fields(&mut self) -> FieldWriter<'_> {
        FieldWriter::new(&mut self.call.scratch, &mut self.faults)
    }

    /// Lays it down for the renderer. The texts of its place are asked for later.
    #[inline]
    pub fn finish(self, site: Site, span: Option<&Arc<SpanNode>>) {
        self.lay_down(Some(site), span);
    }

    /// Lays it down together with the texts of its place, as [`inline_site`](Self::inline_site)
    /// wrote them before its fields.
    pub fn finish_inline(self, span: Option<&Arc<SpanNode>>) {
        self.lay_down(None, span);
    }

    /// Writes the texts of its place, before any field.
    pub fn inline_site(&mut self, site: &InlineSite<'_>) {
        field_writer::put_inline_site(&mut self.call.scratch, site);
    }

    #[inline]
    fn lay_down(self, site: Option<Site>, span: Option<&Arc<SpanNode>>) {
        self.core.count_faults(self.faults);
        let draft = Draft {
            site,
            stamp: self.stamp,
            span,
            level: self.level,
            is_cut: self.faults.cut > 0,
            bytes: &self.call.scratch,
        };
        self.core.offer(self.thread, &draft);
        if let Some(first) = self.core.store_first
            && self.level >= first.level
            && own_thread::may_wait()
        {
            self.core.passes.wait_stored(first.within);
        }
    }
}

/// The filter, so that a call that is not wanted costs a comparison.
#[derive(Debug)]
struct Gate {
    /// The least level that is wanted of any target, as its index; beyond all of them: none.
    least: AtomicU8,
    /// Whether all targets are treated alike.
    is_plain: AtomicBool,
    filter: RwLock<Filter>,
}

impl Gate {
    fn new(filter: Filter) -> Self {
        let gate = Self {
            least: AtomicU8::new(0),
            is_plain: AtomicBool::new(true),
            filter: RwLock::new(Filter::of_level(Level::Trace)),
        };
        gate.set(filter);
        gate
    }

    fn set(&self, filter: Filter) {
        let least = filter.least().map_or(Level::ALL.len(), Level::index);
        let is_plain = filter.of_all_targets().is_some();
        let mut held = self.filter.write().unwrap_or_else(PoisonError::into_inner);
        self.least.store(least as u8, Ordering::Relaxed);
        self.is_plain.store(is_plain, Ordering::Relaxed);
        *held = filter;
    }

    #[inline]
    fn wants(&self, level: Level, target: &str, is_forked: impl Fn() -> bool) -> bool {
        if level.index() < usize::from(self.least.load(Ordering::Relaxed)) {
            return false;
        }
        let is_plain = self.is_plain.load(Ordering::Relaxed);
        is_plain || is_forked() || self.wants_target(level, target)
    }

    fn wants_target(&self, level: Level, target: &str) -> bool {
        let filter = self.filter.read().unwrap_or_else(PoisonError::into_inner);
        filter.wants(level, target)
    }

    fn least(&self) -> Option<Level> {
        let least = usize::from(self.least.load(Ordering::Relaxed));
        Level::ALL.get(least).copied()
    }
}
