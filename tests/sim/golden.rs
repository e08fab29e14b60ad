//! The files of a spool as version 1 writes them, which every later version must read.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use flume_client::Event;
use flume_client::seq::Seq;
use flume_client::spool::{CursorState, FileName, Level, Log, Reader, Settings, Step};
use flume_tests::spool_sim::disk::SimDisk;

const SETTINGS: Settings = Settings {
    segment_bytes: 8 * 1024,
    frame_bytes_max: 2 * 1024,
    bytes_max: 40 * 1024,
    free_bytes_min: 0,
};
const SEED: u64 = 1;
const TIME_MS: u64 = 1_700_000_000_000;

/// The files as this minor version of version 1 writes them, and as the one before did.
const NOW: &str = "fixtures/spool-1.1";
const BEFORE: &str = "fixtures/spool-1";

fn folder(fixture: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(fixture)
}

fn datum(number: u64) -> Vec<u8> {
    let event = Event::new(format!("event {number}")).header("host", "web-1");
    event.as_datum().to_vec()
}

/// Five events in two commits; the first two and the fourth are done with.
fn write() -> Arc<SimDisk> {
    let disk = Arc::new(SimDisk::new(1, u64::MAX / 2));
    let (mut log, _) = Log::open(Arc::clone(&disk) as _, SETTINGS, SEED).unwrap();
    for numbers in [0..3, 3..5] {
        let (mut ends, mut datums) = (Vec::new(), Vec::new());
        for number in numbers {
            datums.extend(datum(number));
            ends.push(datums.len() as u32);
        }
        log.push(&ends, &datums, Level::EndToEnd);
        log.flush(TIME_MS).unwrap();
    }
    log.retire((0..2).into());
    log.retire((3..4).into());
    log.save().unwrap();
    disk
}

/// The files that are not spare.
fn files(disk: &SimDisk) -> Vec<(FileName, Vec<u8>)> {
    let names = disk.files().into_iter().map(|(file, _)| file);
    let names = names.filter(|file| !matches!(file, FileName::Spare(_)));
    names.map(|file| (file, disk.content(file))).collect()
}

#[test]
fn the_files_are_written_as_ever() {
    for (file, content) in files(&write()) {
        let golden = fs::read(folder(NOW).join(file.to_string())).unwrap();
        assert!(content == golden, "{file} is written in another way");
    }
}

#[test]
fn the_files_of_version_1_are_read() {
    read(NOW);
}

#[test]
fn the_files_of_the_first_minor_version_are_read() {
    read(BEFORE);
}

fn read(fixture: &str) {
    let disk = Arc::new(SimDisk::new(1, u64::MAX / 2));
    let mut placed = 0;
    for entry in fs::read_dir(folder(fixture)).unwrap() {
        let entry = entry.unwrap();
        let file = FileName::parse(entry.file_name().to_str().unwrap()).unwrap();
        disk.place(file, fs::read(entry.path()).unwrap());
        placed += 1;
    }
    assert_eq!(placed, 2);
    let (log, opened) = Log::open(Arc::clone(&disk) as _, SETTINGS, 7).unwrap();
    assert_eq!(opened.cursor, CursorState::Whole);
    let mut reader = Reader::new(log.retired().watermark(), opened.known_durable_upto);
    let (segments, upto) = (log.segments(), log.readable_upto());
    assert_eq!(segments.readable.len(), 1);
    assert_eq!(segments.readable[0].header.run_id == 0, fixture == BEFORE);
    for number in [2, 4] {
        let step = reader.advance(disk.as_ref(), &segments, log.retired(), upto);
        assert_eq!(step.unwrap(), Step::Frame);
        let frame = reader.frame().unwrap();
        assert_eq!(frame.header.time_ms, TIME_MS);
        let events: Vec<_> = frame.events().collect();
        assert_eq!(events, [(Seq::new(number), datum(number).as_slice())]);
    }
    let step = reader.advance(disk.as_ref(), &segments, log.retired(), upto);
    assert_eq!(step.unwrap(), Step::End);
}
