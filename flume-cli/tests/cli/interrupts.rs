//! Ctrl-C once and twice.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::bad_server::{SILENT, bad_server, wait_for_connection};
#[cfg(target_os = "linux")]
use crate::support::command::ignores_hang_ups;
use crate::support::command::{Running, command};
use crate::support::{PATIENCE, agent, distinct, numbered};

#[test]
fn the_first_interrupt_sends_what_was_read_and_ends() {
    let agent = agent();
    let mut running = Running::start(command(["send", "--agent", &agent.url(), "--json"]));
    running.write(&numbered(1_234));
    running.write(b"a line that is not complete");
    agent.wait_for(1_234, PATIENCE).unwrap();
    running.signal("INT");
    let run = running.finish();
    run.check(
        130,
        &[
            "interrupted: sending what was read",
            "all 1,234 events delivered",
        ],
    );
    run.check(130, &["reading stopped after line 1,234 of standard input"]);
    assert_eq!(run.json()["delivered"], 1_234);
    assert_eq!(distinct(&agent.received()), 1_234);
}

#[test]
fn a_termination_is_an_interrupt_too() {
    let agent = agent();
    let mut running = Running::start(command(["send", "--agent", &agent.url()]));
    running.write(&numbered(10));
    agent.wait_for(10, PATIENCE).unwrap();
    running.signal("TERM");
    running.finish().check(130, &["all 10 events delivered"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_hang_up_is_an_interrupt_too_and_however_often_it_comes_never_ends_at_once() {
    if ignores_hang_ups() {
        return;
    }
    let server = bad_server(SILENT);
    let args = [
        "send",
        "--agent",
        &server.url(),
        "--timeout",
        "3s",
        "--json",
    ];
    let mut running = Running::start(command(args));
    running.write(&numbered(10));
    wait_for_connection(&server);
    running.signal("HUP");
    running.wait_for_stderr("interrupted: sending what was read");
    // A terminal that goes sends one, and the shell in it another.
    running.signal("HUP");
    let run = running.finish();
    run.check(130, &["10 lost", "gave up after 3 s"]);
    assert_eq!(run.json()["lost"]["total"], 10);
}

#[cfg(target_os = "linux")]
#[test]
fn a_command_that_was_started_to_outlive_its_terminal_ignores_hang_ups() {
    let agent = agent();
    let args = ["nohup", env!("CARGO_BIN_EXE_flume"), "send", "--agent"];
    let mut nohup = Command::new("env");
    nohup.args(args).arg(agent.url()).env_remove("FLUME_AGENT");
    let mut running = Running::start(nohup);
    running.write(&numbered(10));
    agent.wait_for(10, PATIENCE).unwrap();
    running.signal("HUP");
    running.write(&numbered(5));
    agent.wait_for(15, PATIENCE).unwrap();
    running.close_stdin();
    let run = running.finish();
    run.check(0, &["all 15 events delivered"]);
}

#[test]
fn after_an_interrupt_the_time_out_still_holds() {
    let server = bad_server(SILENT);
    let args = [
        "send",
        "--agent",
        &server.url(),
        "--timeout",
        "500ms",
        "--json",
    ];
    let mut running = Running::start(command(args));
    running.write(&numbered(10));
    wait_for_connection(&server);
    running.signal("INT");
    let run = running.finish();
    run.check(130, &["interrupted", "10 lost", "gave up after 500 ms"]);
    assert_eq!(run.json()["lost"]["total"], 10);
}

#[test]
fn the_second_interrupt_ends_at_once() {
    let server = bad_server(SILENT);
    let args = ["send", "--agent", &server.url(), "--timeout", "1h"];
    let mut running = Running::start(command(args));
    running.write(&numbered(10));
    wait_for_connection(&server);
    running.signal("INT");
    running.wait_for_stderr("Ctrl-C again ends at once");
    let second = Instant::now();
    running.signal("INT");
    running.finish().check(130, &[]);
    assert!(
        second.elapsed() < Duration::from_secs(10),
        "{:?}",
        second.elapsed()
    );
}
