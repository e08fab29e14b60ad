//! Both sides of one connection: bytes in, events, calls or errors out.

use flume_client::wire::avro::frame::Foreign;
use flume_client::wire::thrift::frame::{FRAME_BYTES_MAX, FrameError};
use flume_client::wire::thrift::reply::{Exception, ExceptionKind, Reply};
use flume_client::wire::thrift::session::{ServerSession, Session, SessionError, SessionEvent};
use flume_client::wire::thrift::{DecodeError, Protocol};

use super::{PROTOCOLS, framed, java, java_form, java_forms};
use crate::messages::hex;

type Polled = Result<SessionEvent, SessionError>;

/// Feeds a new session in chunks and polls it dry after each, up to the first error.
fn polled(protocol: Protocol, stream: &[u8], chunk: usize) -> Vec<Polled> {
    let (mut session, greeting) = Session::start(protocol);
    assert_eq!(greeting, framed(&java_form("empty", protocol)));
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
fn check(protocol: Protocol, stream: &[u8], expected: &[Polled]) {
    for chunk in (1..=stream.len().min(64)).chain([stream.len()]) {
        let found = polled(protocol, stream, chunk);
        assert_eq!(found, expected, "in reads of {chunk} bytes");
    }
}

fn put(protocol: Protocol, seqid: i32, reply: &Reply) -> Vec<u8> {
    let mut out = Vec::new();
    reply.put(&mut out, protocol, seqid, b"appendBatch");
    out
}

fn exception(kind: ExceptionKind) -> Exception {
    Exception {
        kind,
        text: "why".into(),
    }
}

#[test]
fn an_answer_to_the_empty_batch_opens_the_session_whatever_its_status() {
    let internal_error = Reply::Exception(exception(ExceptionKind::InternalError));
    let replies = [
        Reply::Ok,
        Reply::Failed,
        Reply::Error,
        Reply::Unknown,
        internal_error,
    ];
    for protocol in PROTOCOLS {
        for reply in &replies {
            check(
                protocol,
                &put(protocol, 0, reply),
                &[Ok(SessionEvent::Open)],
            );
        }
    }
}

#[test]
fn a_thrift_server_that_is_no_flume_source_is_told() {
    for protocol in PROTOCOLS {
        for kind in [ExceptionKind::UnknownMethod, ExceptionKind::ProtocolError] {
            let stream = put(protocol, 0, &Reply::Exception(exception(kind)));
            let refused = SessionError::Refused(exception(kind));
            check(protocol, &stream, &[Err(refused)]);
        }
    }
    let refused = SessionError::Refused(exception(ExceptionKind::UnknownMethod));
    let expected = "the peer speaks Thrift and is no Flume source: it answered an empty batch \
                    with unknown method: why";
    assert_eq!(refused.to_string(), expected);
}

#[test]
fn the_answer_to_the_greeting_must_carry_its_sequence_id() {
    for protocol in PROTOCOLS {
        let error = SessionError::GreetingSeqid {
            seqid: 1,
            expected: 0,
        };
        check(protocol, &put(protocol, 1, &Reply::Ok), &[Err(error)]);
    }
}

#[test]
fn replies_come_in_any_order_and_keep_their_sequence_ids() {
    let internal_error = Reply::Exception(exception(ExceptionKind::InternalError));
    let replies = [
        (3, Reply::Ok),
        (1, Reply::Failed),
        (i32::MAX, internal_error),
        (2, Reply::Error),
        (i32::MIN, Reply::Unknown),
        (-1, Reply::Ok),
    ];
    for protocol in PROTOCOLS {
        let mut stream = put(protocol, 0, &Reply::Ok);
        let mut expected = vec![Ok(SessionEvent::Open)];
        for (seqid, reply) in replies.clone() {
            stream.extend(put(protocol, seqid, &reply));
            expected.push(Ok(SessionEvent::Reply { seqid, reply }));
        }
        check(protocol, &stream, &expected);
    }
}

#[test]
fn the_other_protocol_is_told() {
    let compact = framed(&java("replyOK", "compact"));
    let protocol = Protocol::Binary;
    let error = SessionError::Greeting(DecodeError::OtherProtocol { protocol });
    check(protocol, &compact, &[Err(error)]);
    let binary = framed(&java("replyOK", "binary"));
    let protocol = Protocol::Compact;
    let error = SessionError::Greeting(DecodeError::OtherProtocol { protocol });
    check(protocol, &binary, &[Err(error)]);
}

#[test]
fn a_call_where_a_reply_must_come_is_an_error() {
    for protocol in PROTOCOLS {
        let stream = framed(&java_form("append", protocol));
        let error = DecodeError::OtherMessage {
            kind: 1,
            expected: "reply",
        };
        check(protocol, &stream, &[Err(SessionError::Greeting(error))]);
    }
}

#[test]
fn another_server_is_told_from_an_agent() {
    let streams = [
        (&b"HTTP/1.1 400 Bad Request\r\n"[..], Foreign::Http),
        (b"SSH-2.0-OpenSSH_9.6\r\n", Foreign::Ssh),
        (&[0x15, 3, 3, 0, 2, 2, 0x0a], Foreign::Tls),
        (b"<!DOCTYPE html>", Foreign::Text(*b"<!DO")),
    ];
    for (stream, foreign) in streams {
        let error = SessionError::Frame(FrameError::Foreign(foreign));
        assert!(error.to_string().contains("a Thrift source"), "{error}");
        check(Protocol::Compact, stream, &[Err(error)]);
    }
}

#[test]
fn a_frame_that_is_empty_or_over_the_limit_ends_the_session() {
    let too_large = |announced, limit| {
        Err(SessionError::Frame(FrameError::TooLarge {
            announced,
            limit,
        }))
    };
    let reply_max = 64 * 1024;
    let cases = [
        ("00000000", Err(SessionError::Frame(FrameError::Empty))),
        ("00010001", too_large(0x0001_0001, reply_max)),
        ("7fffffff", too_large(0x7fff_ffff, reply_max)),
        ("80000000", too_large(0x8000_0000, reply_max)),
        ("ffffffff", too_large(u32::MAX, reply_max)),
    ];
    for (stream, error) in cases {
        check(Protocol::Binary, &hex(stream), &[error]);
    }
    for announced in [FRAME_BYTES_MAX as u32 + 1, 0x7fff_ffff, u32::MAX] {
        let mut session = ServerSession::new(Protocol::Compact);
        session.push(&announced.to_be_bytes());
        let limit = FRAME_BYTES_MAX;
        let error = session.poll().err();
        let expected = FrameError::TooLarge { announced, limit };
        assert_eq!(error, Some(SessionError::Frame(expected)));
    }
}

/// What Flume answers to a call that cannot be made, after which the connection goes on.
#[test]
fn calls_that_cannot_be_made_are_answered_as_flume_does() {
    for protocol in PROTOCOLS {
        let mut session = ServerSession::new(protocol);
        let mut nosuch = java_form("exception", protocol);
        // The exception's message made a call of the same method, with fields that nobody knows.
        match protocol {
            Protocol::Compact => nosuch[1] = 0x21,
            Protocol::Binary => nosuch[3] = 1,
        }
        session.push(&framed(&nosuch));
        session.push(&framed(&java_form("nobody", protocol)));
        session.push(&framed(&java_form("append", protocol)));

        let request = session.poll().unwrap().unwrap();
        assert_eq!((request.seqid, request.method), (5, &b"nosuch"[..]));
        let refusal = request.refusal().expect("there is no such method");
        let mut out = Vec::new();
        refusal.put(&mut out, protocol, request.seqid, request.method);
        assert_eq!(out, framed(&java_form("exception", protocol)));

        let request = session.poll().unwrap().unwrap();
        let Some(Reply::Exception(exception)) = request.refusal() else {
            panic!("an event without a body");
        };
        assert_eq!(exception.kind, ExceptionKind::ProtocolError);
        assert!(exception.text.contains("body"), "{exception}");

        let request = session.poll().unwrap().unwrap();
        assert!(request.refusal().is_none() && request.call.is_ok());
        assert!(!session.is_mid_call());
    }
}

/// Where Flume closes the connection without an answer.
#[test]
fn calls_that_end_in_the_middle_or_begin_otherwise_end_the_connection() {
    for (protocol, message) in java_forms("two") {
        let mut session = ServerSession::new(protocol);
        session.push(&framed(&message[..message.len() - 1]));
        let error = session.poll().err();
        let truncated = matches!(
            error,
            Some(SessionError::Call(DecodeError::Truncated { .. }))
        );
        assert!(truncated, "{error:?}");
    }
    for protocol in PROTOCOLS {
        let mut session = ServerSession::new(protocol);
        session.push(&framed(&java_form("replyOK", protocol)));
        let error = DecodeError::OtherMessage {
            kind: 2,
            expected: "call",
        };
        assert_eq!(session.poll().err(), Some(SessionError::Call(error)));
    }
}

#[test]
fn a_long_text_of_an_exception_is_cut_so_that_a_client_can_read_it() {
    for protocol in PROTOCOLS {
        let text = "\u{e4}".repeat(100_000);
        let kind = ExceptionKind::InternalError;
        let reply = Reply::Exception(Exception { kind, text });
        let stream = [put(protocol, 0, &Reply::Ok), put(protocol, 1, &reply)].concat();
        let found = polled(protocol, &stream, stream.len());
        let [_, Ok(SessionEvent::Reply { seqid: 1, .. })] = found.as_slice() else {
            panic!("no reply: {found:?}");
        };
    }
}
