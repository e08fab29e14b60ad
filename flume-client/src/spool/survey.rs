//! [`Survey`]: what a spool holds, without changing anything.

use std::io;

use super::candidate::{self, Candidate, Kind};
use super::cursor::Cursor;
use super::frame::Level;
use super::header::{HeaderBlock, SegmentHeader};
use super::missing::{Gap, Missing, SegmentList, Unreadable};
use super::open;
use super::opened::{CursorState, Opened};
use super::reader::{Reader, Step};
use super::segment_end::segment_end;
use super::settings::SEGMENT_BYTES;
use super::storage::{FileName, Storage};
use crate::seq::{Seq, SeqRange, SeqSet};

/// What a spool holds. Made by reading all of it; nothing is written, cut or renamed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Survey {
    /// Whose events these are; `None` if no file tells.
    pub client: Option<u64>,
    /// How the cursor is.
    pub cursor: CursorState,
    /// Which events are retired.
    pub retired: SeqSet,
    /// The segments, by id.
    pub segments: Vec<SurveyedSegment>,
    /// Events that should be there and are not, or cannot be read, in order.
    pub gaps: Vec<Gap>,
    /// Numbers that were never given to an event, as far as that can be read. They count as retired.
    pub unused: Vec<SeqRange>,
    /// All files of the spool and their bytes, by name.
    pub files: Vec<(FileName, u64)>,
}

/// What a segment holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SurveyedSegment {
    /// As in the name of its file.
    pub id: u64,
    /// Of its file.
    pub bytes: u64,
    /// What is wrong with its header, if it is not simply whole; the worst of it. See also
    /// [`is_misnamed`](Self::is_misnamed).
    pub trouble: Option<SegmentTrouble>,
    /// What it says of itself, if that can be read.
    pub header: Option<SegmentHeader>,
    /// Frames with events that are not retired.
    pub frames: u64,
    /// Events that are not retired.
    pub events: u64,
    /// Their bytes.
    pub event_bytes: u64,
    /// When the first and the last of these frames were written, in milliseconds since 1970.
    pub times_ms: Option<(u64, u64)>,
}

/// An event that is not retired.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct StoredEvent<'a> {
    /// Its sequence number.
    pub number: Seq,
    /// When it was stored, in milliseconds since 1970.
    pub time_ms: u64,
    /// Which promise it was stored under.
    pub level: Level,
    /// As it was pushed.
    pub datum: &'a [u8],
}

/// What is wrong with a segment's header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SegmentTrouble {
    /// One of its copies; the other one is good.
    OneCopyDamaged,
    /// Both copies: none of its events can be read.
    Damaged,
    /// It belongs to another client.
    OtherClient,
    /// Its name is another one's and it holds no events: a spare that is being made a segment.
    OtherName,
    /// Its name is another one's, and it holds events: somebody has renamed it. It is read in its
    /// own place.
    Misnamed,
    /// Of another version.
    OtherVersion(u16),
    /// It cannot be read, with the system's reason.
    Unreadable(String),
}

impl SurveyedSegment {
    /// Whether somebody has renamed it, whatever else is wrong with it: it is read in its own place.
    #[must_use]
    pub fn is_misnamed(&self) -> bool {
        let is_renamed = self.header.is_some_and(|header| header.id != self.id);
        match self.trouble {
            Some(SegmentTrouble::Misnamed) => true,
            Some(SegmentTrouble::OneCopyDamaged) => is_renamed,
            _ => false,
        }
    }
}

impl Survey {
    /// Reads all of a spool. `on_event` gets each event that is not retired, in order. Fails if
    /// the directory cannot be listed, or `on_event` does.
    pub fn take(
        storage: &dyn Storage,
        mut on_event: impl FnMut(StoredEvent<'_>) -> io::Result<()>,
    ) -> io::Result<Self> {
        let mut files = storage.list()?;
        files.sort_unstable();
        let mut opened = Opened::default();
        let cursor = open::read_cursor(storage, &mut opened)?;
        // The quota is not known, so a segment whose file is elsewhere is as large as the others.
        let is_known = |(file, bytes): &(FileName, u64)| *file != FileName::Cursor && *bytes > 0;
        let least = match files.iter().any(is_known) {
            true => 0,
            false => SEGMENT_BYTES,
        };
        let candidates = candidate::read_headers(storage, &files, least, &mut opened);
        let client = candidate::client(cursor.as_ref(), &candidates);
        let mut survey = Self {
            client,
            cursor: opened.cursor,
            retired: SeqSet::default(),
            segments: Vec::new(),
            gaps: Vec::new(),
            unused: Vec::new(),
            files,
        };
        let mut list = SegmentList::default();
        for candidate in candidates {
            let kind = match candidate.kind(client) {
                Kind::Readable(readable) if !list.add(readable) => Kind::Damaged,
                kind => kind,
            };
            survey.segments.push(surveyed(&candidate, &kind));
            if let Kind::Unread(unread) = kind {
                list.unread.push(unread);
            }
        }
        survey.segments.sort_by_key(|segment| segment.id);
        survey.read(storage, &list, cursor, &mut on_event)?;
        Ok(survey)
    }

    /// Events that are not retired.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.segments.iter().map(|segment| segment.events).sum()
    }

    /// Events that were durable and are not there any more.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.missing(Missing::Lost)
    }

    /// Events, at most, that cannot be read now: nobody knows about them.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.missing(Missing::Unreadable)
    }

    fn missing(&self, why: Missing) -> u64 {
        let gaps = self.gaps.iter().filter(|gap| gap.missing == why);
        gaps.map(|gap| gap.events_max).sum()
    }

    /// Whether everything is as it was written, except a write that never came to its end and the
    /// names of files.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let harmless = |segment: &SurveyedSegment| {
            matches!(
                segment.trouble,
                None | Some(SegmentTrouble::OtherName | SegmentTrouble::Misnamed)
            )
        };
        self.lost() == 0
            && self.unreadable() == 0
            && matches!(self.cursor, CursorState::Whole | CursorState::Missing)
            && self.segments.iter().all(harmless)
    }

    fn read(
        &mut self,
        storage: &dyn Storage,
        segments: &SegmentList,
        cursor: Option<Cursor>,
        on_event: &mut impl FnMut(StoredEvent<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let is_known = cursor.is_some();
        let cursor = cursor.unwrap_or_default();
        self.retired = cursor.retired;
        if !is_known {
            self.retired.add_below(open::begins_at(segments));
        }
        let skipped = segments.readable.iter().map(|it| it.header.skipped());
        self.unused.extend(skipped.filter(|it| !it.is_empty()));
        self.unused.extend(ends_of_runs(storage, segments));
        let mut known_durable_upto = cursor.durable_upto;
        let mut upto = known_durable_upto;
        let last = segments.readable.last();
        // Any that was not read may be the last one, whatever its name.
        let is_last = segments.unread.is_empty();
        let mut ends_unread = !is_last;
        match last.map(|last| (last.header, segment_end(storage, last))) {
            None => {}
            Some((header, Ok(end))) => {
                known_durable_upto = known_durable_upto.max(end.durable_upto);
                if is_last && end.is_read && !end.any && known_durable_upto <= header.first {
                    // A start makes it a spare, and goes on after the numbers that it says are
                    // nobody's.
                    self.retired.add(header.skipped());
                }
                upto = upto.max(end.end).max(known_durable_upto);
                // Another one may hold them again.
                for hole in end.holes.into_iter().filter(|_| is_last) {
                    self.retired.add(hole.not_below(known_durable_upto));
                }
                ends_unread |= !end.is_read;
            }
            Some((_, Err(_))) => ends_unread = true,
        }
        if upto < cursor.run {
            self.unused.push(SeqRange::new(upto, cursor.run));
        }
        if ends_unread {
            // Nothing tells where their numbers end but that later ones were begun.
            upto = cursor.run.max(upto).run_last();
        }
        let mut reader = Reader::new(self.retired.watermark(), known_durable_upto);
        loop {
            match reader.advance(storage, segments, &self.retired, upto) {
                Ok(Step::End) => break,
                Ok(Step::Gap(gap)) => self.gaps.push(gap),
                Ok(Step::Frame) => self.count(&reader, on_event)?,
                // Told as a gap when the next readable block comes.
                Err(error) => reader.skip_unread(&error),
            }
        }
        // Nobody's, except what was there all the same.
        for segment in &segments.readable {
            self.retired.add(segment.header.skipped());
        }
        Ok(())
    }

    fn count(
        &mut self,
        reader: &Reader,
        on_event: &mut impl FnMut(StoredEvent<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(frame) = reader.frame() else {
            return Ok(());
        };
        let mut bytes = 0;
        for (number, datum) in frame.events() {
            bytes += datum.len() as u64;
            on_event(StoredEvent {
                number,
                time_ms: frame.header.time_ms,
                level: frame.header.level,
                datum,
            })?;
        }
        let mut segments = self.segments.iter_mut();
        let here = segments.find(|segment| Some(segment.id) == reader.segment());
        if let Some(segment) = here {
            segment.frames += 1;
            segment.events += u64::from(frame.take);
            segment.event_bytes += bytes;
            let now = frame.header.time_ms;
            let (first, _) = segment.times_ms.unwrap_or((now, now));
            segment.times_ms = Some((first, now));
        }
        Ok(())
    }
}

/// The numbers at the ends of runs that no event was given, where the segment that would tell is not
/// there or cannot be read.
fn ends_of_runs(storage: &dyn Storage, segments: &SegmentList) -> Vec<SeqRange> {
    let pairs = segments.readable.windows(2);
    let ends = pairs.filter_map(|pair| {
        let [segment, following] = pair else {
            return None;
        };
        let next_run = segment.header.first.later_run(1);
        if following.header.skipped_from < next_run {
            return None;
        }
        let end = segment_end(storage, segment)
            .ok()
            .filter(|end| end.is_read)?;
        Some(SeqRange::new(end.end, next_run))
    });
    ends.collect()
}

/// What a segment's file says of itself.
fn surveyed(candidate: &Candidate, kind: &Kind) -> SurveyedSegment {
    let (header, is_half) = match candidate.block {
        Ok(HeaderBlock::Whole(header, half)) => (Some(header), half),
        _ => (None, false),
    };
    let trouble = match kind {
        Kind::Readable(_) if is_half => Some(SegmentTrouble::OneCopyDamaged),
        Kind::Readable(it) => (it.header.id != it.id).then_some(SegmentTrouble::Misnamed),
        Kind::Spare => Some(SegmentTrouble::OtherName),
        Kind::Damaged => Some(SegmentTrouble::Damaged),
        Kind::OtherClient => Some(SegmentTrouble::OtherClient),
        Kind::Unread(unread) => Some(match &unread.why {
            Unreadable::System(text) => SegmentTrouble::Unreadable(text.clone()),
            Unreadable::OtherVersion(version) => SegmentTrouble::OtherVersion(*version),
        }),
    };
    SurveyedSegment {
        id: candidate.id,
        bytes: candidate.bytes,
        trouble,
        header,
        frames: 0,
        events: 0,
        event_bytes: 0,
        times_ms: None,
    }
}
