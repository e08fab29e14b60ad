//! How much is told of segments that cannot be read: each event at most once, and each file's bytes.

use std::sync::Arc;

use flume_client::seq::{Seq, SeqRange};
use flume_client::spool::{
    FileName, Level, Log, Missing, Reader, SEGMENT_HEADER_BYTES, Settings, Step, Survey,
};
use flume_tests::spool_sim::disk::SimDisk;

const SETTINGS: Settings = Settings {
    segment_bytes: 1024 * 1024,
    frame_bytes_max: 64 * 1024,
    bytes_max: 64 * 1024 * 1024,
    free_bytes_min: 0,
};
const RUNS: u64 = 5;
const EVENTS: u64 = 500;
/// An event takes at least its end and two counts.
const EVENT_BYTES_MIN: u64 = 6;

/// A spool of some runs, each with its segment, and the files of those.
fn spool() -> (Arc<SimDisk>, Vec<FileName>) {
    let disk = Arc::new(SimDisk::new(1, u64::MAX / 2));
    for run in 0..RUNS {
        write(&disk, run);
    }
    // Another start cuts the last one.
    drop(Log::open(Arc::clone(&disk) as _, SETTINGS, 9).unwrap());
    disk.end_process();
    (Arc::clone(&disk), segments(&disk))
}

fn write(disk: &Arc<SimDisk>, run: u64) {
    let (mut log, _) = Log::open(Arc::clone(disk) as _, SETTINGS, 1 + run).unwrap();
    let datum = [7; 90];
    for _ in 0..EVENTS / 10 {
        let ends: Vec<u32> = (1..=10).map(|index| index * datum.len() as u32).collect();
        log.push(&ends, &datum.repeat(10), Level::EndToEnd);
        log.flush(1_700_000_000_000).unwrap();
    }
    drop(log);
    disk.end_process();
}

fn segments(disk: &SimDisk) -> Vec<FileName> {
    let files = disk.files().into_iter().map(|(file, _)| file);
    let mut segments: Vec<_> = files
        .filter(|file| matches!(file, FileName::Segment(_)))
        .collect();
    segments.sort_unstable();
    segments
}

fn can_hold(disk: &SimDisk, file: FileName) -> u64 {
    (disk.content(file).len() as u64 - SEGMENT_HEADER_BYTES as u64) / EVENT_BYTES_MIN
}

/// How many events are read, and how many are told to be missing, for which reason.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    read: u64,
    unreadable: u64,
    lost: u64,
}

fn read(disk: &Arc<SimDisk>, log: &Log, known_durable_upto: Seq) -> Found {
    let mut found = Found::default();
    let mut reader = Reader::new(log.retired().watermark(), known_durable_upto);
    let list = log.segments();
    loop {
        let step = reader.advance(disk.as_ref(), &list, log.retired(), log.readable_upto());
        match step.unwrap() {
            Step::End => return found,
            Step::Frame => found.read += u64::from(reader.frame().unwrap().take),
            Step::Gap(gap) if gap.missing == Missing::Unreadable => {
                found.unreadable += gap.events_max;
            }
            Step::Gap(gap) => found.lost += gap.events_max,
        }
    }
}

/// Checks what is told of the spool at a start, while it is read, and by who only looks.
#[track_caller]
fn check(disk: &Arc<SimDisk>, unread: &[u64]) {
    let cannot_be_read = unread.len() as u64 * EVENTS;
    let can_be: u64 = unread.iter().sum();
    let in_all = RUNS * EVENTS;
    let surveyed = Survey::take(disk.as_ref(), |_| Ok(())).unwrap();
    let (events, unreadable) = (surveyed.events(), surveyed.unreadable());
    assert_eq!((events, surveyed.lost()), (in_all - cannot_be_read, 0));
    assert!(
        (cannot_be_read..=can_be).contains(&unreadable),
        "{surveyed:?}"
    );

    let (log, opened) = Log::open(Arc::clone(disk) as _, SETTINGS, 77).unwrap();
    let found = read(disk, &log, opened.known_durable_upto);
    assert_eq!((found.read, found.lost), (in_all - cannot_be_read, 0));
    assert!(
        (cannot_be_read..=can_be).contains(&found.unreadable),
        "{found:?}"
    );
    // Where the numbers of a segment beside it end is not looked for at a start.
    let beside = 2 * unread.len() as u64 + 1;
    let longest = disk.files().into_iter().map(|(file, _)| match file {
        FileName::Segment(_) => can_hold(disk, file),
        _ => 0,
    });
    let most = in_all + can_be + beside * longest.max().unwrap();
    let backlog = log.backlog();
    assert!((in_all..=most).contains(&backlog), "{backlog} of {most}");
    drop(log);
    disk.end_process();
}

#[test]
fn an_unreadable_segment_among_those_of_several_runs_is_told_to_hold_what_its_bytes_can() {
    for place in 0..RUNS as usize {
        let (disk, files) = spool();
        disk.deny(files[place], true);
        check(&disk, &[can_hold(&disk, files[place])]);
    }
}

#[test]
fn what_several_unreadable_segments_can_hold_is_told_once_in_all() {
    for denied in [&[0, 1][..], &[1, 3], &[0, 2, 4], &[1, 2, 3], &[3, 4]] {
        let (disk, files) = spool();
        for place in denied {
            disk.deny(files[*place], true);
        }
        let unread: Vec<_> = denied
            .iter()
            .map(|it| can_hold(&disk, files[*it]))
            .collect();
        check(&disk, &unread);
    }
}

#[test]
fn an_unreadable_segment_under_another_ones_name_is_told_once() {
    let (disk, files) = spool();
    disk.swap(files[1], files[3]);
    disk.deny(files[1], true);
    check(&disk, &[can_hold(&disk, files[1])]);
}

#[test]
fn a_segment_that_is_gone_is_told_as_lost_with_what_one_file_can_hold() {
    for place in 0..RUNS as usize - 1 {
        let (disk, files) = spool();
        let largest = files.iter().map(|file| can_hold(&disk, *file)).max();
        disk.take_away(files[place]);
        let (log, opened) = Log::open(Arc::clone(&disk) as _, SETTINGS, 77).unwrap();
        let found = read(&disk, &log, opened.known_durable_upto);
        assert_eq!((found.read, found.unreadable), ((RUNS - 1) * EVENTS, 0));
        // Before it, less than a block may have been frames.
        let most = largest.unwrap() + 4096 / EVENT_BYTES_MIN;
        assert!((EVENTS..=most).contains(&found.lost), "{place}: {found:?}");
        drop(log);
        disk.end_process();
    }
}

#[test]
fn runs_that_begin_beside_an_unreadable_segment_add_nothing_to_what_is_told_of_it() {
    // Each start beside what cannot be read begins with numbers of its own.
    let (disk, files) = spool();
    disk.deny(files[2], true);
    for run in RUNS..RUNS + 3 {
        write(&disk, run);
    }
    let surveyed = Survey::take(disk.as_ref(), |_| Ok(())).unwrap();
    assert_eq!(surveyed.events(), (RUNS + 2) * EVENTS);
    let most = can_hold(&disk, files[2]);
    let unreadable = surveyed.unreadable();
    assert!((EVENTS..=most).contains(&unreadable), "{surveyed:?}");
}

#[test]
fn starts_beside_an_unreadable_segment_find_what_it_can_hold_and_nothing_more() {
    for place in 0..RUNS as usize {
        let (disk, files) = spool();
        disk.deny(files[place], true);
        let most = can_hold(&disk, files[place]);
        for start in 0..4 {
            let (mut log, opened) =
                Log::open(Arc::clone(&disk) as _, SETTINGS, 50 + start).unwrap();
            let backlog = log.backlog();
            let (least, most) = match start {
                0 => (RUNS * EVENTS, RUNS * EVENTS + most),
                _ => (EVENTS, most),
            };
            assert!(
                (least..=most).contains(&backlog),
                "segment {place}, start {start}: {backlog} of {most}"
            );
            deliver(&disk, &mut log, opened.known_durable_upto);
            // This run's events are all delivered.
            let own = log.push(&[4], &[7; 4], Level::EndToEnd);
            log.flush(0).unwrap();
            log.retire(SeqRange::of(own, 1));
            log.save().unwrap();
            drop(log);
            disk.end_process();
        }
    }
}

/// All that can be read is done with.
fn deliver(disk: &Arc<SimDisk>, log: &mut Log, known_durable_upto: Seq) {
    let mut reader = Reader::new(log.retired().watermark(), known_durable_upto);
    let list = log.segments();
    loop {
        let step = reader.advance(disk.as_ref(), &list, log.retired(), log.readable_upto());
        match step.unwrap() {
            Step::End => return,
            Step::Frame => {
                let header = reader.frame().unwrap().header;
                log.retire(header.range());
            }
            Step::Gap(gap) => assert_eq!(gap.missing, Missing::Unreadable),
        }
    }
}

#[test]
fn a_last_segment_that_is_gone_is_not_the_fault_of_the_one_before() {
    let (disk, files) = spool();
    let (log, _) = Log::open(Arc::clone(&disk) as _, SETTINGS, 70).unwrap();
    drop(log);
    disk.end_process();
    // The cursor says how far all was stored.
    disk.take_away(*files.last().unwrap());
    let (log, opened) = Log::open(Arc::clone(&disk) as _, SETTINGS, 71).unwrap();
    let mut reader = Reader::new(log.retired().watermark(), opened.known_durable_upto);
    let (list, mut lost) = (log.segments(), 0);
    loop {
        let step = reader.advance(disk.as_ref(), &list, log.retired(), log.readable_upto());
        match step.unwrap() {
            Step::End => break,
            Step::Frame => {}
            Step::Gap(gap) => {
                assert_eq!((gap.missing, gap.segment), (Missing::Lost, None), "{gap:?}");
                lost += gap.events_max;
            }
        }
    }
    assert!(lost >= EVENTS, "{lost}");
}

#[test]
fn a_last_segment_whose_end_is_overwritten_is_damaged() {
    let (disk, files) = spool();
    let last = *files.last().unwrap();
    let mut content = disk.content(last);
    let end = content.iter().rposition(|byte| *byte != 0).unwrap();
    content[end - 3000..].fill(1);
    disk.place(last, content);
    let (log, opened) = Log::open(Arc::clone(&disk) as _, SETTINGS, 71).unwrap();
    let mut reader = Reader::new(log.retired().watermark(), opened.known_durable_upto);
    let (list, mut damaged) = (log.segments(), Vec::new());
    loop {
        let step = reader.advance(disk.as_ref(), &list, log.retired(), log.readable_upto());
        match step.unwrap() {
            Step::End => break,
            Step::Frame => {}
            Step::Gap(gap) => damaged.extend(gap.segment),
        }
    }
    assert_eq!(damaged, [last.id().unwrap()]);
}

#[test]
fn events_that_were_surely_given_are_told_though_the_file_that_cannot_be_read_has_no_room_for_them()
{
    // Two frames of ten events in each segment.
    let settings = Settings {
        segment_bytes: 2 * SEGMENT_HEADER_BYTES as u64,
        frame_bytes_max: 2048,
        ..SETTINGS
    };
    let disk = Arc::new(SimDisk::new(1, u64::MAX / 2));
    for (run, frames) in [(0, 1), (1, 6)] {
        let (mut log, _) = Log::open(Arc::clone(&disk) as _, settings, 1 + run).unwrap();
        for _ in 0..frames {
            let ends: Vec<u32> = (1..=10).map(|index| index * 170).collect();
            log.push(&ends, &[7; 1700], Level::EndToEnd);
            log.flush(1_700_000_000_000).unwrap();
        }
        drop(log);
        disk.end_process();
    }
    let files = segments(&disk);
    assert_eq!(files.len(), 4, "{files:?}");
    let mut content = disk.content(files[0]);
    content.truncate(SEGMENT_HEADER_BYTES + 5 * EVENT_BYTES_MIN as usize);
    disk.place(files[0], content);
    disk.deny(files[0], true);
    // The last frame of a segment that another one of the same run follows.
    let mut content = disk.content(files[2]);
    let last = content.iter().rposition(|byte| *byte == 7).unwrap();
    content[last] = 8;
    disk.place(files[2], content);

    let (log, opened) = Log::open(Arc::clone(&disk) as _, settings, 77).unwrap();
    assert!(log.backlog() >= 65, "{log:?}");
    let found = read(&disk, &log, opened.known_durable_upto);
    assert_eq!((found.read, found.lost), (50, 0));
    assert!(found.unreadable >= 15, "{found:?}");
}
