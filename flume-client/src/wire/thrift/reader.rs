//! [`Reader`]: walks the values of a message in either protocol.

use super::input::Input;
use super::types::{Field, Head, Kind};
use super::{DecodeError, Protocol, binary, compact};

/// How deep values may lie in each other in a field that is passed over. Flume's own lie three
/// deep; libthrift's limit is 64, too.
const DEPTH_MAX: u32 = 64;
/// Longest method name read from a peer.
const NAME_BYTES_MAX: usize = 256;

/// Walks the values of a message. Every method names what it reads, for the error.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    protocol: Protocol,
    input: Input<'a>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(protocol: Protocol, bytes: &'a [u8]) -> Self {
        Self {
            protocol,
            input: Input::new(bytes),
        }
    }

    pub(super) fn head(&mut self) -> Result<Head<'a>, DecodeError> {
        let head = match self.protocol {
            Protocol::Compact => compact::head(&mut self.input),
            Protocol::Binary => binary::head(&mut self.input),
        }?;
        let announced = head.name.len() as u64;
        if head.name.len() > NAME_BYTES_MAX {
            return Err(DecodeError::OverLimit {
                what: "the method's name",
                announced,
                limit: NAME_BYTES_MAX as u64,
            });
        }
        Ok(head)
    }

    /// Walks the fields of a struct. `known` reads the value of a field and says so; the value of
    /// any other field, for which it must have read nothing, is passed over.
    #[inline]
    pub(super) fn fields(
        &mut self,
        mut known: impl FnMut(&mut Self, Field) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        let mut last_id = 0;
        while let Some(field) = self.field(&mut last_id)? {
            if !known(self, field)? {
                self.skip(field.kind, DEPTH_MAX)?;
            }
        }
        Ok(())
    }

    /// The head of the next field of a struct, or its end. `last_id` is 0 at its beginning.
    #[inline]
    fn field(&mut self, last_id: &mut i16) -> Result<Option<Field>, DecodeError> {
        match self.protocol {
            Protocol::Compact => compact::field(&mut self.input, last_id),
            Protocol::Binary => binary::field(&mut self.input),
        }
    }

    /// The head of a list: how many values of which type. There are bytes for so many, and none
    /// has a type if there are none.
    pub(super) fn list(&mut self, what: &'static str) -> Result<(u32, Option<Kind>), DecodeError> {
        let (count, kind) = match self.protocol {
            Protocol::Compact => compact::list(&mut self.input, what),
            Protocol::Binary => binary::list(&mut self.input, what),
        }?;
        self.expect_room(count.into(), what)?;
        Ok((count, kind))
    }

    /// The head of a map: how many pairs of which types, likewise.
    pub(super) fn map(
        &mut self,
        what: &'static str,
    ) -> Result<(u32, Option<(Kind, Kind)>), DecodeError> {
        let (count, kinds) = match self.protocol {
            Protocol::Compact => compact::map(&mut self.input, what),
            Protocol::Binary => binary::map(&mut self.input, what),
        }?;
        self.expect_room(u64::from(count) * 2, what)?;
        Ok((count, kinds))
    }

    /// No value takes less than a byte.
    fn expect_room(&self, values: u64, what: &'static str) -> Result<(), DecodeError> {
        if values > self.input.rest().len() as u64 {
            return Err(DecodeError::Truncated { what });
        }
        Ok(())
    }

    #[inline]
    pub(super) fn binary(&mut self, what: &'static str) -> Result<&'a [u8], DecodeError> {
        match self.protocol {
            Protocol::Compact => compact::bytes(&mut self.input, what),
            Protocol::Binary => binary::bytes(&mut self.input, what),
        }
    }

    pub(super) fn i32(&mut self, what: &'static str) -> Result<i32, DecodeError> {
        match self.protocol {
            Protocol::Compact => compact::i32(&mut self.input, what),
            Protocol::Binary => binary::i32(&mut self.input, what),
        }
    }

    /// Fails if anything is left.
    pub(super) fn end(&self) -> Result<(), DecodeError> {
        match self.input.rest().len() {
            0 => Ok(()),
            bytes => Err(DecodeError::LeftOver { bytes }),
        }
    }

    fn skip(&mut self, kind: Kind, depth: u32) -> Result<(), DecodeError> {
        let what = "an unknown field";
        let Some(depth) = depth.checked_sub(1) else {
            return Err(DecodeError::TooDeep { limit: DEPTH_MAX });
        };
        match kind {
            Kind::BoolInHead => {}
            Kind::Bool | Kind::Byte => drop(self.input.byte(what)?),
            Kind::Double => drop(self.input.take(8, what)?),
            Kind::I16 | Kind::I32 | Kind::I64 => match self.protocol {
                Protocol::Compact => compact::skip_number(&mut self.input, kind, what)?,
                Protocol::Binary => binary::skip_number(&mut self.input, kind, what)?,
            },
            Kind::Binary => drop(self.binary(what)?),
            Kind::Struct => {
                let mut last_id = 0;
                while let Some(field) = self.field(&mut last_id)? {
                    self.skip(field.kind, depth)?;
                }
            }
            Kind::Map => {
                if let (count, Some((key, value))) = self.map(what)? {
                    for _ in 0..count {
                        self.skip(key, depth)?;
                        self.skip(value, depth)?;
                    }
                }
            }
            Kind::List => {
                if let (count, Some(kind)) = self.list(what)? {
                    for _ in 0..count {
                        self.skip(kind, depth)?;
                    }
                }
            }
        }
        Ok(())
    }
}
