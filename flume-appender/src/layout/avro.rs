//! [`AvroBody`]: a record as one Avro datum of your schema.
//!
//! The schema is a record. Each of its fields gets its value by its name:
//!
//! | name | gets | fits |
//! |---|---|---|
//! | `ts`, `timestamp` | when it was logged | `timestamp-millis`, `-micros`, `-nanos`; `long` as milliseconds; `string` as RFC 3339 |
//! | `level`, `target`, `file` | as logged | `string`, `enum` |
//! | `line` | as logged | `int`, `long` |
//! | `msg`, `message` | the message | what its value fits |
//! | `spans` | the names of the spans around it, the outermost first | `array` of `string` |
//! | `fields`, as a `map` | the record's own fields that no other name of the schema takes | the map's values |
//! | `span`, as a `map` | the same of the spans around it, the innermost last | the map's values |
//! | any other | the record's own field of this name, or else that of the innermost span that has it | what its value fits |
//!
//! A value fits a kind of Avro's if nothing is lost: a whole number fits `int`, `long`, `float` and
//! `double` as far as they hold it, anything but nothing fits `string`, bytes and texts fit `bytes`, a
//! text fits an `enum` that has it, an error an `array` of texts, nested JSON what it resolves to. Of
//! a union the first branch of the value's own kind is taken, or else the first that it fits.
//!
//! What a record does not have gets the schema's default, or null if it may be null. If it may not,
//! or a value does not fit, the record is not written: that is counted in
//! [`LevelStats::unwritten`](crate::LevelStats::unwritten) and told, with the field's name.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{Name, RecordField, RecordSchema, UnionSchema};
use apache_avro::types::Value as Avro;
use flume_client::avro_body::BodySchema;

use super::plain::put_bare;
use super::record::Record;
use super::{Layout, LayoutError};
use crate::capture::Value;
use crate::text::time::TimeWriter;

/// Writes records as Avro.
///
/// ```
/// use flume_appender::AvroBody;
///
/// let layout = AvroBody::new(
///     r#"{"type": "record", "name": "Line", "fields": [
///         {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-micros"}},
///         {"name": "level", "type": "string"},
///         {"name": "message", "type": ["null", "string"], "default": null},
///         {"name": "order", "type": ["null", "long"], "default": null},
///         {"name": "fields", "type": {"type": "map", "values": "string"}}]}"#,
/// )?
/// .url("hdfs://schemas/line.avsc")?;
/// # Ok::<(), flume_appender::LayoutError>(())
/// ```
#[derive(Debug)]
pub struct AvroBody {
    schema: BodySchema,
    /// Of each field of the schema: what it gets if the record has nothing for it.
    defaults: Vec<Option<Avro>>,
    time: TimeWriter,
    names: HashMap<Name, Schema>,
}

impl AvroBody {
    /// By this schema, as JSON. Events get its hash in the header `flume.avro.schema.hash`.
    ///
    /// # Errors
    ///
    /// If it is no schema, or not that of a record, or a default in it does not fit.
    pub fn new(schema: &str) -> Result<Self, LayoutError> {
        let schema = BodySchema::parse(schema);
        let schema = schema.map_err(|error| LayoutError::new(error.to_string()))?;
        let Schema::Record(record) = schema.schema() else {
            return Err(LayoutError::new(
                "the Avro schema is not that of a record: make it one with fields such as ts, level \
                 and message",
            ));
        };
        let mut names = HashMap::new();
        collect_names(schema.schema(), &mut names);
        let default = |field: &RecordField| {
            let Some(default) = &field.default else {
                return Ok(None);
            };
            let value = Avro::try_from(default.clone());
            let value = value.and_then(|value| value.resolve_with_names(&field.schema, &names));
            value.map(Some).map_err(|_| {
                let name = &field.name;
                LayoutError::new(format!(
                    "the default of the field {name:?} does not fit its Avro schema"
                ))
            })
        };
        let defaults = record.fields.iter().map(default);
        let defaults = defaults.collect::<Result<_, _>>()?;
        Ok(Self {
            time: TimeWriter::default(),
            schema,
            defaults,
            names,
        })
    }

    /// Events get this URL of the schema in the header `flume.avro.schema.url` instead, which Flume's
    /// `AvroEventSerializer` reads.
    ///
    /// # Errors
    ///
    /// If it is longer than 8 KiB, or holds a NUL character.
    pub fn url(mut self, url: impl Into<String>) -> Result<Self, LayoutError> {
        let schema = self.schema.with_url(url);
        self.schema = schema.map_err(|error| LayoutError::new(error.to_string()))?;
        Ok(self)
    }

    /// Each event gets the whole schema in the header `flume.avro.schema.literal` instead, which
    /// Flume's `AvroEventSerializer` reads too. Costs its length with each event.
    ///
    /// # Errors
    ///
    /// If it is longer than 8 KiB.
    pub fn literal(mut self) -> Result<Self, LayoutError> {
        let schema = self.schema.with_literal();
        self.schema = schema.map_err(|error| LayoutError::new(error.to_string()))?;
        Ok(self)
    }
}

impl Layout for AvroBody {
    fn render(&mut self, record: &Record<'_>, out: &mut Vec<u8>) -> Result<(), LayoutError> {
        let Schema::Record(schema) = self.schema.schema() else {
            return Ok(());
        };
        let mut values = Vec::with_capacity(schema.fields.len());
        for (field, default) in schema.fields.iter().zip(&self.defaults) {
            let misfit = |kind: &str| {
                let name = &field.name;
                LayoutError::new(format!(
                    "the field {name:?} is {kind}, which does not fit its Avro schema"
                ))
            };
            let fitter = Fitter {
                names: &self.names,
                schema,
            };
            let value = match fitter.value_of(field, record, &mut self.time) {
                Ok(Some(value)) => value,
                Ok(None) => default
                    .clone()
                    .or_else(|| fitter.fit(&Value::Null, &field.schema))
                    .ok_or_else(|| misfit("absent"))?,
                Err(kind) => return Err(misfit(kind)),
            };
            values.push((field.name.clone(), value));
        }
        let written = self.schema.put_value(&Avro::Record(values), out);
        written.map_err(|error| LayoutError::new(error.to_string()))
    }

    fn headers(&self) -> Vec<(String, String)> {
        let (key, value) = self.schema.header();
        vec![(key.to_owned(), value.to_owned())]
    }

    fn is_text(&self) -> bool {
        false
    }
}

/// Turns values into those that a schema wants.
#[derive(Clone, Copy)]
struct Fitter<'a> {
    names: &'a HashMap<Name, Schema>,
    /// That of the whole body.
    schema: &'a RecordSchema,
}

impl Fitter<'_> {
    /// What a record has for a field of the schema. An error names the kind of what does not fit.
    fn value_of(
        self,
        field: &RecordField,
        record: &Record<'_>,
        time: &mut TimeWriter,
    ) -> Result<Option<Avro>, &'static str> {
        let schema = &field.schema;
        let fitted = |value: &Value<'_>| match self.fit(value, schema) {
            Some(fitted) => Ok(Some(fitted)),
            None => Err(kind_of(value)),
        };
        let text = |text: Option<&str>| text.map_or(Ok(None), |text| fitted(&Value::Text(text)));
        match (field.name.as_str(), schema) {
            ("ts" | "timestamp", _) => {
                let moment = self.moment(record.unix_ns, schema, time);
                moment.map(Some).ok_or("a time")
            }
            ("level", _) => text(Some(record.level().as_str())),
            ("target", _) => text(Some(record.target())),
            ("file", _) => text(record.file()),
            ("line", _) => match record.line() {
                Some(line) => fitted(&Value::U64(line.into())),
                None => Ok(None),
            },
            ("msg" | "message", _) => record.message().map_or(Ok(None), |value| fitted(&value)),
            ("spans", _) => {
                let mut names = Vec::new();
                record.each_span_name(|name| names.push(name.to_owned()));
                let list = Avro::Array(names.into_iter().map(Avro::String).collect());
                let list = list.resolve_with_names(schema, self.names);
                list.map(Some).map_err(|_| "a list of texts")
            }
            ("fields", Schema::Map(map)) => {
                let mut members = HashMap::new();
                let mut result = Ok(());
                for (name, value) in record.fields() {
                    self.add_rest(name, &value, &map.types, &mut members, &mut result);
                }
                result.map(|()| Some(Avro::Map(members)))
            }
            ("span", Schema::Map(map)) => {
                let mut members = HashMap::new();
                let mut result = Ok(());
                record.each_span_field(|name, value| {
                    self.add_rest(name, &value, &map.types, &mut members, &mut result);
                });
                result.map(|()| Some(Avro::Map(members)))
            }
            (name, _) => {
                if let Some(value) = record.field(name) {
                    return fitted(&value);
                }
                let mut found = Ok(None);
                record.each_span_field(|known, value| {
                    if known == name {
                        found = fitted(&value);
                    }
                });
                found
            }
        }
    }

    /// Adds a field to a map, unless the schema has another place for it.
    fn add_rest(
        self,
        name: &str,
        value: &Value<'_>,
        schema: &Schema,
        members: &mut HashMap<String, Avro>,
        result: &mut Result<(), &'static str>,
    ) {
        let mut named = self.schema.fields.iter().map(|field| field.name.as_str());
        if named.any(|known| known == name) || matches!(value, Value::Null) {
            return;
        }
        match self.fit(value, schema) {
            Some(fitted) => {
                members.insert(name.to_owned(), fitted);
            }
            None => *result = Err(kind_of(value)),
        }
    }

    fn moment(self, unix_ns: u64, schema: &Schema, time: &mut TimeWriter) -> Option<Avro> {
        let of = |divisor: u64| i64::try_from(unix_ns / divisor).unwrap_or(i64::MAX);
        Some(match schema {
            Schema::TimestampNanos => Avro::TimestampNanos(of(1)),
            Schema::TimestampMicros => Avro::TimestampMicros(of(1_000)),
            Schema::TimestampMillis => Avro::TimestampMillis(of(1_000_000)),
            Schema::Long => Avro::Long(of(1_000_000)),
            Schema::String => {
                let mut text = Vec::new();
                time.put(&mut text, unix_ns);
                Avro::String(String::from_utf8(text).unwrap_or_default())
            }
            Schema::Union(union) => {
                let mut branches = union.variants().iter().zip(0..);
                return branches.find_map(|(branch, at)| {
                    let moment = self.moment(unix_ns, branch, time)?;
                    Some(Avro::Union(at, Box::new(moment)))
                });
            }
            _ => return None,
        })
    }

    /// The value as this schema has it. `None`: it does not fit.
    fn fit(self, value: &Value<'_>, schema: &Schema) -> Option<Avro> {
        let text = || {
            let mut out = Vec::new();
            put_bare(&mut out, value);
            String::from_utf8(out).ok()
        };
        Some(match (schema, value) {
            (Schema::Union(union), _) => return self.fit_union(value, union),
            (Schema::Ref { name }, _) => return self.fit(value, self.names.get(name)?),
            (Schema::Null, Value::Null) => Avro::Null,
            (_, Value::Null) => return None,
            (Schema::String, _) => Avro::String(text()?),
            (Schema::Boolean, Value::Bool(value)) => Avro::Boolean(*value),
            (Schema::Int, _) => Avro::Int(whole(value)?.try_into().ok()?),
            (Schema::Long, _) => Avro::Long(whole(value)?.try_into().ok()?),
            // Whoever chose `float` knows that it rounds.
            (Schema::Float, Value::F64(value)) => Avro::Float(*value as f32),
            (Schema::Float, _) => {
                let whole = whole(value)?;
                let is_exact = whole.unsigned_abs() <= 1 << f32::MANTISSA_DIGITS;
                Avro::Float(is_exact.then_some(whole as f32)?)
            }
            (Schema::Double, Value::F64(value)) => Avro::Double(*value),
            (Schema::Double, _) => {
                let whole = whole(value)?;
                let is_exact = whole.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS;
                Avro::Double(is_exact.then_some(whole as f64)?)
            }
            (Schema::Bytes, Value::Bytes(bytes)) => Avro::Bytes(bytes.to_vec()),
            (Schema::Bytes, Value::Text(text)) => Avro::Bytes(text.as_bytes().to_vec()),
            (Schema::Array(array), Value::Error(chain)) => {
                let texts = chain
                    .texts()
                    .map(|text| self.fit(&Value::Text(text), &array.items));
                Avro::Array(texts.collect::<Option<_>>()?)
            }
            (_, Value::Json(json)) => {
                let value = serde_json::from_str::<serde_json::Value>(json).ok()?;
                let value = Avro::try_from(value).ok()?;
                value.resolve_with_names(schema, self.names).ok()?
            }
            (_, Value::Text(_)) => self.resolved(Avro::String(text()?), schema)?,
            (_, Value::Bytes(bytes)) => {
                let length = bytes.len();
                self.resolved(Avro::Fixed(length, bytes.to_vec()), schema)?
            }
            _ => {
                let long = i64::try_from(whole(value)?).ok()?;
                let value = i32::try_from(long).map_or(Avro::Long(long), Avro::Int);
                self.resolved(value, schema)?
            }
        })
    }

    fn resolved(self, value: Avro, schema: &Schema) -> Option<Avro> {
        value.resolve_with_names(schema, self.names).ok()
    }

    fn fit_union(self, value: &Value<'_>, union: &UnionSchema) -> Option<Avro> {
        let branches = || union.variants().iter().zip(0..);
        let own = branches().filter(|(branch, _)| is_own_kind(value, branch));
        let mut tried = own.chain(branches());
        tried.find_map(|(branch, at)| {
            let fitted = self.fit(value, branch)?;
            Some(Avro::Union(at, Box::new(fitted)))
        })
    }
}

/// A whole number.
fn whole(value: &Value<'_>) -> Option<i128> {
    match value {
        Value::I64(value) => Some((*value).into()),
        Value::U64(value) => Some((*value).into()),
        Value::I128(value) => Some(*value),
        Value::U128(value) => (*value).try_into().ok(),
        _ => None,
    }
}

/// Whether a branch of a union is made for values of this kind.
fn is_own_kind(value: &Value<'_>, branch: &Schema) -> bool {
    matches!(
        (value, branch),
        (Value::Text(_) | Value::Broken(_), Schema::String)
            | (Value::Bool(_), Schema::Boolean)
            | (Value::F64(_), Schema::Double | Schema::Float)
            | (Value::Bytes(_), Schema::Bytes)
            | (
                Value::I64(_) | Value::U64(_) | Value::I128(_) | Value::U128(_),
                Schema::Int | Schema::Long
            )
    )
}

/// What a value is, never what it says: that may be private.
fn kind_of(value: &Value<'_>) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::I64(_) | Value::U64(_) | Value::I128(_) | Value::U128(_) => "a whole number",
        Value::F64(_) => "a number",
        Value::Text(_) | Value::Broken(_) => "a text",
        Value::Bytes(_) => "bytes",
        Value::Json(_) => "nested JSON",
        Value::Error(_) => "an error",
    }
}

/// The schemas that others refer to by name.
fn collect_names(schema: &Schema, names: &mut HashMap<Name, Schema>) {
    if let Some(name) = schema.name()
        && !matches!(schema, Schema::Ref { .. })
    {
        names.insert(name.clone(), schema.clone());
    }
    match schema {
        Schema::Record(record) => {
            for field in &record.fields {
                collect_names(&field.schema, names);
            }
        }
        Schema::Array(array) => collect_names(&array.items, names),
        Schema::Map(map) => collect_names(&map.types, names),
        Schema::Union(union) => {
            for branch in union.variants() {
                collect_names(branch, names);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
