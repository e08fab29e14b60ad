//! [`Event`]: what travels through a flow, a body of bytes with string headers.
//!
//! An event is kept from its construction on as one Avro datum of Flume's `AvroFlumeEvent` record:
//!
//! | part | bytes |
//! |---|---|
//! | header count | zigzag varint, left out when there are no headers |
//! | headers | for each: key length, key, value length, value |
//! | end of headers | `00` |
//! | body length | zigzag varint |
//! | body | as given |
//!
//! Nothing later encodes it again: buffer and socket only move these bytes.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use crate::wire::avro::DecodeError;
use crate::wire::avro::datum::{self, EventRef, Reader};

/// Most headers an event may carry: enough for any service's context, and few enough to be looked
/// through each time one is set, which takes less than a microsecond. Further ones are not kept.
pub const HEADERS_MAX: usize = 64;
/// Longest header key, in bytes of UTF-8.
pub const HEADER_KEY_BYTES_MAX: usize = 256;
/// Longest header value, in bytes of UTF-8.
pub const HEADER_VALUE_BYTES_MAX: usize = 8 * 1024;
/// Most bytes all headers of one event may take together, lengths included.
pub const HEADER_BYTES_MAX: usize = 64 * 1024;

/// A body of bytes with string headers, in Flume's sense of the word.
///
/// Headers keep the order in which they were first set; setting a key again replaces its value.
/// Flume itself keeps them in a map without order. The body is never interpreted.
///
/// Limits on headers ([`HEADERS_MAX`], [`HEADER_KEY_BYTES_MAX`], [`HEADER_VALUE_BYTES_MAX`],
/// [`HEADER_BYTES_MAX`]) are checked as they are added and reported by
/// [`Client::append`](crate::Client::append), which hands the event back, so building never fails.
///
/// ```
/// use flume_client::Event;
///
/// let event = Event::new("GET /index.html 200").header("host", "web-1").header("level", "INFO");
/// assert_eq!(event.body(), b"GET /index.html 200");
/// assert_eq!(event.headers().collect::<Vec<_>>(), [("host", "web-1"), ("level", "INFO")]);
/// ```
#[derive(Clone)]
pub struct Event {
    /// Room for more headers, then the datum: a header that is set moves those before it into the
    /// room, and the body stays where it is.
    bytes: Vec<u8>,
    /// Where the headers lie in `bytes`: after their count, and before the `00`.
    pairs: Range<usize>,
    header_count: usize,
    has_own_id: bool,
    /// Boxed, as few events have one, and an event is moved into `append`.
    fault: Option<Box<HeaderFault>>,
}

impl Event {
    /// An event with this body and no headers. Copies the body once, into its place in the datum.
    #[must_use]
    pub fn new(body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut event = Self::with_room(HEADER_ROOM + body.len());
        event.put_body(body);
        event
    }

    /// An event with this body and these headers, made at once: the same as [`new`](Self::new) and
    /// [`header`](Self::header) for each of them, for less.
    ///
    /// ```
    /// use flume_client::Event;
    ///
    /// let event = Event::with_headers("GET /index.html 200", [("host", "web-1"), ("level", "INFO")]);
    /// let one_by_one = Event::new("GET /index.html 200").header("host", "web-1");
    /// assert_eq!(event, one_by_one.header("level", "INFO"));
    ///
    /// let context = std::collections::BTreeMap::from([("user".to_owned(), "17".to_owned())]);
    /// assert_eq!(Event::with_headers("", &context), Event::new("").header("user", "17"));
    /// ```
    #[must_use]
    pub fn with_headers<K: AsRef<str>, V: AsRef<str>>(
        body: impl AsRef<[u8]>,
        headers: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let body = body.as_ref();
        let mut event = Self::with_room(2 * HEADER_ROOM + body.len());
        for (key, value) in headers {
            event.set_header(key.as_ref(), value.as_ref());
        }
        event.put_body(body);
        event
    }

    /// Makes it another event, in the memory of this one.
    pub(crate) fn become_that_of(&mut self, headers: &[(&str, &str)], body: &[u8]) {
        self.bytes.clear();
        self.begin();
        for (key, value) in headers {
            self.set_header(key, value);
        }
        self.put_body(body);
    }

    /// Bytes of memory that it holds beside itself.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// An event without headers that has no body yet, with memory for `bytes` of both.
    fn with_room(bytes: usize) -> Self {
        let mut event = Self {
            bytes: Vec::with_capacity(bytes + LENGTHS_ROOM),
            pairs: 0..0,
            header_count: 0,
            has_own_id: false,
            fault: None,
        };
        event.begin();
        event
    }

    /// Makes empty `bytes` the beginning of an event, to which headers and then a body can be added.
    fn begin(&mut self) {
        self.bytes.resize(HEADER_ROOM, 0);
        self.pairs = HEADER_ROOM..HEADER_ROOM;
        self.header_count = 0;
        self.has_own_id = false;
        self.fault = None;
    }

    /// Ends what was begun: nothing is after the headers until then.
    fn put_body(&mut self, body: &[u8]) {
        self.bytes.push(0);
        datum::put_bytes(&mut self.bytes, body);
        if self.header_count > 0 {
            self.put_count();
        }
    }

    fn has_body(&self) -> bool {
        self.bytes.len() > self.pairs.end
    }

    /// The event that a peer wrote as one Avro datum of `AvroFlumeEvent`.
    ///
    /// Keeps the bytes as they are unless they are longer than need be or give a key twice; then
    /// the event is written anew, the last value of a key in the place of the first. Our own
    /// limits on headers are not the peer's: an event over them is read, and refused when appended.
    ///
    /// ```
    /// use flume_client::Event;
    ///
    /// let event = Event::from_datum(b"\x02\x02k\x02v\x00\x04hi".to_vec())?;
    /// assert_eq!(event, Event::new("hi").header("k", "v"));
    /// # Ok::<(), flume_client::error::DecodeError>(())
    /// ```
    pub fn from_datum(datum: Vec<u8>) -> Result<Self, DecodeError> {
        let event = EventRef::parse(&datum)?;
        let pairs = event.headers().collect::<Result<Vec<_>, _>>()?;
        let shortest = datum::event_len(pairs.iter().copied(), event.body());
        if shortest == datum.len() && !has_twins(&pairs) {
            let header_bytes = datum.len() - datum::bytes_len(event.body().len());
            let event = Self::of_pairs(&pairs, header_bytes);
            return Ok(Self {
                bytes: datum,
                ..event
            });
        }
        let (pairs, body) = (without_twins(&pairs), event.body());
        let mut bytes = Vec::with_capacity(datum::event_len(pairs.iter().copied(), body));
        datum::put_event(&mut bytes, pairs.iter().copied(), body);
        let header_bytes = bytes.len() - datum::bytes_len(body.len());
        let event = Self::of_pairs(&pairs, header_bytes);
        Ok(Self { bytes, ..event })
    }

    /// What is to be known of an event with these headers, however many, each key once, whose datum
    /// has `header_bytes` up to the body.
    fn of_pairs(pairs: &[(&str, &str)], header_bytes: usize) -> Self {
        Self {
            bytes: Vec::new(),
            pairs: count_len(pairs.len())..header_bytes - 1,
            header_count: pairs.len(),
            has_own_id: pairs.iter().any(|(key, _)| *key == ID_HEADER),
            fault: HeaderFault::of_all(pairs, header_bytes).map(Box::new),
        }
    }

    /// Sets a header. A key that is there already gets the new value and keeps its place.
    ///
    /// A header more than [`HEADERS_MAX`] is not kept, and the event is refused when it is appended,
    /// whatever is set afterwards.
    ///
    /// Costs a move of the headers that were set before, some nanoseconds; the body stays where it is.
    #[must_use]
    pub fn header(mut self, key: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.set_header(key.as_ref(), value.as_ref());
        self
    }

    /// The same as [`header`](Self::header), for an event at hand.
    pub fn set_header(&mut self, key: &str, value: &str) {
        let place = self.value_place(key);
        let known = self.header_count;
        let count = known + usize::from(place.is_none());
        if count > known && count > HEADERS_MAX {
            self.fault = Some(Box::new(HeaderFault::TooMany { count }));
            return;
        }
        if self.fault.is_none() {
            self.fault = HeaderFault::of(key, value, count).map(Box::new);
        }
        match place {
            Some(place) => {
                let room = self.make_room(place, datum::bytes_len(value.len()));
                datum::fill_bytes(room, value.as_bytes());
            }
            None => self.insert_header(key, value),
        }
        if self.fault.is_some() && count == known && !self.is_at_fault_for_good() {
            // What was at fault may just have been replaced.
            let pairs: Vec<_> = self.headers().collect();
            self.fault = HeaderFault::of_all(&pairs, self.header_bytes()).map(Box::new);
        }
        let bytes = self.header_bytes();
        if self.fault.is_none() && bytes > HEADER_BYTES_MAX {
            self.fault = Some(Box::new(HeaderFault::TooManyBytes { bytes }));
        }
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        let (_, body) = self.bytes.split_at(self.pairs.end + 1);
        let body = Reader::new(body).bytes("event body", usize::MAX);
        body.expect(OWN_DATUM)
    }

    /// The headers, in the order in which their keys were first set.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let (pairs, _) = self.bytes.split_at(self.pairs.end);
        let mut pairs = Reader::new(pairs.split_at(self.pairs.start).1);
        let mut text = move || pairs.string("header", usize::MAX).expect(OWN_DATUM);
        (0..self.header_count).map(move |_| (text(), text()))
    }

    /// The value of one header.
    #[must_use]
    pub fn header_value(&self, key: &str) -> Option<&str> {
        self.headers()
            .find_map(|(known, value)| (known == key).then_some(value))
    }

    /// The event as it is stored and sent: one Avro datum of `AvroFlumeEvent`.
    #[must_use]
    pub fn as_datum(&self) -> &[u8] {
        self.bytes.split_at(self.start()).1
    }

    /// Writes the datum with one more header before the others; `pair` is its key and value as
    /// they travel.
    // Left to itself the compiler calls it in some builds: 3 % more instructions for `append`.
    #[inline]
    pub(crate) fn put_with_pair(&self, out: &mut Vec<u8>, pair: &[u8]) {
        datum::put_long(out, self.header_count as i64 + 1);
        out.extend_from_slice(pair);
        out.extend_from_slice(self.bytes.split_at(self.pairs.start).1);
    }

    /// Whether it carries a header of this key.
    pub(crate) fn has_header(&self, key: &str) -> bool {
        self.value_place(key).is_some()
    }

    /// Whether it carries the header that names an event.
    pub(crate) fn has_own_id(&self) -> bool {
        self.has_own_id
    }

    pub(crate) fn fault(&self) -> Option<&HeaderFault> {
        self.fault.as_deref()
    }

    fn is_at_fault_for_good(&self) -> bool {
        matches!(self.fault(), Some(HeaderFault::TooMany { .. }))
    }

    /// Where the datum begins.
    fn start(&self) -> usize {
        self.pairs.start - count_len(self.header_count)
    }

    fn header_bytes(&self) -> usize {
        self.pairs.end + 1 - self.start()
    }

    /// Where the value of `key` lies in `bytes`, its length included.
    fn value_place(&self, key: &str) -> Option<Range<usize>> {
        let mut pairs = Reader::new(self.bytes.get(self.pairs.clone())?);
        while !pairs.rest().is_empty() {
            let known = pairs.bytes("header key", usize::MAX).expect(OWN_DATUM);
            let start = self.pairs.end - pairs.rest().len();
            pairs.bytes("header value", usize::MAX).expect(OWN_DATUM);
            if known == key.as_bytes() {
                return Some(start..self.pairs.end - pairs.rest().len());
            }
        }
        None
    }

    /// Puts a new pair after the last one, and the new count in front.
    fn insert_header(&mut self, key: &str, value: &str) {
        self.header_count += 1;
        self.has_own_id |= key == ID_HEADER;
        let end = self.pairs.end;
        if self.has_body() {
            let len = datum::bytes_len(key.len()) + datum::bytes_len(value.len());
            let room = self.make_room(end..end, len);
            let room = datum::fill_bytes(room, key.as_bytes());
            datum::fill_bytes(room, value.as_bytes());
        } else {
            datum::put_bytes(&mut self.bytes, key.as_bytes());
            datum::put_bytes(&mut self.bytes, value.as_bytes());
            self.pairs.end = self.bytes.len();
        }
    }

    /// Writes how many headers there are before them.
    fn put_count(&mut self) {
        let start = self.start();
        datum::fill_long(self.bytes.split_at_mut(start).1, self.header_count as i64);
    }

    /// Puts `len` bytes, to be overwritten, in the place of others among the headers. Moves what is
    /// before them.
    fn make_room(&mut self, place: Range<usize>, len: usize) -> &mut [u8] {
        let moved = self.reserve_front(len.saturating_sub(place.len()));
        let (old, old_len) = (self.pairs.start, place.len());
        self.pairs.start = old + old_len - len;
        self.bytes
            .copy_within(old..place.start + moved, self.pairs.start);
        self.put_count();
        let (room, _) = self.bytes.split_at_mut(place.end + moved);
        room.split_at_mut(room.len() - len).1
    }

    /// Makes room for `len` bytes of headers before those that are there. Says by how many bytes
    /// everything was moved for it.
    fn reserve_front(&mut self, len: usize) -> usize {
        let needed = len + COUNT_ROOM;
        if self.pairs.start >= needed {
            return 0;
        }
        // As much as the headers have, so that an event of many is not moved for each of them.
        let added = needed.max(HEADER_ROOM).max(self.pairs.len());
        let before = self.bytes.len();
        self.bytes.reserve_exact(added);
        self.bytes.resize(before + added, 0);
        self.bytes.copy_within(..before, added);
        self.pairs = self.pairs.start + added..self.pairs.end + added;
        added
    }
}

/// The key of the header that names an event: see [`event_id`](crate::event_id).
pub(crate) const ID_HEADER: &str = "guid";

const OWN_DATUM: &str = "an event's datum is only ever written by this file";

/// Room kept for headers, so that a typical event gets its headers without a reallocation.
const HEADER_ROOM: usize = 96;
/// Room for the count of headers.
const COUNT_ROOM: usize = 10;
/// Room for the `00` and the length of a body.
const LENGTHS_ROOM: usize = 1 + 10;

/// Bytes of the header count, which is left out when there are no headers.
fn count_len(count: usize) -> usize {
    match count {
        0 => 0,
        _ => datum::long_len(count as i64),
    }
}

/// Each key once, the last value of it in the place of the first.
fn without_twins<'a>(pairs: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut places = BTreeMap::new();
    let mut kept: Vec<(&str, &str)> = Vec::new();
    for (key, value) in pairs {
        let place = *places.entry(*key).or_insert(kept.len());
        match kept.get_mut(place) {
            Some(pair) => pair.1 = value,
            None => kept.push((key, value)),
        }
    }
    kept
}

/// Whether a key comes twice.
fn has_twins(pairs: &[(&str, &str)]) -> bool {
    let mut keys: Vec<&str> = pairs.iter().map(|(key, _)| *key).collect();
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair.first() == pair.last())
}

impl PartialEq for Event {
    /// Events are equal if they travel as the same bytes.
    fn eq(&self, other: &Self) -> bool {
        self.as_datum() == other.as_datum()
    }
}

impl Eq for Event {}

impl fmt::Debug for Event {
    /// Shows sizes, never contents: bodies and header values may be private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("headers", &self.header_count)
            .field("body_bytes", &self.body().len())
            .finish_non_exhaustive()
    }
}

/// Whether there is a NUL among them: eight bytes at a time, as most keys and values are too short
/// for anything that takes a longer run-up.
#[inline]
fn holds_nul(bytes: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    let word_holds = |word: &[u8; 8]| {
        let word = u64::from_ne_bytes(*word);
        // Only a NUL borrows from the byte above it without having its highest bit set.
        word.wrapping_sub(ONES) & !word & (ONES << 7) != 0
    };
    match bytes.last_chunk() {
        // The last word may lie over the one before.
        Some(last) => word_holds(last) || bytes.as_chunks().0.iter().any(word_holds),
        None => bytes.contains(&0),
    }
}

/// The first limit that an event's headers broke.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderFault {
    /// A key is empty.
    #[error("a header key is empty")]
    EmptyKey,
    /// A key is longer than [`HEADER_KEY_BYTES_MAX`].
    #[error("a header key has {bytes} bytes, more than the {HEADER_KEY_BYTES_MAX} allowed")]
    LongKey {
        /// Length of the key.
        bytes: usize,
    },
    /// A value is longer than [`HEADER_VALUE_BYTES_MAX`].
    #[error(
        "the value of header {key:?} has {bytes} bytes, more than the {HEADER_VALUE_BYTES_MAX} allowed"
    )]
    LongValue {
        /// The header.
        key: String,
        /// Length of its value.
        bytes: usize,
    },
    /// A key or value holds a NUL character.
    #[error("header {key:?} holds a NUL character in its key or value")]
    Nul {
        /// The header.
        key: String,
    },
    /// More than [`HEADERS_MAX`] headers were set; those over it are not kept.
    #[error("the event has {count} headers, more than the {HEADERS_MAX} allowed")]
    TooMany {
        /// Number of headers, with the first one that was not kept.
        count: usize,
    },
    /// All headers together take more than [`HEADER_BYTES_MAX`].
    #[error("the headers take {bytes} bytes together, more than the {HEADER_BYTES_MAX} allowed")]
    TooManyBytes {
        /// Bytes of all headers.
        bytes: usize,
    },
}

impl HeaderFault {
    /// The first limit that any of `pairs` breaks; `bytes` is what they take together.
    fn of_all(pairs: &[(&str, &str)], bytes: usize) -> Option<Self> {
        pairs
            .iter()
            .zip(1..)
            .find_map(|((key, value), count)| Self::of(key, value, count))
            .or_else(|| (bytes > HEADER_BYTES_MAX).then_some(Self::TooManyBytes { bytes }))
    }

    pub(crate) fn of(key: &str, value: &str, count: usize) -> Option<Self> {
        if key.is_empty() {
            Some(Self::EmptyKey)
        } else if key.len() > HEADER_KEY_BYTES_MAX {
            Some(Self::LongKey { bytes: key.len() })
        } else if value.len() > HEADER_VALUE_BYTES_MAX {
            Some(Self::LongValue {
                key: key.into(),
                bytes: value.len(),
            })
        } else if holds_nul(key.as_bytes()) || holds_nul(value.as_bytes()) {
            Some(Self::Nul { key: key.into() })
        } else if count > HEADERS_MAX {
            Some(Self::TooMany { count })
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests;
