//! What the directory of a channel holds, and whether all of it is there.
//!
//! The spool opens whatever it finds, sets aside what is damaged and goes on with the rest. A
//! channel refuses instead, as Flume's does, and nothing is changed:
//!
//! | found | then |
//! |---|---|
//! | damaged events that were never reported stored | a torn write: the spool cuts it off; it was never acknowledged |
//! | events that were reported stored, and are damaged or missing | refused as damaged |
//! | one copy of a segment's header or of the cursor that is not whole | the other copy counts |
//! | both, or a cursor that is missing beside segments | refused as damaged |
//! | a file that cannot be read, is of another version, or of another channel | refused as such |
//!
//! After a kill, damage to the very last round looks like a torn write. After a close, the cursor
//! or a later event proves for every event that it was on the disk.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use flume_client::seq::Seq;
use flume_client::spool::{
    CursorState, FRAME_HEADER_BYTES, FileName, FrameHeader, Gap, Missing, Place,
    SEGMENT_HEADER_BYTES, SegmentTrouble, Storage, Survey, SurveyedSegment,
};
use flume_client::wire::avro::datum::EventRef;

use super::error::OpenError;
use crate::channel::StoredEvent;

/// What was found.
pub(super) struct Found {
    /// By sequence number.
    pub(super) events: BTreeMap<Seq, StoredEvent>,
    /// The segment that was written last, and its bytes.
    pub(super) last: Option<(FileName, u64)>,
    /// There was no channel.
    pub(super) is_new: bool,
}

/// Reads all of a channel that nobody has open.
pub(super) fn read(disk: &dyn Storage) -> Result<Found, OpenError> {
    let mut events = BTreeMap::new();
    let surveyed = Survey::take(disk, |event| match EventRef::parse(event.datum) {
        Ok(_) => {
            let datum = Bytes::copy_from_slice(event.datum);
            events.insert(event.number, StoredEvent::from_checked(datum));
            Ok(())
        }
        Err(error) => Err(io::Error::other(format!(
            "event {} is none: {error}",
            event.number
        ))),
    });
    let survey = surveyed.map_err(OpenError::io("read the log"))?;
    check_files(&survey)?;
    // What is not finished was never acknowledged.
    let missing = |gap: &&Gap| gap.missing != Missing::Unfinished;
    match survey.gaps.iter().find(missing) {
        Some(gap) => Err(missing_events(disk, &survey, gap)),
        None => Ok(Found {
            events,
            last: last_segment(&survey),
            is_new: survey.files.is_empty(),
        }),
    }
}

/// Segments are written in the order of their ids, whatever their names are.
fn last_segment(survey: &Survey) -> Option<(FileName, u64)> {
    let id = |segment: &&SurveyedSegment| segment.header.map(|header| header.id);
    let last = survey.segments.iter().max_by_key(id)?;
    Some((FileName::Segment(last.id), last.bytes))
}

fn check_files(survey: &Survey) -> Result<(), OpenError> {
    for segment in &survey.segments {
        let file = FileName::Segment(segment.id).to_string();
        return Err(match &segment.trouble {
            None
            | Some(
                SegmentTrouble::OneCopyDamaged
                | SegmentTrouble::OtherName
                | SegmentTrouble::Misnamed,
            ) => continue,
            Some(SegmentTrouble::OtherClient) => OpenError::Foreign { file },
            Some(SegmentTrouble::OtherVersion(version)) => OpenError::Version {
                file,
                version: *version,
            },
            Some(SegmentTrouble::Unreadable(reason)) => {
                OpenError::io(format!("read {file}"))(io::Error::other(reason.clone()))
            }
            Some(_) => damaged(file, 0, "the header is not whole"),
        });
    }
    let cursor = FileName::Cursor.to_string();
    match survey.cursor {
        CursorState::Whole | CursorState::Repaired => Ok(()),
        // The very first write of it was torn: there is no segment before it is on the disk.
        CursorState::Missing | CursorState::Damaged if survey.segments.is_empty() => Ok(()),
        CursorState::Missing => Err(damaged(cursor, 0, "the file is missing")),
        CursorState::Damaged => Err(damaged(cursor, 0, "neither copy is whole")),
    }
}

/// Why events that were on the disk are not there.
fn missing_events(disk: &dyn Storage, survey: &Survey, gap: &Gap) -> OpenError {
    let mut segments = survey.segments.iter();
    let here = segments.find(|segment| Some(segment.id) == gap.segment);
    match here {
        // An error of the system says nothing about what the file holds.
        Some(segment) if gap.missing == Missing::Unreadable => {
            let file = FileName::Segment(segment.id);
            let reason = io::Error::other("a part of it cannot be read");
            OpenError::io(format!("read {file}"))(reason)
        }
        Some(segment) => {
            let file = FileName::Segment(segment.id).to_string();
            match first_bad_frame(disk, segment) {
                Ok(offset) => damaged(
                    file,
                    offset,
                    "events are not whole that were on disk before",
                ),
                Err(error) => OpenError::io(format!("read {file}"))(error),
            }
        }
        None => damaged(missing_file(survey, gap), 0, "the segment is missing"),
    }
}

/// The name of the segment that events are missing with, as far as the one after it tells.
fn missing_file(survey: &Survey, gap: &Gap) -> String {
    let headers = survey.segments.iter().filter_map(|segment| segment.header);
    let later = headers.filter(|header| header.first >= gap.range.end);
    let following = later.min_by_key(|header| header.id);
    let id = following.and_then(|header| header.previous.checked_sub(1));
    id.map_or("the last segment".to_owned(), |id| {
        FileName::Segment(id).to_string()
    })
}

/// Where the first frame of a segment is that is not whole.
fn first_bad_frame(disk: &dyn Storage, segment: &SurveyedSegment) -> io::Result<u64> {
    let mut bytes = vec![0; usize::try_from(segment.bytes).unwrap_or(usize::MAX)];
    let read = disk.read(FileName::Segment(segment.id), 0, &mut bytes)?;
    bytes.truncate(read);
    let salt = segment.header.map_or(0, |header| header.salt);
    let mut offset = SEGMENT_HEADER_BYTES;
    while let Some(rest) = bytes.get(offset..) {
        let place = Place {
            salt,
            offset: offset as u64,
        };
        let Some(header) = FrameHeader::read(place, rest) else {
            break;
        };
        let frame = usize::try_from(header.frame_bytes()).unwrap_or(usize::MAX);
        let payload = rest.get(FRAME_HEADER_BYTES..frame).unwrap_or_default();
        if header.payload(payload).is_none() {
            break;
        }
        offset += frame;
    }
    Ok(offset as u64)
}

fn damaged(file: String, offset: u64, what: &str) -> OpenError {
    OpenError::Damaged {
        file,
        offset,
        what: what.to_owned(),
    }
}
