//! Damaged, endless and absurd messages: typed errors, no panic, no memory on a peer's word.

use flume_client::wire::avro::DecodeError;
use flume_client::wire::avro::handshake::{FLUME_PROTOCOL_HASH, Match, PROTOCOL_TEXT};
use flume_client::wire::avro::rpc::Reply;
use proptest::prelude::*;

use crate::allocations::counted;
use crate::messages::{Answer, Greeting, Kind, Message, OwnedCall, OwnedEvent, hex};

/// Most bytes that reading a short message may allocate in these tests, its owned copy included.
const ALLOCATED_BYTES_MAX: u64 = 4096;

/// One valid message of every sort.
pub(crate) fn messages() -> Vec<(Kind, Message)> {
    let greeting = |client_protocol: Option<&str>| Greeting {
        client_hash: FLUME_PROTOCOL_HASH,
        client_protocol: client_protocol.map(Into::into),
        server_hash: FLUME_PROTOCOL_HASH,
    };
    let answer = |matched, known: bool| Answer {
        matched,
        server_protocol: (!known).then(|| PROTOCOL_TEXT.into()),
        server_hash: (!known).then_some(FLUME_PROTOCOL_HASH),
    };
    let event = || OwnedEvent::new(&[("host", "web-1"), ("key", "värde")], b"GET /index.html");
    let long = OwnedEvent::new(&[("k", &"v".repeat(70))], &[0xff; 80]);
    let batch = || OwnedCall::AppendBatch(vec![event(), OwnedEvent::default(), long.clone()]);
    let error = || Reply::Error("java.io.EOFException".into());
    let first = |call| (Kind::FirstCall, Message::FirstCall(greeting(None), call));
    let with_text = |call| {
        let greeting = greeting(Some(PROTOCOL_TEXT));
        (Kind::FirstCall, Message::FirstCall(greeting, call))
    };
    let later = |call| (Kind::LaterCall, Message::LaterCall(call));
    let replies = [Reply::Ok, Reply::Failed, Reply::Unknown, error()];
    let mut messages = vec![
        first(OwnedCall::HandshakeOnly),
        first(OwnedCall::Append(event())),
        first(batch()),
        with_text(OwnedCall::HandshakeOnly),
        with_text(OwnedCall::AppendBatch(Vec::new())),
        later(OwnedCall::Append(event())),
        later(OwnedCall::AppendBatch(Vec::new())),
        later(batch()),
        later(OwnedCall::Unknown("nosuch".into())),
    ];
    messages.extend(replies.map(|reply| (Kind::LaterReply, Message::LaterReply(reply))));
    for answer in [
        answer(Match::Both, true),
        answer(Match::Client, false),
        answer(Match::None, false),
    ] {
        let reply = Message::FirstReply(answer.clone(), error());
        messages.push((Kind::FirstReply, reply));
        messages.push((Kind::HandshakeReply, Message::HandshakeReply(answer)));
    }
    messages
}

/// Reads bytes that no peer in its right mind sends, and watches the memory.
pub(crate) fn read(kind: Kind, bytes: &[u8]) -> Result<Message, DecodeError> {
    let room = ALLOCATED_BYTES_MAX + 4 * bytes.len() as u64;
    let (found, allocated) = counted(|| Message::read(kind, bytes));
    assert!(allocated.bytes_max <= room, "{allocated:?} for {bytes:x?}");
    found
}

#[test]
fn a_message_cut_short_anywhere_is_an_error() {
    for (kind, message) in messages() {
        let bytes = message.bytes();
        assert_eq!(read(kind, &bytes), Ok(message));
        for cut in 0..bytes.len() {
            let found = read(kind, &bytes[..cut]);
            let refused = matches!(
                found,
                Err(DecodeError::Truncated { .. } | DecodeError::OverLimit { .. })
            );
            assert!(refused, "cut at {cut} of {bytes:x?}: {found:?}");
        }
    }
}

#[test]
fn a_byte_behind_a_message_is_an_error() {
    let left_over = Err(DecodeError::LeftOver { bytes: 1 });
    for (kind, message) in messages() {
        let ends_unread =
            |call: &OwnedCall| matches!(call, OwnedCall::HandshakeOnly | OwnedCall::Unknown(_));
        match &message {
            Message::FirstCall(_, call) | Message::LaterCall(call) if ends_unread(call) => continue,
            _ => {}
        }
        let bytes = [message.bytes(), vec![0]].concat();
        assert_eq!(read(kind, &bytes), left_over, "{bytes:x?}");
    }
}

#[test]
fn a_message_with_any_bit_flipped_is_an_error_or_another_message() {
    for (kind, message) in messages() {
        let mut bytes = message.bytes();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                if let Ok(other) = read(kind, &bytes) {
                    assert_eq!(read(kind, &other.bytes()), Ok(other), "{bytes:x?}");
                }
                bytes[at] ^= 1 << bit;
            }
        }
    }
}

/// Every place where a peer announces a size, with all that comes before it.
fn places() -> Vec<(&'static str, Kind, Vec<u8>)> {
    let greeting = "86aadae2c45474c0fe93ffd0f2350a65";
    let append = "00 0c617070656e64";
    let batch = "00 16617070656e644261746368";
    let place = |what, kind, before: String| (what, kind, hex(&before));
    vec![
        place("event body", Kind::LaterCall, format!("{append} 00")),
        place("header count", Kind::LaterCall, append.into()),
        place("header block size", Kind::LaterCall, format!("{append} 01")),
        place(
            "second header count",
            Kind::LaterCall,
            format!("{append} 02 026b 0276"),
        ),
        place("header key", Kind::LaterCall, format!("{append} 02")),
        place("header value", Kind::LaterCall, format!("{append} 02 026b")),
        place("event count", Kind::LaterCall, batch.into()),
        place("event block size", Kind::LaterCall, format!("{batch} 01")),
        place(
            "second event count",
            Kind::LaterCall,
            format!("{batch} 02 0000"),
        ),
        place("message name", Kind::LaterCall, "00".into()),
        place("call metadata", Kind::LaterCall, String::new()),
        place("metadata key", Kind::LaterCall, "02".into()),
        place("metadata value", Kind::LaterCall, "02 026b".into()),
        place("client protocol", Kind::FirstCall, format!("{greeting} 02")),
        place(
            "handshake metadata",
            Kind::FirstCall,
            format!("{greeting} 00 {greeting} 02"),
        ),
        place("server protocol", Kind::HandshakeReply, "02 02".into()),
        place("reply metadata", Kind::LaterReply, String::new()),
        place("error text", Kind::LaterReply, "00 01 00".into()),
    ]
}

#[test]
fn an_absurd_size_is_an_error_wherever_it_is_announced() {
    let absurd = [
        ("i64::MAX", "feffffffffffffffff01"),
        ("i64::MAX - 1", "fcffffffffffffffff01"),
        ("i64::MIN", "ffffffffffffffffff01"),
        ("i64::MIN + 1", "fdffffffffffffffff01"),
        ("i32::MAX", "feffffff0f"),
        ("i32::MAX + 1", "8080808010"),
        ("i32::MIN", "ffffffff0f"),
        ("u32::MAX", "feffffff1f"),
        ("-1", "01"),
        ("no end after nine bytes", "ffffffffffffffffff"),
        ("65 bits", "ffffffffffffffffff02"),
        ("ten bytes without an end", "ffffffffffffffffffff"),
        ("eleven bytes", "ffffffffffffffffffff01"),
        ("eleven bytes for nothing", "8080808080808080808000"),
    ];
    for (what, kind, before) in places() {
        for (name, size) in absurd {
            let bytes = [before.clone(), hex(size)].concat();
            let found = read(kind, &bytes);
            assert!(found.is_err(), "{what} of {name}: {found:?}");
        }
    }
}

#[test]
fn sizes_over_a_limit_are_errors_even_if_the_bytes_are_there() {
    let over = |what, announced, limit| {
        Err(DecodeError::OverLimit {
            what,
            announced,
            limit,
        })
    };
    let name = [hex("00 8204"), b"n".repeat(257)].concat();
    let found = Message::read(Kind::LaterCall, &name);
    assert_eq!(found, over("message name", 257, 256));

    let pairs = hex("0000").repeat(4097);
    let headers = [&hex("00 0c617070656e64 8240"), &pairs[..], &[0, 0]].concat();
    let found = Message::read(Kind::LaterCall, &headers);
    assert_eq!(found, over("header count", 4097, 4096));

    let entries = [&hex("22"), &hex("0000").repeat(17)[..], &[0, 0, 0]].concat();
    let found = Message::read(Kind::LaterReply, &entries);
    assert_eq!(found, over("metadata", 17, 16));
    let blocks = [
        &hex("20"),
        &hex("0000").repeat(16)[..],
        &hex("02 0000 00 00 00"),
    ]
    .concat();
    let found = Message::read(Kind::LaterReply, &blocks);
    assert_eq!(found, over("metadata", 1, 0));
}

#[test]
fn a_batch_may_announce_as_many_events_as_its_bytes_can_hold() {
    let empty = |announced: &str| {
        let start = hex(&format!("00 16617070656e644261746368 {announced}"));
        let call = [start, hex("0000").repeat(100), vec![0]].concat();
        Message::read(Kind::LaterCall, &call)
    };
    let events = vec![OwnedEvent::default(); 100];
    let batch = Message::LaterCall(OwnedCall::AppendBatch(events));
    assert_eq!(empty("c801"), Ok(batch));
    let over = DecodeError::OverLimit {
        what: "event count",
        announced: 102,
        limit: 101,
    };
    assert_eq!(empty("cc01"), Err(over));
}

#[test]
fn text_that_is_not_utf8_is_an_error_but_an_exceptions_text_is_mended() {
    for (what, bytes) in [
        ("header key", "00 0c617070656e64 02 02ff 00 00 00"),
        ("header value", "00 0c617070656e64 02 00 04c328 00 00"),
        ("message name", "00 02ff"),
    ] {
        let found = Message::read(Kind::LaterCall, &hex(bytes));
        assert_eq!(found, Err(DecodeError::NotUtf8 { what }));
    }
    let found = Message::read(Kind::LaterReply, &hex("00 01 00 0641ff42"));
    let mended = Reply::Error("A\u{fffd}B".into());
    assert_eq!(found, Ok(Message::LaterReply(mended)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

    #[test]
    fn garbage_in_a_message_never_panics(
        kept in 0_usize..200,
        garbage in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        for (kind, message) in messages() {
            let mut bytes = message.bytes();
            bytes.truncate(kept);
            bytes.extend(&garbage);
            if let Ok(other) = read(kind, &bytes) {
                prop_assert_eq!(read(kind, &other.bytes()), Ok(other));
            }
        }
    }
}
