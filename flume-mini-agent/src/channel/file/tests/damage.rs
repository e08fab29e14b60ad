//! Logs that were cut, damaged or mixed up: what opens, and what is refused with which words.

use flume_client::spool::SEGMENT_HEADER_BYTES;

use super::*;

/// A log of events with its content after each round, by the length of its last segment.
struct Written {
    disk: SimDisk,
    log: Booked,
    rounds: Vec<(FileName, usize, Vec<u64>)>,
}

impl Written {
    fn new() -> Self {
        let disk = SimDisk::new(1);
        let log = Booked::open(&disk).unwrap();
        Self {
            disk,
            log,
            rounds: Vec::new(),
        }
    }

    /// Twelve rounds of ten events, nothing taken: the cursor bears no witness.
    fn of_120_events() -> Self {
        let mut written = Self::new();
        for round in 0..12 {
            written.put(10 * round..10 * round + 10);
        }
        written
    }

    /// The same with a take of three after each.
    fn with_takes() -> Self {
        let mut written = Self::new();
        for round in 0..12 {
            written.put(10 * round..10 * round + 10);
            written.log.take(0, 3);
            let content = written.log.numbers();
            let (segment, end, _) = *written.rounds.last().unwrap();
            written.rounds.push((segment, end, content));
        }
        written
    }

    /// Many segments, of each of which something is left.
    fn of_many_segments() -> Self {
        let mut written = Self::new();
        for round in 0..250 {
            written.put(10 * round..10 * round + 10);
        }
        assert!(written.disk.segments().len() > 4);
        written
    }

    fn put(&mut self, numbers: impl IntoIterator<Item = u64>) {
        self.log.put(numbers);
        let segment = *self.disk.segments().last().unwrap();
        let content = self.disk.content(segment);
        let used = content.iter().rposition(|byte| *byte != 0).unwrap();
        let end = (used + 1).next_multiple_of(8);
        self.rounds.push((segment, end, self.log.numbers()));
    }

    fn segment(&self) -> FileName {
        *self.disk.segments().last().unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        self.disk.content(self.segment())
    }

    /// Of the last segment.
    fn used(&self) -> usize {
        self.rounds.last().unwrap().1
    }

    fn content(&self) -> Vec<u64> {
        self.log.numbers()
    }

    /// What the log holds with other bytes in a file.
    fn reopen(&self, file: FileName, bytes: &[u8]) -> Result<Vec<u64>, OpenError> {
        let disk = self.disk.copy();
        disk.set_content(file, bytes);
        reopen(&disk)
    }
}

fn reopen(disk: &SimDisk) -> Result<Vec<u64>, OpenError> {
    Booked::open(disk).map(|log| log.numbers())
}

fn check_refused(result: Result<Vec<u64>, OpenError>, expected: &str) {
    assert_eq!(result.unwrap_err().to_string(), expected);
}

#[test]
fn a_log_cut_at_any_offset_holds_the_whole_transactions_before_the_cut() {
    let written = Written::of_120_events();
    let (segment, bytes) = (written.segment(), written.bytes());
    for length in 0..=written.used() {
        let reopened = written.reopen(segment, &bytes[..length]);
        // The first of two headers.
        if length < SEGMENT_HEADER_BYTES / 2 {
            check_refused(
                reopened,
                &format!(
                    "{segment} is damaged at offset 0: the header is not whole; \
                     move it away or restore it"
                ),
            );
            continue;
        }
        let mut rounds = written.rounds.iter();
        let kept = rounds.rfind(|(_, end, _)| *end <= length);
        let content = kept.map_or(Vec::new(), |(_, _, content)| content.clone());
        assert_eq!(reopened.unwrap(), content, "cut at {length}");
    }
}

#[test]
fn a_log_that_was_cut_and_goes_on_is_whole() {
    let written = Written::of_120_events();
    let bytes = written.bytes();
    for length in SEGMENT_HEADER_BYTES..=written.used() {
        let disk = written.disk.copy();
        disk.set_content(written.segment(), &bytes[..length]);
        let mut log = Booked::open(&disk).unwrap();
        log.put([7777]);
        disk.lose_power();
        assert_eq!(reopen(&disk).unwrap(), log.numbers());
    }
}

#[test]
fn the_last_of_many_segments_cut_at_any_offset_keeps_what_is_in_those_before_it() {
    let written = Written::of_many_segments();
    let (last, bytes) = (written.segment(), written.bytes());
    for length in (SEGMENT_HEADER_BYTES..=written.used()).step_by(13) {
        let mut rounds = written.rounds.iter();
        let kept = rounds.rfind(|(segment, end, _)| *segment != last || *end <= length);
        let found = written.reopen(last, &bytes[..length]).unwrap();
        assert_eq!(found, kept.unwrap().2, "cut at {length}");
    }
}

#[test]
fn a_closed_log_with_any_byte_changed_is_whole_or_refused() {
    let mut written = Written::with_takes();
    written.log.log.close().unwrap();
    let header_of_frame = |offset: usize| (SEGMENT_HEADER_BYTES..written.used()).contains(&offset);
    let (mut refused, mut whole) = (0, 0);
    for file in [written.segment(), FileName::Cursor] {
        let bytes = written.disk.content(file);
        for offset in 0..bytes.len() {
            // Of what is the same all over, some.
            if !header_of_frame(offset) && offset % 61 > 0 && offset % 4096 > 96 {
                continue;
            }
            for flip in [1 << (offset % 8), 0xff] {
                let mut bytes = bytes.clone();
                bytes[offset] ^= flip;
                match written.reopen(file, &bytes) {
                    Err(error) => {
                        assert!(error.to_string().starts_with(&format!("{file} is damaged")));
                        refused += 1;
                    }
                    Ok(found) => {
                        assert_eq!(found, written.content(), "{file} at {offset}");
                        whole += 1;
                    }
                }
            }
        }
    }
    // Every byte of an event that is left, but for what pads it.
    assert!(refused > 1000 && whole > 1000, "{refused} {whole}");
}

#[test]
fn a_killed_log_with_any_byte_changed_lacks_the_last_round_at_most() {
    let written = Written::with_takes();
    let before = &written.rounds[written.rounds.len() - 2].2;
    for file in [written.segment(), FileName::Cursor] {
        let bytes = written.disk.content(file);
        for offset in 0..bytes.len() {
            let is_frame = file != FileName::Cursor && offset < written.used();
            if !is_frame && offset % 4096 > 96 {
                continue;
            }
            let mut bytes = bytes.clone();
            bytes[offset] ^= 1 << (offset % 8);
            if let Ok(found) = written.reopen(file, &bytes) {
                let is_whole = found == written.content();
                assert!(is_whole || found == *before, "{file} at {offset}");
            }
        }
    }
}

#[test]
fn a_killed_log_whose_last_transaction_is_damaged_lacks_that_and_no_other() {
    let written = Written::of_120_events();
    let (_, last, content) = &written.rounds[written.rounds.len() - 2];
    let bytes = written.bytes();
    for offset in SEGMENT_HEADER_BYTES..written.used() {
        let mut bytes = bytes.clone();
        bytes[offset] ^= 1 << (offset % 8);
        match written.reopen(written.segment(), &bytes) {
            Err(_) => assert!(offset < *last),
            Ok(found) => {
                assert!(offset >= *last, "not noticed: offset {offset}");
                assert_eq!(&found, content);
            }
        }
    }
}

#[test]
fn a_segment_that_others_follow_is_whole_or_refused_by_name() {
    let written = Written::of_many_segments();
    let segments = written.disk.segments();
    for segment in &segments[..segments.len() - 1] {
        let bytes = written.disk.content(*segment);
        let mut refused = 0;
        for offset in (0..bytes.len()).step_by(67) {
            let mut flipped = bytes.clone();
            flipped[offset] ^= 1 << (offset % 8);
            match written.reopen(*segment, &flipped) {
                Ok(found) => assert_eq!(found, written.content(), "{segment} at {offset}"),
                Err(error) => {
                    let error = error.to_string();
                    assert!(error.starts_with(&format!("{segment} ")), "{error}");
                    refused += 1;
                }
            }
        }
        assert!(refused > 100, "{refused}");
    }
    assert_eq!(reopen(&written.disk).unwrap(), written.content());
}

#[test]
fn a_segment_that_others_follow_must_not_lack_its_end() {
    let written = Written::of_many_segments();
    let segments = written.disk.segments();
    for segment in &segments[..segments.len() - 1] {
        let bytes = written.disk.content(*segment);
        let mut rounds = written.rounds.iter();
        let (_, end, _) = rounds.rfind(|(of, _, _)| of == segment).unwrap();
        for length in (0..*end - 7).step_by(67) {
            let reopened = written.reopen(*segment, &bytes[..length]);
            assert!(reopened.is_err(), "{segment} cut at {length}");
        }
    }
}

#[test]
fn a_flipped_byte_in_an_event_is_refused_with_file_and_offset() {
    let written = Written::of_120_events();
    let mut bytes = written.bytes();
    let (segment, frame, _) = written.rounds[2];
    bytes[frame + 60] ^= 1;
    check_refused(
        written.reopen(segment, &bytes),
        &format!(
            "{segment} is damaged at offset {frame}: events are not whole that were on disk \
             before; move it away or restore it"
        ),
    );
}

#[test]
fn a_hole_in_a_round_that_was_never_synced_costs_its_transaction_and_no_part_of_another() {
    let mut written = Written::new();
    written.put([1, 2]);
    let synced = written.used();
    let round = [[3, 4], [5, 6], [7, 8]].map(|numbers| Step::Put(numbers.to_vec()));
    written.log.commit(&round).unwrap();
    let mut bytes = written.bytes();
    bytes[synced + 50] ^= 1;
    let found = written.reopen(written.segment(), &bytes).unwrap();
    assert_eq!(found, [1, 2, 5, 6, 7, 8]);
}

#[test]
fn zeros_and_noise_behind_the_last_round_are_no_events() {
    let written = Written::of_120_events();
    let mut random = fastrand::Rng::with_seed(5);
    let noise: Vec<u8> = (0..300).map(|_| random.u8(..)).collect();
    let used = &written.bytes()[..written.used()];
    for tail in [vec![0; 1], vec![0; 4096], noise, vec![0xff; 64]] {
        let bytes = [used, &tail].concat();
        let found = written.reopen(written.segment(), &bytes).unwrap();
        assert_eq!(found, written.content());
    }
}

#[test]
fn a_missing_segment_is_refused_by_name() {
    let written = Written::of_many_segments();
    let segments = written.disk.segments();
    for segment in &segments[..segments.len() - 1] {
        let disk = written.disk.copy();
        disk.delete(*segment);
        check_refused(
            reopen(&disk),
            &format!(
                "{segment} is damaged at offset 0: the segment is missing; \
                 move it away or restore it"
            ),
        );
    }
}

#[test]
fn a_missing_cursor_is_refused_as_long_as_there_are_events() {
    let written = Written::with_takes();
    written.disk.delete(FileName::Cursor);
    check_refused(
        reopen(&written.disk),
        "cursor is damaged at offset 0: the file is missing; move it away or restore it",
    );
}

#[test]
fn segments_in_each_others_places_are_read_in_their_own() {
    let written = Written::of_many_segments();
    let segments = written.disk.segments();
    let [one, two] = [segments[1], segments[2]].map(|it| written.disk.content(it));
    written.disk.set_content(segments[1], &two);
    written.disk.set_content(segments[2], &one);
    assert_eq!(reopen(&written.disk).unwrap(), written.content());
}

#[test]
fn a_frame_is_whole_in_its_place_only() {
    let mut written = Written::new();
    written.put([1]);
    let (bytes, used) = (written.bytes(), written.used());
    let copy = &bytes[SEGMENT_HEADER_BYTES..used];
    let bytes = [&bytes[..used], copy].concat();
    assert_eq!(written.reopen(written.segment(), &bytes).unwrap(), [1]);
}

#[test]
fn a_later_version_and_a_foreign_file_are_refused_and_left_alone() {
    let written = Written::of_120_events();
    let mut bytes = written.bytes();
    let segment = written.segment();
    for copy in bytes[..SEGMENT_HEADER_BYTES].chunks_mut(SEGMENT_HEADER_BYTES / 2) {
        let (sealed, checksum) = copy.split_at_mut(SEGMENT_HEADER_BYTES / 2 - 4);
        sealed[8] = 2;
        checksum.copy_from_slice(&crc32fast::hash(sealed).to_le_bytes());
    }
    check_refused(
        written.reopen(segment, &bytes),
        &format!("{segment} has format version 2, this channel reads version 1"),
    );
    let other = SimDisk::new(4);
    Booked::open(&other).unwrap().put([1]);
    let bytes = other.content(other.segments()[0]);
    let foreign = FileName::Segment(99);
    let disk = written.disk.copy();
    disk.set_content(foreign, &bytes);
    check_refused(
        reopen(&disk),
        &format!("{foreign} is not a log of this channel; its directory must be the channel's own"),
    );
    assert_eq!(disk.content(foreign), bytes);
}

#[test]
fn noise_in_place_of_frames_never_makes_an_event() {
    let mut written = Written::new();
    written.put([1]);
    let header = &written.bytes()[..SEGMENT_HEADER_BYTES];
    for seed in 0..500 {
        let mut random = fastrand::Rng::with_seed(seed);
        let noise = (0..random.usize(..400)).map(|_| random.u8(..3));
        let bytes = [header, &noise.collect::<Vec<_>>()].concat();
        let found = written.reopen(written.segment(), &bytes);
        assert!(found.unwrap().is_empty());
    }
}
