//! [`Input`]: takes bytes from the front of a slice.

use super::DecodeError;

/// Bytes that are not read yet. Every method names what it reads, for the error.
#[derive(Clone, Debug)]
pub(super) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(super) fn take(
        &mut self,
        length: usize,
        what: &'static str,
    ) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(DecodeError::Truncated { what })?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    pub(super) fn array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(DecodeError::Truncated { what })?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    pub(super) fn byte(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        let [byte] = self.array(what)?;
        Ok(byte)
    }

    /// A number of seven bits a byte, the low ones first, that fits into so many bits.
    #[inline]
    pub(super) fn varint(&mut self, bits: u32, what: &'static str) -> Result<u64, DecodeError> {
        let mut value = 0;
        for shift in (0..bits).step_by(7) {
            let byte = self.byte(what)?;
            let part = u64::from(byte & 0x7f);
            if part.checked_shr(bits - shift).unwrap_or(0) > 0 {
                break;
            }
            value |= part << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::LongNumber { what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bits: u32, bytes: &[u8], expected: &Result<u64, DecodeError>) {
        let found = Input::new(bytes).varint(bits, "a number");
        assert_eq!(&found, expected, "{bytes:x?}");
    }

    #[test]
    fn the_last_byte_of_a_number_may_only_hold_the_bits_that_are_left() {
        let what = "a number";
        let long = Err(DecodeError::LongNumber { what });
        check(32, &[0xff, 0xff, 0xff, 0xff, 0x0f], &Ok(u32::MAX.into()));
        for last in [0x10, 0x1f, 0x7f, 0x80, 0x8f, 0xff] {
            check(32, &[0x80, 0x80, 0x80, 0x80, last, 0], &long);
        }
        check(64, &[&[0xff; 9][..], &[1]].concat(), &Ok(u64::MAX));
        for last in [2, 0x7f, 0x80, 0x81, 0xff] {
            check(64, &[&[0x80; 9][..], &[last, 0]].concat(), &long);
        }
        check(64, &[0x80; 9], &Err(DecodeError::Truncated { what }));
        // More bytes than needed are read as libthrift reads them.
        check(32, &[0x81, 0x80, 0x00], &Ok(1));
    }
}
