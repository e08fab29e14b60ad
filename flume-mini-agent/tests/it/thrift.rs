//! The Thrift source: bytes as Java's and Python's libraries write and read them.

use std::thread;
use std::time::Duration;

use flume_mini_agent::config::{
    AgentConfig, CollectSinkConfig, MemoryChannelConfig, ThriftProtocol, ThriftSourceConfig,
};
use flume_mini_agent::{Answered, Fault, FaultRule, MiniAgent, Stored};

use crate::support::{Client, LIMIT, bodies, hex};

/// `append` with the sequence id 1: headers k=v, body "hi".
const APPEND: &str = "00000018 82210106617070656e64 1c 1b01 88016b0176 18026869 00 00";
const APPEND_OK: &str = "0000000e 82410106617070656e64 05000000";
const APPEND_FAILED: &str = "0000000e 82410106617070656e64 05000200";
const APPEND_UNKNOWN: &str = "0000000e 82410106617070656e64 05000600";
/// The same in the binary protocol.
const BINARY: &str = "00000033 80010001 00000006 617070656e64 00000001 0c0001 0d0001 0b0b00000001
    00000001 6b 00000001 76 0b0002 00000002 6869 00 00";
const BINARY_OK: &str = "0000001a 80010002 00000006 617070656e64 00000001 080000 00000000 00";
/// `appendBatch` of nothing with the sequence id 2.
const PROBE: &str = "00000012 8221020b617070656e644261746368 190c00";
const PROBE_OK: &str = "00000013 8241020b617070656e644261746368 05000000";

fn agent() -> MiniAgent {
    let builder = MiniAgent::builder().keep_alive(Duration::from_millis(20));
    builder.thrift(ThriftProtocol::Compact).start().unwrap()
}

/// `appendBatch` of `events`, fewer than 15, with the body "x".
fn batch(events: u8) -> Vec<u8> {
    let event = hex("1b00 180178 00");
    let message = [
        hex("8221020b617070656e644261746368 19"),
        vec![events << 4 | 0x0c],
        event.repeat(events.into()),
        vec![0],
    ]
    .concat();
    let mut frame = (message.len() as u32).to_be_bytes().to_vec();
    frame.extend(message);
    frame
}

#[track_caller]
fn expect_usable(client: &mut Client) {
    client.send(PROBE);
    client.expect(PROBE_OK);
}

#[test]
fn calls_are_stored_and_answered_in_the_protocol_of_the_source() {
    for (protocol, call, answer) in [
        (ThriftProtocol::Compact, APPEND, APPEND_OK),
        (ThriftProtocol::Binary, BINARY, BINARY_OK),
    ] {
        let agent = MiniAgent::builder().thrift(protocol).start().unwrap();
        assert_eq!(agent.url(), format!("thrift://{}", agent.addr()));
        let mut client = Client::connect(&agent);
        client.send(call);
        client.expect(answer);
        let events = agent.wait_for(1, LIMIT).unwrap();
        assert_eq!(events[0].body(), b"hi");
        assert_eq!(events[0].header_value("k"), Some("v"));
        let request = agent.requests().pop().unwrap();
        assert_eq!((request.source, request.events), ("thrift", 1));
        assert_eq!(request.bytes, hex(call).len() - 4);
    }
}

#[test]
fn a_batch_is_stored_whole_and_one_of_nothing_is_a_probe() {
    let agent = agent();
    let mut client = Client::connect(&agent);
    expect_usable(&mut client);
    client.send_bytes(&batch(14));
    client.expect(PROBE_OK);
    assert_eq!(bodies(&agent, 14), ["x"; 14]);
    let metrics = agent.metrics_json();
    for counter in [
        r#""AppendBatchReceivedCount":"2""#,
        r#""AppendBatchAcceptedCount":"2""#,
        r#""EventReceivedCount":"14""#,
        r#""EventAcceptedCount":"14""#,
        r#""OpenConnectionCount":"0""#,
    ] {
        assert!(metrics.contains(counter), "{counter}: {metrics}");
    }
}

#[test]
fn calls_that_come_together_are_answered_one_after_the_other() {
    let agent = agent();
    let mut client = Client::connect(&agent);
    client.send(&format!("{APPEND} {PROBE} {APPEND}"));
    client.expect(&format!("{APPEND_OK} {PROBE_OK} {APPEND_OK}"));
    assert_eq!(bodies(&agent, 2), ["hi", "hi"]);
}

#[test]
fn a_call_in_single_bytes_is_the_same_call() {
    let agent = agent();
    let mut client = Client::connect(&agent);
    for byte in hex(APPEND) {
        client.send_bytes(&[byte]);
    }
    client.expect(APPEND_OK);
}

#[test]
fn a_batch_that_the_channel_does_not_take_is_answered_failed() {
    let builder = MiniAgent::builder().capacity(1).transaction_capacity(1);
    let builder = builder.keep_alive(Duration::ZERO).sink_paused(true);
    let agent = builder.thrift(ThriftProtocol::Compact).start().unwrap();
    let mut client = Client::connect(&agent);
    client.send(APPEND);
    client.expect(APPEND_OK);
    client.send(APPEND);
    client.expect(APPEND_FAILED);
    client.send_bytes(&batch(2));
    client.expect("00000013 8241020b617070656e644261746368 05000200");
    let metrics = agent.metrics_json();
    assert!(metrics.contains(r#""ChannelWriteFail":"2""#), "{metrics}");
    assert_eq!(agent.stats().batches_failed, 2);
}

/// The message of the next frame.
fn message(client: &mut Client) -> Vec<u8> {
    let length: [u8; 4] = client.read(4).try_into().unwrap();
    client.read(u32::from_be_bytes(length) as usize)
}

#[test]
fn what_is_no_call_of_flume_is_told_by_an_exception() {
    let agent = agent();
    let mut client = Client::connect(&agent);
    client.send("00000009 82210304 70696e67 00");
    let text = "Invalid method name: 'ping'";
    let expected = [
        hex("82610304 70696e67 18 1b"),
        text.as_bytes().to_vec(),
        hex("150200"),
    ];
    assert_eq!(message(&mut client), expected.concat());
    assert_eq!(
        agent.requests().pop().unwrap().answered,
        Answered::Error(text.into())
    );
    expect_usable(&mut client);
    // An event without a body: a protocol error, number 7, after which no other call is read.
    client.send("0000000f 82210406617070656e64 1c 1b00 00 00");
    let refused = message(&mut client);
    assert_eq!(refused[..10], hex("82610406617070656e64"));
    assert_eq!(refused[refused.len() - 3..], hex("150e00"));
    assert_eq!(agent.stats().requests_refused, 2);
    client.send(PROBE);
    client.expect_closed();
}

#[test]
fn where_flume_closes_the_connection_without_an_answer_so_does_the_source() {
    let other_protocol = &hex(BINARY)[..];
    let truncated = &hex("00000017 82210106617070656e64 1c 1b01 88016b0176 18026869 00")[..];
    let over_the_limit = &16_384_001_u32.to_be_bytes()[..];
    let empty = &[0; 4][..];
    let agent = agent();
    for (number, bytes) in [other_protocol, truncated, over_the_limit, empty]
        .into_iter()
        .enumerate()
    {
        let mut client = Client::connect(&agent);
        client.send_bytes(bytes);
        client.expect_closed();
        let stats = agent.stats();
        assert_eq!(stats.frames_refused, number as u64 + 1, "{bytes:02x?}");
        assert_eq!(stats.events_accepted, 0);
    }
}

#[test]
fn an_agent_can_be_given_a_lower_limit_for_messages() {
    let builder = MiniAgent::builder().thrift(ThriftProtocol::Compact);
    let agent = builder.max_frame_bytes(24).start().unwrap();
    let mut client = Client::connect(&agent);
    client.send(APPEND);
    client.expect(APPEND_OK);
    client.send("00000019");
    client.expect_closed();
}

#[test]
fn with_a_thread_each_call_waits_for_the_one_before_it_whoever_made_that() {
    let mut channel = MemoryChannelConfig::default();
    (channel.capacity, channel.transaction_capacity) = (1, 1);
    channel.keep_alive = LIMIT;
    let mut thrift = ThriftSourceConfig::new("127.0.0.1", 0);
    thrift.threads = 1;
    let mut collect = CollectSinkConfig::default();
    collect.batch_size = 1;
    let config = AgentConfig::builder("a1")
        .channel("c1", channel)
        .source("r1", thrift, ["c1"])
        .sink("k1", collect, "c1")
        .build();
    let builder = MiniAgent::configured(config.unwrap()).sinks_paused(true);
    let agent = builder.start().unwrap();
    let mut first = Client::connect(&agent);
    first.send(APPEND);
    first.expect(APPEND_OK);
    first.send(APPEND);
    agent
        .wait_until(LIMIT, |stats| stats.batches_waiting == 1)
        .unwrap();
    let mut second = Client::connect(&agent);
    second.send(PROBE);
    thread::scope(|scope| {
        let second = scope.spawn(|| second.expect(PROBE_OK));
        // A third connection is accepted after the second one's call is there.
        let _third = Client::connect(&agent);
        agent
            .wait_until(LIMIT, |stats| stats.connections_opened == 3)
            .unwrap();
        assert_eq!(agent.stats().requests, 2, "the probe has to wait");
        agent.resume_sink();
        first.expect(APPEND_OK);
        second.join().unwrap();
    });
    assert_eq!(agent.stats().requests, 3);
}

/// A call under `fault` is followed by `see` at the client.
#[track_caller]
fn check(
    fault: impl Into<FaultRule>,
    see: impl FnOnce(&mut Client),
    answered: &Answered,
    stored: Stored,
) {
    let agent = agent();
    let fault = agent.fault(fault);
    let mut client = Client::connect(&agent);
    client.send(APPEND);
    see(&mut client);
    assert_eq!(fault.hits().len(), 1);
    let request = agent.requests().pop().unwrap();
    assert_eq!((&request.answered, request.stored), (answered, stored));
    drop(fault);
    expect_usable(&mut Client::connect(&agent));
    agent
        .wait_for(usize::from(stored != Stored::No), LIMIT)
        .unwrap();
}

#[test]
fn faults_of_calls_are_on_their_side_of_the_commit() {
    let nothing = &Answered::Nothing;
    check(
        Fault::DropBeforeCommit,
        Client::expect_fin,
        nothing,
        Stored::No,
    );
    check(
        Fault::CommitThenDrop,
        Client::expect_fin,
        nothing,
        Stored::Yes,
    );
    let reset = Client::expect_reset;
    check(Fault::CommitThenReset, reset, nothing, Stored::Yes);
    let reset_call = Fault::Reset.nth_request(1);
    check(reset_call, Client::expect_reset, nothing, Stored::No);
}

#[test]
fn faults_of_answers_are_said_in_thrift() {
    let failed = |client: &mut Client| client.expect(APPEND_FAILED);
    check(Fault::Failed, failed, &Answered::Failed, Stored::No);
    check(Fault::ChannelFull, failed, &Answered::Failed, Stored::No);
    let partly = Fault::PartialCommit(1);
    check(partly, failed, &Answered::Failed, Stored::Partly);
    let unknown = |client: &mut Client| client.expect(APPEND_UNKNOWN);
    check(Fault::Unknown, unknown, &Answered::Unknown, Stored::No);
    let exception = |client: &mut Client| {
        let expected = hex("82610106617070656e64 1803 6f6f66 150c00");
        assert_eq!(message(client), expected);
    };
    let text = "oof".to_owned();
    let answered = Answered::Error(text.clone());
    check(Fault::RpcError(text), exception, &answered, Stored::No);
}

#[test]
fn faults_of_frames_break_the_answer_to_what_is_stored() {
    let broken = |fault: Fault, digits: &'static str| {
        let see = move |client: &mut Client| client.expect(digits);
        check(fault, see, &Answered::Broken, Stored::Yes);
    };
    // All bits of the sequence id 1 turned over: -2.
    let other = "00000012 8241feffffff0f 06617070656e64 05000000";
    broken(Fault::WrongSerial, other);
    broken(Fault::EmptyFrame, "00000000");
    broken(Fault::HugeFrame, "7fffffff");
    broken(Fault::FlipByte(4), "0000000e 7d410106617070656e64 05000000");
    let half = |client: &mut Client| {
        client.expect("0000000e 8241010661");
        client.expect_fin();
    };
    check(Fault::CloseMidFrame, half, &Answered::Broken, Stored::Yes);
}

#[test]
fn a_call_that_hangs_holds_up_the_later_ones_of_its_connection_only() {
    let agent = agent();
    let hang = agent.fault(Fault::Hang.nth_request(1));
    let mut stuck = Client::connect(&agent);
    stuck.send(&format!("{APPEND} {PROBE}"));
    assert!(hang.wait_hits(1, LIMIT));
    expect_usable(&mut Client::connect(&agent));
    stuck.end();
    stuck.expect_fin();
    assert_eq!(agent.stats().requests, 2);
}

#[test]
fn connections_are_struck_as_they_come_after_bytes_and_in_their_pace() {
    let agent = agent();
    let refuse = agent.fault(Fault::Refuse);
    Client::connect(&agent).expect_closed();
    drop(refuse);
    let reset = agent.fault(Fault::Reset.after_bytes(28 + 10));
    let mut client = Client::connect(&agent);
    client.send(&format!("{APPEND} {APPEND}"));
    client.expect(APPEND_OK);
    client.expect_reset();
    drop(reset);
    let slices = agent.fault(Fault::OneByteSlices);
    let mut client = Client::connect(&agent);
    client.send(APPEND);
    client.expect(APPEND_OK);
    assert_eq!(slices.hits().len(), 1);
    assert_eq!(bodies(&agent, 2), ["hi", "hi"]);
}
