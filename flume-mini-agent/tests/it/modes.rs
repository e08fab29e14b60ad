//! In which order calls are worked on.

use flume_mini_agent::{MiniAgent, ReplyMode};

use crate::support::{APPEND, Client, LIMIT, PROBE, batch, bodies, status};

/// An agent whose channel is full, and a client that may go on.
fn full(mode: ReplyMode) -> (MiniAgent, Client) {
    let agent = MiniAgent::builder()
        .sink_paused(true)
        .keep_alive(LIMIT)
        .reply_mode(mode)
        .start()
        .unwrap();
    let mut client = Client::greeted(&agent);
    client.send_bytes(&batch(3, 100));
    client.expect(&status(3, "00"));
    (agent, client)
}

#[test]
fn in_parallel_mode_a_waiting_batch_does_not_delay_a_later_probe() {
    let (agent, mut client) = full(ReplyMode::Parallel);
    client.send(&[APPEND, PROBE].concat());
    client.expect(&status(2, "00"));
    assert_eq!(agent.stats().batches_waiting, 1);
    agent.resume_sink();
    client.expect(&status(1, "00"));
    assert_eq!(bodies(&agent, 101).last().unwrap(), "hi");
}

#[test]
fn in_sequential_mode_a_waiting_batch_delays_a_later_probe() {
    let (agent, mut client) = full(ReplyMode::Sequential);
    client.send(&[APPEND, PROBE].concat());
    let stats = agent
        .wait_until(LIMIT, |stats| stats.batches_waiting == 1)
        .unwrap();
    assert_eq!(stats.requests, 3, "greeting, batch, append, not the probe");
    agent.resume_sink();
    client.expect(&status(1, "00"));
    client.expect(&status(2, "00"));
}

#[test]
fn in_sequential_mode_answers_before_the_waiting_one_are_written_first() {
    let (_agent, mut client) = full(ReplyMode::Sequential);
    client.send(&[PROBE, APPEND].concat());
    client.expect(&status(2, "00"));
}

#[test]
fn in_sequential_mode_connections_do_not_delay_each_other() {
    let (agent, mut client) = full(ReplyMode::Sequential);
    client.send(APPEND);
    agent
        .wait_until(LIMIT, |stats| stats.batches_waiting == 1)
        .unwrap();
    Client::greeted(&agent).expect_usable();
}

/// Sixteen batches wait; nobody is answered until one of them is.
fn check_sixteen(mode: ReplyMode, connections: usize) {
    let (agent, first) = full(mode);
    let mut waiting = vec![first];
    waiting.extend((1..connections).map(|_| Client::greeted(&agent)));
    let mut late = Client::connect(&agent);
    for client in &mut waiting {
        client.send(&APPEND.repeat(16 / connections));
    }
    agent
        .wait_until(LIMIT, |stats| stats.batches_waiting == 16)
        .unwrap();
    let before = agent.stats().requests;
    late.send(crate::support::GREETING);
    for client in &mut waiting {
        client.send(PROBE);
    }
    assert_eq!(agent.stats().requests, before);
    agent.resume_sink();
    late.expect(crate::support::GREETING_OK);
    late.expect_usable();
    let stats = agent
        .wait_until(LIMIT, |stats| stats.events_drained == 116)
        .unwrap();
    assert_eq!((stats.batches_waiting, stats.batches_failed), (0, 0));
    for client in &mut waiting {
        let replies = status(1, "00").repeat(16 / connections);
        client.expect(&[replies, status(2, "00")].concat());
    }
}

#[test]
fn in_parallel_mode_sixteen_waiting_batches_hold_up_every_connection() {
    check_sixteen(ReplyMode::Parallel, 1);
    check_sixteen(ReplyMode::Parallel, 4);
}

#[test]
fn in_sequential_mode_sixteen_waiting_connections_hold_up_the_others() {
    check_sixteen(ReplyMode::Sequential, 16);
}

#[test]
fn in_parallel_mode_more_batches_than_fit_are_all_answered() {
    let (agent, mut client) = full(ReplyMode::Parallel);
    client.send(&APPEND.repeat(200));
    agent
        .wait_until(LIMIT, |stats| stats.batches_waiting == 16)
        .unwrap();
    agent.resume_sink();
    client.expect(&status(1, "00").repeat(200));
    agent.wait_for(300, LIMIT).unwrap();
}
