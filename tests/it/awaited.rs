//! Who waits for an event does not wait for a timer.

use std::thread;
use std::time::Duration;

use flume_client::{Client, ClientBuilder, Reliability};
use flume_tests::wait_until;

use crate::support::{
    Agent, Answer, HOUR, PATIENCE, append_all, block_on, client_of, event, first_answers,
};

/// A client of which nothing but a full batch leaves by itself.
fn lingering(agent: &Agent) -> ClientBuilder {
    client_of(&[agent]).linger(HOUR)
}

#[test]
fn an_event_that_is_waited_for_does_not_wait_for_its_batch_to_fill() {
    let directory = tempfile::tempdir().unwrap();
    let agent = Agent::good();
    let client = lingering(&agent).spool(directory.path()).build().unwrap();
    let levels = [
        Reliability::BestEffort,
        Reliability::InMemory,
        Reliability::EndToEnd,
    ];
    for (level, number) in levels.into_iter().zip([0, 10, 20]) {
        let client = client.at(level).unwrap();
        let receipt = client.append(event(number)).unwrap();
        receipt.wait(PATIENCE).unwrap();
        let receipt = client.append(event(number + 1)).unwrap();
        block_on(receipt.delivered()).unwrap();
    }
    assert_eq!(agent.stored(), [0, 1, 10, 11, 20, 21]);
}

#[test]
fn who_waits_for_an_event_brings_those_before_it_on_their_way_and_no_later_ones() {
    let agent = Agent::good();
    let client = lingering(&agent).build().unwrap();
    let receipts = append_all(&client, 0..7);
    receipts[6].wait(PATIENCE).unwrap();
    append_all(&client, 7..9);
    assert_eq!(agent.stored(), (0..7).collect::<Vec<_>>());
    assert_eq!(client.stats().pending, 2, "nobody waits for those");
    client.flush(PATIENCE).wait().unwrap();
    assert_eq!(agent.stored(), (0..9).collect::<Vec<_>>());
}

/// Appends an event and waits for it.
fn deliver(client: &Client, number: u64) {
    client
        .append(event(number))
        .unwrap()
        .wait(PATIENCE)
        .unwrap();
}

#[test]
fn callers_who_wait_for_an_event_each_share_batches_while_an_answer_is_awaited() {
    const CALLERS: u64 = 64;
    let agent = Agent::scripted([first_answers(&[Answer::OkWhenReleased])]);
    let client = lingering(&agent).build().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| deliver(&client, 0));
        agent.wait_for_requests(1);
        for number in 1..CALLERS {
            let client = &client;
            scope.spawn(move || deliver(client, number));
        }
        let all_in = || client.stats().accepted == CALLERS;
        wait_until("all callers", PATIENCE, all_in).unwrap();
        agent.release();
    });
    let batches = agent.requests().len();
    // Some callers may not have begun to wait when the answer came.
    assert!(batches <= 8, "{batches} batches of {CALLERS} events");
    assert_eq!(agent.stored().len() as u64, CALLERS);
}

#[test]
fn a_receipt_that_nobody_asks_leaves_the_event_to_its_batch() {
    let agent = Agent::good();
    let client = lingering(&agent).build().unwrap();
    let kept = append_all(&client, 0..10);
    client.flush(Duration::ZERO).wait().ok();
    let later = append_all(&client, 10..20);
    kept[9].wait(PATIENCE).unwrap();
    assert_eq!(client.stats().pending, 10);
    drop((kept, later));
}
