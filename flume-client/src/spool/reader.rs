//! [`Reader`]: events from the segments, in order, a frame at a time.

use std::io;

use super::frame::{FRAME_HEADER_BYTES, FrameHeader, Payload};
use super::header::SEGMENT_HEADER_BYTES;
use super::missing::{
    Gap, Missing, ReadFailure, Readable, SegmentList, Told, Unread, events_at_most, events_in,
    events_in_file, is_removed,
};
use super::storage::Storage;
use super::window::{BLOCK_BYTES, Window};
use crate::seq::{Seq, SeqRange, SeqSet};

/// Reads the events of a spool once, in the order of their sequence numbers.
///
/// Memory: one frame, or 128 KiB if that is more.
#[derive(Debug)]
pub struct Reader {
    /// The event to come.
    next: Seq,
    /// All events below were durable.
    known_durable_upto: Seq,
    /// The segment being read.
    segment: Option<u64>,
    offset: u64,
    /// Bytes from `offset` on that are left out if they cannot be read.
    step: u64,
    /// From here on bytes were left out unread, after the last frame that was found.
    unread_from: Option<u64>,
    /// The end of the last frame that was passed.
    passed: u64,
    /// After it, nothing but room that was never written was seen.
    is_blank: bool,
    /// The segments between which a gap was told last, and how many events of it.
    area: ([Option<u64>; 2], u64),
    /// What was told of files that cannot be read, and what before the last gap.
    told: Told,
    told_before: Told,
    window: Window,
    found: Option<Found>,
}

/// What [`Reader::advance`] came upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Events, now in [`Reader::frame`].
    Frame,
    /// These events are not in the spool, or cannot be read.
    Gap(Gap),
    /// Everything below the limit has been read.
    End,
}

/// A frame, or what is left of it.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// As stored.
    pub header: FrameHeader,
    /// As stored.
    pub payload: Payload<'a>,
    /// How many events at its start are retired, or were read before.
    pub skip: u32,
    /// How many events after those are to be read now.
    pub take: u32,
}

#[derive(Clone, Copy, Debug)]
struct Found {
    header: FrameHeader,
    offset: u64,
    skip: u32,
    take: u32,
}

/// An offset after every segment's end.
const PAST_END: u64 = 1 << 62;

/// Where a gap is.
struct Place<'a> {
    segment: Option<u64>,
    /// All that is there was read. Otherwise nothing is known of the events.
    is_read: bool,
    /// A file that held such events is gone.
    is_removed: bool,
    /// How many events can have been there,
    room: u64,
    /// how many more after what was read of the segment,
    rest: u64,
    /// and in which files more can be, that were not read.
    unread: Vec<&'a Unread>,
    /// Events follow it: before them all numbers of their run are events.
    is_followed: bool,
    durable_upto: Seq,
}

impl<'a> Place<'a> {
    /// As long as there are files that were not read, what is missing may be in any of them: a
    /// segment repeats what the one before lacks after a failed sync, and names are changed by
    /// hand. `room` is for those that are missing for another reason.
    fn unless_unread(mut self, segments: &'a SegmentList, room: u64) -> Self {
        if self.is_read && !segments.unread.is_empty() {
            self.is_read = false;
            self.room = room;
            self.unread = segments.unread.iter().collect();
        }
        self
    }
}

impl<'a> Frame<'a> {
    /// The numbers of the events that are to be read now.
    #[must_use]
    pub fn wanted(&self) -> SeqRange {
        SeqRange::of(self.header.first.plus(self.skip.into()), self.take.into())
    }

    /// The events that are to be read now: their numbers and datums.
    pub fn events(&self) -> impl Iterator<Item = (Seq, &'a [u8])> + use<'a> {
        let (wanted, datums) = (self.wanted(), self.payload.datums());
        let mut start = 0;
        let all = self.header.range().iter().zip(self.payload.ends());
        let all = all.map(move |(number, end)| {
            let datum = datums.get(start..end as usize);
            start = end as usize;
            (number, datum.unwrap_or_default())
        });
        all.filter(move |(number, _)| wanted.contains(*number))
    }
}

impl Reader {
    /// A reader that begins with the event `next`. What was known to be durable when the spool was
    /// opened is told by [`Opened::known_durable_upto`](super::Opened::known_durable_upto).
    #[must_use]
    pub fn new(next: Seq, known_durable_upto: Seq) -> Self {
        Self {
            next,
            known_durable_upto,
            segment: None,
            offset: 0,
            step: 0,
            unread_from: None,
            passed: 0,
            is_blank: true,
            area: ([None; 2], 0),
            told: Told::default(),
            told_before: Told::default(),
            window: Window::default(),
            found: None,
        }
    }

    /// The segment that is read, by the id in its file's name.
    #[must_use]
    pub fn segment(&self) -> Option<u64> {
        self.segment
    }

    /// The event that comes next.
    #[must_use]
    pub fn next(&self) -> Seq {
        self.next
    }

    /// Leaves out the events below `next` that are still to come.
    pub fn skip_to(&mut self, next: Seq) {
        self.next = self.next.max(next);
    }

    /// Begins once more with the event `next`, as if the gap that the last step found had not been
    /// found.
    pub fn go_back_to(&mut self, next: Seq) {
        let told = std::mem::take(&mut self.told_before);
        *self = Self::new(next, self.known_durable_upto);
        self.told = told;
    }

    /// Looks for the next events below `limit` that are not `retired`. `segments` are those of the
    /// spool, and hold everything below the limit. After an error it can be called again, or
    /// [`skip_unread`](Self::skip_unread) before.
    pub fn advance(
        &mut self,
        storage: &dyn Storage,
        segments: &SegmentList,
        retired: &SeqSet,
        limit: Seq,
    ) -> io::Result<Step> {
        self.found = None;
        let readable = &segments.readable;
        while self.next < limit {
            let (is_done, upto) = retired.run(self.next);
            if is_done {
                self.next = upto;
                continue;
            }
            let limit = limit.min(upto);
            // What a segment repeats of the one before, after a failed sync, is read there.
            let behind = readable.partition_point(|it| it.header.first <= self.next);
            let following = readable.get(behind);
            let current = behind.checked_sub(1).and_then(|index| readable.get(index));
            let skipped_from = following.map_or(limit, |it| it.header.skipped_from);
            let is_skipped = skipped_from <= self.next;
            if let Some(segment) = current {
                self.enter(segment.id);
                let limit = if is_skipped {
                    limit
                } else {
                    limit.min(skipped_from)
                };
                match self.find(storage, segment, following, limit) {
                    // What the following one says is nobody's is not missing. What is there all the
                    // same is read: this one may be damaged, that one made up.
                    Ok(Some(header)) if is_skipped && self.next < header.first => {
                        let first = following.map_or(limit, |it| it.header.first);
                        self.next = header.first.min(first);
                        continue;
                    }
                    Ok(Some(header)) => {
                        return Ok(self.come_upon(header, segments, segment, limit));
                    }
                    Ok(None) => {}
                    Err(error) if is_removed(storage, segment.id, &error) => {
                        self.offset = PAST_END;
                        self.unread_from = None;
                        self.window.clear();
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            }
            if !is_skipped {
                match self.missing_before(segments, [current, following], limit) {
                    Some(gap) => return Ok(Step::Gap(gap)),
                    None => continue,
                }
            }
            self.next = following.map_or(limit, |it| it.header.first);
        }
        // What comes next may not have been there when the window was read.
        self.window.clear();
        Ok(Step::End)
    }

    /// The gap between what was read of a segment and the following one. `None`: no event was given
    /// these numbers.
    fn missing_before(
        &mut self,
        segments: &SegmentList,
        [current, following]: [Option<&Readable>; 2],
        limit: Seq,
    ) -> Option<Gap> {
        let first = following.map_or(limit, |it| it.header.skipped_from);
        let mut place = self.between(segments, current, following, limit);
        if first <= limit && place.is_read && is_file_missing(segments, following) {
            place.is_removed = true;
            place.segment = None;
        }
        if following.is_none() && place.is_read && self.is_blank {
            // It was in a segment after this one, which is as whole as it ever was.
            place.segment = None;
        }
        let mut end = first.min(limit);
        // What was not read may hold any of them, whatever its name.
        if segments.unread.is_empty() {
            end = self.given_upto(end, &place);
        }
        if self.next >= end {
            return None;
        }
        // What was told of the same files before cannot be there once more.
        let area = ids_of(current, following);
        let told = if self.area.0 == area { self.area.1 } else { 0 };
        place.room = place.room.saturating_sub(told);
        let place = place.unless_unread(segments, 0);
        let room = place.room;
        let gap = self.gap(end, place);
        self.area = (area, told + gap.events_max.min(room));
        Some(gap)
    }

    /// The events that the last step found.
    #[must_use]
    pub fn frame(&self) -> Option<Frame<'_>> {
        let found = self.found.as_ref()?;
        let payload = self.window.from(found.offset + FRAME_HEADER_BYTES as u64)?;
        Some(Frame {
            header: found.header,
            payload: found.header.split(payload)?,
            skip: found.skip,
            take: found.take,
        })
    }

    /// Leaves out what cannot be read because of this error: a block of 4096 bytes, a frame, or the
    /// rest of the segment. What is missing by it is told as a gap that is unreadable.
    pub fn skip_unread(&mut self, error: &io::Error) {
        self.unread_from.get_or_insert(self.offset);
        self.offset = match ReadFailure::of(error) {
            ReadFailure::Block => self.offset + self.step.max(1),
            ReadFailure::File | ReadFailure::Passing => PAST_END,
        };
    }

    fn enter(&mut self, segment: u64) {
        if self.segment != Some(segment) {
            self.segment = Some(segment);
            self.offset = SEGMENT_HEADER_BYTES as u64;
            self.passed = self.offset;
            self.is_blank = true;
            self.unread_from = None;
            self.window.clear();
        }
    }

    fn come_upon(
        &mut self,
        header: FrameHeader,
        segments: &SegmentList,
        segment: &Readable,
        limit: Seq,
    ) -> Step {
        if header.first > self.next {
            let from = self.unread_from.unwrap_or(self.passed);
            let room = events_in(self.offset.saturating_sub(from));
            let place = Place {
                segment: Some(segment.id),
                is_read: self.unread_from.is_none(),
                is_removed: false,
                room,
                rest: 0,
                unread: Vec::new(),
                is_followed: true,
                durable_upto: header.durable_upto,
            };
            let gap = self.gap(header.first.min(limit), place.unless_unread(segments, room));
            return Step::Gap(gap);
        }
        self.unread_from = None;
        let end = header.range().end.min(limit);
        self.found = Some(Found {
            header,
            offset: self.offset,
            skip: self.next.since(header.first) as u32,
            take: end.since(self.next) as u32,
        });
        self.next = end;
        Step::Frame
    }

    /// Where the events are that are neither in this segment nor in the following one.
    fn between<'a>(
        &self,
        segments: &'a SegmentList,
        current: Option<&Readable>,
        following: Option<&Readable>,
        limit: Seq,
    ) -> Place<'a> {
        let [after, before] = ids_of(current, following);
        let mut place = Place {
            segment: current.map(|it| it.id),
            is_read: true,
            is_removed: false,
            room: 0,
            rest: 0,
            unread: segments.unread_between(after, before).collect(),
            is_followed: following.is_some(),
            // After the last segment, all below the limit was durable.
            durable_upto: following.map_or(limit, |it| it.header.durable_upto),
        };
        let rest = |from: u64| current.map_or(0, |it| events_in(it.bytes.saturating_sub(from)));
        if !place.unread.is_empty() || self.unread_from.is_some() && current.is_some() {
            place.is_read = false;
            place.rest = self.unread_from.map_or(0, rest);
            return place;
        }
        let removed = segments.removed_between(after, before);
        let is_removed = self.offset == PAST_END;
        if removed.is_some() || is_removed {
            place.segment = None;
            place.is_removed = true;
            let rest = if is_removed { rest(self.passed) } else { 0 };
            place.room = removed.unwrap_or(0) + rest;
            return place;
        }
        // Of files that are not there, nobody knows how large they were.
        let [files, largest] = missing_files(current, following);
        let missing = files.saturating_mul(events_in_file(largest));
        place.room = missing.saturating_add(rest(self.passed));
        place
    }

    /// Where the next gap below `end` ends, once the numbers are passed that no event was given:
    /// those at the end of a run, whose last event was read.
    fn given_upto(&mut self, end: Seq, place: &Place<'_>) -> Seq {
        let run = end.run_first();
        if !place.is_read || place.is_removed || run <= self.next {
            return end;
        }
        // What is durable in a run tells nothing of the ones before.
        let witnesses = [place.durable_upto, self.known_durable_upto];
        let witnesses = witnesses.into_iter().filter(|upto| *upto < run);
        let witness = witnesses.max().unwrap_or_default();
        if witness <= self.next {
            self.next = run;
            return end;
        }
        self.next = self.next.max(witness.run_first());
        witness
    }

    fn gap(&mut self, end: Seq, place: Place<'_>) -> Gap {
        let first = self.next;
        let durable_upto = place.durable_upto.max(self.known_durable_upto);
        let missing = if !place.is_read {
            Missing::Unreadable
        } else if place.is_removed || first < durable_upto {
            Missing::Lost
        } else {
            Missing::Unfinished
        };
        // A range that is durable in part only is told in two steps.
        let is_parted = missing == Missing::Lost && !place.is_removed;
        let end = if is_parted {
            end.min(durable_upto)
        } else {
            end
        };
        self.next = end;
        self.told_before = self.told.clone();
        let range = SeqRange::new(first, end);
        let mut segment = place.segment;
        let events_max = if place.is_read {
            events_at_most(range, place.room)
        } else {
            let mut files = place.unread.iter();
            let has_room = files.find(|it| self.told.rest(it) > 0);
            let file = has_room.or(place.unread.first());
            let mut events = place.room.min(range.len());
            if let Some(id) = place.segment {
                events += self.told.tell_one(id, place.rest, range.len() - events);
            }
            segment = file.map_or(segment, |it| Some(it.id));
            let events = events + self.told.tell(place.unread, range.len() - events);
            match place.is_followed {
                // There were as many as those files have room for.
                true => events.max(events_at_most(range, 0)),
                false => events,
            }
        };
        Gap {
            range,
            events_max,
            missing,
            segment,
        }
    }

    /// The next frame with events to come, `offset` then at its start; `None` at the segment's end.
    fn find(
        &mut self,
        storage: &dyn Storage,
        segment: &Readable,
        following: Option<&Readable>,
        limit: Seq,
    ) -> io::Result<Option<FrameHeader>> {
        loop {
            let at = self.offset;
            self.step = BLOCK_BYTES - at % BLOCK_BYTES;
            if let Some(header) = self.window.header(storage, segment, at)? {
                if header.first >= limit {
                    self.is_blank = false;
                    return Ok(None);
                }
                if header.range().end <= self.next {
                    // Whatever could not be read before it has lower numbers still.
                    self.unread_from = None;
                    self.passed = at + header.frame_bytes();
                    self.is_blank = true;
                } else {
                    self.step = header.frame_bytes();
                    if self.window.is_whole(storage, segment, at, &header)? {
                        return Ok(Some(header));
                    }
                    self.is_blank = false;
                }
                self.offset += header.frame_bytes();
                continue;
            }
            let expected = following.map_or(limit, |it| it.header.skipped_from);
            if self.next >= expected {
                return Ok(None);
            }
            let mut found = at;
            let searched = self.window.search(storage, segment, &mut found);
            if let Err(error) = searched {
                self.offset = found;
                self.step = BLOCK_BYTES - found % BLOCK_BYTES;
                return Err(error);
            }
            self.is_blank &= self.window.is_blank();
            if !searched? {
                return Ok(None);
            }
            self.offset = found;
        }
    }
}

/// Whether the segment before this one is not there, under any name.
fn is_file_missing(segments: &SegmentList, following: Option<&Readable>) -> bool {
    let previous = following.and_then(|it| it.header.previous.checked_sub(1));
    previous.is_some_and(|previous| {
        let mut readable = segments.readable.iter();
        let mut unread = segments.unread.iter();
        !readable.any(|it| it.id == previous || it.header.id == previous)
            && !unread.any(|it| it.id == previous)
    })
}

/// The ids of two segments that follow each other, as in their headers.
fn ids_of(current: Option<&Readable>, following: Option<&Readable>) -> [Option<u64>; 2] {
    [current, following].map(|it| it.map(|it| it.header.id))
}

/// How many files may be missing between two segments, and the bytes of the largest known.
fn missing_files(current: Option<&Readable>, following: Option<&Readable>) -> [u64; 2] {
    let previous = following.and_then(|it| it.header.previous.checked_sub(1));
    let files = match ids_of(current, following) {
        [Some(before), Some(_)] if previous == Some(before) => 0,
        [Some(before), Some(after)] => after.saturating_sub(before.saturating_add(1)),
        [None, Some(after)] => after,
        _ => 1,
    };
    let bytes = [current, following]
        .into_iter()
        .flatten()
        .map(|it| it.bytes);
    [files, bytes.max().unwrap_or(0)]
}
