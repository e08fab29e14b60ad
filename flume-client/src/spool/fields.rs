//! Fixed-size little-endian numbers, for the headers and the cursor.

use crc32fast::Hasher;

use crate::seq::Seq;

/// Takes the next number off `bytes`; `None` if there are too few.
pub(super) fn take_u16(bytes: &mut &[u8]) -> Option<u16> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u16::from_le_bytes(*number))
}

/// Takes the next number off `bytes`; `None` if there are too few.
pub(super) fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*number))
}

/// Takes the next number off `bytes`; `None` if there are too few.
pub(super) fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*number))
}

/// Takes the number of an event off `bytes`; `None` if there are too few.
pub(super) fn take_seq(bytes: &mut &[u8]) -> Option<Seq> {
    take_u64(bytes).map(Seq::new)
}

/// The CRC-32 (IEEE) of several slices in a row.
pub(super) fn crc(parts: &[&[u8]]) -> u32 {
    let mut hasher = Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

/// Appends the CRC-32 of what `block` holds.
pub(super) fn seal(block: &mut Vec<u8>) {
    let crc = crc(&[block]);
    block.extend_from_slice(&crc.to_le_bytes());
}

/// The content of a sealed block, if it is whole.
pub(super) fn unseal(block: &[u8]) -> Option<&[u8]> {
    let (content, mut sealed) = block.split_at_checked(block.len().checked_sub(4)?)?;
    (take_u32(&mut sealed)? == crc(&[content])).then_some(content)
}
