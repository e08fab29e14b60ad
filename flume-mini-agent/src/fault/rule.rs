//! [`FaultRule`]: a fault and the conditions under which it strikes.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use super::Fault;

/// A [`Fault`] with its conditions. All must hold.
///
/// Counts start when the rule is put in force, and count only what fulfils the rule's other
/// conditions. A request here is a call, `append` or `appendBatch`, of whatever connection; for
/// the handshake faults it is a request with a handshake, and for the faults of disks a write, or a
/// sync. A call is struck by one fault only: of
/// several that could strike, the one that was put in force first does.
///
/// ```
/// use std::time::Duration;
///
/// use flume_mini_agent::{Fault, FaultRule};
///
/// // Once, at the third call from now on:
/// let rule = Fault::CommitThenDrop.nth_request(3);
/// // At the third and the fourth:
/// let rule = Fault::CommitThenDrop.nth_request(3).times(2);
/// // At every tenth call or so with such an event, for a minute:
/// let rule = FaultRule::new(Fault::Failed)
///     .header("tenant", "a")
///     .probability(0.1)
///     .during(Duration::ZERO..Duration::from_secs(60));
/// // In the middle of a request:
/// let rule = Fault::Reset.after_bytes(1_000).times(1);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct FaultRule {
    pub(super) fault: Fault,
    pub(super) nth_connection: Option<u64>,
    pub(super) nth_request: Option<u64>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) size_over: Option<usize>,
    pub(super) after_bytes: Option<u64>,
    pub(super) probability: Option<f64>,
    pub(super) during: Option<Range<Duration>>,
    pub(super) times: Option<u64>,
}

/// Why a rule makes no sense.
#[derive(Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultRuleError {
    /// A count, a size or a rate is 0.
    #[error("{condition} 0 never happens: give it at least 1")]
    Zero {
        /// The condition.
        condition: &'static str,
    },
    /// The fault strikes where there is not what the condition looks at.
    #[error("{fault:?} strikes where {condition} is not known: leave that out")]
    NotKnown {
        /// The fault.
        fault: Fault,
        /// The condition.
        condition: &'static str,
    },
    /// A probability that is none.
    #[error("the probability {share} is not between 0 and 1")]
    Probability {
        /// The value.
        share: f64,
    },
    /// A time window that ends before it begins.
    #[error("the time window from {start:?} to {end:?} is empty")]
    Window {
        /// Its start.
        start: Duration,
        /// Its end.
        end: Duration,
    },
}

impl fmt::Debug for FaultRuleError {
    /// The message as it is, since tests mostly see it through `unwrap`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a rule is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// A connection comes.
    Accept,
    /// Bytes arrive on a connection.
    Bytes,
    /// A request brings a handshake.
    Handshake,
    /// A call is made.
    Call,
    /// A file channel writes.
    Write,
    /// A file channel syncs.
    Sync,
}

impl FaultRule {
    /// The fault, whenever it can strike.
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            nth_connection: None,
            nth_request: None,
            headers: Vec::new(),
            size_over: None,
            after_bytes: None,
            probability: None,
            during: None,
            times: None,
        }
    }

    /// The nth connection that comes, from 1 on. A fault that strikes connections as they come
    /// does so once unless [`times`](Self::times) says more: then at as many in a row. Others
    /// strike on this connection only.
    pub fn nth_connection(mut self, n: u64) -> Self {
        self.nth_connection = Some(n);
        self
    }

    /// The nth request, from 1 on (for a fault of disks the nth write, or sync): once unless
    /// [`times`](Self::times) says more, then as many in a row.
    pub fn nth_request(mut self, n: u64) -> Self {
        self.nth_request = Some(n);
        self
    }

    /// Calls with an event that has this header. Of several headers one event must have all.
    pub fn header(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((key.into(), value.into()));
        self
    }

    /// Calls of more than so many bytes, without the frame's head.
    pub fn size_over(mut self, bytes: usize) -> Self {
        self.size_over = Some(bytes);
        self
    }

    /// Connections that have brought so many bytes. [`Fault::Reset`], [`Fault::Hang`] and
    /// [`Fault::DropBeforeCommit`] strike exactly there, in the middle of a request if need be,
    /// unless a condition on requests is given too.
    pub fn after_bytes(mut self, bytes: u64) -> Self {
        self.after_bytes = Some(bytes);
        self
    }

    /// A share of the cases, from 0 to 1. Which ones depends on the agent's `fault_seed`, on how
    /// many rules were in force before, and on the case's number, on nothing else.
    pub fn probability(mut self, share: f64) -> Self {
        self.probability = Some(share);
        self
    }

    /// A span of time, counted from when the rule is put in force.
    pub fn during(mut self, window: Range<Duration>) -> Self {
        self.during = Some(window);
        self
    }

    /// At most so many times.
    pub fn times(mut self, n: u64) -> Self {
        self.times = Some(n);
        self
    }

    /// The fault.
    #[must_use]
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// Whether the rule makes sense.
    pub fn check(&self) -> Result<(), FaultRuleError> {
        let rate = match self.fault {
            Fault::SlowReader(rate) | Fault::Bandwidth(rate) => Some(u64::from(rate)),
            _ => None,
        };
        let least_one = [
            ("nth_connection", self.nth_connection),
            ("nth_request", self.nth_request),
            ("after_bytes", self.after_bytes),
            ("times", self.times),
            ("a rate of", rate),
        ];
        for (condition, value) in least_one {
            if value == Some(0) {
                return Err(FaultRuleError::Zero { condition });
            }
        }
        if let Some(share) = self.probability
            && !(0.0..=1.0).contains(&share)
        {
            return Err(FaultRuleError::Probability { share });
        }
        if let Some(Range { start, end }) = self.during
            && start >= end
        {
            return Err(FaultRuleError::Window { start, end });
        }
        self.check_place()
    }

    /// At which point the rule is looked at.
    pub(crate) fn point(&self) -> Point {
        match self.fault {
            Fault::Refuse | Fault::TlsAlert | Fault::HandshakeStops => Point::Accept,
            Fault::HandshakeNone | Fault::HandshakeClient => Point::Handshake,
            Fault::DiskFull | Fault::PowerLoss { .. } => Point::Write,
            Fault::FsyncError => Point::Sync,
            Fault::Hang
            | Fault::Reset
            | Fault::OneByteSlices
            | Fault::SlowReader(_)
            | Fault::Bandwidth(_)
                if !self.asks_for_calls() =>
            {
                match self.after_bytes {
                    Some(_) => Point::Bytes,
                    None => Point::Accept,
                }
            }
            Fault::DropBeforeCommit if !self.asks_for_calls() && self.after_bytes.is_some() => {
                Point::Bytes
            }
            _ => Point::Call,
        }
    }

    /// How often the rule strikes at most.
    pub(super) fn times_max(&self) -> u64 {
        let counted = match self.point() {
            Point::Accept => self.nth_connection.is_some(),
            _ => self.nth_request.is_some(),
        };
        self.times.unwrap_or(if counted { 1 } else { u64::MAX })
    }

    fn asks_for_calls(&self) -> bool {
        self.nth_request.is_some() || self.size_over.is_some() || !self.headers.is_empty()
    }

    fn check_place(&self) -> Result<(), FaultRuleError> {
        let point = self.point();
        let on_disk = matches!(point, Point::Write | Point::Sync);
        let not_known = [
            ("nth_connection", self.nth_connection.is_some() && on_disk),
            (
                "nth_request",
                self.nth_request.is_some() && point == Point::Accept,
            ),
            ("a header", !self.headers.is_empty() && point != Point::Call),
            (
                "size_over",
                self.size_over.is_some() && point != Point::Call,
            ),
            (
                "after_bytes",
                self.after_bytes.is_some() && (point == Point::Accept || on_disk),
            ),
        ];
        match not_known.into_iter().find(|(_, not_known)| *not_known) {
            Some((condition, _)) => Err(FaultRuleError::NotKnown {
                fault: self.fault.clone(),
                condition,
            }),
            None => Ok(()),
        }
    }
}

/// The conditions of [`FaultRule`], so that a rule can be written in one go.
impl Fault {
    /// See [`FaultRule::nth_connection`].
    pub fn nth_connection(self, n: u64) -> FaultRule {
        FaultRule::new(self).nth_connection(n)
    }

    /// See [`FaultRule::nth_request`].
    pub fn nth_request(self, n: u64) -> FaultRule {
        FaultRule::new(self).nth_request(n)
    }

    /// See [`FaultRule::header`].
    pub fn header(self, key: impl Into<String>, value: impl Into<String>) -> FaultRule {
        FaultRule::new(self).header(key, value)
    }

    /// See [`FaultRule::size_over`].
    pub fn size_over(self, bytes: usize) -> FaultRule {
        FaultRule::new(self).size_over(bytes)
    }

    /// See [`FaultRule::after_bytes`].
    pub fn after_bytes(self, bytes: u64) -> FaultRule {
        FaultRule::new(self).after_bytes(bytes)
    }

    /// See [`FaultRule::probability`].
    pub fn probability(self, share: f64) -> FaultRule {
        FaultRule::new(self).probability(share)
    }

    /// See [`FaultRule::during`].
    pub fn during(self, window: Range<Duration>) -> FaultRule {
        FaultRule::new(self).during(window)
    }

    /// See [`FaultRule::times`].
    pub fn times(self, n: u64) -> FaultRule {
        FaultRule::new(self).times(n)
    }
}

impl From<Fault> for FaultRule {
    fn from(fault: Fault) -> Self {
        Self::new(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_refused(rule: impl Into<FaultRule>, text: &str) {
        assert_eq!(rule.into().check().unwrap_err().to_string(), text);
    }

    #[test]
    fn rules_that_make_no_sense_are_refused_with_their_reason() {
        check_refused(
            Fault::Failed.nth_request(0),
            "nth_request 0 never happens: give it at least 1",
        );
        check_refused(
            Fault::Bandwidth(0),
            "a rate of 0 never happens: give it at least 1",
        );
        check_refused(
            Fault::Refuse.nth_request(2),
            "Refuse strikes where nth_request is not known: leave that out",
        );
        check_refused(
            Fault::HandshakeNone.header("a", "b"),
            "HandshakeNone strikes where a header is not known: leave that out",
        );
        check_refused(
            Fault::FsyncError.nth_connection(1),
            "FsyncError strikes where nth_connection is not known: leave that out",
        );
        check_refused(
            Fault::DiskFull.after_bytes(1),
            "DiskFull strikes where after_bytes is not known: leave that out",
        );
        check_refused(
            Fault::Failed.probability(1.5),
            "the probability 1.5 is not between 0 and 1",
        );
        assert!(Fault::Failed.probability(f64::NAN).check().is_err());
        let second = Duration::from_secs(1);
        check_refused(
            Fault::Failed.during(second..second),
            "the time window from 1s to 1s is empty",
        );
    }

    #[test]
    fn a_fault_that_can_strike_anywhere_goes_where_its_conditions_point() {
        let check = |rule: FaultRule, point| {
            assert_eq!(rule.point(), point, "{rule:?}");
            assert_eq!(rule.check(), Ok(()));
        };
        check(Fault::Reset.into(), Point::Accept);
        check(Fault::Reset.nth_connection(2), Point::Accept);
        check(Fault::Reset.after_bytes(9), Point::Bytes);
        check(Fault::Reset.after_bytes(9).nth_request(1), Point::Call);
        check(Fault::Hang.header("a", "b"), Point::Call);
        check(Fault::DropBeforeCommit.into(), Point::Call);
        check(Fault::DropBeforeCommit.after_bytes(9), Point::Bytes);
        check(Fault::CommitThenDrop.after_bytes(9), Point::Call);
        check(Fault::HandshakeNone.nth_request(2), Point::Handshake);
        check(Fault::FsyncError.nth_request(2), Point::Sync);
        check(Fault::DiskFull.probability(0.5), Point::Write);
        check(Fault::PowerLoss { torn_bytes: 7 }.times(1), Point::Write);
    }
}
