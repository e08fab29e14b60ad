//! [`SinkGroupConfig`]: sinks that share one worker, and how it chooses among them.
//!
//! Sources: Flume's `SinkGroupConfiguration`, `SinkProcessorFactory`, `FailoverSinkProcessor`,
//! `LoadBalancingSinkProcessor`, `OrderSelector`.

use std::time::Duration;

use super::problem::{Finding, ProblemKind};

/// Sinks that share one worker, and how it chooses among them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkGroupConfig {
    /// Its name.
    pub name: String,
    /// Its sinks, in the order in which round robin visits them. Read from a file, that is the
    /// order of Java's hash sets, as with a source's channels.
    pub sinks: Vec<String>,
    /// How one of them is chosen.
    pub processor: ProcessorConfig,
}

/// The types of sink processors.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProcessorConfig {
    /// `processor.type = default`: for a group of one.
    Default,
    /// `processor.type = failover`.
    Failover(FailoverConfig),
    /// `processor.type = load_balance`.
    LoadBalance(LoadBalanceConfig),
}

/// `processor.type = failover`: always the sink of highest priority that works.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailoverConfig {
    /// `processor.priority.SINK`, highest first. Sinks without one get -1, -2 and so on. A sink
    /// of the group that is not in here is never used.
    pub priorities: Vec<(String, i32)>,
    /// `processor.maxpenalty`, in milliseconds: 30,000.
    pub max_penalty: Duration,
}

/// `processor.type = load_balance`: another sink each time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadBalanceConfig {
    /// `processor.selector`: round_robin.
    pub selection: Selection,
    /// `processor.backoff`: whether a sink that failed is left alone for a while, false.
    pub backoff: bool,
    /// `processor.selector.maxTimeOut`, in milliseconds: the longest such while, 30,000.
    pub max_backoff: Duration,
}

/// The order in which sinks are tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selection {
    /// In turn.
    #[default]
    RoundRobin,
    /// In random order.
    Random,
}

pub(super) const MAX_PENALTY: i32 = 30_000;

impl SinkGroupConfig {
    /// A group of these sinks.
    pub fn new<I>(name: impl Into<String>, sinks: I, processor: impl Into<ProcessorConfig>) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self {
            name: name.into(),
            sinks: sinks.into_iter().map(Into::into).collect(),
            processor: processor.into(),
        }
    }

    /// What the processor says about its sinks.
    pub(super) fn check(&self, prefix: &str) -> Vec<Finding> {
        let mut findings = self.check_count(prefix).into_iter().collect::<Vec<_>>();
        if let ProcessorConfig::Failover(failover) = &self.processor {
            for (sink, _) in &failover.priorities {
                if !self.sinks.contains(sink) {
                    let key = format!("{prefix}processor.priority.{sink}");
                    let (what, name) = ("sink", sink.clone());
                    let kind = ProblemKind::NoSuchComponent {
                        what,
                        name,
                        nearest: None,
                    };
                    findings.push(Finding::error(key, kind));
                }
            }
        }
        findings
    }

    pub(super) fn check_count(&self, prefix: &str) -> Option<Finding> {
        let given = self.sinks.len();
        let (processor, needs) = match &self.processor {
            ProcessorConfig::Default if given != 1 => ("default", "exactly one sink"),
            ProcessorConfig::LoadBalance(_) if given < 2 => ("load_balance", "two sinks or more"),
            ProcessorConfig::Failover(_) if given == 0 => ("failover", "a sink or more"),
            _ => return None,
        };
        let kind = ProblemKind::SinkCount {
            processor,
            needs,
            given,
        };
        Some(Finding::error(format!("{prefix}processor.type"), kind))
    }
}

impl FailoverConfig {
    /// These sinks with these priorities, and Flume's greatest penalty.
    pub fn new<I, S>(priorities: I) -> Self
    where
        I: IntoIterator<Item = (S, i32)>,
        S: Into<String>,
    {
        let priorities = priorities.into_iter();
        let mut config = Self {
            priorities: priorities
                .map(|(sink, priority)| (sink.into(), priority))
                .collect(),
            max_penalty: Duration::from_millis(u64::from(MAX_PENALTY.unsigned_abs())),
        };
        config.sort();
        config
    }

    /// Highest priority first.
    pub(super) fn sort(&mut self) {
        self.priorities
            .sort_by_key(|(_, priority)| std::cmp::Reverse(*priority));
    }
}

impl Default for LoadBalanceConfig {
    fn default() -> Self {
        Self {
            selection: Selection::RoundRobin,
            backoff: false,
            max_backoff: Duration::from_secs(30),
        }
    }
}

impl From<FailoverConfig> for ProcessorConfig {
    fn from(config: FailoverConfig) -> Self {
        Self::Failover(config)
    }
}

impl From<LoadBalanceConfig> for ProcessorConfig {
    fn from(config: LoadBalanceConfig) -> Self {
        Self::LoadBalance(config)
    }
}
