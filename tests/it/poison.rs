//! One event that no agent ever takes, among others that each would.

use std::time::Duration;

use flume_client::health::{STUCK_AFTER, Status};
use flume_client::{Backoff, Client, ClientBuilder, Reliability, WindowMode};
use flume_tests::wait_until;
use tempfile::TempDir;

use crate::support::{
    Agent, Answer, GOOD, answers, append_all, assert_each_once, client_of, number_of,
};

/// The event that is refused.
const POISON: u64 = 5;
const EVENTS: u64 = 100;
/// How long everything may take on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(60);

fn refusing() -> Agent {
    Agent::scripted([answers(Answer::FailedWith(POISON))])
}

fn client(agent: &Agent, window: WindowMode) -> ClientBuilder {
    client_of(&[agent]).batch_events(2).window(window)
}

#[track_caller]
fn assert_balanced(client: &Client) {
    let stats = client.stats();
    let known = stats.delivered + stats.pending + stats.lost.total();
    assert_eq!(stats.accepted, known, "{stats:?}");
    assert_eq!(stats.lost.total(), 0, "{stats:?}");
}

/// The agent takes it after all: everything is there, and all is well.
fn check_end(client: &Client, agent: &mut Agent, events: u64) {
    agent.stop();
    agent.start_again([GOOD]);
    client.flush(PATIENCE).wait().unwrap();
    assert_balanced(client);
    assert_each_once(agent.stored(), events);
    assert!(client.health().is_good(), "{}", client.health());
    assert!(client.close(PATIENCE).wait().is_complete());
}

#[test]
fn an_event_that_every_agent_refuses_holds_up_those_behind_it_if_the_order_is_kept_and_is_told() {
    check_ordered(Reliability::InMemory);
}

#[test]
fn an_event_of_a_spool_that_every_agent_refuses_holds_up_those_behind_it_if_the_order_is_kept() {
    check_ordered(Reliability::EndToEnd);
}

fn check_ordered(level: Reliability) {
    let (mut agent, home) = (refusing(), TempDir::new().unwrap());
    let client = client(&agent, WindowMode::Ordered).spool(home.path());
    let client = client.spool_free_bytes(0).reliability(level);
    let client = client.build().unwrap();
    append_all(&client, 0..EVENTS);
    // Again and again, and nothing else meanwhile.
    agent.wait_for_requests(20);
    let is_told = || {
        client.health().problems[..]
            .iter()
            .any(|it| it.kind() == "no_agent")
    };
    wait_until("a word of it", PATIENCE, is_told).unwrap();
    let health = client.health();
    assert_eq!(health.status(), Status::Failing, "{health}");
    let words = health.to_string();
    assert!(words.contains("refused a batch with FAILED"), "{words}");
    assert_balanced(&client);
    let stored = agent.stored();
    assert!(
        stored.iter().copied().eq(0..stored.len() as u64),
        "{stored:?}"
    );
    assert!(stored.len() as u64 <= POISON, "{stored:?}");
    let requests = agent.requests();
    let refused = requests.iter().filter(|it| it.answer == Answer::Failed);
    for request in refused {
        assert!(request.events.iter().map(number_of).any(|it| it == POISON));
    }
    check_end(&client, &mut agent, EVENTS);
    assert!(agent.stored().into_iter().eq(0..EVENTS), "in order");
}

#[test]
fn an_event_that_every_agent_refuses_holds_up_no_other_if_they_need_no_order_and_is_told() {
    let mut agent = refusing();
    // Between two refusals there is time to look while only others were answered since.
    let backoff = Backoff::default().cap(Duration::from_secs(1));
    let client = client(&agent, WindowMode::ADAPTIVE).backoff(backoff);
    let client = client.build().unwrap();
    append_all(&client, 0..EVENTS);
    // It, and one that travels with it.
    let is_through = || client.stats().pending <= 2;
    wait_until("the others", PATIENCE, is_through).unwrap();
    assert_balanced(&client);
    // Others go on to come and to be acknowledged.
    let mut next = EVENTS;
    let mut health = client.health();
    wait_until("a word of it", STUCK_AFTER + PATIENCE, || {
        append_all(&client, next..next + 2);
        next += 2;
        health = client.health();
        assert_balanced(&client);
        health.problems.iter().any(|it| it.kind() == "stuck")
    })
    .unwrap();
    let words = health.to_string();
    assert!(words.contains("agents may refuse it"), "{words}");
    wait_until("the others", PATIENCE, is_through).unwrap();
    assert!(!agent.stored().contains(&POISON));
    check_end(&client, &mut agent, next);
}
