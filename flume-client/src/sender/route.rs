//! [`Route`]: the way of events to the agents: what is done with them, and the
//! connections that do it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::dispatch::Dispatch;
use crate::config::Config;
#[cfg(feature = "tls")]
use crate::delivery::AgentSet;
use crate::delivery::{AgentId, Answer, Batch, CallId, Disconnect, Ending, Epoch, Input, Output};
use crate::error::AgentError;
use crate::queue::{Chunk, OpenedSpool};
use crate::reliability::Reliability;
use crate::seq::SeqRange;
use crate::situations::reached;
use crate::transport::{Link, Network, Progress, Verdict};

pub(super) struct Route<N: Network> {
    pub(super) dispatch: Dispatch,
    attempts: BTreeMap<Epoch, Attempt<N::Link>>,
    config: Arc<Config>,
    network: N,
    /// How long agents took to answer a batch, since callers were told last.
    pub(super) round_trips: Vec<(AgentId, Duration)>,
    /// Kept for its buffer.
    orders: Vec<Output>,
    /// For how long the machine was suspended before.
    slept: Duration,
}

/// If the machine was suspended for longer than this, connections are given up: peers, and what is
/// between, may have forgotten them, and would say so at the request timeout, or never.
const SLEEP_MAX: Duration = Duration::from_secs(15);

/// A connection, or an attempt.
struct Attempt<L> {
    agent: AgentId,
    link: L,
    /// The handshake was answered.
    is_open: bool,
    /// Calls that were handed to it and not answered: few, as the window is small.
    unanswered: Vec<Unanswered>,
}

#[derive(Clone, Copy)]
struct Unanswered {
    call: CallId,
    batch: Batch,
    sent: Instant,
}

/// How much there is of an agent now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InUse {
    /// Open ones.
    pub(super) connections: u32,
    /// Batches that are not answered.
    pub(super) in_flight: u32,
}

impl<N: Network> Route<N> {
    pub(super) fn new(config: &Arc<Config>, network: &N, seed: u64, epoch: Instant) -> Self {
        Self {
            dispatch: Dispatch::new(config, seed, epoch),
            attempts: BTreeMap::new(),
            config: config.clone(),
            network: network.clone(),
            round_trips: Vec::new(),
            orders: Vec::new(),
            slept: network.slept(),
        }
    }

    pub(super) fn step(&mut self, now: Instant, input: Input<'_>) {
        self.dispatch.step(now, input);
        self.carry_out();
    }

    /// A level's events come from this spool.
    pub(super) fn open_spool(&mut self, now: Instant, level: Reliability, spool: OpenedSpool) {
        self.dispatch.open_spool(now, level, spool, &self.config);
        self.carry_out();
    }

    /// Takes in events, which are the next ones.
    pub(super) fn take_in(&mut self, now: Instant, level: Reliability, chunk: Chunk) {
        self.dispatch.take_in(now, level, chunk);
        self.carry_out();
    }

    /// Works with spool, agents and clock. `true`: something came of it.
    pub(super) fn work(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
        is_due: bool,
        is_urgent: bool,
    ) -> bool {
        self.on_slept(now, self.network.slept());
        let came_in = self.dispatch.poll_backlogs(now, context.waker());
        self.carry_out();
        if came_in && is_urgent {
            reached!("events come in while a flush waits");
            self.step(now, Input::Flush);
        }
        let progressed = self.poll_links(context);
        let now = self.network.now();
        if is_due {
            self.step(now, Input::Tick);
        }
        came_in | progressed | is_due
    }

    /// Looks whether the machine was suspended since the last time.
    fn on_slept(&mut self, now: Instant, slept: Duration) {
        let before = std::mem::replace(&mut self.slept, slept);
        if slept.saturating_sub(before) > SLEEP_MAX {
            self.step(now, Input::Woke);
        }
    }

    /// Lets every connection work. `true`: something came of it.
    fn poll_links(&mut self, context: &mut Context<'_>) -> bool {
        let mut progressed = false;
        let epochs: Vec<Epoch> = self.attempts.keys().copied().collect();
        for epoch in epochs {
            while let Some(attempt) = self.attempts.get_mut(&epoch)
                && let Poll::Ready(progress) = attempt.link.poll(context, &self.dispatch.unacked)
            {
                progressed = true;
                self.on_progress(self.network.now(), epoch, progress);
            }
        }
        progressed
    }

    /// The connections to this agent, and what is under way on them.
    pub(super) fn in_use(&self, agent: AgentId) -> InUse {
        let attempts = self.attempts.values().filter(|it| it.agent == agent);
        attempts.fold(InUse::default(), |sum, it| InUse {
            connections: sum.connections + u32::from(it.is_open),
            in_flight: sum.in_flight + it.unanswered.len() as u32,
        })
    }

    /// Whether a connection to one of these is open.
    #[cfg(feature = "tls")]
    pub(super) fn is_connected_to(&self, agents: AgentSet) -> bool {
        let mut open = self.attempts.values().filter(|it| it.is_open);
        open.any(|it| agents.contains(it.agent))
    }

    /// Whether an agent owes an answer.
    pub(super) fn awaits_answers(&self) -> bool {
        self.attempts.values().any(|it| !it.unanswered.is_empty())
    }

    /// Tells the committer to let go of the spool. `true`: it has.
    pub(super) fn finish(&mut self, waker: &Waker) -> bool {
        let backlogs = self.dispatch.backlogs_mut();
        backlogs.fold(true, |ended, backlog| ended & backlog.finish(waker))
    }

    /// Waits for no more answers.
    pub(super) fn disconnect(&mut self) {
        self.attempts.clear();
    }

    fn carry_out(&mut self) {
        let mut orders =
            std::mem::replace(&mut self.dispatch.orders, std::mem::take(&mut self.orders));
        for order in orders.drain(..) {
            self.carry_out_one(order);
        }
        self.orders = orders;
    }

    fn carry_out_one(&mut self, order: Output) {
        match order {
            Output::Connect {
                agent,
                epoch,
                dialect,
            } => {
                let link = self.network.connect(agent, dialect);
                let attempt = link.map(|link| Attempt {
                    agent,
                    link,
                    is_open: false,
                    unanswered: Vec::new(),
                });
                self.attempts.extend(attempt.map(|it| (epoch, it)));
            }
            Output::Send { epoch, call, batch } => {
                if let Some(attempt) = self.attempts.get_mut(&epoch) {
                    attempt.link.send(call, batch);
                    let sent = self.network.now();
                    attempt.unanswered.push(Unanswered { call, batch, sent });
                }
            }
            Output::Disconnect {
                agent,
                epoch,
                cause,
            } => {
                let attempt = self.attempts.remove(&epoch);
                let owes_answer = attempt.as_ref().is_some_and(|it| !it.unanswered.is_empty());
                if self.dispatch.is_stopped() && !owes_answer {
                    // The core waits for what was never asked of the agent.
                    reached!("a stopped lane hangs up");
                    return;
                }
                let error = self.disconnect_error(cause, attempt.as_ref());
                let errors = &mut self.dispatch.news.errors;
                errors.extend(error.map(|error| (agent, error)));
            }
            Output::Drain { .. } | Output::Retire { .. } => {}
        }
    }

    fn disconnect_error(
        &self,
        cause: Disconnect,
        attempt: Option<&Attempt<N::Link>>,
    ) -> Option<AgentError> {
        let waited = self.config.delivery.request_timeout;
        let greeted = self.config.delivery.greeting_timeout;
        match cause {
            Disconnect::ConnectTimeout => Some(self.connect_timeout(attempt)),
            Disconnect::HandshakeTimeout => Some(AgentError::HandshakeTimeout(greeted)),
            Disconnect::RequestTimeout => Some(AgentError::RequestTimeout(waited)),
            Disconnect::UnknownCall(call) => Some(AgentError::UnexpectedSerial {
                serial: call.number(),
            }),
            Disconnect::Spare
            | Disconnect::Idle
            | Disconnect::Aged
            | Disconnect::Woke
            | Disconnect::Closing => None,
        }
    }

    /// A name server that is silent says nothing about the agent.
    fn connect_timeout(&self, attempt: Option<&Attempt<N::Link>>) -> AgentError {
        let waited = self.config.delivery.connect_timeout;
        let resolving = attempt.filter(|it| it.link.is_resolving());
        let host = resolving.and_then(|it| self.config.agents.get(it.agent.index()));
        host.map_or(AgentError::ConnectTimeout(waited), |agent| {
            let host = agent.host().to_owned();
            AgentError::ResolveTimeout { host, waited }
        })
    }

    fn on_progress(&mut self, now: Instant, epoch: Epoch, progress: Progress) {
        let Some(attempt) = self.attempts.get_mut(&epoch) else {
            return;
        };
        let agent = attempt.agent;
        match progress {
            Progress::Connected => self.step(now, Input::Connected { epoch }),
            Progress::Opened => {
                attempt.is_open = true;
                self.step(now, Input::Opened { epoch });
            }
            Progress::Answered { call, verdict } => {
                // A reply to nothing ends the connection, by the core's word.
                let unanswered = &mut attempt.unanswered;
                let place = unanswered.iter().position(|it| it.call == call);
                let answered = place.map(|place| unanswered.remove(place));
                if let Some(answered) = answered {
                    let took = now.saturating_duration_since(answered.sent);
                    self.round_trips.push((agent, took));
                }
                let answer = self.answer(agent, verdict, answered.map(|it| it.batch));
                let replied = Input::Replied {
                    epoch,
                    call,
                    answer,
                };
                self.step(now, replied);
            }
            #[cfg(feature = "http")]
            Progress::Failed {
                call,
                error,
                is_sent,
            } => {
                attempt.unanswered.retain(|it| it.call != call);
                self.dispatch.news.errors.push((agent, error));
                let failed = Input::Failed {
                    epoch,
                    call,
                    is_sent,
                };
                self.step(now, failed);
            }
            Progress::Ended { error, unsent_from } => {
                self.on_ended(now, epoch, error, unsent_from);
            }
        }
    }

    /// What the core is told of what an agent says.
    fn answer(&mut self, agent: AgentId, verdict: Verdict, batch: Option<Batch>) -> Answer {
        let (answer, error) = match verdict {
            Verdict::Committed => return Answer::Committed,
            Verdict::Refused { error, after } => (Answer::Refused { after }, error),
            #[cfg(feature = "http")]
            Verdict::Doubtful(error) => {
                let half_bytes = batch.map_or(0, |batch| self.half_bytes(&batch));
                (Answer::Doubtful { half_bytes }, error)
            }
            Verdict::Unacceptable(error) => {
                let half_bytes = batch.map_or(0, |batch| self.half_bytes(&batch));
                (Answer::Unacceptable { half_bytes }, error)
            }
            Verdict::Blocked(error) => (Answer::Blocked, error),
        };
        reached!("an agent refuses a batch");
        self.dispatch.news.errors.push((agent, error));
        answer
    }

    /// Bytes of the first half of a batch's events.
    fn half_bytes(&self, batch: &Batch) -> u32 {
        let half = SeqRange::of(batch.first, batch.half().into());
        let slices = self.dispatch.unacked[batch.level].slices(half);
        slices.map(|slice| slice.len() as u32).sum()
    }

    fn on_ended(
        &mut self,
        now: Instant,
        epoch: Epoch,
        error: AgentError,
        unsent_from: Option<CallId>,
    ) {
        let Some(attempt) = self.attempts.remove(&epoch) else {
            return;
        };
        let agent = attempt.agent;
        // Later on it is an agent that went wrong, which may pass.
        let ending = match attempt.is_open {
            true => Ending::Broken,
            false => error.ending(),
        };
        let has_other_dialect = self.dispatch.has_other_dialect(epoch);
        let news = &mut self.dispatch.news;
        if attempt.is_open && attempt.unanswered.is_empty() {
            reached!("an idle connection ends");
            news.quiet_ends.push((agent, error));
        } else if ending != Ending::Misspoken || !has_other_dialect {
            reached!("a connection ends with calls under way");
            news.errors.push((agent, error));
        }
        let closed = Input::Closed {
            epoch,
            unsent_from,
            ending,
        };
        self.step(now, closed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;
    use crate::transport::{Means, Names, Sockets};

    const HOUR: Duration = Duration::from_secs(3600);

    /// The way of an event that is to be sent to an agent which is being connected to.
    fn connecting(now: Instant) -> Route<Sockets> {
        let builder = Client::builder().agent("avro://127.0.0.1:1");
        let config = Arc::new(builder.connect_timeout(HOUR).check().unwrap());
        let names = Names::start(&config.agents, 0).unwrap();
        let means = Means::start(&config, names, None).unwrap();
        let network = Sockets::new(config.clone(), means);
        let mut route = Route::new(&config, &network, 1, now);
        let chunk = Chunk {
            first: crate::seq::Seq::ZERO,
            bytes: vec![0; 10],
            ends: vec![10],
        };
        route.take_in(now, Reliability::InMemory, chunk);
        route.step(now, Input::Flush);
        assert_eq!(route.attempts.len(), 1);
        route
    }

    #[test]
    fn after_a_suspension_connections_are_made_anew_and_after_a_nap_they_are_not() {
        let now = Instant::now();
        let mut route = connecting(now);
        let before: Vec<Epoch> = route.attempts.keys().copied().collect();
        let slept = route.slept;
        route.on_slept(now, slept + SLEEP_MAX);
        assert!(route.attempts.keys().eq(&before));
        route.on_slept(now, slept + SLEEP_MAX * 3);
        assert_eq!(route.attempts.len(), 1);
        assert!(route.attempts.keys().all(|epoch| !before.contains(epoch)));
        let errors = &route.dispatch.news.errors;
        assert!(errors.is_empty(), "{errors:?}");
    }

    #[test]
    fn an_agent_that_was_hung_up_on_is_told_no_failure_of() {
        let now = Instant::now();
        let mut route = connecting(now);
        route.step(now + HOUR, Input::Tick);
        assert_eq!(route.dispatch.news.errors.len(), 1, "nothing was answered");
        let mut route = connecting(now);
        route.dispatch.stop();
        route.disconnect();
        route.step(now + HOUR, Input::Tick);
        let errors = &route.dispatch.news.errors;
        assert!(errors.is_empty(), "{errors:?}");
    }
}
