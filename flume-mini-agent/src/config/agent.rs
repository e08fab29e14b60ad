//! [`AgentConfig`]: a whole agent, and building one in code.

use super::channel::{ChannelConfig, ChannelKind};
use super::component::ComponentKind;
use super::group::SinkGroupConfig;
use super::problem::{ConfigError, Finding, Problem, ProblemKind};
use super::selector::{SelectorConfig, no_channel};
use super::sink::SinkConfig;
use super::source::SourceConfig;

/// A whole agent: its components and how they are wired. Whatever holds one may rely on it:
///
/// - names are unique per kind, and every reference leads to a component;
/// - every channel holds at least one transaction;
/// - no sink takes more at once than its channel's transactions hold;
/// - no sink is in two groups.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AgentConfig {
    /// Its name, such as `a1`.
    pub name: String,
    /// Its channels.
    pub channels: Vec<ChannelConfig>,
    /// Its sources.
    pub sources: Vec<SourceConfig>,
    /// Its sinks, those in groups included.
    pub sinks: Vec<SinkConfig>,
    /// Its sink groups. A sink in none of them has a worker of its own.
    pub groups: Vec<SinkGroupConfig>,
}

/// Builds an [`AgentConfig`] in code.
///
/// ```
/// use flume_mini_agent::config::{
///     AgentConfig, AvroSourceConfig, LoggerSinkConfig, MemoryChannelConfig,
/// };
///
/// let config = AgentConfig::builder("a1")
///     .channel("c1", MemoryChannelConfig::default())
///     .source("r1", AvroSourceConfig::new("localhost", 0), ["c1"])
///     .sink("k1", LoggerSinkConfig::default(), "c1")
///     .build()?;
/// assert_eq!(config.sources[0].channels, ["c1"]);
/// # Ok::<(), flume_mini_agent::config::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct AgentConfigBuilder {
    config: AgentConfig,
}

impl AgentConfig {
    /// A builder for an agent of this name.
    pub fn builder(name: impl Into<String>) -> AgentConfigBuilder {
        AgentConfigBuilder {
            config: Self::empty(name),
        }
    }

    /// The channel of this name.
    #[must_use]
    pub fn channel(&self, name: &str) -> Option<&ChannelConfig> {
        self.channels.iter().find(|channel| channel.name == name)
    }

    /// The sink of this name.
    #[must_use]
    pub fn sink(&self, name: &str) -> Option<&SinkConfig> {
        self.sinks.iter().find(|sink| sink.name == name)
    }

    /// The group that a sink is in.
    #[must_use]
    pub fn group_of(&self, sink: &str) -> Option<&SinkGroupConfig> {
        let mut groups = self.groups.iter();
        groups.find(|group| group.sinks.iter().any(|member| member == sink))
    }

    pub(super) fn empty(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            channels: Vec::new(),
            sources: Vec::new(),
            sinks: Vec::new(),
            groups: Vec::new(),
        }
    }

    fn check(&self) -> Vec<Finding> {
        let mut findings = self.check_names();
        let known: Vec<String> = self.channels.iter().map(|c| c.name.clone()).collect();
        for channel in &self.channels {
            let prefix = self.prefix(ComponentKind::Channel, &channel.name);
            findings.extend(channel.check(&prefix));
            if !self.uses(&channel.name) {
                let key = prefix.trim_end_matches('.');
                findings.push(Finding::error(key, ProblemKind::Unused));
            }
        }
        for source in &self.sources {
            findings
                .extend(source.check(&self.prefix(ComponentKind::Source, &source.name), &known));
        }
        for sink in &self.sinks {
            let prefix = self.prefix(ComponentKind::Sink, &sink.name);
            let is_named_as_group = self.groups.iter().any(|group| group.name == sink.name);
            if is_named_as_group && self.group_of(&sink.name).is_none() {
                let key = prefix.trim_end_matches('.');
                findings.push(Finding::error(key, ProblemKind::NamedAsGroup));
            }
            match self.channel(&sink.channel) {
                Some(channel) => findings.extend(sink.check(&prefix, channel)),
                None => {
                    let problem = no_channel(&sink.channel, &known);
                    findings.push(Finding::error(format!("{prefix}channel"), problem));
                }
            }
        }
        for group in &self.groups {
            findings.extend(self.check_group(group));
        }
        findings
    }

    fn check_names(&self) -> Vec<Finding> {
        let kinds: [(ComponentKind, Vec<&str>); 4] = [
            (
                ComponentKind::Channel,
                self.channels.iter().map(|c| c.name.as_str()).collect(),
            ),
            (
                ComponentKind::Source,
                self.sources.iter().map(|s| s.name.as_str()).collect(),
            ),
            (
                ComponentKind::Sink,
                self.sinks.iter().map(|s| s.name.as_str()).collect(),
            ),
            (
                ComponentKind::SinkGroup,
                self.groups.iter().map(|g| g.name.as_str()).collect(),
            ),
        ];
        let mut findings = Vec::new();
        let bad = |name: &str| {
            name.is_empty() || name.contains(['.', '=', ':']) || name.contains(char::is_whitespace)
        };
        if bad(&self.name) {
            let name = self.name.clone();
            findings.push(Finding::error("", ProblemKind::BadName { name }));
        }
        for (kind, names) in kinds {
            for (index, name) in names.iter().enumerate() {
                let key = format!("{}.{}.{name}", self.name, kind.list());
                if bad(name) {
                    let name = (*name).to_owned();
                    findings.push(Finding::error(key, ProblemKind::BadName { name }));
                } else if names.iter().take(index).any(|earlier| earlier == name) {
                    findings.push(Finding::error(key, ProblemKind::SameName));
                }
            }
        }
        if self.sources.is_empty() && self.sinks.is_empty() {
            let why = "there is neither a source nor a sink";
            findings.push(Finding::error(
                self.name.as_str(),
                ProblemKind::NothingLeft { why },
            ));
        }
        findings
    }

    fn check_group(&self, group: &SinkGroupConfig) -> Vec<Finding> {
        let prefix = self.prefix(ComponentKind::SinkGroup, &group.name);
        let key = format!("{prefix}sinks");
        let mut findings = group.check(&prefix);
        for (index, sink) in group.sinks.iter().enumerate() {
            let name = sink.clone();
            let problem = if self.sink(sink).is_none() {
                ProblemKind::NoSuchComponent {
                    what: "sink",
                    name,
                    nearest: None,
                }
            } else if group
                .sinks
                .iter()
                .take(index)
                .any(|earlier| earlier == sink)
            {
                ProblemKind::ListedTwice { name }
            } else if let Some(first) = self.group_of(sink).filter(|first| first.name != group.name)
            {
                let group = first.name.clone();
                ProblemKind::InAnotherGroup { sink: name, group }
            } else {
                continue;
            };
            findings.push(Finding::error(key.as_str(), problem));
        }
        findings
    }

    fn uses(&self, channel: &str) -> bool {
        let mut by_sources = self.sources.iter().flat_map(|source| &source.channels);
        let mut by_sinks = self.sinks.iter().map(|sink| &sink.channel);
        by_sources.any(|name| name == channel) || by_sinks.any(|name| name == channel)
    }

    fn prefix(&self, kind: ComponentKind, name: &str) -> String {
        format!("{}.{}.{name}.", self.name, kind.list())
    }
}

impl AgentConfigBuilder {
    /// Adds a channel.
    pub fn channel(mut self, name: impl Into<String>, kind: impl Into<ChannelKind>) -> Self {
        self.config.channels.push(ChannelConfig::new(name, kind));
        self
    }

    /// Adds a source that gives every event to all of these channels, in this order.
    pub fn source<I>(
        self,
        name: impl Into<String>,
        kind: impl Into<super::SourceKind>,
        channels: I,
    ) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.add_source(SourceConfig::new(name, kind, channels))
    }

    /// Adds a source with a selector or interceptors.
    pub fn add_source(mut self, mut source: SourceConfig) -> Self {
        if let SelectorConfig::Multiplexing(selector) = &mut source.selector {
            selector.take_required_from_optional();
        }
        self.config.sources.push(source);
        self
    }

    /// Adds a sink that takes from this channel.
    pub fn sink(
        mut self,
        name: impl Into<String>,
        kind: impl Into<super::SinkKind>,
        channel: impl Into<String>,
    ) -> Self {
        self.config.sinks.push(SinkConfig::new(name, kind, channel));
        self
    }

    /// Adds a group of sinks that are there.
    pub fn group<I>(
        mut self,
        name: impl Into<String>,
        sinks: I,
        processor: impl Into<super::ProcessorConfig>,
    ) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.config
            .groups
            .push(SinkGroupConfig::new(name, sinks, processor));
        self
    }

    /// Checks the whole.
    ///
    /// # Errors
    ///
    /// All that is wrong with it.
    pub fn build(self) -> Result<AgentConfig, ConfigError> {
        let findings = self.config.check();
        if findings.is_empty() {
            return Ok(self.config);
        }
        let problems = findings.into_iter().map(Problem::without_line);
        Err(ConfigError::new(problems.collect()))
    }
}
