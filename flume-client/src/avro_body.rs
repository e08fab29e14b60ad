//! Bodies of Avro: one value of yours as one datum of your schema.
//!
//! | header | says | who reads it |
//! |---|---|---|
//! | `flume.avro.schema.hash` | the schema's fingerprint: CRC-64-AVRO of its canonical form, in hexadecimal, the least byte first, as Flume's `AvroEventDeserializer` writes it. The default | readers that know the schema |
//! | `flume.avro.schema.url` | where the schema lies | Flume's `AvroEventSerializer`, before the next one |
//! | `flume.avro.schema.literal` | the schema itself, in each event, which may be more than the body | Flume's `AvroEventSerializer` |
//!
//! ```
//! use flume_client::avro_body::BodySchema;
//! use flume_client::{Client, EventBatch};
//!
//! #[derive(serde::Serialize)]
//! struct Order {
//!     id: i64,
//!     item: String,
//! }
//!
//! let schema = BodySchema::parse(
//!     r#"{"type": "record", "name": "Order", "fields": [
//!         {"name": "id", "type": "long"}, {"name": "item", "type": "string"}]}"#,
//! )?
//! .with_url("hdfs://schemas/order.avsc")?;
//! let mut batch = EventBatch::new();
//! let order = Order { id: 17, item: "tea".into() };
//! batch.push_avro(&schema, &[], &order)?;
//! # fn example(client: &Client, schema: &BodySchema, order: &Order) -> Result<(), Box<dyn std::error::Error>> {
//! client.append_avro(schema, order)?;
//! # Ok(()) }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;

use apache_avro::rabin::Rabin;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Schema, types::Value};
use serde::Serialize;

use crate::client::Client;
use crate::debug::debug_is_the_message;
use crate::error::AppendError;
use crate::event::{Event, HEADER_VALUE_BYTES_MAX, HeaderFault};
use crate::event_batch::{EventBatch, HeaderBlock};
use crate::queue::Receipt;

const HASH: &str = "flume.avro.schema.hash";
const URL: &str = "flume.avro.schema.url";
const LITERAL: &str = "flume.avro.schema.literal";

/// A schema of bodies, and the header by which readers find it. Parse it once, and keep it.
pub struct BodySchema {
    schema: Schema,
    text: String,
    header: (&'static str, String),
}

/// A body cannot be written, or its schema not be used.
///
/// What apache-avro says of it is its [`source`](std::error::Error::source), and may hold the value.
#[derive(thiserror::Error)]
#[error("{kind}")]
pub struct AvroError {
    kind: AvroErrorKind,
    #[source]
    source: Option<Box<apache_avro::Error>>,
}

#[derive(Debug, thiserror::Error)]
enum AvroErrorKind {
    #[error("the Avro schema cannot be read: {0}")]
    Schema(String),
    #[error(
        "the Avro schema has {0} bytes, more than the {HEADER_VALUE_BYTES_MAX} that a header holds: \
         name its place by a URL"
    )]
    LongLiteral(usize),
    #[error("the URL of the Avro schema cannot be a header: {0}")]
    Url(HeaderFault),
    #[error("the value does not fit the Avro schema {0:?}")]
    Value(String),
}

debug_is_the_message!(AvroError, AppendAvroError, PushAvroError);

impl AvroError {
    /// Whether it is the value that does not fit, and not the schema that is at fault.
    #[must_use]
    pub fn is_value(&self) -> bool {
        matches!(self.kind, AvroErrorKind::Value(_))
    }
}

/// An event with an Avro body was not taken.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum AppendAvroError {
    /// The value does not fit the schema.
    #[error(transparent)]
    Value(#[from] AvroError),
    /// The client did not take the event, which is given back.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// An event with an Avro body was not added to a batch.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum PushAvroError {
    /// The value does not fit the schema.
    #[error(transparent)]
    Value(#[from] AvroError),
    /// Its headers are too many.
    #[error(transparent)]
    Headers(#[from] HeaderFault),
}

impl BodySchema {
    /// Reads a schema, as JSON. Events get its hash as a header.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn parse(json: &str) -> Result<Self, AvroError> {
        let schema = Schema::parse_str(json).map_err(|error| AvroError {
            kind: AvroErrorKind::Schema(error.to_string()),
            source: None,
        })?;
        let hash = schema.fingerprint::<Rabin>().to_string();
        Ok(Self {
            schema,
            text: json.trim().to_owned(),
            header: (HASH, hash),
        })
    }

    /// Events get this URL as a header instead.
    ///
    /// # Errors
    ///
    /// If it is longer than a header's value may be, 8 KiB, or holds a NUL character.
    pub fn with_url(mut self, url: impl Into<String>) -> Result<Self, AvroError> {
        let url = url.into();
        if let Some(fault) = HeaderFault::of(URL, &url, 1) {
            return Err(AvroError {
                kind: AvroErrorKind::Url(fault),
                source: None,
            });
        }
        self.header = (URL, url);
        Ok(self)
    }

    /// Each event gets the whole schema as a header instead, as it was given to
    /// [`parse`](Self::parse). Costs its length with each event.
    ///
    /// # Errors
    ///
    /// If it is longer than a header's value may be, 8 KiB.
    pub fn with_literal(mut self) -> Result<Self, AvroError> {
        let bytes = self.text.len();
        if bytes > HEADER_VALUE_BYTES_MAX {
            return Err(AvroError {
                kind: AvroErrorKind::LongLiteral(bytes),
                source: None,
            });
        }
        self.header = (LITERAL, self.text.clone());
        Ok(self)
    }

    /// The header by which readers find the schema: its key and its value.
    #[must_use]
    pub fn header(&self) -> (&str, &str) {
        (self.header.0, &self.header.1)
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Adds a value as one datum to `out`.
    ///
    /// # Errors
    ///
    /// If it does not fit; then nothing is added.
    pub fn put<T: Serialize + ?Sized>(
        &self,
        value: &T,
        out: &mut Vec<u8>,
    ) -> Result<(), AvroError> {
        let start = out.len();
        let writer = GenericDatumWriter::builder(&self.schema).build();
        let written = writer.and_then(|writer| writer.write_ser(out, &value));
        self.checked(written, start, out)
    }

    /// The same of a value that apache-avro knows.
    ///
    /// # Errors
    ///
    /// If it does not fit; then nothing is added.
    pub fn put_value(&self, value: &Value, out: &mut Vec<u8>) -> Result<(), AvroError> {
        let start = out.len();
        let writer = GenericDatumWriter::builder(&self.schema).build();
        let written = writer.and_then(|writer| writer.write_value_ref(out, value));
        self.checked(written, start, out)
    }

    fn checked(
        &self,
        written: Result<usize, apache_avro::Error>,
        start: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), AvroError> {
        let Err(error) = written else {
            return Ok(());
        };
        out.truncate(start);
        let name = self.schema().name();
        let name = name.map_or_else(String::new, |name| name.fullname(None));
        Err(AvroError {
            kind: AvroErrorKind::Value(name),
            source: Some(Box::new(error)),
        })
    }
}

impl fmt::Debug for BodySchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodySchema")
            .field("schema", self.schema())
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Takes an event whose body is this value in Avro, with the header by which readers find the
    /// schema. Beyond that as [`append`](Self::append).
    ///
    /// # Errors
    ///
    /// If the value does not fit the schema, or for the reasons of [`append`](Self::append).
    pub fn append_avro<T: Serialize + ?Sized>(
        &self,
        schema: &BodySchema,
        value: &T,
    ) -> Result<Receipt, AppendAvroError> {
        let mut body = Vec::new();
        schema.put(value, &mut body)?;
        let (key, text) = schema.header();
        Ok(self.append(Event::new(body).header(key, text))?)
    }
}

impl EventBatch {
    /// Adds an event whose body is this value in Avro, with these headers and the one by which
    /// readers find the schema.
    ///
    /// # Errors
    ///
    /// If the value does not fit the schema, or the headers are too many together; then it is not
    /// added.
    pub fn push_avro<T: Serialize + ?Sized>(
        &mut self,
        schema: &BodySchema,
        headers: &[&HeaderBlock],
        value: &T,
    ) -> Result<(), PushAvroError> {
        let mut body = Vec::new();
        schema.put(value, &mut body)?;
        let mut own = HeaderBlock::new();
        let (key, text) = schema.header();
        own.push(key, text)?;
        let all: Vec<_> = headers.iter().copied().chain([&own]).collect();
        Ok(self.push(&all, &body)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apache_avro::reader::datum::GenericDatumReader;

    #[derive(Serialize)]
    struct Order<'a> {
        id: i64,
        item: Option<&'a str>,
    }

    const SCHEMA: &str = r#"{"type": "record", "name": "shop.Order", "fields": [
        {"name": "id", "type": "long"},
        {"name": "item", "type": ["null", "string"], "default": null}
    ]}"#;

    fn read(schema: &BodySchema, body: &[u8]) -> Value {
        let reader = GenericDatumReader::builder(schema.schema())
            .build()
            .unwrap();
        let mut rest = body;
        let value = reader.read_value(&mut rest).unwrap();
        assert!(rest.is_empty());
        value
    }

    #[test]
    fn a_value_is_one_datum_that_apache_avro_reads_back() {
        let schema = BodySchema::parse(SCHEMA).unwrap();
        let mut batch = EventBatch::new();
        let mut headers = HeaderBlock::new();
        headers.push("host", "web-1").unwrap();
        let order = Order {
            id: 17,
            item: Some("tea"),
        };
        batch.push_avro(&schema, &[&headers], &order).unwrap();
        let event = Event::from_datum(batch.bytes.clone()).unwrap();
        let tea = Value::Union(1, Box::new(Value::String("tea".into())));
        let expected = [("id".into(), Value::Long(17)), ("item".into(), tea)];
        assert_eq!(read(&schema, event.body()), Value::Record(expected.into()));
        // By the specification: 34 is 17 in zigzag, 2 the second branch, 6 three bytes.
        assert_eq!(event.body(), b"\x22\x02\x06tea");
        assert_eq!(event.header_value("host"), Some("web-1"));
        assert_eq!(event.header_value(HASH), Some(schema.header().1));
        let mut body = Vec::new();
        schema
            .put_value(&read(&schema, event.body()), &mut body)
            .unwrap();
        assert_eq!(body, event.body());
    }

    #[test]
    fn a_value_that_does_not_fit_is_refused_and_nothing_is_added() {
        let schema = BodySchema::parse(SCHEMA).unwrap();
        let mut batch = EventBatch::new();
        let error = batch.push_avro(&schema, &[], &("no", "order")).unwrap_err();
        assert!(matches!(&error, PushAvroError::Value(error) if error.is_value()));
        assert!(error.to_string().contains("shop.Order"), "{error}");
        let mut out = b"kept".to_vec();
        assert!(schema.put_value(&Value::Long(1), &mut out).is_err());
        assert_eq!((batch.len(), out.as_slice()), (0, &b"kept"[..]));
    }

    #[test]
    fn the_header_says_where_the_schema_is_in_one_of_three_ways() {
        // The fingerprint that Avro's own test data has for it: 8247732601305521295.
        let schema = BodySchema::parse("\"int\"").unwrap();
        let digits = 8_247_732_601_305_521_295_i64.to_le_bytes();
        let digits: String = digits.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(schema.header(), (HASH, digits.as_str()));
        let schema = schema.with_literal().unwrap();
        assert_eq!(schema.header(), (LITERAL, "\"int\""));
        let schema = schema.with_url("http://schemas/int").unwrap();
        assert_eq!(schema.header(), (URL, "http://schemas/int"));
        let long = format!("{{\"type\": \"int\", \"doc\": \"{}\"}}", "x".repeat(9000));
        let error = BodySchema::parse(&long)
            .unwrap()
            .with_literal()
            .unwrap_err();
        assert!(!error.is_value());
    }

    #[test]
    fn a_url_that_no_header_can_hold_is_told_when_it_is_set() {
        let with = |url: &str| BodySchema::parse("\"int\"").unwrap().with_url(url);
        let longest = "u".repeat(HEADER_VALUE_BYTES_MAX);
        let schema = with(&longest).unwrap();
        let mut batch = EventBatch::new();
        batch.push_avro(&schema, &[], &1).unwrap();
        for url in [longest + "u", "http://a\0b".into()] {
            let error = with(&url).unwrap_err();
            assert!(!error.is_value());
            assert!(error.to_string().contains(URL), "{error}");
        }
    }

    #[test]
    fn a_text_that_is_no_schema_is_refused() {
        for text in ["", "{", "\"integer\"", "{\"type\": \"record\"}"] {
            assert!(BodySchema::parse(text).is_err(), "{text}");
        }
    }
}
