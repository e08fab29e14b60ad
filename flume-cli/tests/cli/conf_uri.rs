//! `flume agent --conf-uri`.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::support::command::{Run, command, flume};
use crate::support::configured::{Agent, PropertyFile};
use crate::support::web::WebServer;

const STUCK: &str = "\
a1.sources = r1
a1.channels = c1
a1.sources.r1.type = avro
a1.sources.r1.bind = 127.0.0.1
a1.sources.r1.port = 0
a1.sources.r1.channels = c1
a1.channels.c1.type = memory
";
const WITH_LOGGER: &str = "\
a1.sources = r1
a1.channels = c1
a1.sources.r1.type = avro
a1.sources.r1.bind = 127.0.0.1
a1.sources.r1.port = 0
a1.sources.r1.channels = c1
a1.channels.c1.type = memory
a1.sinks = k1
a1.sinks.k1.type = logger
a1.sinks.k1.channel = c1
";
const DATED: &str = "200 OK\r\nETag: \"v1\"\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT";

fn run(url: &str, args: &[&str]) -> Run {
    flume(&[&["agent", "-n", "a1", "--conf-uri", url], args].concat())
}

/// An agent that asks every second. The property file is only for the ready file beside it.
fn start(server: &WebServer) -> (Agent, PropertyFile) {
    let place = PropertyFile::new("");
    let ready = place.dir("ready");
    let mut command = command(["agent", "-n", "a1", "--conf-uri", &server.url]);
    command
        .args(["--poll-interval", "1", "--ready-file"])
        .arg(ready);
    command.args(["--conf-user", "me"]);
    command.env("FLUME_CONF_PASSWORD", "open sesame");
    (place.start_with(command), place)
}

#[test]
fn the_document_is_fetched_with_the_credentials_and_asked_for_again_with_its_date_and_tag() {
    let server = WebServer::start(DATED, STUCK);
    let (agent, _place) = start(&server);
    agent.send("r1", "x\n");
    server.answer_with("304 Not Modified", "");
    let requests = server.wait_for_requests(4);
    assert!(
        requests[0].starts_with("get /conf/a1 http/1.1\r\n"),
        "{requests:?}"
    );
    // Of RFC 7617's "user:password" in base64, here from another program; lower case.
    let basic = "authorization: basic bwu6b3blbibzzxnhbwu=\r\n";
    assert!(requests[0].contains(basic), "{requests:?}");
    assert!(!requests[0].contains("if-none-match"), "{requests:?}");
    let last = requests.last().unwrap();
    assert!(last.contains("if-none-match: \"v1\"\r\n"), "{last}");
    let since = "if-modified-since: wed, 21 oct 2015 07:28:00 gmt\r\n";
    assert!(last.contains(since), "{last}");
    let run = agent.stop();
    run.check(5, &["1 event lost"]);
    assert!(!run.stderr.contains("reload"), "{run:?}");
}

#[test]
fn a_server_that_sends_the_same_again_and_again_causes_no_reload() {
    let server = WebServer::start("200 OK", STUCK);
    let (agent, _place) = start(&server);
    server.wait_for_requests(4);
    let run = agent.stop();
    run.check(0, &["stopped"]);
    assert!(!run.stderr.contains("reload"), "{run:?}");
}

#[test]
fn another_document_is_followed_and_trouble_is_told_once() {
    let server = WebServer::start(DATED, STUCK);
    let (mut agent, _place) = start(&server);
    agent.send("r1", "kept\n");
    server.answer_with("503 Service Unavailable", "");
    let seen = server.requests();
    server.wait_for_requests(seen + 3);
    server.answer_with(DATED, WITH_LOGGER);
    agent.running.wait_for_stderr(": reloaded");
    agent.running.wait_for_stdout("kept");
    let run = agent.stop();
    run.check(
        0,
        &["the answer is 503 Service Unavailable", "the agent goes on"],
    );
    assert_eq!(run.stderr.matches("503 Service").count(), 1, "{run:?}");
}

#[test]
fn wrong_credentials_are_an_error_that_shows_none() {
    let server = WebServer::start("401 Unauthorized", "");
    let args = ["--conf-user", "me", "--conf-password", "open sesame"];
    let run = run(&server.url, &args);
    let answer = format!(
        "cannot fetch {}: the answer is 401 Unauthorized",
        server.url
    );
    run.check(1, &[&answer, "check --conf-user and --conf-password"]);
    assert!(!run.stderr.contains("sesame"), "{run:?}");
}

#[test]
fn a_server_that_is_not_there_or_says_nothing_is_told_in_bounded_time() {
    let start = Instant::now();
    run("http://127.0.0.1:1/conf", &[]).check(
        1,
        &["cannot fetch http://127.0.0.1:1/conf: connection refused"],
    );
    // The kernel accepts connections, and nobody reads them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    run(&url, &[]).check(1, &["no answer within 10 s"]);
    assert!(start.elapsed() < Duration::from_secs(25));
}

#[test]
fn redirects_long_documents_and_wrong_ones_are_told() {
    let server = WebServer::start("302 Found\r\nLocation: http://b/", "");
    run(&server.url, &[]).check(1, &["302 Found, which leads to http://b/"]);
    server.answer_with("200 OK", &"#".repeat(1_500_000));
    run(&server.url, &[]).check(2, &["the text has 1500000 bytes"]);
    server.answer_with("200 OK", &"#".repeat(3_000_000));
    run(&server.url, &[]).check(1, &["the document has more than 2097152 bytes"]);
    server.answer_with("200 OK", "a1.sources = r1\n");
    run(&server.url, &[]).check(2, &[&format!("{}:1: ", server.url)]);
}

#[test]
fn file_urls_are_read_and_others_refused() {
    let file = PropertyFile::new("a1.sinks = k1\n");
    let url = format!("file://{}", file.path().display());
    run(&url, &[]).check(2, &[&format!("{}:1", file.path().display())]);
    run("https://a/b", &[]).check(2, &["https is not here yet", "use --config"]);
    run("http://me:word@a/b", &[]).check(2, &["--conf-user"]);
}
