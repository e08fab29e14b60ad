//! The control interface over HTTP.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Instant;

use flume_mini_agent::{Fault, MiniAgent, MiniAgentBuilder, Sink, StartError};
use serde_json::Value;

use crate::support::{APPEND, Client, LIMIT, batch, status};

fn builder() -> MiniAgentBuilder {
    MiniAgent::builder().control("127.0.0.1:0")
}

/// Sends a request; the status and the body of the answer.
fn ask(agent: &MiniAgent, request: &str, body: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(agent.control_addr().unwrap()).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let length = body.len();
    let head = "Host: localhost\r\nConnection: close";
    write!(
        socket,
        "{request} HTTP/1.1\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap();
    (status.parse().unwrap(), body.to_owned())
}

#[track_caller]
fn check(agent: &MiniAgent, request: &str, status: u16, body: &str) {
    let answer = ask(agent, request, "");
    assert_eq!(answer, (status, body.to_owned()), "{request}");
}

fn append(agent: &MiniAgent) {
    let mut client = Client::greeted(agent);
    client.send(APPEND);
    client.expect(&status(1, "00"));
}

#[test]
fn events_can_be_waited_for_seen_in_parts_and_forgotten() {
    let agent = builder().start().unwrap();
    check(&agent, "GET /events", 200, r#"{"events":[],"total":0}"#);
    let mut client = Client::greeted(&agent);
    client.send(APPEND);
    client.send_bytes(&batch(2, 2));
    check(
        &agent,
        "GET /api/v1/wait?n=3&timeout=30",
        200,
        r#"{"received":3}"#,
    );
    check(
        &agent,
        "GET /events?limit=2",
        200,
        r#"{"events":[{"body":"hi","headers":{"k":"v"}},{"body":"x","headers":{}}],"total":3}"#,
    );
    let rest = r#"{"events":[{"body":"x","headers":{}}],"total":3}"#;
    check(&agent, "GET /events?from=2", 200, rest);
    check(&agent, "DELETE /events", 204, "");
    check(&agent, "GET /events", 200, r#"{"events":[],"total":0}"#);
    let (status, text) = ask(&agent, "GET /api/v1/wait?timeout=0.001", "");
    assert_eq!(
        (status, text.as_str()),
        (504, "fewer than 1 events were received within 1ms\n")
    );
    append(&agent);
    check(&agent, "GET /api/v1/wait", 200, r#"{"received":1}"#);
    assert_eq!(agent.received_count(), 4);
    assert_eq!(agent.wait_for(1, LIMIT).unwrap().len(), 1);
}

#[test]
fn metrics_have_the_shape_of_flumes() {
    let agent = builder().sink_paused(true).start().unwrap();
    let mut client = Client::greeted(&agent);
    client.send_bytes(&batch(2, 50));
    client.expect(&status(2, "00"));
    let metrics = || -> Value {
        let (status, text) = ask(&agent, "GET /metrics", "");
        assert_eq!(status, 200);
        serde_json::from_str(&text).unwrap()
    };
    let found = metrics();
    let of = |component: &str, attribute: &str| found[component][attribute].as_str().unwrap();
    assert_eq!(of("CHANNEL.c1", "Type"), "CHANNEL");
    assert_eq!(of("CHANNEL.c1", "ChannelSize"), "50");
    assert_eq!(of("CHANNEL.c1", "ChannelFillPercentage"), "50.0");
    assert_eq!(of("SOURCE.r1", "EventAcceptedCount"), "50");
    assert_eq!(of("SOURCE.r1", "AppendBatchAcceptedCount"), "1");
    assert_eq!(of("SOURCE.r1", "OpenConnectionCount"), "1");
    drop(client);
    agent
        .wait_until(LIMIT, |stats| stats.connections_open == 0)
        .unwrap();
    assert_eq!(metrics()["SOURCE.r1"]["OpenConnectionCount"], "0");
}

#[test]
fn faults_are_put_shown_and_ended_and_those_of_guards_stay() {
    let agent = builder().start().unwrap();
    let guard = agent.fault(Fault::Unknown.nth_request(3));
    let rules = r#"[{"fault":"failed","nth_request":1},{"fault":"failed","nth_request":2}]"#;
    assert_eq!(
        ask(&agent, "PUT /faults", rules),
        (200, r#"{"rules":[2,3]}"#.to_owned())
    );
    let rule = r#"{"fault":"failed","nth_request":1}"#;
    assert_eq!(
        ask(&agent, "PUT /faults", rule),
        (200, r#"{"rules":[4]}"#.to_owned())
    );
    let mut client = Client::greeted(&agent);
    for reply in ["02", "00"] {
        client.send(APPEND);
        client.expect(&status(1, reply));
    }
    let (status_code, text) = ask(&agent, "GET /faults", "");
    assert_eq!(status_code, 200);
    let shown = r#"{"hits":[{"at_ms":"#;
    assert!(text.starts_with(shown), "{text}");
    let hit = r#""connection":1,"fault":"failed","request":2,"rule":4}]"#;
    assert!(text.contains(hit), "{text}");
    let rules = r#""rules":[{"fault":"unknown","nth_request":3,"rule":1,"struck":0},{"fault":"failed","nth_request":1,"rule":4,"struck":1}]}"#;
    assert!(text.ends_with(rules), "{text}");
    check(&agent, "DELETE /faults", 204, "");
    client.send(APPEND);
    client.expect(&status(1, "04"));
    assert_eq!(guard.hits().len(), 1);
    let (status_code, text) = ask(&agent, "PUT /faults", r#"{"fault":"fire"}"#);
    assert_eq!(
        (status_code, text.as_str()),
        (
            400,
            format!(
                "there is no fault \"fire\"; there are: {}\n",
                Fault::NAMES.join(", ")
            )
            .as_str()
        )
    );
}

#[test]
fn a_reload_closes_connections_and_keeps_what_was_received_even_from_a_stopped_agent() {
    let mut agent = builder().start().unwrap();
    let mut client = Client::greeted(&agent);
    append(&agent);
    agent.wait_for(1, LIMIT).unwrap();
    check(&agent, "POST /reload", 204, "");
    client.expect_closed();
    append(&agent);
    agent.stop();
    check(&agent, "POST /reload", 204, "");
    append(&agent);
    agent.wait_for(3, LIMIT).unwrap();
    assert!(matches!(
        agent.start_again(),
        Err(StartError::Running { .. })
    ));
}

#[test]
fn what_is_not_there_or_not_allowed_is_refused() {
    let agent = builder().start().unwrap();
    check(&agent, "GET /", 200, "Flume metrics are at /metrics\n");
    check(&agent, "GET /nothing", 404, "");
    check(&agent, "POST /events", 405, "");
    check(&agent, "GET /reload", 405, "");
    check(&agent, "OPTIONS /events", 403, "");
    check(&agent, "TRACE /metrics", 403, "");
    check(
        &agent,
        "DELETE /events HTTP/1.1\r\nOrigin: http://elsewhere\r\nX:",
        403,
        "",
    );
    let no_number = "n is no number that makes sense here\n";
    check(&agent, "GET /api/v1/wait?n=-1", 400, no_number);
    let too_long = "timeout is from 0 to 600 seconds\n";
    check(&agent, "GET /api/v1/wait?timeout=601", 400, too_long);
    check(&agent, "GET /api/v1/wait?timeout=NaN", 400, too_long);
}

#[test]
fn the_control_interface_is_local_unless_told_otherwise() {
    let anywhere = || MiniAgent::builder().control("0.0.0.0:0");
    let error = anywhere().start().unwrap_err();
    assert!(matches!(error, StartError::ControlReachable { .. }));
    assert!(
        error
            .to_string()
            .contains("could be reached from elsewhere")
    );
    anywhere().control_from_anywhere(true).start().unwrap();
    assert_eq!(MiniAgent::builder().start().unwrap().control_addr(), None);
}

#[test]
fn a_dropped_agent_stops_though_somebody_waits_for_its_events() {
    let agent = builder().start().unwrap();
    let control = agent.control_addr().unwrap();
    let mut client = Client::greeted(&agent);
    let mut waiting = TcpStream::connect(control).unwrap();
    write!(
        waiting,
        "GET /api/v1/wait?timeout=600 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    .unwrap();
    // A second request is answered, so the first one was taken up before it or is at the latest
    // when the agent is dropped: either is fine.
    check(&agent, "GET /events", 200, r#"{"events":[],"total":0}"#);
    drop(agent);
    client.expect_closed();
    assert!(TcpStream::connect(control).is_err());
}

/// Sends these bytes, ends the stream if wanted, and reads to the end of the answer.
fn say(agent: &MiniAgent, text: &str, end: bool) -> String {
    let mut socket = TcpStream::connect(agent.control_addr().unwrap()).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket.write_all(text.as_bytes()).unwrap();
    if end {
        socket.shutdown(Shutdown::Write).unwrap();
    }
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_page_whose_name_leads_here_cannot_read_or_do_anything() {
    let agent = builder().start().unwrap();
    append(&agent);
    agent.wait_for(1, LIMIT).unwrap();
    let port = agent.control_addr().unwrap().port();
    let requests = [
        "GET /",
        "GET /metrics",
        "GET /events",
        "DELETE /events",
        "POST /reload",
    ];
    for request in requests {
        for host in [format!("Host: evil.example:{port}\r\n"), String::new()] {
            // Without a host only HTTP/1.0 is whole.
            let version = if host.is_empty() { "1.0" } else { "1.1" };
            let text = format!("{request} HTTP/{version}\r\n{host}Connection: close\r\n\r\n");
            let answer = say(&agent, &text, false);
            assert!(answer.contains(" 403 Forbidden\r\n"), "{text}{answer}");
            let told = format!("ask for 127.0.0.1:{port} or localhost");
            assert!(answer.contains(&told), "{answer}");
        }
    }
    assert_eq!(agent.received().len(), 1);
    for host in ["localhost", &format!("127.0.0.1:{port}")] {
        let text = format!("GET /events HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = say(&agent, &text, false);
        assert!(answer.contains("\"total\":1"), "{answer}");
    }
}

#[test]
fn requests_that_wait_hold_up_no_other_and_too_many_of_them_are_told() {
    const WAITS_MAX: usize = 32;
    let agent = builder().start().unwrap();
    let wait =
        "GET /api/v1/wait?timeout=600 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let begin = |_| {
        let mut socket = TcpStream::connect(agent.control_addr().unwrap()).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket.write_all(wait.as_bytes()).unwrap();
        socket
    };
    let waiting: Vec<_> = (0..WAITS_MAX).map(begin).collect();
    // One more is answered at once, as soon as all of them have been read.
    let began = Instant::now();
    let text = loop {
        let (status, text) = ask(&agent, "GET /api/v1/wait?timeout=0.01", "");
        assert!(began.elapsed() < LIMIT, "{status} {text}");
        if status == 503 {
            break text;
        }
    };
    assert_eq!(
        text,
        "32 requests wait for events already: ask again later\n"
    );
    check(&agent, "GET /events", 200, r#"{"events":[],"total":0}"#);
    check(&agent, "POST /reload", 204, "");
    append(&agent);
    for mut socket in waiting {
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with(r#"{"received":1}"#), "{answer}");
    }
}

#[test]
fn who_shuts_its_side_down_gets_its_answer_all_the_same() {
    let agent = builder().start().unwrap();
    thread::scope(|scope| {
        let wait = "GET /api/v1/wait?timeout=30 HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let answer = scope.spawn(|| say(&agent, wait, true));
        // Answered behind the other, which has been read to its end then.
        let metrics = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
        assert!(say(&agent, metrics, true).contains("CHANNEL.c1"));
        append(&agent);
        let answer = answer.join().unwrap();
        assert!(answer.ends_with(r#"{"received":1}"#), "{answer}");
    });
}

#[test]
fn where_no_sink_keeps_events_that_is_told_and_not_that_there_are_none() {
    let agent = builder().sink(Sink::Null).start().unwrap();
    append(&agent);
    check(&agent, "GET /api/v1/wait", 200, r#"{"received":1}"#);
    let told = "the null sink keeps no events: use a collect sink, or see /metrics\n";
    check(&agent, "GET /events", 409, told);
}
