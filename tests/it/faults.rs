//! Each fault of an agent: what the client says of it, and that it costs no event.

use flume_client::{Client, ClientBuilder, Event};

use crate::support::{
    ANSWER_WITHIN, Agent, Answer, GOOD, Greeting, HOUR, NO_HOST, PATIENCE, Port, Script, answers,
    append_all, assert_each_at_least_once, assert_each_once, client_at, client_of, event, greets,
};

const EVENTS: u64 = 500;

fn patient(builder: ClientBuilder) -> Client {
    let builder = builder.request_timeout(ANSWER_WITHIN);
    builder.build().unwrap()
}

/// Checks that the error of an agent holds these words.
#[track_caller]
fn assert_error(client: &Client, agent: usize, words: &[&str]) {
    let stats = client.stats();
    let error = stats.agents[agent].last_error.as_ref().expect("an error");
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
    assert!(stats.agents[agent].failures > 0);
}

/// An agent that never works is named as such, and the next one gets everything, once.
#[track_caller]
fn check_takeover(first: &str, words: &[&str]) {
    let second = Agent::good();
    let client = patient(client_at([first.to_owned(), second.url()]));
    let receipts = append_all(&client, 0..EVENTS);
    for receipt in receipts {
        let ack = receipt.wait(PATIENCE).unwrap();
        assert_eq!(ack.agent.to_string(), second.url());
    }
    assert_error(&client, 0, words);
    let report = client.close(PATIENCE).wait();
    assert!(report.is_complete(), "{report:?}");
    assert_each_once(second.stored(), EVENTS);
}

/// A fault on every connection makes the second agent take over.
#[track_caller]
fn check_faulty_agent(script: Script, words: &[&str]) {
    let first = Agent::scripted([script]);
    check_takeover(&first.url(), words);
    assert!(first.connections() > 0);
}

/// A fault on the first connection only: the second connection gets all that is left.
#[track_caller]
fn check_recovery(script: Script) -> Vec<u64> {
    let agent = Agent::scripted([script, GOOD]);
    let client = patient(client_of(&[&agent]));
    append_all(&client, 0..EVENTS);
    let report = client.close(PATIENCE).wait();
    assert!(report.is_complete(), "{script:?}: {report:?}");
    assert_eq!(report.delivered, EVENTS);
    agent.stored()
}

#[test]
fn a_refused_port_is_named_and_the_next_agent_takes_over() {
    let port = Port::reserve();
    let address = port.addr().to_string();
    check_takeover(&port.url(), &["no connection", &address, "refused"]);
}

#[test]
fn an_unknown_host_is_named_and_the_next_agent_takes_over() {
    let words = [NO_HOST, "cannot be resolved"];
    check_takeover(&format!("avro://{NO_HOST}:4141"), &words);
}

#[test]
fn a_port_where_nobody_accepts_is_given_up_at_the_handshake() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("avro://{}", listener.local_addr().unwrap());
    check_takeover(&url, &["did not answer the handshake", "1s"]);
}

#[test]
fn an_agent_that_does_not_open_a_connection_is_given_up_with_the_right_words() {
    let cases: [(Greeting, &[&str]); 8] = [
        (
            Greeting::NoneTwice,
            &["does not speak Flume's Avro protocol", "NONE"],
        ),
        (
            Greeting::WrongSerial,
            &["reply to the handshake", "serial number"],
        ),
        (
            Greeting::Unanswered,
            &["did not answer the handshake", "1s"],
        ),
        (
            Greeting::ClosedAtOnce,
            &["closed the connection before it answered"],
        ),
        (
            Greeting::ClosedUnanswered,
            &[
                "closed the connection before it answered",
                "TLS",
                "compression",
                "ipFilter",
            ],
        ),
        (
            Greeting::Says(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
            &["the peer speaks HTTP", "not of an Avro source"],
        ),
        (
            Greeting::Says(b"SSH-2.0-OpenSSH_9.6\r\n"),
            &["SSH server", "not the port of an Avro source"],
        ),
        (
            Greeting::Says(b"\0\0\0\0\0\0\0\x01\x7f\xff\xff\xff"),
            &["a frame of 2147483647 bytes", "allowed"],
        ),
    ];
    for (greeting, words) in cases {
        check_faulty_agent(greets(greeting), words);
    }
}

#[test]
fn an_agent_that_does_not_take_batches_is_given_up_with_the_right_words() {
    let cases: [(Script, &[&str]); 11] = [
        (
            answers(Answer::Failed),
            &["refused a batch with FAILED", "transactionCapacity"],
        ),
        (answers(Answer::Unknown), &["refused a batch with UNKNOWN"]),
        (
            answers(Answer::Error("org.apache.flume.ChannelException: no")),
            &["exception", "org.apache.flume.ChannelException: no"],
        ),
        (
            answers(Answer::Unanswered),
            &["did not answer a batch", "1s"],
        ),
        (
            answers(Answer::Closed),
            &["the agent closed the connection"],
        ),
        (
            answers(Answer::StoredThenClosed),
            &["the agent closed the connection"],
        ),
        (
            answers(Answer::HalfThenClosed),
            &["the agent closed the connection"],
        ),
        (
            answers(Answer::WrongSerial),
            &["answered call 1001", "not under way"],
        ),
        (
            answers(Answer::TwoGibibytes),
            &["a frame of 2147483647 bytes", "allowed"],
        ),
        (
            greets(Greeting::ThenDeaf),
            &["did not answer a batch", "1s"],
        ),
        (greets(Greeting::ThenClosed), &["connection"]),
    ];
    for (script, words) in cases {
        check_faulty_agent(script, words);
    }
}

#[test]
fn a_handshake_that_needs_more_than_one_word_opens_the_connection() {
    for greeting in [Greeting::Both, Greeting::Client, Greeting::NoneThenBoth] {
        let agent = Agent::scripted([greets(greeting)]);
        let client = patient(client_of(&[&agent]));
        append_all(&client, 0..EVENTS);
        assert!(client.close(PATIENCE).wait().is_complete(), "{greeting:?}");
        assert_each_once(agent.stored(), EVENTS);
        assert_eq!(agent.connections(), 1, "{greeting:?}");
    }
}

#[test]
fn a_fault_before_the_events_are_stored_leaves_no_duplicate() {
    use Answer::{Closed, Error, Failed, Ok, OkBytewise, OkThenClosed, Unanswered, Unknown};
    let first: [&'static [Answer]; 9] = [
        &[Failed],
        &[Unknown],
        &[Error("no")],
        &[Ok, Failed, Ok, Error("no")],
        &[Closed],
        &[Ok, Ok, Closed],
        &[Unanswered],
        &[OkThenClosed],
        &[OkBytewise, OkBytewise],
    ];
    for first in first {
        let stored = check_recovery(Script { first, ..GOOD });
        assert_each_once(stored, EVENTS);
    }
}

#[test]
fn a_connection_that_never_carries_a_batch_leaves_no_duplicate() {
    for greeting in [
        Greeting::ClosedAtOnce,
        Greeting::ClosedUnanswered,
        Greeting::ThenClosed,
        Greeting::ThenDeaf,
        Greeting::Unanswered,
        Greeting::NoneTwice,
        Greeting::Says(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    ] {
        assert_each_once(check_recovery(greets(greeting)), EVENTS);
    }
}

#[test]
fn only_the_batches_whose_answer_was_cut_arrive_twice() {
    use Answer::{HalfThenClosed, Ok, OkTwice, StoredThenClosed, TwoGibibytes, WrongSerial};
    let first: [&'static [Answer]; 6] = [
        &[StoredThenClosed],
        &[Ok, StoredThenClosed],
        &[HalfThenClosed],
        &[TwoGibibytes],
        &[WrongSerial],
        &[OkTwice],
    ];
    for first in first {
        let stored = check_recovery(Script { first, ..GOOD });
        // The window opens while the fault is on its way: at most the batches of that connection.
        let twice = stored.len() as u64 - EVENTS;
        assert!(twice <= 400, "{first:?}: {twice} events came twice");
        assert_each_at_least_once(stored, EVENTS);
    }
}

#[test]
fn one_cut_answer_doubles_exactly_its_batch() {
    let agent = Agent::scripted([
        Script {
            first: &[Answer::StoredThenClosed],
            ..GOOD
        },
        GOOD,
    ]);
    let client = patient(client_of(&[&agent]).linger(PATIENCE));
    append_all(&client, 0..10);
    client.flush(PATIENCE).wait().unwrap();
    let mut stored = agent.stored();
    stored.sort_unstable();
    let expected: Vec<_> = (0..10).flat_map(|number| [number, number]).collect();
    assert_eq!(stored, expected);
    assert_eq!(client.stats().batches_retried, 1);
}

#[test]
fn answers_out_of_order_are_each_taken_for_their_own_batch() {
    // Others wait while the first one is under way, so its answer opens the window to two.
    let script = Script {
        first: &[Answer::Ok, Answer::OkSwapped, Answer::OkSwapped],
        ..GOOD
    };
    let agent = Agent::scripted([script]);
    let client = patient(client_of(&[&agent]).linger(PATIENCE));
    let events = (0..EVENTS).map(event).collect();
    for receipt in client.append_batch(events).unwrap() {
        receipt.wait(PATIENCE).unwrap();
    }
    let stats = client.stats();
    assert_eq!(agent.connections(), 1, "{:?}", stats.agents[0].last_error);
    assert_each_once(agent.stored(), EVENTS);
    assert_eq!(stats.agents[0].failures, 0);
}

#[test]
fn an_answer_that_came_before_the_connection_broke_counts() {
    use Answer::{Ok, OkWhenReleasedThenClosed};
    // The first three batches open the window for the two that matter.
    let first = &[Ok, Ok, Ok, OkWhenReleasedThenClosed];
    for _ in 0..10 {
        let agent = Agent::scripted([Script { first, ..GOOD }, GOOD]);
        let builder = client_of(&[&agent]).batch_events(1).linger(HOUR);
        let client = builder.event_bytes(16 << 20).build().unwrap();
        drop(client.append_batch((0..3).map(event).collect()).unwrap());
        client.flush(PATIENCE).wait().unwrap();
        let answered = client.append(event(3)).unwrap();
        agent.wait_for_requests(4);
        // Too large for the socket's buffers: the client is in the middle of writing it.
        let cut = Event::new(format!("event 4 {}", "x".repeat(8 << 20)));
        let cut = client.append(cut).unwrap();
        agent.release();
        answered.wait(PATIENCE).unwrap();
        cut.wait(PATIENCE).unwrap();
        assert_each_once(agent.stored(), 5);
    }
}

#[test]
fn an_answer_to_a_batch_that_is_still_being_written_is_not_believed() {
    let agent = Agent::scripted([greets(Greeting::ThenHasty), GOOD]);
    let client = client_of(&[&agent]).event_bytes(16 << 20).build().unwrap();
    // Too large for the socket's buffers.
    let event = Event::new(format!("event 0 {}", "x".repeat(8 << 20)));
    client.append(event).unwrap().wait(PATIENCE).unwrap();
    assert_error(&client, 0, &["answered call 1", "not under way"]);
    assert_each_once(agent.stored(), 1);
}

#[test]
fn what_an_agent_says_reaches_nobody_unbounded_or_unescaped() {
    let text: &'static str = "\u{1b}[31mno\r\n\u{9b}2J\u{202e}".repeat(3_000).leak();
    let agent = Agent::scripted([answers(Answer::Error(text))]);
    let client = patient(client_of(&[&agent]));
    append_all(&client, 0..1);
    agent.wait_for_requests(2);
    let error = client.stats().agents[0].last_error.clone().unwrap();
    for told in [error.to_string(), format!("{error:?}")] {
        assert!(told.contains("more bytes)"), "{told}");
        assert!(told.len() < 1500, "{} bytes", told.len());
        assert!(
            !told.contains(|c: char| c.is_control() || c == '\u{202e}'),
            "{told:?}"
        );
    }
}
