//! [`SinkGroupConfig`]: sinks that share one worker, and how it chooses among them.
//!
//! Sources: Flume's `SinkGroupConfiguration`, `SinkProcessorFactory`, `FailoverSinkProcessor`,
//! `LoadBalancingSinkProcessor`, `OrderSelector`.

use std::time::Duration;

use super::java_order;
use super::problem::{Finding, ProblemKind};
use super::section::{Bad, Number, Section, bad_value};
use super::types;

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

const MAX_PENALTY: i32 = 30_000;

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

impl ProcessorConfig {
    /// Flume's guide calls `default` the default, but its code removes a group without a type.
    pub(super) fn read(section: &mut Section<'_>, sinks: &[String]) -> Option<Self> {
        let type_name = section.required("type");
        match types::PROCESSORS.resolve(&type_name) {
            Ok("default") => Some(Self::Default),
            Ok("failover") => Some(Self::Failover(FailoverConfig::read(section, sinks))),
            Ok(_) => Some(Self::LoadBalance(LoadBalanceConfig::read(section))),
            Err(problem) => {
                if !type_name.is_empty() {
                    section.error("type", problem);
                }
                section.ignore_rest();
                None
            }
        }
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

    fn read(section: &mut Section<'_>, sinks: &[String]) -> Self {
        let penalty = Number::int(MAX_PENALTY, 0).bad(Bad::Default, Bad::Clamp);
        let mut config = Self::new(Vec::<(String, i32)>::new());
        config.max_penalty = section.millis("maxpenalty", penalty);
        let mut next = 0;
        let rest = section.rest();
        for sink in java_order::grown(sinks) {
            let wanted = |key: &str| key.strip_prefix("priority.") == Some(sink.as_str());
            let given = rest.iter().find(|(key, _)| wanted(key));
            let parsed = given.and_then(|(_, value)| value.parse().ok());
            if let Some((key, value)) = given {
                section.use_key(key);
                if parsed.is_none() {
                    let problem = bad_value(value, "a whole number; Flume takes the lowest");
                    section.warning(key, problem);
                }
            }
            let priority = parsed.unwrap_or_else(|| {
                next -= 1;
                next
            });
            match config
                .priorities
                .iter()
                .find(|(_, other)| *other == priority)
            {
                None => config.priorities.push((sink, priority)),
                Some((kept, _)) => {
                    let key = given.map_or("priority", |(key, _)| key);
                    let (kept, lost) = (kept.clone(), sink);
                    section.warning(
                        key,
                        ProblemKind::SamePriority {
                            kept,
                            lost,
                            priority,
                        },
                    );
                }
            }
        }
        config.sort();
        config
    }

    fn sort(&mut self) {
        self.priorities
            .sort_by_key(|(_, priority)| std::cmp::Reverse(*priority));
    }
}

impl LoadBalanceConfig {
    fn read(section: &mut Section<'_>) -> Self {
        let selector = section.text_or("selector", "round_robin");
        let selection = match types::SINK_SELECTORS.resolve(&selector) {
            Ok("random") => Selection::Random,
            Ok(_) => Selection::RoundRobin,
            Err(problem) => {
                section.error("selector", problem);
                Selection::RoundRobin
            }
        };
        let longest = Number::long(0, 0).bad(Bad::Break, Bad::Clamp);
        let longest = section.millis("selector.maxTimeOut", longest);
        let default = Self::default();
        Self {
            selection,
            backoff: section.flag("backoff", default.backoff),
            // 0 means the default in Flume.
            max_backoff: if longest.is_zero() {
                default.max_backoff
            } else {
                longest
            },
        }
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
