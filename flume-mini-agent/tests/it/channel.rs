//! The memory channel's rules, as a client meets them.

use std::time::Duration;

use flume_mini_agent::{MiniAgent, MiniAgentBuilder, StartError};

use crate::support::{APPEND, Client, LIMIT, batch, bodies, status};

/// A channel of 100 events that nobody empties and that does not wait.
fn blocked() -> MiniAgentBuilder {
    MiniAgent::builder()
        .sink_paused(true)
        .keep_alive(Duration::ZERO)
}

#[test]
fn a_full_channel_answers_failed_and_takes_nothing() {
    let agent = blocked().start().unwrap();
    let mut client = Client::greeted(&agent);
    client.send_bytes(&batch(3, 99));
    client.expect(&status(3, "00"));
    client.send_bytes(&batch(4, 2));
    client.expect(&status(4, "02"));
    client.send(APPEND);
    client.expect(&status(1, "00"));
    client.send(APPEND);
    client.expect(&status(1, "02"));
    let stats = agent.stats();
    assert_eq!((stats.channel_size, stats.events_accepted), (100, 100));
    assert_eq!((stats.batches_ok, stats.batches_failed), (2, 2));
}

#[test]
fn failed_comes_after_keep_alive_has_passed() {
    let agent = blocked()
        .keep_alive(Duration::from_millis(20))
        .start()
        .unwrap();
    let mut client = Client::greeted(&agent);
    client.send_bytes(&batch(3, 100));
    client.expect(&status(3, "00"));
    let start = std::time::Instant::now();
    client.send(APPEND);
    client.expect(&status(1, "02"));
    assert!(start.elapsed() >= Duration::from_millis(20));
    assert_eq!(agent.stats().batches_waiting, 0);
}

#[test]
fn a_batch_that_waits_is_answered_ok_once_the_sink_makes_room() {
    let agent = blocked().keep_alive(LIMIT).start().unwrap();
    let mut client = Client::greeted(&agent);
    client.send_bytes(&batch(3, 100));
    client.expect(&status(3, "00"));
    client.send(APPEND);
    agent
        .wait_until(LIMIT, |stats| stats.batches_waiting == 1)
        .unwrap();
    agent.resume_sink();
    client.expect(&status(1, "00"));
    assert_eq!(bodies(&agent, 101).last().unwrap(), "hi");
}

#[test]
fn a_batch_whose_client_leaves_while_it_waits_is_committed_all_the_same() {
    let agent = blocked().keep_alive(LIMIT).start().unwrap();
    let mut client = Client::greeted(&agent);
    client.send_bytes(&batch(3, 100));
    client.expect(&status(3, "00"));
    client.send(APPEND);
    agent
        .wait_until(LIMIT, |stats| stats.batches_waiting == 1)
        .unwrap();
    drop(client);
    agent
        .wait_until(LIMIT, |stats| stats.connections_open == 0)
        .unwrap();
    agent.resume_sink();
    agent.wait_for(101, LIMIT).unwrap();
}

#[test]
fn a_paused_sink_takes_nothing_until_it_is_resumed() {
    let agent = MiniAgent::builder().start().unwrap();
    let mut client = Client::greeted(&agent);
    client.send(APPEND);
    agent.wait_for(1, LIMIT).unwrap();
    agent.pause_sink();
    client.send(APPEND);
    client.expect(&[status(1, "00"), status(1, "00")].concat());
    let stats = agent.stats();
    assert_eq!((stats.channel_size, stats.events_drained), (1, 1));
    agent.resume_sink();
    agent.wait_for(2, LIMIT).unwrap();
}

#[test]
fn capacities_that_contradict_each_other_are_errors_that_say_so() {
    let check = |builder: MiniAgentBuilder, expected: &str| {
        let error = builder.start().unwrap_err();
        assert!(!matches!(error, StartError::Bind { .. }));
        assert_eq!(error.to_string(), expected);
    };
    check(
        MiniAgent::builder().transaction_capacity(200),
        "transaction_capacity 200 is more than the channel's capacity 100: \
         lower the one or raise the other",
    );
    check(
        MiniAgent::builder().capacity(5),
        "transaction_capacity 100 is more than the channel's capacity 5: \
         lower the one or raise the other",
    );
    check(
        MiniAgent::builder().transaction_capacity(10).batch_size(20),
        "the sink's batch_size 20 is more than the channel's transaction_capacity 10: \
         lower the one or raise the other",
    );
    check(
        MiniAgent::builder().transaction_capacity(0),
        "transaction_capacity is 0: set it to at least 1",
    );
}
