//! What a request to an HTTP source carries, against `serde_json` and RFC 8259.

use std::collections::BTreeMap;

use flume_client::Event;
use flume_client::wire::avro::DecodeError;
use flume_client::wire::http::json::{EncodeError, is_text, put_batch};
use serde::Deserialize;

use crate::allocations::counted;

/// An event as Flume's `JSONEvent` has it.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Read {
    headers: BTreeMap<String, String>,
    body: String,
}

fn written(events: &[Event]) -> String {
    let mut out = Vec::new();
    put_batch(&mut out, events.iter().map(Event::as_datum)).unwrap();
    String::from_utf8(out).unwrap()
}

/// Whether this text is read again as it was, as a body and in a header.
fn check(text: &str) {
    let event = Event::new(text).header("key", text.replace('\0', "0"));
    let read: Vec<Read> = serde_json::from_str(&written(&[event])).unwrap();
    let [event] = read.as_slice() else {
        panic!("{read:?}");
    };
    assert_eq!(event.body, text);
    assert_eq!(event.headers["key"], text.replace('\0', "0"));
}

#[test]
fn a_batch_is_the_array_that_flume_reads() {
    let plain = Event::new("GET /");
    let host = Event::new("").header("host", "web-1").header("a", "");
    let both = [host, plain];
    for (events, expected) in [
        (&both[..0], "[]"),
        (&both[1..], r#"[{"headers":{},"body":"GET /"}]"#),
        (
            &both,
            r#"[{"headers":{"host":"web-1","a":""},"body":""},{"headers":{},"body":"GET /"}]"#,
        ),
    ] {
        assert_eq!(written(events), expected);
    }
    // In one slice or in several, with empty ones between them.
    let datums = both.each_ref().map(Event::as_datum).concat();
    let mut out = b"before".to_vec();
    put_batch(&mut out, [&[][..], &datums, &[]]).unwrap();
    assert_eq!(out, format!("before{}", written(&both)).into_bytes());
}

#[test]
fn what_json_does_not_allow_in_a_text_is_escaped_and_nothing_else() {
    // RFC 8259, section 7.
    for (text, expected) in [
        ("\"\\", r#"\"\\"#),
        ("\u{8}\t\n\u{c}\r", r"\b\t\n\f\r"),
        (
            "\0\u{1}\u{b}\u{1b}\u{1f}",
            r"\u0000\u0001\u000b\u001b\u001f",
        ),
        (
            " /<&\u{7f}\u{2028}\u{2029}ä😀",
            " /<&\u{7f}\u{2028}\u{2029}ä😀",
        ),
    ] {
        let expected = format!(r#"[{{"headers":{{}},"body":"{expected}"}}]"#);
        assert_eq!(written(&[Event::new(text)]), expected);
    }
}

#[test]
fn each_of_the_first_256_characters_is_written_as_serde_json_does_at_each_place() {
    for at in 0..20 {
        for character in 0..=u8::MAX {
            // Its neighbours differ from those that are escaped by one, which a mistake would mix up.
            let mut text: Vec<char> = "!#[]\u{20}".chars().cycle().take(20).collect();
            text[at] = character.into();
            let text: String = text.into_iter().collect();
            let expected = serde_json::to_string(&text).unwrap();
            let written = written(&[Event::new(text)]);
            assert_eq!(
                written,
                format!(r#"[{{"headers":{{}},"body":{expected}}}]"#)
            );
        }
    }
}

#[test]
fn every_character_is_read_again_as_it_was() {
    // Below U+0300 each alone and between others; beyond, those about a boundary of UTF-8 and of
    // UTF-16, whose surrogates are no characters of their own.
    let edges = [
        0x7ff, 0x800, 0x2028, 0x2029, 0xd7ff, 0xe000, 0xfeff, 0xfffd, 0xffff, 0x1_0000, 0x1_f600,
        0x10_ffff,
    ];
    for code in (0..0x300).chain(edges) {
        let character = char::from_u32(code).unwrap();
        check(&character.to_string());
        check(&format!("a{character}\"{character}{character}z"));
    }
    check("");
    check(r"\ud83d\ude00 and \u0041 are text already");
}

#[test]
fn a_body_that_is_no_text_is_named_by_its_place_and_leaves_nothing_behind() {
    for bytes in [
        // Continuation bytes alone, a sequence that is cut, an overlong one, a surrogate, and more
        // than there are characters.
        &b"\x80"[..],
        b"text \xbf",
        b"\xc3",
        b"\xf0\x9f\x98",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xff",
    ] {
        let no_text = Event::new(bytes);
        assert!(!is_text(no_text.as_datum()), "{bytes:x?}");
        for place in [0, 1, 5] {
            let mut events = vec![Event::new("text").header("key", "value"); place];
            events.extend([no_text.clone(), Event::new("after")]);
            let mut out = b"before".to_vec();
            let put = put_batch(&mut out, events.iter().map(Event::as_datum));
            let error = put.unwrap_err();
            assert_eq!(error, EncodeError::NotText { event: place });
            assert!(error.to_string().contains(&format!("event {place} ")));
            assert_eq!(out, b"before");
        }
    }
    assert!(is_text(Event::new("ä").header("key", "value").as_datum()));
    assert!(is_text(Event::new("").as_datum()));
}

#[test]
fn what_is_no_stored_event_is_told_as_that() {
    let datum = Event::new("a body").header("key", "value");
    let datum = datum.as_datum();
    for length in 1..datum.len() {
        let mut out = Vec::new();
        let error = put_batch(&mut out, [datum, &datum[..length]]).unwrap_err();
        let is_cut = matches!(error, EncodeError::Datum(DecodeError::Truncated { .. }));
        assert!(is_cut, "{length}: {error}");
        assert!(out.is_empty());
        assert!(!is_text(&datum[..length]));
    }
    let twice = [datum, datum].concat();
    assert!(!is_text(&twice), "one event and more");
}

#[test]
fn a_batch_of_stored_events_is_written_into_a_used_buffer_without_allocations() {
    let event = |number: u32| {
        let body = format!("line \"{number}\"\n{}", "x".repeat(200));
        Event::new(body).header("sequence", number.to_string())
    };
    let events: Vec<_> = (0..100).map(event).collect();
    let datums: Vec<u8> = events
        .iter()
        .flat_map(|it| it.as_datum().to_vec())
        .collect();
    let mut out = Vec::new();
    let mut write = || {
        out.clear();
        put_batch(&mut out, [datums.as_slice()]).unwrap();
    };
    write();
    let ((), allocated) = counted(write);
    assert_eq!(allocated.count_total, 0, "{allocated:?}");
}
