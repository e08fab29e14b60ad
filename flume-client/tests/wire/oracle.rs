//! The codec against the `apache-avro` crate, whose schema is cut out of our protocol's text.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use flume_client::Event;
use flume_client::wire::avro::datum::{self, EventRef, Reader};
use flume_client::wire::avro::handshake::PROTOCOL_TEXT;
use flume_client::wire::avro::rpc;
use proptest::prelude::*;
use serde::{Serialize, Serializer};

use crate::messages::{Kind, Message, OwnedCall, OwnedEvent, hex};

const EVENT_SCHEMA_START: &str = r#"{"type":"record","name":"AvroFlumeEvent""#;

static EVENT_SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::parse_str(event_schema_text()).unwrap());

static BATCH_SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let text = format!(r#"{{"type":"array","items":{}}}"#, event_schema_text());
    Schema::parse_str(&text).unwrap()
});

static LONG_SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::parse_str(r#""long""#).unwrap());

fn event_schema_text() -> &'static str {
    let start = PROTOCOL_TEXT.find(EVENT_SCHEMA_START).unwrap();
    let end = PROTOCOL_TEXT.find(r#"],"messages""#).unwrap();
    &PROTOCOL_TEXT[start..end]
}

/// The record as serde sees it; the headers keep their order.
#[derive(Serialize)]
#[serde(rename = "AvroFlumeEvent")]
struct Record<'a> {
    #[serde(serialize_with = "as_map")]
    headers: &'a [(String, String)],
    #[serde(serialize_with = "as_bytes")]
    body: &'a [u8],
}

impl<'a> From<&'a OwnedEvent> for Record<'a> {
    fn from(event: &'a OwnedEvent) -> Self {
        Self {
            headers: &event.headers,
            body: &event.body,
        }
    }
}

fn as_map<S: Serializer>(pairs: &&[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(key, value)| (key, value)))
}

fn as_bytes<S: Serializer>(bytes: &&[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// What `apache-avro` writes: with a block size, maps and arrays come in several blocks that tell
/// their size in bytes.
fn oracle_bytes<T: Serialize>(schema: &Schema, value: &T, block_bytes: Option<usize>) -> Vec<u8> {
    let writer = GenericDatumWriter::builder(schema)
        .maybe_target_block_size(block_bytes)
        .human_readable(false)
        .build()
        .unwrap();
    writer.write_ser_to_vec(value).unwrap()
}

fn oracle_value(schema: &Schema, mut bytes: &[u8]) -> Value {
    let reader = GenericDatumReader::builder(schema).build().unwrap();
    let value = reader.read_value(&mut bytes).unwrap();
    assert!(bytes.is_empty(), "apache-avro leaves {} bytes", bytes.len());
    value
}

/// Sizes around the steps of the varint, and everything small.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![
        4 => 0_usize..20,
        2 => prop::sample::select(&[63_usize, 64, 65, 127, 128, 255, 256][..]),
        1 => prop::sample::select(&[8191_usize, 8192, 8193][..]),
    ]
}

fn text() -> impl Strategy<Value = String> {
    let random = prop::collection::vec(any::<char>(), 0..8).prop_map(String::from_iter);
    let sized = (size(), "[a-z]").prop_map(|(size, letter)| letter.repeat(size));
    prop_oneof![random, sized]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let long = (1_048_575_usize..1_048_578, any::<u8>()).prop_map(|(size, byte)| vec![byte; size]);
    prop_oneof![
        9 => (size(), any::<u8>()).prop_map(|(size, byte)| vec![byte; size]),
        9 => prop::collection::vec(any::<u8>(), 0..100),
        1 => long,
    ]
}

/// Events whose keys differ, in any order. The client's own type keeps 64 headers at the most.
fn event() -> impl Strategy<Value = OwnedEvent> {
    let count = prop_oneof![9 => 0_usize..6, 1 => 62_usize..=64];
    let headers = count.prop_flat_map(|count| prop::collection::vec((text(), text()), count));
    (headers, body()).prop_map(|(headers, body)| OwnedEvent {
        headers: last_value_wins(&headers),
        body,
    })
}

/// A header whose key has likely been set before.
fn setting() -> impl Strategy<Value = (String, String)> {
    let key = prop::sample::select(&["a", "b", "", "key"][..]).prop_map(String::from);
    (key, text())
}

fn last_value_wins(settings: &[(String, String)]) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (key, value) in settings {
        match pairs.iter_mut().find(|(known, _)| known == key) {
            Some((_, held)) => held.clone_from(value),
            None => pairs.push((key.clone(), value.clone())),
        }
    }
    pairs
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn check_written(event: &OwnedEvent) {
    let expected = oracle_bytes(&EVENT_SCHEMA, &Record::from(event), None);
    let mut written = Vec::new();
    event.put(&mut written);
    assert!(written == expected, "put_event differs from apache-avro");
    assert!(
        event.to_event().as_datum() == expected,
        "Event differs from apache-avro"
    );
    assert_eq!(datum::event_len(event.pairs(), &event.body), expected.len());
}

fn check_read(datum: &[u8], event: &OwnedEvent) {
    let read = EventRef::parse(datum).unwrap();
    assert!(
        &OwnedEvent::of(read) == event,
        "EventRef differs from apache-avro"
    );
    assert!(read.datum() == datum, "not the whole datum");
}

fn check_call(array: &[u8], events: &[OwnedEvent]) {
    let call = [&hex("00 16 617070656e644261746368"), array].concat();
    let read = Message::read(Kind::LaterCall, &call).unwrap();
    let expected = Message::LaterCall(OwnedCall::AppendBatch(events.to_vec()));
    assert!(read == expected, "the batch differs from apache-avro's");
}

fn check_batch_written(events: &[OwnedEvent]) {
    let records: Vec<_> = events.iter().map(Record::from).collect();
    let array = oracle_bytes(&BATCH_SCHEMA, &records, None);
    let stored: Vec<_> = events.iter().map(OwnedEvent::to_event).collect();
    let mut call = Vec::new();
    rpc::put_append_batch_start(&mut call, stored.len());
    assert!(call.len() <= rpc::APPEND_BATCH_START_BYTES_MAX);
    for event in &stored {
        call.extend(event.as_datum());
    }
    call.extend(rpc::APPEND_BATCH_END);
    assert!(call == [hex("00 16 617070656e644261746368"), array].concat());
    let event_bytes = stored.iter().map(|event| event.as_datum().len()).sum();
    assert_eq!(rpc::append_batch_len(stored.len(), event_bytes), call.len());
}

fn check_settings(settings: &[(String, String)], body: Vec<u8>) {
    let mut event = Event::new(&body);
    for (at, (key, value)) in settings.iter().enumerate() {
        event.set_header(key, value);
        let model = last_value_wins(&settings[..=at]);
        let pairs = model
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()));
        assert!(event.headers().eq(pairs), "headers differ from the model");
        assert!(event.body() == body, "the body changed");
        assert_eq!(event.header_value(key), Some(value.as_str()));
    }
    let model = OwnedEvent {
        headers: last_value_wins(settings),
        body,
    };
    let expected = oracle_bytes(&EVENT_SCHEMA, &Record::from(&model), None);
    assert!(
        event.as_datum() == expected,
        "the datum differs from apache-avro's"
    );
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn an_event_is_written_as_apache_avro_writes_it(event in event()) {
        check_written(&event);
    }

    #[test]
    fn apache_avro_reads_what_an_event_holds(event in event()) {
        let value = oracle_value(&EVENT_SCHEMA, event.to_event().as_datum());
        let text = |(key, value): &(String, String)| (key.clone(), Value::String(value.clone()));
        let expected = Value::Record(vec![
            ("headers".into(), Value::Map(event.headers.iter().map(text).collect())),
            ("body".into(), Value::Bytes(event.body.clone())),
        ]);
        prop_assert!(value == expected);
    }

    #[test]
    fn an_event_of_apache_avro_is_read_in_one_block_or_in_many(
        event in event(),
        block_bytes in prop::option::of(1_usize..200),
    ) {
        let datum = oracle_bytes(&EVENT_SCHEMA, &Record::from(&event), block_bytes);
        check_read(&datum, &event);
    }

    #[test]
    fn a_batch_of_apache_avro_is_read_in_one_block_or_in_many(
        events in prop::collection::vec(event(), 0..8),
        block_bytes in prop::option::of(1_usize..2000),
    ) {
        let records: Vec<_> = events.iter().map(Record::from).collect();
        check_call(&oracle_bytes(&BATCH_SCHEMA, &records, block_bytes), &events);
    }

    #[test]
    fn a_batch_is_its_count_its_stored_events_and_a_zero(
        events in prop::collection::vec(event(), 0..8),
    ) {
        check_batch_written(&events);
    }

    #[test]
    fn headers_set_in_any_order_are_a_list_in_which_the_last_value_wins(
        settings in prop::collection::vec(setting(), 0..12),
        body in body(),
    ) {
        check_settings(&settings, body);
    }
}

fn check_long(value: i64) {
    let mut written = Vec::new();
    datum::put_long(&mut written, value);
    assert_eq!(written, oracle_bytes(&LONG_SCHEMA, &value, None), "{value}");
    assert_eq!(datum::long_len(value), written.len(), "{value}");
    let mut reader = Reader::new(&written);
    assert_eq!((reader.long("a number"), reader.end()), (Ok(value), Ok(())));
}

#[test]
fn a_number_at_a_step_of_its_length_is_written_as_apache_avro_writes_it() {
    for power in 0..63 {
        let step = 1_i64 << power;
        for value in [step - 1, step, step + 1] {
            check_long(value);
            check_long(-value);
        }
    }
    check_long(i64::MAX);
    check_long(i64::MIN);
}

proptest! {
    #![proptest_config(config(2000))]

    #[test]
    fn any_number_is_written_as_apache_avro_writes_it(value in any::<i64>(), shift in 0..64) {
        check_long(value >> shift);
    }
}

#[test]
fn the_length_of_bytes_is_that_of_the_bytes_and_their_length() {
    for length in [0, 1, 63, 64, 8191, 8192, 1_048_575, 1_048_576] {
        let mut written = Vec::new();
        datum::put_bytes(&mut written, &vec![7; length]);
        assert_eq!(datum::bytes_len(length), written.len());
        let mut reader = Reader::new(&written);
        assert_eq!(
            reader.bytes("bytes", length),
            Ok(vec![7; length].as_slice())
        );
    }
}

#[test]
fn headers_may_come_in_blocks_with_and_without_their_size() {
    let pairs = [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")];
    let event = OwnedEvent::new(&pairs, b"hi");
    let blocks = [
        "08 0261 0231 0262 0232 0263 0233 0264 0234 00",
        "02 0261 0231 06 0262 0232 0263 0233 0264 0234 00",
        "07 20 0261 0231 0262 0232 0263 0233 0264 0234 00",
        "01 08 0261 0231 04 0262 0232 0263 0233 01 08 0264 0234 00",
    ];
    for block in blocks {
        check_read(&hex(&format!("{block} 046869")), &event);
    }
}

#[test]
fn events_may_come_in_blocks_with_and_without_their_size() {
    let event = OwnedEvent::new(&[("k", "v")], b"hi");
    let datum = "02026b027600 046869";
    let blocks = [
        format!("06 {datum} {datum} {datum} 00"),
        format!("02 {datum} 04 {datum} {datum} 00"),
        format!("05 36 {datum} {datum} {datum} 00"),
        format!("01 12 {datum} 02 {datum} 01 12 {datum} 00"),
    ];
    for block in blocks {
        check_call(&hex(&block), &vec![event.clone(); 3]);
    }
}

#[test]
fn a_key_may_come_twice_and_the_last_value_counts() {
    let datum = hex("04 0261 0231 0261 0232 00 00");
    let pairs: BTreeMap<_, _> = EventRef::parse(&datum)
        .unwrap()
        .headers()
        .map(Result::unwrap)
        .collect();
    assert_eq!(pairs, BTreeMap::from([("a", "2")]));
    let Value::Record(fields) = oracle_value(&EVENT_SCHEMA, &datum) else {
        panic!("not a record");
    };
    let headers = Value::Map([("a".to_owned(), Value::String("2".into()))].into());
    assert_eq!(fields[0].1, headers);
}
