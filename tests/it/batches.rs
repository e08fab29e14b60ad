//! What travels together, and when it leaves.

use std::thread;
use std::time::Duration;

use flume_client::{Event, Receipt, Reliability};

use crate::support::{
    Agent, Answer, HOUR, PATIENCE, Request, append_all, assert_each_once, block_on, client_of,
    event, first_answers, give_up,
};

fn wire_bytes(request: &Request) -> usize {
    request.events.iter().map(|event| event.bytes).sum()
}

#[test]
fn no_batch_has_more_events_than_allowed() {
    for limit in [1, 7, 100] {
        let agent = Agent::good();
        let client = client_of(&[&agent]).batch_events(limit).build().unwrap();
        append_all(&client, 0..500);
        assert!(client.close(PATIENCE).wait().is_complete());
        let sizes: Vec<_> = agent.requests().iter().map(|r| r.events.len()).collect();
        assert!(
            sizes.iter().all(|size| *size <= limit as usize),
            "{sizes:?}"
        );
        assert_each_once(agent.stored(), 500);
    }
}

#[test]
fn no_batch_has_more_bytes_than_allowed_unless_one_event_has_and_that_travels_alone() {
    const LIMIT: usize = 2000;
    let agent = Agent::good();
    let client = client_of(&[&agent]).batch_bytes(LIMIT as u32).build();
    let client = client.unwrap();
    let padding = "x".repeat(300);
    for number in 0..200 {
        let long = if number % 20 == 7 {
            padding.repeat(10)
        } else {
            padding.clone()
        };
        drop(
            client
                .append(Event::new(format!("event {number} {long}")))
                .unwrap(),
        );
    }
    assert!(client.close(PATIENCE).wait().is_complete());
    for request in agent.requests() {
        let (events, bytes) = (request.events.len(), wire_bytes(&request));
        assert!(
            bytes <= LIMIT || events == 1,
            "{events} events, {bytes} bytes"
        );
    }
    let alone = |r: &&Request| wire_bytes(r) > LIMIT;
    assert_eq!(agent.requests().iter().filter(alone).count(), 10);
    assert_each_once(agent.stored(), 200);
}

#[test]
fn events_that_are_appended_together_travel_together() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).linger(HOUR).build().unwrap();
    drop(client.append_batch((0..250).map(event).collect()).unwrap());
    client.flush(PATIENCE).wait().unwrap();
    let sizes: Vec<_> = agent.requests().iter().map(|r| r.events.len()).collect();
    assert_eq!(sizes, [100, 100, 50]);
}

#[test]
fn a_single_event_leaves_without_further_traffic() {
    for linger in [0, 1, 20].map(Duration::from_millis) {
        let agent = Agent::good();
        let client = client_of(&[&agent]).linger(linger).build().unwrap();
        let receipt = client.append(event(0)).unwrap();
        receipt.wait(PATIENCE).unwrap();
        assert_eq!(agent.stored(), [0]);
    }
}

#[test]
fn a_flush_sends_at_once_and_resolves_when_all_is_acknowledged() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).linger(HOUR).build().unwrap();
    append_all(&client, 0..3);
    client.flush(HOUR).wait().unwrap();
    assert_eq!(agent.stored(), [0, 1, 2]);
    append_all(&client, 3..5);
    block_on(client.flush(HOUR)).unwrap();
    assert_eq!(agent.stored(), [0, 1, 2, 3, 4]);
}

#[test]
fn a_flush_that_nobody_awaits_is_a_flush() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).linger(HOUR).build().unwrap();
    let receipt = client.append(event(0)).unwrap();
    drop(client.flush(HOUR));
    receipt.wait(PATIENCE).unwrap();
}

#[test]
fn a_flush_that_times_out_says_what_is_pending_and_loses_nothing() {
    let agent = Agent::scripted([first_answers(&[Answer::OkWhenReleased])]);
    let client = client_of(&[&agent]).build().unwrap();
    let receipts = append_all(&client, 0..3);
    let error = client.flush(Duration::from_millis(20)).wait().unwrap_err();
    assert_eq!(error.pending, 3);
    agent.release();
    for receipt in receipts {
        receipt.wait(PATIENCE).unwrap();
    }
    assert_each_once(agent.stored(), 3);
}

#[test]
fn a_full_batch_leaves_though_its_time_has_not_come() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).linger(HOUR).build().unwrap();
    let receipts = append_all(&client, 0..100);
    for receipt in receipts {
        receipt.wait(PATIENCE).unwrap();
    }
}

#[test]
fn answers_are_taken_in_while_events_never_stop_coming() {
    let agent = Agent::good();
    let client = client_of(&[&agent])
        .buffer_bytes(512 << 20)
        .build()
        .unwrap();
    let append_until_acknowledged = |first: &Receipt| {
        while first.wait(Duration::ZERO).is_err() {
            for _ in 0..100 {
                drop(client.append(event(1)).expect("room until then"));
            }
        }
    };
    let first = client.append(event(0)).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| append_until_acknowledged(&first));
        scope.spawn(|| append_until_acknowledged(&first));
    });
    drop(client.close(Duration::ZERO));
}

#[test]
fn a_batch_that_fills_up_in_two_parts_leaves_though_its_time_has_not_come() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).linger(HOUR).build().unwrap();
    append_all(&client, 100..101);
    // It is through, so the client's thread has taken in all that there was.
    let beside = client.at(Reliability::BestEffort).unwrap();
    beside.append(event(0)).unwrap().wait(PATIENCE).unwrap();
    append_all(&client, 101..200);
    agent.wait_for_requests(2);
    assert_eq!(agent.stored().len(), 101);
}

#[test]
fn a_flush_that_times_out_does_not_count_what_was_acknowledged_out_of_order() {
    use Answer::{Ok, Unanswered};
    // The first three batches open the window for the next two.
    let agent = Agent::scripted([first_answers(&[Ok, Ok, Ok, Unanswered, Ok])]);
    let client = client_of(&[&agent]).batch_events(1).build().unwrap();
    drop(client.append_batch((0..3).map(event).collect()).unwrap());
    client.flush(PATIENCE).wait().unwrap();
    let receipts = append_all(&client, 3..5);
    receipts[1].wait(PATIENCE).unwrap();
    let error = client.flush(Duration::from_millis(20)).wait().unwrap_err();
    assert_eq!(error.pending, 1);
    assert_eq!(give_up(&client, Duration::ZERO).lost.unknown, 1);
}

#[test]
fn a_batch_of_many_large_events_is_written_in_as_many_parts_as_it_takes() {
    let agent = Agent::good();
    let builder = client_of(&[&agent]).linger(HOUR).buffer_bytes(128 << 20);
    let client = builder.batch_bytes(32 << 20).build().unwrap();
    let padding = "x".repeat(200 << 10);
    let events = (0..90).map(|number| Event::new(format!("event {number} {padding}")));
    drop(client.append_batch(events.collect()).unwrap());
    client.flush(PATIENCE).wait().unwrap();
    assert_each_once(agent.stored(), 90);
    assert_eq!(agent.requests().len(), 1);
}
