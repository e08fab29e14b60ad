//! `flume ping`.

use crate::support::bad_server::{
    HTTP, HUGE_REPLY, OF_ANOTHER_PROTOCOL, SILENT, SILENT_AFTER_HANDSHAKE, WRONG_SERIAL, bad_server,
};
use crate::support::command::flume;
#[cfg(feature = "tls")]
use crate::support::tls::tls_agent;
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

#[cfg(feature = "tls")]
#[test]
fn of_an_agent_with_tls_its_certificates_are_shown_and_one_that_ends_soon_is_warned_of() {
    for (days, warns) in [(31, false), (10, true)] {
        let (agent, home) = tls_agent(days);
        let ca = home.path().join("ca.pem").display().to_string();
        let run = flume(&["ping", &agent.url(), "--ca", &ca]);
        run.check(0, &[]);
        let lines: Vec<_> = run.stdout.lines().collect();
        let [first, agreed, own, middle] = lines[..] else {
            unreachable!("{run:?}");
        };
        assert!(first.contains("5 pings answered"), "{first}");
        assert_eq!(agreed, "  TLS 1.3, TLS13_AES_256_GCM_SHA384");
        let told = "  CN=agent; for 127.0.0.1, collector.example; signed by CN=middle; ends ";
        assert!(own.starts_with(told), "{own}");
        assert!(
            middle.starts_with("  CN=middle; signed by CN=root; ends "),
            "{middle}"
        );
        let warning = format!(
            "{}: the certificate CN=agent ends in 10 days, ",
            agent.url()
        );
        assert_eq!(run.stderr.contains(&warning), warns, "{run:?}");
        assert_eq!(run.stderr.is_empty(), !warns, "{run:?}");

        let json = flume(&["ping", &agent.url(), "--ca", &ca, "--json"]).json();
        assert_eq!(json["tls"]["version"], "TLS 1.3");
        let chain = json["tls"]["chain"].as_array().unwrap();
        let days_left: Vec<_> = chain.iter().map(|it| it["days_left"].as_u64()).collect();
        assert_eq!(days_left, [Some(days.into()), Some(1000)]);
        assert_eq!(chain[0]["names"][1], "collector.example");
    }
}
