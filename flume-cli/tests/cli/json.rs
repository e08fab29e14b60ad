//! Every command that has `--json` heeds it. Commands are found in the help, so a new one must be
//! added here or this fails.

use serde_json::Value;

use crate::support::agent;
use crate::support::command::flume;
use crate::support::spool::{TestSpool, numbered_event};

/// Commands without a report: `agent` prints its address and what its sink gets. `spool` has
/// commands of its own.
const WITHOUT_JSON: [&str; 3] = ["agent", "help", "spool"];

fn commands(of: &[&str]) -> Vec<String> {
    let help = flume(&[of, &["--help"]].concat()).stdout;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = listed
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with("    "));
    names
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn no_command_ignores_json() {
    let agent = agent();
    let url = agent.url();
    let commands = commands(&[]);
    assert!(commands.len() > 3, "{commands:?}");
    for command in commands
        .iter()
        .filter(|name| !WITHOUT_JSON.contains(&name.as_str()))
    {
        let help = flume(&[command, "--help"]).stdout;
        assert!(help.contains("--json"), "{command} has no --json: {help}");
        let args: &[&str] = match command.as_str() {
            "send" => &["send", "--agent", &url, "--json"],
            "ping" => &["ping", &url, "--json"],
            "demo" => &["demo", "--json"],
            other => panic!("say here how to run {other} with --json"),
        };
        let run = flume(args);
        run.check(0, &[]);
        assert!(!run.stdout.is_empty(), "{command} prints nothing");
        for line in run.stdout.lines() {
            let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
            assert_eq!(value["schema"], 1, "{command}: {line}");
        }
    }
}

#[test]
fn no_command_for_spools_ignores_json() {
    let agent = agent();
    let url = agent.url();
    let commands = commands(&["spool"]);
    assert!(commands.len() > 5, "{commands:?}");
    for command in commands.iter().filter(|name| *name != "help") {
        let spool = TestSpool::new();
        spool.log().write(&[numbered_event(0)]);
        let beside = spool.beside("new").display().to_string();
        let dir = spool.dir();
        let own: &[&str] = match command.as_str() {
            "ls" | "inspect" | "verify" | "prune" => &[],
            "drain" => &["--agent", &url],
            "export" => &["--format", "avro", "--output", &beside],
            "repair" => &["--output", &beside],
            other => panic!("say here how to run {other} with --json"),
        };
        let run = flume(&[&["spool", command, &dir, "--json"], own].concat());
        run.check(0, &[]);
        assert_eq!(run.json()["schema"], 1, "{command}");
    }
}
