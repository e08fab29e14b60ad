//! The bound of the buffer, and what `append` hands back.

use std::thread;
use std::time::Duration;

use flume_client::error::Refusal;
use flume_client::{Client, DeliveryError, Event, Overflow, Reliability, WindowMode};
use flume_tests::wait_until;

use crate::support::{
    Agent, Answer, HOUR, PATIENCE, answers, append_all, assert_each_once, block_on, client_of,
    current_thread, event, one_worker, run_in,
};

/// An event of 1,004 bytes: no header, two bytes of length, the body.
fn kilobyte(number: u64) -> Event {
    let event = Event::new(format!("event {number:<995}"));
    assert_eq!(event.as_datum().len(), 1004);
    event
}

/// A client with room for ten events of 1,004 bytes.
fn small(agent: &Agent) -> Client {
    small_at(Reliability::InMemory, agent)
}

fn small_at(level: Reliability, agent: &Agent) -> Client {
    let builder = client_of(&[agent]).event_bytes(2000).buffer_bytes(10_100);
    builder.reliability(level).build().unwrap()
}

fn held_agent() -> Agent {
    Agent::scripted([answers(Answer::OkWhenReleased)])
}

#[test]
fn a_full_buffer_hands_the_event_back_unchanged() {
    let agent = held_agent();
    let client = small(&agent);
    for number in 0..10 {
        drop(client.append(kilobyte(number)).unwrap());
    }
    let event = kilobyte(10).header("host", "web-1");
    let error = client.append(event.clone()).unwrap_err();
    assert!(error.is_retryable());
    let (used, capacity) = (10_040, 10_100);
    let needed = event.as_datum().len();
    assert_eq!(
        *error.refusal(),
        Refusal::Full {
            used,
            capacity,
            needed,
            trouble: None,
        }
    );
    assert!(error.into_event() == event);
    let stats = client.stats();
    assert_eq!(
        (stats.accepted, stats.pending, stats.refused.full),
        (10, 10, 1)
    );
    assert_eq!(stats.pending_bytes, 10_040);
    agent.release();
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(agent.stored(), 10);
}

#[test]
fn a_smaller_event_still_fits_into_what_is_left() {
    let agent = held_agent();
    let client = small(&agent);
    for number in 0..10 {
        drop(client.append(kilobyte(number)).unwrap());
    }
    drop(client.append(event(10)).unwrap());
    drop(client.append(kilobyte(11)).unwrap_err());
    agent.release();
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(agent.stored(), 11);
}

#[test]
fn waiting_appends_go_on_when_acknowledgements_make_room() {
    let agent = held_agent();
    let client = small(&agent);
    thread::scope(|scope| {
        for thread in 0..4 {
            let client = &client;
            scope.spawn(move || {
                for number in 0..50 {
                    let event = kilobyte(thread * 50 + number);
                    drop(client.append_within(event, PATIENCE).unwrap());
                }
            });
        }
        agent.wait_for_requests(1);
        agent.release();
    });
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(agent.stored(), 200);
}

#[test]
fn a_waiting_append_gives_the_event_back_when_no_room_comes() {
    let agent = held_agent();
    let client = small(&agent);
    for number in 0..10 {
        drop(client.append(kilobyte(number)).unwrap());
    }
    for timeout in [0, 10].map(Duration::from_millis) {
        let error = client.append_within(kilobyte(10), timeout).unwrap_err();
        assert!(matches!(error.refusal(), Refusal::Full { .. }));
        assert!(error.into_event() == kilobyte(10));
    }
}

#[test]
fn ready_resolves_for_tasks_and_threads_when_there_is_room() {
    let agent = held_agent();
    let client = small(&agent);
    assert!(client.ready(1004).wait(Duration::ZERO), "there is room");
    for number in 0..10 {
        drop(client.append(kilobyte(number)).unwrap());
    }
    assert!(
        !client.ready(1004).wait(Duration::from_millis(5)),
        "it is full"
    );
    thread::scope(|scope| {
        let waiting = scope.spawn(|| block_on(client.ready(1004)));
        assert!(!waiting.is_finished());
        agent.release();
        assert!(client.ready(1004).wait(PATIENCE));
        waiting.join().unwrap();
    });
    drop(client.append(kilobyte(10)).unwrap());
}

#[test]
fn ready_resolves_when_the_client_is_closed() {
    let agent = held_agent();
    let client = small(&agent);
    for number in 0..10 {
        drop(client.append(kilobyte(number)).unwrap());
    }
    let ready = client.ready(1004);
    drop(client.close(HOUR));
    assert!(ready.wait(PATIENCE), "told before the close is through");
    let error = client.append_within(kilobyte(10), PATIENCE).unwrap_err();
    assert_eq!(*error.refusal(), Refusal::Closed);
    agent.release();
}

#[test]
fn an_event_over_the_limit_is_handed_back_and_will_never_fit() {
    check_event_over_the_limit(Reliability::InMemory);
}

#[test]
fn at_best_effort_an_event_over_the_limit_is_handed_back_and_will_never_fit() {
    check_event_over_the_limit(Reliability::BestEffort);
}

fn check_event_over_the_limit(level: Reliability) {
    let agent = Agent::good();
    let client = small_at(level, &agent);
    let event = Event::new(vec![1; 1998]);
    let bytes = event.as_datum().len();
    let error = client.append(event.clone()).unwrap_err();
    assert_eq!(*error.refusal(), Refusal::TooLarge { bytes, limit: 2000 });
    assert!(!error.is_retryable());
    let error = client.append_within(error.into_event(), HOUR).unwrap_err();
    assert!(error.into_event() == event);
    assert_eq!(client.stats().refused.too_large, 2);
    drop(client.append(Event::new(vec![1; 1997])).unwrap());
    assert!(client.close(PATIENCE).wait().is_complete());
}

#[test]
fn an_event_with_a_broken_header_is_handed_back() {
    check_broken_header(Reliability::InMemory);
}

#[test]
fn at_best_effort_an_event_with_a_broken_header_is_handed_back() {
    check_broken_header(Reliability::BestEffort);
}

fn check_broken_header(level: Reliability) {
    let agent = Agent::good();
    let client = small_at(level, &agent);
    for event in [event(0).header("", "v"), event(0).header("k", "a\0b")] {
        let error = client.append(event.clone()).unwrap_err();
        assert!(matches!(error.refusal(), Refusal::Header(_)), "{error}");
        assert!(!error.is_retryable());
        assert!(error.into_event() == event);
    }
    assert_eq!(client.stats().refused.header, 2);
    assert_eq!(client.stats().accepted, 0);
}

#[test]
fn a_batch_is_taken_whole_or_not_at_all() {
    let agent = held_agent();
    let client = small(&agent);
    let receipts = client.append_batch((0..6).map(kilobyte).collect()).unwrap();
    assert_eq!(receipts.len(), 6);

    let more: Vec<_> = (6..11).map(kilobyte).collect();
    let error = client.append_batch(more.clone()).unwrap_err();
    assert!(matches!(
        error.refusal(),
        Refusal::Full { needed: 5020, .. }
    ));
    assert!(error.is_retryable());
    assert!(error.into_events() == more);

    let mixed = vec![
        kilobyte(6),
        event(7).header("", "v"),
        Event::new(vec![0; 4000]),
    ];
    let error = client.append_batch(mixed.clone()).unwrap_err();
    assert_eq!(error.index(), 1);
    assert!(matches!(error.refusal(), Refusal::Header(_)));
    assert!(error.to_string().contains("none of 3 events"), "{error}");
    assert!(error.into_events() == mixed);

    let stats = client.stats();
    assert_eq!(
        (stats.accepted, stats.refused.full, stats.refused.header),
        (6, 5, 3)
    );
    assert_eq!(client.append_batch(Vec::new()).unwrap().len(), 0);
    agent.release();
    for receipt in receipts {
        receipt.wait(PATIENCE).unwrap();
    }
    assert_each_once(agent.stored(), 6);
}

#[test]
fn a_batch_fits_exactly_and_room_is_given_back_to_the_last_byte() {
    let agent = Agent::good();
    let builder = client_of(&[&agent]).event_bytes(2000).buffer_bytes(10_040);
    let client = builder.build().unwrap();
    for round in 0..3 {
        let events = (round * 10..(round + 1) * 10).map(kilobyte).collect();
        drop(client.append_batch(events).unwrap());
        client.flush(PATIENCE).wait().unwrap();
        assert_eq!(client.stats().pending_bytes, 0);
    }
    append_all(&client, 30..35);
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(agent.stored(), 35);
}

#[test]
fn a_batch_larger_than_the_whole_buffer_is_not_worth_another_try() {
    let agent = Agent::good();
    let client = small(&agent);
    let error = client
        .append_batch((0..11).map(kilobyte).collect())
        .unwrap_err();
    let (bytes, limit) = (11 * 1004, 10_100);
    assert_eq!(*error.refusal(), Refusal::TooLarge { bytes, limit });
    assert!(!error.is_retryable());
}

#[test]
fn a_buffer_smaller_than_a_batch_does_not_wait_for_the_batch_to_fill() {
    let agent = Agent::good();
    let builder = client_of(&[&agent]).linger(HOUR);
    let client = builder
        .event_bytes(2000)
        .buffer_bytes(10_100)
        .build()
        .unwrap();
    for number in 0..100 {
        drop(client.append_within(kilobyte(number), PATIENCE).unwrap());
    }
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(agent.stored(), 100);
}

#[test]
fn a_full_buffer_that_drops_the_oldest_keeps_the_newest_and_counts_the_others() {
    let agent = Agent::scripted([answers(Answer::OkWhenReleased)]);
    let client = client_of(&[&agent])
        .event_bytes(1000)
        .buffer_bytes(4000)
        .batch_events(1)
        .window(WindowMode::Ordered)
        .overflow(Overflow::DropOldest)
        .build()
        .unwrap();
    let large = |number: u64| Event::new(format!("event {number} {}", "x".repeat(90)));
    let sent = client.append(large(0)).unwrap();
    agent.wait_for_requests(1);
    let receipts: Vec<_> = (1..200)
        .map(|number| client.append_within(large(number), PATIENCE).unwrap())
        .collect();
    assert_eq!(receipts[0].wait(PATIENCE), Err(DeliveryError::Shed));
    agent.release();
    sent.wait(PATIENCE).unwrap();
    receipts.last().unwrap().wait(PATIENCE).unwrap();
    client.flush(PATIENCE).wait().unwrap();
    let stored = agent.stored();
    let stats = client.stats();
    assert_eq!(stats.lost.shed, 200 - stored.len() as u64);
    assert_eq!(stats.lost.total(), stats.lost.shed);
    assert!((20..40).contains(&stored.len()), "{stored:?}");
    let newest: Vec<u64> = (201 - stored.len() as u64..200).collect();
    assert_eq!(stored, [&[0], newest.as_slice()].concat());
}

#[test]
fn a_batch_that_may_block_waits_for_room_for_all_of_it() {
    let agent = held_agent();
    let builder = client_of(&[&agent]).event_bytes(2000).buffer_bytes(10_040);
    let client = builder.overflow(Overflow::Block(PATIENCE)).build().unwrap();
    drop(
        client
            .append_batch((0..10).map(kilobyte).collect())
            .unwrap(),
    );
    thread::scope(|scope| {
        let waiting = scope.spawn(|| client.append_batch((10..19).map(kilobyte).collect()));
        let is_refused = || client.stats().refused.full > 0;
        wait_until("a first try", PATIENCE, is_refused).unwrap();
        agent.release();
        assert_eq!(waiting.join().unwrap().unwrap().len(), 9);
    });
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(agent.stored(), 19);
}

#[test]
fn a_batch_that_may_block_comes_back_when_there_is_no_room_in_time() {
    let agent = held_agent();
    let builder = client_of(&[&agent]).event_bytes(2000).buffer_bytes(10_040);
    let limit = Duration::from_millis(10);
    let client = builder.overflow(Overflow::Block(limit)).build().unwrap();
    drop(
        client
            .append_batch((0..10).map(kilobyte).collect())
            .unwrap(),
    );
    let error = client
        .append_batch(vec![kilobyte(10), kilobyte(11)])
        .unwrap_err();
    assert!(error.is_retryable() && error.events().len() == 2);
    assert!(error.into_events() == [kilobyte(10), kilobyte(11)]);
}

#[test]
fn a_task_appends_when_there_is_room_and_guesses_no_bytes() {
    let agent = held_agent();
    let client = small(&agent);
    for runtime in [current_thread(), one_worker()] {
        let task = client.clone();
        let appended = runtime.spawn(async move {
            let mut receipts = Vec::new();
            for number in 0..50 {
                receipts.push(task.append_async(kilobyte(number)).await.unwrap());
            }
            let batch = (0..9).map(kilobyte).collect();
            receipts.extend(task.append_batch_async(batch).await.unwrap());
            receipts
        });
        agent.release();
        assert_eq!(run_in(&runtime, appended).unwrap().len(), 59);
    }
    let events = client.stats().accepted;
    let report = client.close(PATIENCE).wait();
    assert_eq!((report.delivered, events), (118, 118), "{report:?}");
    let error = block_on(client.append_async(kilobyte(0))).unwrap_err();
    assert_eq!(*error.refusal(), Refusal::Closed);
    assert!(*error.event() == kilobyte(0));
}
