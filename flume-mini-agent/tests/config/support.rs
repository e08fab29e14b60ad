//! What the tests of configurations share.

use std::fmt::Debug;

use flume_mini_agent::config::{AgentConfig, ConfigError, Loaded};

/// An agent that works: one avro source, one memory channel, one logger sink.
pub(crate) const AGENT: &str = "\
a1.sources = r1
a1.channels = c1
a1.sinks = k1
a1.sources.r1.type = avro
a1.sources.r1.bind = localhost
a1.sources.r1.port = 4141
a1.sources.r1.channels = c1
a1.channels.c1.type = memory
a1.sinks.k1.type = logger
a1.sinks.k1.channel = c1
";

/// [`AGENT`] without the lines that start with one of the keys, and with these lines behind it.
pub(crate) fn agent(without: &[&str], more: &str) -> String {
    let kept = AGENT.lines().filter(|line| {
        let starts = |key: &&str| line.starts_with(&format!("a1.{key}"));
        !without.iter().any(starts)
    });
    let mut text: String = kept.map(|line| format!("{line}\n")).collect();
    for line in more.lines() {
        text.push_str(&format!("a1.{line}\n"));
    }
    text
}

pub(crate) fn strict(text: &str) -> Result<Loaded, ConfigError> {
    AgentConfig::reader("a1").file("f").read(text)
}

pub(crate) fn lenient(text: &str) -> Loaded {
    AgentConfig::reader("a1")
        .file("f")
        .lenient()
        .read(text)
        .unwrap()
}

/// The messages of a text's problems, without file and line.
pub(crate) fn problems(text: &str) -> Vec<String> {
    let error = strict(text).expect_err(text);
    let problems = error.problems().iter();
    problems
        .map(|problem| format!("{}: {}", problem.key(), problem.kind()))
        .collect()
}

/// Asserts that these problems are found, in any order, and no others.
pub(crate) fn finds(text: &str, expected: &[&str]) {
    let mut found = problems(text);
    found.sort();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected, "\n{text}");
}

/// The notes of what was read, without file and line.
pub(crate) fn notes(loaded: &Loaded) -> Vec<String> {
    let notes = loaded.notes.iter();
    notes
        .map(|note| format!("{}: {}", note.key(), note.kind()))
        .collect()
}

pub(crate) fn same<T: PartialEq + Debug>(found: &T, expected: &T, text: &str) {
    assert_eq!(found, expected, "\n{text}");
}
