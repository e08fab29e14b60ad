//! Several connections to an agent.

use flume_client::stats::AgentState;
use flume_client::{Client, Event};
use flume_tests::wait_until;

use crate::support::{
    Agent, Answer, GOOD, PATIENCE, Script, answers, append_all, assert_each_once, client_of, event,
    give_up,
};

/// More than all windows of an agent together.
const EVENTS: u64 = 200;

/// A client of which each event is a batch.
fn client(agent: &Agent, connections: u32) -> Client {
    let client = client_of(&[agent]).batch_events(1);
    client.connections(connections).build().unwrap()
}

fn wait_for_connections(agent: &Agent, connections: usize) {
    agent.wait_for("connections", |state| {
        (state.connections >= connections).then_some(())
    });
}

#[test]
fn a_connection_is_opened_when_a_batch_waits_and_all_that_are_open_are_full_up_to_the_number() {
    let agent = Agent::scripted([answers(Answer::OkWhenReleased)]);
    let client = client(&agent, 4);
    // With room on the first one no other is opened.
    drop(client.append(event(0)).unwrap());
    agent.wait_for_requests(1);
    assert_eq!(agent.connections(), 1);
    append_all(&client, 1..EVENTS);
    wait_for_connections(&agent, 4);
    let told = || {
        let stats = client.stats();
        stats.agents[0].connections == 4 && stats.agents[0].in_flight >= 4
    };
    wait_until("four connections in the stats", PATIENCE, told).unwrap();
    assert!(client.stats().agents[0].in_flight <= 16);
    agent.release();
    let receipt = client.append(event(EVENTS)).unwrap();
    client.flush(PATIENCE).wait().unwrap();
    receipt.wait(PATIENCE).unwrap();
    let stats = client.stats();
    assert_eq!((stats.connects, stats.batches_retried), (4, 0), "{stats:?}");
    assert_eq!(stats.agents[0].state, AgentState::Ready);
    assert_eq!(stats.agents[0].in_flight, 0);
    assert!(stats.agents[0].round_trip.is_some());
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(agent.stored(), EVENTS + 1);
    assert_eq!(agent.connections(), 4);
}

#[test]
fn the_end_of_one_connection_costs_nothing_of_the_others() {
    let ends = Script {
        first: &[Answer::Closed],
        ..GOOD
    };
    let agent = Agent::scripted([answers(Answer::OkWhenReleased), ends, GOOD]);
    let client = client(&agent, 2);
    append_all(&client, 0..EVENTS);
    // What the second one had goes by the third, while the first one's calls are under way.
    agent.wait_for("a third connection that is used", |state| {
        let answered = state.requests.iter();
        let answered = answered.filter(|it| it.answer == Answer::Ok).count();
        (state.connections == 3 && answered > 0).then_some(())
    });
    assert!(client.stats().agents[0].connected);
    agent.wait_for("the end of one connection", |state| {
        (state.ended == 1).then_some(())
    });
    agent.release();
    assert!(client.close(PATIENCE).wait().is_complete());
    // Closed before it stored anything: nothing comes twice.
    assert_each_once(agent.stored(), EVENTS);
    assert_eq!(client.stats().agents[0].failures, 1);
}

#[test]
fn many_events_over_several_connections_arrive_once() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).connections(4).build().unwrap();
    append_all(&client, 0..50_000);
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(agent.stored(), 50_000);
    assert!(agent.connections() <= 4);
}

#[test]
fn what_keeps_the_order_has_one_connection_whatever_is_given() {
    let agent = Agent::scripted([answers(Answer::OkWhenReleased)]);
    let client = client_of(&[&agent]).batch_events(1).connections(4);
    let client = client.window(flume_client::WindowMode::Ordered).build();
    let client = client.unwrap();
    append_all(&client, 0..EVENTS);
    agent.wait_for_requests(1);
    agent.release();
    client.flush(PATIENCE).wait().unwrap();
    assert_eq!(agent.stored(), (0..EVENTS).collect::<Vec<_>>());
    assert_eq!(agent.connections(), 1);
    drop(client.append(Event::new("event 0")).unwrap());
    assert!(give_up(&client, PATIENCE).is_complete());
}
