use super::former::FORMER_OPEN_MAX;
use super::*;

/// Not flushed to a device: there is none.
fn unflushable() -> Arc<Handle> {
    let device = std::fs::OpenOptions::new().write(true).open("/dev/null");
    Arc::new(Handle::of(device.unwrap(), true).unwrap())
}

impl Directory {
    /// Puts a file there which no flush succeeds for, or takes it away.
    pub(crate) fn fail_flushes(&self, fails: bool) {
        let file = FileName::Segment(0);
        match fails {
            true => drop(self.handles().insert(file, unflushable())),
            false => drop(self.handles().remove(&file)),
        }
    }
}

#[test]
fn a_flush_tells_of_a_file_that_cannot_be_flushed() {
    let home = tempfile::TempDir::new().unwrap();
    let directory = Directory::open(home.path(), Access::default()).unwrap();
    directory.create(FileName::Segment(1), 4096).unwrap();
    directory.flush().unwrap();
    directory.fail_flushes(true);
    directory.flush().unwrap_err();
    directory.fail_flushes(false);
    directory.flush().unwrap();
}

#[test]
fn of_segments_of_removed_directories_only_some_are_kept_open() {
    let file = tempfile::tempfile().unwrap();
    let file = Arc::new(file);
    let mut former = Former::default();
    for id in 0..100 {
        former.keep(FileName::Segment(id), Reading::File(Arc::clone(&file)));
        former.keep(FileName::Spare(id), Reading::File(Arc::clone(&file)));
    }
    assert_eq!(former.open.len(), FORMER_OPEN_MAX);
    let newest = FileName::Segment(99);
    assert!(former.open.contains_key(&newest));
    drop(former);
    assert_eq!(Arc::strong_count(&file), 1, "what is dropped is closed");
}
