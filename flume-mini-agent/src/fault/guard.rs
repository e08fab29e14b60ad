//! [`FaultGuard`]: a rule in force for as long as the guard lives.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Fault;
use super::engine::{CallView, FaultHit, Faults, Place};
use super::rule::FaultRule;
#[cfg(feature = "file-channel")]
use super::rule::Point;

/// The rules of an agent, shared by its sources, its user and the guards. Tells the engine the time.
#[derive(Debug)]
pub(crate) struct FaultBoard {
    faults: Mutex<Faults>,
    /// Whether there are rules, so that a call without any costs no lock.
    armed: AtomicBool,
    struck: Condvar,
    start: Instant,
}

/// A rule in force, until dropped. [`keep`](Self::keep) leaves it in force.
///
/// ```
/// use std::time::Duration;
///
/// use flume_client::{Client, Event};
/// use flume_mini_agent::{Fault, MiniAgent};
///
/// let agent = MiniAgent::builder().start()?;
/// let client = Client::builder().agent(agent.url()).build()?;
///
/// let lost_reply = agent.fault(Fault::CommitThenDrop.nth_request(1));
/// client.append(Event::new("hi"))?.wait(Duration::from_secs(5))?;
/// // The client sent it again, as it must:
/// assert_eq!(agent.wait_for(2, Duration::from_secs(5))?.len(), 2);
/// assert_eq!(lost_reply.hits().len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "the fault ends when its guard is dropped"]
pub struct FaultGuard {
    board: Arc<FaultBoard>,
    rule: u64,
    kept: bool,
}

impl FaultBoard {
    pub(crate) fn new(seed: u64, start: Instant) -> Self {
        Self {
            faults: Mutex::new(Faults::new(seed)),
            armed: AtomicBool::new(false),
            struck: Condvar::new(),
            start,
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Puts a checked rule in force.
    pub(crate) fn add(&self, rule: FaultRule) -> u64 {
        self.change(|faults, now| faults.add(rule, now))
    }

    pub(crate) fn guard(self: &Arc<Self>, rule: FaultRule) -> FaultGuard {
        FaultGuard {
            rule: self.add(rule),
            board: Arc::clone(self),
            kept: false,
        }
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Faults, Duration) -> T) -> T {
        let mut faults = self.faults();
        let changed = change(&mut faults, self.now());
        let armed = faults.rules().next().is_some();
        self.armed.store(armed, Ordering::SeqCst);
        changed
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&Faults) -> T) -> T {
        look(&self.faults())
    }

    pub(crate) fn on_connection(&self, connection: u64, paced: bool) -> Option<Fault> {
        // Rules count from the number of the last connection, so this one is noted in any case.
        let fault = self.faults().on_connection(self.now(), connection, paced);
        self.ring(fault.is_some());
        fault
    }

    pub(crate) fn on_bytes(&self, connection: u64, bytes: (u64, usize)) -> Option<(usize, Fault)> {
        let decide = |faults: &mut Faults, now| faults.on_bytes(now, connection, bytes);
        self.decide(decide)
    }

    pub(crate) fn on_handshake(&self, place: &Place) -> Option<Fault> {
        self.decide(|faults, now| faults.on_handshake(now, place))
    }

    #[cfg(feature = "file-channel")]
    pub(crate) fn on_disk(&self, point: Point) -> Option<Fault> {
        self.decide(|faults, now| faults.on_disk(now, point))
    }

    pub(crate) fn on_call(&self, call: &CallView<'_>) -> Option<Fault> {
        self.decide(|faults, now| faults.on_call(now, call))
    }

    fn decide<T>(&self, decide: impl FnOnce(&mut Faults, Duration) -> Option<T>) -> Option<T> {
        if !self.armed.load(Ordering::SeqCst) {
            return None;
        }
        let decided = decide(&mut self.faults(), self.now());
        self.ring(decided.is_some());
        decided
    }

    fn ring(&self, struck: bool) {
        if struck {
            self.struck.notify_all();
        }
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FaultGuard {
    /// The rule's number among those of its agent, from 1 on.
    #[must_use]
    pub fn rule(&self) -> u64 {
        self.rule
    }

    /// How and when the rule struck. An agent keeps the latest 10,000 hits of all its rules.
    #[must_use]
    pub fn hits(&self) -> Vec<FaultHit> {
        self.board.read(|faults| self.hits_of(faults))
    }

    /// Waits until the rule has struck `n` times or more; `false` if it has not by the end of
    /// `timeout`. A fault strikes before its consequences: what the agent stores or answers may
    /// come a moment later.
    #[must_use]
    pub fn wait_hits(&self, n: usize, timeout: Duration) -> bool {
        let start = Instant::now();
        let mut faults = self.board.faults();
        while self.hits_of(&faults).len() < n {
            let Some(left) = timeout.checked_sub(start.elapsed()) else {
                return false;
            };
            let waited = self.board.struck.wait_timeout(faults, left);
            (faults, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    /// Leaves the rule in force for as long as the agent lives.
    pub fn keep(mut self) {
        self.kept = true;
    }

    fn hits_of(&self, faults: &Faults) -> Vec<FaultHit> {
        let hits = faults.hits().filter(|hit| hit.rule == self.rule);
        hits.cloned().collect()
    }
}

impl Drop for FaultGuard {
    fn drop(&mut self) {
        if !self.kept {
            self.board.change(|faults, _| faults.remove(self.rule));
        }
    }
}
