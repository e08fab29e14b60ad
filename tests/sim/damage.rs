//! A spool's files, cut at every offset and with every byte damaged, at production sizes.

use std::ops::Range;
use std::sync::Arc;

use flume_client::seq::{Seq, SeqRange};
use flume_client::spool::{
    CURSOR_BYTES, CursorState, FileName, FrameHeader, HeaderBlock, Level, Log, Missing, Opened,
    Place, Reader, SEGMENT_HEADER_BYTES, SEGMENTS_MIN, Settings, Step,
};
use flume_tests::spool_sim::disk::SimDisk;

const SETTINGS: Settings = Settings {
    segment_bytes: 16 * 1024 * 1024,
    frame_bytes_max: 2 * 1024 * 1024,
    bytes_max: 1024 * 1024 * 1024,
    free_bytes_min: 0,
};
/// The smallest quota with segments of four events of 15,000 bytes.
const SMALLEST: Settings = Settings {
    segment_bytes: 64 * 1024,
    frame_bytes_max: 16 * 1024,
    bytes_max: SEGMENTS_MIN * 64 * 1024 + CURSOR_BYTES as u64,
    free_bytes_min: 0,
};
const EVENTS: u64 = 250;

/// A segment with its events, and the cursor beside it.
struct Image {
    segment: FileName,
    content: Vec<u8>,
    cursor: Vec<u8>,
    /// Where each frame lies, and the numbers of its events.
    frames: Vec<(Range<usize>, Range<u64>)>,
}

/// What came of an image.
struct Found {
    opened: Opened,
    events: Vec<u64>,
    /// Told to be lost.
    lost: Vec<u64>,
}

fn datum(number: u64) -> Vec<u8> {
    format!("event {number} {}", "x".repeat(number as usize % 40)).into_bytes()
}

fn image() -> Image {
    let disk = Arc::new(SimDisk::new(1, u64::MAX / 2));
    let (mut log, _) = Log::open(Arc::clone(&disk) as _, SETTINGS, 1).unwrap();
    let mut number = 0;
    while number < EVENTS {
        let (mut ends, mut datums) = (Vec::new(), Vec::new());
        for _ in 0..=number % 4 {
            datums.extend(datum(number));
            ends.push(datums.len() as u32);
            number += 1;
        }
        log.push(&ends, &datums, Level::EndToEnd);
        log.flush(0).unwrap();
    }
    drop(log);
    // The next start cuts the segment behind its last frame, and says so in the cursor.
    drop(Log::open(Arc::clone(&disk) as _, SETTINGS, 2).unwrap());
    let files = disk.files();
    let is_segment = |file: &FileName| matches!(file, FileName::Segment(_));
    let segment = files.iter().map(|(file, _)| *file).find(is_segment);
    let segment = segment.unwrap();
    let content = disk.content(segment);
    let frames = frames(&content);
    assert_eq!(frames.last().unwrap().1.end, number);
    Image {
        segment,
        content,
        cursor: disk.content(FileName::Cursor),
        frames,
    }
}

fn frames(content: &[u8]) -> Vec<(Range<usize>, Range<u64>)> {
    let HeaderBlock::Whole(header, false) = HeaderBlock::read(content) else {
        panic!("the header is whole");
    };
    let mut frames = Vec::new();
    let mut offset = SEGMENT_HEADER_BYTES;
    let place = |offset| Place {
        salt: header.salt,
        offset: offset as u64,
    };
    while let Some(frame) = FrameHeader::read(place(offset), &content[offset..]) {
        let end = offset + frame.frame_bytes() as usize;
        let events = frame.range();
        frames.push((offset..end, events.first.number()..events.end.number()));
        offset = end;
    }
    frames
}

/// Opens a spool of these files on a disk that is full, and reads it.
fn find(segment: (FileName, Vec<u8>), cursor: Vec<u8>) -> Found {
    let disk = Arc::new(SimDisk::new(1, 0));
    disk.place(segment.0, segment.1);
    disk.place(FileName::Cursor, cursor);
    let (mut log, opened) = Log::open(Arc::clone(&disk) as _, SETTINGS, 3).unwrap();
    let mut reader = Reader::new(log.retired().watermark(), opened.known_durable_upto);
    let (mut events, mut lost) = (Vec::new(), Vec::new());
    loop {
        let segments = log.segments();
        let upto = log.readable_upto();
        match reader.advance(disk.as_ref(), &segments, log.retired(), upto) {
            Ok(Step::End) => break,
            Ok(Step::Gap(gap)) => {
                if gap.missing == Missing::Lost {
                    let lost_here = gap.range.below(Seq::new(EVENTS + 10));
                    lost.extend(lost_here.iter().map(Seq::number));
                }
                log.retire(gap.range);
            }
            Ok(Step::Frame) => {
                let frame = reader.frame().unwrap();
                for (number, bytes) in frame.events() {
                    let number = number.number();
                    assert_eq!(bytes, datum(number), "event {number}");
                    events.push(number);
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
    Found {
        opened,
        events,
        lost,
    }
}

impl Image {
    fn all(&self) -> Range<u64> {
        0..self.frames.last().unwrap().1.end
    }

    /// The events of the frames that `keeps`, and those of the others.
    fn parted(&self, keeps: impl Fn(&Range<usize>) -> bool) -> (Vec<u64>, Vec<u64>) {
        let mut parted = (Vec::new(), Vec::new());
        for (bytes, events) in &self.frames {
            let part = if keeps(bytes) {
                &mut parted.0
            } else {
                &mut parted.1
            };
            part.extend(events.clone());
        }
        parted
    }
}

#[test]
fn a_segment_that_is_cut_anywhere_gives_all_before_the_cut_and_tells_of_the_rest() {
    let image = image();
    for length in 0..image.content.len() {
        let cut = image.content[..length].to_vec();
        let found = find((image.segment, cut), image.cursor.clone());
        let header_is_there = length >= SEGMENT_HEADER_BYTES / 2;
        let (there, gone) = image.parted(|bytes| header_is_there && bytes.end <= length);
        assert_eq!(found.events, there, "cut at {length}");
        assert_eq!(found.lost, gone, "cut at {length}");
        if !header_is_there {
            assert_eq!(found.opened.quarantined.len(), 1, "cut at {length}");
        }
    }
}

#[test]
fn a_damaged_byte_of_a_segment_costs_at_most_its_frame_and_is_told() {
    let image = image();
    for byte in 0..image.content.len() {
        let mut damaged = image.content.clone();
        damaged[byte] ^= 1 << (byte % 8);
        let found = find((image.segment, damaged), image.cursor.clone());
        let (there, gone) = image.parted(|bytes| !bytes.contains(&byte));
        assert_eq!(found.events, there, "byte {byte}");
        assert_eq!(found.lost, gone, "byte {byte}");
        let in_header = byte < SEGMENT_HEADER_BYTES;
        assert_eq!(found.opened.repaired.len(), usize::from(in_header));
    }
}

#[test]
fn a_damaged_byte_of_the_cursor_loses_nothing_and_is_told() {
    let image = image();
    assert_eq!(image.cursor.len(), CURSOR_BYTES);
    for byte in 0..CURSOR_BYTES {
        let mut cursor = image.cursor.clone();
        cursor[byte] ^= 1 << (byte % 8);
        let found = find((image.segment, image.content.clone()), cursor);
        let all: Vec<_> = image.all().collect();
        assert_eq!(found.events, all, "byte {byte}");
        assert_eq!(found.opened.cursor, CursorState::Repaired, "byte {byte}");
    }
}

#[test]
fn damaged_segments_that_are_set_aside_leave_room_for_events_in_the_smallest_quota() {
    let disk = Arc::new(SimDisk::new(1, u64::MAX / 2));
    let (mut log, _) = Log::open(Arc::clone(&disk) as _, SMALLEST, 1).unwrap();
    let mut begun = None;
    for _ in 0..40 {
        log.push(&[15_000], &[7; 15_000], Level::EndToEnd);
        log.flush(0).unwrap();
        if begun != log.newest_segment() {
            begun = log.newest_segment();
            log.mark_damaged(begun.unwrap());
        }
        log.retire(SeqRange::new(Seq::ZERO, log.next()));
        log.save().unwrap();
    }
    let files = disk.files();
    let is_set_aside = |(file, _): &&(FileName, u64)| matches!(file, FileName::Quarantine(_));
    let set_aside: u64 = files
        .iter()
        .filter(is_set_aside)
        .map(|(_, bytes)| bytes)
        .sum();
    assert!(set_aside > 0, "{files:?}");
    assert!(set_aside <= SMALLEST.bytes_max / SEGMENTS_MIN, "{files:?}");
}

#[test]
fn a_crash_finds_nothing_new_under_the_old_name_of_a_spare() {
    let power_losses = (0..8).flat_map(|seed| (1..30).map(move |operations| (seed, operations)));
    for (seed, operations) in power_losses {
        let disk = Arc::new(SimDisk::new(seed, u64::MAX / 2));
        let (mut log, _) = Log::open(Arc::clone(&disk) as _, SMALLEST, seed).unwrap();
        for _ in 0..10 {
            log.push(&[15_000], &[7; 15_000], Level::EndToEnd);
            log.flush(0).unwrap();
        }
        log.retire(SeqRange::new(Seq::ZERO, log.next()));
        disk.set_names_fail(true);
        log.save().unwrap_err();
        disk.set_names_fail(false);
        disk.crash_in(operations);
        for _ in 0..8 {
            log.push(&[15_000], &[8; 15_000], Level::EndToEnd);
            let _ = log.flush(0);
        }
        disk.power_off_and_on();
        let (_, opened) = Log::open(Arc::clone(&disk) as _, SMALLEST, seed).unwrap();
        assert!(opened.quarantined.is_empty(), "{operations}: {opened:?}");
    }
}

/// Whether the number of an event is given again after damage to its frame, which was the only one
/// of its run, and to the cursor: its newest slot, or both.
fn is_given_again(damages_both_slots: bool) -> bool {
    let disk = Arc::new(SimDisk::new(1, u64::MAX / 2));
    let open = |seed| Log::open(Arc::clone(&disk) as _, SETTINGS, seed).unwrap().0;
    let store = |log: &mut Log| {
        let first = log.push(&[5], b"event", Level::EndToEnd);
        log.flush(0).unwrap();
        first
    };
    store(&mut open(1));
    let before = disk.content(FileName::Cursor);
    let mut log = open(2);
    let given = store(&mut log);
    let segment = FileName::Segment(log.newest_segment().unwrap());
    drop(log);

    let mut content = disk.content(segment);
    content[SEGMENT_HEADER_BYTES] ^= 1;
    disk.place(segment, content);
    let mut cursor = disk.content(FileName::Cursor);
    let is_newer = |byte: &usize| cursor[*byte] != before[*byte];
    let newer = (0..cursor.len()).find(is_newer).unwrap();
    cursor[newer] ^= 0xff;
    if damages_both_slots {
        cursor[(newer + CURSOR_BYTES / 2) % CURSOR_BYTES] ^= 0xff;
    }
    disk.place(FileName::Cursor, cursor);
    store(&mut open(3)) <= given
}

#[test]
fn a_number_is_not_given_again_whatever_of_the_cursor_is_damaged() {
    assert!(!is_given_again(false));
    assert!(!is_given_again(true));
}
