//! The client's side of one connection: golden bytes in, events or errors out.

use flume_client::wire::avro::DecodeError;
use flume_client::wire::avro::frame::{Foreign, FrameError};
use flume_client::wire::avro::handshake::PROTOCOL_TEXT;
use flume_client::wire::avro::rpc::Reply;
use flume_client::wire::avro::session::{Session, SessionError, SessionEvent};

use crate::messages::{frame, hex};

const GREETING: &str = "00000000 00000001 00000024
    86aadae2c45474c0fe93ffd0f2350a65 00 86aadae2c45474c0fe93ffd0f2350a65 00 00 00";

const BOTH: &str = "00000000 00000001 00000004 00000000";

type Polled = Result<SessionEvent, SessionError>;

/// Feeds a new session in chunks and polls it dry after each, up to the first error.
fn polled(stream: &[u8], chunk: usize) -> Vec<Polled> {
    let (mut session, greeting) = Session::start();
    assert_eq!(greeting, hex(GREETING));
    let mut found = Vec::new();
    for part in stream.chunks(chunk) {
        session.push(part);
        while let Some(event) = session.poll().transpose() {
            let failed = event.is_err();
            found.push(event);
            if failed {
                return found;
            }
        }
    }
    found
}

/// The same events must follow from the stream whatever its split into reads.
fn check(stream: &[u8], expected: &[Polled]) {
    for chunk in (1..=stream.len().min(64)).chain([stream.len()]) {
        assert_eq!(polled(stream, chunk), expected, "in reads of {chunk} bytes");
    }
}

fn reply(serial: i32, reply: Reply) -> Polled {
    Ok(SessionEvent::Reply { serial, reply })
}

/// NONE or CLIENT with our text as the server's, and this MD5.
fn answer_with_text(matched: u8, hash: &[u8; 16]) -> Vec<u8> {
    let text = [&hex("02 fa07"), PROTOCOL_TEXT.as_bytes()].concat();
    [&[matched], text.as_slice(), &[2], hash, &[0]].concat()
}

fn second_greeting(hash: &[u8; 16]) -> Vec<u8> {
    [
        hex("ffffffff 00000001 00000223 30da54059df72d9584b867d5202e2069 02 fa07"),
        PROTOCOL_TEXT.as_bytes().to_vec(),
        hash.to_vec(),
        hex("00 00 00"),
    ]
    .concat()
}

const HASH: [u8; 16] = *b"a server's hash.";

#[test]
fn both_opens_the_session() {
    check(&hex(BOTH), &[Ok(SessionEvent::Open)]);
}

#[test]
fn both_opens_the_session_in_buffers_as_java_cuts_them() {
    let stream = hex("00000000 00000002 00000004 00000000 00000000");
    check(&stream, &[Ok(SessionEvent::Open)]);
}

#[test]
fn client_opens_the_session_too() {
    let stream = frame(0, &[&answer_with_text(2, &HASH)]);
    check(&stream, &[Ok(SessionEvent::Open)]);
}

#[test]
fn none_is_answered_with_our_text_and_then_the_session_opens() {
    let sent = Ok(SessionEvent::Send(second_greeting(&HASH)));
    for opening in [hex("00000000"), answer_with_text(2, &HASH)] {
        let stream = [
            frame(0, &[&answer_with_text(4, &HASH)]),
            frame(-1, &[&opening]),
            hex("00000001 00000003 00000000 00000001 00 00000002 0000"),
        ]
        .concat();
        let opened = Ok(SessionEvent::Open);
        check(&stream, &[sent.clone(), opened, reply(1, Reply::Ok)]);
    }
}

#[test]
fn none_twice_is_a_refusal() {
    let stream = [
        frame(0, &[&answer_with_text(4, &HASH)]),
        frame(-1, &[&answer_with_text(4, &HASH)]),
    ]
    .concat();
    let sent = Ok(SessionEvent::Send(second_greeting(&HASH)));
    check(&stream, &[sent, Err(SessionError::ProtocolRefused)]);
}

#[test]
fn none_without_the_md5_of_the_server_is_a_refusal() {
    let stream = frame(0, &[&hex("04 00 00 00")]);
    check(&stream, &[Err(SessionError::ProtocolRefused)]);
}

#[test]
fn the_reply_to_a_greeting_must_carry_its_serial_number() {
    let wrong = |serial, expected| Err(SessionError::HandshakeSerial { serial, expected });
    check(&frame(1, &[&[0; 4]]), &[wrong(1, 0)]);
    check(&frame(-1, &[&[0; 4]]), &[wrong(-1, 0)]);

    let none = frame(0, &[&answer_with_text(4, &HASH)]);
    let sent = Ok(SessionEvent::Send(second_greeting(&HASH)));
    let stream = [none, hex(BOTH)].concat();
    check(&stream, &[sent, wrong(0, -1)]);
}

#[test]
fn an_http_server_is_told_from_an_agent() {
    let stream = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    for chunk in [1, 8, stream.len()] {
        let found = polled(stream, chunk);
        let [Err(error)] = found.as_slice() else {
            panic!("not one error: {found:?}");
        };
        let foreign = SessionError::Frame(FrameError::Foreign(Foreign::Http));
        assert_eq!(*error, foreign);
        assert!(
            error.to_string().starts_with("the peer speaks HTTP"),
            "{error}"
        );
    }
}

#[test]
fn an_error_in_place_of_the_handshake_is_no_handshake() {
    let payload = [&hex("00 01 00 28"), b"java.io.EOFException".as_slice()].concat();
    let error = DecodeError::UnknownIndex {
        what: "server protocol",
        index: -1,
    };
    let expected = [Err(SessionError::Handshake(error))];
    check(&frame(0, &[&payload]), &expected);
}

#[test]
fn bytes_behind_the_handshake_are_no_handshake() {
    let left_over = |bytes| Err(SessionError::Handshake(DecodeError::LeftOver { bytes }));
    check(&frame(0, &[&[0; 4], &[0], &[0; 2]]), &[left_over(3)]);
    let none = [answer_with_text(4, &HASH), vec![0]].concat();
    check(&frame(0, &[&none]), &[left_over(1)]);
}

#[test]
fn a_handshake_cut_short_is_no_handshake() {
    let whole = answer_with_text(4, &HASH);
    for cut in 0..whole.len() {
        let found = polled(&frame(0, &[&whole[..cut]]), usize::MAX);
        let truncated = matches!(
            found.as_slice(),
            [Err(SessionError::Handshake(DecodeError::Truncated { .. }))]
        );
        assert!(truncated, "cut at {cut}: {found:?}");
    }
}

#[test]
fn replies_come_in_any_order_and_keep_their_serial_numbers() {
    let text = "org.apache.avro.AvroRuntimeException: No such remote message: nope";
    let error = [&hex("01 00 8401"), text.as_bytes()].concat();
    let stream = [
        hex(BOTH),
        frame(3, &[b"", b"\0", b"\0\0"]),
        frame(1, &[b"", b"\0", b"\0\x02"]),
        frame(i32::MAX, &[b"", b"\0", &error]),
        frame(2, &[b"\0\0\x04"]),
        frame(i32::MIN, &[b"\0\0", b"\0"]),
        frame(2, &[b"\0\0\0"]),
    ]
    .concat();
    let expected = [
        Ok(SessionEvent::Open),
        reply(3, Reply::Ok),
        reply(1, Reply::Failed),
        reply(i32::MAX, Reply::Error(text.into())),
        reply(2, Reply::Unknown),
        reply(i32::MIN, Reply::Ok),
        reply(2, Reply::Ok),
    ];
    check(&stream, &expected);
}

#[test]
fn the_stream_may_be_cut_in_two_at_any_place() {
    let stream = [hex(BOTH), frame(1, &[b"", b"\0", b"\0\x02"])].concat();
    let expected = [Ok(SessionEvent::Open), reply(1, Reply::Failed)];
    for cut in 0..=stream.len() {
        let (mut session, _) = Session::start();
        let mut found = Vec::new();
        for part in [&stream[..cut], &stream[cut..]] {
            session.push(part);
            found.extend(std::iter::from_fn(|| session.poll().transpose()));
        }
        assert_eq!(found, expected, "cut at {cut}");
    }
}

#[test]
fn a_reply_that_cannot_be_read_ends_the_session() {
    let unreadable = |what, index| {
        Err(SessionError::Reply(DecodeError::UnknownIndex {
            what,
            index,
        }))
    };
    let cases = [
        ("00 00 06", unreadable("status", 3)),
        ("00 00 01", unreadable("status", -1)),
        ("00 02 00", unreadable("error flag", 2)),
        ("00 01 02 00", unreadable("error type", 1)),
        (
            "00 00 00 00",
            Err(SessionError::Reply(DecodeError::LeftOver { bytes: 1 })),
        ),
        (
            "00 00",
            Err(SessionError::Reply(DecodeError::Truncated {
                what: "status",
            })),
        ),
    ];
    for (payload, error) in cases {
        let stream = [hex(BOTH), frame(1, &[&hex(payload)])].concat();
        check(&stream, &[Ok(SessionEvent::Open), error]);
    }
}

#[test]
fn a_frame_without_buffers_ends_the_session() {
    let empty = Err(SessionError::Frame(FrameError::NoBuffers));
    check(&frame(0, &[]), std::slice::from_ref(&empty));
    let stream = [hex(BOTH), frame(1, &[])].concat();
    check(&stream, &[Ok(SessionEvent::Open), empty]);
}
