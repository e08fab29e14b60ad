//! The fields of a record as bytes: written in the service's thread, read by the renderer.
//!
//! | part | bytes |
//! |---|---|
//! | key | its number among the call site's fields; or `ff`, length (u16), text |
//! | kind of value | one byte |
//! | value | 1, 8 or 16 bytes, or length (u32) and bytes |
//!
//! Numbers are little-endian. These bytes never leave the process.

use super::site::InlineSite;

/// The byte that begins a key which is not one of a call site's.
pub(super) const KEY_IS_TEXT: u8 = 0xff;
/// The byte that says that the fields after it are those of a context.
pub(super) const CONTEXT: u8 = 0xfe;
/// Fields that a call site can name by number.
pub(crate) const SITE_FIELDS_MAX: usize = 0xfe;

pub(super) const NULL: u8 = 0;
pub(super) const FALSE: u8 = 1;
pub(super) const TRUE: u8 = 2;
pub(super) const I64: u8 = 3;
pub(super) const U64: u8 = 4;
pub(super) const I128: u8 = 5;
pub(super) const U128: u8 = 6;
pub(super) const F64: u8 = 7;
pub(super) const TEXT: u8 = 8;
pub(super) const BROKEN: u8 = 9;
pub(super) const BYTES: u8 = 10;
pub(super) const JSON: u8 = 11;
pub(super) const ERROR: u8 = 12;

/// What a field is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// By its number among the call site's fields.
    Index(usize),
    /// By name.
    Name(&'a str),
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// Nothing, said so.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number.
    I64(i64),
    /// A number.
    U64(u64),
    /// A number.
    I128(i128),
    /// A number.
    U128(u128),
    /// A number; it may be infinite or none.
    F64(f64),
    /// A text, or what `Display` or `Debug` wrote.
    Text(&'a str),
    /// What `Display` or `Debug` wrote before it panicked or failed.
    Broken(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A value that is written as JSON already.
    Json(&'a str),
    /// An error and its causes.
    Error(Chain<'a>),
}

/// An error's text and those of its causes, the outermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain<'a> {
    texts: &'a [u8],
}

impl<'a> Chain<'a> {
    /// The texts; there is one at least.
    pub fn texts(self) -> impl Iterator<Item = &'a str> {
        let mut rest = Input { rest: self.texts };
        std::iter::from_fn(move || rest.text())
    }
}

/// A field of a record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field<'a> {
    /// What it is called.
    pub key: Key<'a>,
    /// What it holds.
    pub value: Value<'a>,
    /// Whether it belongs to what the record stands in.
    pub is_context: bool,
}

/// Parts the texts of a call site from the fields after them.
pub(crate) fn split_inline_site(bytes: &[u8]) -> (InlineSite<'_>, Fields<'_>) {
    let mut input = Input { rest: bytes };
    let mut text = || input.text().filter(|text| !text.is_empty());
    let (target, module, file) = (text(), text(), text());
    let line = input.array().map(u32::from_le_bytes);
    let site = InlineSite {
        target: target.unwrap_or_default(),
        module,
        file,
        line: line.filter(|line| *line > 0),
    };
    (site, Fields::new(input.rest))
}

/// Reads the fields that a [`FieldWriter`](super::FieldWriter) wrote.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    input: Input<'a>,
    is_context: bool,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            input: Input { rest: bytes },
            is_context: false,
        }
    }

    /// The next field of the record itself; its text as bytes, which are those of a text. `None`:
    /// there is none, or it is one of a context, which [`next`](Self::next) reads.
    #[inline]
    pub(crate) fn next_own(&mut self) -> Option<(Key<'a>, Plain<'a>)> {
        let first = *self.input.rest.first()?;
        if first == CONTEXT || self.is_context {
            return None;
        }
        let _ = self.input.byte();
        let key = match first {
            KEY_IS_TEXT => {
                let length = u16::from_le_bytes(self.input.array()?);
                Key::Name(as_text(self.input.take(length.into())?))
            }
            index => Key::Index(index.into()),
        };
        let (kind, after_kind) = self.input.rest.split_first()?;
        let value = if *kind == TEXT {
            self.input.rest = after_kind;
            Plain::Text(self.input.sized()?)
        } else {
            Plain::Other(self.input.value()?)
        };
        Some((key, value))
    }

    /// Goes over the mark between a record's own fields and those of its context, if it comes next.
    /// After that [`next_own`](Self::next_own) reads these.
    #[inline]
    pub(crate) fn pass_context_mark(&mut self) -> bool {
        match self.input.rest.split_first() {
            Some((&CONTEXT, rest)) => {
                self.input.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// The bytes that were not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.input.rest
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        let mut first = self.input.byte()?;
        if first == CONTEXT {
            self.is_context = true;
            first = self.input.byte()?;
        }
        let key = match first {
            KEY_IS_TEXT => {
                let length = u16::from_le_bytes(self.input.array()?);
                Key::Name(as_text(self.input.take(length.into())?))
            }
            index => Key::Index(index.into()),
        };
        Some(Field {
            key,
            value: self.input.value()?,
            is_context: self.is_context,
        })
    }
}

/// A value whose text was not looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plain<'a> {
    /// The bytes of a [`Value::Text`].
    Text(&'a [u8]),
    /// Any other value.
    Other(Value<'a>),
}

#[derive(Clone, Debug)]
struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    #[inline]
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    #[inline]
    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    #[inline]
    fn sized(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_le_bytes(self.array()?);
        self.take(length as usize)
    }

    #[inline]
    fn text(&mut self) -> Option<&'a str> {
        self.sized().map(as_text)
    }

    #[inline]
    fn value(&mut self) -> Option<Value<'a>> {
        Some(match self.byte()? {
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            I64 => Value::I64(i64::from_le_bytes(self.array()?)),
            U64 => Value::U64(u64::from_le_bytes(self.array()?)),
            I128 => Value::I128(i128::from_le_bytes(self.array()?)),
            U128 => Value::U128(u128::from_le_bytes(self.array()?)),
            F64 => Value::F64(f64::from_le_bytes(self.array()?)),
            TEXT => Value::Text(self.text()?),
            BROKEN => Value::Broken(self.text()?),
            BYTES => Value::Bytes(self.sized()?),
            JSON => Value::Json(self.text()?),
            ERROR => Value::Error(Chain {
                texts: self.sized()?,
            }),
            _ => Value::Null,
        })
    }
}

/// Only ever written from texts, in this file.
#[inline]
fn as_text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::super::field_writer::{Faults, FieldWriter, RECORD_BYTES_MAX};
    use super::*;

    fn written(write: impl FnOnce(&mut FieldWriter<'_>)) -> (Vec<u8>, Faults) {
        let (mut out, mut faults) = (Vec::new(), Faults::default());
        write(&mut FieldWriter::new(&mut out, &mut faults));
        (out, faults)
    }

    #[test]
    fn every_kind_of_value_comes_back_as_it_was() {
        let key = Key::Name("key");
        let (bytes, faults) = written(|fields| {
            fields.null(Key::Index(0));
            fields.bool(Key::Index(1), true);
            fields.bool(key, false);
            fields.i64(key, i64::MIN);
            fields.u64(key, u64::MAX);
            fields.i128(key, i128::MIN);
            fields.u128(key, u128::MAX);
            fields.f64(key, -0.5);
            fields.text(key, "grüße");
            fields.debug(key, &"a\"b");
            fields.begin_context();
            fields.display(key, &7);
            fields.bytes(key, &[0xff, 0]);
            fields.json(key, "[1]");
            fields.broken(key);
        });
        let values: Vec<_> = Fields::new(&bytes).map(|field| field.value).collect();
        let expected = [
            Value::Null,
            Value::Bool(true),
            Value::Bool(false),
            Value::I64(i64::MIN),
            Value::U64(u64::MAX),
            Value::I128(i128::MIN),
            Value::U128(u128::MAX),
            Value::F64(-0.5),
            Value::Text("grüße"),
            Value::Text("\"a\\\"b\""),
            Value::Text("7"),
            Value::Bytes(&[0xff, 0]),
            Value::Json("[1]"),
            Value::Broken(""),
        ];
        assert_eq!(values, expected);
        let context = Fields::new(&bytes).filter(|field| field.is_context);
        assert_eq!(context.count(), 4);
        let keys: Vec<_> = Fields::new(&bytes).map(|field| field.key).take(3).collect();
        assert_eq!(keys, [Key::Index(0), Key::Index(1), key]);
        assert_eq!(faults, Faults { broken: 1, cut: 0 });
    }

    struct Panics;

    impl fmt::Debug for Panics {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("so far")?;
            std::panic::resume_unwind(Box::new(()))
        }
    }

    struct Fails;

    impl fmt::Display for Fails {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Err(fmt::Error)
        }
    }

    #[test]
    fn fields_after_one_that_panics_or_fails_are_kept() {
        let (bytes, faults) = written(|fields| {
            fields.debug(Key::Index(0), &Panics);
            fields.display(Key::Index(1), &Fails);
            fields.u64(Key::Index(2), 2);
        });
        let values: Vec<_> = Fields::new(&bytes).map(|field| field.value).collect();
        let expected = [Value::Broken("so far"), Value::Broken(""), Value::U64(2)];
        assert_eq!(values, expected);
        assert_eq!(faults, Faults { broken: 2, cut: 0 });
    }

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::num::ParseIntError);

    #[test]
    fn an_error_comes_with_its_causes() {
        let error = Outer("x".parse::<i32>().unwrap_err());
        let (bytes, _) = written(|fields| fields.error(Key::Index(0), &error));
        let Some(Value::Error(chain)) = Fields::new(&bytes).next().map(|field| field.value) else {
            panic!("no error");
        };
        let texts: Vec<_> = chain.texts().collect();
        assert_eq!(texts, ["outer", "invalid digit found in string"]);
    }

    #[derive(Debug, thiserror::Error)]
    #[error("round and round")]
    struct Endless;

    #[test]
    fn a_record_has_a_limit_and_what_is_cut_is_counted() {
        let long = "ü".repeat(RECORD_BYTES_MAX);
        let (bytes, faults) = written(|fields| {
            fields.error(Key::Index(0), &Endless);
            fields.text(Key::Index(1), &long);
            fields.u64(Key::Index(2), 2);
        });
        assert!(bytes.len() <= RECORD_BYTES_MAX);
        let last = Fields::new(&bytes).last().unwrap();
        let Value::Text(kept) = last.value else {
            panic!("{last:?}");
        };
        assert!(long.starts_with(kept) && kept.len() > RECORD_BYTES_MAX - 64);
        assert_eq!(faults, Faults { broken: 0, cut: 2 });
    }

    struct LongThenShort;

    impl fmt::Display for LongThenShort {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a")?;
            f.write_str(&"ü".repeat(RECORD_BYTES_MAX))?;
            f.write_str("b")
        }
    }

    #[test]
    fn what_comes_after_a_cut_is_left_out_also_if_it_would_fit() {
        let (bytes, faults) = written(|fields| fields.display(Key::Index(0), &LongThenShort));
        // One byte is free where half a letter would stand.
        assert_eq!(bytes.len(), RECORD_BYTES_MAX - 1);
        let value = Fields::new(&bytes).next().map(|field| field.value);
        let Some(Value::Text(kept)) = value else {
            panic!("{value:?}");
        };
        assert!(kept.ends_with('ü'));
        assert_eq!(faults, Faults { broken: 0, cut: 1 });
    }
}
