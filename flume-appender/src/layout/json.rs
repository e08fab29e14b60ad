//! [`Json`]: a record as one JSON object on one line.
//!
//! ```json
//! {"ts":"2026-11-27T17:04:05.123456789Z","level":"INFO","target":"orders","msg":"placed",
//!  "fields":{"order":17},"span":{"request":"a1"},"spans":["request","place"]}
//! ```
//!
//! | member | holds |
//! |---|---|
//! | `ts` | when it was logged, RFC 3339 in UTC with nanoseconds |
//! | `level`, `target` | as logged |
//! | `file`, `line` | where it was logged, if [`location`](Json::location) is on |
//! | `msg` | the message; left out if there is none |
//! | `fields` | the record's own fields; left out if there are none |
//! | `span` | the fields of all spans around it; of one name, that of the innermost one |
//! | `spans` | the names of these spans, the outermost first |
//!
//! A service's fields stand in `fields` and `span` only, so none can be taken for one of ours. If one
//! name comes twice, what was logged last stands. An error is its text, and its causes stand beside
//! it in `NAME.chain`. Numbers are exact, also those of 128 bits; what is infinite or no number is
//! `null`; bytes are base64. What a front end gives as JSON stands as it is, without blanks; if it is
//! none, it is a text.

use std::sync::atomic::{AtomicU32, Ordering};

use super::merged::Merged;
use super::plain::BROKEN;
use super::record::{Record, Written};
use super::{Layout, LayoutError};
use crate::capture::{Chain, Fields, Key, Plain, Value};
use crate::prepared::redact::REDACTED;
use crate::prepared::site::{PreparedSite, Role};
use crate::text::time::TimeWriter;
use crate::text::{base64, escape, nested, number};

/// The text of a span is kept up to so many bytes: a service has any number of them.
const SPAN_BYTES_KEPT: usize = 4 * 1024;

/// A buffer that grew beyond this is let go of after use.
const BUFFER_BYTES_KEPT: usize = 1024 * 1024;

/// A member of the JSON object that is not a field of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Member {
    /// `ts`
    Time,
    /// `level`
    Level,
    /// `target`
    Target,
    /// `file`
    File,
    /// `line`
    Line,
    /// `msg`
    Message,
    /// `fields`
    Fields,
    /// `span`
    Span,
    /// `spans`
    Spans,
}

impl Member {
    const NAMES: [&str; 9] = [
        "ts", "level", "target", "file", "line", "msg", "fields", "span", "spans",
    ];
}

/// Writes records as JSON. See the [module](self) for the default.
///
/// ```
/// use flume_appender::{Json, Member};
///
/// let layout = Json::new()
///     .rename(Member::Time, "@timestamp")
///     .static_field("env", "production")
///     .location();
/// ```
#[derive(Debug)]
pub struct Json {
    /// Tells what it kept with call sites and spans from what others did.
    id: u32,
    names: [String; 9],
    is_flat: bool,
    has_location: bool,
    statics: Vec<(String, String)>,
    words: Words,
    time: TimeWriter,
    merged: Merged,
    spans: Vec<u8>,
}

/// What stands between the values.
#[derive(Debug, Default)]
struct Words {
    time: Vec<u8>,
    message: Vec<u8>,
    fields: Vec<u8>,
    span: Vec<u8>,
    spans: Vec<u8>,
}

impl Default for Json {
    fn default() -> Self {
        Self::new()
    }
}

impl Json {
    /// As described in the [module](self).
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let json = Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            names: Member::NAMES.map(String::from),
            is_flat: false,
            has_location: false,
            statics: Vec::new(),
            words: Words::default(),
            time: TimeWriter::default(),
            merged: Merged::default(),
            spans: Vec::new(),
        };
        json.with_words()
    }

    /// Writes the fields of the record and of the spans around it beside `ts` and `level`, instead of
    /// in `fields` and `span`. Of one name the record's own one stands. One that is called as a member
    /// of ours or as a static field gets `f.` before its name, or `s.` if it is a span's.
    ///
    /// Costs more per record: the text of a span's fields cannot be kept.
    #[must_use]
    pub fn flatten(mut self) -> Self {
        self.is_flat = true;
        self
    }

    /// Gives a member another name.
    #[must_use]
    pub fn rename(mut self, member: Member, name: impl Into<String>) -> Self {
        if let Some(place) = self.names.get_mut(member as usize) {
            *place = name.into();
        }
        self.with_words()
    }

    /// Adds a member that is the same in all records.
    #[must_use]
    pub fn static_field(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.statics.push((name.into(), value.into()));
        self
    }

    /// Adds `file` and `line`. They are made once for each place in the code.
    #[must_use]
    pub fn location(mut self) -> Self {
        self.has_location = true;
        self
    }

    fn with_words(mut self) -> Self {
        let word = |before: &str, member: Member, after: &str| {
            let mut out = before.as_bytes().to_vec();
            let name = self.names.get(member as usize);
            escape::put_string(&mut out, name.map_or("", String::as_str));
            out.extend_from_slice(after.as_bytes());
            out
        };
        self.words = Words {
            time: word("{", Member::Time, ":\""),
            message: word(",", Member::Message, ":"),
            fields: word(",", Member::Fields, ":{"),
            span: word(",", Member::Span, ":{"),
            spans: word(",", Member::Spans, ":["),
        };
        self
    }

    /// `","level":"INFO","target":"orders"`, and whatever else is the same for all records of a
    /// place.
    fn text_of_site(&self, site: &PreparedSite) -> Vec<u8> {
        let mut out = b"\"".to_vec();
        let put_name = |out: &mut Vec<u8>, name: &str| {
            out.push(b',');
            escape::put_string(out, name);
            out.push(b':');
        };
        let put = |out: &mut Vec<u8>, member: Member, value: &str| {
            let name = self.names.get(member as usize);
            put_name(out, name.map_or("", String::as_str));
            if member == Member::Line {
                out.extend_from_slice(value.as_bytes());
            } else {
                escape::put_string(out, value);
            }
        };
        put(&mut out, Member::Level, site.text.level.as_str());
        put(&mut out, Member::Target, &site.text.target);
        if self.has_location {
            if let Some(file) = &site.text.file {
                put(&mut out, Member::File, file);
            }
            if let Some(line) = site.text.line {
                put(&mut out, Member::Line, &line.to_string());
            }
        }
        for (name, value) in &self.statics {
            put_name(&mut out, name);
            escape::put_string(&mut out, value);
        }
        out
    }

    /// All names at the top that are not a service's.
    fn own_names(&self) -> impl Iterator<Item = &str> {
        let statics = self.statics.iter().map(|(name, _)| name);
        self.names.iter().chain(statics).map(String::as_str)
    }

    /// Writes the message and the record's own fields. `true`: the record brought fields of what it
    /// stands in.
    fn put_fields(&mut self, record: &Record<'_>, out: &mut Vec<u8>) -> bool {
        let mut fields = Fields::new(record.bytes);
        let open = (self.words.message.as_slice(), self.words.fields.as_slice());
        if record.is_as_it_was() && put_plain_fields(record, &mut fields, record.site, open, out) {
            let has_context = !fields.rest().is_empty();
            return has_context && !self.put_plain_context(record, &mut fields, out);
        }
        if let Some(message) = record.message() {
            out.extend_from_slice(&self.words.message);
            put_value(out, &message);
        }
        self.merged.clear();
        let mut has_context = false;
        for field in record.written() {
            has_context |= field.is_context;
            if !field.is_context && field.role != Role::Message {
                add(&mut self.merged, "", &field);
            }
        }
        if !self.merged.is_empty() {
            out.extend_from_slice(&self.words.fields);
            self.merged.put(out, b",");
            out.push(b'}');
        }
        has_context
    }

    /// Writes the context that a record brought, if it is in no span. `false`: it is in one, or its
    /// fields need to be merged, and nothing is written.
    fn put_plain_context(
        &self,
        record: &Record<'_>,
        fields: &mut Fields<'_>,
        out: &mut Vec<u8>,
    ) -> bool {
        let start = out.len();
        let open: (&[u8], &[u8]) = (&[], &self.words.span);
        let is_written = record.span.is_none()
            && fields.pass_context_mark()
            && put_plain_fields(record, fields, record.site, open, out)
            && fields.rest().is_empty();
        if !is_written {
            out.truncate(start);
        }
        is_written
    }

    /// Writes what a record stands in. Records of one span often come in great numbers, so its text
    /// is kept from the second one on; a span of a single record does not pay for that.
    fn put_spans(&mut self, record: &Record<'_>, has_context: bool, out: &mut Vec<u8>) {
        let is_same_for_all = !has_context
            && record.is_as_it_was()
            && record.span.is_some_and(|span| !span.any_late());
        let kept = record.span.filter(|_| is_same_for_all);
        let rendered = kept.and_then(|span| span.rendered.get());
        if let Some((id, text)) = rendered.and_then(|rendered| rendered.split_first_chunk())
            && *id == self.id.to_le_bytes()
        {
            out.extend_from_slice(text);
            return;
        }
        if record.span.is_none() && !has_context {
            return;
        }
        self.spans.clear();
        if !(is_same_for_all && self.put_single_span(record)) {
            self.merged.clear();
            record.each_context(|field| add(&mut self.merged, "", field));
            if !self.merged.is_empty() {
                self.spans.extend_from_slice(&self.words.span);
                self.merged.put(&mut self.spans, b",");
                self.spans.push(b'}');
            }
        }
        put_span_names(&mut self.spans, &self.words.spans, record);
        out.extend_from_slice(&self.spans);
        if let Some(span) = kept
            && self.spans.len() <= SPAN_BYTES_KEPT
            && span.uses.fetch_add(1, Ordering::Relaxed) > 0
        {
            // Fields that come late are told by `any_late` from then on.
            let text = [&self.id.to_le_bytes(), self.spans.as_slice()].concat();
            let _ = span.rendered.set(text.into());
        }
    }

    /// Writes the fields of a span that stands in no other one. `false`: it does, or its fields need
    /// to be merged, and nothing is written.
    fn put_single_span(&mut self, record: &Record<'_>) -> bool {
        let alone = record.span.filter(|span| span.parent().is_none());
        let Some((span, site)) =
            alone.and_then(|span| Some((span, record.sites.get(span.site())?)))
        else {
            return false;
        };
        let open: (&[u8], &[u8]) = (&[], &self.words.span);
        let out = &mut self.spans;
        let mut is_written = true;
        span.each_field(record.stamp, |mut fields| {
            is_written =
                put_plain_fields(record, &mut fields, site, open, out) && fields.rest().is_empty();
        });
        is_written
    }

    /// Writes all fields beside our own members.
    fn put_flat(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        if let Some(message) = record.message() {
            out.extend_from_slice(&self.words.message);
            put_value(out, &message);
        }
        let mut merged = std::mem::take(&mut self.merged);
        merged.clear();
        let clashes = |name: &str| self.own_names().any(|known| known == name);
        let prefix = |name: &str, prefix| if clashes(name) { prefix } else { "" };
        record.each_context(|field| add(&mut merged, prefix(field.name, "s."), field));
        for field in record.own() {
            add(&mut merged, prefix(field.name, "f."), &field);
        }
        if !merged.is_empty() {
            out.push(b',');
            merged.put(out, b",");
        }
        self.merged = merged;
        put_span_names(out, &self.words.spans, record);
    }
}

impl Layout for Json {
    fn render(&mut self, record: &Record<'_>, out: &mut Vec<u8>) -> Result<(), LayoutError> {
        out.extend_from_slice(&self.words.time);
        self.time.put(out, record.unix_ns);
        let site = record.site;
        let text = || (self.id, self.text_of_site(site));
        let (id, kept) = site.layout_text.get_or_init(text);
        if *id == self.id {
            out.extend_from_slice(kept);
        } else {
            out.extend_from_slice(&self.text_of_site(site));
        }
        if self.is_flat {
            self.put_flat(record, out);
        } else {
            let has_context = self.put_fields(record, out);
            self.put_spans(record, has_context, out);
        }
        out.push(b'}');
        if self.spans.capacity() > BUFFER_BYTES_KEPT {
            self.spans = Vec::new();
        }
        self.merged.trim(BUFFER_BYTES_KEPT);
        Ok(())
    }

    fn check(&self) -> Result<(), LayoutError> {
        let names: Vec<_> = self.own_names().collect();
        let mut rest = names.as_slice();
        while let Some((name, others)) = rest.split_first() {
            if others.contains(name) {
                return Err(LayoutError::new(format!(
                    "two members of the JSON layout are called {name:?}: rename one of them, or \
                     give the static field another name"
                )));
            }
            rest = others;
        }
        Ok(())
    }
}

/// Writes fields, after a message perhaps, if each name comes once, as in most records. The words in
/// `open` stand before the message and before the fields. `false`: they need to be merged, and nothing
/// is written.
#[inline]
fn put_plain_fields(
    record: &Record<'_>,
    fields: &mut Fields<'_>,
    site: &PreparedSite,
    open: (&[u8], &[u8]),
    out: &mut Vec<u8>,
) -> bool {
    if site.has_twins() {
        return false;
    }
    let start = out.len();
    let all = fields.clone();
    let mut is_first = true;
    let mut named = 0;
    // Those that were written, to find one that comes again.
    let mut seen = 0_u64;
    while let Some((key, value)) = fields.next_own() {
        let known = match key {
            Key::Index(index) => {
                let bit = 1_u64.checked_shl(index as u32).unwrap_or_default();
                let is_new = bit != 0 && seen & bit == 0;
                seen |= bit;
                site.fields.get(index).filter(|_| is_new)
            }
            Key::Name(name) => {
                named += 1;
                site.named(named - 1, name, &all, record.sites)
            }
        };
        // The message comes first as a rule. In a span there is none.
        let known = known.filter(|known| match (known.role, &value) {
            (Role::Message, _) => is_first && !open.0.is_empty(),
            (_, Plain::Other(value)) => causes(value).is_none(),
            (_, Plain::Text(_)) => true,
        });
        let Some(known) = known else {
            out.truncate(start);
            return false;
        };
        if known.role == Role::Message {
            out.extend_from_slice(open.0);
            put_plain(out, &value);
            continue;
        }
        if std::mem::take(&mut is_first) {
            out.extend_from_slice(open.1);
            out.extend_from_slice(known.json.get(1..).unwrap_or_default());
        } else {
            out.extend_from_slice(&known.json);
        }
        if known.role == Role::Hidden {
            escape::put_string(out, REDACTED);
        } else {
            put_plain(out, &value);
        }
    }
    if !is_first {
        out.push(b'}');
    }
    true
}

fn put_span_names(out: &mut Vec<u8>, before: &[u8], record: &Record<'_>) {
    let mut names = 0;
    record.each_span_name(|name| {
        out.extend_from_slice(if names == 0 { before } else { b"," });
        escape::put_string(out, name);
        names += 1;
    });
    if names > 0 {
        out.push(b']');
    }
}

fn add(merged: &mut Merged, before: &str, field: &Written<'_>) {
    let put_name = |out: &mut Vec<u8>, after: &str| {
        out.push(b'"');
        escape::put_escaped(out, before);
        escape::put_escaped(out, field.name);
        escape::put_escaped(out, after);
        out.extend_from_slice(b"\":");
    };
    merged.add([before, field.name, ""], |out| {
        put_name(out, "");
        put_value(out, &field.value);
    });
    if let Some(chain) = causes(&field.value) {
        merged.add([before, field.name, ".chain"], |out| {
            put_name(out, ".chain");
            out.push(b'[');
            for (index, text) in chain.texts().skip(1).enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                escape::put_string(out, text);
            }
            out.push(b']');
        });
    }
}

/// The chain of an error that has causes.
fn causes<'a>(value: &Value<'a>) -> Option<Chain<'a>> {
    match value {
        Value::Error(chain) if chain.texts().nth(1).is_some() => Some(*chain),
        _ => None,
    }
}

#[inline]
fn put_plain(out: &mut Vec<u8>, value: &Plain<'_>) {
    match value {
        Plain::Text(text) => escape::put_bytes(out, text),
        Plain::Other(value) => put_value(out, value),
    }
}

#[inline]
fn put_value(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Text(text) => escape::put_string(out, text),
        Value::I64(value) => number::put_i64(out, *value),
        Value::U64(value) => number::put_u64(out, *value),
        other => put_rare_value(out, other),
    }
}

fn put_rare_value(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::I64(value) => number::put_i64(out, *value),
        Value::U64(value) => number::put_u64(out, *value),
        Value::I128(value) => number::put_display(out, value),
        Value::U128(value) => number::put_display(out, value),
        Value::F64(value) => number::put_f64(out, *value),
        Value::Text(text) => escape::put_string(out, text),
        Value::Broken(text) => {
            out.push(b'"');
            escape::put_escaped(out, text);
            escape::put_escaped(out, BROKEN);
            out.push(b'"');
        }
        Value::Bytes(bytes) => {
            out.push(b'"');
            base64::put(out, bytes);
            out.push(b'"');
        }
        Value::Json(text) => {
            if !nested::put(out, text) {
                escape::put_string(out, text);
            }
        }
        Value::Error(chain) => escape::put_string(out, chain.texts().next().unwrap_or_default()),
    }
}
