//! `health()` on clients that look well and are not: it judges by what agents acknowledge.

use std::time::Duration;

use flume_client::health::Status;
use flume_client::{Client, ClientBuilder, Health, Reliability};
use flume_tests::wait_until;

use crate::support::{
    ANSWER_WITHIN, Agent, Answer, GOOD, Greeting, HOUR, PATIENCE, Port, answers, append_all,
    client_at, client_of, event, greets,
};

/// Waits until health has a problem of this kind, and returns all of it.
#[track_caller]
fn wait_for_problem(client: &Client, kind: &str) -> Health {
    let mut health = Health::default();
    let told = wait_until(kind, PATIENCE, || {
        health = client.health();
        health.problems.iter().any(|problem| problem.kind() == kind)
    });
    assert!(told.is_ok(), "{told:?}; {health}");
    health
}

#[track_caller]
fn wait_until_good(client: &Client) {
    let mut health = Health::default();
    let told = wait_until("good health", PATIENCE, || {
        health = client.health();
        health.is_good()
    });
    assert!(told.is_ok(), "{health}");
}

fn patient(builder: ClientBuilder) -> Client {
    let builder = builder.request_timeout(ANSWER_WITHIN);
    builder.build().unwrap()
}

/// An agent that opens connections and never acknowledges anything is no agent at all.
#[track_caller]
fn check_no_agent(agent: &Agent, words: &str) {
    let client = patient(client_of(&[agent]));
    assert!(client.health().is_good());
    append_all(&client, 0..10);
    let health = wait_for_problem(&client, "no_agent");
    assert_eq!(health.status(), Status::Failing);
    assert!(health.to_string().contains(words), "{health}");
    assert!(health.to_string().contains(&agent.url()), "{health}");
    assert_eq!(client.stats().delivered, 0);
}

#[test]
fn an_agent_whose_channel_is_full_is_not_good_though_it_is_connected() {
    check_no_agent(
        &Agent::scripted([answers(Answer::Failed)]),
        "refused a batch with FAILED",
    );
}

#[test]
fn an_agent_that_greets_and_hangs_is_not_good() {
    let agent = Agent::scripted([greets(Greeting::ThenDeaf)]);
    check_no_agent(&agent, "did not answer a batch");
}

#[test]
fn an_agent_that_is_not_there_is_not_good_and_is_again_when_it_comes_back() {
    let mut agent = Agent::good();
    agent.stop();
    let client = patient(client_of(&[&agent]));
    append_all(&client, 0..1);
    let health = wait_for_problem(&client, "no_agent");
    assert!(health.to_string().contains("refused"), "{health}");
    agent.start_again([GOOD]);
    wait_until_good(&client);
}

#[test]
fn best_effort_that_loses_everything_is_not_good() {
    let builder = client_at([Port::reserve().url()]).reliability(Reliability::BestEffort);
    let client = patient(builder);
    append_all(&client, 0..10);
    let health = wait_for_problem(&client, "losing");
    assert_eq!(health.status(), Status::Failing);
    assert!(health.to_string().contains("unreachable"), "{health}");
}

#[test]
fn events_that_are_handed_back_are_not_good_news() {
    let agent = Agent::scripted([answers(Answer::OkWhenReleased)]);
    let client = client_of(&[&agent])
        .event_bytes(100)
        .buffer_bytes(100)
        .build()
        .unwrap();
    while client.append(event(0)).is_ok() {}
    let health = wait_for_problem(&client, "full");
    assert_eq!(health.status(), Status::Failing);
    agent.release();
}

#[test]
fn one_agent_of_two_that_is_down_degrades_and_does_not_fail() {
    let agent = Agent::good();
    let client = client_at([Port::reserve().url(), agent.url()])
        .build()
        .unwrap();
    for receipt in append_all(&client, 0..10) {
        receipt.wait(PATIENCE).unwrap();
    }
    let health = wait_for_problem(&client, "agent");
    assert_eq!(health.status(), Status::Degraded, "{health}");
}

#[test]
fn an_agent_that_ends_an_idle_connection_has_not_failed() {
    let mut agent = Agent::good();
    let client = client_of(&[&agent]).build().unwrap();
    append_all(&client, 0..1)[0].wait(PATIENCE).unwrap();
    agent.stop();
    let is_told = || client.stats().agents[0].failures > 0;
    wait_until("the end of the connection", PATIENCE, is_told).unwrap();
    assert!(client.health().is_good(), "{}", client.health());
}

#[test]
fn a_closed_client_is_not_good() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).build().unwrap();
    drop(client.close(HOUR));
    assert_eq!(
        wait_for_problem(&client, "closed").status(),
        Status::Failing
    );
}

#[test]
fn the_oldest_pending_event_has_an_age_until_it_is_acknowledged() {
    let agent = Agent::scripted([answers(Answer::OkWhenReleased)]);
    let client = client_of(&[&agent]).build().unwrap();
    assert_eq!(client.stats().timing.oldest_pending, None);
    let receipts = append_all(&client, 0..10);
    let ages = || client.stats().timing.oldest_pending > Some(Duration::from_millis(50));
    wait_until("an age", PATIENCE, ages).unwrap();
    agent.release();
    for receipt in receipts {
        receipt.wait(PATIENCE).unwrap();
    }
    let timing = || client.stats().timing;
    wait_until("no age", PATIENCE, || timing().oldest_pending.is_none()).unwrap();
    assert!(timing().delivered.is_some() && timing().lost.is_none());
}
