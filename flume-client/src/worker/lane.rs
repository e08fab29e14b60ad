//! [`Lane`]: the events of one numbering, on their way from memory or a spool to the agents.
//!
//! A lane has a delivery core, the bytes of the events that the core knows of, and connections of
//! its own. Lanes share nothing but the thread, so none waits for another: of two that are busy each
//! gets its turn.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::feed::{Backlog, Fed, Feed};
use crate::chunk::Chunk;
use crate::config::{AgentUrl, Config};
use crate::delivery::{
    AgentIndex, Core, Disconnect, Epoch, Input, Outcome, Output, Settings, WindowMode,
};
use crate::error::AgentError;
use crate::random;
use crate::store::Store;
use crate::transport::{Connection, Means, Progress};
use crate::wire::avro::rpc::Reply;

/// With a spool a lane takes events until it holds N batches of the largest size,
const HELD_BATCHES: usize = 4;
/// or this many bytes, if that is more.
const HELD_BYTES_MIN: usize = 8 * 1024 * 1024;

pub(super) struct Lane {
    pub(super) core: Core,
    /// With a spool.
    pub(super) feed: Option<Feed>,
    /// What callers are to be told.
    pub(super) news: News,
    store: Store,
    links: BTreeMap<Epoch, Link>,
    agents: Arc<[AgentUrl]>,
    settings: Settings,
    means: Means,
    epoch: Instant,
    /// Nothing more is taken in or sent.
    is_stopped: bool,
    /// Kept for their buffers.
    fed: Vec<Fed>,
    ends: Vec<u32>,
}

/// What came of a lane's events and agents since callers were told last.
#[derive(Default)]
pub(super) struct News {
    pub(super) emptied: Vec<Chunk>,
    pub(super) retired: Vec<(u64, u32, u32, Outcome)>,
    /// Events below this were sent once.
    pub(super) sent_upto: u64,
    /// Not in the spool any more: the first one, the one after the last, and how many there were
    /// at most.
    pub(super) lost: Vec<(u64, u64, u64)>,
    pub(super) errors: Vec<(AgentIndex, AgentError)>,
    /// The same of connections that ended while nothing was asked of the agent.
    pub(super) quiet_ends: Vec<(AgentIndex, AgentError)>,
}

struct Link {
    agent: AgentIndex,
    connection: Connection,
    /// The handshake was answered.
    is_open: bool,
    /// Calls that were handed to the connection and not answered.
    unanswered: usize,
}

impl Lane {
    pub(super) fn new(
        config: &Config,
        means: &Means,
        epoch: Instant,
        backlog: Option<Backlog>,
    ) -> Self {
        let batches = HELD_BATCHES * config.delivery.batch_bytes_max as usize;
        let held_max = batches.max(HELD_BYTES_MIN);
        let is_ordered = config.delivery.window == WindowMode::Ordered;
        let mut lane = Self {
            core: Core::new(config.delivery.clone(), random::draw()),
            feed: backlog.map(|backlog| Feed::new(backlog, held_max, is_ordered)),
            news: News::default(),
            store: Store::default(),
            links: BTreeMap::new(),
            agents: config.agents.clone().into(),
            settings: config.delivery.clone(),
            means: means.clone(),
            epoch,
            is_stopped: false,
            fed: Vec::new(),
            ends: Vec::new(),
        };
        // The core counts events from 0, unless it is told of those that are done with.
        if let Some(next) = lane.feed.as_ref().map(Feed::next) {
            lane.step(Input::Skip { next });
        }
        lane
    }

    pub(super) fn step(&mut self, input: Input<'_>) {
        self.core.step(self.epoch.elapsed(), input);
        while let Some(output) = self.core.next_output() {
            self.perform(output);
        }
    }

    /// Takes in events, which are the next ones.
    pub(super) fn take_in(&mut self, chunk: Chunk) {
        let ends = self.keep(chunk);
        self.step(Input::Append { ends: &ends });
        self.ends = ends;
    }

    /// Takes in events that were left out before.
    fn take_in_late(&mut self, chunk: Chunk) {
        let first = chunk.first;
        let ends = self.keep(chunk);
        self.step(Input::Insert { first, ends: &ends });
        self.ends = ends;
    }

    /// Keeps the bytes of events, and says where each ends.
    fn keep(&mut self, chunk: Chunk) -> Vec<u32> {
        let mut ends = std::mem::take(&mut self.ends);
        ends.clear();
        ends.extend_from_slice(&chunk.ends);
        self.news.emptied.extend(self.store.add(chunk));
        ends
    }

    /// Works with spool, agents and clock. `true`: something came of it.
    pub(super) fn work(
        &mut self,
        context: &mut Context<'_>,
        is_due: bool,
        is_urgent: bool,
    ) -> bool {
        let came_in = self.poll_feed(context);
        if came_in && is_urgent {
            self.step(Input::Flush);
        }
        let progressed = self.poll_links(context);
        if is_due {
            self.step(Input::Tick);
        }
        came_in | progressed | is_due
    }

    /// Takes in what the spool has, and tells it what is done with. `true`: something came in.
    fn poll_feed(&mut self, context: &mut Context<'_>) -> bool {
        let Some(feed) = &mut self.feed else {
            return false;
        };
        feed.settle();
        if self.is_stopped {
            return false;
        }
        let mut fed = std::mem::take(&mut self.fed);
        feed.poll(context, &mut fed);
        let came_in = !fed.is_empty();
        for item in fed.drain(..) {
            match item {
                Fed::Chunk(chunk) => self.take_in(chunk),
                Fed::Skip { next } => self.step(Input::Skip { next }),
                Fed::Lost { first, end, events } => self.news.lost.push((first, end, events)),
                Fed::Leave { next } => self.step(Input::Leave { next }),
                Fed::Late(chunk) => self.take_in_late(chunk),
                Fed::Forget { first, end } => self.step(Input::Forget { first, end }),
            }
        }
        self.fed = fed;
        came_in
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
                self.on_progress(epoch, progress);
            }
        }
        progressed
    }

    /// When the core wants to be called at the latest.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.core.deadline().map(|deadline| self.epoch + deadline)
    }

    /// Whether that time has come.
    pub(super) fn is_due(&self) -> bool {
        let deadline = self.core.deadline();
        deadline.is_some_and(|deadline| deadline <= self.epoch.elapsed())
    }

    /// Whether a connection to this agent is open.
    pub(super) fn is_connected(&self, agent: AgentIndex) -> bool {
        let mut links = self.links.values();
        links.any(|link| link.agent == agent && link.is_open)
    }

    /// Takes nothing more in and sends nothing more; what was sent may still be answered.
    pub(super) fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// Whether an agent owes an answer.
    pub(super) fn awaits_answers(&self) -> bool {
        self.links.values().any(|link| link.unanswered > 0)
    }

    /// Whether all events of its spool that are to be waited for came and are done with.
    pub(super) fn is_over(&self) -> bool {
        let is_fed = self.feed.as_ref().is_some_and(Feed::is_over);
        is_fed && self.core.pending_events() == 0
    }

    /// Waits for no more answers.
    pub(super) fn disconnect(&mut self) {
        self.links.clear();
    }

    fn perform(&mut self, output: Output) {
        match output {
            // What was taken in stays in its spool, to be sent by the next client.
            Output::Connect { .. } | Output::Send { .. } if self.is_stopped => {}
            Output::Connect { agent, epoch } => {
                if let Some(url) = self.agents.get(agent) {
                    let link = Link {
                        agent,
                        connection: Connection::new(
                            url.clone(),
                            &self.means,
                            self.settings.connect_timeout,
                        ),
                        is_open: false,
                        unanswered: 0,
                    };
                    self.links.insert(epoch, link);
                }
            }
            Output::Send {
                epoch,
                serial,
                batch,
            } => {
                let end = batch.first + u64::from(batch.events);
                self.news.sent_upto = self.news.sent_upto.max(end);
                if let Some(link) = self.links.get_mut(&epoch) {
                    link.connection.send(serial, batch);
                    link.unanswered += 1;
                }
            }
            Output::Disconnect {
                agent,
                epoch,
                cause,
            } => {
                let link = self.links.remove(&epoch);
                let owes_answer = link.as_ref().is_some_and(|link| link.unanswered > 0);
                if self.is_stopped && !owes_answer {
                    // The core waits for what was never asked of the agent.
                    return;
                }
                let error = self.disconnect_error(cause, link.as_ref());
                self.news.errors.extend(error.map(|error| (agent, error)));
            }
            Output::Retire {
                first,
                events,
                bytes,
                outcome,
            } => {
                self.store.retire(first, events, &mut self.news.emptied);
                if let Some(feed) = &mut self.feed {
                    feed.retire(first, first + u64::from(events), bytes as usize);
                }
                self.news.retired.push((first, events, bytes, outcome));
            }
        }
    }

    fn disconnect_error(&self, cause: Disconnect, link: Option<&Link>) -> Option<AgentError> {
        match cause {
            Disconnect::ConnectTimeout => Some(self.connect_timeout(link)),
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

    /// A name server that is silent says nothing about the agent.
    fn connect_timeout(&self, link: Option<&Link>) -> AgentError {
        let waited = self.settings.connect_timeout;
        let resolving = link.filter(|link| link.connection.is_resolving());
        let host = resolving.and_then(|link| self.agents.get(link.agent));
        host.map_or(AgentError::ConnectTimeout(waited), |agent| {
            let host = agent.host().to_owned();
            AgentError::ResolveTimeout { host, waited }
        })
    }

    fn on_progress(&mut self, epoch: Epoch, progress: Progress) {
        let Some(link) = self.links.get_mut(&epoch) else {
            return;
        };
        let agent = link.agent;
        match progress {
            Progress::Connected => self.step(Input::Connected { epoch }),
            Progress::Opened => {
                link.is_open = true;
                self.step(Input::Opened { epoch });
            }
            Progress::Replied { serial, reply } => {
                // A reply to nothing ends the connection, by the core's word.
                link.unanswered = link.unanswered.saturating_sub(1);
                let committed = reply == Reply::Ok;
                let error = refusal(reply).map(|error| (agent, error));
                self.news.errors.extend(error);
                self.step(Input::Replied {
                    epoch,
                    serial,
                    committed,
                });
            }
            Progress::Ended { error, unsent_from } => {
                let is_quiet = link.is_open && link.unanswered == 0;
                self.links.remove(&epoch);
                match is_quiet {
                    true => self.news.quiet_ends.push((agent, error)),
                    false => self.news.errors.push((agent, error)),
                }
                self.step(Input::Closed { epoch, unsent_from });
            }
        }
    }
}

fn refusal(reply: Reply) -> Option<AgentError> {
    match reply {
        Reply::Ok => None,
        Reply::Failed => Some(AgentError::Refused { status: "FAILED" }),
        Reply::Unknown => Some(AgentError::Refused { status: "UNKNOWN" }),
        Reply::Error(text) => Some(AgentError::Exception(text.as_str().into())),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::Client;
    use crate::transport::Names;

    /// A lane with an event that it wants to send to an agent which it connects to.
    fn connecting() -> Lane {
        let config = Client::builder()
            .agent("avro://127.0.0.1:1")
            .check()
            .unwrap();
        let names = Names::start(&config.agents, 0).unwrap();
        let means = Means { names, spool: None };
        let mut lane = Lane::new(&config, &means, Instant::now(), None);
        lane.take_in(Chunk {
            first: 0,
            bytes: vec![0; 10],
            ends: vec![10],
        });
        lane.step(Input::Flush);
        assert_eq!(lane.links.len(), 1);
        lane
    }

    /// As if so much time had passed.
    fn pass(lane: &mut Lane, time: Duration) {
        lane.epoch -= time;
        lane.step(Input::Tick);
    }

    #[test]
    fn an_agent_that_was_hung_up_on_is_told_no_failure_of() {
        let hour = Duration::from_secs(3600);
        let mut lane = connecting();
        pass(&mut lane, hour);
        assert_eq!(lane.news.errors.len(), 1, "nothing was answered");
        let mut lane = connecting();
        lane.stop();
        lane.disconnect();
        pass(&mut lane, hour);
        assert!(lane.news.errors.is_empty(), "{:?}", lane.news.errors);
    }
}
