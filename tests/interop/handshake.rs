//! How real Flume shakes hands, byte for byte.

use std::net::SocketAddr;

use crate::on_both_versions;
use flume_tests::raw::{Connection, EMPTY_BATCH, FLUME_MD5, OK, avro_long, handshake, hex};

/// Flume's protocol without its documentation, which is all a stranger has to send.
const PROTOCOL: &str = concat!(
    r#"{"protocol":"AvroSourceProtocol","namespace":"org.apache.flume.source.avro","types":["#,
    r#"{"type":"enum","name":"Status","symbols":["OK","FAILED","UNKNOWN"]},"#,
    r#"{"type":"record","name":"AvroFlumeEvent","fields":["#,
    r#"{"name":"headers","type":{"type":"map","values":"string"}},"#,
    r#"{"name":"body","type":"bytes"}]}],"messages":{"#,
    r#""append":{"request":[{"name":"event","type":"AvroFlumeEvent"}],"response":"Status"},"#,
    r#""appendBatch":{"request":[{"name":"events","type":{"type":"array","items":"#,
    r#""AvroFlumeEvent"}}],"response":"Status"}}}"#
);
const PROTOCOL_MD5: &str = "30da54059df72d9584b867d5202e2069";
const STRANGER_MD5: &str = "01010101010101010101010101010101";
const NO_CALL: &str = "0000";

#[test]
fn a_handshake_alone_is_answered_with_four_zero_bytes() {
    on_both_versions(
        |settings| settings,
        |agent| drop(Connection::open_and_greet(agent.addr())),
    );
}

#[test]
fn an_unknown_client_is_asked_for_its_protocol_and_served_once_it_sends_it() {
    on_both_versions(
        |settings| settings,
        |agent| introduce_a_stranger(agent.addr()),
    );
}

#[test]
fn a_client_that_knows_another_server_is_told_this_one_and_served() {
    on_both_versions(
        |settings| settings,
        |agent| {
            let mut connection = Connection::open(agent.addr());
            let answer = connection.call(&(handshake(FLUME_MD5, STRANGER_MD5) + NO_CALL));
            assert_tells_the_protocol(&answer, "02");
            assert_eq!(connection.call(EMPTY_BATCH), OK);
        },
    );
}

fn introduce_a_stranger(addr: SocketAddr) {
    assert_eq!(PROTOCOL.len(), 509);
    let text = format!("02 {} {}", avro_long(509), hex(PROTOCOL.as_bytes()));
    let introduction = format!("{PROTOCOL_MD5} {text} {FLUME_MD5} 00 {NO_CALL}");

    let mut connection = Connection::open(addr);
    let answer = connection.call(&(handshake(PROTOCOL_MD5, FLUME_MD5) + NO_CALL));
    assert_tells_the_protocol(&answer, "04");
    assert_eq!(connection.call(&introduction), ["00000000"]);
    assert_eq!(connection.call(EMPTY_BATCH), OK);

    // The agent has learned the protocol for good: the next connection needs no text.
    let mut next = Connection::open(addr);
    let greeting = handshake(PROTOCOL_MD5, FLUME_MD5) + EMPTY_BATCH;
    assert_eq!(next.call(&greeting), ["00000000", "00", "0000"]);
}

/// One buffer: the match, the server's protocol text (1,334 bytes), its MD5, no metadata.
fn assert_tells_the_protocol(answer: &[String], answered_match: &str) {
    let [answer] = answer else {
        panic!("expected one buffer, got {answer:?}");
    };
    assert_eq!(answer.len() / 2, 1356);
    let protocol_start = hex(br#"{"protocol":"AvroSourceProtocol","namespace":"#);
    let start = format!("{answered_match}02ec14{protocol_start}");
    assert!(answer.starts_with(&start), "{answer}");
    assert!(answer.ends_with(&format!("02{FLUME_MD5}00")), "{answer}");
}
