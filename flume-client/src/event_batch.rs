//! [`EventBatch`]: events in the form in which they travel, built by who makes many of them.
//!
//! [`Client::append`](crate::Client::append) takes an [`Event`](crate::Event), whose making costs more
//! than its way through the client. Who renders events one after the other, as a log appender does,
//! writes them into a batch instead, and hands that over by swapping buffers with the client.
//!
//! ```no_run
//! use flume_client::{Client, EventBatch, HeaderBlock};
//!
//! # fn example(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
//! let mut same_for_all = HeaderBlock::new();
//! same_for_all.push("host", "web-1")?;
//! let mut own = HeaderBlock::new();
//! let mut batch = EventBatch::new();
//! for order in 0..100 {
//!     own.clear();
//!     own.push("order", &order.to_string())?;
//!     batch.push(&[&same_for_all, &own], b"order placed")?;
//! }
//! let last = client.append_encoded(&mut batch)?; // empty again, and has room
//! # Ok(()) }
//! ```

use std::ops::Range;

use crate::config::CHUNK_BYTES;
use crate::event::{HEADER_BYTES_MAX, HEADERS_MAX, HeaderFault};
use crate::wire::avro::datum;

/// Headers in the form in which they travel, to be written into any number of events.
#[derive(Clone, Debug, Default)]
pub struct HeaderBlock {
    count: usize,
    pairs: Vec<u8>,
}

impl HeaderBlock {
    /// No headers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a header. If an event gets the same key twice, of one block or of two, Flume keeps the
    /// last one.
    ///
    /// # Errors
    ///
    /// If it breaks a limit of [`event`](crate::event); then it is not added.
    pub fn push(&mut self, key: &str, value: &str) -> Result<(), HeaderFault> {
        if let Some(fault) = HeaderFault::of(key, value, self.count + 1) {
            return Err(fault);
        }
        datum::put_bytes(&mut self.pairs, key.as_bytes());
        datum::put_bytes(&mut self.pairs, value.as_bytes());
        self.count += 1;
        Ok(())
    }

    /// Adds a header whose value is to be overwritten again and again: the digits of a number, for
    /// example. The same as [`push`](Self::push) beyond that.
    ///
    /// ```
    /// use flume_client::HeaderBlock;
    ///
    /// let mut block = HeaderBlock::new();
    /// let number = block.push_place("number", "007")?;
    /// assert!(block.overwrite(&number, b"008"));
    /// assert!(!block.overwrite(&number, b"9"));
    /// # Ok::<(), flume_client::event::HeaderFault>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If it breaks a limit of [`event`](crate::event); then it is not added.
    pub fn push_place(&mut self, key: &str, value: &str) -> Result<HeaderPlace, HeaderFault> {
        self.push(key, value)?;
        let end = self.pairs.len();
        Ok(HeaderPlace(end - value.len()..end))
    }

    /// Overwrites a value with another one of the same length, which holds nothing but printable
    /// ASCII letters. `false`: it does not, or the place is none of this block; nothing is changed
    /// then. Costs a copy, some nanoseconds.
    pub fn overwrite(&mut self, place: &HeaderPlace, value: &[u8]) -> bool {
        let is_plain = |byte: &u8| byte.wrapping_sub(b' ') < 0x5f;
        // Without an early end, which would keep the compiler from looking at many bytes at once.
        let all_plain = value
            .iter()
            .fold(true, |before, byte| before & is_plain(byte));
        match self.pairs.get_mut(place.0.clone()) {
            Some(old) if all_plain && old.len() == value.len() => {
                old.copy_from_slice(value);
                true
            }
            _ => false,
        }
    }

    /// Bytes of all of them together, as they travel.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.pairs.len()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Takes all out, and keeps the room.
    pub fn clear(&mut self) {
        self.count = 0;
        self.pairs.clear();
    }
}

/// Where in a [`HeaderBlock`] a value lies that can be overwritten. It holds until the block is
/// cleared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderPlace(Range<usize>);

/// Events in the form in which they travel, back to back. See the [module](self).
#[derive(Debug, Default)]
pub struct EventBatch {
    pub(crate) bytes: Vec<u8>,
    /// For each event, where it ends.
    pub(crate) ends: Vec<u32>,
    /// Bytes of the largest one.
    pub(crate) largest: usize,
}

impl EventBatch {
    /// Bytes from which on a batch is large enough to be handed over. One of up to twice as many is
    /// taken by swapping buffers; a larger one is taken, too, up to the client's buffer, and copied.
    pub const BYTES: usize = CHUNK_BYTES / 2;

    /// No events.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an event.
    ///
    /// # Errors
    ///
    /// If its headers are too many together; then it is not added.
    pub fn push(&mut self, headers: &[&HeaderBlock], body: &[u8]) -> Result<(), HeaderFault> {
        let count: usize = headers.iter().map(|block| block.count).sum();
        let bytes: usize = headers.iter().map(|block| block.pairs.len()).sum();
        if count > HEADERS_MAX {
            return Err(HeaderFault::TooMany { count });
        }
        if bytes > HEADER_BYTES_MAX {
            return Err(HeaderFault::TooManyBytes { bytes });
        }
        let start = self.bytes.len();
        if count > 0 {
            datum::put_long(&mut self.bytes, count as i64);
            for block in headers {
                self.bytes.extend_from_slice(&block.pairs);
            }
        }
        self.bytes.push(0);
        datum::put_bytes(&mut self.bytes, body);
        self.ends.push(self.bytes.len() as u32);
        self.largest = self.largest.max(self.bytes.len() - start);
        Ok(())
    }

    /// Number of events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all events together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Each event in the form in which it travels: what
    /// [`Event::from_datum`](crate::Event::from_datum) reads.
    pub fn datums(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let ranges = starts.zip(&self.ends);
        ranges.filter_map(|(start, end)| self.bytes.get(start as usize..*end as usize))
    }

    /// Bytes of the last event; 0 if there is none.
    #[must_use]
    pub fn last_bytes(&self) -> usize {
        let start = self.start_of_last();
        self.bytes.len() - start
    }

    /// Takes the last event out.
    pub fn pop(&mut self) {
        self.bytes.truncate(self.start_of_last());
        self.ends.pop();
        self.largest = self.datums().map(<[u8]>::len).max().unwrap_or_default();
    }

    fn start_of_last(&self) -> usize {
        let before = self.ends.iter().rev().nth(1);
        before.map_or(0, |end| *end as usize)
    }

    /// Takes all events out, and keeps the room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.largest = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    #[test]
    fn its_events_are_those_that_an_event_of_the_same_parts_is() {
        let (mut all, mut own) = (HeaderBlock::new(), HeaderBlock::new());
        all.push("host", "web-1").unwrap();
        own.push("n", "1").unwrap();
        let mut batch = EventBatch::new();
        batch.push(&[&all, &own], b"one").unwrap();
        batch.push(&[], b"").unwrap();
        let first = Event::new("one").header("host", "web-1").header("n", "1");
        let expected = [first.as_datum(), Event::new("").as_datum()].concat();
        assert_eq!((batch.bytes.clone(), batch.len()), (expected, 2));
        assert_eq!(batch.largest, first.as_datum().len());
        let datums: Vec<_> = batch.datums().collect();
        assert_eq!(datums, [first.as_datum(), Event::new("").as_datum()]);
        batch.clear();
        assert!(batch.is_empty() && batch.bytes() == 0);
    }

    #[test]
    fn a_value_is_overwritten_by_a_plain_one_of_its_length_and_by_no_other() {
        let mut block = HeaderBlock::new();
        block.push("a", "1").unwrap();
        let place = block.push_place("number", "0041").unwrap();
        block.push("z", "2").unwrap();
        assert!(block.overwrite(&place, b"0042"));
        for other in [&b"43"[..], b"00043", b"00\n4", b"00\xff4", b"00\x004"] {
            assert!(!block.overwrite(&place, other), "{other:?}");
        }
        let mut batch = EventBatch::new();
        batch.push(&[&block], b"").unwrap();
        let expected = Event::new("").header("a", "1").header("number", "0042");
        assert_eq!(batch.bytes, expected.header("z", "2").as_datum());
        block.clear();
        assert!(!block.overwrite(&place, b"0044"));
    }

    #[test]
    fn headers_beyond_the_limits_are_refused_and_nothing_is_added() {
        let mut block = HeaderBlock::new();
        assert_eq!(block.push("", "v"), Err(HeaderFault::EmptyKey));
        for n in 0..40 {
            block.push(&n.to_string(), "v").unwrap();
        }
        let mut batch = EventBatch::new();
        let fault = batch.push(&[&block, &block], b"").unwrap_err();
        assert_eq!(fault, HeaderFault::TooMany { count: 80 });
        let mut long = HeaderBlock::new();
        for n in 0..9 {
            long.push(&n.to_string(), &"v".repeat(8 * 1024)).unwrap();
        }
        let fault = batch.push(&[&long], b"").unwrap_err();
        assert!(matches!(fault, HeaderFault::TooManyBytes { .. }));
        assert!(batch.is_empty());
    }
}
