//! `flume ping`.

use crate::support::bad_server::{
    HTTP, HUGE_REPLY, OF_ANOTHER_PROTOCOL, SILENT, SILENT_AFTER_HANDSHAKE, WRONG_SERIAL, bad_server,
};
use crate::support::command::flume;
use crate::support::{NO_HOST, agent, closed_port};

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
        &format!("avro://{NO_HOST}:4141"),
        4,
        &format!("the host \"{NO_HOST}\" cannot be resolved"),
    );
    check_fails(&closed_port(), 4, "connection refused");
    check_fails(&bad_server(HTTP).url(), 4, "the peer speaks HTTP");
    check_fails(
        &bad_server(OF_ANOTHER_PROTOCOL).url(),
        4,
        "does not speak Flume's Avro protocol",
    );
    check_fails(&bad_server(WRONG_SERIAL).url(), 4, "which is not under way");
    check_fails(
        &bad_server(HUGE_REPLY).url(),
        4,
        "announced a frame of 2147483647 bytes",
    );
    check_fails(
        &bad_server(SILENT).url(),
        124,
        "did not answer the handshake within 500ms",
    );
    check_fails(
        &bad_server(SILENT_AFTER_HANDSHAKE).url(),
        124,
        "did not answer a batch within 500ms",
    );
}

#[test]
fn one_agent_of_two_is_a_part() {
    let agent = agent();
    let run = flume(&["ping", &closed_port(), &agent.url()]);
    run.check(5, &["connection refused"]);
    assert!(run.stdout.contains("5 pings answered"), "{run:?}");
}
