//! Frames: events as they lie in a segment, those of one commit together.
//!
//! All numbers are little-endian; a frame begins at a multiple of 8 bytes.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `FLEV` |
//! | 4 | 4 | events, at least 1 |
//! | 8 | 4 | bytes of the payload, padding included |
//! | 12 | 1 | level, see [`Level`] |
//! | 13 | 3 | 0 |
//! | 16 | 8 | sequence number of the first event |
//! | 24 | 8 | `durable_upto`: all events below were durable when this was written |
//! | 32 | 8 | time of the commit, ms since 1970 |
//! | 40 | 4 | CRC-32 of the payload |
//! | 44 | 4 | CRC-32 of the segment's salt, the frame's offset in the file, and the 44 bytes before |
//! | 48 | 4 each | for each event, where its datum ends, counted from the first datum |
//! | | | the datums: Avro `AvroFlumeEvent`, back to back, as they go over the wire |
//! | | 0 to 7 | zeros |
//!
//! The salt makes what an earlier use of the file left behind invalid, the offset what lies at the
//! wrong place. The header has its own CRC so that a damaged payload costs one frame: where the
//! next one begins is still known.
//!
//! A right checksum does not make a header true. One that no client writes is none: with a payload
//! too short for its events, or after the end of the file, with `durable_upto` beyond its first
//! number, or with numbers that are not in its segment, where they follow upon each other.

use super::fields::{crc, take_seq, take_u32, take_u64};
use crate::seq::{Seq, SeqRange};

/// Bytes of a frame's header.
pub const FRAME_HEADER_BYTES: usize = 48;

/// Frames begin at multiples of this.
pub const ALIGNMENT: usize = 8;

/// Bytes that each event takes beside its datum.
const ENDS_BYTES: usize = 4;

const MAGIC: u32 = u32::from_le_bytes(*b"FLEV");

/// Which promise an event was stored under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Level {
    /// Stored before it was sent.
    EndToEnd,
}

/// Where a frame lies: what its CRC is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Of the segment.
    pub salt: u64,
    /// Of the frame in its file.
    pub offset: u64,
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Sequence number of the first event.
    pub first: Seq,
    /// At least 1; their sequence numbers are consecutive.
    pub events: u32,
    /// Bytes after the header up to the next frame.
    pub payload_bytes: u32,
    /// Of all the events.
    pub level: Level,
    /// All events below this were durable when the frame was written.
    pub durable_upto: Seq,
    /// Of the commit, in milliseconds since 1970.
    pub time_ms: u64,
    payload_crc: u32,
}

/// A frame's events, borrowed from its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    ends: &'a [u8],
    datums: &'a [u8],
}

/// Bytes of a frame of `events` events whose datums have `datum_bytes` bytes, header and padding
/// included.
#[must_use]
pub const fn frame_bytes(events: usize, datum_bytes: usize) -> usize {
    (FRAME_HEADER_BYTES + events * 4 + datum_bytes).next_multiple_of(ALIGNMENT)
}

/// Appends a frame to `out` except its header, which [`stamp`] fills in when its place is known.
/// `ends` are the places in `datums` where events end.
pub(super) fn put_payload(out: &mut Vec<u8>, ends: &[u32], datums: &[u8]) {
    let frame = out.len() + frame_bytes(ends.len(), datums.len());
    out.resize(out.len() + FRAME_HEADER_BYTES, 0);
    for end in ends {
        out.extend_from_slice(&end.to_le_bytes());
    }
    out.extend_from_slice(datums);
    out.resize(frame, 0);
}

/// What a frame's header says beside its payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    pub(super) place: Place,
    pub(super) first: Seq,
    pub(super) events: u32,
    pub(super) level: Level,
    pub(super) durable_upto: Seq,
    pub(super) time_ms: u64,
}

/// Writes the header of the frame that `frame` holds.
pub(super) fn stamp(frame: &mut [u8], stamp: Stamp) {
    let Some((header, payload)) = frame.split_at_mut_checked(FRAME_HEADER_BYTES) else {
        return;
    };
    let mut fields = Vec::with_capacity(FRAME_HEADER_BYTES);
    fields.extend_from_slice(&MAGIC.to_le_bytes());
    fields.extend_from_slice(&stamp.events.to_le_bytes());
    fields.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    fields.extend_from_slice(&[stamp.level.number(), 0, 0, 0]);
    fields.extend_from_slice(&stamp.first.number().to_le_bytes());
    fields.extend_from_slice(&stamp.durable_upto.number().to_le_bytes());
    fields.extend_from_slice(&stamp.time_ms.to_le_bytes());
    fields.extend_from_slice(&crc(&[payload]).to_le_bytes());
    let header_crc = header_crc(stamp.place, &fields);
    fields.extend_from_slice(&header_crc.to_le_bytes());
    header.copy_from_slice(&fields);
}

impl Level {
    fn number(self) -> u8 {
        match self {
            Self::EndToEnd => 0,
        }
    }

    fn of_number(number: u8) -> Option<Self> {
        (number == 0).then_some(Self::EndToEnd)
    }
}

impl FrameHeader {
    /// Reads the header at the start of `bytes`; `None` if there is none that was written for this
    /// place.
    #[must_use]
    pub fn read(place: Place, bytes: &[u8]) -> Option<Self> {
        let header: &[u8; FRAME_HEADER_BYTES] = bytes.first_chunk()?;
        let (mut fields, mut sealed) = header.split_at_checked(FRAME_HEADER_BYTES - 4)?;
        // Looked at first: a search for frames asks at every multiple of 8.
        if fields.first_chunk() != Some(&MAGIC.to_le_bytes()) {
            return None;
        }
        if take_u32(&mut sealed)? != header_crc(place, fields) {
            return None;
        }
        take_u32(&mut fields)?;
        let events = take_u32(&mut fields)?;
        let payload_bytes = take_u32(&mut fields)?;
        let level = Level::of_number(take_u32(&mut fields)? as u8)?;
        let header = Self {
            events,
            payload_bytes,
            level,
            first: take_seq(&mut fields)?,
            durable_upto: take_seq(&mut fields)?,
            time_ms: take_u64(&mut fields)?,
            payload_crc: take_u32(&mut fields)?,
        };
        let whole = (payload_bytes as usize).is_multiple_of(ALIGNMENT)
            && header.payload_bytes as u64 >= u64::from(events) * 4
            && header.durable_upto <= header.first
            && header.first < Seq::END
            && header.range().end <= Seq::END;
        (whole && events > 0).then_some(header)
    }

    /// Whether it can be at `offset` of a segment of `bytes` that begins with `first`: what
    /// lies before it holds the numbers before its own.
    pub(super) fn is_of(&self, first: Seq, bytes: u64, offset: u64) -> bool {
        let before_max = offset / ENDS_BYTES as u64;
        first <= self.first
            && self.first.since(first) <= before_max
            && offset.saturating_add(self.frame_bytes()) <= bytes
    }

    /// The numbers of its events.
    #[must_use]
    pub fn range(&self) -> SeqRange {
        SeqRange::of(self.first, self.events.into())
    }

    /// Bytes from the start of this frame to the start of the next.
    #[must_use]
    pub fn frame_bytes(&self) -> u64 {
        FRAME_HEADER_BYTES as u64 + u64::from(self.payload_bytes)
    }

    /// The events in `payload`, if they are as they were written.
    #[must_use]
    pub fn payload<'a>(&self, payload: &'a [u8]) -> Option<Payload<'a>> {
        if payload.len() != self.payload_bytes as usize || crc(&[payload]) != self.payload_crc {
            return None;
        }
        let payload = self.split(payload)?;
        payload.ends().is_sorted().then_some(payload)
    }

    /// The events in a payload that was checked before, with whatever is after it.
    pub(super) fn split<'a>(&self, payload: &'a [u8]) -> Option<Payload<'a>> {
        let (ends, datums) = payload.split_at_checked(self.events as usize * 4)?;
        let end = ends.last_chunk().map(|end| u32::from_le_bytes(*end))?;
        let datums = datums.get(..end as usize)?;
        Some(Payload { ends, datums })
    }
}

impl<'a> Payload<'a> {
    /// For each event, where its datum ends in [`datums`](Self::datums).
    pub fn ends(&self) -> impl Iterator<Item = u32> + use<'a> {
        let mut rest = self.ends;
        std::iter::from_fn(move || take_u32(&mut rest))
    }

    /// The datums, back to back.
    #[must_use]
    pub fn datums(&self) -> &'a [u8] {
        self.datums
    }
}

fn header_crc(place: Place, fields: &[u8]) -> u32 {
    crc(&[
        &place.salt.to_le_bytes(),
        &place.offset.to_le_bytes(),
        fields,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place {
        salt: 7,
        offset: 4096,
    };

    fn frame() -> Vec<u8> {
        let mut frame = Vec::new();
        put_payload(&mut frame, &[1, 1, 5], b"abcde");
        stamp(
            &mut frame,
            Stamp {
                place: PLACE,
                first: Seq::new(100),
                events: 3,
                level: Level::EndToEnd,
                durable_upto: Seq::new(90),
                time_ms: 1_700_000_000_000,
            },
        );
        frame
    }

    /// The header and its events, if both are whole.
    fn read(place: Place, frame: &[u8]) -> Option<(FrameHeader, Vec<u32>, Vec<u8>)> {
        let header = FrameHeader::read(place, frame)?;
        let payload = header.payload(&frame[FRAME_HEADER_BYTES..])?;
        Some((header, payload.ends().collect(), payload.datums().to_vec()))
    }

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        let frame = frame();
        assert_eq!(frame.len(), frame_bytes(3, 5));
        let (header, ends, datums) = read(PLACE, &frame).unwrap();
        assert_eq!((header.events, header.range()), (3, (100..103).into()));
        assert_eq!(header.durable_upto, Seq::new(90));
        assert_eq!(header.time_ms, 1_700_000_000_000);
        assert_eq!(header.frame_bytes(), frame.len() as u64);
        assert_eq!((ends, datums), (vec![1, 1, 5], b"abcde".to_vec()));
    }

    #[test]
    fn a_frame_is_laid_out_as_documented() {
        let mut expected = b"FLEV".to_vec();
        expected.extend([3, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([100, 0, 0, 0, 0, 0, 0, 0, 90, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend(1_700_000_000_000_u64.to_le_bytes());
        let payload = [&[1, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0][..], b"abcde", &[0; 7]].concat();
        let checksum = |parts: &[&[u8]]| crc32fast::hash(&parts.concat()).to_le_bytes();
        expected.extend(checksum(&[&payload]));
        let place = [7_u64.to_le_bytes(), 4096_u64.to_le_bytes()].concat();
        expected.extend(checksum(&[&place, &expected.clone()]));
        expected.extend(payload);
        assert_eq!(frame(), expected);
    }

    #[test]
    fn a_header_that_no_client_writes_is_none_though_its_checksum_is_right() {
        let check = |first: u64, events, durable_upto: u64, is_one| {
            let mut frame = Vec::new();
            put_payload(&mut frame, &[1, 1, 5], b"abcde");
            let header = Stamp {
                place: PLACE,
                first: Seq::new(first),
                events,
                level: Level::EndToEnd,
                durable_upto: Seq::new(durable_upto),
                time_ms: 0,
            };
            stamp(&mut frame, header);
            let read = FrameHeader::read(PLACE, &frame);
            assert_eq!(read.is_some(), is_one, "{header:?}");
        };
        let end = Seq::END.number();
        check(end - 3, 3, end - 3, true);
        check(end - 2, 3, 0, false);
        check(u64::MAX - 3, 3, 0, false);
        check(100, 0, 0, false);
        check(100, 7, 0, false);
        check(100, u32::MAX, 0, false);
        check(100, 3, 101, false);
        check(100, 3, u64::MAX, false);
    }

    #[test]
    fn a_frame_has_numbers_that_its_segment_can_have_there_and_ends_in_it() {
        let header = FrameHeader::read(PLACE, &frame()).unwrap();
        let bytes = 4096 + header.frame_bytes();
        assert!(header.is_of(Seq::new(100), bytes, 4096));
        assert!(!header.is_of(Seq::new(100), bytes - 1, 4096));
        assert!(!header.is_of(Seq::new(101), bytes, 4096));
        let events_before = 4096 / 4;
        assert!(header.is_of(Seq::ZERO, bytes, 4096));
        let early = FrameHeader {
            first: Seq::new(events_before + 1),
            ..header
        };
        assert!(!early.is_of(Seq::ZERO, bytes, 4096));
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed() {
        let frame = frame();
        for bit in 0..frame.len() * 8 {
            let mut damaged = frame.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read(PLACE, &damaged).is_none(), "bit {bit}");
        }
    }

    #[test]
    fn a_frame_of_another_salt_or_place_is_none() {
        let frame = frame();
        for place in [
            Place { salt: 8, ..PLACE },
            Place {
                offset: 4104,
                ..PLACE
            },
        ] {
            assert!(FrameHeader::read(place, &frame).is_none());
        }
    }

    #[test]
    fn a_frame_that_is_cut_is_none() {
        let frame = frame();
        for length in 0..FRAME_HEADER_BYTES {
            assert!(FrameHeader::read(PLACE, &frame[..length]).is_none());
        }
        let header = FrameHeader::read(PLACE, &frame).unwrap();
        for length in FRAME_HEADER_BYTES..frame.len() {
            assert!(header.payload(&frame[FRAME_HEADER_BYTES..length]).is_none());
        }
    }
}
