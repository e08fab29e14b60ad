//! Bodies, read back by apache-avro.

use super::*;
use crate::capture::{FieldWriter, Key};
use crate::level::Level;
use crate::prepared::headers::{HeaderProfile, HeaderSettings};
use crate::render::stage::{MESSAGE, Stage, UNIX_NS, bare};
use apache_avro::reader::datum::GenericDatumReader;

fn schema(fields: &str) -> String {
    format!(r#"{{"type": "record", "name": "shop.Line", "fields": [{fields}]}}"#)
}

fn of_field(kind: &str) -> String {
    schema(&format!(r#"{{"name": "x", "type": {kind}}}"#))
}

fn log(stage: &Stage, write: impl FnOnce(&mut FieldWriter<'_>)) {
    let span = stage.capture.span(bare(Level::Info), None, |fields| {
        fields.text(Key::Name("tenant"), "outer");
        fields.u64(Key::Name("depth"), 1);
    });
    let span = stage
        .capture
        .span(bare(Level::Info), span.as_ref(), |fields| {
            fields.text(Key::Name("tenant"), "inner");
        });
    let mut recorder = stage.capture.begin(Level::Warn).unwrap();
    write(&mut recorder.fields());
    recorder.finish(bare(Level::Warn), span.as_ref());
}

/// The record as apache-avro reads it back; none if it was not written.
fn read(schema: &str, write: impl FnOnce(&mut FieldWriter<'_>)) -> Option<Vec<(String, Avro)>> {
    let mut stage = Stage::new(AvroBody::new(schema).unwrap());
    log(&stage, write);
    let events = stage.events();
    let Some(event) = events.first() else {
        assert_eq!(stage.outcomes.unwritten.of(Level::Warn), 1);
        return None;
    };
    let schema = Schema::parse_str(schema).unwrap();
    let reader = GenericDatumReader::builder(&schema).build().unwrap();
    let mut body = event.body();
    let Avro::Record(fields) = reader.read_value(&mut body).unwrap() else {
        panic!("no record");
    };
    assert!(body.is_empty());
    Some(fields)
}

#[track_caller]
fn check(
    kind: &str,
    write: impl FnOnce(&mut FieldWriter<'_>, Key<'_>),
    expected: impl Into<Option<Avro>>,
) {
    let read = read(&of_field(kind), |fields| write(fields, Key::Name("x")));
    let read = read.map(|mut fields| fields.remove(0).1);
    assert_eq!(read, expected.into());
}

fn null(fields: &mut FieldWriter<'_>, key: Key<'_>) {
    fields.null(key);
}

#[test]
fn what_the_appender_knows_goes_to_the_fields_that_are_called_so() {
    let schema = schema(
        r#"{"name": "ts", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "timestamp", "type": "long"},
        {"name": "level", "type": {"type": "enum", "name": "L", "symbols": ["INFO", "WARN"]}},
        {"name": "target", "type": "string"},
        {"name": "line", "type": ["null", "int"]},
        {"name": "message", "type": "string"},
        {"name": "order", "type": "long"},
        {"name": "tenant", "type": "string"},
        {"name": "spans", "type": {"type": "array", "items": "string"}},
        {"name": "fields", "type": {"type": "map", "values": "string"}},
        {"name": "span", "type": {"type": "map", "values": ["string", "long"]}}"#,
    );
    let read = read(&schema, |fields| {
        fields.text(MESSAGE, "placed");
        fields.u64(Key::Name("order"), 17);
        fields.f64(Key::Name("price"), 1.5);
        fields.null(Key::Name("nothing"));
        fields.text(Key::Name("token"), "hunter2");
    });
    let text = |text: &str| Avro::String(text.into());
    let union = |at, value| Avro::Union(at, Box::new(value));
    let fields = [("price", text("1.5")), ("token", text("[redacted]"))];
    let expected = [
        ("ts", Avro::TimestampMicros(UNIX_NS as i64 / 1000)),
        ("timestamp", Avro::Long(UNIX_NS as i64 / 1_000_000)),
        ("level", Avro::Enum(1, "WARN".into())),
        ("target", text("orders")),
        ("line", union(1, Avro::Int(17))),
        ("message", text("placed")),
        ("order", Avro::Long(17)),
        ("tenant", text("inner")),
        ("spans", Avro::Array(Vec::new())),
        (
            "fields",
            Avro::Map(fields.map(|(name, value)| (name.into(), value)).into()),
        ),
        (
            "span",
            Avro::Map([("depth".into(), union(1, Avro::Long(1)))].into()),
        ),
    ];
    assert_eq!(
        read.unwrap(),
        expected.map(|(name, value)| (name.to_owned(), value))
    );
}

#[test]
fn a_value_fits_a_plain_kind_if_nothing_of_it_is_lost() {
    let text = |text: &str| Some(Avro::String(text.into()));
    check(
        "\"int\"",
        |fields, x| fields.i64(x, -7),
        Some(Avro::Int(-7)),
    );
    check("\"int\"", |fields, x| fields.i64(x, 1 << 31), None);
    check("\"long\"", |fields, x| fields.u64(x, u64::MAX), None);
    check(
        "\"long\"",
        |fields, x| fields.u128(x, 7),
        Some(Avro::Long(7)),
    );
    check("\"long\"", |fields, x| fields.text(x, "7"), None);
    check(
        "\"double\"",
        |fields, x| fields.f64(x, 0.1),
        Some(Avro::Double(0.1)),
    );
    check(
        "\"double\"",
        |fields, x| fields.u64(x, 1 << 53),
        Some(Avro::Double(2_f64.powi(53))),
    );
    check("\"double\"", |fields, x| fields.u64(x, (1 << 53) + 1), None);
    check(
        "\"float\"",
        |fields, x| fields.f64(x, 0.5),
        Some(Avro::Float(0.5)),
    );
    check(
        "\"boolean\"",
        |fields, x| fields.bool(x, true),
        Some(Avro::Boolean(true)),
    );
    check("\"boolean\"", |fields, x| fields.u64(x, 1), None);
    check(
        "\"string\"",
        |fields, x| fields.u128(x, u128::MAX),
        text(&u128::MAX.to_string()),
    );
    check("\"string\"", null, None);
    check(
        "\"bytes\"",
        |fields, x| fields.bytes(x, &[0, 255]),
        Some(Avro::Bytes(vec![0, 255])),
    );
}

#[test]
fn a_value_fits_a_kind_of_the_user_s_own_if_that_has_it() {
    let fixed = r#"{"type": "fixed", "name": "F", "size": 2}"#;
    check(
        fixed,
        |fields, x| fields.bytes(x, &[0, 255]),
        Some(Avro::Fixed(2, vec![0, 255])),
    );
    check(fixed, |fields, x| fields.bytes(x, &[0]), None);
    let colour = r#"{"type": "enum", "name": "C", "symbols": ["RED", "BLUE"]}"#;
    check(
        colour,
        |fields, x| fields.text(x, "BLUE"),
        Some(Avro::Enum(1, "BLUE".into())),
    );
    check(colour, |fields, x| fields.text(x, "GREEN"), None);
    let list = r#"{"type": "array", "items": "long"}"#;
    let longs = Avro::Array(vec![Avro::Long(1), Avro::Long(2)]);
    check(list, |fields, x| fields.json(x, "[1, 2]"), Some(longs));
    check(list, |fields, x| fields.json(x, "[1, \"2\"]"), None);
    let millis = r#"{"type": "long", "logicalType": "timestamp-millis"}"#;
    check(
        millis,
        |fields, x| fields.u64(x, 17),
        Some(Avro::TimestampMillis(17)),
    );
}

#[test]
fn of_a_union_the_branch_of_the_value_s_own_kind_is_taken() {
    let union = |at, value| Some(Avro::Union(at, Box::new(value)));
    let kinds = r#"["null", "string", "double", "long", "boolean"]"#;
    check(kinds, null, union(0, Avro::Null));
    check(
        kinds,
        |fields, x| fields.text(x, "7"),
        union(1, Avro::String("7".into())),
    );
    check(
        kinds,
        |fields, x| fields.f64(x, 7.0),
        union(2, Avro::Double(7.0)),
    );
    check(kinds, |fields, x| fields.i64(x, 7), union(3, Avro::Long(7)));
    check(
        kinds,
        |fields, x| fields.bool(x, true),
        union(4, Avro::Boolean(true)),
    );
    let long = u64::MAX.to_string();
    check(
        kinds,
        |fields, x| fields.u64(x, u64::MAX),
        union(1, Avro::String(long)),
    );
    check(r#"["null", "long"]"#, |fields, x| fields.text(x, "7"), None);
}

#[test]
fn what_is_absent_gets_its_default_or_null_or_is_a_misfit() {
    let schema = schema(
        r#"{"name": "a", "type": "long", "default": 7},
        {"name": "b", "type": ["null", "string"]},
        {"name": "c", "type": ["string", "null"], "default": "none"}"#,
    );
    let expected = [
        ("a", Avro::Long(7)),
        ("b", Avro::Union(0, Box::new(Avro::Null))),
        ("c", Avro::Union(0, Box::new(Avro::String("none".into())))),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value));
    assert_eq!(read(&schema, |_| {}).unwrap(), expected);
    check("\"string\"", |_, _| {}, None);
}

#[test]
fn what_does_not_fit_is_told_by_the_field_s_name_and_without_its_value() {
    let mut stage = Stage::new(AvroBody::new(&of_field("\"long\"")).unwrap());
    log(&stage, |fields| fields.text(Key::Name("x"), "hunter2"));
    assert!(stage.events().is_empty());
    let told = stage.writer.take_fault().unwrap();
    assert_eq!(
        told,
        "the field \"x\" is a text, which does not fit its Avro schema"
    );
    let mut stage = Stage::new(AvroBody::new(&of_field("\"long\"")).unwrap());
    log(&stage, |_| {});
    assert!(stage.events().is_empty());
    let told = stage.writer.take_fault().unwrap();
    assert_eq!(
        told,
        "the field \"x\" is absent, which does not fit its Avro schema"
    );
}

#[test]
fn a_body_that_is_too_large_has_its_values_cut_and_is_no_half_datum() {
    let long = "x".repeat(250_000);
    let parts = (0..6).map(|n| format!(r#"{{"name": "x{n}", "type": "string"}}"#));
    let schema = schema(&parts.collect::<Vec<_>>().join(","));
    let fields = (0..6).map(|n| format!("x{n}")).collect::<Vec<_>>();
    let mut stage = Stage::new(AvroBody::new(&schema).unwrap());
    let mut span = None;
    for name in &fields {
        span = stage
            .capture
            .span(bare(Level::Info), span.as_ref(), |fields| {
                fields.text(Key::Name(name), &long);
            });
    }
    let recorder = stage.capture.begin(Level::Warn).unwrap();
    recorder.finish(bare(Level::Warn), span.as_ref());
    let event = stage.event();
    let schema = Schema::parse_str(&schema).unwrap();
    let reader = GenericDatumReader::builder(&schema).build().unwrap();
    let mut body = event.body();
    let Avro::Record(read) = reader.read_value(&mut body).unwrap() else {
        panic!("no record");
    };
    let cut = Avro::String("x".repeat(64 * 1024));
    assert!(body.is_empty() && read.iter().all(|(_, value)| *value == cut));
    // The length of a text of 64 KiB takes three bytes, as that of one of 250,000.
    let told = (6 * (250_000 - 64 * 1024)).to_string();
    assert_eq!(event.header_value("flume.truncated"), Some(told.as_str()));
}

#[test]
fn a_schema_that_no_record_fits_is_refused_at_once() {
    let bad_default = schema(r#"{"name": "a", "type": "long", "default": "x"}"#);
    for text in [
        "",
        "\"long\"",
        r#"{"type": "map", "values": "long"}"#,
        &bad_default,
    ] {
        assert!(AvroBody::new(text).is_err(), "{text}");
    }
}

#[test]
fn the_headers_say_where_the_schema_is_and_not_that_the_body_is_text() {
    let text = of_field("[\"null\", \"long\"]");
    let hash = BodySchema::parse(&text).unwrap().header().1.to_owned();
    let layout = || AvroBody::new(&text).unwrap();
    let cases = [
        (layout(), "flume.avro.schema.hash", hash.as_str()),
        (
            layout().url("hdfs://x").unwrap(),
            "flume.avro.schema.url",
            "hdfs://x",
        ),
        (
            layout().literal().unwrap(),
            "flume.avro.schema.literal",
            text.as_str(),
        ),
    ];
    for (layout, key, value) in cases {
        let settings = HeaderSettings {
            profile: HeaderProfile::LOG4J1,
            ..HeaderSettings::default()
        };
        let mut stage = Stage::with(layout, &settings, None);
        log(&stage, |_| {});
        let event = stage.event();
        let of_schema = event
            .headers()
            .filter(|(key, _)| key.starts_with("flume.avro"));
        assert_eq!(of_schema.collect::<Vec<_>>(), [(key, value)]);
        assert_eq!(
            event.header_value("flume.client.log4j.message.encoding"),
            None
        );
    }
}
