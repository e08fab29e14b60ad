//! Bytes as a Flume agent and its Java client exchange them, spelled out, in both directions.

use flume_client::Event;
use flume_client::wire::avro::frame::{self, FrameDecoder, FrameLimits};
use flume_client::wire::avro::handshake::{
    FLUME_PROTOCOL_HASH, HandshakeRequest, Match, PROTOCOL_TEXT, PROTOCOL_TEXT_HASH,
};
use flume_client::wire::avro::rpc::{self, Reply};
use md5::{Digest, Md5};

use crate::messages::{Answer, Greeting, Kind, Message, OwnedCall, OwnedEvent, frame, hex};

/// Handshake and `append` of the body "hi" with the header k=v, as frame 1 of a connection.
const FIRST_REQUEST: &str = "00000001 00000001 00000033
    86aadae2c45474c0fe93ffd0f2350a65 00 86aadae2c45474c0fe93ffd0f2350a65 00
    00 0c617070656e64 02026b027600 046869";

const NO_SUCH_MESSAGE: &str = "org.apache.avro.AvroRuntimeException: No such remote message: nope";

/// Bytes of the payload in a frame, whatever its buffers.
fn payload(stream: &[u8]) -> (i32, Vec<u8>) {
    let mut decoder = FrameDecoder::new(FrameLimits::REQUEST);
    decoder.push(stream);
    let frame = decoder.next_frame().unwrap().expect("a whole frame");
    let found = (frame.serial, frame.payload.to_vec());
    assert!(!decoder.is_mid_frame());
    found
}

fn check(kind: Kind, bytes: &[u8], message: &Message) {
    assert_eq!(Message::read(kind, bytes).as_ref(), Ok(message));
    assert_eq!(message.bytes(), bytes);
}

fn released_flume() -> Greeting {
    Greeting {
        client_hash: FLUME_PROTOCOL_HASH,
        client_protocol: None,
        server_hash: FLUME_PROTOCOL_HASH,
    }
}

fn both() -> Answer {
    Answer {
        matched: Match::Both,
        server_protocol: None,
        server_hash: None,
    }
}

#[test]
fn the_first_request_is_a_handshake_and_a_call_in_one_frame() {
    let (serial, bytes) = payload(&hex(FIRST_REQUEST));
    assert_eq!((serial, bytes.len()), (1, 0x33));
    let append = OwnedCall::Append(OwnedEvent::new(&[("k", "v")], b"hi"));
    check(
        Kind::FirstCall,
        &bytes,
        &Message::FirstCall(released_flume(), append),
    );

    let mut written = frame::head(1, bytes.len()).unwrap().to_vec();
    HandshakeRequest::FIRST.put(&mut written);
    written.extend(hex("00 0c617070656e64"));
    written.extend(Event::new("hi").header("k", "v").as_datum());
    assert_eq!(written, hex(FIRST_REQUEST));
}

#[test]
fn a_frame_is_the_same_however_it_is_split_into_buffers() {
    let (_, bytes) = payload(&hex(FIRST_REQUEST));
    for size in 1..=bytes.len() {
        let mut buffers: Vec<&[u8]> = bytes.chunks(size).collect();
        assert_eq!(
            payload(&frame(7, &buffers)),
            (7, bytes.clone()),
            "buffers of {size}"
        );
        buffers.insert(buffers.len() / 2, b"");
        buffers.insert(0, b"");
        buffers.push(b"");
        assert_eq!(
            payload(&frame(7, &buffers)),
            (7, bytes.clone()),
            "empty ones between"
        );
    }
}

#[test]
fn java_sends_the_first_reply_in_three_buffers() {
    let stream = hex("00000001 00000003 00000004 00000000 00000001 00 00000002 0000");
    let (serial, bytes) = payload(&stream);
    assert_eq!(serial, 1);
    check(
        Kind::FirstReply,
        &bytes,
        &Message::FirstReply(both(), Reply::Ok),
    );
}

#[test]
fn java_sends_later_replies_with_an_empty_buffer_first() {
    let stream = hex("00000002 00000003 00000000 00000001 00 00000002 0000");
    let (serial, bytes) = payload(&stream);
    assert_eq!(serial, 2);
    check(Kind::LaterReply, &bytes, &Message::LaterReply(Reply::Ok));
}

#[test]
fn a_batch_over_the_transaction_capacity_is_answered_failed() {
    check(
        Kind::LaterReply,
        &hex("00 00 02"),
        &Message::LaterReply(Reply::Failed),
    );
    check(
        Kind::LaterReply,
        &hex("00 00 04"),
        &Message::LaterReply(Reply::Unknown),
    );
    check(
        Kind::FirstReply,
        &hex("00000000 00 0002"),
        &Message::FirstReply(both(), Reply::Failed),
    );
}

#[test]
fn an_unknown_message_is_answered_with_the_text_of_an_exception() {
    let text = NO_SUCH_MESSAGE.as_bytes();
    let stream = [
        hex("00000001 00000003 00000004 00000000 00000001 00 00000046 01 00 8401"),
        text.to_vec(),
    ]
    .concat();
    let (_, bytes) = payload(&stream);
    let error = Reply::Error(NO_SUCH_MESSAGE.into());
    check(
        Kind::FirstReply,
        &bytes,
        &Message::FirstReply(both(), error),
    );
}

#[test]
fn a_call_this_protocol_does_not_have_is_told_by_its_name() {
    let name = Message::LaterCall(OwnedCall::Unknown("nope".into()));
    check(Kind::LaterCall, &hex("00 08 6e6f7065"), &name);
}

#[test]
fn a_call_without_handshake_is_answered_with_an_error_alone() {
    let bytes = [hex("00 01 00 28"), b"java.io.EOFException".to_vec()].concat();
    let error = Reply::Error("java.io.EOFException".into());
    check(Kind::LaterReply, &bytes, &Message::LaterReply(error));
}

#[test]
fn client_and_none_come_with_the_text_and_md5_of_the_server() {
    for (index, matched) in [("02", Match::Client), ("04", Match::None)] {
        let bytes = [
            hex(index),
            hex("02 fa07"),
            PROTOCOL_TEXT.as_bytes().to_vec(),
            hex("02 30da54059df72d9584b867d5202e2069 00"),
        ]
        .concat();
        let answer = Answer {
            matched,
            server_protocol: Some(PROTOCOL_TEXT.into()),
            server_hash: Some(PROTOCOL_TEXT_HASH),
        };
        check(
            Kind::HandshakeReply,
            &bytes,
            &Message::HandshakeReply(answer),
        );
    }
}

#[test]
fn the_handshake_reply_of_a_released_flume_with_its_text_takes_1356_bytes() {
    let answer = Answer {
        matched: Match::Client,
        server_protocol: Some("t".repeat(1334)),
        server_hash: Some(FLUME_PROTOCOL_HASH),
    };
    assert_eq!(Message::HandshakeReply(answer).bytes().len(), 1356);
}

#[test]
fn an_empty_batch_is_a_harmless_probe() {
    let bytes = hex("00 16 617070656e644261746368 00");
    check(
        Kind::LaterCall,
        &bytes,
        &Message::LaterCall(OwnedCall::AppendBatch(Vec::new())),
    );
    assert_eq!(rpc::append_batch_len(0, 0), bytes.len());

    let greeting = hex("86aadae2c45474c0fe93ffd0f2350a65 00 86aadae2c45474c0fe93ffd0f2350a65 00");
    let first = Message::FirstCall(released_flume(), OwnedCall::AppendBatch(Vec::new()));
    check(Kind::FirstCall, &[greeting, bytes].concat(), &first);
}

#[test]
fn a_batch_is_a_count_the_events_and_a_zero() {
    let bytes = hex("00 16 617070656e644261746368 04 02026b027600046869 0000 00");
    let events = vec![OwnedEvent::new(&[("k", "v")], b"hi"), OwnedEvent::default()];
    check(
        Kind::LaterCall,
        &bytes,
        &Message::LaterCall(OwnedCall::AppendBatch(events)),
    );
    assert_eq!(rpc::append_batch_len(2, 9 + 2), bytes.len());
}

#[test]
fn a_handshake_without_a_call_is_answered_with_a_handshake_alone() {
    let ping = hex("86aadae2c45474c0fe93ffd0f2350a65 00 86aadae2c45474c0fe93ffd0f2350a65 00 00 00");
    let message = Message::FirstCall(released_flume(), OwnedCall::HandshakeOnly);
    check(Kind::FirstCall, &ping, &message);
    check(
        Kind::HandshakeReply,
        &hex("00000000"),
        &Message::HandshakeReply(both()),
    );
}

#[test]
fn the_second_handshake_carries_our_text_and_the_md5_the_server_gave() {
    let server_hash = *b"0123456789abcdef";
    let bytes = [
        hex("30da54059df72d9584b867d5202e2069 02 fa07"),
        PROTOCOL_TEXT.as_bytes().to_vec(),
        hex("30313233343536373839616263646566 00 00 00"),
    ]
    .concat();
    let greeting = Greeting {
        client_hash: PROTOCOL_TEXT_HASH,
        client_protocol: Some(PROTOCOL_TEXT.into()),
        server_hash,
    };
    let message = Message::FirstCall(greeting, OwnedCall::HandshakeOnly);
    check(Kind::FirstCall, &bytes, &message);

    let mut written = Vec::new();
    HandshakeRequest::with_text(server_hash).put(&mut written);
    rpc::put_handshake_only(&mut written);
    assert_eq!(written, bytes);
}

#[test]
fn the_md5_of_the_protocol_text_is_the_one_we_claim() {
    assert_eq!(PROTOCOL_TEXT.len(), 509);
    assert_eq!(Md5::digest(PROTOCOL_TEXT).as_slice(), PROTOCOL_TEXT_HASH);
}

#[test]
fn metadata_is_passed_over_wherever_the_protocol_has_it() {
    let map = "02 026d 0401ff 00";
    let call = hex(&format!("{map} 0c617070656e64 00 046869"));
    let append = OwnedCall::Append(OwnedEvent::new(&[], b"hi"));
    let found = Message::read(Kind::LaterCall, &call);
    assert_eq!(found, Ok(Message::LaterCall(append.clone())));

    let greeting = "86aadae2c45474c0fe93ffd0f2350a65 00 86aadae2c45474c0fe93ffd0f2350a65 02";
    let first = [hex(greeting), hex(map), call].concat();
    let found = Message::read(Kind::FirstCall, &first);
    assert_eq!(found, Ok(Message::FirstCall(released_flume(), append)));

    let reply = hex(&format!("000000 02 {map} {map} 0002"));
    let found = Message::read(Kind::FirstReply, &reply);
    assert_eq!(found, Ok(Message::FirstReply(both(), Reply::Failed)));
}
