//! [`Survey`]: what a spool holds, without changing anything.

use std::io;

use super::cursor::{Cursor, Retired};
use super::frame::Level;
use super::header::{HeaderBlock, SegmentHeader};
use super::open::{self, CursorState, Opened};
use super::reader::{Gap, Readable, Reader, Step, segment_end};
use super::storage::{FileName, Storage};

/// What a spool holds. Made by reading all of it; nothing is written, cut or renamed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Survey {
    /// Whose events these are; `None` if no file tells.
    pub client: Option<u64>,
    /// How the cursor is.
    pub cursor: CursorState,
    /// Which events are done with.
    pub retired: Retired,
    /// The segments, by id.
    pub segments: Vec<SurveyedSegment>,
    /// Events that should be there and are not, in order.
    pub gaps: Vec<Gap>,
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
    /// What is wrong with its header, if it is not simply whole.
    pub trouble: Option<SegmentTrouble>,
    /// What it says of itself, if that can be read.
    pub header: Option<SegmentHeader>,
    /// Frames with events that are not done with.
    pub frames: u64,
    /// Events that are not done with.
    pub events: u64,
    /// Their bytes.
    pub event_bytes: u64,
    /// When the first and the last of these frames were written, in milliseconds since 1970.
    pub times_ms: Option<(u64, u64)>,
}

/// An event that is not done with.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct StoredEvent<'a> {
    /// Its sequence number.
    pub number: u64,
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
    /// Its name is another one's: a spare that is being made a segment.
    OtherName,
    /// Of another version.
    OtherVersion(u16),
    /// It cannot be read, with the system's reason.
    Unreadable(String),
}

impl Survey {
    /// Reads all of a spool. `on_event` gets each event that is not done with, in order. Fails if
    /// the directory cannot be listed, or `on_event` does.
    pub fn take(
        storage: &dyn Storage,
        mut on_event: impl FnMut(StoredEvent<'_>) -> io::Result<()>,
    ) -> io::Result<Self> {
        let mut files = storage.list()?;
        files.sort_unstable();
        let mut opened = Opened::default();
        let cursor = open::read_cursor(storage, &mut opened);
        let candidates = open::read_headers(storage, &files, &mut opened);
        let client = open::client(cursor.as_ref(), &candidates);
        let mut survey = Self {
            client,
            cursor: opened.cursor,
            retired: Retired::default(),
            segments: Vec::new(),
            gaps: Vec::new(),
            files,
        };
        let mut readable = Vec::new();
        for candidate in candidates {
            let (header, trouble) = judge(candidate.id, &candidate.block, client);
            let bytes = candidate.bytes;
            let is_ours = matches!(trouble, None | Some(SegmentTrouble::OneCopyDamaged));
            readable.extend(
                header
                    .filter(|_| is_ours)
                    .map(|header| Readable { header, bytes }),
            );
            survey.segments.push(SurveyedSegment {
                id: candidate.id,
                bytes,
                trouble,
                header,
                frames: 0,
                events: 0,
                event_bytes: 0,
                times_ms: None,
            });
        }
        survey.read(storage, &readable, cursor, &mut on_event)?;
        Ok(survey)
    }

    /// Events that are not done with.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.segments.iter().map(|segment| segment.events).sum()
    }

    /// Events that were durable and are not there any more.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let lost = self.gaps.iter().filter(|gap| gap.durable);
        lost.map(|gap| gap.end - gap.first).sum()
    }

    /// Whether everything is as it was written, but for a write that never came to its end.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let harmless = |segment: &SurveyedSegment| {
            matches!(segment.trouble, None | Some(SegmentTrouble::OtherName))
        };
        self.lost() == 0
            && matches!(self.cursor, CursorState::Whole | CursorState::Missing)
            && self.segments.iter().all(harmless)
    }

    fn read(
        &mut self,
        storage: &dyn Storage,
        segments: &[Readable],
        cursor: Option<Cursor>,
        on_event: &mut impl FnMut(StoredEvent<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let is_known = cursor.is_some();
        let cursor = cursor.unwrap_or_default();
        self.retired = cursor.retired;
        if !is_known {
            let first = segments.first().map_or(0, |it| it.header.skipped_from);
            self.retired.add(0, first);
        }
        let mut witnessed = cursor.durable_upto;
        let mut upto = witnessed;
        if let Some(last) = segments.last()
            && let Ok(end) = segment_end(storage, last)
        {
            witnessed = witnessed.max(end.durable_upto);
            upto = upto.max(end.end).max(witnessed);
            for (first, end) in end.holes {
                self.retired.add(first.max(witnessed), end);
            }
        }
        let mut reader = Reader::new(self.retired.watermark(), witnessed);
        loop {
            match reader.advance(storage, segments, &self.retired, upto) {
                Ok(Step::End) => return Ok(()),
                Ok(Step::Gap(gap)) => self.gaps.push(gap),
                Ok(Step::Frame) => self.count(&reader, on_event)?,
                // Told as a gap when the next readable block comes.
                Err(_) => reader.skip_block(),
            }
        }
    }

    fn count(
        &mut self,
        reader: &Reader,
        on_event: &mut impl FnMut(StoredEvent<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(frame) = reader.frame() else {
            return Ok(());
        };
        let wanted = frame.skip as usize..(frame.skip + frame.take) as usize;
        let (mut start, mut bytes) = (0, 0);
        let numbered = (frame.header.first..).zip(frame.payload.ends());
        for (index, (number, end)) in numbered.enumerate() {
            let datum = frame.payload.datums().get(start..end as usize);
            start = end as usize;
            if wanted.contains(&index) {
                let datum = datum.unwrap_or_default();
                bytes += datum.len() as u64;
                on_event(StoredEvent {
                    number,
                    time_ms: frame.header.time_ms,
                    level: frame.header.level,
                    datum,
                })?;
            }
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

fn judge(
    id: u64,
    block: &io::Result<HeaderBlock>,
    client: Option<u64>,
) -> (Option<SegmentHeader>, Option<SegmentTrouble>) {
    match block {
        Ok(HeaderBlock::Whole(header, half)) => {
            let trouble = if header.id != id {
                Some(SegmentTrouble::OtherName)
            } else if Some(header.client) != client {
                Some(SegmentTrouble::OtherClient)
            } else {
                half.then_some(SegmentTrouble::OneCopyDamaged)
            };
            (Some(*header), trouble)
        }
        Ok(HeaderBlock::OtherVersion { major, .. }) => {
            (None, Some(SegmentTrouble::OtherVersion(*major)))
        }
        Ok(HeaderBlock::Damaged) => (None, Some(SegmentTrouble::Damaged)),
        Err(error) => (None, Some(SegmentTrouble::Unreadable(error.to_string()))),
    }
}
