//! [`ConfigReader`]: from a property file's text to an [`AgentConfig`].

use std::fmt;
use std::sync::Arc;

use super::assembly::{Assembly, Dropped};
use super::entries::{Entries, Strictness};
use super::substitute::Lookup;
use crate::config::agent::AgentConfig;
use crate::config::problem::{ConfigError, Finding, Problem, ProblemKind, Severity};

/// Reads an agent's configuration from the text of a property file.
///
/// ```
/// use flume_mini_agent::config::{AgentConfig, SourceKind};
///
/// let text = "
/// a1.sources = r1
/// a1.channels = c1
/// a1.sinks = k1
/// a1.sources.r1.type = avro
/// a1.sources.r1.bind = 0.0.0.0
/// a1.sources.r1.port = ${env:PORT:-4141}
/// a1.sources.r1.channels = c1
/// a1.channels.c1.type = memory
/// a1.sinks.k1.type = logger
/// a1.sinks.k1.channel = c1
/// ";
/// let loaded = AgentConfig::reader("a1").read(text)?;
/// let SourceKind::Avro(avro) = &loaded.config.sources[0].kind else { unreachable!() };
/// assert_eq!(avro.port, 4141);
/// # Ok::<(), flume_mini_agent::config::ConfigError>(())
/// ```
///
/// It is strict: whatever Flume would overlook is an error, and all of them are told at once.
/// [`ConfigReader::lenient`] goes on as Flume does.
///
/// ```
/// use flume_mini_agent::config::AgentConfig;
///
/// let text = "
/// a1.channels = c1
/// a1.sources = r1
/// a1.channels.c1.type = memory
/// a1.sources.r1.type = avro
/// a1.sources.r1.bind = localhost
/// a1.sources.r1.prot = 4141
/// a1.sources.r1.channels = c1
/// ";
/// let error = AgentConfig::reader("a1").file("flume.properties").read(text).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "the configuration has 2 problems:
///   flume.properties:5: a1.sources.r1.port: is not set, and must be
///   flume.properties:7: a1.sources.r1.prot: is unknown for avro sources; did you mean \"port\"?"
/// );
/// ```
#[must_use]
pub struct ConfigReader<'a> {
    agent: String,
    file: Arc<str>,
    strictness: Strictness,
    lookup: Box<Lookup<'a>>,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loaded {
    /// The configuration.
    pub config: AgentConfig,
    /// What is worth knowing about it; when lenient, also what Flume overlooks.
    pub notes: Vec<Problem>,
    /// The components that were left out; none unless lenient.
    pub dropped: Vec<Dropped>,
}

impl AgentConfig {
    /// A reader of property files for the agent of this name.
    pub fn reader<'a>(agent: impl Into<String>) -> ConfigReader<'a> {
        ConfigReader::new(agent)
    }
}

impl<'a> ConfigReader<'a> {
    fn new(agent: impl Into<String>) -> Self {
        Self {
            agent: agent.into(),
            file: Arc::from("the configuration"),
            strictness: Strictness::Strict,
            lookup: Box::new(|_| None),
        }
    }

    /// The file's name in messages.
    pub fn file(mut self, name: impl AsRef<str>) -> Self {
        self.file = Arc::from(name.as_ref());
        self
    }

    /// Goes on after mistakes as Flume does: a component that cannot run is dropped, with those
    /// that cannot do without it, and the rest stays.
    pub fn lenient(mut self) -> Self {
        self.strictness = Strictness::Lenient;
        self
    }

    /// Where `${env:NAME}` is looked up. Without it no variable is set.
    pub fn env(mut self, lookup: impl Fn(&str) -> Option<String> + 'a) -> Self {
        self.lookup = Box::new(lookup);
        self
    }

    /// Reads a text.
    ///
    /// # Errors
    ///
    /// All that is wrong with it. When lenient, only what also stops Flume: an escape that cannot
    /// be read, no such agent, nothing left to run.
    pub fn read(self, text: &str) -> Result<Loaded, ConfigError> {
        let mut entries = Entries::read(self.file, text, self.strictness, &self.lookup);
        let mut problems = std::mem::take(&mut entries.problems);
        let unreadable = has(&problems, Severity::Error);
        let of_another = |key: &str| {
            let agent = key.split_once('.').map(|(agent, _)| agent);
            agent.is_some_and(|agent| !agent.is_empty() && agent != self.agent)
        };
        problems.retain(|problem| problem.severity == Severity::Error || !of_another(&problem.key));
        if unreadable && entries.iter().next().is_none() {
            return Err(ConfigError::new(problems));
        }
        let mut assembly = Assembly::new(&self.agent, self.strictness, &entries);
        let no_agent = assembly
            .findings
            .iter()
            .any(|f| f.severity == Severity::Error);
        if !no_agent {
            assembly.run();
            assembly.findings.extend(nothing_left(&assembly));
        }
        let nothing_left = assembly
            .findings
            .iter()
            .any(|finding| matches!(finding.kind, ProblemKind::NothingLeft { .. }));
        let unread: Vec<_> = problems
            .iter()
            .filter(|it| is_escape(it))
            .map(|it| it.line)
            .collect();
        let found = assembly.findings.into_iter();
        let found = found.map(|finding| entries.locate(finding));
        // What follows from a value that cannot be read is not told beside it.
        problems.extend(found.filter(|it| it.line.is_none() || !unread.contains(&it.line)));
        problems.sort_by_key(|problem| problem.line);
        let fatal = unreadable || no_agent || nothing_left;
        let strict = self.strictness == Strictness::Strict && has(&problems, Severity::Warning);
        if fatal || strict {
            problems.retain(|problem| problem.severity > Severity::Note);
            return Err(ConfigError::new(problems));
        }
        problems.retain(|problem| problem.severity < Severity::Error);
        Ok(Loaded {
            config: assembly.config,
            notes: problems,
            dropped: assembly.dropped,
        })
    }
}

impl fmt::Debug for ConfigReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("ConfigReader");
        fields.field("agent", &self.agent).field("file", &self.file);
        fields
            .field("strictness", &self.strictness)
            .finish_non_exhaustive()
    }
}

fn has(problems: &[Problem], least: Severity) -> bool {
    problems.iter().any(|problem| problem.severity >= least)
}

fn is_escape(problem: &Problem) -> bool {
    matches!(problem.kind, ProblemKind::Escape(_))
}

/// What Flume needs at least.
fn nothing_left(assembly: &Assembly<'_>) -> Option<Finding> {
    let config = &assembly.config;
    let why = if config.channels.is_empty() {
        "there is no channel"
    } else if config.sources.is_empty() && config.sinks.is_empty() {
        "there is neither a source nor a sink"
    } else {
        return None;
    };
    let finding = Finding::error(config.name.as_str(), ProblemKind::NothingLeft { why });
    // When strict, whatever took the rest away is told already.
    (assembly.dropped.is_empty() || !assembly.is_strict()).then_some(finding)
}
