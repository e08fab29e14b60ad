//! [`Sender`]: the network thread. It takes events from the queue or the disk, and does with them
//! what the delivery core says.
//!
//! One thread, one current-thread runtime, one future. Each turn takes what callers appended, lets
//! connections and the clock speak to the core of each lane, and does what the core says, until
//! nothing is left to do; then it sleeps until bytes, time or callers wake it. A turn asks once what
//! time it is.
//!
//! | file | holds |
//! |---|---|
//! | `route` | the way of one lane's events to the agents |
//! | `dispatch` | what is done with them. Told the time; touches no socket |
//! | `adopted` | the lane of a place that was adopted |
//! | `backlog`, `reading` | the next events, from memory or from the disk |
//! | `renewal` | when the files of TLS are looked at |
//! | `updates` | what callers are to be told |
//! | `requests` | flush and close |
//! | `running` | all of it as a future, on a runtime's clock |
//! | `watch`, `speaker` | when health is looked at, and who is told of changes |

mod adopted;
mod backlog;
mod dispatch;
mod reading;
#[cfg(feature = "tls")]
mod renewal;
mod requests;
mod route;
mod running;
mod speaker;
mod updates;
mod watch;

use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use adopted::Adopted;
use backlog::Backlog;
use dispatch::takes_from_callers;
use fastrand::Rng;
#[cfg(feature = "tls")]
use renewal::Renewal;
use requests::{Closing, FINISH_TIMEOUT, Flush, deadline_after};
use route::Route;
pub(crate) use running::{Running, run};
use speaker::Speaker;
use updates::Updates;
use watch::Watch;

use crate::config::{Config, Overflow};
use crate::delivery::Input;
use crate::error::FlushError;
use crate::queue::{Amount, Intake, OpenedSpool, Promise, Request, Turn, oneshot, wakeup};
use crate::reliability::{PerLevel, Reliability};
use crate::seq::Seq;
use crate::situations::reached;
use crate::stats::report::Report;
use crate::transport::Network;

pub(crate) struct Sender<N: Network> {
    own: Route<N>,
    /// Events of a dead process, sent from its own directory.
    adopted: Option<Adopted<N>>,
    config: Arc<Config>,
    network: N,
    random: Rng,
    /// Bytes of events above which the oldest are given up.
    shed_above: Option<usize>,
    intake: Arc<Intake>,
    flushes: Vec<Flush>,
    /// Of each level, events below this are known to be waited for.
    awaited: PerLevel<Seq>,
    closing: Option<Closing>,
    /// The other thread has panicked.
    has_failed: bool,
    updates: Updates,
    watch: Watch,
    /// If an agent has TLS.
    #[cfg(feature = "tls")]
    renewal: Option<Renewal>,
}

impl<N: Network> Sender<N> {
    /// The `seed` decides how long agents are not tried after a failure.
    pub(crate) fn new(
        config: &Arc<Config>,
        network: N,
        intake: Arc<Intake>,
        seed: u64,
        now: Instant,
    ) -> Self {
        let mut random = Rng::with_seed(seed);
        let mut watch = Watch::new(Speaker::new(config.on_change.clone()), config.limits());
        let notes = intake
            .lock()
            .stats
            .spool
            .as_ref()
            .map(|it| it.notes.clone());
        watch.note(&notes.unwrap_or_default());
        Self {
            own: Route::new(config, &network, random.u64(..), now),
            adopted: None,
            config: config.clone(),
            #[cfg(feature = "tls")]
            renewal: network
                .certificates()
                .map(|it| Renewal::new(it, &config.agents)),
            network,
            random,
            shed_above: (config.overflow == Overflow::DropOldest)
                .then_some(config.buffer_bytes_max / 4 * 3),
            intake,
            flushes: Vec::new(),
            awaited: PerLevel::default(),
            closing: None,
            has_failed: false,
            updates: Updates::default(),
            watch,
        }
    }

    /// Exchanges with the callers under one lock. `true`: something came in, or there is something to
    /// tell.
    fn exchange(&mut self, now: Instant) -> bool {
        let wanted = PerLevel::new(|level| self.wanted(level, now));
        let intake = self.intake.clone();
        let awaited = intake.awaited.upto();
        let mut state = intake.lock();
        let adopted = self.adopted.as_mut().map(|adopted| &mut adopted.route);
        // What came of the last turn is told first: it makes the room that callers wait for.
        self.updates.settle(&mut self.own, adopted, &mut state, now);
        #[cfg(feature = "tls")]
        if let Some(renewal) = &self.renewal {
            state.tell_tls(renewal.trouble());
        }
        intake.offer_room(&mut state, &mut self.updates.wakers);
        state.take_requests(&mut self.updates.requests);
        // A flush asks for all that came in before it, however little that is.
        let is_asked = !self.updates.requests.is_empty();
        for (level, chunks) in self.updates.chunks.iter_mut() {
            let dispatch = &self.own.dispatch;
            let is_awaited = awaited[level] > dispatch.lanes[level].next;
            let is_due = is_asked || is_awaited || state.lanes[level].has_come_in(wanted[level]);
            if is_due && takes_from_callers(level) {
                state.take_chunks(level, chunks, usize::MAX, now);
            }
        }
        self.has_failed = state.stats.failed.is_some();
        let pending_bytes = state.stats.pending_bytes;
        let (has_news, has_pending) = (state.take_news(), state.pending() > 0);
        let is_due = self.watch.is_due(has_news, has_pending, now);
        let stats = is_due.then(|| state.snapshot(now));
        drop(state);
        if let Some(stats) = stats {
            self.watch.look(&stats, now);
        }
        // Not under the lock: wakers are the callers' code.
        wakeup::wake(self.updates.wakers.drain(..));
        let mut came_in = !self.updates.requests.is_empty();
        for (level, chunks) in self.updates.chunks.iter_mut() {
            came_in |= !chunks.is_empty();
            for chunk in chunks.drain(..) {
                self.own.take_in(now, level, chunk);
            }
        }
        came_in |= self.await_events(now, awaited);
        let has_shed = self.shed(now, pending_bytes);
        // After the chunks, so that the core has the events that a flush asks for when it is told.
        let mut requests = std::mem::take(&mut self.updates.requests);
        for request in requests.drain(..) {
            self.on_request(now, request);
        }
        self.updates.requests = requests;
        came_in || has_shed
    }

    /// Tells the core which events somebody waits for. `true`: more than before.
    fn await_events(&mut self, now: Instant, awaited: PerLevel<Seq>) -> bool {
        if awaited == self.awaited {
            return false;
        }
        let known = std::mem::replace(&mut self.awaited, awaited);
        for (level, &upto) in awaited.iter() {
            if upto > known[level] {
                self.own.step(now, Input::Await { level, upto });
            }
        }
        true
    }

    /// Gives up the oldest events if there are more than may be, and that was chosen: of what keeps
    /// least first, and none that goes to the disk. `true`: some were, which is told in the next
    /// exchange: who waits for their room sleeps until then.
    fn shed(&mut self, now: Instant, pending_bytes: usize) -> bool {
        let Some(most) = self.shed_above.filter(|most| pending_bytes > *most) else {
            return false;
        };
        let mut left = (pending_bytes - most) as u64;
        let mut has_shed = false;
        for level in Reliability::ALL {
            if left > 0 && takes_from_callers(level) {
                let before = self.own.dispatch.lanes[level].retired.len();
                let bytes = left;
                self.own.step(now, Input::Shed { level, bytes });
                let retired = self.own.dispatch.lanes[level].retired.iter();
                let shed = retired.skip(before).map(|(_, bytes, _)| u64::from(*bytes));
                let shed: u64 = shed.sum();
                has_shed |= shed > 0;
                left = left.saturating_sub(shed);
            }
        }
        has_shed
    }

    /// Exchanges with the callers, and lets the lanes work with their spools and agents. `true`:
    /// something came of it.
    fn work(&mut self, now: Instant, context: &mut Context<'_>) -> bool {
        // Asked before the exchange: events that come in now still join the batch whose linger time
        // is over.
        let is_due = self.own.dispatch.is_due(now);
        #[cfg(feature = "tls")]
        self.renew(now, context);
        let mut progressed = self.exchange(now);
        self.end_adopted(now);
        // Callers may have held this up, and their wakers.
        let now = self.network.now();
        progressed |= self.own.work(now, context, is_due, self.is_urgent());
        if let Some(adopted) = &mut self.adopted {
            let is_due = adopted.route.dispatch.is_due(now);
            progressed |= adopted.route.work(now, context, is_due, false);
        }
        progressed
    }

    /// Has the files of TLS looked at, and connections made anew if they have changed.
    #[cfg(feature = "tls")]
    fn renew(&mut self, now: Instant, context: &mut Context<'_>) {
        let Some(renewal) = &mut self.renewal else {
            return;
        };
        let agents = renewal.agents;
        let adopted = self.adopted.as_ref();
        let is_in_use = self.own.is_connected_to(agents)
            || adopted.is_some_and(|adopted| adopted.route.is_connected_to(agents));
        if renewal.work(now, is_in_use, context) {
            self.own.step(now, Input::Renew { agents });
            if let Some(adopted) = &mut self.adopted {
                adopted.route.step(now, Input::Renew { agents });
            }
        }
    }

    /// When the files of TLS are to be looked at.
    fn look_at_files(&self) -> Option<Instant> {
        #[cfg(feature = "tls")]
        return self.renewal.as_ref().and_then(Renewal::deadline);
        #[cfg(not(feature = "tls"))]
        None
    }

    /// Whether batches are not to wait until they are full.
    fn is_urgent(&self) -> bool {
        !self.flushes.is_empty() || self.closing.is_some()
    }

    /// How many events of a level, or bytes of them, are worth taking: each look costs the callers their
    /// lock, and a wake-up is a system call of theirs. While no agent takes a batch that is a chunk, or
    /// a part of the buffer if old events have to make room in it; with a batch open, what fills it,
    /// until its linger time is over.
    fn wanted(&self, level: Reliability, now: Instant) -> Amount {
        let settings = &self.config.delivery;
        if self.is_urgent() {
            return Amount::SOME;
        }
        if self.own.dispatch.core.is_held_up(level) {
            return Amount {
                events: usize::MAX,
                bytes: self
                    .config
                    .sizes
                    .chunk
                    .min(self.config.buffer_bytes_max / 8),
            };
        }
        match self.own.dispatch.core.open_batch(level) {
            Some(open) if !self.own.dispatch.is_due(now) => Amount {
                events: (settings.batch_events_max - open.events) as usize,
                bytes: (settings.batch_bytes_max - open.bytes) as usize,
            },
            _ => Amount::SOME,
        }
    }

    /// What was lost by the end is told too.
    fn say_last(&mut self, now: Instant) {
        if self.watch.is_heard() {
            let stats = self.intake.lock().snapshot(now);
            self.watch.look(&stats, now);
        }
    }

    fn on_request(&mut self, now: Instant, request: Request) {
        match request {
            Request::Open { level, spool } => return self.own.open_spool(now, level, spool),
            Request::Adopt(spool) => return self.adopt(now, spool),
            Request::Flush {
                upto,
                timeout,
                promise,
            } => {
                let deadline = deadline_after(now, timeout);
                self.flushes.push(Flush {
                    upto,
                    deadline,
                    promise,
                });
            }
            Request::Close { timeout, promise } => {
                let deadline = deadline_after(now, timeout);
                let closing = self.closing.get_or_insert_with(|| Closing {
                    deadline,
                    promises: Vec::new(),
                    finishing: false,
                });
                closing.deadline = closing.deadline.min(deadline);
                closing.promises.push((deadline + FINISH_TIMEOUT, promise));
                let deadline = closing.deadline;
                if let Some(adopted) = &mut self.adopted {
                    reached!("a close comes while a place is adopted");
                    adopted.stop(now, deadline);
                }
            }
        }
        self.own.step(now, Input::Flush);
    }

    /// Ends flushes that are through or out of time. `true`: something came in meanwhile.
    fn end_flushes(&mut self, now: Instant) -> bool {
        let core = &self.own.dispatch.core;
        let watermark = PerLevel::new(|level| core.watermark(level));
        // Some of them may be acknowledged ahead of the watermark.
        let unfinished = |upto: &PerLevel<Seq>| {
            let levels = upto.iter();
            levels
                .map(|(level, upto)| upto.since(watermark[level]))
                .sum::<u64>()
        };
        let ended = |flush: &mut Flush| {
            let is_through = unfinished(&flush.upto) == 0;
            is_through || flush.deadline <= now || flush.promise.is_given_up()
        };
        let ended: Vec<Flush> = self.flushes.extract_if(.., ended).collect();
        if ended.is_empty() {
            return false;
        }
        let came_in = self.exchange(now);
        for flush in ended {
            let result = match unfinished(&flush.upto) {
                0 => {
                    reached!("a flush is through");
                    Ok(())
                }
                unfinished => Err({
                    reached!("a flush is out of time");
                    FlushError {
                        pending: unfinished.min(self.intake.lock().own_pending()),
                        last_error: self.updates.last_error.clone(),
                        forked_from: None,
                        failed: None,
                    }
                }),
            };
            wakeup::wake(flush.promise.fulfil(result));
        }
        came_in
    }

    /// Whether the client is closed and nothing is left to do; gives up the rest at the deadline.
    fn is_done(&mut self, now: Instant, waker: &Waker) -> bool {
        let Some(closing) = &mut self.closing else {
            return false;
        };
        if self.adopted.is_some() {
            return false;
        }
        let is_late = closing.deadline <= now;
        let is_idle = self.own.dispatch.core.pending_events() == 0;
        if !closing.finishing {
            let is_through = self.own.dispatch.backlogs().all(Backlog::is_through);
            if !(is_late || is_idle && is_through) {
                return false;
            }
            closing.finishing = true;
            // What is not acknowledged and on the disk stays there.
            self.own.dispatch.stop();
            if !is_idle {
                self.give_up_memory(now);
            }
            self.own.disconnect();
        }
        let has_ended = self.own.finish(waker);
        if !has_ended {
            reached!("the sender waits for the end of the committer");
            self.report_early(now);
        }
        has_ended
    }

    /// Gives up what is in memory alone.
    fn give_up_memory(&mut self, now: Instant) {
        for level in Reliability::ALL {
            if takes_from_callers(level) {
                self.own.step(now, Input::Abandon { level });
            }
        }
        if self.own.dispatch.core.pending_events() == 0 {
            reached!("what is in memory is given up at the end");
        } else {
            reached!("the sender ends with events in the spool");
        }
    }

    /// Ends now and without the network, because nobody will give it another turn: as a close that gives
    /// no time does, but that it does not wait for the committer.
    pub(crate) fn give_up(&mut self, now: Instant) {
        self.own.dispatch.stop();
        self.own.disconnect();
        if let Some(adopted) = &mut self.adopted {
            adopted.stop(now, now);
            adopted.route.disconnect();
        }
        let (promise, _) = oneshot();
        let timeout = Duration::ZERO;
        self.intake.request(|_| Request::Close { timeout, promise });
        self.exchange(now);
        self.end_adopted(now);
        self.give_up_memory(now);
        self.exchange(now);
        self.say_last(now);
        self.hand_back_requests();
    }

    /// Those who still wait get their answer when the client has ended: only then is it known.
    fn hand_back_requests(&mut self) {
        let timeout = Duration::ZERO;
        let closing = self.closing.take().map(|closing| closing.promises);
        let closes = closing.into_iter().flatten();
        let closes = closes.map(|(_, promise)| Request::Close { timeout, promise });
        let flushes = self.flushes.drain(..).map(|flush| Request::Flush {
            upto: flush.upto,
            timeout,
            promise: flush.promise,
        });
        self.intake.hand_back(closes.chain(flushes));
    }

    /// Answers those who cannot wait for the disk any longer.
    fn report_early(&mut self, now: Instant) {
        let Some(closing) = &mut self.closing else {
            return;
        };
        let is_late = |(until, _): &mut (Instant, Promise<Report>)| *until <= now;
        let late: Vec<_> = closing.promises.extract_if(.., is_late).collect();
        if late.is_empty() {
            return;
        }
        self.exchange(now);
        let report = Report::of(&self.intake.lock().snapshot(now));
        for (_, promise) in late {
            wakeup::wake(promise.fulfil(report.clone()));
        }
    }

    fn adopt(&mut self, now: Instant, spool: OpenedSpool) {
        assert!(self.adopted.is_none(), "one place is adopted at a time");
        if self.closing.is_some() {
            spool.handover.finish(Waker::noop());
            return;
        }
        let seed = self.random.u64(..);
        let mut route = Route::new(&self.config, &self.network, seed, now);
        route.open_spool(now, Reliability::EndToEnd, spool);
        self.adopted = Some(Adopted::new(route));
    }

    /// Lets go of what is through, or stopped and answered. Callers must know all of it already.
    fn end_adopted(&mut self, now: Instant) {
        if let Some(mut adopted) = self.adopted.take_if(|it| it.is_over(now)) {
            reached!("an adopted place is over");
            self.updates.keep_counters(&adopted.route);
            adopted
                .route
                .dispatch
                .backlogs_mut()
                .for_each(Backlog::let_go);
        }
    }

    /// Until when there is nothing to do, if nothing comes in before.
    fn sleep(&mut self, now: Instant, waker: &Waker) -> Turn {
        let adopted = self.adopted.as_ref().and_then(Adopted::deadline);
        let lanes = [self.own.dispatch.deadline(), adopted];
        let lanes = lanes.into_iter().flatten();
        let flushes = self.flushes.iter().map(|flush| flush.deadline);
        let closing = self.closing.as_ref().and_then(Closing::next_deadline);
        let look = self.watch.deadline();
        let look = look.into_iter().chain(self.look_at_files());
        let deadlines = lanes.chain(flushes).chain(closing).chain(look);
        let until = deadlines.min();
        if until.is_some_and(|at| at <= now) {
            return Turn::Again;
        }
        match self.listen(waker, now) {
            true => Turn::Sleep { until },
            false => Turn::Again,
        }
    }

    /// Has those wake the thread who may have something for it. `false`: somebody has.
    fn listen(&self, waker: &Waker, now: Instant) -> bool {
        let dispatch = &self.own.dispatch;
        let mut state = self.intake.lock();
        if !state.listen(waker) {
            return false;
        }
        for level in Reliability::ALL {
            let takes = takes_from_callers(level);
            if takes && !state.lanes[level].sleep(waker, self.wanted(level, now)) {
                return false;
            }
        }
        drop(state);
        let awaited = &self.intake.awaited;
        if dispatch.core.sends_awaited_at_once() {
            return awaited.listen(self.awaited, waker);
        }
        // The next answer is what the batch waits for, and wakes the thread.
        awaited.do_not_listen();
        true
    }

    /// Does what is to be done, once. The context is woken when there is more.
    pub(crate) fn turn(&mut self, now: Instant, context: &mut Context<'_>) -> Turn {
        let mut progressed = self.work(now, context);
        progressed |= self.end_flushes(now);
        if self.has_failed || self.is_done(now, context.waker()) {
            self.exchange(now);
            self.say_last(now);
            self.hand_back_requests();
            return Turn::End;
        }
        match progressed {
            true => Turn::Again,
            false => self.sleep(now, context.waker()),
        }
    }
}
