//! Both ends of a delivery, killed again and again.

use std::path::Path;

use flume_tests::real_kill::{self, Plan};
use flume_tests::require_java;

#[test]
fn every_event_arrives_though_sender_and_agent_are_killed_again_and_again() {
    if !require_java() {
        return;
    }
    let plan = Plan {
        events: 50_000,
        agent_kills: 2,
        sender_kills: 5,
        seed: fastrand::u64(..),
    };
    let program = Path::new(env!("CARGO_BIN_EXE_flume-kill"));
    println!("{}", real_kill::run(program, &plan).unwrap());
}
