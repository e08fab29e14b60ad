//! Arbitrary text: it may be wrong, but never harmful.

use flume_mini_agent::config::{AgentConfig, Properties};
use proptest::prelude::*;

use crate::support::AGENT;

/// Reads in both ways; whatever is read without leniency is read the same with it.
fn read(text: &str) {
    let lookup = |name: &str| (name != "NONE").then(|| name.to_owned());
    let strict = AgentConfig::reader("a1").env(lookup).read(text);
    let lenient = AgentConfig::reader("a1").env(lookup).lenient().read(text);
    match (strict, lenient) {
        (Ok(strict), lenient) => assert_eq!(Ok(strict), lenient),
        (Err(error), _) => assert!(!error.to_string().is_empty() && !error.problems().is_empty()),
    }
}

/// Lines that are almost right.
fn line() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "a1",
        "a2",
        "sources",
        "channels",
        "sinks",
        "sinkgroups",
        "r1",
        "c1",
        "k1",
        "k2",
        "g1",
        "type",
        "bind",
        "port",
        "channel",
        "avro",
        "memory",
        "logger",
        "null",
        "selector",
        "multiplexing",
        "mapping",
        "default",
        "optional",
        "interceptors",
        "i1",
        "static",
        "host",
        "processor",
        "failover",
        "load_balance",
        "priority",
        "capacity",
        "transactionCapacity",
        "batchSize",
        "0",
        "-1",
        "100",
        "99999999999999999999",
        "true",
        "${env:X}",
        "${env:NONE}",
        "${",
        "\\u00",
        "\\",
        " ",
        ".",
        "=",
        "#",
        "é",
        "",
    ]);
    let words = |count| prop::collection::vec(word.clone(), count);
    (words(0..5), words(0..4))
        .prop_map(|(key, value)| format!("{} = {}\n", key.join("."), value.join(" ")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..Default::default() })]

    #[test]
    fn arbitrary_text_never_panics(text in "(?s).{0,400}") {
        read(&text);
    }

    #[test]
    fn lines_that_are_almost_right_never_panic(lines in prop::collection::vec(line(), 0..30)) {
        read(&lines.concat());
        read(&format!("{AGENT}{}", lines.concat()));
    }

    #[test]
    fn an_agent_with_a_part_missing_never_panics(from in 0..AGENT.len(), length in 0..60_usize) {
        let to = (from + length).min(AGENT.len());
        read(&format!("{}{}", &AGENT[..from], &AGENT[to..]));
    }

    #[test]
    fn properties_hold_no_more_than_the_text(text in "[a\\\\u0-9=: \t\r\n#é]{0,200}") {
        if let Ok(properties) = Properties::parse(&text) {
            let held: usize = properties.entries().iter().map(|e| e.key.len() + e.value.len()).sum();
            prop_assert!(held <= text.len());
        }
    }
}

#[test]
fn a_text_that_is_too_long_is_refused_unread() {
    let text = format!("{AGENT}{}", "#".repeat(1024 * 1024));
    let error = AgentConfig::reader("a1").file("f").read(&text).unwrap_err();
    assert_eq!(
        error.to_string(),
        "f: the text has 1048814 bytes, more than 1048576"
    );
}

#[test]
fn long_lists_and_many_mistakes_take_time_in_proportion() {
    let names: String = (0..30_000).map(|n| format!("x{n} ")).collect();
    read(&format!("a1.channels = {names}\n"));
    read(&format!(
        "{AGENT}a1.sinkgroups = {names}\na1.sources.r1.interceptors = {names}\n"
    ));
    let keys: String = (0..5_000)
        .map(|n| format!("a1.sources.r1.interceptors.i{n}.typ = x\n"))
        .collect();
    read(&format!("{AGENT}{keys}"));
    let keys: String = (0..5_000)
        .map(|n| format!("a1.sinks.k{n}.x = x\n"))
        .collect();
    read(&format!("{AGENT}{keys}"));
    read(&format!("{AGENT}{}", "${".repeat(200_000)));
}
