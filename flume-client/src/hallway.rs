//! [`Hallway`]: the way of events from `append` to the agents, worked by hand. For simulators.
//!
//! It is made of what a client is made of, but for the threads, the clock, the disk and the network:
//! whoever has it decides which thread has its turn, what time it is, and what disk and agents do.
//! A thread is to be given its turn when its waker was woken, or when the time has come that it named
//! before it went to sleep, and not else: so a wake-up that is lost shows.

use std::collections::VecDeque;
use std::fmt;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::client::{Client, Parts, assemble};
pub use crate::clock::Clock;
use crate::committer::Committer;
use crate::config::{Config, Overflow, Sizes, SpoolConfig, SyncMode};
use crate::delivery::{self, AgentId, Batch, CallId};
use crate::error::{AgentError, BuildError, FlushError};
use crate::event::Event;
use crate::event_batch::EventBatch;
use crate::queue::{
    BlockingThread, Guard, Intake, Receipt, Request, Ticket, Turn, Unacked, Waited, Work, oneshot,
};
use crate::reliability::{PerLevel, Reliability};
use crate::sender::Sender;
use crate::spool::{Location, Neighbours, Settings};
use crate::stats::Stats;
use crate::stats::report::Report;
use crate::transport::{Link, Network, Progress, Verdict};

/// What a hallway is made of.
pub struct Plan {
    /// With its number of agents.
    pub delivery: delivery::Settings,
    /// The level of callers' events.
    pub reliability: Reliability,
    /// As [`ClientBuilder::buffer_bytes`](crate::ClientBuilder::buffer_bytes).
    pub buffer_bytes: usize,
    /// As [`ClientBuilder::event_bytes`](crate::ClientBuilder::event_bytes).
    pub event_bytes: usize,
    /// As [`ClientBuilder::overflow`](crate::ClientBuilder::overflow).
    pub overflow: Overflow,
    /// That of store on failure if it is the callers' level, else of end to end. `None`: events are in
    /// memory alone.
    pub spool: Option<Spool>,
    /// At which a chunk is closed and the next one begun. Other sizes follow from it.
    pub chunk_bytes: usize,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// For what is drawn.
    pub seed: u64,
}

/// The disk of a hallway.
pub struct Spool {
    /// Where the spool lies.
    pub location: Arc<dyn Location>,
    /// What lies beside it.
    pub neighbours: Option<Box<dyn Neighbours>>,
    /// Its sizes.
    pub settings: Settings,
    /// As [`ClientBuilder::sync`](crate::ClientBuilder::sync).
    pub sync: SyncMode,
}

/// The agents, and the network before them.
pub trait Agents: Send {
    /// Somebody connects to an agent; the connection has this number.
    fn connect(&mut self, agent: AgentId, link: u64);

    /// A connection is closed.
    fn close(&mut self, link: u64);

    /// Whether bytes can be written to a connection now. If not, the waker is woken when they can.
    fn takes_bytes(&mut self, link: u64, waker: &Waker) -> bool;

    /// A batch, with the events' datums back to back.
    fn receive(&mut self, link: u64, call: CallId, batch: Batch, datums: Vec<u8>);

    /// What has arrived on a connection. If nothing has, the waker is woken when something does.
    fn poll(&mut self, link: u64, waker: &Waker) -> Option<Said>;
}

/// What arrives on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It stands.
    Connected,
    /// The handshake was answered.
    Opened,
    /// A call was answered.
    Answered {
        /// Which.
        call: CallId,
        /// Whether the agent has the batch.
        committed: bool,
    },
    /// It is over.
    Ended,
}

/// What a turn of a thread led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is to have another turn.
    Again,
    /// It sleeps until then at the latest.
    Sleep {
        /// `None`: until its waker is woken.
        until: Option<Instant>,
    },
    /// It has ended, now or before.
    Ended,
}

/// What somebody waits for.
#[derive(Debug)]
pub struct Waiting<T>(Ticket<T>);

impl<T> Waiting<T> {
    /// `Some(None)`: no answer comes any more. If there is none yet, the waker is woken with it.
    pub fn poll(&self, waker: &Waker) -> Option<Option<T>> {
        match self.0.poll(&mut Context::from_waker(waker)) {
            Poll::Ready(Waited::Done(value)) => Some(Some(value)),
            Poll::Ready(_) => Some(None),
            Poll::Pending => None,
        }
    }
}

/// A client without threads, in parts: while one has its turn, another may have one, too.
pub struct Hallway {
    /// What services call.
    pub callers: Callers,
    /// The thread between disk and network.
    pub sender: SenderByHand,
    /// The thread that writes to the disk.
    pub committer: CommitterByHand,
    /// The thread that reads from it.
    pub reads: Reads,
}

/// What services call.
#[derive(Clone)]
pub struct Callers {
    intake: Arc<Intake>,
    level: Reliability,
    clock: Arc<dyn Clock>,
}

/// The sender.
pub struct SenderByHand {
    sender: Option<(Sender<Simulated>, Guard)>,
    clock: Arc<dyn Clock>,
}

/// The committer. Without a spool there is none, and it has ended from the beginning.
pub struct CommitterByHand {
    committer: Option<(Committer, Guard)>,
}

/// What the thread that reads is to do.
pub struct Reads {
    reads: Option<Receiver<Work>>,
}

impl Hallway {
    /// Begins.
    ///
    /// # Errors
    /// Settings that a client refuses, or a spool that cannot be read.
    pub fn open(plan: Plan, agents: Arc<Mutex<dyn Agents>>) -> Result<Self, BuildError> {
        let config = Arc::new(config(&plan)?);
        let intake = Arc::new(Intake::new(&config, plan.clock.clone()));
        let (mut committer, mut reads) = (None, None);
        if let Some(spool) = plan.spool {
            let (reading, work) = BlockingThread::by_hand();
            let directory = spool.location.path();
            let parts = Parts {
                storage: spool.location.clone(),
                location: spool.location,
                neighbours: spool.neighbours,
                settings: spool.settings,
                reading,
                clock: plan.clock.clone(),
                draw: {
                    let mut random = fastrand::Rng::with_seed(plan.seed);
                    Box::new(move || random.u64(..))
                },
            };
            let settings = SpoolConfig {
                directory: directory.clone(),
                sync: spool.sync,
                ..SpoolConfig::default()
            };
            let level = config.spool_level();
            let (beginning, writing, opened) = assemble(&config, level, &settings, parts, &intake)
                .map_err(|source| BuildError::SpoolUnreadable { directory, source })?;
            let guard = Guard::of_committer(intake.clone(), opened.handover.clone());
            intake.open_spool(&config, level, beginning, opened);
            (committer, reads) = (Some((writing, guard)), Some(work));
        }
        let network = Simulated {
            agents,
            next: Arc::default(),
            clock: plan.clock.clone(),
        };
        let (seed, now) = (plan.seed.wrapping_add(1), plan.clock.now());
        let sender = Sender::new(&config, network, intake.clone(), seed, now);
        let sender = Some((sender, Guard::of_sender(intake.clone())));
        let clock = plan.clock;
        Ok(Self {
            sender: SenderByHand {
                sender,
                clock: clock.clone(),
            },
            committer: CommitterByHand { committer },
            reads: Reads { reads },
            callers: Callers {
                intake,
                level: config.reliability,
                clock,
            },
        })
    }
}

impl Callers {
    /// As [`Client::at`], for levels that the client has room for.
    #[must_use]
    pub fn at(&self, level: Reliability) -> Self {
        Self {
            level,
            ..self.clone()
        }
    }

    /// As [`Client::reliability`].
    #[must_use]
    pub fn reliability(&self) -> Reliability {
        self.level
    }

    /// As [`Client::append`], with the event's number.
    ///
    /// # Errors
    /// Whether there may be room later.
    pub fn append(&self, event: &Event) -> Result<(u64, Receipt), bool> {
        let appended = self.intake.append(self.level, event);
        let receipt = appended.map_err(|refusal| refusal.is_retryable())?;
        Ok((receipt.sequence(), receipt))
    }

    /// As [`Client::append_encoded`].
    ///
    /// # Errors
    /// Whether there may be room later.
    pub fn append_encoded(&self, batch: &mut EventBatch) -> Result<Option<Receipt>, bool> {
        let appended = self.intake.append_encoded(self.level, batch);
        appended.map_err(|refusal| refusal.is_retryable())
    }

    /// As [`Client::ready`].
    #[must_use]
    pub fn ready(&self, event: &Event) -> Waiting<()> {
        let (promise, ticket) = oneshot();
        let amount = self
            .intake
            .amount_of(self.level, std::slice::from_ref(event));
        self.intake.when_ready(self.level, amount, promise);
        Waiting(ticket)
    }

    /// As [`Client::flush`].
    #[must_use]
    pub fn flush(&self, timeout: Duration) -> Waiting<Result<(), FlushError>> {
        let (promise, ticket) = oneshot();
        self.intake.request(|upto| Request::Flush {
            upto,
            timeout,
            promise,
        });
        Waiting(ticket)
    }

    /// As [`Client::close`].
    #[must_use]
    pub fn close(&self, timeout: Duration) -> Waiting<Report> {
        let (promise, ticket) = oneshot();
        self.intake.request(|_| Request::Close { timeout, promise });
        Waiting(ticket)
    }

    /// The counters, as of now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.intake.lock().snapshot(self.clock.now())
    }
}

impl CommitterByHand {
    /// Gives it its turn. `waker` is its waker.
    pub fn turn(&mut self, waker: &Waker) -> Step {
        let Some((committer, _)) = &mut self.committer else {
            return Step::Ended;
        };
        let step = step(committer.turn(waker));
        if step == Step::Ended
            && let Some((mut committer, guard)) = self.committer.take()
        {
            committer.finish();
            drop(committer);
            guard.end();
        }
        step
    }
}

impl SenderByHand {
    /// Gives it its turn. `waker` is its waker.
    pub fn turn(&mut self, waker: &Waker) -> Step {
        let Some((sender, _)) = &mut self.sender else {
            return Step::Ended;
        };
        let now = self.clock.now();
        let step = step(sender.turn(now, &mut Context::from_waker(waker)));
        if step == Step::Ended
            && let Some((sender, guard)) = self.sender.take()
        {
            drop(sender);
            guard.end();
        }
        step
    }
}

impl Reads {
    /// Takes out the next piece of work.
    #[must_use]
    pub fn next(&self) -> Option<Box<dyn FnOnce() + Send>> {
        self.reads.as_ref()?.try_recv().ok()
    }
}

macro_rules! opaque {
    ($($name:ident),*) => {
        $(impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        })*
    };
}

opaque!(
    Plan,
    Spool,
    Hallway,
    Callers,
    SenderByHand,
    CommitterByHand,
    Reads
);

fn config(plan: &Plan) -> Result<Config, BuildError> {
    let urls = (1..=plan.delivery.agents.len()).map(|agent| format!("avro://agent-{agent}:4141"));
    let builder = Client::builder().agents(urls);
    let builder = builder.event_bytes(plan.event_bytes).event_ids(false);
    let builder = builder.overflow(plan.overflow);
    let mut config: Config = builder.buffer_bytes(plan.buffer_bytes).check()?;
    config.reliability = plan.reliability;
    config.delivery = plan.delivery.clone();
    let chunk = plan.chunk_bytes;
    config.sizes = Sizes {
        chunk,
        commit: 4 * chunk,
        write: chunk as u64,
        waiting: 4 * chunk,
        held_min: 4 * chunk,
        read: 2 * chunk,
    };
    Ok(config)
}

fn step(turn: Turn) -> Step {
    match turn {
        Turn::Again => Step::Again,
        Turn::Sleep { until } => Step::Sleep { until },
        Turn::End => Step::Ended,
    }
}

#[derive(Clone)]
struct Simulated {
    agents: Arc<Mutex<dyn Agents>>,
    next: Arc<Mutex<u64>>,
    clock: Arc<dyn Clock>,
}

struct SimulatedLink {
    agents: Arc<Mutex<dyn Agents>>,
    number: u64,
    outbox: VecDeque<(CallId, Batch)>,
}

impl Simulated {
    fn number(&self) -> u64 {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next += 1;
        *next
    }
}

impl Network for Simulated {
    type Link = SimulatedLink;

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn connect(&self, agent: AgentId, _: u32) -> Option<SimulatedLink> {
        let number = self.number();
        let link = SimulatedLink {
            agents: self.agents.clone(),
            number,
            outbox: VecDeque::new(),
        };
        link.with(|agents| agents.connect(agent, number));
        Some(link)
    }
}

impl SimulatedLink {
    fn with<T>(&self, does: impl FnOnce(&mut dyn Agents) -> T) -> T {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        does(&mut *agents)
    }
}

impl Link for SimulatedLink {
    fn send(&mut self, call: CallId, batch: Batch) {
        self.outbox.push_back((call, batch));
    }

    fn poll(&mut self, context: &mut Context<'_>, unacked: &PerLevel<Unacked>) -> Poll<Progress> {
        let (number, waker) = (self.number, context.waker());
        while let Some((call, batch)) = self.outbox.front().copied()
            && self.with(|agents| agents.takes_bytes(number, waker))
        {
            let datums = unacked[batch.level]
                .slices(batch.range())
                .collect::<Vec<_>>();
            let datums = datums.concat();
            self.with(|agents| agents.receive(number, call, batch, datums));
            self.outbox.pop_front();
        }
        let said = self.with(|agents| agents.poll(number, waker));
        Poll::Ready(match said {
            None => return Poll::Pending,
            Some(Said::Connected) => Progress::Connected,
            Some(Said::Opened) => Progress::Opened,
            Some(Said::Answered { call, committed }) => Progress::Answered {
                call,
                verdict: match committed {
                    true => Verdict::Committed,
                    false => Verdict::refused(AgentError::Refused { status: "FAILED" }),
                },
            },
            Some(Said::Ended) => Progress::Ended {
                error: AgentError::ConnectionClosed,
                unsent_from: self.outbox.front().map(|(call, _)| *call),
            },
        })
    }

    fn is_resolving(&self) -> bool {
        false
    }
}

impl Drop for SimulatedLink {
    fn drop(&mut self) {
        let number = self.number;
        self.with(|agents| agents.close(number));
    }
}
