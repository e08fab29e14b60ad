//! Who may talk to the agent, and how it says so.

use flume_mini_agent::MiniAgent;

use crate::support::{APPEND, Client, GREETING, GREETING_OK, LIMIT, MD5, hex, status};

fn agent() -> MiniAgent {
    MiniAgent::builder().start().unwrap()
}

/// The protocol as the agent tells it.
const TEXT: &str = r#"{"protocol":"AvroSourceProtocol","namespace":"org.apache.flume.source.avro","types":[{"type":"enum","name":"Status","symbols":["OK","FAILED","UNKNOWN"]},{"type":"record","name":"AvroFlumeEvent","fields":[{"name":"headers","type":{"type":"map","values":"string"}},{"name":"body","type":"bytes"}]}],"messages":{"append":{"request":[{"name":"event","type":"AvroFlumeEvent"}],"response":"Status"},"appendBatch":{"request":[{"name":"events","type":{"type":"array","items":"AvroFlumeEvent"}}],"response":"Status"}}}"#;

/// The MD5 of that text, and two that nobody has.
const TEXT_MD5: &str = "30da54059df72d9584b867d5202e2069";
const OTHER_MD5: &str = "00112233445566778899aabbccddeeff";
const WRONG_MD5: &str = "ffeeddccbbaa99887766554433221100";

/// A handshake part that tells the protocol: match, 509 bytes of text, MD5, no metadata.
fn told(matched: &str) -> Vec<u8> {
    [
        hex(&format!("{matched} 02 fa07")),
        TEXT.into(),
        hex(&format!("02 {MD5} 00")),
    ]
    .concat()
}

/// A frame with the handshake of a client that sends its text, and the message name "".
fn greeting_with_text(serial: u32, client: &str, server: &str, text: &str) -> Vec<u8> {
    let length = match text.len() {
        509 => "00000223",
        other => panic!("spell out the length {other}"),
    };
    [
        hex(&format!("{serial:08x} 00000001 {length} {client} 02 fa07")),
        text.into(),
        hex(&format!("{server} 00 00 00")),
    ]
    .concat()
}

#[test]
fn a_handshake_alone_is_answered_by_the_handshake_alone() {
    let agent = agent();
    let mut client = Client::connect(&agent);
    client.send(GREETING);
    client.expect("00000009 00000001 00000004 00000000");
}

#[test]
fn an_empty_message_name_later_is_answered_by_an_empty_buffer() {
    let agent = agent();
    let mut client = Client::greeted(&agent);
    client.send("0000000e 00000001 00000002 00 00");
    client.expect("0000000e 00000001 00000000");
}

#[test]
fn a_first_call_without_a_handshake_is_an_end_of_file_behind_an_empty_handshake() {
    let agent = agent();
    let mut client = Client::connect(&agent);
    client.send(APPEND);
    let head = hex("00000001 00000003 00000000 00000001 00 00000017 0100 28");
    client.expect_bytes(&[head.as_slice(), b"java.io.EOFException"].concat());
    client.send(GREETING);
    client.expect(GREETING_OK);
    client.send(APPEND);
    client.expect(&status(1, "00"));
    assert_eq!(agent.wait_for(1, LIMIT).unwrap().len(), 1);
}

#[test]
fn a_wrong_server_md5_is_answered_with_client_and_the_call_is_executed() {
    let agent = agent();
    let mut client = Client::connect(&agent);
    client.send(&format!(
        "00000001 00000001 00000033 {MD5} 00 {WRONG_MD5} 00 00 0c617070656e64 02026b027600 046869"
    ));
    client.expect("00000001 00000003 00000213");
    client.expect_bytes(&told("02"));
    client.expect("00000001 00 00000002 0000");
    client.expect_usable();
    assert_eq!(agent.wait_for(1, LIMIT).unwrap().len(), 1);
}

#[test]
fn an_unknown_client_md5_is_answered_with_none_and_the_call_is_not_executed() {
    let agent = agent();
    let mut client = Client::connect(&agent);
    client.send(&format!(
        "00000001 00000001 00000033 {OTHER_MD5} 00 {MD5} 00 00 0c617070656e64 02026b027600 046869"
    ));
    client.expect("00000001 00000001 00000213");
    client.expect_bytes(&told("04"));
    client.send(GREETING);
    client.expect(GREETING_OK);
    assert_eq!(agent.stats().events_accepted, 0);
}

#[test]
fn a_client_that_sends_its_text_is_accepted_under_any_md5_and_remembered() {
    let agent = agent();
    let only_md5 = format!("0000000f 00000001 00000024 {OTHER_MD5} 00 {MD5} 00 00 00");
    let mut client = Client::connect(&agent);
    client.send(&only_md5);
    client.expect("0000000f 00000001 00000213");
    client.expect_bytes(&told("04"));
    client.send_bytes(&greeting_with_text(16, OTHER_MD5, MD5, TEXT));
    client.expect("00000010 00000001 00000004 00000000");
    client.expect_usable();

    let mut second = Client::connect(&agent);
    second.send(&only_md5);
    second.expect("0000000f 00000001 00000004 00000000");
    second.expect_usable();
}

#[test]
fn text_with_a_wrong_server_md5_is_answered_with_client() {
    let agent = agent();
    let mut client = Client::connect(&agent);
    client.send_bytes(&greeting_with_text(17, OTHER_MD5, WRONG_MD5, TEXT));
    client.expect("00000011 00000001 00000213");
    client.expect_bytes(&told("02"));
    client.expect_usable();
}

#[test]
fn the_protocol_without_its_comment_is_known_from_the_start() {
    let agent = agent();
    let mut client = Client::connect(&agent);
    client.send(&format!(
        "00000012 00000001 00000024 {TEXT_MD5} 00 {MD5} 00 00 00"
    ));
    client.expect("00000012 00000001 00000004 00000000");
}

#[test]
fn a_restart_forgets_the_protocols_it_was_told() {
    let mut agent = agent();
    let mut client = Client::connect(&agent);
    client.send_bytes(&greeting_with_text(19, OTHER_MD5, MD5, TEXT));
    client.expect("00000013 00000001 00000004 00000000");
    agent.restart().unwrap();
    let mut client = Client::connect(&agent);
    client.send(&format!(
        "00000014 00000001 00000024 {OTHER_MD5} 00 {MD5} 00 00 00"
    ));
    client.expect("00000014 00000001 00000213");
    client.expect_bytes(&told("04"));
}
