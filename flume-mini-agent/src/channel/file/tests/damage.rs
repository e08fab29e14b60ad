//! Logs that were cut, damaged or mixed up: what opens, and what is refused with which words.

use super::*;
use crate::channel::file::log::{Change, Log};
use crate::channel::file::record::SEGMENT_HEADER_BYTES;
use crate::channel::file::replay::{self, Cut};

const ONE_SEGMENT: u64 = u64::MAX;

/// A log with its content after each round, by the length of its last segment.
struct Written {
    disk: SimDisk,
    log: Log<SimDisk>,
    rounds: Vec<(usize, Vec<u64>)>,
}

impl Written {
    fn new(segment_bytes_max: u64) -> Self {
        let disk = SimDisk::new(1);
        let (log, _) = replay::open(disk.clone(), segment_bytes_max).unwrap();
        let rounds = vec![(SEGMENT_HEADER_BYTES, Vec::new())];
        Self { disk, log, rounds }
    }

    /// Twelve rounds of ten events, a take of three after each.
    fn of_120_events(segment_bytes_max: u64) -> Self {
        let mut written = Self::new(segment_bytes_max);
        for round in 0..12 {
            let numbers: Vec<u64> = (10 * round..10 * round + 10).collect();
            written.commit(&[Change::Put(&events(&numbers))]);
            let oldest: Vec<u64> = written.log.ledger().events().map(|it| it.0).collect();
            written.commit(&[Change::Take(&oldest[..3])]);
        }
        written
    }

    fn commit(&mut self, changes: &[Change<'_>]) {
        self.log.commit(changes).unwrap();
        let length = usize::try_from(self.log.ledger().active_bytes()).unwrap();
        self.rounds.push((length, numbers(self.log.ledger())));
    }

    fn bytes(&self) -> Vec<u8> {
        self.disk.content(1)
    }

    fn content(&self) -> Vec<u64> {
        numbers(self.log.ledger())
    }
}

/// What a log of one segment with `bytes` holds.
fn reopen(bytes: &[u8]) -> Result<(Vec<u64>, Replay), OpenError> {
    let disk = SimDisk::new(2);
    disk.set_content(1, bytes);
    reopen_disk(&disk)
}

fn reopen_disk(disk: &SimDisk) -> Result<(Vec<u64>, Replay), OpenError> {
    let (log, replay) = replay::open(disk.clone(), ONE_SEGMENT)?;
    Ok((numbers(log.ledger()), replay))
}

fn check_refused(result: Result<(Vec<u64>, Replay), OpenError>, expected: &str) {
    assert_eq!(result.unwrap_err().to_string(), expected);
}

#[test]
fn a_log_cut_at_any_offset_holds_the_whole_transactions_before_the_cut() {
    let written = Written::of_120_events(ONE_SEGMENT);
    let bytes = written.bytes();
    for length in 0..=bytes.len() {
        let reopened = reopen(&bytes[..length]);
        let Some((end, content)) = written.rounds.iter().rfind(|(end, _)| *end <= length) else {
            check_refused(
                reopened,
                "log-1 is damaged at offset 0: the header is not whole; \
                 move it away or restore it",
            );
            continue;
        };
        let (found, replay) = reopened.unwrap();
        assert_eq!(&found, content, "cut at {length}");
        let cut = (length > *end).then(|| Cut {
            file: "log-1".to_owned(),
            offset: *end as u64,
            bytes: (length - end) as u64,
        });
        assert_eq!(replay.cut, cut);
    }
}

#[test]
fn a_log_that_was_cut_and_goes_on_is_whole() {
    let written = Written::of_120_events(ONE_SEGMENT);
    let bytes = written.bytes();
    for length in SEGMENT_HEADER_BYTES..=bytes.len() {
        let disk = SimDisk::new(3);
        disk.set_content(1, &bytes[..length]);
        let (mut log, _) = replay::open(disk.clone(), ONE_SEGMENT).unwrap();
        log.commit(&[Change::Put(&[event(7777)])]).unwrap();
        let expected = numbers(log.ledger());
        disk.lose_power();
        let (found, replay) = reopen_disk(&disk).unwrap();
        assert_eq!((found, replay.cut), (expected, None));
    }
}

#[test]
fn the_last_of_many_segments_cut_at_any_offset_keeps_what_is_in_those_before_it() {
    let written = Written::of_120_events(500);
    let last = *written.disk.segments().last().unwrap();
    assert!(last > 4);
    let bytes = written.disk.content(last);
    // Lengths of the last segment come last, after that of the segment before it.
    let rotated = written
        .rounds
        .windows(2)
        .rposition(|pair| pair[1].0 < pair[0].0);
    let (earlier, of_last) = written.rounds.split_at(rotated.unwrap() + 1);
    let before = &earlier.last().unwrap().1;
    for length in SEGMENT_HEADER_BYTES..=bytes.len() {
        let disk = written.disk.copy();
        disk.set_content(last, &bytes[..length]);
        let kept = of_last.iter().rfind(|(end, _)| *end <= length);
        let expected = kept.map_or(before, |(_, content)| content);
        let (found, replay) = reopen_disk(&disk).unwrap();
        assert_eq!(&found, expected, "cut at {length}");
        let end = kept.map_or(SEGMENT_HEADER_BYTES, |(end, _)| *end);
        assert_eq!(replay.cut.map_or(0, |cut| cut.bytes), (length - end) as u64);
    }
}

#[test]
fn a_closed_log_with_any_byte_changed_is_whole_or_refused() {
    let mut written = Written::of_120_events(ONE_SEGMENT);
    let vouched = written.bytes().len();
    written.log.close().unwrap();
    let bytes = written.bytes();
    for offset in 0..bytes.len() {
        for flip in [1 << (offset % 8), 0xff] {
            let mut bytes = bytes.clone();
            bytes[offset] ^= flip;
            match reopen(&bytes) {
                Err(error) => {
                    assert!(error.to_string().starts_with("log-1 "));
                    assert!(offset < vouched, "the close record is not worth a refusal");
                }
                Ok((found, replay)) => {
                    assert!(offset >= vouched, "not noticed: offset {offset}");
                    assert_eq!(found, written.content());
                    assert!(replay.cut.is_some() && !replay.closed);
                }
            }
        }
    }
}

#[test]
fn a_killed_log_with_any_byte_changed_lacks_the_last_round_at_most() {
    let written = Written::of_120_events(ONE_SEGMENT);
    let bytes = written.bytes();
    let (last, content) = &written.rounds[written.rounds.len() - 2];
    for offset in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[offset] ^= 1 << (offset % 8);
        match reopen(&bytes) {
            Err(_) => assert!(offset < *last),
            Ok((found, replay)) => {
                assert!(offset >= *last, "not noticed: offset {offset}");
                assert_eq!(&found, content);
                assert_eq!(replay.cut.unwrap().offset, *last as u64);
            }
        }
    }
}

#[test]
fn a_segment_that_others_follow_must_be_whole() {
    // The second makes segments that end with a take, which no sequence number would miss.
    for segment_bytes_max in [500, 220] {
        let written = Written::of_120_events(segment_bytes_max);
        let segments = written.disk.segments();
        assert!(segments.len() > 4);
        for segment in &segments[..segments.len() - 1] {
            let bytes = written.disk.content(*segment);
            for offset in 0..bytes.len() {
                let disk = written.disk.copy();
                let mut flipped = bytes.clone();
                flipped[offset] ^= 1 << (offset % 8);
                disk.set_content(*segment, &flipped);
                let error = reopen_disk(&disk).unwrap_err().to_string();
                assert!(error.starts_with(&format!("log-{segment} ")), "{error}");
            }
        }
        assert_eq!(reopen_disk(&written.disk).unwrap().0, written.content());
    }
}

#[test]
fn a_segment_that_others_follow_must_not_lack_its_end() {
    let written = Written::of_120_events(220);
    let segments = written.disk.segments();
    for segment in &segments[..segments.len() - 1] {
        let bytes = written.disk.content(*segment);
        for length in 0..bytes.len() {
            let disk = written.disk.copy();
            disk.set_content(*segment, &bytes[..length]);
            assert!(reopen_disk(&disk).is_err(), "{segment} cut at {length}");
        }
    }
}

#[test]
fn a_flipped_byte_in_an_event_is_refused_with_file_and_offset() {
    let written = Written::of_120_events(ONE_SEGMENT);
    let mut bytes = written.bytes();
    let (record, _) = written.rounds[2];
    let (next, _) = written.rounds[3];
    bytes[record + 40] ^= 1;
    check_refused(
        reopen(&bytes),
        &format!(
            "log-1 is damaged at offset {record}: a record is not whole that was on disk before \
             that at {next}; move it away or restore it"
        ),
    );
}

#[test]
fn a_hole_in_a_round_that_was_never_synced_is_cut_although_its_end_is_whole() {
    let mut written = Written::new(ONE_SEGMENT);
    written.commit(&[Change::Put(&events(&[1, 2]))]);
    let synced = written.bytes().len();
    let round = [
        Change::Put(&events(&[3])),
        Change::Put(&events(&[4])),
        Change::Take(&[0]),
    ];
    written.commit(&round);
    let mut bytes = written.bytes();
    bytes[synced + 20] ^= 1;
    let (found, replay) = reopen(&bytes).unwrap();
    assert_eq!(found, [1, 2]);
    assert_eq!(replay.cut.unwrap().offset, synced as u64);
}

#[test]
fn zeros_and_noise_behind_the_last_round_are_cut() {
    let written = Written::of_120_events(ONE_SEGMENT);
    let mut random = fastrand::Rng::with_seed(5);
    let noise: Vec<u8> = (0..300).map(|_| random.u8(..)).collect();
    for tail in [vec![0; 1], vec![0; 4096], noise, vec![0xff; 64]] {
        let bytes = [written.bytes(), tail.clone()].concat();
        let (found, replay) = reopen(&bytes).unwrap();
        assert_eq!(found, written.content());
        assert_eq!(replay.cut.unwrap().bytes, tail.len() as u64);
    }
}

#[test]
fn a_missing_segment_is_refused_by_name() {
    let written = Written::of_120_events(500);
    let segments = written.disk.segments();
    for segment in &segments[..segments.len() - 1] {
        let disk = written.disk.copy();
        disk.delete(*segment);
        let error = reopen_disk(&disk).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "log-{segment} is damaged at offset 0: the segment is missing; \
                 move it away or restore it"
            )
        );
    }
}

#[test]
fn segments_in_each_others_places_are_refused() {
    let written = Written::of_120_events(500);
    let (one, two) = (written.disk.content(2), written.disk.content(3));
    written.disk.set_content(2, &two);
    written.disk.set_content(3, &one);
    check_refused(
        reopen_disk(&written.disk),
        "log-2 is damaged at offset 0: the header is not whole; move it away or restore it",
    );
}

#[test]
fn a_record_is_whole_in_its_place_only() {
    let mut written = Written::new(ONE_SEGMENT);
    written.commit(&[Change::Put(&events(&[1]))]);
    let bytes = written.bytes();
    let copy = bytes[SEGMENT_HEADER_BYTES..].to_vec();
    let (found, replay) = reopen(&[bytes, copy].concat()).unwrap();
    assert_eq!(found, [1]);
    assert!(replay.cut.is_some());
}

#[test]
fn a_later_version_and_a_foreign_file_are_refused_and_left_alone() {
    let mut bytes = Written::of_120_events(ONE_SEGMENT).bytes();
    bytes[8] = 2;
    check_refused(
        reopen(&bytes),
        "log-1 has format version 2, this channel reads version 1",
    );
    let disk = SimDisk::new(4);
    disk.set_content(1, &[0xde; 500]);
    check_refused(
        reopen_disk(&disk),
        "log-1 is not a log of this channel; its directory must be the channel's own",
    );
    assert_eq!(disk.content(1), [0xde; 500]);
}

#[test]
fn noise_in_place_of_records_never_makes_an_event() {
    let header = Written::new(ONE_SEGMENT).bytes();
    for seed in 0..500 {
        let mut random = fastrand::Rng::with_seed(seed);
        let noise = (0..random.usize(..400)).map(|_| random.u8(..3));
        let bytes = [header.clone(), noise.collect()].concat();
        assert!(reopen(&bytes).unwrap().0.is_empty());
    }
}
