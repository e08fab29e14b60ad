//! [`Writer`]: appends the values of a message in either protocol, up to a frame's limit.

use super::frame::{self, FRAME_BYTES_MAX, HEAD_BYTES};
use super::types::{Field, Head, Kind};
use super::{Protocol, binary, compact};

/// The message would pass the limit of a frame.
#[derive(Debug)]
pub(super) struct TooLarge;

/// Appends one framed message to a buffer. The caller cuts the buffer back if that fails.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    protocol: Protocol,
    out: &'a mut Vec<u8>,
    /// Where the frame begins.
    start: usize,
}

impl<'a> Writer<'a> {
    /// Begins a frame with a message's head.
    pub(super) fn begin(out: &'a mut Vec<u8>, protocol: Protocol, head: &Head<'_>) -> Self {
        let start = out.len();
        out.extend([0; HEAD_BYTES]);
        match protocol {
            Protocol::Compact => compact::put_head(out, head),
            Protocol::Binary => binary::put_head(out, head),
        }
        Self {
            protocol,
            out,
            start,
        }
    }

    /// Ends the frame: its length is known now.
    pub(super) fn finish(self) -> Result<(), TooLarge> {
        let length = self.out.len() - self.start - HEAD_BYTES;
        let head = frame::head(length).ok_or(TooLarge)?;
        let place = self.out.iter_mut().skip(self.start);
        for (place, byte) in place.zip(head) {
            *place = byte;
        }
        Ok(())
    }

    /// The head of a field. `last_id` is the field's before it in the same struct, or 0.
    #[inline]
    pub(super) fn field(&mut self, id: i16, kind: Kind, last_id: i16) {
        let field = Field { id, kind };
        match self.protocol {
            Protocol::Compact => compact::put_field(self.out, field, last_id),
            Protocol::Binary => binary::put_field(self.out, field),
        }
    }

    /// The end of a struct.
    #[inline]
    pub(super) fn end(&mut self) {
        self.out.push(0);
    }

    /// The head of a list of so many structs.
    pub(super) fn structs(&mut self, count: u32) {
        match self.protocol {
            Protocol::Compact => compact::put_list(self.out, Kind::Struct, count),
            Protocol::Binary => binary::put_list(self.out, Kind::Struct, count),
        }
    }

    /// The head of a map of so many pairs of texts.
    #[inline]
    pub(super) fn texts(&mut self, count: u32) {
        match self.protocol {
            Protocol::Compact => compact::put_map(self.out, Kind::Binary, Kind::Binary, count),
            Protocol::Binary => binary::put_map(self.out, Kind::Binary, Kind::Binary, count),
        }
    }

    /// Text or bytes, unless no frame could hold them with what is there.
    #[inline]
    pub(super) fn binary(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        if self.out.len() - self.start + bytes.len() > HEAD_BYTES + FRAME_BYTES_MAX {
            return Err(TooLarge);
        }
        match self.protocol {
            Protocol::Compact => compact::put_bytes(self.out, bytes),
            Protocol::Binary => binary::put_bytes(self.out, bytes),
        }
        Ok(())
    }

    pub(super) fn i32(&mut self, value: i32) {
        match self.protocol {
            Protocol::Compact => compact::put_i32(self.out, value),
            Protocol::Binary => binary::put_i32(self.out, value),
        }
    }
}
