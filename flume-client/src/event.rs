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
use crate::wire::avro::datum::{self, EventRef, Headers, Reader};

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
    datum: Vec<u8>,
    header_count: usize,
    /// Where the headers end: the place of the `00` after the last one.
    headers_end: usize,
    fault: Option<HeaderFault>,
}

impl Event {
    /// An event with this body and no headers. Copies the body once, into its place in the datum.
    #[must_use]
    pub fn new(body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut datum = Vec::with_capacity(datum::event_len([], body) + HEADER_ROOM);
        datum::put_event(&mut datum, [], body);
        Self {
            datum,
            header_count: 0,
            headers_end: 0,
            fault: None,
        }
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
            let header_count = pairs.len();
            let header_bytes = datum.len() - datum::bytes_len(event.body().len());
            let fault = HeaderFault::of_all(&pairs, header_bytes);
            return Ok(Self {
                datum,
                header_count,
                headers_end: header_bytes - 1,
                fault,
            });
        }
        Ok(Self::of_pairs(&without_twins(&pairs), event.body()))
    }

    /// An event with these headers, however many, each key once.
    fn of_pairs(pairs: &[(&str, &str)], body: &[u8]) -> Self {
        let mut datum = Vec::with_capacity(datum::event_len(pairs.iter().copied(), body));
        datum::put_event(&mut datum, pairs.iter().copied(), body);
        let header_bytes = datum.len() - datum::bytes_len(body.len());
        Self {
            header_count: pairs.len(),
            headers_end: header_bytes - 1,
            fault: HeaderFault::of_all(pairs, header_bytes),
            datum,
        }
    }

    /// Sets a header. A key that is there already gets the new value and keeps its place.
    ///
    /// A header more than [`HEADERS_MAX`] is not kept, and the event is refused when it is appended,
    /// whatever is set afterwards.
    ///
    /// Costs a move of the bytes after it, the body above all: a few nanoseconds for a log line.
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
            self.fault = Some(HeaderFault::TooMany { count });
            return;
        }
        if self.fault.is_none() {
            self.fault = HeaderFault::of(key, value, count);
        }
        match place {
            Some(place) => {
                let len = datum::bytes_len(value.len());
                self.headers_end = self.headers_end - place.len() + len;
                datum::fill_bytes(self.make_room(place, len), value.as_bytes());
            }
            None => self.insert_header(key, value),
        }
        let is_for_good = matches!(self.fault, Some(HeaderFault::TooMany { .. }));
        if self.fault.is_some() && count == known && !is_for_good {
            // What was at fault may just have been replaced.
            let pairs: Vec<_> = self.headers().collect();
            self.fault = HeaderFault::of_all(&pairs, self.header_bytes());
        }
        if self.fault.is_none() && self.header_bytes() > HEADER_BYTES_MAX {
            self.fault = Some(HeaderFault::TooManyBytes {
                bytes: self.header_bytes(),
            });
        }
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        let (_, body) = self.datum.split_at(self.header_bytes());
        let body = Reader::new(body).bytes("event body", usize::MAX);
        body.expect(OWN_DATUM)
    }

    /// The headers, in the order in which their keys were first set.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        Headers::of_own(&self.datum).map(|pair| pair.expect(OWN_DATUM))
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
        &self.datum
    }

    /// Writes the datum with one more header before the others; `pair` is its key and value as
    /// they travel.
    // Left to itself the compiler calls it in some builds: 3 % more instructions for `append`.
    #[inline]
    pub(crate) fn put_with_pair(&self, out: &mut Vec<u8>, pair: &[u8]) {
        datum::put_long(out, self.header_count as i64 + 1);
        out.extend_from_slice(pair);
        let rest = self.datum.get(count_len(self.header_count)..);
        out.extend_from_slice(rest.expect(OWN_DATUM));
    }

    /// Whether it carries a header of this key.
    pub(crate) fn has_header(&self, key: &str) -> bool {
        self.value_place(key).is_some()
    }

    pub(crate) fn fault(&self) -> Option<&HeaderFault> {
        self.fault.as_ref()
    }

    fn header_bytes(&self) -> usize {
        self.headers_end + 1
    }

    /// Where the value of `key` lies in the datum, its length included.
    fn value_place(&self, key: &str) -> Option<Range<usize>> {
        let start = count_len(self.header_count);
        let mut pairs = Reader::new(self.datum.get(start..self.headers_end)?);
        while !pairs.rest().is_empty() {
            let known = pairs.bytes("header key", usize::MAX).expect(OWN_DATUM);
            let start = self.headers_end - pairs.rest().len();
            pairs.bytes("header value", usize::MAX).expect(OWN_DATUM);
            if known == key.as_bytes() {
                return Some(start..self.headers_end - pairs.rest().len());
            }
        }
        None
    }

    /// Puts a new pair after the last one, and the new count in front.
    fn insert_header(&mut self, key: &str, value: &str) {
        let end = self.headers_end;
        let old_len = count_len(self.header_count);
        self.header_count += 1;
        let new_len = count_len(self.header_count);
        let pair_len = datum::bytes_len(key.len()) + datum::bytes_len(value.len());

        self.headers_end = end + new_len - old_len + pair_len;
        self.make_room(end..end, new_len - old_len + pair_len);
        if new_len > old_len {
            self.datum.copy_within(old_len..end, new_len);
        }
        datum::fill_long(&mut self.datum, self.header_count as i64);
        let (_, room) = self.datum.split_at_mut(end + new_len - old_len);
        let room = datum::fill_bytes(room, key.as_bytes());
        datum::fill_bytes(room, value.as_bytes());
    }

    /// Puts `len` bytes, to be overwritten, in the place of others. Moves what is after them once
    /// and allocates only if the datum has no room to grow.
    fn make_room(&mut self, place: Range<usize>, len: usize) -> &mut [u8] {
        let old_len = self.datum.len();
        let room_end = place.start + len;
        let new_len = old_len - place.len() + len;
        self.datum.resize(old_len.max(new_len), 0);
        if room_end != place.end {
            self.datum.copy_within(place.end..old_len, room_end);
        }
        self.datum.truncate(new_len);
        let (_, room) = self.datum.split_at_mut(place.start);
        room.split_at_mut(len).0
    }
}

const OWN_DATUM: &str = "an event's datum is only ever written by this file";

/// Room kept for headers beside the body, so that a typical event grows without a reallocation.
const HEADER_ROOM: usize = 96;

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
        self.datum == other.datum
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
        } else if key.contains('\0') || value.contains('\0') {
            Some(Self::Nul { key: key.into() })
        } else if count > HEADERS_MAX {
            Some(Self::TooMany { count })
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(pairs: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let mut datum = Vec::new();
        datum::put_event(&mut datum, pairs.iter().copied(), body);
        datum
    }

    fn check(event: &Event, headers: &[(&str, &str)], body: &[u8]) {
        assert_eq!(event.headers().collect::<Vec<_>>(), headers);
        assert_eq!(event.body(), body);
        assert_eq!(event.as_datum(), encoded(headers, body));
    }

    #[test]
    fn an_event_without_headers_is_an_empty_map_and_the_body() {
        assert_eq!(Event::new("hi").as_datum(), b"\x00\x04hi");
    }

    #[test]
    fn headers_keep_the_order_of_their_first_setting() {
        let event = Event::new("body")
            .header("z", "1")
            .header("a", "2")
            .header("m", "3");
        check(&event, &[("z", "1"), ("a", "2"), ("m", "3")], b"body");
    }

    #[test]
    fn the_last_value_wins_and_the_place_stays() {
        let event = Event::new("body")
            .header("a", "1")
            .header("b", "2")
            .header("a", "a longer one");
        check(&event, &[("a", "a longer one"), ("b", "2")], b"body");
    }

    #[test]
    fn a_value_is_replaced_in_its_place_whether_it_grows_or_shrinks() {
        let values = ["", "short", &"v".repeat(63), &"v".repeat(64), "short", ""];
        let mut event = Event::new("body").header("a", "1").header("b", "2");
        for value in values {
            event.set_header("a", value);
            check(&event, &[("a", value), ("b", "2")], b"body");
        }
    }

    #[test]
    fn the_sixty_fourth_header_widens_the_count_and_the_sixty_fifth_is_a_fault() {
        let mut event = Event::new(vec![0xff; 300]);
        let keys: Vec<String> = (0..65).map(|n| format!("key-{n}")).collect();
        for key in keys.iter().take(64) {
            event.set_header(key, "v");
        }
        let expected: Vec<_> = keys
            .iter()
            .take(64)
            .map(|key| (key.as_str(), "v"))
            .collect();
        check(&event, &expected, &[0xff; 300]);
        assert_eq!(event.fault(), None);
        event.set_header(&keys[64], "v");
        assert_eq!(event.fault(), Some(&HeaderFault::TooMany { count: 65 }));
    }

    #[test]
    fn a_good_value_in_the_place_of_a_bad_one_takes_the_fault_away() {
        let event = Event::new("")
            .header("a", "\0")
            .header("b", "\0")
            .header("a", "1");
        assert_eq!(event.fault(), Some(&HeaderFault::Nul { key: "b".into() }));
        assert_eq!(event.header("b", "2").fault(), None);
    }

    #[test]
    fn headers_over_the_limit_are_not_kept_and_the_event_is_refused_for_good() {
        let mut event = Event::new("body");
        event.set_header("long", &"v".repeat(HEADER_VALUE_BYTES_MAX + 1));
        for n in 1..30_000 {
            event.set_header(&format!("key-{n}"), "v");
        }
        assert_eq!(event.headers().count(), HEADERS_MAX);
        assert_eq!(event.header_value("key-63"), Some("v"));
        assert_eq!(event.header_value("key-64"), None);
        assert!(event.as_datum().len() < 10_000, "nor is any part of them");
        let too_many = HeaderFault::TooMany { count: 65 };
        assert_eq!(event.fault(), Some(&too_many));
        event.set_header("long", "short now");
        event.set_header("key-1", "w");
        assert_eq!(event.fault(), Some(&too_many));
        assert_eq!(event.header_value("key-1"), Some("w"));
    }

    #[test]
    fn a_peers_event_of_many_headers_is_read_whole_and_refused() {
        let keys: Vec<String> = (0..4000).map(|n| format!("key-{n}")).collect();
        let mut pairs: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "v")).collect();
        let once = pairs.clone();
        // Written anew, as a key comes twice.
        pairs.insert(2000, ("key-0", "w"));
        let event = Event::from_datum(encoded(&pairs, b"body")).unwrap();
        let mut expected = once;
        expected[0].1 = "w";
        check(&event, &expected, b"body");
        assert_eq!(event.fault(), Some(&HeaderFault::TooMany { count: 65 }));
        let grown = event.clone().header("one-more", "v");
        assert_eq!(grown, event);
        assert_eq!(event.header("key-7", "x").header_value("key-7"), Some("x"));
    }

    #[test]
    fn each_header_limit_is_a_fault_of_its_own() {
        let long_key = "k".repeat(HEADER_KEY_BYTES_MAX + 1);
        let long_value = "v".repeat(HEADER_VALUE_BYTES_MAX + 1);
        let fault = |key: &str, value: &str| Event::new("").header(key, value).fault().cloned();
        assert_eq!(fault("", "v"), Some(HeaderFault::EmptyKey));
        assert_eq!(
            fault(&long_key, "v"),
            Some(HeaderFault::LongKey { bytes: 257 })
        );
        assert_eq!(
            fault("a\0b", "v"),
            Some(HeaderFault::Nul { key: "a\0b".into() })
        );
        assert_eq!(
            fault("k", &long_value),
            Some(HeaderFault::LongValue {
                key: "k".into(),
                bytes: 8193
            })
        );
        let mut wide = Event::new("");
        for n in 0..9 {
            wide.set_header(&format!("k{n}"), &"v".repeat(HEADER_VALUE_BYTES_MAX - 1));
        }
        assert!(matches!(
            wide.fault(),
            Some(HeaderFault::TooManyBytes { .. })
        ));
    }

    fn check_read(datum: &[u8], expected: &Event) {
        let event = Event::from_datum(datum.to_vec()).unwrap();
        assert_eq!(&event, expected);
        let grown = event.header("later", "1");
        assert_eq!(grown, expected.clone().header("later", "1"));
    }

    #[test]
    fn a_datum_from_a_peer_becomes_the_event_it_was_written_from() {
        check_read(b"\x00\x04hi", &Event::new("hi"));
        check_read(
            b"\x04\x02a\x021\x02b\x00\x00\x04hi",
            &Event::new("hi").header("a", "1").header("b", ""),
        );
    }

    #[test]
    fn a_datum_in_other_words_is_written_anew() {
        let expected = Event::new("hi").header("a", "1").header("b", "2");
        check_read(b"\x02\x02a\x021\x02\x02b\x022\x00\x04hi", &expected);
        check_read(b"\x03\x10\x02a\x021\x02b\x022\x00\x04hi", &expected);
        check_read(b"\x84\x00\x02a\x021\x02b\x022\x00\x04hi", &expected);
        check_read(b"\x06\x02a\x029\x02b\x022\x02a\x021\x00\x04hi", &expected);
    }

    #[test]
    fn a_datum_over_our_limits_is_read_with_its_fault() {
        let mut datum = vec![2];
        datum::put_bytes(&mut datum, b"");
        datum::put_bytes(&mut datum, b"v");
        datum.extend(b"\x00\x00");
        let event = Event::from_datum(datum).unwrap();
        assert_eq!(event.fault(), Some(&HeaderFault::EmptyKey));
    }

    #[test]
    fn a_datum_that_ends_early_or_late_is_no_event() {
        assert!(Event::from_datum(b"\x00\x04h".to_vec()).is_err());
        assert!(Event::from_datum(b"\x00\x04hi!".to_vec()).is_err());
    }

    #[test]
    fn debug_output_never_shows_contents() {
        let shown = format!(
            "{:?}",
            Event::new("secret body").header("token", "secret value")
        );
        assert!(!shown.contains("secret"), "{shown}");
    }
}
