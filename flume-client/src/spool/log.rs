//! [`Log`]: the writing side of a spool. Takes events, makes them durable, forgets them.
//!
//! | step | writes | durable with |
//! |---|---|---|
//! | [`push`](Log::push) | nothing, the events are kept in memory | |
//! | [`write`](Log::write) | their frames, so that the disk can begin with them | nothing |
//! | [`flush`](Log::flush) | the other frames, in one write | one sync |
//! | [`note`](Log::note) | a slot of the cursor | the next save |
//! | [`save`](Log::save) | the same | one sync, then drained segments are reused |
//!
//! A write or sync that fails costs the segment: nothing is written to it any more, for after a
//! failed sync nobody knows what of it is on the disk, and a later sync would not tell. The events
//! are still in memory and go to a fresh segment, under the same numbers. While that fails too,
//! they stay in memory, and each flush tries again.
//!
//! It is one file, since each step begins with what the one before left of the segment: what can be said
//! of a file by itself is in `segments`, `pending` and `cursor`.

use std::io;
use std::sync::Arc;

use super::cursor::{CURSOR_BYTES, Cursor, RANGES_MAX};
use super::error::SpoolError;
use super::frame::{Level, Place, frame_bytes};
use super::header::{IDS_END, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::look::{Look, Looked};
use super::missing::{Readable, SegmentList, Told, Unread};
use super::open::{self, Run};
use super::opened::Opened;
use super::pending::Pending;
use super::segments::Segments;
use super::settings::Settings;
use super::storage::{FileName, Removed, Shared, Storage};
use crate::seq::{Seq, SeqRange, SeqSet};

/// The writing side of a spool. It never blocks except in its storage, and knows no threads.
#[derive(Debug)]
pub struct Log {
    storage: Shared,
    settings: Settings,
    client: u64,
    run_id: u64,
    segments: Segments,
    active: Option<Active>,
    pending: Pending,
    /// The number of the next event.
    next: Seq,
    /// Where the numbers of this run begin, and where those of the last one ended.
    run: Run,
    durable_upto: Seq,
    retired: SeqSet,
    /// Events below are in a directory that was lost, those that are not retired.
    left_upto: Seq,
    /// Of the slot of the cursor that was written last, and whether it is on the disk.
    generation: u64,
    is_synced: bool,
    unconfirmed: Option<Cursor>,
    random: fastrand::Rng,
    /// The segment with which the next look at those that cannot be read begins.
    look_from: u64,
}

/// The segment that is written to.
#[derive(Clone, Copy, Debug)]
struct Active {
    id: u64,
    salt: u64,
    offset: u64,
}

impl Log {
    /// Opens a spool with whatever its directory holds. Fails only if the directory cannot be
    /// listed, or the cursor is there and cannot be read or is of another version: without it nobody
    /// knows which events are retired, and whose they are. What is damaged is set aside and told;
    /// a segment that cannot be read is left alone, see [`unread`](Self::unread).
    ///
    /// `seed` decides the salts, the run id, and the client id of a new spool: it must come from
    /// where no other process, also of a copy of this machine, gets the same.
    pub fn open(
        storage: Arc<dyn Storage>,
        settings: Settings,
        seed: u64,
    ) -> io::Result<(Self, Opened)> {
        assert!(settings.are_sound(), "{settings:?} cannot work");
        let mut random = fastrand::Rng::with_seed(seed);
        let storage = Shared(storage);
        let found = open::open(&storage, &settings, &mut random)?;
        let mut log = Self {
            segments: found.segments,
            client: found.client,
            // 0 stands for none.
            run_id: random.u64(1..),
            active: None,
            pending: Pending::default(),
            next: found.run.first,
            run: found.run,
            durable_upto: found.opened.known_durable_upto,
            retired: found.retired,
            left_upto: Seq::ZERO,
            look_from: 0,
            generation: found.generation,
            // It is, before another is written.
            is_synced: true,
            unconfirmed: found.unconfirmed,
            random,
            storage,
            settings,
        };
        let mut opened = found.opened;
        // Without a cursor or a reserve the spool works, but not for ever.
        let trouble = log.save().and_then(|()| log.reserve()).err();
        opened.trouble = opened.trouble.or(trouble);
        Ok((log, opened))
    }

    /// Whose events these are: a number drawn when the spool was made.
    #[must_use]
    pub fn client(&self) -> u64 {
        self.client
    }

    /// What the events that are taken since this opening are [named](crate::event_id) by. Another
    /// opening has another one, also of a copy of the spool.
    #[must_use]
    pub fn run_id(&self) -> u64 {
        self.run_id
    }

    /// The number the next event gets.
    #[must_use]
    pub fn next(&self) -> Seq {
        self.next
    }

    /// All events below this are durable, or were when the spool was opened.
    #[must_use]
    pub fn durable_upto(&self) -> Seq {
        self.durable_upto
    }

    /// All events below this can be read, or are retired.
    #[must_use]
    pub fn readable_upto(&self) -> Seq {
        match self.settled_upto() {
            first if first == self.run.first => self.run.skipped_from,
            settled => settled,
        }
    }

    /// All events below this are durable, or were when the spool was opened, or were retired
    /// before they could be stored.
    #[must_use]
    pub fn settled_upto(&self) -> Seq {
        self.pending.first().unwrap_or(self.next)
    }

    /// Whether any of these events can be in the segments.
    pub(crate) fn may_hold(&self, range: SeqRange) -> bool {
        range.first < self.stored_end()
    }

    /// Where the numbers in the segments end.
    fn stored_end(&self) -> Seq {
        if self.durable_upto < self.run.first {
            self.run.skipped_from
        } else {
            self.durable_upto
        }
    }

    /// Which events are retired.
    #[must_use]
    pub fn retired(&self) -> &SeqSet {
        &self.retired
    }

    /// Events that were found and are not retired, at most: damaged ones are among them, and as
    /// many as can be in files that cannot be read. There can be more if somebody has given such a
    /// file the name of another segment; a [`Reader`](super::Reader) tells those when it comes to
    /// where they are missing.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        self.backlog_below(self.readable_upto())
    }

    fn backlog_below(&self, end: Seq) -> u64 {
        let list = self.segments.list();
        let readable = &list.readable;
        // Numbers rise from segment to segment, so each pair of neighbours bounds some of them: from
        // the first of the one to where the other's begin. `None` stands for what lies before the
        // first segment and after the last.
        let befores = [None].into_iter().chain(readable.iter().map(Some));
        let afters = readable.iter().map(Some).chain([None]);
        let mut told = Told::default();
        let mut events = 0;
        for (before, after) in befores.zip(afters) {
            let before: Option<&Readable> = before;
            let first = before.map_or(Seq::ZERO, |it| it.header.first);
            let end = after.map_or(end, |it| it.header.skipped_from.min(end));
            let between = SeqRange::new(first, end);
            // Of those between the two that are not retired, the first ones were read to be there.
            // The others are as many as files that cannot be read can hold, which may be any that
            // have an id between the two; `told` counts each file's events once.
            let open = self.retired.open_in(between);
            let read_end = before.map_or(Seq::ZERO, |it| self.segments.ends_upto(it));
            let read = self.retired.open_in(between.below(read_end));
            let ids = [before, after].map(|it| it.map(|it| it.header.id));
            let unread = told.tell(list.unread_between(ids[0], ids[1]), open - read);
            // In the run that `end` is in, all numbers before it are events, whatever the files can
            // hold: those that are in none are damage. Where earlier runs ended nobody knows.
            let given = self.retired.open_in(between.not_below(end.run_first()));
            events += given.max(read + unread);
        }
        events
    }

    /// The segments as a [`Reader`](super::Reader) takes them.
    #[must_use]
    pub fn segments(&self) -> SegmentList {
        self.segments.list()
    }

    /// Segments that are there and cannot be read.
    #[must_use]
    pub fn unread(&self) -> &[Unread] {
        self.segments.unread()
    }

    /// Whether a file is the cursor, a spare, or a segment that was read or written. Others are not
    /// to be removed however much is retired: events may be in them that nobody has seen.
    #[must_use]
    pub fn has_taken_in(&self, file: FileName) -> bool {
        self.segments.have_taken_in(file)
    }

    /// Tries again to read what could not be read before. `true`: a segment can be now, or somebody
    /// has removed it, so that [`segments`](Self::segments) are others.
    pub fn look_again(&mut self) -> bool {
        if self.unread().is_empty() {
            return false;
        }
        let looked = self.begin_look().take();
        self.end_look(looked)
    }

    /// The same in parts: what is between can be done on another thread, whatever the log does
    /// meanwhile.
    pub(crate) fn begin_look(&self) -> Look {
        Look::new(&self.storage, &self.segments, self.look_from)
    }

    /// Takes in what was seen. `true`: the segments are others.
    pub(crate) fn end_look(&mut self, looked: Looked) -> bool {
        let before = self.segments.unread().to_vec();
        self.look_from = looked.end(self.client, &mut self.segments);
        before.as_slice() != self.segments.unread()
    }

    /// The segment that was begun last.
    #[must_use]
    pub fn newest_segment(&self) -> Option<u64> {
        let newest = self.segments.readable().next_back();
        newest.map(|segment| segment.id)
    }

    /// Whether the next [`save`](Self::save) makes room: a segment's events are all retired.
    #[must_use]
    pub fn has_drained_segment(&self) -> bool {
        self.segments.has_drained(&self.retired, self.last_end())
    }

    /// Bytes on the disk, damaged segments and reserves included.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.segments.disk_bytes()
    }

    /// Bytes of frames that can be pushed without reaching the limits, whatever their sizes.
    #[must_use]
    pub fn room(&self) -> u64 {
        let rest = self.active.map_or(0, |active| {
            (self.settings.segment_bytes - active.offset)
                .saturating_sub(self.settings.frame_bytes_max)
        });
        let more = self.segments.available(&self.settings) * self.settings.segment_room();
        (rest + more).saturating_sub(self.pending.unwritten_bytes())
    }

    /// Takes events, to be written by the next [`flush`](Self::flush), and says the number of the
    /// first. `ends` are the places in `datums` where they end.
    ///
    /// Panics if the frame would be larger than the settings allow.
    pub fn push(&mut self, ends: &[u32], datums: &[u8], level: Level) -> Seq {
        let first = self.next;
        if ends.is_empty() {
            return first;
        }
        let bytes = frame_bytes(ends.len(), datums.len()) as u64;
        assert!(
            bytes <= self.settings.frame_bytes_max,
            "a frame of {bytes} bytes is over the limit of {}",
            self.settings.frame_bytes_max
        );
        self.pending.push(first, ends, datums, level);
        self.next = first.plus(ends.len() as u64);
        first
    }

    /// Writes what was pushed to the segment at hand, as far as it fits. That is for a commit of
    /// many frames: the disk is busy with the first ones while the next are made. After an error
    /// the flush writes all of it again, to a fresh segment.
    pub fn write(&mut self, now_ms: u64) {
        if let Some(active) = self.active
            && let Err(_) = self.write_fitting(active, now_ms)
        {
            self.give_up(active);
        }
    }

    /// Makes everything that was pushed durable. After an error all of it is still here, and the
    /// next flush tries again.
    pub fn flush(&mut self, now_ms: u64) -> Result<(), SpoolError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let held = self.active.is_some();
        let mut flushed = self.write_and_sync(now_ms);
        if flushed.is_err() && held && self.active.is_none() {
            flushed = self.write_and_sync(now_ms);
        }
        flushed
    }

    /// A flush of the device failed that came later than the commits it covers: nobody knows what of
    /// the segment at hand is on the disk. What comes next goes to a fresh one, which costs the room
    /// of a segment, whatever is in this one.
    pub fn distrust_active(&mut self) {
        if let Some(active) = self.active {
            self.give_up(active);
        }
    }

    /// Begins the segment that the next flush would begin, if there is none: that tells whether the
    /// storage takes events, when there are none to try with.
    pub fn begin(&mut self, now_ms: u64) -> Result<(), SpoolError> {
        match self.active {
            Some(_) => Ok(()),
            None => self.begin_segment(now_ms).map(|_| ()),
        }
    }

    /// The storage is another directory now, which is empty: the old one was removed or moved. What
    /// is not durable goes to the new one, under the same numbers. The storage goes on giving what
    /// it still can of the old segments, whose ids are lower than
    /// [`next_segment_id`](Self::next_segment_id), until they are removed. The new cursor counts
    /// their events as retired: one that opens the new directory will not find them there.
    pub fn leave(&mut self) {
        self.active = None;
        self.pending.unwrite();
        self.left_upto = self.pending.first().unwrap_or(self.next);
        self.run.is_saved = false;
        self.unconfirmed = None;
        self.segments.leave();
    }

    /// The id that the next file gets. None that is there has it or a higher one.
    #[must_use]
    pub fn next_segment_id(&self) -> u64 {
        self.segments.next_id()
    }

    /// Whether there are segments of a directory that was lost, and events in them.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.segments.has_left()
    }

    /// Events below this number are in a directory that was lost, and so many of them are not
    /// retired.
    #[must_use]
    pub fn left(&self) -> (Seq, u64) {
        (self.left_upto, self.backlog_below(self.left_upto))
    }

    /// Marks events as retired. They are forgotten for good with the next [`save`](Self::save).
    pub fn retire(&mut self, range: SeqRange) {
        self.retired.add(range.below(self.next));
    }

    /// Lets go of the first frames that are not written, as far as their events are retired: an
    /// agent took them while the disk did not. What follows goes to a segment that says so.
    pub fn forget_retired(&mut self) {
        while self.pending.written() == 0
            && let Some(front) = self.pending.front()
            && self.retired.covers(front)
        {
            self.pending.forget_front();
            self.active = None;
        }
    }

    /// Events of this segment are missing or damaged: it is kept for inspection when it is drained.
    pub fn mark_damaged(&mut self, segment: u64) {
        self.segments.mark_damaged(segment);
    }

    /// Writes which events are retired, without a sync: that outlives the process at once, and a
    /// power loss from the next [`save`](Self::save) on. No segment is reused by it.
    pub fn note(&mut self) -> Result<(), SpoolError> {
        let is_known = self.unconfirmed.is_none() && self.run.is_saved;
        if !(is_known && self.segments.has_cursor()) {
            return self.save();
        }
        match self.write_cursor() {
            // Somebody has removed it.
            Err(error) if is_missing(&error) => self.save(),
            written => Ok(written?),
        }
    }

    /// Makes durable which events are retired, and reuses the segments that are drained by it.
    pub fn save(&mut self) -> Result<(), SpoolError> {
        // The slot that was found is written again as it is, which harms nothing: it may not be on
        // the disk, and the other one must not be given up before it is.
        if let Some(found) = &self.unconfirmed {
            match self.write_slot(found).and_then(|()| self.sync_cursor()) {
                // Somebody has removed it, and what was found in it.
                Err(error) if is_missing(&error) => self.segments.made_cursor(0),
                written => written?,
            }
            self.unconfirmed = None;
        }
        self.make_cursor()?;
        let drained = self.noted();
        match self.write_cursor().and_then(|()| self.sync_cursor()) {
            Err(error) if is_missing(&error) => {
                // Somebody has removed it.
                self.segments.made_cursor(0);
                self.make_cursor()?;
                self.write_cursor().and_then(|()| self.sync_cursor())?;
            }
            written => written?,
        }
        self.is_synced = true;
        self.run.is_saved = true;
        let last_end = self.last_end();
        let retired = &drained;
        self.segments
            .recycle(&self.storage, &self.settings, retired, last_end)
    }

    /// Sees to it that there is a spare segment for the next start, when the disk may be full.
    /// After a [`save`](Self::save) is a good time. Without one the spool works on.
    pub fn reserve(&mut self) -> Result<(), SpoolError> {
        self.segments.refill(&self.storage, &self.settings)
    }

    /// Where the numbers in the last segment end, if it is written no more.
    fn last_end(&self) -> Option<Seq> {
        self.active.is_none().then_some(self.stored_end())
    }

    fn make_cursor(&mut self) -> io::Result<()> {
        if !self.segments.has_cursor() {
            let storage = &self.storage.0;
            storage.create(FileName::Cursor, CURSOR_BYTES as u64)?;
            storage.sync_directory()?;
            self.segments.made_cursor(CURSOR_BYTES as u64);
        }
        Ok(())
    }

    /// What is retired, as far as the cursor has room for it.
    fn noted(&self) -> SeqSet {
        self.retired.lowest(RANGES_MAX)
    }

    /// Writes the slot that is not known to be on the disk, however often, until a sync says that
    /// it is: the other one is the last good one.
    fn write_cursor(&mut self) -> io::Result<()> {
        let step = if self.is_synced { 1 } else { 2 };
        self.generation = self.generation.wrapping_add(step);
        self.is_synced = false;
        // What is in a directory that was lost is not retired, except for one that opens this one.
        let mut retired = self.noted();
        retired.add_below(self.left_upto);
        self.write_slot(&Cursor {
            generation: self.generation,
            client: self.client,
            durable_upto: self.durable_upto,
            run: self.run.first,
            retired,
        })
    }

    fn write_slot(&self, cursor: &Cursor) -> io::Result<()> {
        let (offset, slot) = cursor.to_slot();
        self.storage.0.write(FileName::Cursor, offset, &slot)
    }

    fn sync_cursor(&self) -> io::Result<()> {
        self.storage.0.sync(FileName::Cursor)
    }

    fn write_and_sync(&mut self, now_ms: u64) -> Result<(), SpoolError> {
        while !self.pending.is_empty() {
            let active = match self.active {
                Some(active) => active,
                None => self.begin_segment(now_ms)?,
            };
            let written = self.write_fitting(active, now_ms);
            if self.pending.written() > 0 || written.is_err() {
                self.sync_active(active, written)?;
            }
            if !self.pending.is_empty() {
                // The segment is full.
                self.active = None;
            }
        }
        Ok(())
    }

    /// Writes the frames that fit into the rest of the segment.
    fn write_fitting(&mut self, active: Active, time_ms: u64) -> io::Result<()> {
        let place = Place {
            salt: active.salt,
            offset: active.offset,
        };
        let rest = self.settings.segment_bytes - active.offset;
        let bytes = self
            .pending
            .stamped(rest, place, self.durable_upto, time_ms);
        let length = bytes.len();
        if length > 0 {
            let file = FileName::Segment(active.id);
            self.storage.0.write(file, active.offset, bytes)?;
            self.pending.wrote(length);
            self.active = Some(Active {
                offset: active.offset + length as u64,
                ..active
            });
        }
        Ok(())
    }

    /// Syncs what was written to the active segment, or gives the segment up.
    fn sync_active(&mut self, active: Active, written: io::Result<()>) -> Result<(), SpoolError> {
        let synced = written.and_then(|()| self.storage.0.sync(FileName::Segment(active.id)));
        if let Err(error) = synced {
            self.give_up(active);
            return Err(error.into());
        }
        self.segments.mark_used(active.id);
        let end = self.pending.forget_written();
        self.durable_upto = end.unwrap_or(self.durable_upto);
        Ok(())
    }

    fn give_up(&mut self, active: Active) {
        self.active = None;
        self.pending.unwrite();
        self.segments.give_up(&self.storage, active.id);
    }

    fn begin_segment(&mut self, time_ms: u64) -> Result<Active, SpoolError> {
        if !self.run.is_saved {
            self.save()?;
        }
        let first = self.pending.first().unwrap_or(self.next);
        let id = self.segments.new_id();
        if first >= Seq::END || id >= IDS_END {
            return Err(SpoolError::UsedUp);
        }
        // Those before the first are another run's, or were retired before they could be stored.
        let skipped_from = self.stored_end();
        let salt = self.random.u64(..);
        let previous = self.segments.newest_id();
        let previous = previous.map_or(0, |id| id.saturating_add(1));
        let header = SegmentHeader {
            id,
            client: self.client,
            salt,
            first,
            skipped_from,
            durable_upto: self.durable_upto,
            time_ms,
            run_id: self.run_id,
            previous,
        };
        self.segments
            .begin(&self.storage, &self.settings, &header)?;
        let active = Active {
            id: header.id,
            salt,
            offset: SEGMENT_HEADER_BYTES as u64,
        };
        self.active = Some(active);
        Ok(active)
    }
}

/// Whether a file that was there is not there any more.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || matches!(Removed::of(error), Some(Removed::File(_)))
}
