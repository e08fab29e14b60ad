//! JSON as strict readers take it: no name twice, nothing that ends a line.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// JSON in which no name comes twice.
struct Strict;

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_str<E>(self, _: &str) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Strict, A::Error> {
        while parts.next_element::<Strict>()?.is_some() {}
        Ok(Strict)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Strict, A::Error> {
        let mut names = BTreeSet::new();
        while let Some((name, Strict)) = members.next_entry::<String, Strict>()? {
            if let Some(twin) = names.replace(name) {
                return Err(de::Error::custom(format!("{twin} comes twice")));
            }
        }
        Ok(Strict)
    }
}

pub(super) fn parsed(body: &str) -> Value {
    assert!(!body.contains(char::is_control), "{body:?}");
    if let Err(error) = serde_json::from_str::<Strict>(body) {
        panic!("{error}: {body}");
    }
    normal(serde_json::from_str(body).unwrap())
}

/// With numbers that are equal if their values are, also where some crate of the same build has
/// serde_json keep them as they were written.
fn normal(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_i64() || number.is_u64() => Value::Number(number),
        Value::Number(number) => Value::from(number.as_f64()),
        Value::Array(parts) => parts.into_iter().map(normal).collect(),
        Value::Object(members) => {
            let members = members.into_iter();
            Value::Object(members.map(|(name, value)| (name, normal(value))).collect())
        }
        other => other,
    }
}
