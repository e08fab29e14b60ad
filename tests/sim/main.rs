//! Short runs of the simulators. `cargo run --release --bin sim` and `--bin spool-sim` are the long
//! ones.

#[cfg(test)]
mod crafted;
#[cfg(test)]
mod damage;
#[cfg(test)]
#[cfg(unix)]
mod directory;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod names;
#[cfg(test)]
#[cfg(unix)]
mod replaced;
#[cfg(test)]
mod room;
#[cfg(test)]
mod unread;

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use flume_tests::{hallway_sim, sim, spool_sim};

fn check(seed: u64) {
    let failure = sim::run(seed, false).err();
    let text = failure.as_ref().map(ToString::to_string);
    assert!(failure.is_none(), "{}", text.unwrap_or_default());
}

#[test]
fn fixed_seeds_keep_every_promise() {
    for seed in 0..60 {
        check(seed);
    }
}

#[test]
fn fresh_seeds_keep_every_promise() {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let first = since.expect("the epoch is over").as_nanos() as u64;
    for seed in first..first + 20 {
        check(seed);
    }
}

fn check_doors(seed: u64) {
    let failure = sim::run_doors(seed, false).err();
    let text = failure.as_ref().map(ToString::to_string);
    assert!(failure.is_none(), "{}", text.unwrap_or_default());
}

#[test]
fn whatever_agents_answer_every_promise_is_kept_with_fixed_seeds() {
    // One found an agent blocked by a call beside one that it refused, and used on.
    for seed in (0..60).chain([3_271]) {
        check_doors(seed);
    }
}

#[test]
fn whatever_agents_answer_every_promise_is_kept_with_fresh_seeds() {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let first = since.expect("the epoch is over").as_nanos() as u64;
    for seed in first..first + 20 {
        check_doors(seed);
    }
}

#[test]
fn a_seed_gives_the_same_run_twice() {
    for seed in 0..20 {
        let run = || sim::run(seed, false).expect("it keeps every promise").hash;
        assert_eq!(run(), run(), "seed {seed}");
    }
}

#[test]
fn a_thousand_clients_that_lost_their_agent_for_ten_minutes_come_back_one_by_one() {
    for seed in 0..5 {
        let back = sim::come_back(seed);
        assert!(back.peak <= 0.02, "seed {seed}: {back:?}");
        assert!(back.p99.as_secs() < 35, "seed {seed}: {back:?}");
    }
}

fn check_spool(seed: u64) {
    let failure = spool_sim::run(seed).err();
    let text = failure.as_ref().map(ToString::to_string);
    assert!(failure.is_none(), "{}", text.unwrap_or_default());
}

#[test]
fn the_spool_keeps_every_promise_with_fixed_seeds() {
    // One found a spare that had the name of a segment again after a power loss, two found numbers
    // told as lost that a segment had left out which was used again, and one a file that could not
    // be read, whose events were passed as nobody's.
    for seed in (0..200).chain([69_543, 3_603, 24_453, 21_281]) {
        check_spool(seed);
    }
}

#[test]
fn the_spool_keeps_every_promise_with_fresh_seeds() {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let first = since.expect("the epoch is over").as_nanos() as u64;
    for seed in first..first + 100 {
        check_spool(seed);
    }
}

#[test]
fn the_spool_does_the_same_with_a_seed_twice() {
    for seed in 0..20 {
        let run = || spool_sim::run(seed).expect("it keeps every promise");
        assert_eq!(run(), run(), "seed {seed}");
    }
}

fn check_hallway(seed: u64) -> hallway_sim::Stats {
    let run = hallway_sim::run(seed);
    let text = run.as_ref().err().map(ToString::to_string);
    assert!(run.is_ok(), "{}", text.unwrap_or_default());
    run.unwrap_or_default()
}

/// Seeds that found something once.
const FOUND: [u64; 2] = [811, 8170];

#[test]
fn fixed_seeds_keep_every_promise_of_the_hallway() {
    for seed in (0..100).chain(FOUND) {
        check_hallway(seed);
    }
}

#[test]
fn fresh_seeds_keep_every_promise_of_the_hallway() {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let first = since.expect("the epoch is over").as_nanos() as u64;
    for seed in first..first + 50 {
        check_hallway(seed);
    }
}

#[test]
fn a_seed_gives_byte_for_byte_the_same_trace_in_two_processes() {
    for seed in ["3", "17", "100"] {
        let trace = || {
            let mut run = Command::new(env!("CARGO_BIN_EXE_hallway-sim"));
            let output = run.args(["--seed", seed, "--trace"]).output();
            let output = String::from_utf8(output.expect("it runs").stdout).expect("text");
            // The last line says how long it took.
            let end = output.trim_end().rfind('\n').expect("several lines");
            output[..end].to_owned()
        };
        let (one, other) = (trace(), trace());
        assert!(one.lines().count() > 100, "seed {seed}: {one}");
        assert_eq!(one, other, "seed {seed}");
    }
}

#[test]
fn a_seed_gives_the_same_run_of_the_hallway_twice() {
    for seed in 0..20 {
        assert_eq!(check_hallway(seed), check_hallway(seed), "seed {seed}");
    }
}
