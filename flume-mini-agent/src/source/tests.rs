//! The netcat and HTTP sources over real sockets: bytes as clients send and get them.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::avro::shared::ReplyMode;
use super::avro::{self, AvroSource};
use super::http::HttpSource;
use super::intake::{Answers, Intake};
use super::netcat::{self, NetcatSource};
use crate::carrier::Carrier;
use crate::channel::memory::MemoryLimits;
use crate::channel::{Channel, StoredEvent};
use crate::config::{Encoding, NetcatSourceConfig};
use crate::fault::Fault;
use crate::fault::guard::FaultGuard;
use crate::fault::rule::FaultRule;
use crate::log::{Answered, Recorder, Stored};
use crate::processor::ChannelProcessor;
use crate::selector::Selector;

/// Long enough for any machine; reached only when a test fails.
const LIMIT: Duration = Duration::from_secs(30);

/// A source before a channel of ten events that does not wait, and takes five at once.
struct Fixture {
    address: SocketAddr,
    channel: Arc<Channel>,
    recorder: Arc<Recorder>,
    hurry: Option<oneshot::Sender<()>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Fixture {
    fn netcat(settings: NetcatSourceConfig) -> Self {
        Self::start(netcat::NAME, move |intake, listener| {
            let source = Arc::new(NetcatSource::new(intake, settings));
            tokio::spawn(source.serve(listener, 10));
        })
    }

    fn http() -> Self {
        Self::start("http", |intake, listener| {
            let source = Arc::new(HttpSource::new(intake, Carrier::default(), 1_000));
            tokio::spawn(source.serve(listener, 10));
        })
    }

    fn start(
        name: &'static str,
        serve: impl FnOnce(Intake, tokio::net::TcpListener) + Send + 'static,
    ) -> Self {
        let limits = MemoryLimits {
            capacity: 10,
            transaction_capacity: 5,
            byte_slots: None,
        };
        let channel = Arc::new(Channel::memory("c1", limits, Duration::ZERO));
        let recorder = Arc::new(Recorder::new(0));
        let observed = Arc::default();
        let channels = vec![Arc::clone(&channel)];
        let selector = Selector::replicating(1, &[]);
        let intake = Intake {
            name,
            answers: Answers::Plain,
            processor: Arc::new(ChannelProcessor::new(
                channels,
                selector,
                Arc::clone(&observed),
            )),
            counters: Arc::default(),
            observed,
            recorder: Arc::clone(&recorder),
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (hurry, hurried) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            runtime.block_on(async {
                serve(intake, tokio::net::TcpListener::from_std(listener).unwrap());
                if hurried.await.is_ok() {
                    tokio::time::pause();
                }
                let _ = stopped.await;
            });
        });
        Self {
            address,
            channel,
            recorder,
            hurry: Some(hurry),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn avro() -> Self {
        Self::start(avro::NAME, |intake, listener| {
            let source = AvroSource::new(intake, Carrier::default(), ReplyMode::Parallel, 1_000);
            tokio::spawn(avro::serve(Arc::new(source), listener, 10));
        })
    }

    /// From now on the source's time passes at once whenever there is nothing else to do.
    fn hurry(&mut self) {
        self.hurry.take().unwrap().send(()).unwrap();
    }

    fn fault(&self, rule: impl Into<FaultRule>) -> FaultGuard {
        self.recorder.faults.guard(rule.into())
    }

    /// Takes the events out of the channel: headers and body of each.
    fn stored(&self) -> Vec<String> {
        let show = |event: &StoredEvent| {
            let event = event.view();
            let pairs = event.headers().flatten();
            let headers: String = pairs
                .map(|(key, value)| format!("{key}={value} "))
                .collect();
            headers + &String::from_utf8_lossy(event.body())
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.unwrap();
        let mut shown = Vec::new();
        while self.channel.len() > 0 {
            let taken = self.channel.take(5).unwrap();
            shown.extend(taken.events().iter().map(show));
            runtime.block_on(taken.commit()).unwrap();
        }
        shown
    }

    fn last_request(&self) -> (Answered, Stored) {
        let last = self.recorder.log.requests().pop().unwrap();
        (last.answered, last.stored)
    }

    fn connect(&self) -> Client {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        Client(socket)
    }

    /// Sends a request on a connection of its own; the status and the body of the answer.
    fn request(&self, head: &str, body: &[u8]) -> (u16, String) {
        let mut client = self.connect();
        client.send_request(head, body);
        client.answer()
    }

    fn post(&self, body: &str) -> u16 {
        let head = "POST / HTTP/1.1\r\nContent-Type: application/json";
        self.request(head, body.as_bytes()).0
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        drop((self.hurry.take(), self.stop.take()));
        self.thread.take().unwrap().join().unwrap();
    }
}

struct Client(TcpStream);

impl Client {
    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }

    #[track_caller]
    fn expect(&mut self, text: &str) {
        let mut found = vec![0; text.len()];
        self.0.read_exact(&mut found).unwrap();
        assert_eq!(String::from_utf8_lossy(&found), text);
    }

    /// All that comes until the end of the stream.
    fn rest(&mut self) -> String {
        let mut found = Vec::new();
        self.0.read_to_end(&mut found).unwrap();
        String::from_utf8(found).unwrap()
    }

    fn expect_reset(&mut self) {
        let error = self.0.read(&mut [0; 64]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }

    fn end(&mut self) {
        self.0.shutdown(std::net::Shutdown::Write).unwrap();
    }

    fn send_request(&mut self, head: &str, body: &[u8]) {
        let length = body.len();
        self.send(format!(
            "{head}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        ));
        self.send(body);
    }

    fn answer(&mut self) -> (u16, String) {
        let answer = self.rest();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap();
        (status.parse().unwrap(), body.to_owned())
    }
}

#[test]
fn netcat_makes_every_line_an_event_and_answers_each() {
    let fixture = Fixture::netcat(NetcatSourceConfig::new("", 0));
    let mut client = fixture.connect();
    client.send("one\ntwo\r\n\nthr");
    client.expect("OK\nOK\nOK\n");
    client.send("ee\nunfinished");
    client.expect("OK\n");
    client.end();
    assert_eq!(client.rest(), "");
    assert_eq!(fixture.stored(), ["one", "two\r", "", "three"]);
    assert_eq!(fixture.recorder.log.requests().len(), 4);
}

#[test]
fn netcat_is_silent_about_success_if_it_shall_not_ack_and_tells_failures_all_the_same() {
    let settings = NetcatSourceConfig {
        ack_every_event: false,
        ..NetcatSourceConfig::new("", 0)
    };
    let fixture = Fixture::netcat(settings);
    let mut client = fixture.connect();
    client.send("x\n".repeat(11));
    client.expect("FAILED: channel c1 did not take the batch: the channel is full");
    client.send("y\n");
    client.end();
    let rest = client.rest();
    assert_eq!(rest.matches("FAILED: ").count(), 1, "{rest}");
    assert_eq!(fixture.stored(), ["x"; 10]);
    assert_eq!(fixture.last_request(), (Answered::Failed, Stored::No));
}

#[test]
fn netcat_refuses_too_long_a_line_and_closes_and_keeps_the_lines_before() {
    let settings = NetcatSourceConfig {
        max_line_length: 5,
        ..NetcatSourceConfig::new("", 0)
    };
    let fixture = Fixture::netcat(settings);
    let mut client = fixture.connect();
    client.send("1234\n12345");
    assert_eq!(
        client.rest(),
        "OK\nFAILED: Event exceeds the maximum length (5 chars, including newline)\n"
    );
    assert_eq!(fixture.stored(), ["1234"]);
}

#[test]
fn netcat_reads_other_encodings_and_stores_utf_8() {
    let settings = NetcatSourceConfig {
        encoding: Encoding::Latin1,
        ..NetcatSourceConfig::new("", 0)
    };
    let fixture = Fixture::netcat(settings);
    let mut client = fixture.connect();
    client.send(b"gr\xfc\xdfe\n");
    client.expect("OK\n");
    assert_eq!(fixture.stored(), ["grüße"]);
}

#[test]
fn netcat_closes_when_the_bytes_are_no_text() {
    let fixture = Fixture::netcat(NetcatSourceConfig::new("", 0));
    let mut client = fixture.connect();
    client.send(b"a\n\xff\n");
    assert_eq!(client.rest(), "OK\n");
    assert_eq!(fixture.stored(), ["a"]);
}

#[test]
fn netcat_faults_are_on_their_side_of_the_commit() {
    let check = |fault: Fault, answer: &str, stored: usize| {
        let fixture = Fixture::netcat(NetcatSourceConfig::new("", 0));
        let guard = fixture.fault(fault.nth_request(2));
        let mut client = fixture.connect();
        client.send("a\nb\n");
        client.end();
        assert_eq!(client.rest(), format!("OK\n{answer}"));
        assert_eq!(fixture.stored().len(), 1 + stored);
        assert_eq!(guard.hits().len(), 1);
    };
    check(Fault::DropBeforeCommit, "", 0);
    check(Fault::CommitThenDrop, "", 1);
    check(Fault::Hang, "", 0);
    check(Fault::AnswerLate(Duration::from_millis(1)), "OK\n", 1);
    check(Fault::Failed, "FAILED: a fault wants it so\n", 0);
    let failed = "FAILED: a channel failed, a fault wants it so\n";
    check(Fault::PartialCommit(1), failed, 1);
}

#[test]
fn a_fault_that_a_source_does_not_have_leaves_no_hit() {
    let fixture = Fixture::netcat(NetcatSourceConfig::new("", 0));
    let _faults = [
        fixture.fault(Fault::WrongSerial),
        fixture.fault(Fault::OneByteSlices),
        fixture.fault(Fault::Bandwidth(1).nth_request(1)),
    ];
    let mut client = fixture.connect();
    client.send("a\n");
    client.expect("OK\n");
    fixture.recorder.faults.read(|faults| {
        assert_eq!(faults.hits().count(), 0);
    });
}

#[test]
fn http_stores_a_list_of_events_and_answers_nothing_but_200() {
    let fixture = Fixture::http();
    let mut client = fixture.connect();
    client.send_request(
        "POST /any/path HTTP/1.1",
        br#"[{"headers":{"a":"b"},"body":"one"},{"body":"two"}]"#,
    );
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-length: 0\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    assert_eq!(fixture.stored(), ["a=b one", "two"]);
    assert_eq!(fixture.last_request(), (Answered::Status(200), Stored::Yes));
}

#[test]
fn http_keeps_a_connection_for_more_requests() {
    let fixture = Fixture::http();
    let mut client = fixture.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n[]");
    client.expect("HTTP/1.1 200 OK\r\n");
    client.send_request("POST / HTTP/1.1", br#"[{"body":"x"}]"#);
    assert!(client.rest().contains("HTTP/1.1 200 OK\r\n"));
    assert_eq!(fixture.stored(), ["x"]);
    assert_eq!(fixture.recorder.log.connections().len(), 1);
}

#[test]
fn http_answers_each_kind_of_trouble_with_its_status() {
    let fixture = Fixture::http();
    let request = |head: &str, body: &str| fixture.request(head, body.as_bytes()).0;
    let event = r#"[{"body":"x"}]"#;
    assert_eq!(request("GET / HTTP/1.1", event), 200);
    assert_eq!(request("OPTIONS / HTTP/1.1", event), 403);
    assert_eq!(request("TRACE / HTTP/1.1", event), 403);
    assert_eq!(request("PUT / HTTP/1.1", event), 405);
    assert_eq!(request("POST / HTTP/1.1", "[{"), 400);
    assert_eq!(request("POST / HTTP/1.1", "[null]"), 500);
    assert_eq!(request("POST / HTTP/1.1", ""), 500);
    let latin = "POST / HTTP/1.1\r\nContent-Type: application/json; charset=ISO-8859-1";
    assert_eq!(request(latin, event), 500);
    assert_eq!(request("POST / HTTP/1.1", &" ".repeat(1_001)), 413);
    assert_eq!(fixture.stored(), ["x"]);
}

#[test]
fn http_says_unavailable_when_the_channel_is_full_or_the_batch_too_large() {
    let fixture = Fixture::http();
    let events = |count: usize| format!("[{}]", vec![r#"{"body":"x"}"#; count].join(","));
    assert_eq!(fixture.post(&events(6)), 503);
    assert_eq!(fixture.post(&events(5)), 200);
    assert_eq!(fixture.post(&events(5)), 200);
    let head = "POST / HTTP/1.1";
    let (status, text) = fixture.request(head, events(1).as_bytes());
    assert_eq!(status, 503);
    let start = "Error appending event to channel. Channel might be full.";
    assert!(text.starts_with(start), "{text}");
    assert_eq!(fixture.stored().len(), 10);
    assert_eq!(fixture.last_request(), (Answered::Status(503), Stored::No));
}

#[test]
fn http_takes_utf_16_and_utf_32_and_stores_the_bodies_so() {
    let fixture = Fixture::http();
    let text = r#"[{"headers":{"k":"ü"},"body":"ü"}]"#;
    let head = "POST / HTTP/1.1\r\nContent-Type: application/json; charset=utf-16";
    let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_eq!(fixture.request(head, &bytes).0, 200);
    let head = "POST / HTTP/1.1\r\nContent-Type: application/json; charset=utf-32";
    let chars = text.chars().map(u32::from);
    let bytes: Vec<u8> = chars.flat_map(u32::to_be_bytes).collect();
    assert_eq!(fixture.request(head, &bytes).0, 200);
    let taken = fixture.channel.take(10).unwrap();
    let bodies: Vec<_> = taken
        .events()
        .iter()
        .map(|event| event.view().body())
        .collect();
    assert_eq!(bodies, [&b"\xfe\xff\x00\xfc"[..], b"\x00\x00\x00\xfc"]);
}

#[test]
fn http_faults_are_on_their_side_of_the_commit() {
    let event = r#"[{"body":"x"}]"#;
    let check = |fault: Fault, status: u16, stored: usize| {
        let fixture = Fixture::http();
        let _guard = fixture.fault(fault);
        assert_eq!(fixture.post(event), status);
        assert_eq!(fixture.stored().len(), stored);
    };
    check(Fault::Failed, 503, 0);
    check(Fault::Unknown, 500, 0);
    check(Fault::RpcError("no".to_owned()), 500, 0);
    check(Fault::ChannelFull, 503, 0);
    check(Fault::PartialCommit(1), 503, 1);
    check(Fault::AnswerLate(Duration::from_millis(1)), 200, 1);
    let cut = |fault: Fault, see: fn(&mut Client), stored: usize| {
        let fixture = Fixture::http();
        let _guard = fixture.fault(fault);
        let mut client = fixture.connect();
        client.send_request("POST / HTTP/1.1", event.as_bytes());
        see(&mut client);
        assert_eq!(fixture.stored().len(), stored);
    };
    let fin = |client: &mut Client| assert_eq!(client.rest(), "");
    cut(Fault::DropBeforeCommit, fin, 0);
    cut(Fault::CommitThenDrop, fin, 1);
    cut(Fault::CommitThenReset, Client::expect_reset, 1);
}

/// A handshake as Flume's clients make it, with an empty call, in a frame.
fn greeting() -> Vec<u8> {
    const MD5: u128 = 0x86aa_dae2_c454_74c0_fe93_ffd0_f235_0a65;
    let md5 = MD5.to_be_bytes();
    let payload = [md5.as_slice(), &[0], &md5, &[0, 0, 0]].concat();
    [b"\0\0\0\x09\0\0\0\x01\0\0\0\x24".as_slice(), &payload].concat()
}

#[test]
fn avro_ends_a_connection_whose_request_does_not_come_in_time_and_keeps_an_idle_one() {
    let mut fixture = Fixture::avro();
    let mut idle = fixture.connect();
    idle.send(greeting());
    idle.expect("\0\0\0\x09\0\0\0\x01\0\0\0\x04\0\0\0\0");
    let [mut silent, mut begun, mut half, mut strange] = [(); 4].map(|()| fixture.connect());
    begun.send([0]);
    half.send(greeting());
    half.expect("\0\0\0\x09\0\0\0\x01\0\0\0\x04\0\0\0\0");
    half.send([0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 3, 0, 1, 2, 3]);
    // A client hash that nobody knows, and no text to it.
    let mut unknown = greeting();
    unknown[12] = 0;
    strange.send(&unknown);
    fixture.hurry();
    for client in [&mut silent, &mut begun, &mut half] {
        assert_eq!(client.rest(), "");
    }
    let mut told = Vec::new();
    strange.0.read_to_end(&mut told).unwrap();
    assert_eq!(told[12], 4, "NONE, and then the end");
    let probe = b"\0\0\0\x02\0\0\0\x01\0\0\0\x0e\0\x16appendBatch\0";
    idle.send(probe);
    idle.expect("\0\0\0\x02\0\0\0\x03\0\0\0\0\0\0\0\x01\0\0\0\0\x02\0\0");
}

#[test]
fn http_and_netcat_end_a_request_and_a_line_that_do_not_come_in_time() {
    let mut fixture = Fixture::http();
    let mut client = fixture.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 9\r\n\r\n[");
    fixture.hurry();
    assert_eq!(client.answer().0, 408);

    let mut fixture = Fixture::netcat(NetcatSourceConfig::new("", 0));
    let mut client = fixture.connect();
    client.send("one\ntw");
    client.expect("OK\n");
    fixture.hurry();
    assert_eq!(client.rest(), "");
    assert_eq!(fixture.stored(), ["one"]);
}

#[test]
fn avro_ends_a_connection_whose_answers_nobody_reads() {
    let mut fixture = Fixture::avro();
    let mut client = fixture.connect();
    client.send(greeting());
    let probes = b"\0\0\0\x02\0\0\0\x01\0\0\0\x0e\0\x16appendBatch\0".repeat(1_000);
    client.0.set_nonblocking(true).unwrap();
    let mut sent = 0;
    let mut refused = 0;
    while refused < 1_000 {
        match client.0.write(&probes[sent..]) {
            Ok(bytes) => (sent, refused) = ((sent + bytes) % probes.len(), 0),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                refused += 1;
                std::thread::yield_now();
            }
        }
    }
    client.0.set_nonblocking(false).unwrap();
    client.0.set_write_timeout(Some(LIMIT)).unwrap();
    fixture.hurry();
    let error = loop {
        match client.0.write(&probes[sent..]) {
            Ok(bytes) => sent = (sent + bytes) % probes.len(),
            Err(error) => break error.kind(),
        }
    };
    let ends = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    assert!(ends.contains(&error), "{error}");
}
