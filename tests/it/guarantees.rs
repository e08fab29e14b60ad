//! The page that users decide by names its tests; they must be there.

use std::fs;
use std::path::Path;
use std::process::{Command, abort};

use flume_client::Reliability;

use crate::support::{Agent, GOOD, PATIENCE, append_all, client_at, client_of};

fn page() -> String {
    fs::read_to_string(root().join("GUARANTEES.md")).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The names of links in a text of the page, and where they lead.
fn links(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let ends = text.split("](");
    ends.clone().zip(ends.skip(1)).map(|(before, after)| {
        let name = before.rsplit('[').next().unwrap();
        (name, after.split(')').next().unwrap())
    })
}

#[test]
fn every_test_that_the_guarantees_name_is_in_the_file_that_they_name() {
    let mut named = 0;
    for (name, path) in links(&page()) {
        let file = fs::read_to_string(root().join(path));
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
fn every_cell_of_fault_and_level_names_what_shows_it() {
    let page = page();
    let (_, table) = page.split_once("## Fault by fault").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| fault "))
        .map(|line| line.trim_matches('|').split(" | ").collect())
        .collect();
    assert!(rows.len() >= 30, "{} faults", rows.len());
    for row in rows {
        assert_eq!(row.len(), 5, "a fault and four levels: {row:?}");
        for cell in &row[1..] {
            let shows = |(_, path): (&str, &str)| path.contains("tests");
            let is_shown = cell.trim() == "not touched" || links(cell).any(shows);
            assert!(is_shown, "{}: no test for {cell:?}", row[0]);
        }
    }
}

#[test]
fn client_and_appender_are_held_to_the_lints_of_the_workspace_but_for_one_module_with_unsafe_code()
{
    let lints = |file: &str, table: &str| -> Vec<String> {
        let text = fs::read_to_string(root().join(file)).unwrap();
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
