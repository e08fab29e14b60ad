//! Avro's binary values, as far as Flume's protocol uses them.
//!
//! Writers append to a `Vec`; [`Reader`] walks a slice and hands out sub-slices, so decoding an
//! event gives offsets into the received frame and copies nothing.

use super::DecodeError;

/// Number of bytes that [`put_long`] writes for `value`.
#[must_use]
#[inline]
pub fn long_len(value: i64) -> usize {
    let zigzag = zigzag(value);
    // Most are counts, and lengths of header keys and values.
    if zigzag <= 0x7f {
        return 1;
    }
    let bits = 64 - zigzag.leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Number of bytes that [`put_bytes`] writes for a value of `length` bytes.
#[must_use]
pub fn bytes_len(length: usize) -> usize {
    long_len(as_long(length)) + length
}

/// Number of bytes that [`put_event`] writes.
#[must_use]
pub fn event_len<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>, body: &[u8]) -> usize {
    let mut count = 0;
    let mut pairs = 0;
    for (key, value) in headers {
        count += 1;
        pairs += bytes_len(key.len()) + bytes_len(value.len());
    }
    let count_len = if count == 0 { 0 } else { long_len(count) };
    count_len + pairs + 1 + bytes_len(body.len())
}

/// Writes a zigzag variable-length number.
#[inline]
pub fn put_long(out: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest > 0x7f {
        out.push((rest as u8 & 0x7f) | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Writes a length and the bytes: Avro's `bytes` and `string`.
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_long(out, as_long(bytes.len()));
    out.extend_from_slice(bytes);
}

/// What [`put_long`] does, at the start of `room`. Returns the room after it.
pub(crate) fn fill_long(room: &mut [u8], value: i64) -> &mut [u8] {
    let (place, behind) = room.split_at_mut(long_len(value));
    let mut rest = zigzag(value);
    for byte in place {
        let more = if rest > 0x7f { 0x80 } else { 0 };
        *byte = (rest as u8 & 0x7f) | more;
        rest >>= 7;
    }
    behind
}

/// What [`put_bytes`] does, at the start of `room`. Returns the room after it.
pub(crate) fn fill_bytes<'a>(room: &'a mut [u8], bytes: &[u8]) -> &'a mut [u8] {
    let (place, behind) = fill_long(room, as_long(bytes.len())).split_at_mut(bytes.len());
    place.copy_from_slice(bytes);
    behind
}

/// Writes one `AvroFlumeEvent`. Reserves nothing: give `out` room for [`event_len`] bytes first.
pub fn put_event<'a, H>(out: &mut Vec<u8>, headers: H, body: &[u8])
where
    H: IntoIterator<Item = (&'a str, &'a str)>,
    H::IntoIter: ExactSizeIterator,
{
    let headers = headers.into_iter();
    if headers.len() > 0 {
        put_long(out, as_long(headers.len()));
        for (key, value) in headers {
            put_bytes(out, key.as_bytes());
            put_bytes(out, value.as_bytes());
        }
    }
    out.push(0);
    put_bytes(out, body);
}

/// Walks a slice of Avro values. Every method names what it reads, for the error.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `length` bytes.
    #[inline]
    pub fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(DecodeError::Truncated { what })?;
        self.rest = rest;
        Ok(taken)
    }

    /// A fixed-size value.
    pub fn take_array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<&'a [u8; N], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(DecodeError::Truncated { what })?;
        self.rest = rest;
        Ok(taken)
    }

    /// A zigzag variable-length number.
    #[inline]
    pub fn long(&mut self, what: &'static str) -> Result<i64, DecodeError> {
        if let [byte @ ..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(i64::from(byte >> 1) ^ -i64::from(byte & 1));
        }
        self.long_of_many(what)
    }

    fn long_of_many(&mut self, what: &'static str) -> Result<i64, DecodeError> {
        let mut value: u64 = 0;
        for (index, byte) in self.rest.iter().take(10).enumerate() {
            if index == 9 && *byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.rest = self.rest.get(index + 1..).unwrap_or_default();
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(if self.rest.len() < 10 {
            DecodeError::Truncated { what }
        } else {
            DecodeError::LongVarint { what }
        })
    }

    /// Avro's `bytes`, at most `limit` of them.
    #[inline]
    pub fn bytes(&mut self, what: &'static str, limit: usize) -> Result<&'a [u8], DecodeError> {
        let length = self.long(what)?;
        let length = u64::try_from(length).map_err(|_| DecodeError::Negative { what, length })?;
        if length > limit as u64 {
            return Err(DecodeError::OverLimit {
                what,
                announced: length,
                limit: limit as u64,
            });
        }
        self.take(length as usize, what)
    }

    /// Avro's `string`, at most `limit` bytes of it.
    pub fn string(&mut self, what: &'static str, limit: usize) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes(what, limit)?).map_err(|_| DecodeError::NotUtf8 { what })
    }

    /// Passes over a `string`.
    #[inline]
    fn skip_string(&mut self, what: &'static str) -> Result<(), DecodeError> {
        let bytes = self.bytes(what, usize::MAX)?;
        // Most are ASCII, and short.
        if bytes.is_ascii() || std::str::from_utf8(bytes).is_ok() {
            return Ok(());
        }
        Err(DecodeError::NotUtf8 { what })
    }

    /// The number of items in the next block of an array or map; 0 ends it.
    ///
    /// A negative count is followed by the block's size in bytes, which is skipped: Avro offers it
    /// for readers that want to pass over a block.
    pub fn block(&mut self, what: &'static str, limit: u64) -> Result<u64, DecodeError> {
        let count = self.long(what)?;
        if count < 0 {
            let size = self.long(what)?;
            if size < 0 {
                return Err(DecodeError::Negative { what, length: size });
            }
        }
        let announced = count.unsigned_abs();
        if announced > limit {
            return Err(DecodeError::OverLimit {
                what,
                announced,
                limit,
            });
        }
        Ok(announced)
    }

    /// Fails if anything is left.
    pub fn end(&self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            bytes => Err(DecodeError::LeftOver { bytes }),
        }
    }
}

/// One event inside a received frame or a stored datum: offsets, no copies.
#[derive(Clone, Copy, Debug)]
pub struct EventRef<'a> {
    datum: &'a [u8],
    headers: &'a [u8],
    body: &'a [u8],
}

/// Most headers accepted from a peer in one event. Other clients are not bound by ours.
pub(crate) const PEER_HEADERS_MAX: u64 = 4096;

impl<'a> EventRef<'a> {
    /// Reads one event and fails if bytes are left over.
    pub fn parse(datum: &'a [u8]) -> Result<Self, DecodeError> {
        Self::parse_whole(datum, PEER_HEADERS_MAX)
    }

    /// Reads one event and leaves `reader` after it.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Self::read_bounded(reader, PEER_HEADERS_MAX)
    }

    /// The whole event as received.
    #[must_use]
    pub fn datum(&self) -> &'a [u8] {
        self.datum
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The headers in the order in which they came. A key can come twice; the last one counts.
    #[must_use]
    pub fn headers(&self) -> Headers<'a> {
        Headers::new(Reader::new(self.headers), u64::MAX)
    }

    fn parse_whole(datum: &'a [u8], headers_max: u64) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(datum);
        let event = Self::read_bounded(&mut reader, headers_max)?;
        reader.end()?;
        Ok(event)
    }

    fn read_bounded(reader: &mut Reader<'a>, headers_max: u64) -> Result<Self, DecodeError> {
        let start = reader.rest();
        let mut headers = Headers::new(reader.clone(), headers_max);
        headers.skip_all()?;
        let header_bytes = start.len() - headers.reader.rest().len();
        *reader = headers.reader;
        let body = reader.bytes("event body", usize::MAX)?;
        let (datum, _) = start.split_at(start.len() - reader.rest().len());
        let (headers, _) = start.split_at(header_bytes);
        Ok(Self {
            datum,
            headers,
            body,
        })
    }
}

/// The headers of an [`EventRef`].
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    reader: Reader<'a>,
    left_in_block: u64,
    /// How many more headers may come.
    room: u64,
    done: bool,
}

impl<'a> Headers<'a> {
    fn new(reader: Reader<'a>, room: u64) -> Self {
        Self {
            reader,
            left_in_block: 0,
            room,
            done: false,
        }
    }

    /// Begins the next block if there is none. `false`: that was the last one.
    #[inline]
    fn is_in_block(&mut self) -> Result<bool, DecodeError> {
        if self.left_in_block == 0 {
            self.left_in_block = self.reader.block("header count", self.room)?;
            self.room -= self.left_in_block;
        }
        Ok(self.left_in_block > 0)
    }

    /// Passes over all that are left.
    fn skip_all(&mut self) -> Result<(), DecodeError> {
        while self.is_in_block()? {
            self.left_in_block -= 1;
            self.reader.skip_string("header key")?;
            self.reader.skip_string("header value")?;
        }
        Ok(())
    }

    fn pair(&mut self) -> Result<Option<(&'a str, &'a str)>, DecodeError> {
        if !self.is_in_block()? {
            return Ok(None);
        }
        self.left_in_block -= 1;
        let key = self.reader.string("header key", usize::MAX)?;
        let value = self.reader.string("header value", usize::MAX)?;
        Ok(Some((key, value)))
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Result<(&'a str, &'a str), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let pair = self.pair();
        self.done = !matches!(pair, Ok(Some(_)));
        pair.transpose()
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// A length in memory as an Avro long: `usize` lengths of slices never pass `i64::MAX`.
fn as_long(length: usize) -> i64 {
    length as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: &Result<i64, DecodeError>) {
        assert_eq!(&Reader::new(bytes).long("a number"), expected);
    }

    #[test]
    fn a_tenth_byte_may_only_hold_the_last_bit() {
        let what = "a number";
        check(&[&[0xff; 9][..], &[1]].concat(), &Ok(i64::MIN));
        check(&[&[0x80; 9][..], &[1]].concat(), &Ok(1 << 62));
        for last in [2, 3, 0x7f, 0x80, 0x81, 0xff] {
            let bytes = [&[0x80; 9][..], &[last]].concat();
            check(&bytes, &Err(DecodeError::LongVarint { what }));
        }
        check(&[0x80; 9], &Err(DecodeError::Truncated { what }));
    }
}
