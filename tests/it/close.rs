//! Closing a client: what the report says, and when it comes.

use std::time::{Duration, Instant};

use flume_client::error::Refusal;
use flume_client::{DeliveryError, Reliability};

use crate::support::{
    Agent, Answer, GOOD, Greeting, HOUR, NO_HOST, PATIENCE, Port, Script, answers, append_all,
    assert_each_once, block_on, client_at, client_of, event, give_up, greets,
};

#[test]
fn a_close_sends_what_is_there_and_reports_it_delivered() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).linger(HOUR).build().unwrap();
    append_all(&client, 0..3);
    let report = block_on(client.close(HOUR));
    assert_eq!((report.delivered, report.pending), (3, 0));
    assert!(report.is_complete());
    assert_eq!(agent.stored(), [0, 1, 2]);
}

#[test]
fn a_close_of_an_idle_client_has_nothing_to_report() {
    let client = client_at([Port::reserve().url()]).build().unwrap();
    let report = client.close(HOUR).wait();
    assert!(report.is_complete());
    assert_eq!(report.delivered, 0);
}

#[test]
fn a_closed_client_takes_nothing_more() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).build().unwrap();
    assert!(client.close(HOUR).wait().is_complete());
    let error = client.append(event(0)).unwrap_err();
    assert_eq!(*error.refusal(), Refusal::Closed);
    assert!(!error.is_retryable());
    let error = client.append_batch(vec![event(0), event(1)]).unwrap_err();
    assert_eq!(*error.refusal(), Refusal::Closed);
    let error = client.append_within(event(0), HOUR).unwrap_err();
    assert!(error.into_event() == event(0));
    assert_eq!(client.stats().refused.closed, 4);
    assert!(client.ready(1).wait(HOUR));
    client.flush(HOUR).wait().unwrap();
}

#[test]
fn events_are_refused_from_the_moment_of_the_close_on_and_those_before_it_arrive() {
    let agent = Agent::scripted([answers(Answer::OkWhenReleased)]);
    let client = client_of(&[&agent]).build().unwrap();
    let receipt = client.append(event(0)).unwrap();
    let close = client.close(HOUR);
    assert_eq!(
        *client.append(event(1)).unwrap_err().refusal(),
        Refusal::Closed
    );
    agent.release();
    assert_eq!(close.wait().delivered, 1);
    assert!(
        receipt.wait(Duration::ZERO).is_ok(),
        "known before the report"
    );
}

#[test]
fn a_second_close_gives_the_same_report() {
    let agent = Agent::scripted([answers(Answer::OkWhenReleased)]);
    let client = client_of(&[&agent]).build().unwrap();
    append_all(&client, 0..5);
    let closes = [client.close(HOUR), client.clone().close(HOUR)];
    agent.release();
    let reports = closes.map(flume_client::Close::wait);
    assert_eq!(reports[0].delivered, 5);
    assert_eq!(reports[0], reports[1]);
    assert_eq!(give_up(&client, Duration::ZERO), reports[0]);
    assert_eq!(block_on(client.close(HOUR)), reports[0]);
}

#[test]
fn the_shortest_deadline_of_several_closes_holds() {
    let agent = Agent::scripted([greets(Greeting::Unanswered)]);
    let client = client_of(&[&agent]).build().unwrap();
    append_all(&client, 0..5);
    let patient = client.close(HOUR);
    drop(client.close(Duration::from_millis(10)));
    assert_eq!(patient.wait().lost.closed, 5);
}

#[test]
fn events_that_were_never_sent_are_lost_as_closed() {
    let agent = Agent::scripted([greets(Greeting::Unanswered)]);
    let client = client_of(&[&agent]).build().unwrap();
    let receipts = append_all(&client, 0..300);
    let report = give_up(&client, Duration::from_millis(20));
    assert_eq!((report.lost.closed, report.lost.total()), (300, 300));
    assert_eq!((report.delivered, report.pending), (0, 0));
    for receipt in receipts {
        assert_eq!(
            receipt.wait(Duration::ZERO),
            Err(DeliveryError::Closed { cause: None })
        );
    }
}

#[test]
fn events_that_were_sent_and_not_answered_are_lost_as_unknown() {
    let agent = Agent::scripted([answers(Answer::Unanswered)]);
    let client = client_of(&[&agent]).linger(HOUR).build().unwrap();
    let sent = append_all(&client, 0..100);
    agent.wait_for_requests(1);
    let unsent = append_all(&client, 100..150);
    let report = give_up(&client, Duration::from_millis(20));
    assert_eq!((report.lost.unknown, report.lost.closed), (100, 50));
    for receipt in sent {
        assert_eq!(
            receipt.wait(Duration::ZERO),
            Err(DeliveryError::Unknown { cause: None })
        );
    }
    for receipt in unsent {
        assert_eq!(
            receipt.wait(Duration::ZERO),
            Err(DeliveryError::Closed { cause: None })
        );
    }
}

#[test]
fn events_that_were_sent_once_and_wait_for_another_try_are_lost_as_unknown() {
    let script = Script {
        first: &[Answer::StoredThenClosed],
        ..greets(Greeting::Both)
    };
    let agent = Agent::scripted([script, greets(Greeting::Unanswered)]);
    let client = client_of(&[&agent]).build().unwrap();
    let receipt = client.append(event(0)).unwrap();
    agent.wait_for("a second connection", |state| {
        (state.connections > 1).then_some(())
    });
    let report = give_up(&client, Duration::from_millis(20));
    assert_eq!(report.lost.unknown, 1);
    assert_eq!(
        receipt.wait(Duration::ZERO),
        Err(DeliveryError::Unknown { cause: None })
    );
}

/// Longer than any close may take beyond its deadline on a busy machine.
const SLACK: Duration = Duration::from_secs(2);

#[test]
fn the_report_comes_by_the_deadline_in_every_fault() {
    let deadline = Duration::from_millis(30);
    let greetings = [
        Greeting::NoneTwice,
        Greeting::Unanswered,
        Greeting::ClosedAtOnce,
        Greeting::ClosedUnanswered,
        Greeting::ThenDeaf,
        Greeting::ThenClosed,
        Greeting::Says(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    ];
    let rest = [
        Answer::Failed,
        Answer::Error("no"),
        Answer::Unanswered,
        Answer::Closed,
        Answer::StoredThenClosed,
        Answer::WrongSerial,
        Answer::TwoGibibytes,
    ];
    let scripts = greetings.map(greets).into_iter().chain(rest.map(answers));
    for script in scripts {
        let agent = Agent::scripted([script]);
        let client = client_of(&[&agent]).build().unwrap();
        append_all(&client, 0..1000);
        let started = Instant::now();
        let report = give_up(&client, deadline);
        assert!(started.elapsed() < deadline + SLACK, "{script:?}");
        assert_eq!(
            (report.delivered, report.lost.total()),
            (0, 1000),
            "{script:?}"
        );
    }
}

#[test]
fn the_report_comes_by_the_deadline_when_no_agent_is_there() {
    for url in [Port::reserve().url(), format!("avro://{NO_HOST}:4141")] {
        let client = client_at([url]).build().unwrap();
        append_all(&client, 0..1000);
        let started = Instant::now();
        let report = give_up(&client, Duration::from_millis(30));
        assert!(started.elapsed() < Duration::from_millis(30) + SLACK);
        assert_eq!((report.lost.closed, report.lost.total()), (1000, 1000));
    }
}

#[test]
fn a_close_that_gives_no_time_gives_up_at_once() {
    for reliability in [Reliability::InMemory, Reliability::BestEffort] {
        let agent = Agent::scripted([greets(Greeting::Unanswered)]);
        let client = client_of(&[&agent]).reliability(reliability).build();
        let client = client.unwrap();
        append_all(&client, 0..1000);
        let report = give_up(&client, Duration::ZERO);
        assert_eq!((report.lost.total(), report.pending), (1000, 0));
    }
}

#[test]
fn a_close_that_is_not_awaited_goes_on() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).linger(HOUR).build().unwrap();
    let receipt = client.append(event(0)).unwrap();
    drop(client.close(HOUR));
    receipt.wait(PATIENCE).unwrap();
}

#[test]
fn settings_without_end_are_taken_as_no_limit() {
    let agent = Agent::good();
    let client = client_of(&[&agent])
        .linger(Duration::MAX)
        .connect_timeout(Duration::MAX)
        .request_timeout(Duration::MAX)
        .build()
        .unwrap();
    append_all(&client, 0..3);
    client.flush(Duration::MAX).wait().unwrap();
    let receipt = client.append(event(3)).unwrap();
    assert_eq!(client.close(Duration::MAX).wait().delivered, 4);
    assert!(receipt.wait(Duration::MAX).is_ok());
}

#[test]
fn a_close_sends_a_long_queue_of_small_batches() {
    let mut agent = Agent::good();
    agent.stop();
    let client = client_of(&[&agent]).batch_events(1).build().unwrap();
    append_all(&client, 0..20_000);
    agent.start_again([GOOD]);
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(agent.stored(), 20_000);
}
