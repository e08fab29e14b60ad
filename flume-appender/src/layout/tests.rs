//! Bodies, read back by serde_json or compared with texts written by hand.

mod lines;
mod strict;

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Json, Layout, LayoutError, Logfmt, Member, Raw, Record, Rfc5424};
use crate::capture::{FieldWriter, InlineSite, Key, SpanNode};
use crate::level::Level;
use crate::render::stage::{MESSAGE, Place, Stage, bare, site};
use strict::parsed;

/// Logs a record of a place and returns its body.
fn body(
    layout: impl Layout + 'static,
    place: Option<&'static Place>,
    write: impl FnOnce(&mut FieldWriter<'_>),
) -> String {
    let mut stage = Stage::new(layout);
    log(&stage, place, None, write);
    stage.body()
}

fn log(
    stage: &Stage,
    place: Option<&'static Place>,
    span: Option<&Arc<SpanNode>>,
    write: impl FnOnce(&mut FieldWriter<'_>),
) {
    let level = place.map_or(Level::Info, |place| place.level);
    let mut recorder = stage.capture.begin(level).unwrap();
    write(&mut recorder.fields());
    recorder.finish(place.map_or_else(|| bare(level), site), span);
}

/// The body as JSON, of a record without a call site of its own.
fn json_of(write: impl FnOnce(&mut FieldWriter<'_>)) -> Value {
    parsed(&body(Json::new(), None, write))
}

fn fields_of(write: impl FnOnce(&mut FieldWriter<'_>)) -> Value {
    json_of(write)["fields"].take()
}

#[derive(Debug, thiserror::Error)]
#[error("cannot {what}")]
struct Outer {
    what: &'static str,
    source: std::num::ParseIntError,
}

fn outer() -> Outer {
    Outer {
        what: "read \"x\"",
        source: "x".parse::<i32>().unwrap_err(),
    }
}

#[test]
fn every_kind_of_value_stands_in_its_own_form() {
    let name = Key::Name;
    let fields = fields_of(|fields| {
        fields.null(name("null"));
        fields.bool(name("bool"), true);
        fields.i64(name("i64"), i64::MIN);
        fields.u64(name("u64"), u64::MAX);
        fields.f64(name("f64"), 0.1);
        fields.f64(name("tiny"), f64::MIN_POSITIVE);
        fields.f64(name("nan"), f64::NAN);
        fields.f64(name("infinite"), f64::NEG_INFINITY);
        fields.text(name("text"), "a \"b\" \\ \u{1b}[0m\r\n\0 ü");
        fields.debug(name("debug"), &Some(1));
        fields.bytes(name("bytes"), b"foobar");
        fields.json(name("json"), "{\n  \"a\": [1, {\"b\": null}]\n}");
        fields.json(name("no json"), "{\"a\":\n");
        fields.error(name("error"), &outer());
    });
    let expected = json!({
        "null": null,
        "bool": true,
        "i64": i64::MIN,
        "u64": u64::MAX,
        "f64": 0.1,
        "tiny": f64::MIN_POSITIVE,
        "nan": null,
        "infinite": null,
        "text": "a \"b\" \\ \u{1b}[0m\r\n\0 ü",
        "debug": "Some(1)",
        "bytes": "Zm9vYmFy",
        "json": {"a": [1, {"b": null}]},
        "no json": "{\"a\":\n",
        "error": "cannot read \"x\"",
        "error.chain": ["invalid digit found in string"],
    });
    assert_eq!(fields, expected);
}

#[test]
fn numbers_of_128_bits_are_exact() {
    let body = body(Json::new(), None, |fields| {
        fields.i128(Key::Name("i"), i128::MIN);
        fields.u128(Key::Name("u"), u128::MAX);
    });
    let _ = parsed(&body);
    let expected = format!(r#""fields":{{"i":{},"u":{}}}"#, i128::MIN, u128::MAX);
    assert!(body.contains(&expected), "{body}");
}

static TWINS: Place = Place {
    level: Level::Info,
    name: "",
    fields: &["message", "a", "r#type", "a", "message", "user_password"],
};

#[test]
fn of_one_name_what_was_logged_last_stands() {
    let body = body(Json::new(), Some(&TWINS), |fields| {
        fields.text(Key::Index(0), "first");
        fields.u64(Key::Index(1), 1);
        fields.text(Key::Index(2), "raw");
        fields.u64(Key::Index(3), 2);
        fields.text(Key::Index(4), "second");
        fields.text(Key::Index(5), "hunter2");
        fields.u64(Key::Name("type"), 3);
    });
    let body = parsed(&body);
    // The text of the call, and a field that bears its name: both are there.
    assert_eq!(body["msg"], "first");
    let expected = json!({
        "a": 2,
        "type": 3,
        "message": "second",
        "user_password": "[redacted]",
    });
    assert_eq!(body["fields"], expected);
    let with_chain = |fields: &mut FieldWriter<'_>, own_first: bool| {
        if own_first {
            fields.text(Key::Name("error.chain"), "mine");
        }
        fields.error(Key::Name("error"), &outer());
        if !own_first {
            fields.text(Key::Name("error.chain"), "mine");
        }
    };
    let chain = |own_first| fields_of(|fields| with_chain(fields, own_first))["error.chain"].take();
    assert_eq!(chain(true), json!(["invalid digit found in string"]));
    assert_eq!(chain(false), "mine");
}

static PLAIN: Place = Place {
    level: Level::Warn,
    name: "",
    fields: &["message", "ts", "level", "msg", "fields", "source"],
};

#[test]
fn no_field_of_a_service_stands_in_the_place_of_ours() {
    let write = |fields: &mut FieldWriter<'_>| {
        fields.text(Key::Index(0), "real");
        for index in 1..5 {
            fields.text(Key::Index(index), "forged");
        }
        fields.error(Key::Index(5), &outer());
    };
    let read = parsed(&body(Json::new(), Some(&PLAIN), write));
    assert_eq!(read["ts"], "2026-11-27T17:04:05.123456789Z");
    assert_eq!(
        (&read["level"], &read["msg"]),
        (&json!("WARN"), &json!("real"))
    );
    assert_eq!(read["fields"]["ts"], "forged");
    assert_eq!(read["fields"]["source.chain"].as_array().unwrap().len(), 1);

    let read = parsed(&body(Json::new().flatten(), Some(&PLAIN), write));
    assert_eq!(
        (&read["level"], &read["msg"]),
        (&json!("WARN"), &json!("real"))
    );
    assert_eq!(
        (&read["f.level"], &read["f.fields"]),
        (&json!("forged"), &json!("forged"))
    );
    assert_eq!(read["source"], "cannot read \"x\"");
}

#[test]
fn what_is_not_there_has_no_member() {
    let read = json_of(|_| {});
    let names: Vec<_> = read.as_object().unwrap().keys().collect();
    assert_eq!(names, ["level", "target", "ts"]);
    let read = json_of(|fields| fields.text(MESSAGE, "alone"));
    assert_eq!(read["msg"], "alone");
    assert!(read.get("fields").is_none());
}

#[test]
fn a_value_whose_formatting_panics_is_marked_and_those_after_it_are_there() {
    struct Panics;
    impl fmt::Display for Panics {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("so \"far\"")?;
            std::panic::resume_unwind(Box::new(()))
        }
    }
    let fields = fields_of(|fields| {
        fields.display(Key::Name("broken"), &Panics);
        fields.u64(Key::Name("next"), 1);
    });
    let expected = json!({"broken": "so \"far\"<its formatting failed>", "next": 1});
    assert_eq!(fields, expected);
}

static OUTER_SPAN: Place = Place {
    level: Level::Info,
    name: "request",
    fields: &["id", "tenant"],
};
static INNER_SPAN: Place = Place {
    level: Level::Info,
    name: "step",
    fields: &["id"],
};

#[test]
fn the_innermost_span_s_field_stands_and_a_late_one_only_from_then_on() {
    let mut stage = Stage::json();
    let outer = stage.capture.span(site(&OUTER_SPAN), None, |fields| {
        fields.text(Key::Index(0), "a1");
    });
    let inner = stage
        .capture
        .span(site(&INNER_SPAN), outer.as_ref(), |fields| {
            fields.text(Key::Index(0), "b2");
        });
    for _ in 0..3 {
        log(&stage, None, inner.as_ref(), |_| {});
    }
    stage
        .capture
        .record_later(outer.as_ref().unwrap(), |fields| {
            fields.text(Key::Index(1), "acme");
        });
    for span in [&inner, &outer] {
        log(&stage, None, span.as_ref(), |_| {});
    }
    let bodies = stage.events();
    let spans: Vec<_> = bodies
        .iter()
        .map(|event| parsed(std::str::from_utf8(event.body()).unwrap()))
        .map(|read| (read["span"].clone(), read["spans"].clone()))
        .collect();
    let names = json!(["request", "step"]);
    let before = (json!({"id": "b2"}), names.clone());
    let after = (json!({"id": "b2", "tenant": "acme"}), names);
    let in_outer = (json!({"id": "a1", "tenant": "acme"}), json!(["request"]));
    assert_eq!(
        spans,
        [before.clone(), before.clone(), before, after, in_outer]
    );
}

#[test]
fn a_record_brings_fields_of_its_context_without_a_span() {
    let read = json_of(|fields| {
        fields.u64(Key::Name("own"), 1);
        fields.begin_context();
        fields.text(Key::Name("own"), "of the logger");
    });
    assert_eq!(read["fields"], json!({"own": 1}));
    assert_eq!(read["span"], json!({"own": "of the logger"}));
    let with_context = |write: &dyn Fn(&mut FieldWriter<'_>)| {
        let body = body(Json::new(), Some(&MIXED), |fields| {
            fields.u64(Key::Index(0), 1);
            fields.begin_context();
            write(fields);
        });
        let mut read = parsed(&body);
        assert_eq!(read["fields"], json!({"a": 1}));
        read["span"].take()
    };
    let plain = with_context(&|fields| fields.u64(Key::Index(2), 2));
    assert_eq!(plain, json!({"b": 2}));
    let twice = with_context(&|fields| {
        fields.u64(Key::Index(0), 2);
        fields.u64(Key::Index(0), 3);
    });
    assert_eq!(twice, json!({"a": 3}));
    let error = with_context(&|fields| fields.error(Key::Index(3), &outer()));
    let expected = json!({
        "c": "cannot read \"x\"",
        "c.chain": ["invalid digit found in string"],
    });
    assert_eq!(error, expected);
}

#[test]
fn members_are_renamed_added_and_laid_flat() {
    let layout = Json::new()
        .rename(Member::Time, "@timestamp")
        .rename(Member::Message, "message")
        .static_field("env", "prod \"1\"")
        .location()
        .flatten();
    let mut stage = Stage::new(layout);
    let span = stage.capture.span(site(&OUTER_SPAN), None, |fields| {
        fields.text(Key::Index(0), "a1");
        fields.text(Key::Index(1), "acme");
        fields.text(Key::Name("env"), "mine");
    });
    log(&stage, None, span.as_ref(), |fields| {
        fields.text(MESSAGE, "hello");
        fields.u64(Key::Name("id"), 7);
        fields.u64(Key::Name("ts"), 8);
        fields.u64(Key::Name("@timestamp"), 9);
    });
    let expected = json!({
        "@timestamp": "2026-11-27T17:04:05.123456789Z",
        "level": "INFO",
        "target": "orders",
        "file": "src/orders.rs",
        "line": 17,
        "env": "prod \"1\"",
        "message": "hello",
        "id": 7,
        "ts": 8,
        "f.@timestamp": 9,
        "s.env": "mine",
        "tenant": "acme",
        "spans": ["request"],
    });
    assert_eq!(parsed(&stage.body()), expected);
}

#[test]
fn two_members_of_one_name_are_refused() {
    let clashes = [
        Json::new().rename(Member::Time, "level"),
        Json::new().static_field("target", ""),
        Json::new().static_field("a", "").static_field("a", ""),
    ];
    for layout in clashes {
        assert!(layout.check().is_err(), "{layout:?}");
    }
    let swapped = Json::new()
        .rename(Member::Level, "target")
        .rename(Member::Target, "level");
    assert_eq!(swapped.check(), Ok(()));
}

#[test]
fn two_json_layouts_within_one_do_not_take_each_other_s_words() {
    #[derive(Debug)]
    struct Turns([Json; 2]);
    impl Layout for Turns {
        fn render(&mut self, record: &Record<'_>, out: &mut Vec<u8>) -> Result<(), LayoutError> {
            self.0.reverse();
            self.0[0].render(record, out)
        }
    }
    let renamed = Json::new()
        .rename(Member::Level, "severity")
        .rename(Member::Span, "context");
    let mut stage = Stage::new(Turns([Json::new(), renamed]));
    let span = stage.capture.span(site(&OUTER_SPAN), None, |fields| {
        fields.text(Key::Index(0), "a1");
    });
    for _ in 0..6 {
        log(&stage, None, span.as_ref(), |_| {});
    }
    for (number, event) in stage.events().into_iter().enumerate() {
        let read = parsed(std::str::from_utf8(event.body()).unwrap());
        let (level, span) = [("severity", "context"), ("level", "span")][number % 2];
        assert_eq!(
            (&read[level], &read[span]["id"]),
            (&json!("INFO"), &json!("a1"))
        );
        assert_eq!(read.as_object().unwrap().len(), 5);
    }
}

/// A text in which every kind of letter comes up.
fn some_text(seed: &mut fastrand::Rng) -> String {
    const SPECIAL: [char; 12] = [
        '"', '\\', '\n', '\r', '\u{1b}', '\0', '\u{7f}', '\u{9b}', '\u{2028}', '\u{202e}', '=', ']',
    ];
    let letter = |seed: &mut fastrand::Rng| match seed.u32(..4) {
        0 => SPECIAL[seed.usize(..SPECIAL.len())],
        1 => seed.char(..),
        _ => seed.alphanumeric(),
    };
    (0..seed.usize(..24)).map(|_| letter(seed)).collect()
}

/// Writes fields of any kind, and says what they read as. Their names are few, so that some come
/// twice.
fn some_fields(seed: &mut fastrand::Rng, fields: &mut FieldWriter<'_>) -> Map<String, Value> {
    let mut expected = Map::new();
    for _ in 0..seed.usize(..8) {
        let name = ["a", "b\n\"", "ts", "ü", "msg"][seed.usize(..5)];
        let key = Key::Name(name);
        let value = match seed.u32(..7) {
            0 => {
                fields.null(key);
                Value::Null
            }
            1 => {
                let value = seed.i64(..) >> seed.u32(..64);
                fields.i64(key, value);
                value.into()
            }
            2 => {
                let value = f64::from_bits(seed.u64(..));
                fields.f64(key, value);
                value.into()
            }
            3 => {
                let text = some_text(seed);
                let value = json!({ "x": [text, 1.5, null] });
                fields.json(key, &serde_json::to_string_pretty(&value).unwrap());
                value
            }
            4 => {
                let value = seed.bool();
                fields.bool(key, value);
                value.into()
            }
            _ => {
                let text = some_text(seed);
                fields.text(key, &text);
                text.into()
            }
        };
        expected.insert(name.into(), value);
    }
    expected
}

#[test]
fn any_fields_come_back_from_json_as_they_were_logged() {
    let mut seed = fastrand::Rng::with_seed(7);
    let mut stage = Stage::json();
    for _ in 0..5_000 {
        let (mut own, mut of_span) = (Map::new(), Map::new());
        let message = some_text(&mut seed);
        let span = stage.capture.span(bare(Level::Debug), None, |fields| {
            of_span = some_fields(&mut seed, fields);
        });
        // Few places, so that their records have other fields than their first one had.
        let mut recorder = stage.capture.begin(Level::Info).unwrap();
        recorder.inline_site(&InlineSite {
            target: "orders",
            line: Some(seed.u32(1..500)),
            ..InlineSite::default()
        });
        let mut fields = recorder.fields();
        fields.text(MESSAGE, &message);
        own.extend(some_fields(&mut seed, &mut fields));
        recorder.finish_inline(span.as_ref());
        let read = parsed(&stage.body());
        assert_eq!(read["msg"], message.as_str());
        for (member, expected) in [("fields", own), ("span", of_span)] {
            let there = read.get(member).cloned().unwrap_or_else(|| json!({}));
            assert_eq!(there, Value::from(expected));
        }
    }
}

static MIXED: Place = Place {
    level: Level::Info,
    name: "mixed",
    fields: &["a", "message", "b", "c"],
};

#[test]
fn fields_of_a_call_site_come_in_any_order_and_number() {
    let mut seed = fastrand::Rng::with_seed(7);
    let mut stage = Stage::json();
    for _ in 0..5_000 {
        let mut expected = [Map::new(), Map::new()];
        let mut write = |fields: &mut FieldWriter<'_>, expected: &mut Map<String, Value>| {
            for number in 0..seed.u64(..5) {
                let index = [0, 2, 3][seed.usize(..3)];
                if seed.u32(..4) == 0 {
                    fields.text(Key::Name("b"), "named");
                    expected.insert("b".into(), "named".into());
                } else {
                    fields.u64(Key::Index(index), number);
                    expected.insert(MIXED.fields[index].into(), number.into());
                }
            }
        };
        let [own, of_span] = &mut expected;
        let span = stage
            .capture
            .span(site(&MIXED), None, |fields| write(fields, of_span));
        log(&stage, Some(&MIXED), span.as_ref(), |fields| {
            write(fields, own);
            fields.text(Key::Index(1), "hello");
        });
        let read = parsed(&stage.body());
        assert_eq!(read["msg"], "hello");
        for (member, expected) in ["fields", "span"].into_iter().zip(expected) {
            let there = read.get(member).cloned().unwrap_or_else(|| json!({}));
            assert_eq!(there, Value::from(expected));
        }
    }
}

#[test]
fn a_field_of_a_span_may_be_called_message() {
    let mut stage = Stage::json();
    let span = stage.capture.span(site(&MIXED), None, |fields| {
        fields.text(Key::Index(1), "of the span");
        fields.u64(Key::Index(0), 1);
    });
    for _ in 0..3 {
        log(&stage, None, span.as_ref(), |fields| {
            fields.text(MESSAGE, "own");
        });
    }
    for event in stage.events() {
        let read = parsed(std::str::from_utf8(event.body()).unwrap());
        assert_eq!(read["msg"], "own");
        assert_eq!(read["span"], json!({"message": "of the span", "a": 1}));
    }
}

#[test]
fn the_text_of_a_span_is_kept_from_its_second_record_on_if_it_is_small() {
    let kept = |bytes: usize, records: usize| {
        let mut stage = Stage::json();
        let span = stage.capture.span(site(&OUTER_SPAN), None, |fields| {
            fields.text(Key::Index(0), &"x".repeat(bytes));
        });
        for _ in 0..records {
            log(&stage, None, span.as_ref(), |_| {});
        }
        assert_eq!(stage.events().len(), records);
        span.unwrap().rendered.get().is_some()
    };
    assert!(!kept(100, 1) && kept(100, 2) && !kept(5_000, 3));
}

#[test]
fn no_layout_lets_a_line_break_or_a_control_character_pass() {
    let mut seed = fastrand::Rng::with_seed(7);
    let layouts: [Box<dyn Fn() -> Stage>; 5] = [
        Box::new(|| Stage::new(Json::new())),
        Box::new(|| Stage::new(Json::new().flatten())),
        Box::new(|| Stage::new(Logfmt::new())),
        Box::new(|| Stage::new(Rfc5424::new("web 1\n", "", 7))),
        Box::new(|| Stage::new(Raw::new())),
    ];
    for stage in layouts {
        let mut stage = stage();
        for _ in 0..2_000 {
            let span = stage.capture.span(bare(Level::Info), None, |fields| {
                let _ = some_fields(&mut seed, fields);
            });
            log(&stage, None, span.as_ref(), |fields| {
                fields.text(MESSAGE, &some_text(&mut seed));
                let _ = some_fields(&mut seed, fields);
            });
            let body = stage.body();
            assert!(!body.contains(char::is_control), "{body:?}");
        }
    }
}
