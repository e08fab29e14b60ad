//! `flume ping`.

use crate::support::bad_server::BadServer;
use crate::support::command::flume;
use crate::support::{agent, closed_port};

#[track_caller]
fn check_fails(url: &str, code: i32, word: &str) {
    // Only who is silent is waited for.
    let timeout = if code == 124 { "500ms" } else { "30s" };
    let run = flume(&["ping", url, "--timeout", timeout, "--json"]);
    run.check(code, &[&format!("{url}: "), word]);
    let json = run.json();
    assert_eq!(json["ok"], false);
    let error = json["error"].as_str().unwrap();
    assert!(error.contains(word), "{error}");
}

#[test]
fn an_agent_that_answers_is_timed_and_gets_no_event() {
    let agent = agent();
    let run = flume(&["ping", &agent.url(), "--count", "20"]);
    run.check(0, &[]);
    for word in [
        &agent.url(),
        "connected in",
        "20 pings answered",
        "min",
        "p50",
        "p99",
    ] {
        assert!(run.stdout.contains(word), "{word:?}: {run:?}");
    }
    assert_eq!(run.stderr, "");
    let stats = agent.stats();
    assert_eq!((stats.events_accepted, stats.batches_ok), (0, 20));
}

#[test]
fn each_agent_gets_a_line_of_json() {
    let (one, two) = (agent(), agent());
    let run = flume(&["ping", &one.url(), &two.url(), "--json"]);
    run.check(0, &[]);
    let lines: Vec<serde_json::Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    for (line, agent) in lines.iter().zip([&one, &two]) {
        assert_eq!(
            (&line["schema"], &line["ok"], &line["answered"]),
            (&2.into(), &true.into(), &5.into())
        );
        assert_eq!(line["agent"], agent.url());
        let trips = &line["round_trip_ms"];
        assert!(trips["min"].as_f64().unwrap() > 0.0);
        assert!(trips["min"].as_f64() <= trips["p99"].as_f64());
    }
}

#[test]
fn failures_are_as_clear_as_in_sending() {
    check_fails(
        "avro://no-such-host.invalid:4141",
        4,
        "unknown host \"no-such-host.invalid\"",
    );
    check_fails(&closed_port(), 4, "connection refused");
    check_fails(&BadServer::http().url, 4, "the peer speaks HTTP");
    check_fails(
        &BadServer::of_another_protocol().url,
        4,
        "does not speak Flume's Avro protocol",
    );
    check_fails(&BadServer::wrong_serial().url, 4, "which is not under way");
    check_fails(
        &BadServer::huge_reply().url,
        4,
        "announced a frame of 2147483647 bytes",
    );
    check_fails(
        &BadServer::silent().url,
        124,
        "nothing was answered within 500 ms",
    );
    check_fails(
        &BadServer::silent_after_handshake().url,
        124,
        "not answered within 500 ms",
    );
}

#[test]
fn one_agent_of_two_is_a_part() {
    let agent = agent();
    let run = flume(&["ping", &closed_port(), &agent.url()]);
    run.check(5, &["connection refused"]);
    assert!(run.stdout.contains("5 pings answered"), "{run:?}");
}
