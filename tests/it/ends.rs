//! Processes that end without a drop: what is on the disk is there for the next client.

use std::path::Path;
use std::process::{abort, exit};

use flume_client::{Receipt, Reliability};
use flume_tests::wait_until;
use tempfile::TempDir;

use crate::support::{
    Agent, GOOD, Other, PATIENCE, append_all, assert_each_once, client_at, tell, wait_for_end,
};

/// The ways in which a process ends of which nobody in it hears.
const ENDS: [&str; 3] = ["exit", "abort", "signal"];

/// `test` is the name of the calling test.
fn check_ends_without_a_drop(test: &str, level: Reliability) {
    let client = |url: String, directory: &Path| {
        let client = client_at([url]).spool(directory).spool_free_bytes(0);
        client.reliability(level).build().unwrap()
    };
    if let Some(role) = Other::role() {
        let [end, url, directory] = role.splitn(3, ' ').collect::<Vec<_>>()[..] else {
            unreachable!("{role}");
        };
        let client = client(url.to_owned(), Path::new(directory));
        let receipts = append_all(&client, 0..100);
        let are_there = || receipts.iter().all(Receipt::is_on_disk);
        wait_until("events on the disk", PATIENCE, are_there).unwrap();
        tell(1);
        match end {
            "exit" => exit(0),
            "abort" => abort(),
            _ => return wait_for_end(),
        }
    }
    for end in ENDS {
        let home = TempDir::new().unwrap();
        let mut agent = Agent::good();
        agent.stop();
        let role = format!("{end} {} {}", agent.url(), home.path().display());
        let mut other = Other::start(test, &role);
        assert_eq!(other.told(), 1);
        match end {
            "signal" => other.terminate(),
            _ => other.wait(),
        }
        agent.start_again([GOOD]);
        let next = client(agent.url(), home.path());
        assert_eq!(next.stats().recovered, 100, "{end}");
        assert!(next.close(PATIENCE).wait().is_complete());
        assert_each_once(agent.stored(), 100);
    }
}

#[test]
fn what_is_stored_outlives_an_exit_an_abort_and_a_signal() {
    let test = "ends::what_is_stored_outlives_an_exit_an_abort_and_a_signal";
    check_ends_without_a_drop(test, Reliability::EndToEnd);
}

#[test]
fn what_store_on_failure_has_on_the_disk_outlives_an_exit_an_abort_and_a_signal() {
    let test = "ends::what_store_on_failure_has_on_the_disk_outlives_an_exit_an_abort_and_a_signal";
    check_ends_without_a_drop(test, Reliability::StoreOnFailure);
}
