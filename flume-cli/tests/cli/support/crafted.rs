//! Files of a spool as somebody may have made them up: every checksum is right, what they say is
//! not. Written from the tables in `flume_client::spool`.

use std::fs;
use std::path::Path;

use flume_client::spool::{FileName, SEGMENT_HEADER_BYTES, SegmentHeader};

use super::spool::crc;

const SALT: u64 = 1;
const CLIENT: u64 = 7;
const TIME_MS: u64 = 1_700_000_000_000;
const SLOT_BYTES: usize = 4096;
const SEGMENT_BYTES: usize = 16 * 1024;

/// A slot of the cursor.
#[derive(Clone, Default)]
pub(crate) struct Slot {
    pub(crate) generation: u64,
    pub(crate) watermark: u64,
    pub(crate) durable_upto: u64,
    pub(crate) run: u64,
    /// Up to 254, first and the one behind the last.
    pub(crate) ranges: Vec<(u64, u64)>,
}

/// A frame.
#[derive(Clone, Default)]
pub(crate) struct Frame {
    pub(crate) first: u64,
    pub(crate) durable_upto: u64,
    pub(crate) datums: Vec<Vec<u8>>,
    /// What it says of itself, if that is not so.
    pub(crate) events: Option<u32>,
    pub(crate) ends: Option<Vec<u32>>,
    pub(crate) payload_bytes: Option<u32>,
}

/// Where in the numbers a segment is.
pub(crate) fn header(id: u64, first: u64) -> SegmentHeader {
    SegmentHeader {
        id,
        client: CLIENT,
        salt: SALT,
        first,
        skipped_from: first,
        durable_upto: 0,
        time_ms: TIME_MS,
        run_id: 0,
        previous: 0,
    }
}

/// Writes a segment under the name in its header.
pub(crate) fn write_segment(dir: &Path, header: &SegmentHeader, frames: &[Frame]) {
    let mut file = header.to_block();
    assert_eq!(file.len(), SEGMENT_HEADER_BYTES);
    for frame in frames {
        let frame = frame.to_bytes(file.len() as u64);
        file.extend(frame);
    }
    file.resize(file.len().max(SEGMENT_BYTES), 0);
    fs::write(dir.join(FileName::Segment(header.id).to_string()), file).unwrap();
}

/// Writes a cursor of one slot.
pub(crate) fn write_cursor(dir: &Path, slot: &Slot) {
    let mut file = b"FLCURSOR\x01\0\0\0\0\0\0\0".to_vec();
    let count = slot.ranges.len() as u64;
    file.extend(numbers(&[
        slot.generation,
        CLIENT,
        slot.watermark,
        slot.durable_upto,
        slot.run,
        count,
    ]));
    for (first, end) in &slot.ranges {
        file.extend(numbers(&[*first, *end]));
    }
    file.resize(SLOT_BYTES - 4, 0);
    file.extend(crc(&file).to_le_bytes());
    file.resize(2 * SLOT_BYTES, 0);
    fs::write(dir.join(FileName::Cursor.to_string()), file).unwrap();
}

impl Frame {
    pub(crate) fn of(first: u64, datums: &[&[u8]]) -> Self {
        Self {
            first,
            datums: datums.iter().map(|datum| datum.to_vec()).collect(),
            ..Self::default()
        }
    }

    fn to_bytes(&self, offset: u64) -> Vec<u8> {
        let mut end = 0;
        let true_ends = self.datums.iter().map(|datum| {
            end += datum.len() as u32;
            end
        });
        let true_ends: Vec<_> = true_ends.collect();
        let ends = self.ends.as_ref().unwrap_or(&true_ends);
        let mut payload: Vec<u8> = ends.iter().flat_map(|end| end.to_le_bytes()).collect();
        payload.extend(self.datums.concat());
        payload.resize(payload.len().next_multiple_of(8), 0);
        let events = self.events.unwrap_or(ends.len() as u32);
        let payload_bytes = self.payload_bytes.unwrap_or(payload.len() as u32);
        let mut header = b"FLEV".to_vec();
        header.extend(events.to_le_bytes());
        header.extend(payload_bytes.to_le_bytes());
        header.extend([0; 4]);
        header.extend(numbers(&[self.first, self.durable_upto, TIME_MS]));
        header.extend(crc(&payload).to_le_bytes());
        let sealed = [numbers(&[SALT, offset]), header.clone()].concat();
        header.extend(crc(&sealed).to_le_bytes());
        header.extend(payload);
        header
    }
}

fn numbers(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|it| it.to_le_bytes()).collect()
}
