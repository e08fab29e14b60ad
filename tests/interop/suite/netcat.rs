//! The netcat source: lines in, `OK` or `FAILED` out.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use flume_tests::wait_until;

use super::{AgentUnderTest, Scenario, TIMEOUT, flow, on_every_agent};

pub(super) const SCENARIOS: &[Scenario] = &[
    flow!(N1, n1_each_line_is_an_event_and_answered),
    flow!(N2, n2_a_line_without_room_fails_and_the_next_one_may_fit),
    flow!(N3, n3_a_line_that_is_too_long_ends_the_connection),
    flow!(N4, n4_without_acknowledgements_only_failures_are_told),
];

on_every_agent!(SCENARIOS);

/// A connection to a netcat source. The answers are read without their line feeds.
pub(super) struct Cat {
    stream: TcpStream,
    answers: BufReader<TcpStream>,
}

impl Cat {
    /// Waits until somebody listens: a netcat source has no counters that tell when it is up.
    pub(super) fn connect(addr: SocketAddr) -> Self {
        let mut connected = None;
        let waited = wait_until("the netcat source", TIMEOUT, || {
            connected = TcpStream::connect(addr).ok();
            connected.is_some()
        });
        waited.unwrap();
        let stream = connected.unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let answers = BufReader::new(stream.try_clone().unwrap());
        Self { stream, answers }
    }

    pub(super) fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// Empty at the end of the connection.
    pub(super) fn hear(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }
}

const N1: &str = "
sources.n1: type = netcat, port = {n1_port}, channels = n1
channels.n1: type = memory
sinks.n1: type = avro, port = {n1_peer}, batch-size = 1, channel = n1
";

fn n1_each_line_is_an_event_and_answered(agent: &dyn AgentUnderTest) {
    let mut cat = Cat::connect(agent.addr("n1_port"));
    cat.say("one\ntwo\r\n\nhalf");
    for _ in 0..3 {
        assert_eq!(cat.hear(), "OK");
    }
    cat.say(" a line, é\n");
    assert_eq!(cat.hear(), "OK");
    agent.peer("n1_peer").wait_for_accepted(4);
    // Lines end with a line feed; what is before it stays.
    assert_eq!(
        agent.peer("n1_peer").accepted_texts(),
        ["one", "two\r", "", "half a line, é"]
    );
    assert_eq!(agent.counter("SOURCE.n1", "EventReceivedCount"), None);
}

const N2: &str = "
sources.n2: type = netcat, port = {n2_port}, channels = n2
channels.n2: type = memory, capacity = 1, transactionCapacity = 1, keep-alive = 0
sinks.n2: type = avro, port = {n2_peer}, batch-size = 1, channel = n2
";

fn n2_a_line_without_room_fails_and_the_next_one_may_fit(agent: &dyn AgentUnderTest) {
    let peer = agent.peer("n2_peer");
    peer.set(super::peer::Mode::Hold);
    let mut cat = Cat::connect(agent.addr("n2_port"));
    cat.say("1\n");
    assert_eq!(cat.hear(), "OK");
    cat.say("2\n");
    // The reason is each agent's own.
    let answer = cat.hear();
    assert!(answer.starts_with("FAILED: "), "{answer}");
    peer.set(super::peer::Mode::Accept);
    agent.wait_for_counter("CHANNEL.n2", "EventTakeSuccessCount", "1");
    cat.say("3\n");
    assert_eq!(cat.hear(), "OK");
    peer.wait_for_accepted(2);
    assert_eq!(peer.accepted_texts(), ["1", "3"]);
}

const N3: &str = "
sources.n3: type = netcat, port = {n3_port}, channels = n3, max-line-length = 10
channels.n3: type = memory
";

fn n3_a_line_that_is_too_long_ends_the_connection(agent: &dyn AgentUnderTest) {
    let mut cat = Cat::connect(agent.addr("n3_port"));
    // With its line feed it has ten characters.
    cat.say("123456789\n");
    assert_eq!(cat.hear(), "OK");
    cat.say("1234567890");
    assert_eq!(
        cat.hear(),
        "FAILED: Event exceeds the maximum length (10 chars, including newline)"
    );
    assert_eq!(cat.hear(), "");
    agent.wait_for_counter("CHANNEL.n3", "ChannelSize", "1");
}

const N4: &str = "
sources.n4: type = netcat, port = {n4_port}, channels = n4, ack-every-event = false
channels.n4: type = memory, capacity = 1, transactionCapacity = 1, keep-alive = 0
";

fn n4_without_acknowledgements_only_failures_are_told(agent: &dyn AgentUnderTest) {
    let mut cat = Cat::connect(agent.addr("n4_port"));
    cat.say("1\n2\n");
    let answer = cat.hear();
    assert!(answer.starts_with("FAILED: "), "{answer}");
    agent.wait_for_counter("CHANNEL.n4", "ChannelSize", "1");
}
