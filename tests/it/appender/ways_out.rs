//! Each way out of a program, with each front end, with a spool and without.

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use flume_client::Client;
use flume_mini_agent::MiniAgent;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::PATIENCE;

const EVENTS: usize = 1000;
const FRONT_ENDS: [&str; 3] = ["tracing", "log", "slog"];

/// How much arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrives {
    All,
    /// Some of the first ones. All of it was in the linger time.
    Some,
}

use Arrives::{All, Some as Part};

/// Way, with a spool and no agent, without a spool and with an agent, how the process ends.
const WAYS: [(&str, Arrives, Arrives, Ends); 14] = [
    ("return", All, All, Ends::Well),
    ("close", All, All, Ends::Well),
    ("block_on", All, All, Ends::Well),
    ("dropped runtime", All, All, Ends::Well),
    ("panic", All, All, Ends::Panicking),
    ("exit", Part, Part, Ends::Well),
    ("exit, at exit", All, Part, Ends::Well),
    ("exit after flush_all", All, All, Ends::Well),
    ("forgotten guard", Part, Part, Ends::Well),
    ("forgotten guard, at exit", All, Part, Ends::Well),
    ("abort", Part, Part, Ends::Killed),
    ("abort in a panic, with the hook", All, Part, Ends::Killed),
    ("kill", Part, Part, Ends::Killed),
    ("kill after an error", All, Part, Ends::Killed),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Well,
    Panicking,
    Killed,
}

impl Ends {
    fn of(status: ExitStatus) -> Self {
        match status.code() {
            Some(0) => Self::Well,
            Some(_) => Self::Panicking,
            None => Self::Killed,
        }
    }
}

fn run(front_end: &str, way: &str, agent: &str, spool: Option<&Path>) -> Ends {
    let mut command = Command::new(env!("CARGO_BIN_EXE_way-out"));
    command.args([front_end, way, &EVENTS.to_string(), agent]);
    command.args(spool);
    // What it says there is no matter of these tests.
    command.stderr(Stdio::null());
    Ends::of(command.status().unwrap())
}

/// Checks that the first lines have come, each once and in order, and of a panic its message.
fn check(agent: &MiniAgent, arrives: Arrives, what: &str) {
    let panics = usize::from(what.contains("with the hook"));
    if arrives == All {
        agent.wait_for(EVENTS + panics, PATIENCE).unwrap();
    }
    let bodies = bodies(agent);
    let messages: Vec<_> = bodies
        .iter()
        .map(|it| it["msg"].as_str().unwrap())
        .collect();
    let (lines, rest): (Vec<&str>, Vec<&str>) =
        messages.iter().partition(|it| it.starts_with("line "));
    let expected = (0..lines.len()).map(|n| format!("line {n}"));
    assert!(
        lines.iter().eq(expected.collect::<Vec<_>>().iter()),
        "{what}: {lines:?}"
    );
    if arrives == All {
        assert_eq!(lines.len(), EVENTS, "{what}");
        assert_eq!(rest, ["on purpose"][..panics], "{what}");
    }
}

fn bodies(agent: &MiniAgent) -> Vec<Value> {
    let events = agent.received();
    let bodies = events
        .iter()
        .map(|event| serde_json::from_slice(event.body()));
    bodies.map(Result::unwrap).collect()
}

#[test]
fn with_a_spool_each_way_out_leaves_to_the_next_process_what_it_promises() {
    for (way, arrives, _, ends) in WAYS {
        for front_end in FRONT_ENDS {
            let what = format!("{front_end}, {way}");
            let mut agent = MiniAgent::builder().start().unwrap();
            agent.stop();
            let spool = TempDir::new().unwrap();
            let ended = run(front_end, way, &agent.url(), Some(spool.path()));
            assert_eq!(ended, ends, "{what}");
            agent.restart().unwrap();
            let next = Client::builder().agent(agent.url()).spool(spool.path());
            let next = next.spool_free_bytes(0).build().unwrap();
            next.flush(PATIENCE).wait().unwrap();
            check(&agent, arrives, &what);
        }
    }
}

#[test]
fn without_a_spool_each_way_out_delivers_before_the_end_what_it_promises() {
    for (way, _, arrives, ends) in WAYS {
        for front_end in FRONT_ENDS {
            let what = format!("{front_end}, {way}, in memory");
            let agent = MiniAgent::builder().start().unwrap();
            let ended = run(front_end, way, &agent.url(), None);
            assert_eq!(ended, ends, "{what}");
            check(&agent, arrives, &what);
        }
    }
}
