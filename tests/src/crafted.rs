//! Files of a spool as somebody may have made them up: every checksum is right, what they say is
//! not. Written from the tables in `flume_client::spool`, not with its code.

use std::sync::Arc;

use flume_client::spool::{FileName, Level, Log, Reader, Settings, SpoolError, Step, Survey};

use crate::spool_sim::disk::SimDisk;

/// Settings for spools of little segments.
pub const SETTINGS: Settings = Settings {
    segment_bytes: SEGMENT_BYTES as u64,
    frame_bytes_max: 2 * 1024,
    bytes_max: 64 * 1024,
    free_bytes_min: 0,
};
const SEGMENT_BYTES: usize = 8 * 1024;
const HEADER_BYTES: usize = 4096;
const SALT: u64 = 1;
const CLIENT: u64 = 7;
const TIME_MS: u64 = 1_700_000_000_000;
/// An event without headers, body `hello`.
pub const DATUM: &[u8] = b"\0\x0ahello";
/// Steps that reading takes at most: a frame or a gap takes 48 bytes, or two of a segment.
const STEPS_MAX: u32 = 10_000;

/// A slot of the cursor.
#[derive(Clone, Debug, Default)]
pub struct Slot {
    /// Counts the writes.
    pub generation: u64,
    /// All events below are done with.
    pub watermark: u64,
    /// All events below were durable.
    pub durable_upto: u64,
    /// Where the numbers of the newest run begin.
    pub run: u64,
    /// How many ranges it says it has, if not as many as there are.
    pub count: Option<u64>,
    /// What is done with above the watermark: first, and the one behind the last.
    pub ranges: Vec<(u64, u64)>,
}

/// A segment.
#[derive(Clone, Debug, Default)]
pub struct Segment {
    /// In the file's name and in its header.
    pub id: u64,
    /// The first number.
    pub first: u64,
    /// From here up to the first, no number was given.
    pub skipped_from: u64,
    /// All events below were durable.
    pub durable_upto: u64,
    /// Whose it says it is, if not the same as that of all files.
    pub client: Option<u64>,
    /// When it says it was made, if not when all files were.
    pub time_ms: Option<u64>,
    /// The run that made it.
    pub run_id: u64,
    /// The segment before it.
    pub previous: u64,
    /// One behind the other.
    pub frames: Vec<Frame>,
}

/// A frame.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// The number of its first event.
    pub first: u64,
    /// All events below were durable.
    pub durable_upto: u64,
    /// Its events, as long as they are.
    pub datums: Vec<Vec<u8>>,
    /// How many events it says it has, if not as many as there are.
    pub events: Option<u32>,
    /// Where it says its datums end, if not where they do.
    pub ends: Option<Vec<u32>>,
    /// How many bytes it says its payload has, if not as many as it has.
    pub payload_bytes: Option<u32>,
}

impl Frame {
    /// A sound one of so many events.
    #[must_use]
    pub fn of(first: u64, events: usize) -> Self {
        Self {
            first,
            datums: vec![DATUM.to_vec(); events],
            ..Self::default()
        }
    }

    fn to_bytes(&self, offset: u64) -> Vec<u8> {
        let mut sums = Vec::new();
        let mut sum = 0;
        for datum in &self.datums {
            sum += datum.len() as u32;
            sums.push(sum);
        }
        let ends = self.ends.as_ref().unwrap_or(&sums);
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
        header.extend(crc32fast::hash(&payload).to_le_bytes());
        let place = numbers(&[SALT, offset]);
        let sealed = [place, header.clone()].concat();
        header.extend(crc32fast::hash(&sealed).to_le_bytes());
        header.extend(payload);
        header
    }
}

impl Segment {
    /// A sound one, if its frames are.
    #[must_use]
    pub fn of(id: u64, first: u64, frames: Vec<Frame>) -> Self {
        Self {
            id,
            first,
            skipped_from: first,
            frames,
            ..Self::default()
        }
    }

    /// The file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut copy = b"FLSPOOL\n\x01\0\x01\0\0\0\0\0".to_vec();
        copy.extend(numbers(&[
            self.id,
            self.client.unwrap_or(CLIENT),
            SALT,
            self.first,
            self.skipped_from,
            self.durable_upto,
            self.time_ms.unwrap_or(TIME_MS),
            self.run_id,
            self.previous,
        ]));
        let mut file = sealed(copy, HEADER_BYTES / 2).repeat(2);
        for frame in &self.frames {
            let frame = frame.to_bytes(file.len() as u64);
            file.extend(frame);
        }
        file.resize(file.len().max(SEGMENT_BYTES), 0);
        file
    }
}

impl Slot {
    /// The slot's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut slot = b"FLCURSOR\x01\0\0\0\0\0\0\0".to_vec();
        let count = self.count.unwrap_or(self.ranges.len() as u64);
        slot.extend(numbers(&[
            self.generation,
            CLIENT,
            self.watermark,
            self.durable_upto,
            self.run,
            count,
        ]));
        for (first, end) in &self.ranges {
            slot.extend(numbers(&[*first, *end]));
        }
        slot.truncate(HEADER_BYTES - 4);
        sealed(slot, HEADER_BYTES)
    }
}

fn numbers(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|it| it.to_le_bytes()).collect()
}

fn sealed(mut block: Vec<u8>, bytes: usize) -> Vec<u8> {
    block.resize(bytes - 4, 0);
    let crc = crc32fast::hash(&block);
    block.extend(crc.to_le_bytes());
    block
}

/// A disk with these files.
#[must_use]
pub fn disk(slots: &[Slot], segments: &[Segment]) -> Arc<SimDisk> {
    let disk = SimDisk::new(1, u64::MAX / 2);
    if !slots.is_empty() {
        let mut file: Vec<u8> = slots.iter().take(2).flat_map(Slot::to_bytes).collect();
        file.resize(2 * HEADER_BYTES, 0);
        disk.place(FileName::Cursor, file);
    }
    for segment in segments {
        disk.place(FileName::Segment(segment.id), segment.to_bytes());
    }
    Arc::new(disk)
}

/// Opens a spool and reads all of it: the events that are there, by number.
///
/// Panics if that does not come to an end.
#[must_use]
pub fn open_and_read(disk: &Arc<SimDisk>, seed: u64) -> (Log, Vec<(u64, Vec<u8>)>) {
    let opened = Log::open(Arc::clone(disk) as _, SETTINGS, seed);
    let (log, opened) = opened.expect("a disk without faults can be listed");
    let segments = log.segments();
    let mut reader = Reader::new(log.retired().watermark(), opened.known_durable_upto);
    let mut events = Vec::new();
    for steps in 0.. {
        assert!(steps < STEPS_MAX, "reading comes to an end");
        let step = reader.advance(disk.as_ref(), &segments, log.retired(), log.readable_upto());
        match step.expect("a disk without faults can be read") {
            Step::End => return (log, events),
            Step::Gap(gap) => assert!(!gap.range.is_empty(), "{gap:?}"),
            Step::Frame => {
                let frame = reader.frame().expect("it was found");
                let found = frame.events();
                events.extend(found.map(|(number, datum)| (number.number(), datum.to_vec())));
            }
        }
    }
    unreachable!("only the end or a panic leaves the loop")
}

/// Whatever is on the disk: it opens, looking at it changes nothing, reading ends, in order; and
/// what is stored in it afterwards is there at the next opening, once.
pub fn check(disk: &Arc<SimDisk>) {
    let before = disk.files();
    let survey = Survey::take(disk.as_ref(), |_| Ok(())).expect("a sound disk can be read");
    assert_eq!(disk.files(), before);
    let _ = (survey.events(), survey.lost(), survey.is_sound());
    let (mut log, events) = open_and_read(disk, 2);
    assert!(events.is_sorted_by_key(|(number, _)| *number));
    // Each takes 4 bytes at least.
    let room: u64 = before.iter().map(|(_, bytes)| bytes / 4).sum();
    assert!(events.len() as u64 <= room);
    let _ = (log.backlog(), log.room(), log.disk_bytes());
    let number = log.push(&[5], b"ours!", Level::EndToEnd).number();
    assert!(events.iter().all(|(earlier, _)| *earlier < number));
    let flushed = log.flush(TIME_MS);
    if matches!(flushed, Err(SpoolError::Quota | SpoolError::UsedUp)) {
        return;
    }
    assert_eq!(flushed, Ok(()), "a sound disk is no trouble");
    let _ = log.save();
    drop(log);
    let (mut log, again) = open_and_read(disk, 3);
    let ours: Vec<_> = again.iter().filter(|(_, it)| it == b"ours!").collect();
    assert_eq!(ours, [&(number, b"ours!".to_vec())], "what was stored");
    assert!(
        events.iter().all(|event| again.contains(event)),
        "what was there before"
    );
    log.retire((0..u64::MAX).into());
    assert_eq!(log.save(), Ok(()));
    drop(log);
    let (_, again) = open_and_read(disk, 4);
    assert_eq!(again, [], "all is done with");
}

/// A number near one where something may go wrong.
fn strange(bytes: &mut impl Iterator<Item = u8>) -> u64 {
    const NEAR: [u64; 12] = [
        0,
        5,
        100,
        1 << 31,
        1 << 32,
        1 << 33,
        1 << 52,
        1 << 62,
        (1 << 63) - (1 << 32),
        1 << 63,
        (1 << 63) + (1 << 32),
        u64::MAX,
    ];
    let choice = bytes.next().unwrap_or(0);
    let near = NEAR.get(usize::from(choice >> 4)).copied().unwrap_or(0);
    match choice & 0xf {
        offset @ 0..10 => near.saturating_add(u64::from(offset)),
        offset => near.saturating_sub(u64::from(offset - 9)),
    }
}

/// A disk with files that say what `bytes` choose.
#[must_use]
pub fn disk_of(bytes: &[u8]) -> Arc<SimDisk> {
    let bytes = &mut bytes.iter().copied();
    let shape = bytes.next().unwrap_or(0);
    let slots: Vec<Slot> = (0..shape % 3)
        .map(|_| Slot {
            generation: strange(bytes),
            watermark: strange(bytes),
            durable_upto: strange(bytes),
            run: strange(bytes),
            count: None,
            ranges: (0..bytes.next().unwrap_or(0) % 4)
                .map(|_| (strange(bytes), strange(bytes)))
                .collect(),
        })
        .collect();
    let segments: Vec<Segment> = (0..shape / 3 % 4)
        .map(|_| Segment {
            id: strange(bytes),
            first: strange(bytes),
            skipped_from: strange(bytes),
            durable_upto: strange(bytes),
            frames: (0..bytes.next().unwrap_or(0) % 4)
                .map(|_| frame_of(bytes))
                .collect(),
            ..Segment::default()
        })
        .collect();
    disk(&slots, &segments)
}

fn frame_of(bytes: &mut impl Iterator<Item = u8>) -> Frame {
    let shape = bytes.next().unwrap_or(0);
    Frame {
        first: strange(bytes),
        durable_upto: strange(bytes),
        datums: vec![DATUM.to_vec(); usize::from(shape & 7)],
        events: (shape & 0x10 != 0).then(|| strange(bytes) as u32),
        ends: (shape & 0x20 != 0).then(|| {
            let ends = (0..shape & 7).map(|_| strange(bytes) as u32);
            ends.collect()
        }),
        payload_bytes: (shape & 0x40 != 0).then(|| strange(bytes) as u32 & !7),
    }
}
