//! [`SelectorConfig`]: which of a source's channels an event goes to.
//!
//! Sources: Flume's `ReplicatingChannelSelector`, `MultiplexingChannelSelector`,
//! `AbstractChannelSelector.getChannelListFromNames`.

use std::collections::BTreeMap;

use super::nearest::nearest;
use super::problem::{Finding, ProblemKind};

/// Which of a source's channels an event goes to.
///
/// A required channel must take the event, or the source answers that it failed. What becomes of
/// an event in an optional channel is nobody's concern.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SelectorConfig {
    /// `replicating`: to all of them.
    Replicating {
        /// `optional`: channels of the source that are not required.
        optional: Vec<String>,
    },
    /// `multiplexing`: by the value of a header.
    Multiplexing(MultiplexingConfig),
}

/// `selector.type = multiplexing`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MultiplexingConfig {
    /// `header`: `flume.selector.header`.
    pub header: String,
    /// `mapping.VALUE`: the required channels by the header's value.
    pub mapping: BTreeMap<String, Vec<String>>,
    /// `default`: the required channels of events without the header, with a blank value or with
    /// one that is not mapped. None means that such events go nowhere and are answered `OK`.
    pub default: Vec<String>,
    /// `optional.VALUE`: the optional channels by the header's value. Channels that are required
    /// for the value are not among them.
    pub optional: BTreeMap<String, Vec<String>>,
}

impl SelectorConfig {
    /// What a selector built in code gets wrong, its keys under `prefix`.
    pub(super) fn check(&self, prefix: &str, channels: &[String]) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut check = |key: String, wanted: &[String]| {
            for name in wanted.iter().filter(|name| !channels.contains(name)) {
                findings.push(Finding::error(key.clone(), no_channel(name, channels)));
            }
        };
        match self {
            Self::Replicating { optional } => check(format!("{prefix}optional"), optional),
            Self::Multiplexing(config) => {
                check(format!("{prefix}default"), &config.default);
                for (group, lists) in [("mapping", &config.mapping), ("optional", &config.optional)]
                {
                    for (value, wanted) in lists {
                        check(format!("{prefix}{group}.{value}"), wanted);
                    }
                }
            }
        }
        findings
    }
}

impl Default for SelectorConfig {
    fn default() -> Self {
        Self::Replicating {
            optional: Vec::new(),
        }
    }
}

impl MultiplexingConfig {
    /// A selector on this header that maps nothing yet.
    pub fn new(header: impl Into<String>) -> Self {
        Self {
            header: header.into(),
            mapping: BTreeMap::new(),
            default: Vec::new(),
            optional: BTreeMap::new(),
        }
    }

    /// A channel that is required for a value is not optional for it, too.
    pub(super) fn take_required_from_optional(&mut self) {
        for (value, optional) in &mut self.optional {
            let required = self.mapping.get(value).unwrap_or(&self.default);
            optional.retain(|name| !required.contains(name));
        }
    }
}

impl From<MultiplexingConfig> for SelectorConfig {
    fn from(config: MultiplexingConfig) -> Self {
        Self::Multiplexing(config)
    }
}

pub(super) fn no_channel(name: &str, channels: &[String]) -> ProblemKind {
    ProblemKind::NoSuchComponent {
        what: "channel",
        name: name.to_owned(),
        nearest: nearest(name, channels.iter().map(String::as_str)),
    }
}
