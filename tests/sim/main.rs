//! A short run of the delivery core's simulator. `cargo run --release --bin sim` is the long one.

use std::time::{SystemTime, UNIX_EPOCH};

use flume_tests::sim;

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

#[test]
fn a_seed_gives_the_same_run_twice() {
    for seed in 0..20 {
        let run = || sim::run(seed, false).expect("it keeps every promise").hash;
        assert_eq!(run(), run(), "seed {seed}");
    }
}
