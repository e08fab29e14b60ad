//! Several agents: the preferred one that works gets the events.

use std::time::{Duration, Instant};

use flume_client::stats::AgentState;
use flume_client::{Backoff, WindowMode};
use flume_mini_agent::MiniAgent;
use flume_tests::wait_until;

use crate::support::{
    Agent, Answer, GOOD, HOUR, PATIENCE, Script, answers, append_all, assert_each_once, client_at,
    client_of, event,
};

#[test]
fn the_first_agent_gets_everything_while_it_works() {
    let agents = [Agent::good(), Agent::good()];
    let client = client_of(&[&agents[0], &agents[1]]).build().unwrap();
    append_all(&client, 0..1000);
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(agents[0].stored(), 1000);
    assert_eq!(agents[1].connections(), 0);
}

#[test]
fn the_second_agent_takes_over_and_the_first_gets_everything_again_once_it_is_back() {
    let (mut first, second) = (Agent::good(), Agent::good());
    let client = client_of(&[&first, &second]).build().unwrap();
    let agent_of = |number| {
        let receipt = client.append(event(number)).unwrap();
        receipt.wait(PATIENCE).unwrap().agent.to_string()
    };
    assert_eq!(agent_of(0), first.url());
    first.stop();
    assert_eq!(agent_of(1), second.url());
    assert_eq!(agent_of(2), second.url());
    first.start_again([GOOD]);
    let (mut number, started) = (3, Instant::now());
    while agent_of(number) != first.url() {
        assert!(started.elapsed() < PATIENCE, "the first agent is not used");
        number += 1;
    }
    assert_eq!(agent_of(number + 1), first.url());
    // The spare connection is not kept.
    second.wait_for("the end of its connection", |state| {
        (state.ended == state.connections).then_some(())
    });
    assert!(client.stats().agents[0].connected);
    assert!(!client.stats().agents[1].connected);
    let stored = [first.stored(), second.stored()].concat();
    assert_each_once(stored, number + 2);
}

#[test]
fn an_agent_that_comes_back_after_an_outage_gets_what_was_kept() {
    let mut agent = Agent::good();
    let client = client_of(&[&agent]).build().unwrap();
    append_all(&client, 0..300);
    client.flush(PATIENCE).wait().unwrap();
    agent.stop();
    append_all(&client, 300..2000);
    assert_eq!(
        client.flush(Duration::ZERO).wait().unwrap_err().pending,
        1700
    );
    agent.start_again([GOOD]);
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(agent.stored(), 2000);
}

#[test]
fn three_agents_in_turn_carry_what_one_alone_would_drop() {
    let refusing = Agent::scripted([answers(Answer::Failed)]);
    let closing = Agent::scripted([answers(Answer::Closed)]);
    let good = Agent::good();
    let client = client_of(&[&refusing, &closing, &good]).build().unwrap();
    append_all(&client, 0..1000);
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(good.stored(), 1000);
}

#[test]
fn the_ordered_mode_keeps_the_order_through_failures() {
    let faults = Script {
        first: &[Answer::Ok, Answer::Failed, Answer::Ok, Answer::Closed],
        ..GOOD
    };
    let agent = Agent::scripted([faults, faults, faults, GOOD]);
    let client = client_of(&[&agent]).window(WindowMode::Ordered).build();
    let client = client.unwrap();
    append_all(&client, 0..2000);
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_eq!(agent.stored(), (0..2000).collect::<Vec<_>>());
}

#[test]
fn an_idle_connection_that_the_agent_closes_is_replaced_without_loss() {
    let mut agent = Agent::good();
    let client = client_of(&[&agent]).build().unwrap();
    for round in 0..5 {
        let receipt = client.append(event(round)).unwrap();
        receipt.wait(PATIENCE).unwrap();
        agent.stop();
        agent.start_again([GOOD]);
    }
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(agent.stored(), 5);
}

#[test]
fn a_faithful_agent_that_is_full_refuses_until_its_sink_drains_it() {
    let agent = MiniAgent::builder()
        .capacity(200)
        .keep_alive(Duration::from_millis(1))
        .sink_paused(true)
        .start()
        .unwrap();
    // Batches of a hundred each, however the events come in: a smaller one would leave room that no
    // other fits into.
    let client = client_at([agent.url()]).linger(HOUR).build().unwrap();
    append_all(&client, 0..1000);
    // However long that takes: a client that has been refused has tried to send more.
    wait_until("a full agent", PATIENCE, || {
        client.stats().delivered == 200 && agent.stats().batches_failed > 0
    })
    .unwrap();
    let flushed = client.flush(Duration::ZERO).wait();
    assert_eq!(flushed.unwrap_err().pending, 800);
    agent.resume_sink();
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_eq!(agent.wait_for(1000, PATIENCE).unwrap().len(), 1000);
}

#[test]
fn a_faithful_agent_that_restarts_loses_nothing_and_says_nothing_twice_between_batches() {
    let mut agent = MiniAgent::builder().start().unwrap();
    let client = client_at([agent.url()]).linger(HOUR).build().unwrap();
    for round in 0..3 {
        append_all(&client, round * 100..(round + 1) * 100);
        client.flush(PATIENCE).wait().unwrap();
        agent.restart().unwrap();
    }
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_eq!(agent.wait_for(300, PATIENCE).unwrap().len(), 300);
}

#[test]
fn what_an_agent_is_at_the_moment_is_told() {
    let (mut first, second) = (Agent::good(), Agent::good());
    let rests = Backoff::default().base(HOUR).cap(HOUR).floor(HOUR);
    let client = client_of(&[&first, &second]).backoff(rests);
    let client = client.build().unwrap();
    let states = || {
        let stats = client.stats();
        [0, 1].map(|agent| stats.agents[agent].state)
    };
    assert_eq!(states(), [AgentState::Idle; 2]);
    let deliver = |number| client.append(event(number)).unwrap().wait(PATIENCE);
    deliver(0).unwrap();
    assert_eq!(states(), [AgentState::Ready, AgentState::Idle]);
    first.stop();
    deliver(1).unwrap();
    assert_eq!(states(), [AgentState::Resting, AgentState::Ready]);
}
