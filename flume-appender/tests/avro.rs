//! Bodies of Avro on their way through a client to an agent, read back by apache-avro.

use std::collections::BTreeMap;
use std::time::Duration;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use flume_appender::capture::{InlineSite, Key};
use flume_appender::{Appender, AvroBody, Level};
use flume_client::avro_body::{AppendAvroError, BodySchema};
use flume_mini_agent::MiniAgent;

const PATIENCE: Duration = Duration::from_secs(20);

const LINE: &str = r#"{"type": "record", "name": "Line", "fields": [
    {"name": "level", "type": "string"},
    {"name": "order", "type": "long"}]}"#;
const ORDERS: &str = r#"{"type": "map", "values": "long"}"#;

#[test]
fn records_and_values_of_one_s_own_arrive_as_datums_of_their_schemas() {
    let agent = MiniAgent::builder().start().unwrap();
    let layout = AvroBody::new(LINE).unwrap().url("http://schemas/line");
    let layout = layout.unwrap();
    let (appender, guard) = Appender::builder()
        .agent(agent.url())
        .layout(layout)
        .build()
        .unwrap();
    let capture = appender.capture();
    let log = |write: &dyn Fn(&mut flume_appender::capture::FieldWriter<'_>)| {
        if let Some(mut recorder) = capture.begin(Level::Info) {
            recorder.inline_site(&InlineSite::default());
            write(&mut recorder.fields());
            recorder.finish_inline(None);
        }
    };
    log(&|fields| fields.u64(Key::Name("order"), 17));
    log(&|fields| fields.text(Key::Name("order"), "seventeen"));
    guard.flush(PATIENCE).wait().unwrap();

    let schema = BodySchema::parse(ORDERS).unwrap().with_literal().unwrap();
    let value = BTreeMap::from([("tea", 2_i64)]);
    let receipt = appender.client().append_avro(&schema, &value).unwrap();
    receipt.wait(PATIENCE).unwrap();
    let refused = appender.client().append_avro(&schema, "tea").unwrap_err();
    assert!(matches!(refused, AppendAvroError::Value(_)), "{refused}");

    let events = agent.wait_for(2, PATIENCE).unwrap();
    let read = |schema: &str, body: &[u8]| {
        let schema = Schema::parse_str(schema).unwrap();
        let reader = GenericDatumReader::builder(&schema).build().unwrap();
        let mut rest = body;
        let value = reader.read_value(&mut rest).unwrap();
        assert!(rest.is_empty());
        value
    };
    let line = [
        ("level".into(), Value::String("INFO".into())),
        ("order".into(), Value::Long(17)),
    ];
    assert_eq!(read(LINE, events[0].body()), Value::Record(line.into()));
    let url = events[0].header_value("flume.avro.schema.url");
    assert_eq!(url, Some("http://schemas/line"));
    let orders = Value::Map([("tea".into(), Value::Long(2))].into());
    assert_eq!(read(ORDERS, events[1].body()), orders);
    let literal = events[1].header_value("flume.avro.schema.literal");
    assert_eq!((literal, events.len()), (Some(ORDERS), 2));
    assert_eq!(guard.stats().total().unwritten, 1);
}
