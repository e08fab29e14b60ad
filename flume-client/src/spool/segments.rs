//! [`Segments`]: which files there are, and what becomes of them.
//!
//! ```text
//!            begin                    drained, cursor saved
//! spare ────────────────> segment ───────────────────────────> spare, or removed
//!   ^   new header, sync,    │
//!   │   rename, directory    │ damaged, and drained as far as it goes
//!   │                        v
//! create                 quarantine
//! ```
//!
//! One spare is kept as a reserve: a client that starts on a full disk can still take events.

use std::io;

use super::error::SpoolError;
use super::header::SegmentHeader;
use super::missing::{Readable, SegmentList, Unread, events_in_file, place_among};
use super::settings::{SEGMENTS_MIN, Settings};
use super::storage::{FileName, Shared};
use crate::seq::{Seq, SeqRange, SeqSet};

/// The files of a spool, by what the directory says.
#[derive(Debug, Default)]
pub(super) struct Segments {
    /// In the order of their numbers.
    entries: Vec<Entry>,
    /// Segments that cannot be read, by id. They are neither reused nor removed.
    unread: Vec<Unread>,
    /// Those that somebody has removed.
    removed: Vec<Unread>,
    spares: Vec<(u64, u64)>,
    /// What is neither read nor reused, and its bytes.
    others: Vec<(FileName, u64)>,
    /// What holds nothing and could not be removed.
    leftovers: Vec<(FileName, u64)>,
    cursor_bytes: u64,
    /// Segments of lower ids are in a directory that was lost, and take no room in this one.
    left_below: u64,
    next_id: u64,
    wrote: bool,
    /// A spare may have its old name, a segment's, again after a crash.
    renamed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    readable: Readable,
    damaged: bool,
    /// It may hold durable events.
    used: bool,
    /// Where its numbers end, if that was looked for.
    end: Option<Seq>,
}

/// Spares that are kept, the reserve among them.
const SPARES_MAX: usize = 2;

/// Damaged segments that are set aside; of further ones only the report remains.
const QUARANTINE_MAX: usize = 4;
/// They take at most this part of the quota, so that there is always room for events.
const QUARANTINE_PART: u64 = SEGMENTS_MIN;

impl Segments {
    /// No segments yet; new files get ids from `next_id` on.
    pub(super) fn new(next_id: u64, cursor_bytes: u64) -> Self {
        Self {
            next_id,
            cursor_bytes,
            renamed: true,
            ..Self::default()
        }
    }

    pub(super) fn readable(&self) -> impl DoubleEndedIterator<Item = Readable> {
        self.entries.iter().map(|entry| entry.readable)
    }

    pub(super) fn unread(&self) -> &[Unread] {
        &self.unread
    }

    /// See [`Log::has_taken_in`](super::Log::has_taken_in).
    pub(super) fn have_taken_in(&self, file: FileName) -> bool {
        match file {
            FileName::Cursor | FileName::Spare(_) => true,
            FileName::Segment(id) => self.entries.iter().any(|entry| entry.readable.id == id),
            FileName::Quarantine(_) => false,
        }
    }

    /// The highest id of a segment that may hold events, whether they can be read or not.
    pub(super) fn newest_id(&self) -> Option<u64> {
        let used = self.entries.iter().rfind(|entry| entry.used);
        let read = used.map(|entry| entry.readable.header.id);
        let unread = self.unread.last().map(|unread| unread.id);
        read.max(unread)
    }

    pub(super) fn list(&self) -> SegmentList {
        SegmentList {
            readable: self.readable().collect(),
            unread: self.unread.clone(),
            removed: self.removed.clone(),
        }
    }

    pub(super) fn disk_bytes(&self) -> u64 {
        let here = |entry: &&Entry| !self.is_left(entry.readable.header.id);
        let entries = self.entries.iter().filter(here);
        let entries = entries.map(|entry| entry.readable.bytes);
        let spares = self.spares.iter().map(|(_, bytes)| *bytes);
        let others = self.others.iter().chain(&self.leftovers);
        let others = others.map(|(_, bytes)| *bytes);
        let unread = self.unread.iter().filter(|unread| !self.is_left(unread.id));
        let unread = unread.map(|unread| unread.bytes);
        let files = entries.chain(spares).chain(others).chain(unread);
        self.cursor_bytes + files.sum::<u64>()
    }

    pub(super) fn has_cursor(&self) -> bool {
        self.cursor_bytes > 0
    }

    pub(super) fn made_cursor(&mut self, bytes: u64) {
        self.cursor_bytes = bytes;
    }

    /// Takes in a segment that was found. `false`: its numbers are not where those of the others
    /// leave room for them.
    pub(super) fn found(&mut self, readable: Readable) -> bool {
        let headers = self.entries.iter().map(|entry| entry.readable.header);
        let place = place_among(headers, &readable.header);
        if let Some(place) = place {
            let entry = Entry {
                readable,
                damaged: false,
                used: true,
                end: None,
            };
            self.entries.insert(place, entry);
        }
        place.is_some()
    }

    /// Takes in a segment that was found and cannot be read.
    pub(super) fn found_unread(&mut self, unread: Unread) {
        let place = self.unread.partition_point(|it| it.id < unread.id);
        self.unread.insert(place, unread);
    }

    /// Somebody has removed one of them.
    pub(super) fn lost_unread(&mut self, unread: Unread) {
        self.removed.push(unread);
    }

    /// Takes out a segment that cannot be read, if it is still one of them.
    pub(super) fn take_unread(&mut self, unread: &Unread) -> bool {
        let place = self.unread.iter().position(|it| it == unread);
        place.map(|place| self.unread.remove(place)).is_some()
    }

    pub(super) fn found_spare(&mut self, id: u64, bytes: u64) {
        self.spares.push((id, bytes));
    }

    pub(super) fn found_other(&mut self, file: FileName, bytes: u64) {
        self.others.push((file, bytes));
    }

    /// Whether a damaged segment of `bytes` can be set aside.
    pub(super) fn quarantine_takes(&self, bytes: u64, settings: &Settings) -> bool {
        let is_quarantined = |(file, _): &&(FileName, u64)| matches!(file, FileName::Quarantine(_));
        let quarantined = self.others.iter().filter(is_quarantined);
        let taken: u64 = quarantined.clone().map(|(_, bytes)| *bytes).sum();
        quarantined.count() < QUARANTINE_MAX
            && taken + bytes <= settings.bytes_max / QUARANTINE_PART
    }

    pub(super) fn mark_damaged(&mut self, id: u64) {
        self.entry(id)
            .into_iter()
            .for_each(|entry| entry.damaged = true);
    }

    pub(super) fn mark_used(&mut self, id: u64) {
        self.entry(id)
            .into_iter()
            .for_each(|entry| entry.used = true);
    }

    /// Says where the numbers in a segment end.
    pub(super) fn ends_at(&mut self, id: u64, end: Seq) {
        self.entry(id)
            .into_iter()
            .for_each(|entry| entry.end = Some(end));
    }

    /// Where the numbers in a segment end at most: as far as its bytes go if its end was not looked
    /// for.
    pub(super) fn ends_upto(&self, readable: &Readable) -> Seq {
        let mut entries = self.entries.iter();
        let entry = entries.find(|entry| entry.readable.id == readable.id);
        let by_bytes = || {
            let events = events_in_file(readable.bytes);
            readable.header.first.plus(events)
        };
        entry.and_then(|entry| entry.end).unwrap_or_else(by_bytes)
    }

    /// Says that a segment's file was cut.
    pub(super) fn shorten(&mut self, id: u64, bytes: u64) {
        self.entry(id)
            .into_iter()
            .for_each(|entry| entry.readable.bytes = bytes);
    }

    /// Lets go of a segment whose file is gone or is another one's now.
    pub(super) fn forget(&mut self, id: u64) {
        self.entries.retain(|entry| entry.readable.id != id);
    }

    /// The directory is another one now, and empty. What was in the old one is read as long as it
    /// can be, and left there.
    pub(super) fn leave(&mut self) {
        self.entries.retain(|entry| entry.used);
        self.spares.clear();
        self.others.clear();
        self.leftovers.clear();
        self.cursor_bytes = 0;
        self.left_below = self.next_id;
        self.wrote = false;
    }

    /// Whether there are segments in a directory that was lost.
    pub(super) fn has_left(&self) -> bool {
        let ids = self.entries.iter().map(|entry| entry.readable.header.id);
        let mut ids = ids.chain(self.unread.iter().map(|unread| unread.id));
        ids.any(|id| self.is_left(id))
    }

    /// Whether the segment of this id is in a directory that was lost.
    pub(super) fn is_left(&self, id: u64) -> bool {
        id < self.left_below
    }

    /// The next id that a file gets.
    pub(super) fn next_id(&self) -> u64 {
        self.next_id
    }

    /// An id that no file has.
    pub(super) fn new_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// How many segments can be begun before something is drained.
    pub(super) fn available(&self, settings: &Settings) -> u64 {
        let room = settings.bytes_max.saturating_sub(self.disk_bytes());
        let can_be = self.spares.len() as u64 + room / settings.segment_bytes;
        // Where the reserve may be used, it is made again before one more is.
        let next = u64::from(self.reserved() == 0 || self.entries.is_empty());
        can_be.saturating_sub(1).max(can_be.min(next))
    }

    /// Spares that must not be used: none for the first segment after a start, which may be on a
    /// full disk.
    fn reserved(&self) -> usize {
        usize::from(self.wrote)
    }

    /// Whether the events of a segment are all retired. `last_end` is where the numbers in the
    /// last segment end, if it is written no more.
    pub(super) fn has_drained(&self, retired: &SeqSet, last_end: Option<Seq>) -> bool {
        self.drained(retired, last_end).is_some()
    }

    /// The first such segment, by its place.
    fn drained(&self, retired: &SeqSet, last_end: Option<Seq>) -> Option<usize> {
        // What a segment holds of the next one's numbers, the next one holds too.
        let headers = self.entries.iter().map(|entry| entry.readable.header);
        let ends = headers
            .clone()
            .skip(1)
            .map(|following| Some(following.first));
        let mut numbers = headers.zip(ends.chain([last_end]));
        // Nothing else tells that what it leaves out is not missing.
        let is_drained = |(header, end): (SegmentHeader, Option<Seq>)| {
            end.is_some_and(|end| retired.covers(SeqRange::new(header.skipped_from, end)))
        };
        numbers.position(is_drained)
    }

    /// Makes `header` the beginning of a new segment, durably. Without an error it can be written
    /// to.
    pub(super) fn begin(
        &mut self,
        storage: &Shared,
        settings: &Settings,
        header: &SegmentHeader,
    ) -> Result<(), SpoolError> {
        // What is written to a spare must not be found under the name that it had before.
        self.keep_names(storage)?;
        let (spare, bytes) = self.take_spare(storage, settings)?;
        let segment = FileName::Segment(header.id);
        let begun = self.write_header(storage, FileName::Spare(spare), segment, header);
        if let Err(error) = begun {
            // It has one of the two names. If it cannot be removed, it still takes room.
            self.leftovers.push((FileName::Spare(spare), bytes));
            self.leftovers.push((segment, 0));
            let _ = self.remove_leftovers(storage);
            return Err(error.into());
        }
        self.wrote = true;
        self.entries.push(Entry {
            readable: Readable {
                id: header.id,
                header: *header,
                bytes,
            },
            damaged: false,
            used: false,
            end: None,
        });
        Ok(())
    }

    /// Writes no more to a segment. If nothing in it was ever durable, it is removed.
    pub(super) fn give_up(&mut self, storage: &Shared, id: u64) {
        let unused = self.entry(id).is_some_and(|entry| !entry.used);
        if unused && storage.0.remove(FileName::Segment(id)).is_ok() {
            self.forget(id);
            // If it comes back with the power after all, there is nothing to be read in it.
            let _ = storage.0.sync_directory();
        }
    }

    /// Reuses or removes the segments whose events are all retired, which is durable.
    /// `last_end` is as in [`has_drained`](Self::has_drained).
    pub(super) fn recycle(
        &mut self,
        storage: &Shared,
        settings: &Settings,
        retired: &SeqSet,
        last_end: Option<Seq>,
    ) -> Result<(), SpoolError> {
        while let Some(place) = self.drained(retired, last_end)
            && let Some(entry) = self.entries.get(place).copied()
        {
            self.renamed = true;
            match self.release(storage, settings, &entry) {
                // Somebody has removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                released => released?,
            }
            self.entries.remove(place);
        }
        Ok(self.keep_names(storage)?)
    }

    /// Sees to it that the names that files have now are those that a crash leaves.
    pub(super) fn keep_names(&mut self, storage: &Shared) -> io::Result<()> {
        if self.renamed {
            storage.0.sync_directory()?;
            self.renamed = false;
        }
        Ok(())
    }

    /// Sees to it that there is a reserve.
    pub(super) fn refill(
        &mut self,
        storage: &Shared,
        settings: &Settings,
    ) -> Result<(), SpoolError> {
        // What could not be removed while the disk failed takes room no longer than that.
        let _ = self.remove_leftovers(storage);
        if self.spares.is_empty() {
            let spare = self.create_spare(storage, settings, 1)?;
            self.spares.push(spare);
            storage.0.sync(FileName::Spare(spare.0))?;
            storage.0.sync_directory()?;
        }
        Ok(())
    }

    fn entry(&mut self, id: u64) -> Option<&mut Entry> {
        let mut entries = self.entries.iter_mut();
        entries.find(|entry| entry.readable.id == id)
    }

    /// A spare to be used. The reserve is one if there is neither another nor a segment that will
    /// be: events that agents take must not wait for a disk that stays full.
    fn take_spare(
        &mut self,
        storage: &Shared,
        settings: &Settings,
    ) -> Result<(u64, u64), SpoolError> {
        let (there, reserved) = (self.spares.len(), self.reserved());
        if there > reserved {
            return Ok(self.spares.pop().unwrap_or_default());
        }
        let spares = 1 + reserved as u64 - there as u64;
        match self.create_spare(storage, settings, spares) {
            Err(trouble) if self.entries.is_empty() => self.spares.pop().ok_or(trouble),
            made => made,
        }
    }

    /// Makes a spare, if quota and disk have room for its bytes.
    fn create_spare(
        &mut self,
        storage: &Shared,
        settings: &Settings,
        spares: u64,
    ) -> Result<(u64, u64), SpoolError> {
        let bytes = settings.segment_bytes;
        let is_over = |it: &Self| it.disk_bytes() + spares * bytes > settings.bytes_max;
        if is_over(self) {
            // A disk that failed is what is told, not that its leftovers use up the quota.
            self.remove_leftovers(storage)?;
        }
        if is_over(self) {
            return Err(SpoolError::Quota);
        }
        // The room of the reserve, too, is kept free until it is made.
        let (free, needed) = (storage.0.free_bytes()?, spares * bytes);
        if free < needed {
            return Err(SpoolError::DiskFull);
        }
        let kept = settings.free_bytes_min;
        if free - needed < kept {
            return Err(SpoolError::FreeBytes { free, kept, needed });
        }
        let id = self.new_id();
        let file = FileName::Spare(id);
        if let Err(error) = storage.0.create(file, bytes) {
            // It may be there, of any length.
            self.leftovers.push((file, bytes));
            let _ = self.remove_leftovers(storage);
            return Err(error.into());
        }
        Ok((id, bytes))
    }

    fn remove_leftovers(&mut self, storage: &Shared) -> io::Result<()> {
        for (file, _) in &self.leftovers {
            match storage.0.remove(*file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if !self.leftovers.is_empty() {
            storage.0.sync_directory()?;
            self.leftovers.clear();
        }
        Ok(())
    }

    fn write_header(
        &self,
        storage: &Shared,
        spare: FileName,
        segment: FileName,
        header: &SegmentHeader,
    ) -> io::Result<()> {
        let storage = &storage.0;
        // Synced before it has its name, so that no crash leaves a segment without a header.
        storage.write(spare, 0, &header.to_block())?;
        storage.sync(spare)?;
        storage.rename(spare, segment)?;
        storage.sync_directory()
    }

    fn release(&mut self, storage: &Shared, settings: &Settings, entry: &Entry) -> io::Result<()> {
        let Readable { id, bytes, .. } = entry.readable;
        let segment = entry.readable.file();
        if self.is_left(entry.readable.header.id) {
            // Its file stays where it is.
            return storage.0.remove(segment);
        }
        if entry.damaged && self.quarantine_takes(bytes, settings) {
            let quarantine = FileName::Quarantine(id);
            storage.0.rename(segment, quarantine)?;
            self.others.push((quarantine, bytes));
        } else if bytes == settings.segment_bytes && self.spares.len() < SPARES_MAX {
            storage.0.rename(segment, FileName::Spare(id))?;
            self.spares.push((id, bytes));
        } else {
            storage.0.remove(segment)?;
        }
        Ok(())
    }
}
