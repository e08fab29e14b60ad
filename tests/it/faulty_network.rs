//! Faults of what lies between a client and an agent that is sound, by a proxy.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use flume_client::{Backoff, Client, Reliability, Report};
use flume_tests::proxy::{Fault, Plan, Proxy, SOUND};

use crate::support::{
    ANSWER_WITHIN, Agent, PATIENCE, append_all, assert_balanced, assert_each_at_least_once,
    assert_each_once, client_at,
};

const EVENTS: u64 = 1000;
/// What a close is given, and what it may take.
const GIVEN: Duration = Duration::from_secs(5);
const PROMISED: Duration = Duration::from_millis(5200);

const FAULTS: [Fault; 9] = [
    Fault::Delay(Duration::from_millis(20)),
    Fault::Hold,
    Fault::Reset,
    Fault::HalfClose,
    Fault::Slices,
    Fault::FlippedBit(1),
    Fault::CutAnswer,
    Fault::ReplayedAnswer,
    Fault::Garbage(1),
];

/// Before the handshake is answered, after it, and when some batches are.
const SOUND_ANSWERS: [usize; 3] = [0, 1, 3];

fn plans() -> impl Iterator<Item = Plan> {
    let faults = FAULTS.into_iter();
    faults.flat_map(|fault| SOUND_ANSWERS.map(|sound| fault.after(sound)))
}

/// Whether nothing breaks.
fn is_slow(plan: Plan) -> bool {
    matches!(plan.fault, Some(Fault::Delay(_) | Fault::Slices))
}

/// Checks that a report, the counters, the receipts and the agent tell the same.
fn check_books(plan: Plan, client: &Client, report: &Report, acknowledged: u64, agent: &Agent) {
    let stats = client.stats();
    assert_balanced(&stats);
    let told = report.delivered + report.on_disk + report.lost.total() + report.pending;
    assert_eq!((told, report.pending), (EVENTS, 0), "{plan:?}: {report:?}");
    assert_eq!(stats.delivered, report.delivered, "{plan:?}");
    assert_eq!(stats.lost, report.lost, "{plan:?}");
    assert_eq!(stats.pending, report.on_disk, "{plan:?}");
    assert_eq!(acknowledged, report.delivered, "{plan:?}");
    agent.wait_for("all that was acknowledged", |state| {
        let stored: BTreeSet<_> = state.stored().into_iter().collect();
        (stored.len() as u64 >= report.delivered).then_some(())
    });
}

/// Closes a client behind a network with this fault.
fn check_close(level: Reliability, plan: Plan) {
    let agent = Agent::good();
    let proxy = Proxy::before(agent.addr(), [plan]);
    let directory = tempfile::tempdir().unwrap();
    // What a user has who sets nothing.
    let client = client_at([proxy.url()]).backoff(Backoff::default());
    let client = match level {
        Reliability::BestEffort | Reliability::InMemory => client.reliability(level),
        _ => client.spool(directory.path()).reliability(level),
    };
    let client = client.build().unwrap();
    let receipts = append_all(&client, 0..EVENTS);
    let started = Instant::now();
    let report = client.close(GIVEN).wait();
    let took = started.elapsed();
    assert!(took <= PROMISED, "{level:?}, {plan:?}: {took:?}");
    let receipts = receipts.into_iter();
    let acknowledged = receipts.filter_map(|it| it.wait(Duration::ZERO).ok());
    check_books(plan, &client, &report, acknowledged.count() as u64, &agent);
    assert!(
        report.is_complete() || !is_slow(plan),
        "{plan:?}: {report:?}"
    );
    let keeps = level == Reliability::EndToEnd;
    assert!(!keeps || report.lost.total() == 0, "{plan:?}: {report:?}");
}

fn check_closes(level: Reliability) {
    thread::scope(|scope| {
        for plan in plans() {
            scope.spawn(move || check_close(level, plan));
        }
    });
}

#[test]
fn a_close_of_5_s_at_best_effort_ends_within_5_2_s_under_every_fault_of_the_network() {
    check_closes(Reliability::BestEffort);
}

#[test]
fn a_close_of_5_s_in_memory_ends_within_5_2_s_under_every_fault_of_the_network() {
    check_closes(Reliability::InMemory);
}

#[test]
fn a_close_of_5_s_with_store_on_failure_ends_within_5_2_s_under_every_fault_of_the_network() {
    check_closes(Reliability::StoreOnFailure);
}

#[test]
fn a_close_of_5_s_end_to_end_ends_within_5_2_s_under_every_fault_of_the_network() {
    check_closes(Reliability::EndToEnd);
}

#[test]
fn a_network_without_a_fault_passes_everything_once() {
    let agent = Agent::good();
    let proxy = Proxy::before(agent.addr(), [SOUND]);
    let client = client_at([proxy.url()]).build().unwrap();
    append_all(&client, 0..EVENTS);
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(agent.stored(), EVENTS);
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn each_fault_of_the_network_costs_a_connection_at_most_and_no_event() {
    thread::scope(|scope| {
        for plan in plans() {
            scope.spawn(move || {
                let agent = Agent::good();
                let proxy = Proxy::before(agent.addr(), [plan, SOUND]);
                let client = client_at([proxy.url()]).request_timeout(ANSWER_WITHIN);
                let client = client.build().unwrap();
                append_all(&client, 0..EVENTS);
                let report = client.close(PATIENCE).wait();
                assert!(report.is_complete(), "{plan:?}: {report:?}");
                assert_each_at_least_once(agent.stored(), EVENTS);
                let broken = u64::from(!is_slow(plan));
                assert_eq!(proxy.connections() as u64, 1 + broken, "{plan:?}");
                assert_eq!(client.stats().agents[0].failures, broken, "{plan:?}");
            });
        }
    });
}
