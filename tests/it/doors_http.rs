//! Agents that take requests over HTTP.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use flume_client::stats::AgentState;
use flume_client::{Client, ClientBuilder, Event, HttpOptions, Reliability, Secret};
use flume_mini_agent::{Fault, MiniAgent};
use flume_tests::wait_until;
use serde_json::{Value, json};

use crate::support::{PATIENCE, Port, assert_balanced, client_at, event, give_up};

/// A request as it was read.
#[derive(Clone, Debug)]
struct Request {
    line: String,
    /// Names in small letters.
    headers: Vec<(String, String)>,
    body: Value,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn is_greeting(&self) -> bool {
        self.body == json!([])
    }

    /// The bodies of its events.
    fn bodies(&self) -> Vec<String> {
        let events = self.body.as_array().unwrap().iter();
        events
            .map(|event| event["body"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// An agent that answers as it is told, a greeting by 200.
struct Scripted {
    address: SocketAddr,
    requests: Receiver<Request>,
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

impl Scripted {
    /// `answer` gets each request that is no greeting, and its number, from 0. No answer: the connection is
    /// closed.
    fn start(answer: impl FnMut(usize, &Request) -> Option<String> + Send + 'static) -> Self {
        let mut answer = answer;
        let mut number = 0;
        Self::with_greetings(move |request| match request.is_greeting() {
            true => Some(OK.to_owned()),
            false => {
                number += 1;
                answer(number - 1, request)
            }
        })
    }

    fn with_greetings(answer: impl FnMut(&Request) -> Option<String> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = channel();
        let answer = Arc::new(Mutex::new(answer));
        thread::spawn(move || {
            for socket in listener.incoming() {
                let (sender, answer) = (sender.clone(), answer.clone());
                thread::spawn(move || {
                    let mut socket = BufReader::new(socket.unwrap());
                    while let Some(request) = read(&mut socket) {
                        let answer = answer.lock().unwrap()(&request);
                        // Whoever asks for it may be gone.
                        let _ = sender.send(request);
                        let Some(answer) = answer else { return };
                        if socket.get_mut().write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, requests }
    }

    fn url(&self) -> String {
        format!("http://{}/in", self.address)
    }

    fn client(&self) -> ClientBuilder {
        client_at([self.url()])
    }

    /// The next request with events.
    fn next(&self) -> Request {
        loop {
            let request = self.requests.recv_timeout(PATIENCE).unwrap();
            if !request.is_greeting() {
                return request;
            }
        }
    }
}

fn read(socket: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    socket.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        socket.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length?.1.parse().ok()?];
    socket.read_exact(&mut body).ok()?;
    Some(Request {
        line: line.trim_end().to_owned(),
        headers,
        body: serde_json::from_slice(&body).unwrap(),
    })
}

fn status(line: &str, more: &str) -> String {
    format!("HTTP/1.1 {line}\r\n{more}Content-Length: 0\r\n\r\n")
}

/// What was told of the first agent last.
fn told_of(client: &Client) -> String {
    let error = || client.stats().agents[0].last_error.clone();
    wait_until("an error", PATIENCE, || error().is_some()).unwrap();
    error().unwrap().to_string()
}

#[test]
fn an_http_source_takes_all_events_once_whatever_text_they_are() {
    let agent = MiniAgent::builder()
        .http()
        .capacity(20_000)
        .start()
        .unwrap();
    let client = client_at([agent.url()]).build().unwrap();
    for number in 0..5_000 {
        client.append_within(event(number), PATIENCE).unwrap();
    }
    let odd = Event::new("\"\\\u{0}\n\u{1f}é\u{2028}😀").header("ключ", "\t\"");
    client.append_within(odd.clone(), PATIENCE).unwrap();
    client.flush(PATIENCE).wait().unwrap();
    let stats = client.stats();
    assert_balanced(&stats);
    assert_eq!((stats.delivered, stats.connects), (5_001, 1));
    assert!(stats.agents[0].last_error.is_none(), "{stats:?}");
    let received = agent.wait_for(5_001, PATIENCE).unwrap();
    assert_eq!(agent.received_count(), 5_001);
    let bodies: BTreeSet<_> = received.iter().map(|it| it.body().to_vec()).collect();
    assert_eq!(bodies.len(), 5_001);
    let kept = received.iter().find(|it| it.body() == odd.body()).unwrap();
    assert_eq!(kept.headers().collect::<Vec<_>>(), [("ключ", "\t\"")]);
}

#[test]
fn a_request_is_a_post_of_json_to_the_address_and_greets_first() {
    let agent = Scripted::start(|_, _| Some(OK.to_owned()));
    let client = agent.client().build().unwrap();
    let event = Event::new("a").header("k", "v");
    client.append(event).unwrap().wait(PATIENCE).unwrap();
    let greeting = agent.requests.recv_timeout(PATIENCE).unwrap();
    assert!(greeting.is_greeting(), "{greeting:?}");
    let request = agent.next();
    assert_eq!(request.line, "POST /in HTTP/1.1");
    assert_eq!(request.body, json!([{"headers": {"k": "v"}, "body": "a"}]));
    let header = |name| request.header(name).unwrap_or("none");
    assert_eq!(header("content-type"), "application/json; charset=utf-8");
    assert_eq!(header("host"), agent.address.to_string());
    assert_eq!(header("accept-encoding"), "none");
}

#[test]
fn what_is_refused_is_sent_again_and_told_with_the_title_of_the_page() {
    let page = "<html><head><title>Error 503 Channel might be full.</title></head></html>";
    let full = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: {}\r\n\r\n{page}",
        page.len()
    );
    let agent = Scripted::start(move |number, _| Some(if number < 2 { &full } else { OK }.into()));
    let client = agent.client().build().unwrap();
    client.append(event(1)).unwrap().wait(PATIENCE).unwrap();
    let stats = client.stats();
    assert_eq!((stats.delivered, stats.batches_retried), (1, 2));
    let told = told_of(&client);
    assert!(
        told.starts_with(
            "the agent answered HTTP 503 (Error 503 Channel might be full.): its channel"
        ),
        "{told}"
    );
}

#[test]
fn an_agent_that_asks_for_time_gets_it_and_another_one_the_events() {
    let agent = Scripted::start(|_, _| Some(status("429 Slow Down", "Retry-After: 200\r\n")));
    let other = MiniAgent::builder().start().unwrap();
    let client = client_at([agent.url(), other.url()]).build().unwrap();
    client.append(event(1)).unwrap().wait(PATIENCE).unwrap();
    for number in 2..10 {
        client
            .append(event(number))
            .unwrap()
            .wait(PATIENCE)
            .unwrap();
    }
    assert_eq!(agent.next().bodies(), ["event 1"]);
    assert!(agent.requests.try_iter().all(|it| it.is_greeting()));
    assert_eq!(client.stats().agents[0].state, AgentState::Resting);
    assert_eq!(other.received_count(), 9);
}

#[test]
fn what_an_http_source_finds_unacceptable_goes_to_another_agent_or_is_lost_alone() {
    let bad = |request: &Request| request.bodies().contains(&"event 3".to_owned());
    let answer = move |_: usize, request: &Request| {
        let is_bad = bad(request);
        Some(if is_bad {
            status("400 Bad Request", "")
        } else {
            OK.into()
        })
    };
    let agent = Scripted::start(answer);
    let other = MiniAgent::builder().start().unwrap();
    let client = client_at([agent.url(), other.url()]).build().unwrap();
    client.append(event(3)).unwrap().wait(PATIENCE).unwrap();
    assert_eq!(other.wait_for(1, PATIENCE).unwrap()[0].body(), b"event 3");

    let agent = Scripted::start(answer);
    let client = agent.client().linger(Duration::from_millis(100));
    let client = client.build().unwrap();
    let receipts = client.append_batch((0..8).map(event).collect()).unwrap();
    let outcomes: Vec<_> = receipts
        .iter()
        .map(|it| it.wait(PATIENCE).is_ok())
        .collect();
    let expected: Vec<_> = (0..8).map(|number| number != 3).collect();
    assert_eq!(outcomes, expected);
    let stats = client.stats();
    assert_eq!((stats.delivered, stats.lost.rejected), (7, 1), "{stats:?}");
}

#[test]
fn a_source_that_is_elsewhere_or_wants_credentials_gets_nothing_and_is_said_to_be_so() {
    for (line, more, says) in [
        (
            "302 Found",
            "Location: http://127.0.0.1:1/there\r\n",
            "it wants the events to go to http://127.0.0.1:1/there",
        ),
        ("401 Unauthorized", "", "it wants other credentials"),
        ("403 Forbidden", "", "it does not let this client in"),
        ("404 Not Found", "", "there is no HTTP source at this path"),
        ("204 No Content", "", "no HTTP source of Flume answers so"),
    ] {
        let answer = status(line, more);
        let agent = Scripted::with_greetings(move |_| Some(answer.clone()));
        let client = agent.client().build().unwrap();
        client.append(event(1)).unwrap();
        let told = told_of(&client);
        assert!(told.contains(says), "{told}");
        wait_until("it is blocked", PATIENCE, || {
            client.stats().agents[0].state == AgentState::Blocked
        })
        .unwrap();
        let report = give_up(&client, Duration::ZERO);
        assert_eq!((report.delivered, report.lost.closed), (0, 1), "{report:?}");
        assert!(agent.requests.try_iter().all(|it| it.is_greeting()));
    }
}

#[test]
fn a_token_that_became_another_one_is_read_again_when_it_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let token = home.path().join("token");
    fs::write(&token, "old\n").unwrap();
    let (valid, asked) = (Arc::new(Mutex::new("Bearer old")), token.clone());
    let of_agent = valid.clone();
    let agent = Scripted::with_greetings(move |request| {
        let is_valid = request.header("authorization") == Some(*of_agent.lock().unwrap());
        Some(match is_valid {
            true => OK.into(),
            false => status("401 Unauthorized", ""),
        })
    });
    let options = HttpOptions::default()
        .bearer_token(Secret::file(asked))
        .header("X-Tenant", Secret::text("orders"));
    let client = agent.client().http(options).build().unwrap();
    let send = |number| {
        client
            .append(event(number))
            .unwrap()
            .wait(PATIENCE)
            .unwrap()
    };
    send(1);
    assert_eq!(agent.next().header("x-tenant"), Some("orders"));
    fs::write(&token, "new\n").unwrap();
    *valid.lock().unwrap() = "Bearer new";
    send(2);
    let stats = client.stats();
    assert_eq!((stats.connects, stats.batches_retried), (1, 0), "{stats:?}");
    let tokens =
        [agent.next(), agent.next()].map(|it| it.header("authorization").map(str::to_owned));
    assert_eq!(tokens.map(Option::unwrap), ["Bearer old", "Bearer new"]);
    // One that is not there any more keeps the events.
    fs::remove_file(&token).unwrap();
    *valid.lock().unwrap() = "Bearer newest";
    client.append(event(3)).unwrap();
    assert!(told_of(&client).contains("it wants other credentials"));
}

#[test]
fn a_callback_that_fails_or_panics_is_asked_again_and_told() {
    let answers = Mutex::new(vec![
        Ok("good".to_owned()),
        Err(std::io::Error::other("the vault is sealed")),
    ]);
    let calls = Arc::new(Mutex::new(0));
    let counted = calls.clone();
    let callback = move || {
        *counted.lock().unwrap() += 1;
        match answers.lock().unwrap().pop() {
            Some(answer) => answer,
            None => std::panic::resume_unwind(Box::new("on purpose")),
        }
    };
    let agent = Scripted::start(|_, _| Some(OK.to_owned()));
    let options = HttpOptions::default().bearer_token(Secret::callback(callback));
    let client = agent.client().http(options).build().unwrap();
    assert_eq!(*calls.lock().unwrap(), 0);
    client.append(event(1)).unwrap().wait(PATIENCE).unwrap();
    assert_eq!(agent.next().header("authorization"), Some("Bearer good"));
    let told = told_of(&client);
    assert!(
        told.contains("by its callback: the vault is sealed"),
        "{told}"
    );

    let panics = HttpOptions::default().bearer_token(Secret::callback(|| {
        std::panic::resume_unwind(Box::new("on purpose"))
    }));
    let client = agent.client().http(panics).build().unwrap();
    client.append(event(2)).unwrap();
    assert!(told_of(&client).contains("panicked"));
    drop(give_up(&client, Duration::ZERO));
}

#[test]
fn a_body_that_is_not_text_is_handed_back_if_all_agents_speak_http_and_else_goes_elsewhere() {
    let http = MiniAgent::builder().http().start().unwrap();
    let client = client_at([http.url()]).build().unwrap();
    let error = client.append(Event::new([0xff])).unwrap_err();
    assert!(error.to_string().contains("is not UTF-8"), "{error}");
    assert!(!error.is_retryable());
    assert_eq!(client.stats().refused.not_text, 1);

    let avro = MiniAgent::builder().start().unwrap();
    let client = client_at([http.url(), avro.url()]);
    let client = client.linger(Duration::from_millis(100)).build().unwrap();
    let mut events: Vec<_> = (0..7).map(event).collect();
    events.insert(3, Event::new([0xff]));
    drop(client.append_batch(events).unwrap());
    client.flush(PATIENCE).wait().unwrap();
    let stats = client.stats();
    assert_eq!((stats.delivered, stats.lost.total()), (8, 0), "{stats:?}");
    let binary = avro.wait_for(1, PATIENCE).unwrap();
    assert!(binary.iter().any(|it| it.body() == [0xff]));
    assert_eq!(http.received_count() + avro.received_count(), 8);
}

#[test]
fn a_connection_that_breaks_costs_what_was_on_it_and_no_more() {
    let agent = Scripted::start(|number, _| (number != 1).then(|| OK.to_owned()));
    let client = agent.client().build().unwrap();
    for number in 0..4 {
        client
            .append(event(number))
            .unwrap()
            .wait(PATIENCE)
            .unwrap();
    }
    let stats = client.stats();
    assert_eq!(
        (stats.delivered, stats.batches_retried),
        (4, 1),
        "{stats:?}"
    );
    assert_eq!(told_of(&client), "the agent closed the connection");

    let agent = Scripted::start(|_, _| None);
    let client = agent.client().reliability(Reliability::BestEffort);
    let client = client.build().unwrap();
    client.append(event(1)).unwrap().wait(PATIENCE).unwrap_err();
    assert_eq!(client.stats().lost.unknown, 1);
}

#[test]
fn an_answer_counts_by_its_status_however_much_follows() {
    let endless =
        "HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n".to_owned() + &"x".repeat(200_000);
    let agent = Scripted::start(move |_, _| Some(endless.clone()));
    let client = agent.client().build().unwrap();
    for number in 0..3 {
        client
            .append(event(number))
            .unwrap()
            .wait(PATIENCE)
            .unwrap();
    }
    let stats = client.stats();
    assert_eq!(
        (stats.delivered, stats.batches_retried),
        (3, 0),
        "{stats:?}"
    );
}

#[test]
fn who_does_not_answer_is_named_by_what_it_did() {
    let told = |url: String| {
        let client = client_at([url]).build().unwrap();
        client.append(event(1)).unwrap();
        let told = told_of(&client);
        let report = give_up(&client, Duration::ZERO);
        assert_eq!((report.delivered, report.lost.closed), (0, 1), "{report:?}");
        told
    };
    let port = Port::reserve();
    let refused = told(format!("http://{}", port.addr()));
    assert!(
        refused.contains("no connection: ") && refused.contains("refused"),
        "{refused}"
    );
    let unknown = told("http://no-such-host.invalid:80/".to_owned());
    assert!(
        unknown.contains("\"no-such-host.invalid\" cannot be resolved"),
        "{unknown}"
    );
    let avro = MiniAgent::builder().start().unwrap();
    let told_of_avro = told(avro.url().replace("avro", "http"));
    assert!(
        told_of_avro.contains("the port may be that of another kind")
            || told_of_avro.contains("does not answer in HTTP"),
        "{told_of_avro}"
    );
    assert_eq!(avro.received_count(), 0);
    let talker = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", talker.local_addr().unwrap());
    thread::spawn(move || {
        for socket in talker.incoming() {
            let _ = socket.unwrap().write_all(b"SSH-2.0-OpenSSH_9.6\r\n");
        }
    });
    let told_of_ssh = told(url);
    assert!(
        told_of_ssh.contains("does not answer in HTTP"),
        "{told_of_ssh}"
    );
}

#[test]
fn an_agent_that_hangs_is_given_up_and_its_batch_goes_to_the_next() {
    let hanging = MiniAgent::builder().http().start().unwrap();
    let other = MiniAgent::builder().start().unwrap();
    let client = client_at([hanging.url(), other.url()])
        .request_timeout(Duration::from_millis(300))
        .build()
        .unwrap();
    client.append(event(1)).unwrap().wait(PATIENCE).unwrap();
    let rule = hanging.fault(Fault::Hang.header("hang", "1"));
    let hangs = event(2).header("hang", "1");
    client.append(hangs).unwrap().wait(PATIENCE).unwrap();
    drop(rule);
    assert_eq!(other.wait_for(1, PATIENCE).unwrap()[0].body(), b"event 2");
}
