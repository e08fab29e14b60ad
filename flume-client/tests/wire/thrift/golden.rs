//! Bytes as Flume's Java classes and Python's library write them, in both directions.

use flume_client::wire::avro;
use flume_client::wire::thrift::call::put_append_batch;
use flume_client::wire::thrift::event::EncodeError;
use flume_client::wire::thrift::frame::FRAME_BYTES_MAX;
use flume_client::wire::thrift::reply::{Exception, ExceptionKind, Reply};
use flume_client::wire::thrift::{DecodeError, Protocol};

use super::{
    OwnedCall, OwnedRequest, PROTOCOLS, batch, framed, java_form, java_forms, read_call, two_events,
};
use crate::messages::{OwnedEvent, hex};

fn check_call(name: &str, seqid: i32, method: &str, call: &OwnedCall) {
    for (protocol, message) in java_forms(name) {
        let expected = OwnedRequest {
            seqid,
            method: method.into(),
            call: call.clone(),
        };
        assert_eq!(read_call(protocol, &message), Ok(expected), "{message:x?}");
    }
}

fn check_batch(name: &str, seqid: i32, events: Vec<OwnedEvent>) {
    for protocol in PROTOCOLS {
        let expected = framed(&java_form(name, protocol));
        assert_eq!(batch(protocol, seqid, &events), expected, "{protocol}");
    }
    check_call(name, seqid, "appendBatch", &OwnedCall::AppendBatch(events));
}

fn check_reply(name: &str, seqid: i32, method: &str, reply: &Reply) {
    for (protocol, message) in java_forms(name) {
        let found = Reply::read(protocol, &message);
        assert_eq!(found, Ok((seqid, reply.clone())), "{message:x?}");
    }
    for protocol in PROTOCOLS {
        let mut out = b"before".to_vec();
        reply.put(&mut out, protocol, seqid, method.as_bytes());
        let expected = [b"before", &framed(&java_form(name, protocol))[..]].concat();
        assert_eq!(out, expected, "{protocol}");
    }
}

#[test]
fn batches_are_written_and_read_as_java_writes_them() {
    check_batch("empty", 0, Vec::new());
    check_batch("two", 7, two_events());
    check_batch("fourteen", -2, vec![OwnedEvent::default(); 14]);
    check_batch("fifteen", 300, vec![OwnedEvent::default(); 15]);
}

#[test]
fn a_single_event_is_read_as_java_writes_it() {
    let event = OwnedEvent::new(&[("k", "v")], b"hi");
    check_call("append", 1, "append", &OwnedCall::Append(event));
}

/// Python's writer, whose bytes are those of Java.
#[test]
fn pythons_frames_are_those_of_java() {
    let append = hex("00000018 82210106617070656e64 1c 1b01 88016b0176 18026869 00 00");
    assert_eq!(append, framed(&java_form("append", Protocol::Compact)));
    let append = hex(
        "00000033 80010001 00000006 617070656e64 00000001 0c0001 0d0001 0b0b00000001 00000001
        6b 00000001 76 0b0002 00000002 6869 00 00",
    );
    assert_eq!(append[4..], java_form("append", Protocol::Binary));
    let one = hex("00000019 8221020b617070656e644261746368 19 1c 1b00 18026869 00 00");
    let event = OwnedEvent::new(&[], b"hi");
    assert_eq!(batch(Protocol::Compact, 2, &[event]), one);
    let reply = hex("82410106617070656e64 05000000");
    assert_eq!(Reply::read(Protocol::Compact, &reply), Ok((1, Reply::Ok)));
}

#[test]
fn fields_may_come_in_any_order_among_unknown_ones_of_every_type() {
    let event = OwnedEvent::new(&[("k", "v")], b"hi");
    check_call("strange", 9, "append", &OwnedCall::Append(event));
}

#[test]
fn an_event_without_a_body_is_malformed() {
    let missing = DecodeError::Missing {
        what: "an event's field body",
    };
    let malformed = OwnedCall::Malformed(missing.to_string());
    check_call("nobody", 9, "append", &malformed);
}

#[test]
fn replies_are_written_and_read_as_java_writes_them() {
    for (name, reply) in [
        ("replyOK", Reply::Ok),
        ("replyFAILED", Reply::Failed),
        ("replyERROR", Reply::Error),
        ("replyUNKNOWN", Reply::Unknown),
    ] {
        check_reply(name, 2, "appendBatch", &reply);
    }
    let unknown_method = Reply::Exception(Exception {
        kind: ExceptionKind::UnknownMethod,
        text: "Invalid method name: 'nosuch'".into(),
    });
    check_reply("exception", 5, "nosuch", &unknown_method);
    let internal_error = Reply::Exception(Exception {
        kind: ExceptionKind::InternalError,
        text: "Internal error processing appendBatch".into(),
    });
    check_reply("internal", 6, "appendBatch", &internal_error);
}

#[test]
fn a_reply_without_a_status_is_an_error() {
    let missing = Err(DecodeError::Missing { what: "the status" });
    for (protocol, message) in java_forms("noresult") {
        assert_eq!(Reply::read(protocol, &message), missing);
    }
}

#[test]
fn a_status_that_flume_does_not_have_is_an_error() {
    let message = hex("82410106617070656e64 05000800");
    let unknown = DecodeError::UnknownStatus { number: 4 };
    assert_eq!(Reply::read(Protocol::Compact, &message), Err(unknown));
}

#[test]
fn headers_that_are_not_utf8_are_replaced_as_java_does() {
    let message = hex("82210106617070656e64 1c 1b01 88 02ff6b 01fe 18026869 00 00");
    let event = OwnedEvent::new(&[("\u{fffd}k", "\u{fffd}")], b"hi");
    let found = read_call(Protocol::Compact, &message).unwrap();
    assert_eq!(found.call, OwnedCall::Append(event));
}

#[test]
fn stored_events_may_have_their_headers_in_blocks() {
    let blocks = "01 08 0261 0231 04 0262 0232 0263 0233 01 08 0264 0234 00 046869";
    let pairs = [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")];
    let event = OwnedEvent::new(&pairs, b"hi");
    for protocol in PROTOCOLS {
        let mut out = Vec::new();
        let datum = hex(blocks);
        put_append_batch(&mut out, protocol, 1, 1, [datum.as_slice()]).unwrap();
        assert_eq!(out, batch(protocol, 1, std::slice::from_ref(&event)));
    }
}

#[test]
fn stored_events_may_lie_in_slices() {
    let event = hex("02026b027600 046869");
    let (one, two) = (event.clone(), event.repeat(2));
    let three = vec![OwnedEvent::new(&[("k", "v")], b"hi"); 3];
    for protocol in PROTOCOLS {
        let mut out = Vec::new();
        let slices = [one.as_slice(), &[], &two];
        put_append_batch(&mut out, protocol, 4, 3, slices).unwrap();
        assert_eq!(out, batch(protocol, 4, &three));
    }
}

#[test]
fn a_call_that_cannot_be_written_leaves_the_buffer_as_it_was() {
    let event = hex("00 046869");
    let count = |announced, found| EncodeError::Count { announced, found };
    let cut = EncodeError::Datum(avro::DecodeError::Truncated {
        what: "a stored body",
    });
    let cases = [
        (1, event.repeat(2), count(1, 2)),
        (3, event.repeat(2), count(3, 2)),
        (0, event.clone(), count(0, 1)),
        (1, event[..3].to_vec(), cut),
    ];
    for protocol in PROTOCOLS {
        for (events, datums, error) in &cases {
            let mut out = b"before".to_vec();
            let put = put_append_batch(&mut out, protocol, 1, *events, [datums.as_slice()]);
            assert_eq!(put.as_ref(), Err(error));
            assert_eq!(out, b"before");
        }
    }
}

#[test]
fn a_call_may_be_as_large_as_a_frame_and_no_larger() {
    for protocol in PROTOCOLS {
        let body = vec![b'x'; FRAME_BYTES_MAX - 100];
        let around = batch(protocol, 1, &[OwnedEvent::new(&[], &body)]).len() - 4 - body.len();
        let body = vec![b'x'; FRAME_BYTES_MAX - around + 1];
        let largest = batch(protocol, 1, &[OwnedEvent::new(&[], &body[1..])]);
        assert_eq!(largest.len(), 4 + FRAME_BYTES_MAX);
        assert!(read_call(protocol, &largest[4..]).is_ok());

        let mut datum = Vec::new();
        OwnedEvent::new(&[], &body).put(&mut datum);
        let mut out = Vec::new();
        let put = put_append_batch(&mut out, protocol, 1, 1, [datum.as_slice()]);
        assert_eq!((put, out), (Err(EncodeError::TooLarge), Vec::new()));
    }
}
