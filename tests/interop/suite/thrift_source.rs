//! The Thrift source: bytes as Java's and Python's libraries write and read them.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use flume_tests::raw::{bytes, hex};

use super::agent::TIMEOUT;
use super::{AgentUnderTest, Scenario, flow, on_every_agent};

pub(super) const SCENARIOS: &[Scenario] = &[
    flow!(
        T1,
        t1_compact_and_binary_calls_are_stored_in_the_protocol_of_their_source
    ),
    flow!(T3, t3_a_channel_that_refuses_is_answered_failed_and_counted),
    flow!(T4, t4_what_is_no_call_of_flume_is_told_by_an_exception),
    flow!(
        T5,
        t5_what_cannot_be_read_ends_the_connection_without_an_answer
    ),
];

on_every_agent!(SCENARIOS);

/// `append` with the sequence id 1: headers k=v, body "hi".
pub(super) const APPEND: &str = "00000018 82210106617070656e64 1c 1b01 88016b0176 18026869 00 00";
pub(super) const APPEND_OK: &str = "0000000e 82410106617070656e64 05000000";
const APPEND_FAILED: &str = "0000000e 82410106617070656e64 05000200";
/// The same in the binary protocol.
const BINARY: &str = "00000033 80010001 00000006 617070656e64 00000001 0c0001 0d0001 0b0b00000001
    00000001 6b 00000001 76 0b0002 00000002 6869 00 00";
const BINARY_OK: &str = "0000001a 80010002 00000006 617070656e64 00000001 080000 00000000 00";
/// `appendBatch` of two events without headers, bodies "a" and "b", with the sequence id 2.
const BATCH: &str = "0000001e 8221020b617070656e644261746368 192c
    1b00 180161 00 1b00 180162 00 00";
const BATCH_OK: &str = "00000013 8241020b617070656e644261746368 05000000";
const BATCH_FAILED: &str = "00000013 8241020b617070656e644261746368 05000200";
/// `appendBatch` of nothing with the sequence id 2.
const PROBE: &str = "00000012 8221020b617070656e644261746368 190c00";

pub(super) struct Client(TcpStream);

impl Client {
    fn connect(agent: &dyn AgentUnderTest, port: &str) -> Self {
        Self::connect_to(agent.addr(port))
    }

    pub(super) fn connect_to(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(TIMEOUT)).unwrap();
        Self(socket)
    }

    pub(super) fn send(&mut self, digits: &str) {
        self.0.write_all(&bytes(digits)).unwrap();
    }

    #[track_caller]
    pub(super) fn expect(&mut self, digits: &str) {
        let mut found = vec![0; bytes(digits).len()];
        self.0.read_exact(&mut found).unwrap();
        assert_eq!(hex(&found), hex(&bytes(digits)));
    }

    /// The message of the next frame.
    fn message(&mut self) -> String {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).unwrap();
        let mut message = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut message).unwrap();
        hex(&message)
    }

    /// Reads whatever comes until the agent closes the connection.
    pub(super) fn wait_for_the_end(&mut self) {
        let read = self.0.read_to_end(&mut Vec::new());
        // A reset means that bytes of ours were still unread.
        let is_end = |error: &io::Error| error.kind() == ErrorKind::ConnectionReset;
        assert!(read.as_ref().err().is_none_or(is_end), "{read:?}");
    }

    fn is_closed(&mut self) -> bool {
        // A reset means that bytes of ours were still unread.
        !matches!(self.0.read(&mut [0; 1]), Ok(1))
    }
}

const T1: &str = "
sources.t1c: type = thrift, port = {t1c_port}, channels = t1
sources.t1b: type = thrift, port = {t1b_port}, channels = t1, protocol = binary
channels.t1: type = memory
sinks.t1: type = file_roll, sink.directory = {t1_dir}, sink.rollInterval = 0, channel = t1
";

fn t1_compact_and_binary_calls_are_stored_in_the_protocol_of_their_source(
    agent: &dyn AgentUnderTest,
) {
    let mut compact = Client::connect(agent, "t1c_port");
    for (call, answer) in [(PROBE, BATCH_OK), (APPEND, APPEND_OK), (BATCH, BATCH_OK)] {
        compact.send(call);
        compact.expect(answer);
    }
    let mut binary = Client::connect(agent, "t1b_port");
    binary.send(BINARY);
    binary.expect(BINARY_OK);
    assert_eq!(agent.rolled("t1_dir", 4), ["hi", "a", "b", "hi"]);
    for (counter, value) in [
        ("AppendReceivedCount", "1"),
        ("AppendAcceptedCount", "1"),
        ("AppendBatchReceivedCount", "2"),
        ("AppendBatchAcceptedCount", "2"),
        ("EventReceivedCount", "3"),
        ("EventAcceptedCount", "3"),
        ("OpenConnectionCount", "0"),
    ] {
        agent.wait_for_counter("SOURCE.t1c", counter, value);
    }
}

const T3: &str = "
sources.t3: type = thrift, port = {t3_port}, channels = t3
channels.t3: type = memory, capacity = 1, transactionCapacity = 1, keep-alive = 0
";

fn t3_a_channel_that_refuses_is_answered_failed_and_counted(agent: &dyn AgentUnderTest) {
    let mut client = Client::connect(agent, "t3_port");
    for (call, answer) in [
        (APPEND, APPEND_OK),
        (APPEND, APPEND_FAILED),
        (BATCH, BATCH_FAILED),
        (PROBE, BATCH_OK),
    ] {
        client.send(call);
        client.expect(answer);
    }
    for (counter, value) in [
        ("AppendReceivedCount", "2"),
        ("AppendAcceptedCount", "1"),
        ("AppendBatchReceivedCount", "2"),
        ("AppendBatchAcceptedCount", "1"),
        ("EventReceivedCount", "4"),
        ("EventAcceptedCount", "1"),
        ("ChannelWriteFail", "2"),
    ] {
        agent.wait_for_counter("SOURCE.t3", counter, value);
    }
}

const T4: &str = "
sources.t4: type = thrift, port = {t4_port}, channels = t4
channels.t4: type = memory
";

fn t4_what_is_no_call_of_flume_is_told_by_an_exception(agent: &dyn AgentUnderTest) {
    let mut client = Client::connect(agent, "t4_port");
    client.send("00000009 82210304 70696e67 00");
    let text = hex(b"Invalid method name: 'ping'");
    assert_eq!(
        client.message(),
        format!("8261030470696e67181b{text}150200")
    );
    client.send(PROBE);
    client.expect(BATCH_OK);
    // An event without a body: a protocol error, number 7. The text is each agent's own. libthrift
    // then takes what it has not read of this call for the beginning of the next one.
    client.send("0000000f 82210406617070656e64 1c 1b00 00 00");
    let refused = client.message();
    assert!(refused.starts_with("82610406617070656e64"), "{refused}");
    assert!(refused.ends_with("150e00"), "{refused}");
    client.send(PROBE);
    assert!(client.is_closed());
    agent.wait_for_counter("SOURCE.t4", "EventReceivedCount", "0");
}

const T5: &str = "
sources.t5: type = thrift, port = {t5_port}, channels = t5
channels.t5: type = memory
";

fn t5_what_cannot_be_read_ends_the_connection_without_an_answer(agent: &dyn AgentUnderTest) {
    let truncated = "00000017 82210106617070656e64 1c 1b01 88016b0176 18026869 00";
    // 17 MB, of which all comes.
    let too_long = format!("01036640 {}", "00".repeat(17_000_000));
    for call in [BINARY, truncated, &too_long] {
        let mut client = Client::connect(agent, "t5_port");
        // The agent may close before it has read all.
        let _sent = client.0.write_all(&bytes(call));
        assert!(client.is_closed());
    }
    agent.wait_for_counter("SOURCE.t5", "EventReceivedCount", "0");
}
