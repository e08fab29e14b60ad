//! The worker: the thread that sends.
//!
//! One thread, one current-thread runtime, one future. Each turn takes what callers appended, lets
//! connections and the clock speak to the core of a [`Lane`], and does what the core says, until
//! nothing is left to do; then it sleeps until bytes, time or callers wake it.

mod adopted;
mod asked;
mod feed;
mod lane;
mod reading;
mod turn;
mod watch;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::config::{Config, Overflow};
use crate::delivery::Input;
use crate::intake::Intake;
use crate::life::Guard;
use crate::runtime::ClientRuntime;
use crate::speaker::Speaker;
use crate::transport::Means;
use crate::wakeup;
use adopted::Adopted;
pub(crate) use asked::Request;
use asked::{Closing, Flush};
pub(crate) use feed::Backlog;
use lane::Lane;
use turn::Turn;
use watch::Watch;

/// The body of the client's thread, which holds the guard: works until the client is closed, then
/// settles with everyone.
pub(crate) fn run(
    runtime: &ClientRuntime,
    config: &Config,
    means: Means,
    intake: &Arc<Intake>,
    backlog: Option<Backlog>,
    guard: Guard,
) {
    wakeup::enter_thread_of_a_client();
    let worker = || Worker::new(config, means, intake.clone(), backlog);
    runtime.block_on(async { worker().await });
    guard.end();
}

/// Turns in a row before the runtime looks at the sockets again, at the price of a system call.
/// Without that, callers who never pause would keep the answers from being read.
const TURNS_MAX: u32 = 8;

struct Worker {
    own: Lane,
    /// What a process left that is gone.
    adopted: Option<Adopted>,
    config: Config,
    means: Means,
    epoch: Instant,
    /// Bytes of events above which the oldest are given up.
    shed_above: Option<usize>,
    intake: Arc<Intake>,
    timer: Pin<Box<Sleep>>,
    flushes: Vec<Flush>,
    closing: Option<Closing>,
    /// The other thread has panicked.
    has_failed: bool,
    turn: Turn,
    watch: Watch,
}

impl Worker {
    fn new(config: &Config, means: Means, intake: Arc<Intake>, backlog: Option<Backlog>) -> Self {
        let epoch = Instant::now();
        let mut watch = Watch::new(Speaker::new(config.on_change.clone()), config.limits());
        let notes = intake
            .lock()
            .stats
            .spool
            .as_ref()
            .map(|it| it.notes.clone());
        watch.note(&notes.unwrap_or_default());
        Self {
            own: Lane::new(config, &means, epoch, backlog),
            adopted: None,
            config: config.clone(),
            means,
            epoch,
            shed_above: (config.overflow == Overflow::DropOldest)
                .then_some(config.buffer_bytes_max / 4 * 3),
            intake,
            timer: Box::pin(sleep_until(epoch)),
            flushes: Vec::new(),
            closing: None,
            has_failed: false,
            turn: Turn::default(),
            watch,
        }
    }

    /// Exchanges with the callers under one lock. `true`: something came in.
    fn exchange(&mut self) -> bool {
        let (events, bytes) = self.wanted();
        let intake = self.intake.clone();
        let mut state = intake.lock();
        let adopted = self.adopted.as_mut().map(|adopted| &mut adopted.lane);
        self.turn.settle(&mut self.own, adopted, &mut state);
        intake.offer_room(&mut state, &mut self.turn.wakers);
        state.take_requests(&mut self.turn.requests);
        let is_asked = !self.turn.requests.is_empty();
        if self.own.feed.is_none() && (is_asked || state.has_come_in(events, bytes)) {
            state.take_chunks(&mut self.turn.chunks, usize::MAX);
        }
        self.has_failed = state.stats.failed.is_some();
        let pending_bytes = state.stats.pending_bytes;
        let (has_news, has_pending) = (state.take_news(), state.stats.pending > 0);
        let now = Instant::now().into_std();
        let is_due = self.watch.is_due(has_news, has_pending, now);
        let stats = is_due.then(|| state.snapshot());
        drop(state);
        if let Some(stats) = stats {
            self.watch.look(&stats, now);
        }
        wakeup::wake(self.turn.wakers.drain(..));
        let came_in = !self.turn.chunks.is_empty() || !self.turn.requests.is_empty();
        let mut chunks = std::mem::take(&mut self.turn.chunks);
        for chunk in chunks.drain(..) {
            self.own.take_in(chunk);
        }
        self.turn.chunks = chunks;
        self.shed(pending_bytes);
        let mut requests = std::mem::take(&mut self.turn.requests);
        for request in requests.drain(..) {
            self.on_request(request);
        }
        self.turn.requests = requests;
        came_in
    }

    /// Gives up the oldest events if there are more than may be, and that was chosen.
    fn shed(&mut self, pending_bytes: usize) {
        if let Some(most) = self.shed_above
            && pending_bytes > most
        {
            let bytes = (pending_bytes - most) as u64;
            self.own.step(Input::Shed { bytes });
        }
    }

    /// Exchanges with the callers, and lets the lanes work with their spools and agents. `true`:
    /// something came of it.
    fn work(&mut self, context: &mut Context<'_>) -> bool {
        // What came in until then is of the batch whose linger time is over.
        let is_due = self.own.is_due();
        let mut progressed = self.exchange();
        self.end_adopted();
        progressed |= self.own.work(context, is_due, self.is_urgent());
        if let Some(adopted) = &mut self.adopted {
            let is_due = adopted.lane.is_due();
            progressed |= adopted.lane.work(context, is_due, false);
        }
        progressed
    }

    /// Whether batches are not to wait until they are full.
    fn is_urgent(&self) -> bool {
        !self.flushes.is_empty() || self.closing.is_some()
    }

    /// How many events, or bytes of them, are worth taking. With a batch open that is what fills it,
    /// until its linger time is over: each look costs the callers their lock.
    fn wanted(&self) -> (usize, usize) {
        let settings = &self.config.delivery;
        match self.own.core.open_batch() {
            Some(open) if !self.is_urgent() && !self.own.is_due() => (
                (settings.batch_events_max - open.events) as usize,
                (settings.batch_bytes_max - open.bytes) as usize,
            ),
            _ => (1, 1),
        }
    }

    /// What was lost by the end is told too.
    fn say_last(&mut self) {
        if self.watch.is_heard() {
            let stats = self.intake.lock().snapshot();
            self.watch.look(&stats, Instant::now().into_std());
        }
    }

    /// Sleeps until the next deadline, or until enough came in. `false`: there is more to do.
    fn sleep(&mut self, context: &mut Context<'_>) -> bool {
        let lanes = [self.own.deadline(), self.adopted_deadline()];
        let lanes = lanes.into_iter().flatten();
        let flushes = self.flushes.iter().map(|flush| flush.deadline);
        let closing = self.closing.as_ref().and_then(Closing::next_deadline);
        let look = self.watch.deadline().map(Instant::from_std);
        let deadlines = lanes.chain(flushes).chain(closing).chain(look);
        if let Some(deadline) = deadlines.min() {
            self.timer.as_mut().reset(deadline);
            if self.timer.as_mut().poll(context).is_ready() {
                return false;
            }
        }
        let (events, bytes) = self.wanted();
        let mut state = self.intake.lock();
        state.listen(context.waker())
            && (self.own.feed.is_some() || state.sleep(context.waker(), events, bytes))
    }
}

impl Future for Worker {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let worker = self.get_mut();
        for _ in 0..TURNS_MAX {
            let mut progressed = worker.work(context);
            progressed |= worker.end_flushes();
            if worker.has_failed || worker.is_done(context) {
                worker.exchange();
                worker.say_last();
                worker.hand_back_requests();
                return Poll::Ready(());
            }
            if !progressed && worker.sleep(context) {
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
