//! The worker: the one place that knows the pure core and the outside.
//!
//! One thread, one current-thread runtime, one future. Each turn takes what callers appended, lets
//! connections and the clock speak to the core, and does what the core says, until nothing is left
//! to do; then it sleeps until bytes, time or callers wake it.

mod asked;
mod feed;
mod turn;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::runtime::Runtime;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::chunk::Chunk;
use crate::client::Report;
use crate::config::{AgentUrl, Config, Overflow};
use crate::delivery::{AgentIndex, Core, Disconnect, Epoch, Input, Output, Settings};
use crate::error::AgentError;
use crate::handover::Handover;
use crate::intake::Intake;
use crate::store::Store;
use crate::ticket::Promise;
use crate::transport::{Connection, Progress};
use crate::wire::avro::rpc::Reply;
pub(crate) use asked::Request;
use asked::{Closing, Flush};
pub(crate) use feed::Backlog;
use feed::{Fed, Feed};
use turn::Turn;

/// The body of the client's thread: works until the client is closed, then settles with everyone.
pub(crate) fn run(
    runtime: Runtime,
    config: &Config,
    intake: Arc<Intake>,
    backlog: Option<Backlog>,
) {
    let ending = Ending {
        intake: intake.clone(),
        handover: backlog.as_ref().map(|backlog| backlog.handover.clone()),
    };
    let closers = runtime.block_on(async { Worker::new(config, intake, backlog).await });
    // A name look-up may still hang in the resolver; it must not hold up the end.
    runtime.shutdown_background();
    let intake = ending.intake.clone();
    drop(ending);
    let report = Report::of(&intake.lock().snapshot());
    for promise in closers {
        promise.fulfil(report).into_iter().for_each(Waker::wake);
    }
}

/// Settles with waiting callers when the thread ends, also by a panic.
struct Ending {
    intake: Arc<Intake>,
    handover: Option<Arc<Handover>>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(handover) = &self.handover {
            handover.finish(Waker::noop());
        }
        self.intake.worker_ends();
    }
}

/// Turns in a row before the runtime looks at the sockets again, at the price of a system call.
/// Without that, callers who never pause would keep the answers from being read.
const TURNS_MAX: u32 = 8;

/// Events that came from a spool and are not done with: so many batches of the largest size,
const HELD_BATCHES: usize = 4;
/// or so many bytes, if that is more.
const HELD_BYTES_MIN: usize = 8 * 1024 * 1024;

struct Worker {
    core: Core,
    store: Store,
    /// With a spool.
    feed: Option<Feed>,
    links: BTreeMap<Epoch, Link>,
    agents: Vec<AgentUrl>,
    settings: Settings,
    /// Bytes of events above which the oldest are given up.
    shed_above: Option<usize>,
    intake: Arc<Intake>,
    epoch: Instant,
    timer: Pin<Box<Sleep>>,
    flushes: Vec<Flush>,
    closing: Option<Closing>,
    turn: Turn,
}

struct Link {
    agent: AgentIndex,
    connection: Connection,
}

impl Worker {
    fn new(config: &Config, intake: Arc<Intake>, backlog: Option<Backlog>) -> Self {
        let epoch = Instant::now();
        let batches = HELD_BATCHES * config.delivery.batch_bytes_max as usize;
        let held_max = batches.max(HELD_BYTES_MIN);
        let mut worker = Self {
            feed: backlog.map(|backlog| Feed::new(backlog, held_max)),
            core: Core::new(config.delivery.clone(), fastrand::u64(..)),
            store: Store::default(),
            links: BTreeMap::new(),
            agents: config.agents.clone(),
            settings: config.delivery.clone(),
            shed_above: (config.overflow == Overflow::DropOldest)
                .then_some(config.buffer_bytes_max / 4 * 3),
            intake,
            epoch,
            timer: Box::pin(sleep_until(epoch)),
            flushes: Vec::new(),
            closing: None,
            turn: Turn::default(),
        };
        // The core counts events from 0, unless it is told of those that are done with.
        if let Some(next) = worker.feed.as_ref().map(Feed::next) {
            worker.step(Input::Skip { next });
        }
        worker
    }

    fn step(&mut self, input: Input<'_>) {
        self.core.step(self.epoch.elapsed(), input);
        while let Some(output) = self.core.next_output() {
            self.perform(output);
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            // It would send again what has just been given up.
            Output::Connect { .. } if self.is_finishing() => {}
            Output::Connect { agent, epoch } => {
                if let Some(url) = self.agents.get(agent) {
                    let connection = Connection::new(url.clone(), self.settings.connect_timeout);
                    self.links.insert(epoch, Link { agent, connection });
                }
            }
            Output::Send {
                epoch,
                serial,
                batch,
            } => {
                if let Some(link) = self.links.get_mut(&epoch) {
                    link.connection.send(serial, batch);
                }
            }
            Output::Disconnect {
                agent,
                epoch,
                cause,
            } => {
                self.links.remove(&epoch);
                self.turn.opened.push((agent, false));
                let error = self.disconnect_error(cause);
                self.turn.errors.extend(error.map(|error| (agent, error)));
            }
            Output::Retire {
                first,
                events,
                bytes,
                outcome,
            } => {
                self.store.retire(first, events, &mut self.turn.emptied);
                if let Some(feed) = &mut self.feed {
                    feed.retire(first, first + u64::from(events), bytes as usize);
                }
                self.turn.retired.push((first, events, bytes, outcome));
            }
        }
    }

    fn disconnect_error(&self, cause: Disconnect) -> Option<AgentError> {
        match cause {
            Disconnect::ConnectTimeout => {
                Some(AgentError::ConnectTimeout(self.settings.connect_timeout))
            }
            Disconnect::HandshakeTimeout => {
                Some(AgentError::HandshakeTimeout(self.settings.request_timeout))
            }
            Disconnect::RequestTimeout => {
                Some(AgentError::RequestTimeout(self.settings.request_timeout))
            }
            Disconnect::UnexpectedSerial(serial) => Some(AgentError::UnexpectedSerial { serial }),
            Disconnect::Spare | Disconnect::Closing => None,
        }
    }

    /// Lets every connection work. `true`: something came of it.
    fn poll_links(&mut self, context: &mut Context<'_>) -> bool {
        let mut progressed = false;
        let epochs: Vec<Epoch> = self.links.keys().copied().collect();
        for epoch in epochs {
            while let Some(link) = self.links.get_mut(&epoch)
                && let Poll::Ready(progress) = link.connection.poll(context, &self.store)
            {
                progressed = true;
                let agent = link.agent;
                self.on_progress(agent, epoch, progress);
            }
        }
        progressed
    }

    fn on_progress(&mut self, agent: AgentIndex, epoch: Epoch, progress: Progress) {
        match progress {
            Progress::Connected => self.step(Input::Connected { epoch }),
            Progress::Opened => {
                self.turn.opened.push((agent, true));
                self.step(Input::Opened { epoch });
            }
            Progress::Replied { serial, reply } => {
                let committed = reply == Reply::Ok;
                self.turn
                    .errors
                    .extend(refusal(reply).map(|error| (agent, error)));
                self.step(Input::Replied {
                    epoch,
                    serial,
                    committed,
                });
            }
            Progress::Ended { error, unsent_from } => {
                self.links.remove(&epoch);
                self.turn.opened.push((agent, false));
                self.turn.errors.push((agent, error));
                self.step(Input::Closed { epoch, unsent_from });
            }
        }
    }

    /// Exchanges with the callers under one lock. `true`: something came in.
    fn exchange(&mut self) -> bool {
        let (events, bytes) = self.wanted();
        let intake = self.intake.clone();
        let mut state = intake.lock();
        self.turn.settle(&self.core, &mut state);
        intake.offer_room(&mut state, &mut self.turn.wakers);
        state.take_requests(&mut self.turn.requests);
        let is_asked = !self.turn.requests.is_empty();
        if self.feed.is_none() && (is_asked || state.has_come_in(events, bytes)) {
            state.take_chunks(&mut self.turn.chunks, usize::MAX);
        }
        let pending_bytes = state.stats.pending_bytes;
        drop(state);
        self.turn.wakers.drain(..).for_each(Waker::wake);
        let came_in = !self.turn.chunks.is_empty() || !self.turn.requests.is_empty();
        let mut chunks = std::mem::take(&mut self.turn.chunks);
        for chunk in chunks.drain(..) {
            self.take_in(chunk);
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
            self.step(Input::Shed { bytes });
        }
    }

    fn take_in(&mut self, chunk: Chunk) {
        let mut ends = std::mem::take(&mut self.turn.ends);
        ends.clear();
        ends.extend_from_slice(&chunk.ends);
        self.turn.emptied.extend(self.store.add(chunk));
        self.step(Input::Append { ends: &ends });
        self.turn.ends = ends;
    }

    /// Takes in what the spool has, and tells it what is done with. `true`: something came in.
    fn poll_feed(&mut self, context: &mut Context<'_>) -> bool {
        if self.is_finishing() {
            return false;
        }
        let Some(feed) = &mut self.feed else {
            return false;
        };
        let mut fed = std::mem::take(&mut self.turn.fed);
        feed.settle();
        feed.poll(context, &mut fed);
        let came_in = !fed.is_empty();
        for item in fed.drain(..) {
            match item {
                Fed::Chunk(chunk) => self.take_in(chunk),
                Fed::Skip { next } => self.step(Input::Skip { next }),
                Fed::Lost { first, end } => {
                    self.turn.lost.push((first, end));
                    self.step(Input::Skip { next: end });
                }
            }
        }
        self.turn.fed = fed;
        if came_in && (!self.flushes.is_empty() || self.closing.is_some()) {
            self.step(Input::Flush);
        }
        came_in
    }

    /// How many events, or bytes of them, are worth taking. With a batch open that is what fills it,
    /// until its linger time is over: each look costs the callers their lock.
    fn wanted(&self) -> (usize, usize) {
        let is_urgent = !self.flushes.is_empty() || self.closing.is_some();
        match self.core.open_batch() {
            Some(open) if !is_urgent && !self.is_due() => (
                (self.settings.batch_events_max - open.events) as usize,
                (self.settings.batch_bytes_max - open.bytes) as usize,
            ),
            _ => (1, 1),
        }
    }

    /// Whether the core's next deadline has passed.
    fn is_due(&self) -> bool {
        let deadline = self.core.deadline();
        deadline.is_some_and(|deadline| deadline <= self.epoch.elapsed())
    }

    /// Sleeps until the next deadline, or until enough came in. `false`: there is more to do.
    fn sleep(&mut self, context: &mut Context<'_>) -> bool {
        let core = self.core.deadline().map(|deadline| self.epoch + deadline);
        let flushes = self.flushes.iter().map(|flush| flush.deadline);
        let closing = self.closing.as_ref().map(|closing| closing.deadline);
        if let Some(deadline) = core.into_iter().chain(flushes).chain(closing).min() {
            self.timer.as_mut().reset(deadline);
            if self.timer.as_mut().poll(context).is_ready() {
                return false;
            }
        }
        let (events, bytes) = self.wanted();
        let mut state = self.intake.lock();
        state.listen(context.waker())
            && (self.feed.is_some() || state.sleep(context.waker(), events, bytes))
    }
}

impl Future for Worker {
    type Output = Vec<Promise<Report>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let worker = self.get_mut();
        for _ in 0..TURNS_MAX {
            // What came in until then is of the batch whose linger time is over.
            let is_due = worker.is_due();
            let mut progressed = worker.exchange();
            progressed |= worker.poll_feed(context);
            progressed |= worker.poll_links(context);
            if is_due {
                worker.step(Input::Tick);
                progressed = true;
            }
            progressed |= worker.end_flushes();
            if worker.is_done(context) {
                worker.exchange();
                let closing = worker
                    .closing
                    .take()
                    .expect("it is closing when it is done");
                return Poll::Ready(closing.promises);
            }
            if !progressed && worker.sleep(context) {
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

fn refusal(reply: Reply) -> Option<AgentError> {
    match reply {
        Reply::Ok => None,
        Reply::Failed => Some(AgentError::Refused { status: "FAILED" }),
        Reply::Unknown => Some(AgentError::Refused { status: "UNKNOWN" }),
        Reply::Error(text) => Some(AgentError::Exception(text)),
    }
}
