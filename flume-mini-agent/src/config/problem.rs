//! [`Problem`]: one thing that is wrong with a configuration, or worth knowing, and where.

use std::fmt;
use std::sync::Arc;

/// How much a [`Problem`] matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// Worth knowing; the configuration means what it says.
    Note,
    /// Flume would overlook it: an error when strict, a note when lenient.
    Warning,
    /// A component cannot run: an error when strict, the component is dropped when lenient.
    Error,
}

/// One thing that is wrong with a configuration, or worth knowing: what, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub(super) severity: Severity,
    pub(super) file: Arc<str>,
    pub(super) line: Option<u32>,
    pub(super) key: String,
    pub(super) kind: ProblemKind,
}

impl Problem {
    /// Of a configuration built in code.
    pub(super) fn without_line(finding: Finding) -> Self {
        Self {
            severity: finding.severity,
            file: Arc::from(""),
            line: None,
            key: finding.key,
            kind: finding.kind,
        }
    }

    /// How much it matters.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// The name of the file; empty for a configuration built in code.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line, from 1: that of the key, or else the first one of the component.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        self.line
    }

    /// The whole key, such as `a1.sources.r1.port`, or the part of one that is meant.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> &ProblemKind {
        &self.kind
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
            match self.line {
                Some(line) => write!(f, "{line}: ")?,
                None => write!(f, " ")?,
            }
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", cut(&self.key).escape_debug())?;
        }
        write!(f, "{}", self.kind)
    }
}

/// Why a configuration cannot be used: all of its problems, one per line.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(problems))]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        debug_assert!(!problems.is_empty(), "an error has a reason");
        Self { problems }
    }

    /// The problems in the order of their lines; never empty.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Debug for ConfigError {
    /// The message as it is, since tests mostly see it through `unwrap`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is wrong. `nearest` is the known name that was probably meant.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ProblemKind {
    /// Java refuses the whole file for it.
    #[error("{0}")]
    Escape(EscapeError),
    /// The text is not read at all.
    #[error("the text has {bytes} bytes, more than {most}")]
    TooLong { bytes: usize, most: usize },
    /// Flume reads other bytes than an editor shows.
    #[error(
        "the text is in UTF-16, or has zero bytes, of which Flume makes characters of their own: \
         save it as ASCII or UTF-8"
    )]
    Utf16,
    /// Flume takes it for a part of the first key.
    #[error(
        "the text begins with a byte order mark (BOM), which Flume takes for a part of the first \
         key: save it without one"
    )]
    ByteOrderMark,
    /// In Java as here.
    #[error(
        "has a backslash, which begins an escape in property files: it is read as {:?}; write / or \
         \\\\ for each backslash", cut(.read))]
    LostBackslash { read: String },
    /// The file means something else to Flume.
    #[error("Flume reads property files as ISO-8859-1: write \\u{0:04X} for {1:?}", *.found as u32, .found)]
    NotAscii { found: char },
    /// The later line counts, in Java as here.
    #[error("is set again, after line {first}, which no longer counts")]
    SetAgain { first: u32 },
    /// Flume ignores the line.
    #[error("has no value")]
    EmptyValue,
    /// Flume ignores the line.
    #[error("has no agent name: keys start with NAME. as in \"a1.sources\"")]
    NoAgentName,
    /// The agent asked for is not in the text.
    #[error("there is no agent {name:?}{}", found(.others, .nearest))]
    NoSuchAgent {
        name: String,
        others: Vec<String>,
        nearest: Option<String>,
    },
    /// A key of another agent that has no components: probably misspelt.
    #[error("there is no agent {name:?} with components{}", hint(.nearest))]
    StrayAgent {
        name: String,
        nearest: Option<String>,
    },
    /// Another agent of the same file.
    #[error("agent {name:?} is configured here, too; it is neither checked nor started")]
    OtherAgent { name: String },
    /// Neither a list of components nor a key of one.
    #[error(
        "is no key of an agent: use channels, sources, sinks, sinkgroups \
         and e.g. sources.NAME.KEY{}", hint(.nearest))]
    UnknownGroup { nearest: Option<String> },
    /// In a list, but no key configures it.
    #[error("{name:?} is listed, but no key configures it{}", hint(.nearest))]
    NotConfigured {
        name: String,
        nearest: Option<String>,
    },
    /// Configured, but in no list, so Flume ignores it.
    #[error("{name:?} is configured, but not listed in {list}{}", hint(.nearest))]
    NotListed {
        name: String,
        list: String,
        nearest: Option<String>,
    },
    /// Twice in one list.
    #[error("{name:?} is listed twice")]
    ListedTwice { name: String },
    /// Bounds the work that a hostile text can make.
    #[error("lists more than {most} names")]
    TooManyNames { most: usize },
    /// A key that must be set is not.
    #[error("is not set, and must be")]
    Missing,
    /// No component of this type knows the key.
    #[error("is unknown for {of}{}", hint(.nearest))]
    UnknownKey { of: String, nearest: Option<String> },
    /// Flume cannot read the value either, or reads it as something else.
    #[error("is {:?}, but must be {expected}", cut(.value))]
    BadValue { value: String, expected: String },
    /// The value is brought within its bounds, silently in Flume.
    #[error("is {given}, taken as {taken}")]
    Adjusted { given: i64, taken: i64 },
    /// Accepted, and without effect.
    #[error("has no effect here: {why}")]
    NoEffect { why: &'static str },
    /// Flume has it; the mini-agent does not.
    #[error("the {what} {name:?} is a real Flume {what} that the mini-agent leaves out")]
    LeftOut { what: &'static str, name: String },
    /// A class of the user's own.
    #[error("the {what} {name:?} looks like a Java class; the mini-agent loads none")]
    JavaClass { what: &'static str, name: String },
    /// Flume does not have it either.
    #[error("there is no {what} {name:?}{}", hint(.nearest))]
    UnknownType {
        what: &'static str,
        name: String,
        nearest: Option<String>,
    },
    /// A reference that leads nowhere.
    #[error("there is no {what} {name:?} here{}", hint(.nearest))]
    NoSuchComponent {
        what: &'static str,
        name: String,
        nearest: Option<String>,
    },
    /// Lenient only: what it refers to was dropped.
    #[error("the {what} {name:?} was dropped")]
    Dropped { what: &'static str, name: String },
    /// Flume splits such lists at each single space.
    #[error("Flume splits this list at single spaces: write {written:?}")]
    NotSingleSpaced { written: String },
    /// The rule of both channels.
    #[error("transactionCapacity {transaction_capacity} is more than capacity {capacity}")]
    TransactionOverCapacity {
        transaction_capacity: usize,
        capacity: usize,
    },
    /// The sink could never take a full batch.
    #[error(
        "the batch size {batch_size} is more than the transactionCapacity \
         {transaction_capacity} of channel {channel:?}: lower the one or raise the other"
    )]
    BatchOverTransaction {
        batch_size: usize,
        transaction_capacity: usize,
        channel: String,
    },
    /// A sink belongs to one group at most.
    #[error("the sink {sink:?} belongs to group {group:?} already")]
    InAnotherGroup { sink: String, group: String },
    /// Flume takes such a sink for a group that runs already.
    #[error("Flume never runs a sink outside of groups that has the name of a group: rename one")]
    NamedAsGroup,
    /// The processor does not go with that many sinks.
    #[error("the {processor} processor needs {needs}, not {given} sinks")]
    SinkCount {
        processor: &'static str,
        needs: &'static str,
        given: usize,
    },
    /// Flume keeps one sink per priority and never uses the other.
    #[error(
        "the sinks {kept:?} and {lost:?} both have priority {priority}: the latter is never used"
    )]
    SamePriority {
        kept: String,
        lost: String,
        priority: i32,
    },
    /// Flume removes such a channel.
    #[error("no source and no sink uses the channel")]
    Unused,
    /// A name that could not be written in a property file.
    #[error("{name:?} is no name: use letters, digits, '-' and '_'")]
    BadName { name: String },
    /// Two components of one kind with one name.
    #[error("there are two of this name")]
    SameName,
    /// `${env:X}` without such a variable.
    #[error("the environment variable {name:?} is not set")]
    NoVariable { name: String },
    /// A variable with variables in its value, which Flume resolves and we do not.
    #[error("the environment variable {name:?} has a variable in its value")]
    NestedVariable { name: String },
    /// A `${...}` other than `${env:...}`.
    #[error(
        "\"${{{name}}}\" cannot be resolved: only ${{env:NAME}} and ${{env:NAME:-DEFAULT}} can"
    )]
    UnknownLookup { name: String },
    /// The values grow beyond all measure.
    #[error("the values have more than {most} bytes once variables are put in")]
    ValuesTooLong { most: usize },
    /// Nothing would run.
    #[error("nothing is left to run: {why}")]
    NothingLeft { why: &'static str },
}

/// What is wrong with an escape.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EscapeError {
    /// `\u` without four hexadecimal digits.
    #[error(
        "\\u needs four hexadecimal digits after it; write \\\\u for a backslash and a u, or / in a path"
    )]
    Malformed,
    /// Half of a surrogate pair.
    #[error("\\u{0:04X} is one half of a pair that makes a character: write both or neither")]
    HalfCharacter(u16),
}

impl fmt::Debug for ProblemKind {
    /// The message as it is, since tests mostly see it through `unwrap`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for EscapeError {
    /// The message as it is, since tests mostly see it through `unwrap`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Bytes of a value or key that a message shows.
const SHOWN_MAX: usize = 80;

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}...", text.split_at(end).0),
        None => text.to_owned(),
    }
}

fn hint(nearest: &Option<String>) -> String {
    let hint = nearest
        .as_ref()
        .map(|name| format!("; did you mean {name:?}?"));
    hint.unwrap_or_default()
}

fn found(others: &[String], nearest: &Option<String>) -> String {
    if others.is_empty() {
        return ": no agent is configured".to_owned();
    }
    let others: Vec<_> = others.iter().map(|name| format!("{name:?}")).collect();
    format!(": the text has {}{}", others.join(", "), hint(nearest))
}

fn lines(problems: &[Problem]) -> String {
    if let [problem] = problems {
        return problem.to_string();
    }
    let lines: String = problems
        .iter()
        .map(|problem| format!("\n  {problem}"))
        .collect();
    format!("the configuration has {} problems:{lines}", problems.len())
}

/// A [`Problem`] before its line is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    pub(super) key: String,
    pub(super) kind: ProblemKind,
}

impl Finding {
    pub(super) fn error(key: impl Into<String>, kind: ProblemKind) -> Self {
        Self {
            severity: Severity::Error,
            key: key.into(),
            kind,
        }
    }

    #[cfg(feature = "properties")]
    pub(super) fn warning(key: impl Into<String>, kind: ProblemKind) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(key, kind)
        }
    }

    #[cfg(feature = "properties")]
    pub(super) fn note(key: impl Into<String>, kind: ProblemKind) -> Self {
        Self {
            severity: Severity::Note,
            ..Self::error(key, kind)
        }
    }
}

pub(super) fn bad_value(value: &str, expected: &str) -> ProblemKind {
    ProblemKind::BadValue {
        value: value.to_owned(),
        expected: expected.to_owned(),
    }
}
