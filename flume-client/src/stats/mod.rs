//! [`Stats`]: what a client has done, counted so that no event is in no counter and none in two.

pub(crate) mod fill;
pub(crate) mod report;
pub(crate) mod times;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::agent_url::AgentUrl;
use crate::delivery::Outcome;
#[doc(inline)]
pub use crate::delivery::{AgentState, Lost};
#[cfg(feature = "tls")]
use crate::error::TlsSettingsError;
use crate::error::{AgentError, ClientThread, Refusal, SpoolError};
use crate::reliability::Reliability;

/// A consistent snapshot of a client's counters, in events unless said otherwise.
///
/// At every moment `accepted + recovered = delivered + pending + lost.total()`. Refused events were
/// never accepted: their callers have them back.
///
/// ```no_run
/// # async fn example(client: flume_client::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use flume_client::Event;
///
/// client.append_async(Event::new("order 17 placed")).await?.delivered().await?;
/// let stats = client.stats();
/// let known = stats.delivered + stats.pending + stats.lost.total();
/// assert_eq!(stats.accepted + stats.recovered, known);
/// for (reason, events) in stats.lost.by_reason() {
///     println!("flume_lost_events{{reason=\"{reason}\"}} {events}");
/// }
/// for agent in &stats.agents {
///     println!("{}: {} delivered, {} failures", agent.agent, agent.delivered, agent.failures);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Taken by `append`.
    pub accepted: u64,
    /// Found in the spool, from an earlier run; and of processes that are gone, from when they are
    /// found. Of the latter, what is left over when the client ends is counted no more. Those in
    /// files that cannot be read are counted at most, and counted again when they can be.
    pub recovered: u64,
    /// Acknowledged by an agent.
    pub delivered: u64,
    /// Waiting to be sent or acknowledged.
    pub pending: u64,
    /// Bytes of events in the buffer, of at most `buffer_bytes`: of those pending, or with a spool
    /// of those that are not stored.
    pub pending_bytes: usize,
    /// Taken and given up, by reason.
    pub lost: Lost,
    /// Not taken, by reason.
    pub refused: Refused,
    /// Batches sent, retries included.
    pub batches_sent: u64,
    /// Batches sent again after a lost reply or a refusal. Each can arrive twice.
    pub batches_retried: u64,
    /// Connections attempted.
    pub connects: u64,
    /// Events of [`StoreOnFailure`](Reliability::StoreOnFailure) that were written to the disk, because
    /// no agent took them or they filled the buffer. They are in [`SpoolStats::stored`], too.
    pub spilled: u64,
    /// What of that is of each level that events came at, the one that keeps least first.
    pub levels: Vec<LevelStats>,
    /// Each agent, in order of preference.
    pub agents: Vec<AgentStats>,
    /// The spool, if there is one.
    pub spool: Option<SpoolStats>,
    /// Why the files of [TLS](crate::TlsOptions) that were found last are not used: those of before
    /// are. `None` if all is well.
    #[cfg(feature = "tls")]
    pub tls_trouble: Option<Arc<TlsSettingsError>>,
    /// This thread of the client panicked, which is a fault in this crate, and the client has ended:
    /// it takes nothing more, and what is in the spool waits for the next client.
    pub failed: Option<ClientThread>,
    /// How long ago things happened.
    pub timing: Timing,
    /// Whether the client takes no more events: it was closed.
    pub closed: bool,
}

/// What became of the events of one level. The same holds as of [all](Stats): at every moment
/// `accepted + recovered = delivered + pending + lost.total()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LevelStats {
    /// How hard the client tries with these.
    pub level: Reliability,
    /// Taken by `append`.
    pub accepted: u64,
    /// As in [`Stats::recovered`].
    pub recovered: u64,
    /// Acknowledged by an agent.
    pub delivered: u64,
    /// Waiting to be sent or acknowledged.
    pub pending: u64,
    /// Taken and given up, by reason.
    pub lost: Lost,
}

/// How long ago things happened last, when the [`Stats`] were taken. `None`: never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// How long the oldest pending event has waited. Known of those that this client took, and
    /// at most a tenth too high.
    pub oldest_pending: Option<Duration>,
    /// Since when it has been the oldest: the last time that the one before was delivered or lost.
    pub advanced: Option<Duration>,
    /// The last acknowledgement.
    pub delivered: Option<Duration>,
    /// The last loss.
    pub lost: Option<Duration>,
    /// The last time that `append` found no room in the buffer or the spool.
    pub no_room: Option<Duration>,
}

/// What a client knows of its spool.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SpoolStats {
    /// Where it is: the directory that was given, or this process's
    /// [place](crate::ClientBuilder::spool_shared) in it. If the client is used at both levels that
    /// have a spool, that of the one it was built for; the other figures are then of both.
    pub directory: PathBuf,
    /// What was found when it was opened, or begun anew elsewhere, or later, and is no trouble, and
    /// its operator should know: that a group may write to the directory, that another user has a
    /// place in it, that a dead process's directory there cannot be opened, until it can be, or
    /// that a file there was neither read nor set aside. Told once as
    /// [`Change::Noted`](crate::Change::Noted), too.
    pub notes: Arc<[String]>,
    /// Events that became stored since the client was built.
    pub stored: u64,
    /// The commits that this took, each with one flush of the device.
    pub commits: u64,
    /// Events that were taken and are not stored; of store on failure, those in memory. They are among
    /// those pending.
    pub unstored: u64,
    /// Of those pending, events of processes that are gone. They are sent from where those left
    /// them in the directory, have no part in the other figures here, and no flush waits for them.
    pub adopted: u64,
    /// Of those delivered: sent from memory, because the disk did not take them in time.
    pub delivered_unstored: u64,
    /// Bytes on the disk, of at most `spool_bytes` for each level that has a spool.
    pub disk_bytes: u64,
    /// What keeps events from being stored; they wait in memory. `None` if all is well.
    pub trouble: Option<Arc<SpoolError>>,
    /// Stored events that cannot be read now, by file. They are among those pending, unless they were
    /// [left](Passed::Left), and are sent when they can be read; with
    /// [`WindowMode::Ordered`](crate::WindowMode::Ordered) those after them wait. Nothing of it is
    /// lost while its file is there.
    pub unreadable: Arc<[UnreadableEvents]>,
}

/// Events in a file of a spool that cannot be read now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnreadableEvents {
    /// The file, or the spool's directory if it is not known which.
    pub file: PathBuf,
    /// How many events, neither delivered nor lost, are there or wait for it, at most.
    pub events_max: u64,
    /// The system's reason, or the version of a file that another release wrote.
    pub why: Arc<str>,
    /// Which events wait for it.
    pub passed: Passed,
}

/// Whether the events after a file that cannot be read are sent before those in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Passed {
    /// Not yet: events before it are sent first, and how many of those pending are in it is not
    /// known before it is its turn.
    NotYet,
    /// They are. Its own are tried again now and then, at least every 30 seconds.
    Yes,
    /// They wait for it for now: it failed a few times only, or for want of something, such as
    /// file descriptors. It is tried again within 5 seconds.
    Retried,
    /// They wait until somebody mends it, because their order is kept, or because too many others
    /// were passed already. It is tried again as soon.
    Awaited,
    /// It is of a process that is gone, in a place that was left so that what others left is sent.
    /// Its events are not among those pending any more. The place is opened again within ten
    /// minutes, by this client or by another.
    Left,
}

impl SpoolStats {
    /// Of those pending, events that cannot be read now, or wait for those, at most. Files
    /// whose turn has not come, or that were left, are not in it.
    #[must_use]
    pub fn unreadable_events(&self) -> u64 {
        let reached = |it: &&UnreadableEvents| {
            matches!(it.passed, Passed::Yes | Passed::Retried | Passed::Awaited)
        };
        let reached = self.unreadable.iter().filter(reached);
        reached.map(|it| it.events_max).sum()
    }

    /// Of those, events that all others were sent before. If as many are
    /// [`pending`](Stats::pending), nothing else is left to be sent.
    #[must_use]
    pub fn passed_events(&self) -> u64 {
        let passed = |it: &&UnreadableEvents| it.passed == Passed::Yes;
        let passed = self.unreadable.iter().filter(passed);
        passed.map(|it| it.events_max).sum()
    }
}

/// Events that were handed back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The buffer was full. An event that is offered again and again counts each time.
    pub full: u64,
    /// The spool was full. An event that is offered again and again counts each time.
    pub spool_full: u64,
    /// Over the size limit.
    pub too_large: u64,
    /// A body was not UTF-8, and all agents speak HTTP.
    pub not_text: u64,
    /// A header broke a limit.
    pub header: u64,
    /// The client was closed, or one of its threads failed.
    pub closed: u64,
    /// This process was forked from the client's.
    pub forked: u64,
}

impl Refused {
    /// Each reason by its field's name, and how many events were handed back for it.
    #[must_use]
    pub fn by_reason(&self) -> [(&'static str, u64); 7] {
        [
            ("full", self.full),
            ("spool_full", self.spool_full),
            ("too_large", self.too_large),
            ("not_text", self.not_text),
            ("header", self.header),
            ("closed", self.closed),
            ("forked", self.forked),
        ]
    }
}

/// What a client knows of one agent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AgentStats {
    /// Its address.
    pub agent: AgentUrl,
    /// What it is at the moment.
    pub state: AgentState,
    /// Whether a connection is open, handshake included.
    pub connected: bool,
    /// How many are.
    pub connections: u32,
    /// Batches that were sent to it and are not answered.
    pub in_flight: u32,
    /// How long it takes to answer a batch, as the client sees it: the mean, of which the last answer
    /// is an eighth. `None`: it has answered none.
    pub round_trip: Option<Duration>,
    /// Events it acknowledged.
    pub delivered: u64,
    /// Connections that failed or broke, and batches it refused.
    pub failures: u64,
    /// Batches that may be under way at once, now.
    pub window: u32,
    /// The largest that `window` ever was.
    pub window_peak: u32,
    /// Its last failure.
    pub last_error: Option<Arc<AgentError>>,
    /// How long it has failed, without an acknowledgement in between. `None` if the last thing heard
    /// of it was good. The end of a connection on which nothing was asked is no failure here.
    pub failing_for: Option<Duration>,
    /// How long ago it failed last.
    pub last_failure: Option<Duration>,
}

impl AgentStats {
    pub(crate) fn new(agent: AgentUrl) -> Self {
        Self {
            agent,
            state: AgentState::default(),
            connected: false,
            connections: 0,
            in_flight: 0,
            round_trip: None,
            delivered: 0,
            failures: 0,
            window: 0,
            window_peak: 0,
            last_error: None,
            failing_for: None,
            last_failure: None,
        }
    }
}

impl AgentStats {
    /// It has answered a batch after so long.
    pub(crate) fn on_answer(&mut self, took: Duration) {
        let mean = self.round_trip.map_or(took, |mean| (mean * 7 + took) / 8);
        self.round_trip = Some(mean);
    }
}

impl Stats {
    /// Those pending that were not adopted.
    pub(crate) fn own_pending(&self) -> u64 {
        let spool = self.spool.as_ref();
        self.pending - spool.map_or(0, |spool| spool.adopted)
    }

    /// What the most preferred agent said last of those that fail.
    pub(crate) fn last_error(&self) -> Option<Arc<AgentError>> {
        let mut failing = self.agents.iter().filter(|it| it.failing_for.is_some());
        failing.find_map(|agent| agent.last_error.clone())
    }

    pub(crate) fn refuse(&mut self, refusal: &Refusal, events: u64) {
        let counter = match refusal {
            Refusal::Full { .. } => &mut self.refused.full,
            Refusal::SpoolFull { .. } => &mut self.refused.spool_full,
            Refusal::TooLarge { .. } => &mut self.refused.too_large,
            Refusal::NotText => &mut self.refused.not_text,
            Refusal::Header(_) => &mut self.refused.header,
            Refusal::Closed | Refusal::Failed { .. } => &mut self.refused.closed,
            Refusal::Forked { .. } => &mut self.refused.forked,
        };
        *counter += events;
    }

    /// Adds the events of a level to the totals.
    pub(crate) fn add(&mut self, level: LevelStats) {
        self.accepted += level.accepted;
        self.recovered += level.recovered;
        self.delivered += level.delivered;
        self.pending += level.pending;
        self.lost = self.lost + level.lost;
        if level.accepted + level.recovered > 0 {
            self.levels.push(level);
        }
    }

    /// Those of a level. All zero if none came at it.
    #[must_use]
    pub fn level(&self, level: Reliability) -> LevelStats {
        let found = self.levels.iter().find(|it| it.level == level);
        found.copied().unwrap_or_else(|| LevelStats::new(level))
    }
}

impl LevelStats {
    pub(crate) fn new(level: Reliability) -> Self {
        Self {
            level,
            accepted: 0,
            recovered: 0,
            delivered: 0,
            pending: 0,
            lost: Lost::default(),
        }
    }

    pub(crate) fn accept(&mut self, events: u64) {
        self.accepted += events;
        self.pending += events;
    }

    /// Events of an earlier run, or of a process that is gone, were found.
    pub(crate) fn recover(&mut self, events: u64) {
        self.recovered += events;
        self.pending += events;
    }

    /// `more` events were recovered than was counted; fewer if it is negative.
    pub(crate) fn recount(&mut self, more: i64) {
        let recovered = self.recovered.checked_add_signed(more);
        let pending = self.pending.checked_add_signed(more);
        self.recovered = recovered.expect("only what was counted is taken back");
        self.pending = pending.expect("what is taken back was neither delivered nor lost");
    }

    pub(crate) fn retire(&mut self, events: u64, outcome: Outcome) {
        self.pending -= events;
        let counter = match outcome {
            Outcome::Delivered { .. } => &mut self.delivered,
            Outcome::Lost(loss) => self.lost.of(loss),
        };
        *counter += events;
    }
}
