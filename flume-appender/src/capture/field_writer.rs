//! [`FieldWriter`]: writes the fields of a record, in the service's thread.

use std::error::Error;
use std::fmt::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::site::InlineSite;
use super::value::{
    BROKEN, BYTES, CONTEXT, ERROR, F64, FALSE, I64, I128, JSON, KEY_IS_TEXT, Key, NULL,
    SITE_FIELDS_MAX, TEXT, TRUE, U64, U128,
};

/// Most bytes of one record's fields. A text that does not fit is cut, and fields after it are left
/// out; both are counted.
pub const RECORD_BYTES_MAX: usize = 256 * 1024;

/// Most errors that are taken of a chain of causes.
const CHAIN_MAX: usize = 32;

/// Most bytes of a text about a call site.
const SITE_TEXT_BYTES_MAX: usize = 1024;

/// Most bytes of a key that is not one of a call site's.
const KEY_BYTES_MAX: usize = 256;

/// Most bytes of a value of a fixed length.
const FIXED_BYTES_MAX: usize = 16;

/// How far before a value of its own length its kind stands.
const KIND_BEFORE: usize = 5;

/// What went wrong while fields were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Values whose `Display` or `Debug` panicked or failed.
    pub(crate) broken: u32,
    /// Values that were cut or left out.
    pub(crate) cut: u32,
}

/// Writes the fields of a record. User code (`Display`, `Debug`) runs here, and may panic or log:
/// nothing is locked.
#[derive(Debug)]
pub struct FieldWriter<'a> {
    out: &'a mut Vec<u8>,
    faults: &'a mut Faults,
}

impl<'a> FieldWriter<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>, faults: &'a mut Faults) -> Self {
        Self { out, faults }
    }

    /// The fields from here on are not the record's own but those of what it stands in.
    pub fn begin_context(&mut self) {
        self.out.push(CONTEXT);
    }

    /// A field without a value.
    pub fn null(&mut self, key: Key<'_>) {
        self.put(key, NULL, []);
    }

    /// A field whose value could not be had: the code that was to make it failed. It is counted.
    pub fn broken(&mut self, key: Key<'_>) {
        self.faults.broken += 1;
        self.put(key, BROKEN, [0; 4]);
    }

    /// A truth value.
    pub fn bool(&mut self, key: Key<'_>, value: bool) {
        self.put(key, if value { TRUE } else { FALSE }, []);
    }

    /// A number.
    pub fn i64(&mut self, key: Key<'_>, value: i64) {
        self.put(key, I64, value.to_le_bytes());
    }

    /// A number.
    pub fn u64(&mut self, key: Key<'_>, value: u64) {
        self.put(key, U64, value.to_le_bytes());
    }

    /// A number.
    pub fn i128(&mut self, key: Key<'_>, value: i128) {
        self.put(key, I128, value.to_le_bytes());
    }

    /// A number.
    pub fn u128(&mut self, key: Key<'_>, value: u128) {
        self.put(key, U128, value.to_le_bytes());
    }

    /// A number.
    pub fn f64(&mut self, key: Key<'_>, value: f64) {
        self.put(key, F64, value.to_le_bytes());
    }

    /// A text.
    pub fn text(&mut self, key: Key<'_>, value: &str) {
        let Some(at) = self.begin(key, TEXT) else {
            return;
        };
        self.put_text(value);
        self.end_sized(at);
    }

    /// What `value` writes.
    pub fn display(&mut self, key: Key<'_>, value: &dyn fmt::Display) {
        self.formatted(key, |out| write!(out, "{value}"));
    }

    /// What `value` writes.
    pub fn debug(&mut self, key: Key<'_>, value: &dyn fmt::Debug) {
        self.formatted(key, |out| write!(out, "{value:?}"));
    }

    /// Bytes.
    pub fn bytes(&mut self, key: Key<'_>, value: &[u8]) {
        let Some(at) = self.begin(key, BYTES) else {
            return;
        };
        let room = self.room().min(value.len());
        self.faults.cut += u32::from(room < value.len());
        self.out.extend(value.iter().take(room));
        self.end_sized(at);
    }

    /// A value that is written as JSON already. One that does not fit is left out.
    pub fn json(&mut self, key: Key<'_>, value: &str) {
        if self.room() < value.len() + KEY_BYTES_MAX + 8 {
            self.faults.cut += 1;
            return;
        }
        if let Some(at) = self.begin(key, JSON) {
            self.out.extend_from_slice(value.as_bytes());
            self.end_sized(at);
        }
    }

    /// An error with its causes.
    pub fn error(&mut self, key: Key<'_>, value: &(dyn Error + 'static)) {
        let Some(at) = self.begin(key, ERROR) else {
            return;
        };
        let mut next = Some(value);
        for _ in 0..CHAIN_MAX {
            let Some(error) = next else { break };
            let text_at = self.begin_sized();
            if self.write_guarded(|out| write!(out, "{error}")).is_err() {
                self.end_sized(text_at);
                break;
            }
            self.end_sized(text_at);
            // `source` is user code as well.
            let source = catch_unwind(AssertUnwindSafe(|| error.source()));
            next = source.unwrap_or_else(|_| {
                self.faults.broken += 1;
                None
            });
        }
        self.end_sized(at);
    }

    fn formatted(&mut self, key: Key<'_>, write: impl FnOnce(&mut TextSink<'_>) -> fmt::Result) {
        let Some(at) = self.begin(key, TEXT) else {
            return;
        };
        if self.write_guarded(write).is_err()
            && let Some(kind) = self.out.get_mut(at - KIND_BEFORE)
        {
            *kind = BROKEN;
        }
        self.end_sized(at);
    }

    /// Runs user code that writes a text. What it wrote before it panicked or failed stays.
    fn write_guarded(
        &mut self,
        write: impl FnOnce(&mut TextSink<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let mut sink = TextSink::new(self.out);
        let written = catch_unwind(AssertUnwindSafe(|| write(&mut sink)));
        self.faults.cut += u32::from(sink.is_cut);
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => {
                self.faults.broken += 1;
                Err(fmt::Error)
            }
        }
    }

    fn put_text(&mut self, text: &str) {
        let mut sink = TextSink::new(self.out);
        sink.put(text);
        self.faults.cut += u32::from(sink.is_cut);
    }

    /// Writes the key, the kind, and the value or what of it has a fixed length. `false`: there is no
    /// room for the field.
    #[inline]
    fn put<const N: usize>(&mut self, key: Key<'_>, kind: u8, value: [u8; N]) -> bool {
        if self.room() < KEY_BYTES_MAX + 32 {
            self.faults.cut += 1;
            return false;
        }
        match key {
            Key::Index(index) if index < SITE_FIELDS_MAX => {
                // Written at once, so that its place is looked for once.
                let mut all = [0; 2 + FIXED_BYTES_MAX];
                let [at_key, at_kind, rest @ ..] = &mut all;
                (*at_key, *at_kind) = (index as u8, kind);
                if let Some(place) = rest.first_chunk_mut() {
                    *place = value;
                }
                self.out
                    .extend_from_slice(all.get(..2 + N).unwrap_or_default());
            }
            Key::Index(_) => {
                self.faults.cut += 1;
                return false;
            }
            Key::Name(name) => {
                self.put_name(name);
                self.out.push(kind);
                self.out.extend_from_slice(&value);
            }
        }
        true
    }

    fn put_name(&mut self, name: &str) {
        let name = cut(name, KEY_BYTES_MAX);
        self.out.push(KEY_IS_TEXT);
        self.out
            .extend_from_slice(&(name.len() as u16).to_le_bytes());
        self.out.extend_from_slice(name.as_bytes());
    }

    /// Begins a value of a length that is known at its [end](Self::end_sized). Returns where it
    /// begins, unless there is no room for the field.
    #[inline]
    fn begin(&mut self, key: Key<'_>, kind: u8) -> Option<usize> {
        self.put(key, kind, [0; 4]).then_some(self.out.len())
    }

    fn room(&self) -> usize {
        RECORD_BYTES_MAX.saturating_sub(self.out.len())
    }

    fn begin_sized(&mut self) -> usize {
        self.out.extend_from_slice(&[0; 4]);
        self.out.len()
    }

    fn end_sized(&mut self, at: usize) {
        let length = (self.out.len() - at) as u32;
        if let Some(place) = self.out.get_mut(at - 4..at) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }
}

/// The beginning of a text, at most `most` bytes of it.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.split_at(end).0
}

/// Takes a text up to the limit of a record, and what is beyond in silence: user code that got an
/// error here might panic over it.
struct TextSink<'a> {
    out: &'a mut Vec<u8>,
    /// Bytes that still fit.
    room: usize,
    is_cut: bool,
}

impl<'a> TextSink<'a> {
    fn new(out: &'a mut Vec<u8>) -> Self {
        Self {
            room: RECORD_BYTES_MAX.saturating_sub(out.len()),
            out,
            is_cut: false,
        }
    }

    #[inline]
    fn put(&mut self, text: &str) {
        if text.len() > self.room {
            return self.put_beginning(text);
        }
        self.room -= text.len();
        self.out.extend_from_slice(text.as_bytes());
    }

    #[cold]
    fn put_beginning(&mut self, text: &str) {
        let fits = cut(text, self.room);
        self.out.extend_from_slice(fits.as_bytes());
        self.is_cut = true;
        // A shorter text that comes later would stand behind a gap.
        self.room = 0;
    }
}

impl Write for TextSink<'_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text);
        Ok(())
    }
}

/// Writes the texts of a call site, to stand before the fields.
pub(super) fn put_inline_site(out: &mut Vec<u8>, site: &InlineSite<'_>) {
    let texts = [Some(site.target), site.module, site.file];
    for text in texts {
        let text = cut(text.unwrap_or_default(), SITE_TEXT_BYTES_MAX);
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(&site.line.unwrap_or_default().to_le_bytes());
}
