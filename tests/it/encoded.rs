//! Events that are handed over in the form in which they travel, and headers that all events get.

use std::time::Duration;

use flume_client::error::Refusal;
use flume_client::{Client, Event, EventBatch, HeaderBlock, Overflow};
use flume_mini_agent::MiniAgent;
use tempfile::TempDir;

use crate::support::{
    Agent, Answer, PATIENCE, answers, append_all, assert_balanced, assert_each_once, block_on,
    client_of, event, give_up,
};

/// A batch of these events, without headers.
fn batch(numbers: impl IntoIterator<Item = u64>) -> EventBatch {
    let mut batch = EventBatch::new();
    for number in numbers {
        let body = format!("event {number}");
        batch.push(&[], body.as_bytes()).unwrap();
    }
    batch
}

/// Appends 3,000 events, some by themselves and some in batches of up to 700.
fn append_mixed(client: &Client) -> u64 {
    let mut next = 0;
    for round in 0..20 {
        append_all(client, next..next + round);
        next += round;
        let events = 35 * round;
        let mut encoded = batch(next..next + events);
        let receipt = client.append_encoded(&mut encoded).unwrap();
        assert_eq!(receipt.is_some(), events > 0);
        assert!(encoded.is_empty());
        next += events;
    }
    next
}

#[test]
fn batches_and_single_events_arrive_once_each_and_in_their_order() {
    let home = TempDir::new().unwrap();
    for spooled in [false, true] {
        let agent = Agent::good();
        let builder = client_of(&[&agent]).window(flume_client::WindowMode::Ordered);
        let builder = match spooled {
            true => builder.spool(home.path()).spool_free_bytes(0),
            false => builder,
        };
        let client = builder.build().unwrap();
        let events = append_mixed(&client);
        client.flush(PATIENCE).wait().unwrap();
        assert!(agent.stored().into_iter().eq(0..events), "their order");
        let stats = client.stats();
        assert_eq!((stats.accepted, stats.delivered), (events, events));
        assert_eq!((stats.pending, stats.pending_bytes), (0, 0));
        assert!(client.close(PATIENCE).wait().is_complete());
    }
}

#[test]
fn a_batch_outlasts_its_process_in_the_spool() {
    let home = TempDir::new().unwrap();
    let nowhere = Agent::scripted([answers(Answer::Unanswered)]);
    let spooled = |agent| client_of(&[agent]).spool(home.path()).spool_free_bytes(0);
    let client = spooled(&nowhere).build().unwrap();
    let receipt = client.append_encoded(&mut batch(0..1000)).unwrap().unwrap();
    receipt.wait_stored(PATIENCE).unwrap();
    assert_eq!(give_up(&client, Duration::ZERO).lost.total(), 0);
    drop(client);
    let agent = Agent::good();
    let client = spooled(&agent).build().unwrap();
    client.flush(PATIENCE).wait().unwrap();
    assert_each_once(agent.stored(), 1000);
}

#[test]
fn the_receipt_of_a_batch_is_that_of_its_last_event() {
    let agent = Agent::scripted([answers(Answer::OkWhenReleased)]);
    let client = client_of(&[&agent]).batch_events(10).build().unwrap();
    let last = client.append_encoded(&mut batch(0..95)).unwrap().unwrap();
    agent.wait_for_requests(1);
    assert!(last.wait(Duration::ZERO).is_err());
    agent.release();
    last.wait(PATIENCE).unwrap();
    client.flush(PATIENCE).wait().unwrap();
    assert_each_once(agent.stored(), 95);
}

#[test]
fn a_batch_that_is_refused_is_as_it_was_and_counted() {
    let agent = Agent::scripted([answers(Answer::OkWhenReleased)]);
    // Waiting is for callers of `append`: a batch comes back at once.
    let client = client_of(&[&agent])
        .event_bytes(2000)
        .buffer_bytes(2000)
        .overflow(Overflow::Block(PATIENCE))
        .build()
        .unwrap();
    append_all(&client, 0..10);
    let mut refused = batch(10..300);
    let bytes = refused.bytes();
    let refusal = client.append_encoded(&mut refused).unwrap_err();
    assert!(matches!(refusal, Refusal::TooLarge { limit: 2000, .. }));
    let mut large = EventBatch::new();
    large.push(&[], &[b'x'; 2001]).unwrap();
    let refusal = client.append_encoded(&mut large).unwrap_err();
    assert_eq!(
        refusal,
        Refusal::TooLarge {
            bytes: 2004,
            limit: 2000
        }
    );
    let mut full = EventBatch::new();
    full.push(&[], &[b'x'; 1990]).unwrap();
    let refusal = client.append_encoded(&mut full).unwrap_err();
    assert!(matches!(refusal, Refusal::Full { .. }), "{refusal}");
    assert_eq!((refused.len(), refused.bytes()), (290, bytes));
    assert_eq!((large.len(), full.len()), (1, 1));
    let stats = client.stats();
    assert_eq!((stats.accepted, stats.refused.full), (10, 1));
    assert_eq!(stats.refused.too_large, 291);
    assert_balanced(&stats);
    agent.release();
    assert!(client.close(PATIENCE).wait().is_complete());
    let refusal = client.append_encoded(&mut full).unwrap_err();
    assert_eq!(refusal, Refusal::Closed);
}

#[test]
fn an_empty_batch_is_taken_without_a_receipt() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).build().unwrap();
    assert!(
        client
            .append_encoded(&mut EventBatch::new())
            .unwrap()
            .is_none()
    );
    assert_eq!(client.stats().accepted, 0);
}

#[test]
fn a_batch_keeps_its_headers_and_single_events_after_it_their_names() {
    let agent = MiniAgent::builder().start().unwrap();
    let client = Client::builder().agent(agent.url()).build().unwrap();
    let (mut common, mut own) = (HeaderBlock::new(), HeaderBlock::new());
    common.push("host", "web-1").unwrap();
    own.push("guid", "ours").unwrap();
    let mut encoded = EventBatch::new();
    encoded.push(&[&common, &own], b"one").unwrap();
    encoded.push(&[&common], b"two").unwrap();
    let last = client.append_encoded(&mut encoded).unwrap().unwrap();
    assert_eq!(last.guid(), None);
    let single = client.append(Event::new("three")).unwrap();
    let events = agent.wait_for(3, PATIENCE).unwrap();
    let headers = |index: usize| -> Vec<(&str, &str)> { events[index].headers().collect() };
    assert_eq!(headers(0), [("host", "web-1"), ("guid", "ours")]);
    assert_eq!(headers(1), [("host", "web-1")]);
    let id = single.guid().unwrap();
    assert!(id.ends_with("-0000000000000002"), "{id}");
    assert_eq!(headers(2), [("guid", id.as_str())]);
}

#[test]
fn fill_tells_how_full_buffer_and_spool_are() {
    let agent = Agent::scripted([answers(Answer::OkWhenReleased)]);
    let client = client_of(&[&agent])
        .event_bytes(1000)
        .buffer_bytes(10_000)
        .build()
        .unwrap();
    assert_eq!(client.fill().percent(), 0);
    drop(client.append(Event::new([b'x'; 997])).unwrap());
    let fill = client.fill();
    assert_eq!((fill.buffer_bytes, fill.buffer_bytes_max), (1000, 10_000));
    assert_eq!((fill.spool, fill.percent()), (None, 10));
    agent.release();
    client.flush(PATIENCE).wait().unwrap();
    assert_eq!(client.fill().percent(), 0);

    let home = TempDir::new().unwrap();
    let spooled = client_of(&[&agent])
        .event_bytes(4096)
        .spool_bytes(8 * 1024 * 1024)
        .spool_free_bytes(0);
    let client = spooled.spool(home.path()).build().unwrap();
    let (before, most) = client.fill().spool.unwrap();
    let receipts: Vec<_> = (0..1000)
        .map(|_| client.append(Event::new([b'x'; 1000])).unwrap())
        .collect();
    let (after, _) = client.fill().spool.unwrap();
    assert!(
        before < most && after - before >= 1_000_000,
        "{before} {after}"
    );
    drop(receipts);
}

#[test]
fn every_event_gets_the_common_headers_it_does_not_have_on_every_way_in() {
    let agent = MiniAgent::builder().start().unwrap();
    let client = Client::builder()
        .agent(agent.url())
        .event_ids(false)
        .header("service", "orders")
        .header("host", "web-1")
        .timestamp()
        .build()
        .unwrap();
    let own = || event(0).header("timestamp", "17").header("service", "mine");
    drop(client.append(own()).unwrap());
    drop(client.append_batch(vec![own(), event(0)]).unwrap());
    drop(block_on(client.append_async(event(0))).unwrap());
    drop(block_on(client.append_batch_async(vec![event(0)])).unwrap());
    drop(client.append_within(event(0), PATIENCE).unwrap());
    client.send(event(0)).unwrap();
    drop(client.append_parts(&[], b"event 0").unwrap());
    client.send_parts(&[], b"event 0").unwrap();
    let events = agent.wait_for(9, PATIENCE).unwrap();
    for (index, event) in events.iter().enumerate() {
        let of = |key| event.header_value(key).unwrap();
        assert_eq!(of("host"), "web-1");
        let expected = if index < 2 { "mine" } else { "orders" };
        assert_eq!(of("service"), expected, "event {index}");
        let stamp: u64 = of("timestamp").parse().unwrap();
        assert_eq!(stamp == 17, index < 2, "event {index}: {stamp}");
        assert_eq!(event.headers().count(), 3);
    }
}

#[test]
fn parts_become_the_event_that_is_made_of_them() {
    let agent = MiniAgent::builder().start().unwrap();
    let client = Client::builder().agent(agent.url()).build().unwrap();
    let receipt = client.append_parts(&[("host", "web-1"), ("level", "INFO")], b"one");
    let id = receipt.unwrap().guid().unwrap();
    client
        .send_parts(&[("guid", "mine"), ("a", "1"), ("a", "2")], b"two")
        .unwrap();
    client.send(Event::new("three")).unwrap();
    let own = client.append_parts(&[("guid", "mine")], b"").unwrap();
    assert_eq!((own.guid(), own.sequence()), (None, 3), "each has a number");
    let events = agent.wait_for(4, PATIENCE).unwrap();
    let headers = |index: usize| -> Vec<(&str, &str)> { events[index].headers().collect() };
    let expected = [("guid", id.as_str()), ("host", "web-1"), ("level", "INFO")];
    assert_eq!(headers(0), expected);
    assert_eq!(headers(1), [("guid", "mine"), ("a", "2")]);
    let third = headers(2)[0].1;
    assert!(third.ends_with("-0000000000000002"), "{third}");
    let bodies: Vec<_> = events.iter().map(|event| event.body()).collect();
    assert_eq!(bodies, [&b"one"[..], b"two", b"three", b""]);
}

#[test]
fn parts_are_refused_as_the_event_of_them_is_and_nothing_of_them_stays() {
    let agent = Agent::scripted([answers(Answer::OkWhenReleased)]);
    let client = client_of(&[&agent]).event_bytes(200).buffer_bytes(300);
    let client = client.event_ids(false).build().unwrap();
    let nul = client.append_parts(&[("a", "\0")], b"").unwrap_err();
    let event = client.append(Event::new("").header("a", "\0")).unwrap_err();
    assert_eq!(&nul, event.refusal());
    let large = client.send_parts(&[], &[b'x'; 201]).unwrap_err();
    assert!(matches!(large, Refusal::TooLarge { limit: 200, .. }));
    client.send_parts(&[], &[b'x'; 150]).unwrap();
    let full = client.send_parts(&[], &[b'x'; 190]).unwrap_err();
    assert!(matches!(full, Refusal::Full { .. }), "{full}");
    let stats = client.stats();
    let refused = stats.refused;
    assert_eq!((refused.header, refused.too_large, refused.full), (2, 1, 1));
    assert_eq!(stats.accepted, 1);
    assert_balanced(&stats);
    agent.release();
    assert!(client.close(PATIENCE).wait().is_complete());
    let closed = client.send_parts(&[], b"").unwrap_err();
    assert_eq!(closed, Refusal::Closed);
}

#[test]
fn without_a_receipt_a_caller_waits_for_room_all_the_same() {
    let agent = Agent::scripted([answers(Answer::OkWhenReleased)]);
    let client = client_of(&[&agent]).event_bytes(200).buffer_bytes(300);
    let client = client.overflow(Overflow::Block(PATIENCE)).build().unwrap();
    client.send(Event::new([b'x'; 150])).unwrap();
    agent.wait_for_requests(1);
    std::thread::scope(|threads| {
        let waits = threads.spawn(|| client.send_parts(&[], &[b'x'; 190]));
        let has_waiter = || client.stats().refused.full > 0;
        flume_tests::wait_until("a caller who finds no room", PATIENCE, has_waiter).unwrap();
        agent.release();
        waits.join().unwrap().unwrap();
    });
    assert!(client.close(PATIENCE).wait().is_complete());
}
