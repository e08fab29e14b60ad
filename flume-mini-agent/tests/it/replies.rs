//! What a call is answered with, byte for byte.

use flume_client::Event;
use flume_mini_agent::MiniAgent;

use crate::support::{APPEND, Client, LIMIT, MD5, PROBE, batch, hex, status};

fn agent() -> MiniAgent {
    MiniAgent::builder().start().unwrap()
}

/// A later error reply: empty handshake, `00`, `01 00` and the text.
fn error(serial: u32, text: &str) -> Vec<u8> {
    let length = hex(match text.len() {
        20 => "00000017 0100 28",
        66 => "00000046 0100 8401",
        68 => "00000048 0100 8801",
        other => panic!("spell out the length {other}"),
    });
    let head = hex(&format!("{serial:08x} 00000003 00000000 00000001 00"));
    [head, length, text.into()].concat()
}

const NO_SUCH: &str = "org.apache.avro.AvroRuntimeException: No such remote message: nope";
const END_OF_FILE: &str = "java.io.EOFException";

#[test]
fn the_first_append_is_answered_with_both_and_ok() {
    let agent = agent();
    let mut client = Client::connect(&agent);
    client.send(&format!(
        "00000001 00000001 00000033 {MD5} 00 {MD5} 00 00 0c617070656e64 02026b027600 046869"
    ));
    client.expect("00000001 00000003 00000004 00000000 00000001 00 00000002 0000");
    let events = agent.wait_for(1, LIMIT).unwrap();
    assert_eq!(events, [Event::new("hi").header("k", "v")]);
}

#[test]
fn later_replies_have_an_empty_handshake_buffer() {
    let agent = agent();
    let mut client = Client::greeted(&agent);
    client.send(APPEND);
    client.expect("00000001 00000003 00000000 00000001 00 00000002 0000");
    client.send(PROBE);
    client.expect("00000002 00000003 00000000 00000001 00 00000002 0000");
}

#[test]
fn a_batch_arrives_whole_and_in_order() {
    let agent = agent();
    let mut client = Client::greeted(&agent);
    client.send(
        "00000003 00000001 00000019 00 16617070656e644261746368 06 000261 000262 000263 0000",
    );
    // One byte too many above: the array ends with the first of the two zeros.
    client.expect_bytes(&error(3, END_OF_FILE));
    client
        .send("00000004 00000001 00000018 00 16617070656e644261746368 06 000261 000262 000263 00");
    client.expect(&status(4, "00"));
    assert_eq!(crate::support::bodies(&agent, 3), ["a", "b", "c"]);
}

#[test]
fn an_empty_batch_is_ok_even_when_the_channel_is_full() {
    let agent = MiniAgent::builder().sink_paused(true).start().unwrap();
    let mut client = Client::greeted(&agent);
    client.send_bytes(&batch(5, 100));
    client.expect(&status(5, "00"));
    client.expect_usable();
    assert_eq!(agent.stats().channel_size, 100);
}

#[test]
fn an_empty_batch_in_the_first_frame_is_answered_with_both_and_ok() {
    let agent = agent();
    let mut client = Client::connect(&agent);
    client.send(&format!(
        "00000007 00000001 00000030 {MD5} 00 {MD5} 00 00 16617070656e644261746368 00"
    ));
    client.expect("00000007 00000003 00000004 00000000 00000001 00 00000002 0000");
}

#[test]
fn a_batch_over_transaction_capacity_fails_at_once_and_the_connection_stays_usable() {
    let agent = MiniAgent::builder()
        .transaction_capacity(2)
        .start()
        .unwrap();
    let mut client = Client::greeted(&agent);
    client.send_bytes(&batch(6, 3));
    client.expect(&status(6, "02"));
    client.send_bytes(&batch(7, 2));
    client.expect(&status(7, "00"));
    agent.wait_for(2, LIMIT).unwrap();
    let stats = agent.stats();
    assert_eq!((stats.batches_failed, stats.events_accepted), (1, 2));
}

#[test]
fn an_unknown_message_is_an_error_that_names_it() {
    let agent = agent();
    let mut client = Client::greeted(&agent);
    client.send("00000008 00000001 00000006 00 086e6f7065");
    client.expect_bytes(&error(8, NO_SUCH));
    client.send("00000008 00000001 00000008 00 0c6e6f73756368");
    client.expect_bytes(&error(8, &NO_SUCH.replace("nope", "nosuch")));
    client.expect_usable();
}

#[test]
fn an_unknown_message_in_the_first_frame_comes_behind_the_handshake() {
    let agent = agent();
    let mut client = Client::connect(&agent);
    client.send(&format!(
        "0000000a 00000001 00000028 {MD5} 00 {MD5} 00 00 086e6f7065"
    ));
    let head = hex("0000000a 00000003 00000004 00000000 00000001 00 00000046 0100 8401");
    client.expect_bytes(&[head.as_slice(), NO_SUCH.as_bytes()].concat());
    client.expect_usable();
}

#[test]
fn parameters_that_cannot_be_read_are_an_end_of_file_and_the_connection_stays_usable() {
    let agent = agent();
    let mut client = Client::greeted(&agent);
    let calls = [
        // Nothing at all, no message name, a name cut short.
        "0000000b 00000001 00000000",
        "0000000b 00000001 00000001 00",
        "0000000b 00000001 00000004 00 0c6170",
        // append without an event, with half of one, with bytes behind it.
        "0000000b 00000001 00000008 00 0c617070656e64",
        "0000000b 00000001 00000010 00 0c617070656e64 02026b027600 0468",
        "0000000b 00000001 0000000c 00 0c617070656e64 00 0278 ff",
        // A body of -1 bytes, a body of 2^60 bytes, a number of eleven bytes.
        "0000000b 00000001 0000000a 00 0c617070656e64 00 01",
        "0000000b 00000001 00000012 00 0c617070656e64 00 808080808080808020",
        "0000000b 00000001 00000013 00 0c617070656e64 ffffffffffffffffffffff",
        // A header key that is not UTF-8.
        "0000000b 00000001 0000000f 00 0c617070656e64 0202ff027600 00",
        // A batch of two with one event, one of 2^60, one without an end.
        "0000000b 00000001 00000011 00 16617070656e644261746368 04 000278",
        "0000000b 00000001 00000016 00 16617070656e644261746368 808080808080808020",
        "0000000b 00000001 00000011 00 16617070656e644261746368 02 000278",
    ];
    for call in calls {
        let bytes = hex(call);
        assert_eq!(bytes.len() - 12, usize::from(bytes[11]), "{call}");
        client.send_bytes(&bytes);
        client.expect_bytes(&error(11, END_OF_FILE));
    }
    client.expect_usable();
    let stats = agent.stats();
    assert_eq!(stats.requests_refused, calls.len() as u64);
    assert_eq!((stats.events_accepted, stats.channel_size), (0, 0));
}

#[test]
fn a_batch_cut_short_is_an_end_of_file_even_if_it_is_too_large_as_well() {
    let agent = MiniAgent::builder()
        .transaction_capacity(1)
        .start()
        .unwrap();
    let mut client = Client::greeted(&agent);
    client.send("0000000c 00000001 00000014 00 16617070656e644261746368 06 000278 000278");
    client.expect_bytes(&error(12, END_OF_FILE));
}

#[test]
fn an_event_may_come_in_blocks_and_with_a_key_twice() {
    let agent = agent();
    let mut client = Client::greeted(&agent);
    client.send(
        "0000000d 00000001 0000001b 00 0c617070656e64
         02 026b0231 03 10 026a0232 026b0233 00 046869",
    );
    client.expect(&status(13, "00"));
    let expected = Event::new("hi").header("k", "3").header("j", "2");
    assert_eq!(agent.wait_for(1, LIMIT).unwrap(), [expected]);
}
