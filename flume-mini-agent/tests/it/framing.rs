//! Frames cut, joined, too long and broken.

use flume_mini_agent::MiniAgent;

use crate::support::{APPEND, Client, GREETING, GREETING_OK, LIMIT, MD5, PROBE, hex, status};

fn agent() -> MiniAgent {
    MiniAgent::builder().max_frame_bytes(200).start().unwrap()
}

#[test]
fn frames_written_byte_by_byte_are_read_as_one() {
    let agent = agent();
    let mut client = Client::connect(&agent);
    for byte in hex(&[GREETING, APPEND, PROBE].concat()) {
        client.send_bytes(&[byte]);
    }
    client.expect(GREETING_OK);
    client.expect(&status(1, "00"));
    client.expect(&status(2, "00"));
    assert_eq!(agent.wait_for(1, LIMIT).unwrap()[0].body(), b"hi");
}

#[test]
fn many_frames_in_one_write_are_answered_in_order() {
    let agent = agent();
    let mut client = Client::connect(&agent);
    client.send(&[GREETING, APPEND, PROBE, APPEND].concat());
    client.expect(
        &[
            GREETING_OK,
            &status(1, "00"),
            &status(2, "00"),
            &status(1, "00"),
        ]
        .concat(),
    );
    assert_eq!(agent.wait_for(2, LIMIT).unwrap().len(), 2);
    assert_eq!(agent.stats().requests, 4);
}

#[test]
fn a_payload_may_be_cut_into_buffers_anywhere() {
    let agent = agent();
    let mut client = Client::connect(&agent);
    client.send(&format!(
        "00000001 00000004 00000010 {MD5} 00000000 00000013 00 {MD5} 0000
         00000010 0c617070656e64 02026b027600 046869"
    ));
    client.expect("00000001 00000003 00000004 00000000 00000001 00 00000002 0000");
    assert_eq!(agent.wait_for(1, LIMIT).unwrap()[0].body(), b"hi");
}

fn check_closed(bytes: &[u8]) {
    let agent = agent();
    let mut client = Client::greeted(&agent);
    client.send_bytes(bytes);
    client.expect_closed();
    let stats = agent
        .wait_until(LIMIT, |stats| stats.connections_open == 0)
        .unwrap();
    assert_eq!((stats.frames_refused, stats.connections_opened), (1, 1));
    Client::greeted(&agent).expect_usable();
}

#[test]
fn a_frame_without_buffers_closes_the_connection() {
    check_closed(&hex("00000001 00000000"));
}

#[test]
fn a_frame_over_the_limit_closes_the_connection_before_its_bytes_arrive() {
    check_closed(&hex("00000001 00000001 000000c9"));
    check_closed(&hex("00000001 00000001 7fffffff"));
    check_closed(&hex("00000001 00000001 ffffffff"));
    check_closed(&hex("00000001 00100000"));
    check_closed(&hex("00000001 ffffffff"));
}

#[test]
fn another_protocol_closes_the_connection() {
    check_closed(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

#[test]
fn answers_due_before_a_broken_frame_are_written_before_the_connection_closes() {
    let agent = agent();
    let mut client = Client::greeted(&agent);
    client.send(&[APPEND, "00000002 00000000"].concat());
    client.expect(&status(1, "00"));
    client.expect_closed();
    assert_eq!(agent.wait_for(1, LIMIT).unwrap().len(), 1);
}

#[test]
fn a_frame_of_exactly_the_limit_is_taken() {
    let agent = agent();
    let mut client = Client::greeted(&agent);
    // 00, "append", no headers, a body of 189 bytes: 1 + 7 + 1 + 2 + 189 = 200.
    let head = hex("00000001 00000001 000000c8 00 0c617070656e64 00 fa02");
    client.send_bytes(&[head, vec![b'x'; 189]].concat());
    client.expect(&status(1, "00"));
    assert_eq!(agent.wait_for(1, LIMIT).unwrap()[0].body(), [b'x'; 189]);
}

#[test]
fn a_connection_cut_in_the_middle_of_a_frame_leaves_nothing_behind() {
    let agent = agent();
    let mut client = Client::greeted(&agent);
    client.send("00000001 00000001 00000012 00 0c617070656e64 02026b");
    drop(client);
    let stats = agent
        .wait_until(LIMIT, |stats| stats.connections_open == 0)
        .unwrap();
    assert_eq!((stats.requests, stats.events_accepted), (1, 0));
}
