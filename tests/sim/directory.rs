//! A spool in a real directory: who may have it, and that it outlives its process.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use flume_client::spool::{
    CURSOR_BYTES, Directory, DirectoryError, FileName, Level, Log, NetworkFileSystem, Reader,
    SEGMENT_HEADER_BYTES, Settings, Step, Storage, Survey,
};

const SETTINGS: Settings = Settings {
    segment_bytes: 64 * 1024,
    frame_bytes_max: 16 * 1024,
    bytes_max: 4 * 64 * 1024 + CURSOR_BYTES as u64,
    free_bytes_min: 0,
};

fn open(path: &Path) -> Result<Directory, DirectoryError> {
    Directory::open(path, NetworkFileSystem::Refused)
}

/// The bodies a spool gives, opened anew.
fn bodies(path: &Path) -> Vec<String> {
    let directory = Arc::new(open(path).unwrap());
    let (log, opened) = Log::open(Arc::clone(&directory) as _, SETTINGS, 1).unwrap();
    let mut reader = Reader::new(log.retired().watermark(), opened.known_durable_upto);
    let mut bodies = Vec::new();
    let (segments, upto) = (log.segments(), log.readable_upto());
    while let Step::Frame = reader
        .advance(directory.as_ref(), &segments, log.retired(), upto)
        .unwrap()
    {
        for (_, datum) in reader.frame().unwrap().events() {
            bodies.push(String::from_utf8(datum.to_vec()).unwrap());
        }
    }
    bodies
}

fn write(log: &mut Log, body: &str) {
    log.push(&[body.len() as u32], body.as_bytes(), Level::EndToEnd);
    log.flush(0).unwrap();
}

#[test]
fn what_is_durable_is_there_for_the_next_one_until_it_is_done_with() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a/b");
    let (mut log, _) = Log::open(Arc::new(open(&path).unwrap()), SETTINGS, 1).unwrap();
    for body in ["one", "two", "three"] {
        write(&mut log, body);
    }
    log.retire((0..1).into());
    log.save().unwrap();
    drop(log);
    assert_eq!(bodies(&path), ["two", "three"]);
    assert_eq!(bodies(&path), ["two", "three"], "reading changes nothing");
}

#[test]
fn a_second_one_is_refused_with_the_name_of_the_first_until_that_is_gone() {
    let home = tempfile::tempdir().unwrap();
    let first = open(home.path()).unwrap();
    let error = open(home.path()).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, DirectoryError::Locked { .. }), "{text}");
    let holder = format!("is used by process {}: ", std::process::id());
    assert!(text.contains(&holder), "{text}");
    drop(first);
    open(home.path()).unwrap();
}

#[test]
fn others_can_neither_list_the_directory_nor_read_its_files() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("spool");
    let (mut log, _) = Log::open(Arc::new(open(&path).unwrap()), SETTINGS, 1).unwrap();
    write(&mut log, "secret");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for entry in fs::read_dir(&path).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_path_that_is_no_directory_is_told_by_name() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("file");
    fs::write(&path, "").unwrap();
    let text = open(&path).unwrap_err().to_string();
    let start = format!("cannot make the directory {}", path.display());
    assert!(text.starts_with(&start), "{text}");
}

#[test]
fn files_of_other_names_are_left_alone() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("notes.txt"), "mine").unwrap();
    fs::write(home.path().join("seg-1.flb"), "not a spool's name").unwrap();
    let (mut log, _) = Log::open(Arc::new(open(home.path()).unwrap()), SETTINGS, 1).unwrap();
    write(&mut log, "x");
    assert_eq!(fs::read(home.path().join("notes.txt")).unwrap(), b"mine");
    assert!(home.path().join("seg-1.flb").exists());
}

#[test]
fn the_system_calls_do_what_the_simulated_disk_does() {
    let home = tempfile::tempdir().unwrap();
    let directory = open(home.path()).unwrap();
    let (spare, segment) = (FileName::Spare(1), FileName::Segment(2));
    directory.create(spare, 10_000).unwrap();
    directory.write(spare, 9_998, b"abcd").unwrap();
    directory.sync(spare).unwrap();
    directory.rename(spare, segment).unwrap();
    directory.sync_directory().unwrap();
    assert_eq!(directory.list().unwrap(), [(segment, 10_002)]);
    let mut bytes = [1; 8];
    assert_eq!(directory.read(segment, 9_996, &mut bytes).unwrap(), 6);
    assert_eq!(&bytes, b"\0\0abcd\x01\x01");
    assert_eq!(directory.read(segment, 20_000, &mut bytes).unwrap(), 0);
    directory.truncate(segment, 9_999).unwrap();
    assert_eq!(directory.read(segment, 9_996, &mut bytes).unwrap(), 3);
    assert!(directory.read(spare, 0, &mut bytes).is_err());
    directory.remove(segment).unwrap();
    assert!(directory.list().unwrap().is_empty());
    assert!(directory.free_bytes().unwrap() > SEGMENT_HEADER_BYTES as u64);
}

#[test]
fn who_has_it_can_be_asked_without_keeping_anybody_out() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path();
    assert_eq!(Directory::holder(path).unwrap(), None);
    assert_eq!(fs::read_dir(path).unwrap().count(), 0, "nothing is written");
    let first = open(path).unwrap();
    let holder = Directory::holder(path).unwrap().unwrap();
    assert_eq!(holder.process, Some(std::process::id()));
    assert_eq!(
        holder.to_string(),
        format!("process {}", std::process::id())
    );
    drop(first);
    assert_eq!(Directory::holder(path).unwrap(), None);

    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                Directory::holder(path).unwrap();
            }
        });
        let kept_out = (0..5_000).filter(|_| open(path).is_err()).count();
        ended.store(true, Ordering::Relaxed);
        assert_eq!(kept_out, 0, "by who only asks");
    });
}

/// A directory in which a segment is gone as soon as its header has been read.
struct Vanishing {
    directory: Directory,
    segment: FileName,
    has_gone: AtomicBool,
    reads: AtomicU32,
}

impl Storage for Vanishing {
    fn list(&self) -> io::Result<Vec<(FileName, u64)>> {
        let mut files = self.directory.list()?;
        let has_gone = self.has_gone.load(Ordering::Relaxed);
        files.retain(|(file, _)| !has_gone || *file != self.segment);
        Ok(files)
    }

    fn read(&self, file: FileName, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let reads = self.reads.fetch_add(1, Ordering::Relaxed);
        assert!(reads < 1_000, "reading does not end");
        if file == self.segment && offset > 0 {
            self.has_gone.store(true, Ordering::Relaxed);
            return Err(io::ErrorKind::NotFound.into());
        }
        self.directory.read(file, offset, bytes)
    }

    fn create(&self, _: FileName, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn write(&self, _: FileName, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn truncate(&self, _: FileName, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync(&self, _: FileName) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn rename(&self, _: FileName, _: FileName) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn remove(&self, _: FileName) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[test]
fn a_segment_that_goes_while_it_is_looked_at_is_a_gap() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path();
    let (mut log, _) = Log::open(Arc::new(open(path).unwrap()), SETTINGS, 1).unwrap();
    let body = "x".repeat(12 * 1024);
    // Four fit into a segment.
    (0..12).for_each(|_| write(&mut log, &body));
    drop(log);
    let vanishing = Vanishing {
        directory: Directory::look(path).unwrap(),
        segment: FileName::Segment(2),
        has_gone: AtomicBool::new(false),
        reads: AtomicU32::new(0),
    };
    let mut numbers = Vec::new();
    let survey = Survey::take(&vanishing, |event| {
        numbers.push(event.number.number());
        Ok(())
    });
    let survey = survey.unwrap();
    let ids: Vec<_> = survey.segments.iter().map(|segment| segment.id).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 8, 9, 10, 11], "{ids:?}");
    assert_eq!(survey.lost(), 4);
}
