//! [`Finding`]: what is wrong with a spool, in words and for scripts.

use flume_client::seq::Seq;
use flume_client::spool::{CursorState, FileName, Gap, Missing, SegmentTrouble, SurveyedSegment};
use serde::Serialize;

use super::examined::{Examined, client_text};
use super::source::other_version;
use crate::text::{count, plain, plural};

/// One thing that is not as it should be.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    /// Whether the spool is damaged by it. Otherwise it is good to know.
    pub(super) damage: bool,
    kind: Kind,
    file: Option<String>,
    /// The numbers of the first and last event it is about, and how many.
    first: Option<u64>,
    last: Option<u64>,
    events: Option<u64>,
    pub(super) text: String,
}

/// What is found, in a word that is the same wherever it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    NoCursor,
    CursorSlot,
    Cursor,
    HeaderCopy,
    Header,
    OtherClient,
    OtherVersion,
    NotBegun,
    Misnamed,
    Unreadable,
    Other,
    Lost,
    Unfinished,
    NoEvent,
}

impl Finding {
    pub(super) fn all(examined: &Examined) -> Vec<Self> {
        let survey = &examined.survey;
        let mut findings = Vec::new();
        findings.extend(Self::of_cursor(survey.cursor, survey.events()));
        findings.extend(survey.segments.iter().flat_map(Self::of_segment));
        // Of what cannot be read, a gap of no more events is one of a file that is told already.
        let is_told = |gap: &&Gap| gap.missing == Missing::Unreadable && gap.events_max == 0;
        let gaps = survey.gaps.iter().filter(|gap| !is_told(gap));
        findings.extend(gaps.map(Self::of_gap));
        let strange = examined.strange.first.iter();
        findings.extend(strange.map(|number| Self::of_strange(*number)));
        let told = examined.strange.first.len() as u64;
        if examined.strange.count > told {
            let more = examined.strange.count - told;
            let text = format!("{} more are not events either", count(more));
            findings.push(Self {
                events: Some(more),
                ..Self::new(Kind::NoEvent, text)
            });
        }
        findings
    }

    fn new(kind: Kind, text: String) -> Self {
        Self {
            damage: true,
            kind,
            file: None,
            first: None,
            last: None,
            events: None,
            text,
        }
    }

    fn of_cursor(cursor: CursorState, pending: u64) -> Option<Self> {
        let (kind, text) = match cursor {
            CursorState::Whole => return None,
            CursorState::Missing if pending == 0 => return None,
            // It is made before the first segment. What waits is sound all the same.
            CursorState::Missing => (
                Kind::NoCursor,
                format!(
                    "cursor: it is not there, and it told which events were delivered; of the {} \
                     here some may have been, and are sent again",
                    plural(pending, "event")
                ),
            ),
            CursorState::Repaired => (
                Kind::CursorSlot,
                "cursor: one of its two slots is damaged; if it was the newer one, the events \
                 delivered last are sent again"
                    .to_owned(),
            ),
            CursorState::Damaged => (
                Kind::Cursor,
                "cursor: neither of its slots can be read; events that were delivered and are \
                 still on the disk are sent again"
                    .to_owned(),
            ),
        };
        Some(Self {
            damage: cursor != CursorState::Missing,
            file: Some(FileName::Cursor.to_string()),
            ..Self::new(kind, text)
        })
    }

    /// The damage first.
    fn of_segment(segment: &SurveyedSegment) -> impl Iterator<Item = Self> {
        let name = segment
            .is_misnamed()
            .then_some(SegmentTrouble::Misnamed)
            .filter(|name| segment.trouble.as_ref() != Some(name));
        let troubles = segment.trouble.clone().into_iter().chain(name);
        troubles.map(|trouble| Self::of_trouble(segment, &trouble))
    }

    fn of_trouble(segment: &SurveyedSegment, trouble: &SegmentTrouble) -> Self {
        let (kind, text) = match trouble {
            SegmentTrouble::OneCopyDamaged => (
                Kind::HeaderCopy,
                "one of the two copies of its header is damaged; the other one is used".to_owned(),
            ),
            SegmentTrouble::Damaged => (
                Kind::Header,
                "both copies of its header are damaged, so nothing in it can be read".to_owned(),
            ),
            SegmentTrouble::OtherClient => (
                Kind::OtherClient,
                segment.header.map_or_else(String::new, |header| {
                    format!(
                        "it belongs to the spool of another client, {}, and is not read here",
                        client_text(header.client)
                    )
                }),
            ),
            SegmentTrouble::OtherName => (
                Kind::NotBegun,
                "an unfinished new segment; it holds no events and is used again at the next start"
                    .to_owned(),
            ),
            SegmentTrouble::OtherVersion(version) => (
                Kind::OtherVersion,
                other_version(*version),
            ),
            SegmentTrouble::Unreadable(why) => {
                let why = plain(why);
                (
                    Kind::Unreadable,
                    format!("it cannot be read: {why}; nothing in it is lost while it is there"),
                )
            }
            SegmentTrouble::Misnamed => (
                Kind::Misnamed,
                segment.header.map_or_else(String::new, |header| {
                    let own = FileName::Segment(header.id);
                    format!("it holds {own}, and is read as that: somebody has renamed it, and nothing is lost by it")
                }),
            ),
            _ => (Kind::Other, "something is wrong with its header".to_owned()),
        };
        let file = FileName::Segment(segment.id).to_string();
        let text = format!("{file}: {text}");
        Self {
            damage: !matches!(
                trouble,
                SegmentTrouble::OtherName
                    | SegmentTrouble::Misnamed
                    | SegmentTrouble::OtherVersion(_)
                    | SegmentTrouble::Unreadable(_)
            ),
            file: Some(file),
            ..Self::new(kind, text)
        }
    }

    fn of_gap(gap: &Gap) -> Self {
        let file = gap.segment.map(|id| FileName::Segment(id).to_string());
        let place = file.as_deref().unwrap_or("a segment that is not there");
        let events = numbers(gap);
        let (kind, text) = match gap.missing {
            Missing::Lost => (
                Kind::Lost,
                format!("{place}: {events} lost: damaged, or not there any more"),
            ),
            Missing::Unfinished => (
                Kind::Unfinished,
                format!(
                    "{place}: {events} never written to the end, and nobody was told otherwise"
                ),
            ),
            Missing::Unreadable => (
                Kind::Unreadable,
                format!(
                    "{place}: {events} not lost, but cannot be read now; they are sent when they \
                     can be"
                ),
            ),
        };
        Self {
            damage: gap.missing == Missing::Lost,
            file,
            first: Some(gap.range.first.number()),
            last: Some(gap.range.end.number() - 1),
            events: Some(gap.events_max),
            ..Self::new(kind, text)
        }
    }

    fn of_strange(number: Seq) -> Self {
        let text = format!("event {number} is stored as it was written, but is no Flume event");
        let number = number.number();
        Self {
            first: Some(number),
            last: Some(number),
            events: Some(1),
            ..Self::new(Kind::NoEvent, text)
        }
    }
}

/// `event 7 is`, `events 7 to 9 (3 events) are`, `up to 9 events with numbers from 7 on are`.
fn numbers(gap: &Gap) -> String {
    let first = gap.range.first;
    match gap.range.len() {
        1 => format!("event {first} is"),
        numbers if gap.events_max < numbers => format!(
            "up to {} with numbers from {first} on are",
            plural(gap.events_max, "event")
        ),
        events => format!(
            "events {first} to {} ({}) are",
            gap.range.end.number() - 1,
            plural(events, "event")
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_is_documented_and_no_other() {
        let kinds = [
            Kind::NoCursor,
            Kind::CursorSlot,
            Kind::Cursor,
            Kind::HeaderCopy,
            Kind::Header,
            Kind::OtherClient,
            Kind::OtherVersion,
            Kind::NotBegun,
            Kind::Misnamed,
            Kind::Unreadable,
            Kind::Other,
            Kind::Lost,
            Kind::Unfinished,
            Kind::NoEvent,
        ];
        let names = kinds.map(|kind| serde_json::to_value(kind).unwrap());
        let names: BTreeSet<_> = names.iter().map(|name| name.as_str().unwrap()).collect();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/json.md");
        let page = std::fs::read_to_string(path).unwrap();
        let table = page.split("| kind | damage | what it is |").nth(1).unwrap();
        let rows = table
            .lines()
            .skip(2)
            .take_while(|line| line.starts_with('|'));
        let documented: BTreeSet<_> = rows
            .filter_map(|row| row.split('|').nth(1))
            .map(str::trim)
            .collect();
        assert_eq!(names, documented);
    }
}
