//! Segments whose names are there and whose files are elsewhere: nothing of them is lost.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flume_client::seq::{Seq, SeqRange};
use flume_client::spool::{
    CURSOR_BYTES, Directory, FileName, Level, Log, Missing, NetworkFileSystem, Operation, Reader,
    Recovered, SegmentTrouble, Settings, Step, Storage, Survey, Watched,
};
use flume_tests::spool_sim::of_another_version;

const SETTINGS: Settings = Settings {
    segment_bytes: 64 * 1024,
    frame_bytes_max: 16 * 1024,
    bytes_max: 8 * 64 * 1024 + CURSOR_BYTES as u64,
    free_bytes_min: 0,
};
/// Frames of one event, of which four fit into a segment.
const EVENTS: u64 = 12;
const BODY_BYTES: usize = 12 * 1024;

fn open(path: &Path) -> (Arc<Directory>, Log, Seq) {
    let directory = Arc::new(Directory::open(path, NetworkFileSystem::Refused).unwrap());
    let (log, opened) = Log::open(Arc::clone(&directory) as _, SETTINGS, 1).unwrap();
    (directory, log, opened.known_durable_upto)
}

fn write(path: &Path) {
    let (_, mut log, _) = open(path);
    for _ in 0..EVENTS {
        log.push(&[BODY_BYTES as u32], &[7; BODY_BYTES], Level::EndToEnd);
        log.flush(0).unwrap();
    }
}

fn segment(path: &Path, id: u64) -> PathBuf {
    path.join(FileName::Segment(id).to_string())
}

/// What is delivered, and so done with; how many events at most cannot be read, and are lost.
fn deliver(directory: &Directory, log: &mut Log, known_durable_upto: Seq) -> (Vec<u64>, u64, u64) {
    let (mut numbers, mut unreadable, mut lost) = (Vec::new(), 0, 0);
    let mut reader = Reader::new(log.retired().watermark(), known_durable_upto);
    let (list, upto) = (log.segments(), log.readable_upto());
    loop {
        let next = reader.next();
        match reader.advance(directory, &list, log.retired(), upto) {
            Ok(Step::End) => break,
            Ok(Step::Frame) => {
                let range = reader.frame().unwrap().header.range();
                numbers.push(range.first.number());
                log.retire(range);
            }
            Ok(Step::Gap(gap)) if gap.missing == Missing::Unreadable => {
                unreadable += gap.events_max;
            }
            Ok(Step::Gap(gap)) => {
                lost += gap.events_max;
                log.retire(SeqRange::new(next, gap.range.end));
            }
            Err(error) => reader.skip_unread(&error),
        }
    }
    log.save().unwrap();
    (numbers, unreadable, lost)
}

#[test]
fn a_segment_that_a_link_a_pipe_or_a_directory_stands_for_is_unread_until_it_is_back() {
    let makers: [fn(&Path, &Path); 3] = [
        |elsewhere, name| symlink(elsewhere, name).unwrap(),
        |_, name| assert!(Command::new("mkfifo").arg(name).status().unwrap().success()),
        |_, name| fs::create_dir(name).unwrap(),
    ];
    for make in makers {
        for place in 0..EVENTS / 4 {
            let home = tempfile::tempdir().unwrap();
            let (path, elsewhere) = (home.path().join("spool"), home.path().join("kept"));
            write(&path);
            let files = Directory::look(&path).unwrap().list().unwrap();
            let ids = files.into_iter().filter_map(|(file, _)| match file {
                FileName::Segment(id) => Some(id),
                _ => None,
            });
            let mut ids: Vec<_> = ids.collect();
            ids.sort_unstable();
            let id = ids[place as usize];
            let name = segment(&path, id);
            fs::rename(&name, &elsewhere).unwrap();
            make(&elsewhere, &name);
            check_replaced(&path, id);
            let gone = fs::remove_file(&name).or_else(|_| fs::remove_dir(&name));
            gone.unwrap();
            fs::rename(&elsewhere, &name).unwrap();
            let (directory, mut log, known_durable_upto) = open(&path);
            let (numbers, unreadable, lost) = deliver(&directory, &mut log, known_durable_upto);
            let first = place * 4;
            assert_eq!(numbers, (first..first + 4).collect::<Vec<_>>());
            assert_eq!((unreadable, lost), (0, 0), "{id}");
        }
    }
}

/// Delivers all but the segment of this id, which is elsewhere.
fn check_replaced(path: &Path, id: u64) {
    let room = (SETTINGS.segment_bytes - 4096) / 6;
    let survey = Survey::take(&Directory::look(path).unwrap(), |_| Ok(())).unwrap();
    assert_eq!((survey.events(), survey.lost()), (EVENTS - 4, 0));
    assert!((4..=room).contains(&survey.unreadable()), "{survey:?}");
    let found = survey.segments.iter().find(|it| it.id == id).unwrap();
    let Some(SegmentTrouble::Unreadable(why)) = &found.trouble else {
        panic!("{found:?}");
    };
    assert!(
        why.contains("put the segment's own file in its place"),
        "{why}"
    );
    for delivered in [EVENTS - 4, 0, 0] {
        let (directory, mut log, known_durable_upto) = open(path);
        assert!(
            log.backlog() >= delivered + 4 && log.backlog() <= room * 4,
            "{log:?}"
        );
        let (numbers, unreadable, lost) = deliver(&directory, &mut log, known_durable_upto);
        assert_eq!((numbers.len() as u64, lost), (delivered, 0));
        assert!((4..=room).contains(&unreadable), "{unreadable}");
        assert!(!log.look_again(), "nothing has changed");
    }
}

#[test]
fn a_segment_that_is_put_back_in_place_of_a_link_is_read_without_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let (path, elsewhere) = (home.path().join("spool"), home.path().join("kept"));
    write(&path);
    let name = segment(&path, 2);
    fs::rename(&name, &elsewhere).unwrap();
    symlink(&elsewhere, &name).unwrap();
    let (directory, mut log, known_durable_upto) = open(&path);
    assert_eq!(deliver(&directory, &mut log, known_durable_upto).0.len(), 8);
    fs::remove_file(&name).unwrap();
    fs::rename(&elsewhere, &name).unwrap();
    assert!(log.look_again());
    let (numbers, unreadable, lost) = deliver(&directory, &mut log, known_durable_upto);
    assert_eq!((numbers, unreadable, lost), (vec![4, 5, 6, 7], 0, 0));
}

#[test]
fn an_unread_segment_in_a_directory_that_was_moved_is_neither_lost_nor_counted_in_the_new_one() {
    let home = tempfile::tempdir().unwrap();
    let (path, moved) = (home.path().join("spool"), home.path().join("moved"));
    write(&path);
    let name = FileName::Segment(2).to_string();
    let content = fs::read(path.join(&name)).unwrap();
    fs::write(path.join(&name), of_another_version(&content).unwrap()).unwrap();
    let (directory, mut log, known_durable_upto) = open(&path);
    fs::rename(&path, &moved).unwrap();
    let recovered = directory.recover(None, log.next_segment_id()).unwrap();
    assert_eq!(recovered, Recovered::Another);
    log.leave();
    log.save().unwrap();
    assert_eq!(log.disk_bytes(), CURSOR_BYTES as u64);

    assert!(!log.look_again(), "it is where it was: {log:?}");
    assert!(log.segments().removed.is_empty());
    let (numbers, unreadable, lost) = deliver(&directory, &mut log, known_durable_upto);
    assert_eq!((numbers.len(), lost), (8, 0));
    assert!(unreadable >= 4);
    assert!(log.has_left(), "what is not read is still needed");

    fs::write(moved.join(&name), content).unwrap();
    assert!(log.look_again());
    let (numbers, unreadable, lost) = deliver(&directory, &mut log, known_durable_upto);
    assert_eq!((numbers, unreadable, lost), (vec![4, 5, 6, 7], 0, 0));
    assert_eq!(log.disk_bytes(), CURSOR_BYTES as u64);
}

#[test]
fn an_unread_segment_that_is_removed_from_a_moved_directory_is_lost() -> io::Result<()> {
    let home = tempfile::tempdir()?;
    let (path, moved) = (home.path().join("spool"), home.path().join("moved"));
    write(&path);
    let name = FileName::Segment(2).to_string();
    let content = fs::read(path.join(&name))?;
    fs::write(path.join(&name), of_another_version(&content).unwrap())?;
    let (directory, mut log, _) = open(&path);
    fs::rename(&path, &moved)?;
    directory.recover(None, log.next_segment_id()).unwrap();
    log.leave();
    log.save().unwrap();
    fs::remove_file(moved.join(&name))?;
    assert!(log.look_again());
    assert_eq!(log.segments().removed.len(), 1);
    Ok(())
}

#[test]
fn a_cursor_that_is_removed_right_after_the_start_is_made_again() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path();
    write(path);
    let (directory, mut log, known_durable_upto) = open(path);
    drop(deliver(&directory, &mut log, known_durable_upto));
    drop((log, directory));
    // The first save fails, so that the cursor that was read is not confirmed.
    let directory = Arc::new(Directory::open(path, NetworkFileSystem::Refused).unwrap());
    let cursor = path.join("cursor");
    let fails = Arc::new(AtomicBool::new(true));
    let still = Arc::clone(&fails);
    let unsaved = Watched::new(directory, move |operation| match operation {
        Operation::Write {
            file: FileName::Cursor,
        } if still.load(Ordering::Relaxed) => Err(io::ErrorKind::StorageFull.into()),
        _ => Ok(()),
    });
    let (mut log, opened) = Log::open(Arc::new(unsaved), SETTINGS, 2).unwrap();
    assert!(opened.trouble.is_some());
    fs::remove_file(&cursor).unwrap();
    fails.store(false, Ordering::Relaxed);
    // The first try finds out that it is gone.
    let _ = log.save();
    log.save().unwrap();
    log.push(&[1], b"x", Level::EndToEnd);
    log.flush(0).unwrap();
    assert!(cursor.exists());
}
