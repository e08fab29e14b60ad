//! Damaged, endless and absurd messages: typed errors, no panic, no memory on a peer's word.

use flume_client::wire::thrift::call::Call;
use flume_client::wire::thrift::reply::Reply;
use flume_client::wire::thrift::session::{ServerSession, Session, SessionError};
use flume_client::wire::thrift::{DecodeError, Protocol};
use proptest::prelude::*;

use super::{OwnedCall, PROTOCOLS, batch, framed, java_form, java_forms, read_call};
use crate::allocations::counted;
use crate::messages::hex;

const CALLS: [&str; 5] = ["append", "empty", "two", "fifteen", "strange"];
const REPLIES: [&str; 4] = ["replyOK", "replyUNKNOWN", "exception", "internal"];

fn messages() -> impl Iterator<Item = (Protocol, Vec<u8>)> {
    let names = CALLS.into_iter().chain(REPLIES);
    names.flat_map(java_forms)
}

struct Found {
    call: Result<OwnedCall, SessionError>,
    reply: Result<(i32, Reply), DecodeError>,
}

/// Reads bytes that no peer in its right mind sends as a call and as a reply, watches the memory,
/// and holds what can be read against itself, written again.
fn check(protocol: Protocol, message: &[u8]) -> Found {
    watch_memory(protocol, message);
    let call = read_call(protocol, message).map(|request| request.call);
    if let Ok(OwnedCall::AppendBatch(events)) = &call {
        let again = batch(protocol, 1, events);
        let again = read_call(protocol, &again[4..]).map(|request| request.call);
        assert_eq!(again, call);
    }
    let reply = Reply::read(protocol, message);
    if let Ok((seqid, reply)) = &reply {
        let mut again = Vec::new();
        reply.put(&mut again, protocol, *seqid, b"append");
        let again = Reply::read(protocol, &again[4..]);
        assert_eq!(again, Ok((*seqid, reply.clone())));
    }
    Found { call, reply }
}

/// What is not UTF-8 may take three times its bytes, and nothing else takes any.
fn watch_memory(protocol: Protocol, message: &[u8]) {
    let mut session = ServerSession::new(protocol);
    session.push(&framed(message));
    let mut stored = Vec::with_capacity(4 * message.len() + 64);
    let ((), allocated) = counted(|| {
        let _ = Reply::read(protocol, message);
        let Ok(Some(request)) = session.poll() else {
            return;
        };
        match request.call {
            Ok(Call::Append(event)) => event.put_datum(&mut stored),
            Ok(Call::AppendBatch(events)) => events.for_each(|event| event.put_datum(&mut stored)),
            _ => {}
        }
    });
    let room = 4 * message.len() as u64 + 64;
    assert!(allocated.bytes_max <= room, "{allocated:?}");
}

#[test]
fn a_frame_that_is_not_there_to_its_last_byte_is_waited_for() {
    for (protocol, message) in messages() {
        let stream = framed(&message);
        for cut in 0..stream.len() {
            let mut server = ServerSession::new(protocol);
            server.push(&stream[..cut]);
            assert!(server.poll().unwrap().is_none(), "cut at {cut}");
            assert_eq!(server.is_mid_call(), cut > 0);
            let (mut client, _) = Session::start(protocol);
            client.push(&stream[..cut]);
            assert_eq!(client.poll(), Ok(None), "cut at {cut}");
        }
    }
}

#[test]
fn a_message_cut_short_anywhere_in_its_frame_ends_the_connection() {
    for name in CALLS {
        for (protocol, message) in java_forms(name) {
            for cut in 1..message.len() {
                let Found { call, reply } = check(protocol, &message[..cut]);
                let truncated =
                    matches!(call, Err(SessionError::Call(DecodeError::Truncated { .. })));
                assert!(truncated, "cut at {cut} of {message:x?}: {call:?}");
                assert!(reply.is_err(), "{reply:?}");
            }
        }
    }
    for name in REPLIES {
        for (protocol, message) in java_forms(name) {
            for cut in 1..message.len() {
                let found = Reply::read(protocol, &message[..cut]);
                let truncated = matches!(found, Err(DecodeError::Truncated { .. }));
                assert!(truncated, "cut at {cut} of {message:x?}: {found:?}");
            }
        }
    }
}

#[test]
fn a_byte_behind_a_message_is_an_error() {
    let left_over = DecodeError::LeftOver { bytes: 1 };
    for (protocol, message) in CALLS.into_iter().flat_map(java_forms) {
        let call = check(protocol, &[message, vec![0]].concat()).call;
        assert_eq!(call, Ok(OwnedCall::Malformed(left_over.to_string())));
    }
    for (protocol, message) in REPLIES.into_iter().flat_map(java_forms) {
        let found = Reply::read(protocol, &[message, vec![0]].concat());
        assert_eq!(found, Err(left_over.clone()));
    }
}

#[test]
fn a_message_with_any_bit_flipped_is_an_error_or_another_message() {
    for (protocol, mut message) in messages() {
        for at in 0..message.len() {
            for bit in 0..8 {
                message[at] ^= 1 << bit;
                check(protocol, &message);
                message[at] ^= 1 << bit;
            }
        }
    }
}

#[test]
fn a_message_with_any_byte_replaced_is_an_error_or_another_message() {
    for protocol in PROTOCOLS {
        for name in ["append", "strange", "exception"] {
            let mut message = java_form(name, protocol);
            for at in 0..message.len() {
                let before = message[at];
                for byte in 0..=u8::MAX {
                    message[at] = byte;
                    check(protocol, &message);
                }
                message[at] = before;
            }
        }
    }
}

/// Every place where a peer announces a size, with all that comes before it.
fn places(protocol: Protocol) -> Vec<(&'static str, Vec<u8>)> {
    let (append, batch, exception, places): (_, _, _, &[(&str, &str)]) = match protocol {
        Protocol::Compact => (
            "82210106617070656e64 1c",
            "8221010b617070656e644261746368",
            "826101 06617070656e64",
            &[
                ("headers", "1b"),
                ("key", "1b01 88"),
                ("value", "1b01 88 016b"),
                ("body", "18"),
                ("unknown list", "f9f5"),
                ("unknown set", "faf5"),
                ("unknown map", "fb"),
                ("unknown text", "f8"),
            ],
        ),
        Protocol::Binary => (
            "80010001 00000006 617070656e64 00000001 0c0001",
            "80010001 0000000b 617070656e644261746368 00000001",
            "80010003 00000006 617070656e64 00000001",
            &[
                ("headers", "0d0001 0b0b"),
                ("key", "0d0001 0b0b 00000001"),
                ("value", "0d0001 0b0b 00000001 00000001 6b"),
                ("body", "0b0002"),
                ("unknown list", "0f0063 08"),
                ("unknown set", "0e0063 08"),
                ("unknown map", "0d0063 0808"),
                ("unknown text", "0b0063"),
            ],
        ),
    };
    let mut found: Vec<_> = places
        .iter()
        .map(|(what, before)| (*what, hex(&format!("{append} {before}"))))
        .collect();
    let (list, text, name) = match protocol {
        Protocol::Compact => ("19fc", "18", "822101"),
        Protocol::Binary => ("0f0001 0c", "0b0001", "80010001"),
    };
    found.push(("events", hex(&format!("{batch} {list}"))));
    found.push(("an exception's text", hex(&format!("{exception} {text}"))));
    found.push(("name", hex(name)));
    found
}

#[test]
fn an_absurd_size_is_an_error_wherever_it_is_announced() {
    let compact = [
        ("i32::MAX", "ffffffff07"),
        ("-1", "ffffffff0f"),
        ("i32::MIN", "8080808008"),
        ("33 bits", "ffffffff1f"),
        ("five bytes without an end", "ffffffffff"),
        ("ten bytes", "ffffffffffffffffff01"),
        ("ten bytes for nothing", "80808080808080808000"),
        ("16 MiB", "80808008"),
    ];
    let binary = [
        ("i32::MAX", "7fffffff"),
        ("-1", "ffffffff"),
        ("i32::MIN", "80000000"),
        ("16 MiB", "01000000"),
    ];
    for (protocol, sizes) in [
        (Protocol::Compact, &compact[..]),
        (Protocol::Binary, &binary),
    ] {
        for (what, before) in places(protocol) {
            for (name, size) in sizes {
                for behind in [&[][..], &[0; 64]] {
                    let message = [&before, &hex(size)[..], behind].concat();
                    let Found { call, reply } = check(protocol, &message);
                    let refused = matches!(call, Err(_) | Ok(OwnedCall::Malformed(_)));
                    assert!(refused && reply.is_err(), "{what} of {name}: {call:?}");
                }
            }
        }
    }
}

#[test]
fn a_count_of_more_than_the_bytes_can_hold_is_refused_before_the_first_is_read() {
    let start = "8221010b617070656e644261746368 19fc";
    let message = |count: &str| [hex(start), hex(count), vec![0; 50]].concat();
    let missing = DecodeError::Missing {
        what: "an event's field headers",
    };
    let found = check(Protocol::Compact, &message("32")).call;
    assert_eq!(found, Ok(OwnedCall::Malformed(missing.to_string())));
    let truncated = DecodeError::Truncated {
        what: "the list of events",
    };
    let found = check(Protocol::Compact, &message("33")).call;
    assert_eq!(found, Err(SessionError::Call(truncated)));
}

#[test]
fn more_headers_than_a_datum_may_have_are_refused() {
    let compact = |count: &str, pairs| {
        let start = hex(&format!("82210106617070656e64 1c 1b {count} 88"));
        [start, hex("0000").repeat(pairs), hex("1800 00 00")].concat()
    };
    let most = check(Protocol::Compact, &compact("8020", 4096)).call;
    assert!(matches!(most, Ok(OwnedCall::Append(event)) if event.headers.len() == 4096));
    let over = DecodeError::OverLimit {
        what: "an event's headers",
        announced: 4097,
        limit: 4096,
    };
    let more = check(Protocol::Compact, &compact("8120", 4097)).call;
    assert_eq!(more, Ok(OwnedCall::Malformed(over.to_string())));
}

#[test]
fn a_list_or_map_of_other_values_than_flumes_is_refused() {
    for message in [
        // Keys that are numbers, in a map and an event that are whole otherwise.
        "82210106617070656e64 1c 1b01 58 0000 1800 00 00",
        // A list of numbers.
        "8221010b617070656e644261746368 19 15 00 00",
    ] {
        let found = check(Protocol::Compact, &hex(message)).call;
        let Ok(OwnedCall::Malformed(words)) = found else {
            panic!("it was read: {found:?}");
        };
        assert!(words.contains("another type"), "{words}");
    }
}

/// An `append` whose event has an unknown field of structs in structs.
fn nested(protocol: Protocol, depth: usize) -> Vec<u8> {
    let (start, step, body) = match protocol {
        Protocol::Compact => ("82210106617070656e64 1c 1b00 1800", "1c", ""),
        Protocol::Binary => (
            "80010001 00000006 617070656e64 00000001 0c0001 0d0001 0b0b00000000 0b000200000000",
            "0c0009",
            "",
        ),
    };
    let ends = vec![0; depth + 2];
    [hex(start), hex(step).repeat(depth), hex(body), ends].concat()
}

#[test]
fn values_in_values_are_passed_over_up_to_a_depth() {
    for protocol in PROTOCOLS {
        for depth in [0, 1, 63, 64] {
            let found = check(protocol, &nested(protocol, depth)).call;
            assert!(matches!(found, Ok(OwnedCall::Append(_))), "{found:?}");
        }
        for depth in [65, 1000, 1_000_000] {
            let found = check(protocol, &nested(protocol, depth)).call;
            let too_deep = DecodeError::TooDeep { limit: 64 }.to_string();
            assert_eq!(found, Ok(OwnedCall::Malformed(too_deep)));
        }
    }
}

#[test]
fn lists_in_lists_are_passed_over_up_to_a_depth() {
    let start = hex("82210106617070656e64 1c 1b00 1800");
    let message = [start, hex("19"), hex("19").repeat(1_000_000)].concat();
    let found = check(Protocol::Compact, &message).call;
    let too_deep = DecodeError::TooDeep { limit: 64 }.to_string();
    assert_eq!(found, Ok(OwnedCall::Malformed(too_deep)));
}

#[test]
fn a_long_name_is_refused() {
    for protocol in PROTOCOLS {
        let head = match protocol {
            Protocol::Compact => hex("822101 8102"),
            Protocol::Binary => hex("80010001 00000101"),
        };
        let message = [head, vec![b'n'; 257], vec![0; 8]].concat();
        let found = check(protocol, &message).call;
        let over = DecodeError::OverLimit {
            what: "the method's name",
            announced: 257,
            limit: 256,
        };
        assert_eq!(found, Err(SessionError::Call(over)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

    #[test]
    fn garbage_in_a_message_never_panics(
        kept in 0_usize..100,
        garbage in prop::collection::vec(prop_oneof![1 => any::<u8>(), 1 => 0_u8..16], 1..200),
    ) {
        for (protocol, mut message) in messages() {
            message.truncate(kept);
            message.extend(&garbage);
            check(protocol, &message);
        }
    }
}
