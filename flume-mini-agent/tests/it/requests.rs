//! The record of connections and requests.

use flume_mini_agent::{Answered, MiniAgent, ReplyMode, Stats, Stored};

use crate::support::{APPEND, Client, LIMIT, batch, hex, status};

#[test]
fn requests_are_recorded_with_what_was_told_and_stored() {
    let agent = MiniAgent::builder().start().unwrap();
    let mut client = Client::greeted(&agent);
    client.send_bytes(&batch(3, 7));
    client.expect(&status(3, "00"));
    client.send_bytes(&batch(4, 101));
    client.expect(&status(4, "02"));
    client.expect_usable();
    client.send("00000005 00000001 00000002 00 08");
    client.expect("00000005 00000003 00000000 00000001 00");
    let found: Vec<_> = agent
        .requests()
        .into_iter()
        .map(|request| {
            (
                request.bytes,
                request.events,
                request.answered,
                request.stored,
            )
        })
        .collect();
    let failed = Answered::Error("java.io.EOFException".to_owned());
    assert_eq!(
        found,
        [
            (36, 0, Answered::Handshake, Stored::No),
            (37, 7, Answered::Ok, Stored::Yes),
            (319, 101, Answered::Failed, Stored::No),
            (14, 0, Answered::Ok, Stored::No),
            (2, 0, failed, Stored::No),
        ]
    );
    assert_eq!(agent.batches().len(), 2);
    assert!(
        agent
            .requests()
            .iter()
            .all(|request| request.source == "avro")
    );
}

#[test]
fn a_request_that_waits_is_recorded_as_told_nothing_yet() {
    for mode in [ReplyMode::Parallel, ReplyMode::Sequential] {
        let builder = MiniAgent::builder().sink_paused(true).keep_alive(LIMIT);
        let agent = builder.reply_mode(mode).start().unwrap();
        let mut client = Client::greeted(&agent);
        client.send_bytes(&batch(3, 100));
        client.expect(&status(3, "00"));
        client.send(APPEND);
        let waits = |stats: &Stats| stats.batches_waiting == 1;
        agent.wait_until(LIMIT, waits).unwrap();
        let last = agent.requests().pop().unwrap();
        assert_eq!(
            (last.answered, last.stored),
            (Answered::Nothing, Stored::No)
        );
        agent.resume_sink();
        client.expect(&status(1, "00"));
        let last = agent.requests().pop().unwrap();
        assert_eq!((last.answered, last.stored), (Answered::Ok, Stored::Yes));
    }
}

#[test]
fn connections_are_recorded_until_they_close_and_when_the_agent_stops() {
    let mut agent = MiniAgent::builder().start().unwrap();
    let first = Client::greeted(&agent);
    let _second = Client::greeted(&agent);
    drop(first);
    agent
        .wait_until(LIMIT, |stats| stats.connections_open == 1)
        .unwrap();
    let closed: Vec<_> = agent
        .connections()
        .iter()
        .map(|c| c.closed.is_some())
        .collect();
    assert_eq!(closed, [true, false]);
    agent.stop();
    let connections = agent.connections();
    assert!(
        connections
            .iter()
            .all(|connection| connection.closed.is_some())
    );
    assert!(
        connections
            .iter()
            .all(|connection| connection.requests == 1)
    );
    assert_eq!(
        connections.iter().map(|c| c.number).collect::<Vec<_>>(),
        [1, 2]
    );
    assert!(connections[0].peer.unwrap().ip().is_loopback());
}

#[test]
fn when_a_counter_tells_of_an_answer_the_record_has_it_already() {
    let agent = MiniAgent::builder()
        .transaction_capacity(1)
        .start()
        .unwrap();
    let mut client = Client::greeted(&agent);
    for round in 1..=500 {
        // One that is stored and one that is refused.
        let sent = if round % 2 == 0 {
            batch(3, 2)
        } else {
            hex(APPEND)
        };
        client.send_bytes(&sent);
        let answered = |stats: &Stats| stats.batches_ok + stats.batches_failed == round;
        agent.wait_until(LIMIT, answered).unwrap();
        let last = agent.requests().pop().unwrap();
        let answered = if round % 2 == 0 {
            Answered::Failed
        } else {
            Answered::Ok
        };
        assert_eq!((last.number, last.answered), (round + 1, answered));
    }
}
