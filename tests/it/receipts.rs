//! What receipts tell, and to whom.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use flume_client::{DeliveryError, Reliability};
use flume_tests::wait_until;

use crate::support::{
    ANSWER_WITHIN, Agent, Answer, Greeting, PATIENCE, Port, answers, append_all, assert_each_once,
    block_on, client_at, client_of, current_thread, event, give_up, greets, number_of, run_in,
};

#[test]
fn a_wait_says_pending_and_then_names_the_agent() {
    let agent = Agent::scripted([answers(Answer::OkWhenReleased)]);
    let client = client_of(&[&agent]).build().unwrap();
    let receipt = client.append(event(0)).unwrap();
    agent.wait_for_requests(1);
    let waited = Duration::from_millis(5);
    assert_eq!(
        receipt.wait(waited),
        Err(DeliveryError::Pending {
            waited,
            cause: None
        })
    );
    agent.release();
    assert_eq!(
        receipt.wait(PATIENCE).unwrap().agent.to_string(),
        agent.url()
    );
    assert!(
        receipt.wait(Duration::ZERO).is_ok(),
        "it can be asked again"
    );
}

#[test]
fn a_receipt_is_a_future_on_a_plain_thread() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).build().unwrap();
    let receipt = client.append(event(0)).unwrap();
    let ack = block_on(receipt.delivered()).unwrap();
    assert_eq!(ack.agent.to_string(), agent.url());
    assert_eq!(block_on(receipt.delivered()), Ok(ack));
}

#[test]
fn a_receipt_is_a_future_inside_tokio() {
    let runtime = current_thread();
    let agent = Agent::good();
    let client = client_of(&[&agent]).build().unwrap();
    let acks = run_in(&runtime, async {
        let tasks: Vec<_> = (0..50)
            .map(|number| {
                let client = client.clone();
                tokio::spawn(async move { client.append(event(number)).unwrap().delivered().await })
            })
            .collect();
        let mut acks = 0;
        for task in tasks {
            acks += u32::from(task.await.unwrap().is_ok());
        }
        acks
    });
    assert_eq!(acks, 50);
}

#[test]
fn many_receipts_are_held_over_many_batches_and_asked_in_any_order() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).batch_events(7).build().unwrap();
    let mut receipts = append_all(&client, 0..1000);
    for (number, receipt) in receipts.iter().enumerate() {
        assert_eq!(receipt.sequence(), number as u64);
    }
    receipts.sort_by_key(|receipt| receipt.sequence() * 7919 % 1000);
    for receipt in &receipts {
        receipt.wait(PATIENCE).unwrap();
    }
    assert_each_once(agent.stored(), 1000);
}

#[test]
fn several_threads_may_wait_for_one_event() {
    let agent = Agent::scripted([answers(Answer::OkWhenReleased)]);
    let client = client_of(&[&agent]).build().unwrap();
    let receipt = client.append(event(0)).unwrap();
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| block_on(receipt.clone().delivered()).unwrap());
            scope.spawn(|| receipt.wait(PATIENCE).unwrap());
        }
        agent.wait_for_requests(1);
        agent.release();
    });
    assert!(started.elapsed() < PATIENCE, "none waited in vain");
}

#[test]
fn receipts_outlive_their_client() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).build().unwrap();
    let receipts = append_all(&client, 0..600);
    drop(client);
    for receipt in receipts {
        assert!(receipt.wait(Duration::ZERO).is_ok());
    }
}

#[test]
fn a_receipt_of_a_delivered_event_says_so_after_its_slot_was_reused_for_others() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).build().unwrap();
    let kept = client.append(event(0)).unwrap();
    for round in 0..20 {
        append_all(&client, round * 500 + 1..round * 500 + 501);
        client.flush(PATIENCE).wait().unwrap();
    }
    assert!(kept.wait(Duration::ZERO).is_ok());
    assert_each_once(agent.stored(), 10_001);
}

/// Sends one event with best effort to this agent, and returns what its receipt says.
fn best_effort(url: String) -> DeliveryError {
    let client = client_at([url])
        .reliability(Reliability::BestEffort)
        .request_timeout(ANSWER_WITHIN)
        .build()
        .unwrap();
    let receipt = client.append(event(0)).unwrap();
    let error = receipt.wait(PATIENCE).unwrap_err();
    assert_eq!(block_on(receipt.delivered()), Err(error.clone()));
    let report = client.close(PATIENCE).wait();
    assert_eq!((report.delivered, report.lost.total()), (0, 1));
    error
}

#[test]
fn best_effort_says_unreachable_when_nothing_was_sent() {
    assert_eq!(
        best_effort(Port::reserve().url()),
        DeliveryError::Unreachable { cause: None }
    );
    for greeting in [
        Greeting::ClosedAtOnce,
        Greeting::ClosedUnanswered,
        Greeting::Unanswered,
        Greeting::NoneTwice,
    ] {
        let agent = Agent::scripted([greets(greeting)]);
        let error = best_effort(agent.url());
        assert_eq!(
            error,
            DeliveryError::Unreachable { cause: None },
            "{greeting:?}"
        );
        assert!(!error.is_possibly_stored());
        assert_eq!(agent.requests().len(), 0);
    }
}

#[test]
fn best_effort_says_rejected_when_the_agent_refused() {
    for answer in [Answer::Failed, Answer::Unknown, Answer::Error("no")] {
        let agent = Agent::scripted([answers(answer)]);
        assert_eq!(
            best_effort(agent.url()),
            DeliveryError::Rejected { cause: None },
            "{answer:?}"
        );
        assert_eq!(agent.requests().len(), 1, "{answer:?} was sent once");
    }
}

#[test]
fn best_effort_says_unknown_when_the_answer_never_came() {
    for answer in [
        Answer::Unanswered,
        Answer::Closed,
        Answer::StoredThenClosed,
        Answer::HalfThenClosed,
        Answer::WrongSerial,
        Answer::TwoGibibytes,
    ] {
        let agent = Agent::scripted([answers(answer)]);
        let error = best_effort(agent.url());
        assert_eq!(error, DeliveryError::Unknown { cause: None }, "{answer:?}");
        assert!(error.is_possibly_stored());
        assert_eq!(agent.requests().len(), 1, "{answer:?} was sent once");
    }
}

#[test]
fn best_effort_uses_the_next_agent_when_the_first_cannot_be_reached() {
    let agent = Agent::good();
    let client = client_at([Port::reserve().url(), agent.url()])
        .reliability(Reliability::BestEffort)
        .build()
        .unwrap();
    append_all(&client, 0..500);
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(agent.stored(), 500);
}

struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_dropped_future_lets_go_of_its_waker() {
    let agent = Agent::scripted([greets(Greeting::Unanswered)]);
    let client = client_of(&[&agent]).build().unwrap();
    let receipt = client.append(event(0)).unwrap();
    // A waker for each poll, as from a hundred tasks that gave up.
    let wakers: Vec<_> = (0..100).map(|_| Arc::new(Nobody)).collect();
    for waker in &wakers {
        let waker = Waker::from(waker.clone());
        let mut delivered = std::pin::pin!(receipt.delivered());
        let polled = delivered.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    let held = wakers.iter().filter(|waker| Arc::strong_count(waker) > 1);
    assert_eq!(held.count(), 0, "wakers are still held");
    assert!(!give_up(&client, Duration::ZERO).is_complete());
}

/// What a program without an agent prints: `main` shows errors as `Debug`.
#[test]
fn every_word_of_what_was_not_delivered_says_why() {
    let client = client_at([Port::reserve().url()]).build().unwrap();
    let receipt = client.append(event(0)).unwrap();
    let has_failed = || client.stats().agents[0].failures > 0;
    wait_until("a failure", PATIENCE, has_failed).unwrap();
    let pending = receipt.wait(Duration::from_millis(1)).unwrap_err();
    let flush = client.flush(Duration::from_millis(1)).wait().unwrap_err();
    let report = give_up(&client, Duration::ZERO);
    let closed = receipt.wait(PATIENCE).unwrap_err();
    let last = report.last_error.expect("a cause");
    for told in [
        format!("{pending:?}"),
        format!("{flush:?}"),
        format!("{closed:?}"),
        format!("{last:?}"),
    ] {
        assert!(told.contains("connection refused"), "{told}");
        assert!(!told.contains('{'), "a message, not a structure: {told}");
    }
    assert!(pending.cause().is_some());
}

#[test]
fn best_effort_says_why_no_agent_could_be_reached() {
    let builder = client_at([Port::reserve().url()]).reliability(Reliability::BestEffort);
    let client = builder.build().unwrap();
    let error = client.append(event(0)).unwrap().wait(PATIENCE).unwrap_err();
    assert!(error.to_string().contains("connection refused"), "{error}");
}

#[test]
fn a_receipt_knows_the_name_that_its_event_travels_under() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).event_ids(true).build().unwrap();
    let own = client.append(event(0).header("guid", "mine")).unwrap();
    let receipts = append_all(&client, 1..600);
    assert_eq!(own.guid(), None, "the event has its own");
    assert!(client.close(PATIENCE).wait().is_complete());
    let requests = agent.requests();
    let events = requests.iter().flat_map(|request| &request.events);
    let names = events.map(|event| (number_of(event), event.headers[0].clone()));
    let names: BTreeMap<_, _> = names.collect();
    for (number, receipt) in (1..).zip(receipts) {
        let header = ("guid".to_owned(), receipt.guid().unwrap());
        assert_eq!(names[&number], header);
    }
    let unnamed = client_of(&[&agent]).event_ids(false).build().unwrap();
    assert_eq!(unnamed.append(event(0)).unwrap().guid(), None);
}
