//! [`Adoption`]: what a process left behind that is gone, taken over into one's own spool.
//!
//! Events are copied as they are, with the names they had, and are done with there once they are
//! durable here. A crash in between makes some of them come twice, under the same name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::chunk::Chunk;
use crate::config::SpoolConfig;
use crate::random;
use crate::spool::{Directory, FileName, Log, Reader, Retired, Settings, Step, Storage, abandoned};

/// Another one's spool, which is being emptied.
pub(crate) struct Adoption {
    directory: Arc<Directory>,
    log: Log,
    reader: Reader,
    /// What was done with when it was opened.
    retired: Retired,
    frame_bytes_max: u64,
    next: Option<Chunk>,
    /// Numbers there, from the first to the one behind the last, of what is being taken over.
    under_way: Option<(u64, u64)>,
    /// Events that cannot be read, to be counted.
    lost: u64,
    is_through: bool,
}

impl Adoption {
    /// The first spool that nobody holds and that has events, in another place than `own`.
    /// Those in `left` are not looked at.
    pub(crate) fn find(
        spool: &SpoolConfig,
        own: &Directory,
        settings: &Settings,
        left: &[PathBuf],
    ) -> Option<Self> {
        let others = abandoned(&spool.directory, own.path(), spool.network);
        let mut others = others.filter(|it| left.iter().all(|left| left != it.path()));
        others.find_map(|directory| {
            let directory = Arc::new(directory.with_flushing(spool.flushing()));
            let files = directory.list().ok()?;
            let is_segment = |(file, _): &(FileName, u64)| matches!(file, FileName::Segment(_));
            if !files.iter().any(is_segment) {
                return None;
            }
            let (log, opened) = Log::open(directory.clone(), *settings, random::draw()).ok()?;
            let retired = log.retired().clone();
            Some(Self {
                reader: Reader::new(retired.watermark(), opened.witnessed),
                directory,
                log,
                retired,
                frame_bytes_max: settings.frame_bytes_max,
                next: None,
                under_way: None,
                lost: 0,
                is_through: false,
            })
        })
    }

    /// Where it is.
    pub(crate) fn place(&self) -> &Path {
        self.directory.path()
    }

    /// Reads the next events, unless those before are not settled. This is disk work.
    pub(crate) fn read_ahead(&mut self) {
        while self.next.is_none() && self.under_way.is_none() && !self.is_through {
            self.read();
        }
    }

    /// Bytes on the disk that the next events will take, if there are any.
    pub(crate) fn next_bytes(&self) -> Option<u64> {
        self.next.as_ref().map(Chunk::frame_bytes)
    }

    /// Hands the next events to whoever takes and renumbers them.
    pub(crate) fn hand_over(&mut self, takes: impl FnOnce(&mut Chunk) -> bool) -> Option<Chunk> {
        let numbers = self.next.as_ref().map(|chunk| (chunk.first, chunk.end()));
        let taken = self.next.take_if(takes);
        self.under_way = taken.as_ref().and(numbers);
        taken
    }

    /// Events that were lost there, since the last time.
    pub(crate) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// What was taken last is durable here.
    pub(crate) fn settle(&mut self) {
        if let Some((first, end)) = self.under_way.take() {
            self.log.retire(first, end);
        }
    }

    /// Whether everything is taken over, or cannot be.
    pub(crate) fn is_through(&self) -> bool {
        self.is_through && self.next.is_none() && self.under_way.is_none()
    }

    /// Lets go of the other spool. `true`: it is empty, and its room was given back.
    pub(crate) fn finish(mut self) -> bool {
        // If it is not saved, what was taken over comes again.
        if self.log.save().is_err() || self.log.backlog() > 0 {
            return false;
        }
        let ours = |file: &FileName| !matches!(file, FileName::Quarantine(_));
        // The cursor goes last: while it is there, what is left counts as done with.
        let mut files = self.directory.list().unwrap_or_default();
        files.sort_unstable_by(|a, b| b.cmp(a));
        for (file, _) in files {
            if ours(&file) {
                // What stays is found empty by the next one.
                let _ = self.directory.remove(file);
            }
        }
        self.directory.sync_directory().is_ok()
    }

    fn read(&mut self) {
        let limit = self.log.next();
        let segments = self.log.readable();
        let step = self
            .reader
            .advance(self.directory.as_ref(), &segments, &self.retired, limit);
        match step {
            Ok(Step::Frame) => self.take_frame(),
            Ok(Step::Gap(gap)) => {
                self.lost += gap.end - gap.first;
                if gap.durable {
                    self.log.mark_damaged(gap.segment);
                }
                self.log.retire(gap.first, gap.end);
            }
            // What cannot be read stays for whoever comes next.
            Ok(Step::End) | Err(_) => self.is_through = true,
        }
    }

    fn take_frame(&mut self) {
        let Some(frame) = self.reader.frame() else {
            return;
        };
        let chunk = Chunk::of_frame(&frame);
        if chunk.frame_bytes() > self.frame_bytes_max {
            // Its process took larger events than this one does.
            self.is_through = true;
            return;
        }
        self.next = Some(chunk);
    }
}
