//! [`SelectorConfig`]: which of a source's channels an event goes to.
//!
//! Sources: Flume's `ReplicatingChannelSelector`, `MultiplexingChannelSelector`,
//! `AbstractChannelSelector.getChannelListFromNames`.

use std::collections::BTreeMap;

use super::nearest::nearest;
use super::problem::{Finding, ProblemKind};
use super::section::{Section, names};
use super::types;

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

const HEADER: &str = "flume.selector.header";

impl SelectorConfig {
    /// `channels` are those of the source.
    pub(super) fn read(section: &mut Section<'_>, channels: &[String]) -> Self {
        let type_name = section.text_or("type", "replicating");
        match types::SELECTORS.resolve(&type_name) {
            Ok("replicating") => Self::read_replicating(section, channels),
            Ok(_) => Self::Multiplexing(MultiplexingConfig::read(section, channels)),
            Err(problem) => {
                section.error("type", problem);
                section.ignore_rest();
                Self::default()
            }
        }
    }

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

    fn read_replicating(section: &mut Section<'_>, channels: &[String]) -> Self {
        let mut optional: Vec<String> = Vec::new();
        for name in section.list("optional") {
            if channels.iter().all(|channel| channel != name) {
                // Flume keeps a null for it and fails every batch at run time.
                section.warning("optional", no_channel(name, channels));
            } else {
                optional.push(name.to_owned());
            }
        }
        Self::Replicating { optional }
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

    fn read(section: &mut Section<'_>, channels: &[String]) -> Self {
        let mut config = Self::new(section.text_or("header", HEADER));
        if let Some(list) = section.text("default") {
            config.default = channel_list(section, "default", list, channels);
        }
        for (key, list) in section.rest() {
            let lists = match key.split_once('.') {
                Some(("mapping", value)) => (&mut config.mapping, value),
                Some(("optional", value)) => (&mut config.optional, value),
                _ => continue,
            };
            section.use_key(key);
            let (lists, value) = lists;
            lists.insert(value.to_owned(), channel_list(section, key, list, channels));
        }
        config.take_required_from_optional();
        config
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

/// Flume splits these lists at each single space, unlike all its others.
fn channel_list(
    section: &mut Section<'_>,
    key: &str,
    list: &str,
    channels: &[String],
) -> Vec<String> {
    let wanted = names(list, |kind| section.warning(key, kind));
    if list
        .split(' ')
        .any(|name| name.is_empty() || name.contains(char::is_whitespace))
    {
        let written = wanted.join(" ");
        section.error(key, ProblemKind::NotSingleSpaced { written });
    }
    for name in wanted
        .iter()
        .filter(|name| channels.iter().all(|other| other != *name))
    {
        section.error(key, no_channel(name, channels));
    }
    wanted.into_iter().map(str::to_owned).collect()
}

pub(super) fn no_channel(name: &str, channels: &[String]) -> ProblemKind {
    ProblemKind::NoSuchComponent {
        what: "channel",
        name: name.to_owned(),
        nearest: nearest(name, channels.iter().map(String::as_str)),
    }
}
