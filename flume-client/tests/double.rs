//! The double of a client, as tests of services use it.

#![expect(
    clippy::unwrap_used,
    reason = "a test that finds something it does not expect has failed"
)]

use std::time::Duration;

use flume_client::error::{DeliveryError, Refusal};
use flume_client::{Client, Event, Receipt, test};

const LONG: Duration = Duration::from_secs(30);

fn append(client: &Client, body: &str) -> Receipt {
    client.append(Event::new(body)).unwrap()
}

/// As `#[tokio::test]` does.
fn in_runtime(task: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread();
    { runtime }.build().unwrap().block_on(task);
}

#[test]
fn what_was_appended_is_taken_once_and_in_order_with_headers_and_body() {
    let (client, captured) = test::capture().unwrap();
    let events: Vec<_> = (0..1000)
        .map(|n| Event::new(format!("event {n}")).header("number", n.to_string()))
        .collect();
    for event in &events {
        drop(client.append(event.clone()).unwrap());
    }
    assert_eq!(captured.take(), events);
    assert_eq!(captured.take(), []);
    client.append_batch(events.clone()).map(drop).unwrap();
    assert_eq!(captured.take_bodies().len(), events.len());
    assert_eq!((captured.left_out(), client.stats().delivered), (0, 2000));
}

#[test]
fn a_task_has_its_receipts_and_waits_on_the_only_thread_of_its_runtime() {
    in_runtime(async {
        let (client, captured) = test::capture().unwrap();
        let receipt = client.append_async(Event::new("awaited")).await.unwrap();
        receipt.stored().await.unwrap();
        receipt.delivered().await.unwrap();
        client.flush(LONG).await.unwrap();
        assert_eq!(captured.take_bodies(), ["awaited"]);
        drop(append(&client, "closed"));
        let report = client.close(LONG).await;
        assert_eq!((report.delivered, report.lost.total()), (2, 0));
        assert_eq!(captured.take_bodies(), ["closed"]);
    });
}

#[test]
fn settings_hold_and_agents_that_are_named_are_not_spoken_to() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    nobody.set_nonblocking(true).unwrap();
    let agent = format!("avro://{}", nobody.local_addr().unwrap());
    let builder = Client::builder()
        .agent(&agent)
        .agent("avro://no.such.host:1");
    let builder = builder.header("service", "orders").linger(LONG);
    let (client, captured) = test::capture_with(builder).unwrap();
    let receipt = append(&client, "kept");
    assert_eq!(receipt.wait(LONG).unwrap().agent.to_string(), agent);
    let events = captured.take();
    assert_eq!(events[0].header_value("service"), Some("orders"));
    assert_eq!(events[0].header_value("guid"), receipt.guid().as_deref());
    let error = nobody.accept().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn a_spool_is_a_real_one_and_what_an_earlier_client_left_there_is_captured_too() {
    let directory = tempfile::tempdir().unwrap();
    let builder = || Client::builder().spool(directory.path()).event_ids(false);
    let (client, captured) = test::capture_with(builder()).unwrap();
    captured.hold();
    append(&client, "left").wait_stored(LONG).unwrap();
    let report = client.close(Duration::ZERO).wait();
    assert_eq!((report.delivered, report.on_disk), (0, 1));
    drop(client);
    let (client, captured) = test::capture_with(builder()).unwrap();
    append(&client, "own").wait(LONG).unwrap();
    assert_eq!(captured.take_bodies(), ["left", "own"]);
}

#[test]
fn events_that_are_held_are_unacknowledged_fill_the_buffer_and_come_once_when_they_are_released() {
    let builder = Client::builder().event_ids(false).event_bytes(40);
    let (client, captured) = test::capture_with(builder.buffer_bytes(40)).unwrap();
    drop(append(&client, "before"));
    captured.hold();
    assert_eq!(captured.take_bodies(), ["before"]);
    let receipt = append(&client, "held, so much that it fills");
    let pending = receipt.wait(Duration::ZERO).unwrap_err();
    assert!(matches!(pending, DeliveryError::Pending { .. }));
    let full = client
        .append(Event::new("one that does not fit"))
        .unwrap_err();
    assert!(matches!(full.refusal(), Refusal::Full { .. }));
    assert_eq!((captured.take(), client.stats().pending), (vec![], 1));
    captured.release();
    receipt.wait(LONG).unwrap();
    assert_eq!(captured.take_bodies(), ["held, so much that it fills"]);
    append(&client, "after").wait(LONG).unwrap();
    assert_eq!(captured.take_bodies(), ["after"]);
}

#[test]
fn a_batch_that_is_sent_again_because_no_answer_came_in_time_is_captured_once() {
    let short = Duration::from_millis(1);
    let backoff = flume_client::Backoff::default()
        .base(short)
        .cap(short)
        .floor(short);
    let builder = Client::builder().request_timeout(short).backoff(backoff);
    let (client, captured) = test::capture_with(builder).unwrap();
    captured.hold();
    let receipt = append(&client, "sent again");
    while client.stats().agents[0].failures < 3 {
        std::thread::yield_now();
    }
    captured.release();
    receipt.wait(LONG).unwrap();
    assert_eq!(captured.take_bodies(), ["sent again"]);
}

#[test]
fn a_client_that_refuses_hands_events_back_counts_them_and_lets_those_who_wait_for_room_wait() {
    let (client, captured) = test::capture().unwrap();
    captured.refuse();
    let event = Event::new("handed back");
    let error = client.append(event.clone()).unwrap_err();
    assert!(matches!(error.refusal(), Refusal::Full { .. }));
    assert_eq!(
        (error.into_event(), client.stats().refused.full),
        (event.clone(), 1)
    );
    assert!(
        client
            .append_batch(vec![event.clone()])
            .unwrap_err()
            .is_retryable()
    );
    assert!(!client.ready(1).wait(Duration::ZERO));
    assert_eq!(client.fill().percent(), 100);
    let waiting = {
        let (client, event) = (client.clone(), event.clone());
        std::thread::spawn(move || client.append_within(event, LONG).map(drop))
    };
    while client.stats().refused.full < 3 {
        std::thread::yield_now();
    }
    captured.accept();
    waiting.join().unwrap().unwrap();
    assert_eq!(captured.take(), [event]);
}

#[test]
fn a_client_that_is_dropped_leaves_its_events_and_no_thread() {
    let (told, ended) = std::sync::mpsc::channel();
    // The client's thread has the listener.
    let builder = Client::builder().on_change(move |_| told.send(()).unwrap());
    let (client, captured) = test::capture_with(builder).unwrap();
    drop(append(&client, "last words"));
    drop(client);
    let end = ended.recv_timeout(LONG);
    assert_eq!(end, Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
    assert_eq!(captured.take_bodies(), ["last words"]);
    // What is asked of a client that is gone is nothing.
    captured.refuse();
    captured.accept();
    captured.hold();
    captured.release();
}

#[test]
fn a_client_whose_events_nobody_asks_for_any_more_goes_on() {
    let (client, captured) = test::capture().unwrap();
    captured.hold();
    let held = append(&client, "held");
    drop(captured);
    held.wait(LONG).unwrap();
    append(&client, "later").wait(LONG).unwrap();
    assert_eq!(client.close(LONG).wait().delivered, 2);
}

#[test]
fn doubles_know_nothing_of_each_other() {
    let threads: Vec<_> = (0..8)
        .map(|number| {
            std::thread::spawn(move || {
                let (client, captured) = test::capture().unwrap();
                let body = format!("of {number}");
                append(&client, &body).wait(LONG).unwrap();
                assert_eq!(captured.take_bodies(), [body]);
            })
        })
        .collect();
    threads.into_iter().for_each(|it| it.join().unwrap());
}
