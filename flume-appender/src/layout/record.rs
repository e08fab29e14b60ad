//! [`Record`]: a log record as layouts see it.

use std::fmt;
use std::sync::Arc;

use super::edits::Edits;
use crate::capture::{Chain, Field, Fields, Key, SpanNode, Value, cut};
use crate::level::Level;
use crate::prepared::redact::REDACTED;
use crate::prepared::site::{PreparedSite, Role, Sites, plain_name};

/// A log record, on its way to a body and headers.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    pub(crate) unix_ns: u64,
    pub(crate) stamp: u64,
    pub(crate) site: &'a PreparedSite,
    pub(crate) sites: &'a Sites,
    pub(crate) span: Option<&'a Arc<SpanNode>>,
    pub(crate) bytes: &'a [u8],
    /// None unless something is to be changed.
    pub(crate) edits: Option<&'a Edits>,
    /// Longer values are cut.
    pub(crate) value_bytes_max: usize,
}

/// A field as it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: Value<'a>,
    pub(crate) role: Role,
    pub(crate) is_context: bool,
    /// Its place among the fields to be promoted to headers.
    pub(crate) promoted: Option<usize>,
}

impl<'a> Record<'a> {
    /// When it was logged: nanoseconds since 1970.
    #[must_use]
    pub fn unix_ns(&self) -> u64 {
        self.unix_ns
    }

    /// How much it matters.
    #[must_use]
    pub fn level(&self) -> Level {
        self.site.text.level
    }

    /// What filters look at; the module as a rule.
    #[must_use]
    pub fn target(&self) -> &'a str {
        &self.site.text.target
    }

    /// The module it was logged in.
    #[must_use]
    pub fn module(&self) -> Option<&'a str> {
        self.site.text.module.as_deref()
    }

    /// The file it was logged in.
    #[must_use]
    pub fn file(&self) -> Option<&'a str> {
        self.site.text.file.as_deref()
    }

    /// The line it was logged in.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        self.site.text.line
    }

    /// Its message, if it has one.
    #[must_use]
    pub fn message(&self) -> Option<Value<'a>> {
        if let Some(message) = self.edits.and_then(Edits::message) {
            return Some(Value::Text(message));
        }
        let mut messages = self
            .written()
            .filter(|field| field.role == Role::Message && !field.is_context);
        messages.next().map(|message| message.value)
    }

    /// Its fields without the message, with their names, in the order in which they were logged.
    /// Values that are not to be told read `[redacted]`. A name may come more than once; then the
    /// last one counts.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        self.own().map(|field| (field.name, field.value))
    }

    /// The value of the last field of this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Value<'a>> {
        let named = self.fields().filter(|(known, _)| *known == name);
        named.last().map(|(_, value)| value)
    }

    /// Hands on the fields of the spans around it, the outermost span first.
    pub fn each_span_field(&self, mut hand_on: impl FnMut(&str, Value<'_>)) {
        self.each_context(|field| hand_on(field.name, field.value));
    }

    /// Hands on the names of the spans around it, the outermost first.
    pub fn each_span_name(&self, mut hand_on: impl FnMut(&'a str)) {
        self.each_span(|_, site| {
            let name = &*site.text.name;
            if !name.is_empty() {
                hand_on(name);
            }
        });
    }

    /// Whether it is to be written as it was logged: nothing is edited, nothing is cut.
    #[inline]
    pub(crate) fn is_as_it_was(&self) -> bool {
        self.edits.is_none() && self.value_bytes_max == usize::MAX
    }

    /// All fields that came with the record, ready to be written: its own ones, the message among
    /// them, and after them those of what it stands in.
    #[inline]
    pub(crate) fn written(&self) -> impl Iterator<Item = Written<'a>> + use<'a> {
        self.look_at_all(Fields::new(self.bytes), self.site)
    }

    /// Its own ones but for the message.
    pub(crate) fn own(&self) -> impl Iterator<Item = Written<'a>> + use<'a> {
        self.written()
            .filter(|field| field.role != Role::Message && !field.is_context)
    }

    /// Hands on the fields of all that it stands in, the outermost first.
    pub(crate) fn each_context(&self, mut hand_on: impl FnMut(&Written<'_>)) {
        self.each_span(|node, site| {
            node.each_field(self.stamp, |fields| {
                self.look_at_all(fields, site)
                    .for_each(|field| hand_on(&field));
            });
        });
        let context = self.written().filter(|field| field.is_context);
        context.for_each(|field| hand_on(&field));
    }

    /// Hands on the fields that are to become headers, those of the spans around it first, the
    /// outermost span first; with their places among all such fields.
    pub(crate) fn each_promoted(&self, mut hand_on: impl FnMut(usize, &Written<'_>)) {
        let mut hand_on_all = |fields: Fields<'_>, site: &PreparedSite, is_span: bool| {
            let is_promoted = |field: &Field<'_>| match field.key {
                Key::Index(index) => site.promoted(index).is_some(),
                Key::Name(name) => self.sites.promoted(plain_name(name)).is_some(),
            };
            for (index, field) in fields.enumerate() {
                if !is_promoted(&field) {
                    continue;
                }
                let Some(mut written) = self.look_at(field, index == 0, site) else {
                    continue;
                };
                written.is_context |= is_span;
                let is_message = written.role == Role::Message && !written.is_context;
                if let (Some(place), false) = (written.promoted, is_message) {
                    hand_on(place, &written);
                }
            }
        };
        self.each_span(|node, site| {
            node.each_field(self.stamp, |fields| hand_on_all(fields, site, true));
        });
        hand_on_all(Fields::new(self.bytes), self.site, false);
    }

    /// Hands on the spans around it, the outermost first.
    fn each_span(&self, mut hand_on: impl FnMut(&'a SpanNode, &'a PreparedSite)) {
        let mut chain = [None; crate::capture::DEPTH_MAX as usize];
        let mut depth = 0;
        for node in self.span.into_iter().flat_map(|span| span.with_parents()) {
            if let Some(place) = chain.get_mut(depth) {
                *place = Some(node);
                depth += 1;
            }
        }
        let known = chain.get(..depth).unwrap_or_default();
        for node in known.iter().rev().flatten().copied() {
            if let Some(site) = self.sites.get(node.site()) {
                hand_on(node, site);
            }
        }
    }

    #[inline]
    fn look_at_all<'f>(
        &self,
        fields: Fields<'f>,
        site: &'f PreparedSite,
    ) -> impl Iterator<Item = Written<'f>> + use<'a, 'f>
    where
        'a: 'f,
    {
        let record = *self;
        let mut is_first = true;
        fields.filter_map(move |field| record.look_at(field, std::mem::take(&mut is_first), site))
    }

    /// A field as it is to be written; none if it is left out.
    #[inline]
    fn look_at<'f>(
        &self,
        field: Field<'f>,
        is_first: bool,
        site: &'f PreparedSite,
    ) -> Option<Written<'f>>
    where
        'a: 'f,
    {
        let mut written = Written {
            name: "",
            value: field.value,
            role: Role::Plain,
            is_context: field.is_context,
            promoted: None,
        };
        match field.key {
            Key::Index(index) => {
                let known = site.fields.get(index)?;
                written.name = known.name.as_str();
                written.role = known.role;
                written.promoted = known.promoted;
            }
            Key::Name(name) => {
                let name = plain_name(name);
                written.name = name;
                written.role = match self.sites.role_of(name) {
                    // A front end writes the message first. A field of that name is the user's.
                    Role::Message if !is_first => Role::Plain,
                    role => role,
                };
                written.promoted = self.sites.promoted(name);
            }
        }
        if self.edits.is_some_and(|edits| {
            edits.message().is_some() && written.role == Role::Message && !field.is_context
        }) {
            return None;
        }
        match self.edits.and_then(|edits| edits.of(written.name)) {
            Some(text) => written.value = Value::Text(text?),
            None if written.role == Role::Hidden => written.value = Value::Text(REDACTED),
            None => {}
        }
        if let Value::Text(text) = written.value {
            if text.len() > self.value_bytes_max {
                written.value = Value::Text(cut(text, self.value_bytes_max));
            }
        } else if self.value_bytes_max < usize::MAX {
            written.value = shortened(written.value, self.value_bytes_max);
        }
        Some(written)
    }
}

impl fmt::Debug for Record<'_> {
    /// Where it comes from, never what it says: that may be private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("unix_ns", &self.unix_ns)
            .field("level", &self.level())
            .field("target", &self.target())
            .finish_non_exhaustive()
    }
}

/// The value in so many bytes; of a kind that cannot be cut, a text.
fn shortened(value: Value<'_>, most: usize) -> Value<'_> {
    let length = |chain: Chain<'_>| chain.texts().map(str::len).sum::<usize>();
    match value {
        Value::Broken(text) => Value::Broken(cut(text, most)),
        Value::Bytes(bytes) => Value::Bytes(bytes.get(..most).unwrap_or(bytes)),
        Value::Json(text) if text.len() > most => Value::Text(cut(text, most)),
        Value::Error(chain) if length(chain) > most => {
            let first = chain.texts().next();
            Value::Text(cut(first.unwrap_or_default(), most))
        }
        other => other,
    }
}
