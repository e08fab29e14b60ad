//! The page that users decide by names its tests; they must be there.

use std::fs;
use std::path::Path;
use std::process::{Command, abort};

use flume_client::Reliability;

use crate::support::{Agent, GOOD, PATIENCE, append_all, client_at, client_of};

#[test]
fn every_test_that_the_guarantees_name_is_in_the_file_that_they_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = fs::read_to_string(root.join("GUARANTEES.md")).unwrap();
    let mut named = 0;
    for link in page.split("](").zip(page.split("](").skip(1)) {
        let name = link.0.rsplit('[').next().unwrap();
        let path = link.1.split(')').next().unwrap();
        let file = fs::read_to_string(root.join(path));
        let file = file.unwrap_or_else(|error| panic!("{path}: {error}"));
        let test = name.rsplit("::").next().unwrap();
        if test.contains('_') {
            assert!(file.contains(&format!("fn {test}(")), "{test} in {path}");
            named += 1;
        }
    }
    assert!(named >= 45, "{named} tests are named");
}

#[test]
fn client_and_appender_are_held_to_the_lints_of_the_workspace_but_for_one_module_with_unsafe_code()
{
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let lints = |file: &str, table: &str| -> Vec<String> {
        let text = fs::read_to_string(root.join(file)).unwrap();
        let begin = text.find(&format!("[{table}.rust]")).unwrap();
        let lines = text[begin..].lines();
        let tables = ["rust", "rustdoc", "clippy"].map(|part| format!("[{table}.{part}]"));
        lines
            .take_while(|line| !line.starts_with('[') || tables.contains(&(*line).to_owned()))
            .filter(|line| !line.is_empty() && !line.starts_with(['#', '[']))
            .map(str::to_owned)
            .collect()
    };
    let mut all = lints("Cargo.toml", "workspace.lints");
    assert_eq!(all.remove(0), "unsafe_code = \"forbid\"");
    for file in ["flume-client/Cargo.toml", "flume-appender/Cargo.toml"] {
        let ours = lints(file, "lints");
        assert_eq!(ours[0], "unsafe_code = \"deny\"", "{file}");
        assert_eq!(ours[1..], all, "{file}");
    }
}

#[test]
fn what_is_only_in_memory_goes_with_its_process() {
    const URL: &str = "FLUME_TEST_KILLED";
    let levels = [Reliability::InMemory, Reliability::BestEffort];
    if let Ok(url) = std::env::var(URL) {
        let clients = levels.map(|level| client_at([url.clone()]).reliability(level).build());
        for client in &clients {
            append_all(client.as_ref().unwrap(), 0..100);
        }
        abort();
    }
    let mut agent = Agent::good();
    agent.stop();
    let mut killed = Command::new(std::env::current_exe().unwrap());
    let test = "guarantees::what_is_only_in_memory_goes_with_its_process";
    killed.args(["--exact", test]).env(URL, agent.url());
    assert!(!killed.output().unwrap().status.success(), "it was killed");
    agent.start_again([GOOD]);
    for (level, number) in levels.into_iter().zip(1000..) {
        let client = client_of(&[&agent]).reliability(level).build().unwrap();
        append_all(&client, number..=number);
        assert!(client.close(PATIENCE).wait().is_complete());
    }
    assert_eq!(agent.stored(), [1000, 1001]);
}
