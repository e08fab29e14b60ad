//! What an event is made of, and what becomes of headers that it may not have.

use super::*;

fn encoded(pairs: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut datum = Vec::new();
    datum::put_event(&mut datum, pairs.iter().copied(), body);
    datum
}

fn check(event: &Event, headers: &[(&str, &str)], body: &[u8]) {
    assert_eq!(event.headers().collect::<Vec<_>>(), headers);
    assert_eq!(event.body(), body);
    assert_eq!(event.as_datum(), encoded(headers, body));
}

#[test]
fn an_event_without_headers_is_an_empty_map_and_the_body() {
    assert_eq!(Event::new("hi").as_datum(), b"\x00\x04hi");
}

#[test]
fn headers_keep_the_order_of_their_first_setting() {
    let event = Event::new("body")
        .header("z", "1")
        .header("a", "2")
        .header("m", "3");
    check(&event, &[("z", "1"), ("a", "2"), ("m", "3")], b"body");
}

#[test]
fn the_last_value_wins_and_the_place_stays() {
    let event = Event::new("body")
        .header("a", "1")
        .header("b", "2")
        .header("a", "a longer one");
    check(&event, &[("a", "a longer one"), ("b", "2")], b"body");
}

#[test]
fn a_value_is_replaced_in_its_place_whether_it_grows_or_shrinks() {
    let values = ["", "short", &"v".repeat(63), &"v".repeat(64), "short", ""];
    let mut event = Event::new("body").header("a", "1").header("b", "2");
    for value in values {
        event.set_header("a", value);
        check(&event, &[("a", value), ("b", "2")], b"body");
    }
}

#[test]
fn the_sixty_fourth_header_widens_the_count_and_the_sixty_fifth_is_a_fault() {
    let mut event = Event::new(vec![0xff; 300]);
    let keys: Vec<String> = (0..65).map(|n| format!("key-{n}")).collect();
    for key in keys.iter().take(64) {
        event.set_header(key, "v");
    }
    let expected: Vec<_> = keys
        .iter()
        .take(64)
        .map(|key| (key.as_str(), "v"))
        .collect();
    check(&event, &expected, &[0xff; 300]);
    assert_eq!(event.fault(), None);
    event.set_header(&keys[64], "v");
    assert_eq!(event.fault(), Some(&HeaderFault::TooMany { count: 65 }));
}

#[test]
fn a_good_value_in_the_place_of_a_bad_one_takes_the_fault_away() {
    let event = Event::new("")
        .header("a", "\0")
        .header("b", "\0")
        .header("a", "1");
    assert_eq!(event.fault(), Some(&HeaderFault::Nul { key: "b".into() }));
    assert_eq!(event.header("b", "2").fault(), None);
}

#[test]
fn headers_over_the_limit_are_not_kept_and_the_event_is_refused_for_good() {
    let mut event = Event::new("body");
    event.set_header("long", &"v".repeat(HEADER_VALUE_BYTES_MAX + 1));
    for n in 1..30_000 {
        event.set_header(&format!("key-{n}"), "v");
    }
    assert_eq!(event.headers().count(), HEADERS_MAX);
    assert_eq!(event.header_value("key-63"), Some("v"));
    assert_eq!(event.header_value("key-64"), None);
    assert!(event.as_datum().len() < 10_000, "nor is any part of them");
    let too_many = HeaderFault::TooMany { count: 65 };
    assert_eq!(event.fault(), Some(&too_many));
    event.set_header("long", "short now");
    event.set_header("key-1", "w");
    assert_eq!(event.fault(), Some(&too_many));
    assert_eq!(event.header_value("key-1"), Some("w"));
}

#[test]
fn a_peers_event_of_many_headers_is_read_whole_and_refused() {
    let keys: Vec<String> = (0..4000).map(|n| format!("key-{n}")).collect();
    let mut pairs: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "v")).collect();
    let once = pairs.clone();
    // Written anew, as a key comes twice.
    pairs.insert(2000, ("key-0", "w"));
    let event = Event::from_datum(encoded(&pairs, b"body")).unwrap();
    let mut expected = once;
    expected[0].1 = "w";
    check(&event, &expected, b"body");
    assert_eq!(event.fault(), Some(&HeaderFault::TooMany { count: 65 }));
    let grown = event.clone().header("one-more", "v");
    assert_eq!(grown, event);
    assert_eq!(event.header("key-7", "x").header_value("key-7"), Some("x"));
}

/// Bodies around a widening of their length, and headers around the room that an event begins with.
#[test]
fn headers_set_at_once_are_those_set_one_by_one() {
    let long = "v".repeat(HEADER_ROOM);
    let sets: [&[(&str, &str)]; 7] = [
        &[],
        &[("host", "web-1")],
        &[("host", "web-1"), ("guid", "mine"), ("level", "INFO")],
        &[("a", "1"), ("b", "2"), ("a", &long), ("b", "")],
        &[("a", &long), ("b", &long), ("a", "1")],
        &[("a", "\0"), ("a", "1")],
        &[("a", "\0"), ("", "1")],
    ];
    for body in [0, 1, 63, 64, 200].map(|bytes| vec![0xff; bytes]) {
        let mut kept = Event::new("before").header("before", &long).header("", "");
        for headers in sets {
            let mut one_by_one = Event::new(&body);
            for (key, value) in headers {
                one_by_one.set_header(key, value);
            }
            let at_once = Event::with_headers(&body, headers.iter().copied());
            kept.become_that_of(headers, &body);
            let mut expected: Vec<(&str, &str)> = Vec::new();
            for (key, value) in headers {
                match expected.iter_mut().find(|(known, _)| known == key) {
                    Some(pair) => pair.1 = value,
                    None => expected.push((key, value)),
                }
            }
            for event in [&one_by_one, &at_once, &kept] {
                check(event, &expected, &body);
                assert_eq!(event.fault(), one_by_one.fault());
                let has_own_id = expected.iter().any(|(key, _)| *key == "guid");
                assert_eq!(event.has_own_id(), has_own_id);
            }
            let grown = at_once.header("later", &long);
            assert_eq!(grown, one_by_one.header("later", &long));
        }
    }
}

#[test]
fn an_event_of_a_peer_knows_its_own_name() {
    let named = |key| Event::from_datum(encoded(&[("a", "1"), (key, "2")], b"")).unwrap();
    assert!(named("guid").has_own_id());
    assert!(!named("guide").has_own_id());
    let twice = encoded(&[("guid", "1"), ("guid", "2")], b"");
    assert!(Event::from_datum(twice).unwrap().has_own_id());
    assert!(named("guide").header("guid", "3").has_own_id());
}

#[test]
fn a_nul_is_found_wherever_it_is_and_nothing_else_is_taken_for_one() {
    for length in 0..40 {
        for other in [1, 0x7f, 0x80, 0xff] {
            let mut bytes = vec![other; length];
            assert!(!holds_nul(&bytes), "{length} times {other}");
            for place in 0..length {
                bytes[place] = 0;
                assert!(holds_nul(&bytes), "{place} of {length}");
                bytes[place] = other;
            }
        }
    }
}

#[test]
fn each_header_limit_is_a_fault_of_its_own() {
    let long_key = "k".repeat(HEADER_KEY_BYTES_MAX + 1);
    let long_value = "v".repeat(HEADER_VALUE_BYTES_MAX + 1);
    let fault = |key: &str, value: &str| Event::new("").header(key, value).fault().cloned();
    assert_eq!(fault("", "v"), Some(HeaderFault::EmptyKey));
    assert_eq!(
        fault(&long_key, "v"),
        Some(HeaderFault::LongKey { bytes: 257 })
    );
    assert_eq!(
        fault("a\0b", "v"),
        Some(HeaderFault::Nul { key: "a\0b".into() })
    );
    assert_eq!(
        fault("k", &long_value),
        Some(HeaderFault::LongValue {
            key: "k".into(),
            bytes: 8193
        })
    );
    let mut wide = Event::new("");
    for n in 0..9 {
        wide.set_header(&format!("k{n}"), &"v".repeat(HEADER_VALUE_BYTES_MAX - 1));
    }
    assert!(matches!(
        wide.fault(),
        Some(HeaderFault::TooManyBytes { .. })
    ));
}

fn check_read(datum: &[u8], expected: &Event) {
    let event = Event::from_datum(datum.to_vec()).unwrap();
    assert_eq!(&event, expected);
    let grown = event.header("later", "1");
    assert_eq!(grown, expected.clone().header("later", "1"));
}

#[test]
fn a_datum_from_a_peer_becomes_the_event_it_was_written_from() {
    check_read(b"\x00\x04hi", &Event::new("hi"));
    check_read(
        b"\x04\x02a\x021\x02b\x00\x00\x04hi",
        &Event::new("hi").header("a", "1").header("b", ""),
    );
}

#[test]
fn a_datum_in_other_words_is_written_anew() {
    let expected = Event::new("hi").header("a", "1").header("b", "2");
    check_read(b"\x02\x02a\x021\x02\x02b\x022\x00\x04hi", &expected);
    check_read(b"\x03\x10\x02a\x021\x02b\x022\x00\x04hi", &expected);
    check_read(b"\x84\x00\x02a\x021\x02b\x022\x00\x04hi", &expected);
    check_read(b"\x06\x02a\x029\x02b\x022\x02a\x021\x00\x04hi", &expected);
}

#[test]
fn a_datum_over_our_limits_is_read_with_its_fault() {
    let mut datum = vec![2];
    datum::put_bytes(&mut datum, b"");
    datum::put_bytes(&mut datum, b"v");
    datum.extend(b"\x00\x00");
    let event = Event::from_datum(datum).unwrap();
    assert_eq!(event.fault(), Some(&HeaderFault::EmptyKey));
}

#[test]
fn a_datum_that_ends_early_or_late_is_no_event() {
    assert!(Event::from_datum(b"\x00\x04h".to_vec()).is_err());
    assert!(Event::from_datum(b"\x00\x04hi!".to_vec()).is_err());
}

#[test]
fn debug_output_never_shows_contents() {
    let shown = format!(
        "{:?}",
        Event::new("secret body").header("token", "secret value")
    );
    assert!(!shown.contains("secret"), "{shown}");
}
