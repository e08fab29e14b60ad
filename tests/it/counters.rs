//! The counters balance at every moment, whatever happens.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use flume_client::{Client, Event, Reliability};

use crate::support::{Agent, Answer, GOOD, PATIENCE, Script, assert_each_at_least_once, client_of};

const THREADS: u64 = 4;
const EVENTS_PER_THREAD: u64 = 2500;
const EVENTS: u64 = THREADS * EVENTS_PER_THREAD;
const BUFFER_BYTES: usize = 64 * 1024;

/// Each connection does a little and fails in its own way.
fn flapping_agent() -> Agent {
    use Answer::{Closed, Error, Failed, HalfThenClosed, Ok, OkThenClosed, StoredThenClosed};
    let connections: [&'static [Answer]; 7] = [
        &[Ok, Ok, Failed, Ok, StoredThenClosed],
        &[Ok, Ok, Ok, OkThenClosed],
        &[Closed],
        &[Ok, Error("no"), Failed, Ok, Ok, Closed],
        &[Ok, Ok, Ok, Ok, Ok, HalfThenClosed],
        &[OkThenClosed],
        &[Ok, Failed, Failed, Failed, StoredThenClosed],
    ];
    let scripts: Vec<_> = connections.map(|first| Script { first, ..GOOD }).repeat(3);
    Agent::scripted(scripts)
}

/// Looks at the counters until told to stop, at least once.
fn sample(client: &Client, stop: &AtomicBool) {
    loop {
        let stats = client.stats();
        let known = stats.delivered + stats.pending + stats.lost.total();
        assert_eq!(stats.accepted, known, "{stats:?}");
        assert!(stats.pending_bytes <= BUFFER_BYTES, "{stats:?}");
        let by_agent: u64 = stats.agents.iter().map(|agent| agent.delivered).sum();
        assert_eq!(stats.delivered, by_agent, "{stats:?}");
        if stop.load(Ordering::Relaxed) {
            return;
        }
        thread::yield_now();
    }
}

/// Four threads append while two look on. Returns the client when all is appended.
fn run(reliability: Reliability, agent: &Agent) -> Client {
    let client = client_of(&[agent])
        .reliability(reliability)
        .buffer_bytes(BUFFER_BYTES)
        .event_bytes(4096)
        .batch_events(50)
        .build()
        .unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let samplers = [(); 2].map(|()| scope.spawn(|| sample(&client, &stop)));
        let appenders: Vec<_> = (0..THREADS)
            .map(|thread| {
                let client = &client;
                scope.spawn(move || {
                    for number in 0..EVENTS_PER_THREAD {
                        let number = thread * EVENTS_PER_THREAD + number;
                        let event = Event::new(format!("event {number:<50}"));
                        drop(client.append_within(event, PATIENCE).unwrap());
                    }
                })
            })
            .collect();
        let appended: Vec<_> = appenders
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect();
        let flushed = client.flush(PATIENCE).wait();
        stop.store(true, Ordering::Relaxed);
        assert!(appended.iter().all(Result::is_ok));
        assert!(samplers.into_iter().all(|sampler| sampler.join().is_ok()));
        flushed.unwrap();
    });
    client
}

#[test]
fn retried_events_are_in_exactly_one_counter_at_every_moment() {
    let agent = flapping_agent();
    let client = run(Reliability::InMemory, &agent);
    let report = client.close(PATIENCE).wait();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.delivered, EVENTS);
    assert_each_at_least_once(agent.stored(), EVENTS);
}

#[test]
fn best_effort_events_are_in_exactly_one_counter_at_every_moment() {
    let agent = flapping_agent();
    let client = run(Reliability::BestEffort, &agent);
    let report = client.close(PATIENCE).wait();
    assert_eq!(report.delivered + report.lost.total(), EVENTS);
    assert!(
        report.lost.rejected > 0 && report.lost.unknown > 0,
        "{report:?}"
    );

    let mut stored = agent.stored();
    let received = stored.len();
    stored.sort_unstable();
    stored.dedup();
    assert_eq!(stored.len(), received, "best effort sends nothing twice");
    let (least, most) = (report.delivered, report.delivered + report.lost.unknown);
    assert!(
        (least..=most).contains(&(received as u64)),
        "{received} came, {report:?}"
    );
}
