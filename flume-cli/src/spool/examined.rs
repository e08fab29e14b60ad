//! [`Examined`]: all that was found in a spool.

use std::path::Path;
use std::time::{Duration, SystemTime};

use flume_client::seq::Seq;
use flume_client::spool::{
    FileName, Holder, Missing, SegmentTrouble, StoredEvent, Survey, SurveyedSegment,
};
use flume_client::wire::avro::datum::EventRef;
use serde::Serialize;

use super::event::{Bodies, EventLine};
use super::problem::Problem;
use super::source::{Spool, other_version};
use crate::exit::Exit;
use crate::output;
use crate::text;
use crate::unread::UnreadableLine;

/// What a spool holds, and who has it.
#[derive(Debug)]
pub(super) struct Examined {
    pub(super) survey: Survey,
    pub(super) holder: Option<Holder>,
    pub(super) strange: Strange,
    /// The first events, as many as were asked for.
    pub(super) first_events: Vec<KeptEvent>,
}

/// Events that were written as they are read, and are none.
#[derive(Debug, Default)]
pub(super) struct Strange {
    pub(super) count: u64,
    /// The numbers of the first ones.
    pub(super) first: Vec<Seq>,
}

#[derive(Debug)]
pub(super) struct KeptEvent {
    number: Seq,
    time_ms: u64,
    datum: Vec<u8>,
}

/// Who has a spool, for scripts.
#[derive(Debug, Serialize)]
pub(super) struct InUse {
    in_use: bool,
    process: Option<u32>,
}

/// Numbers of strange events that are told.
const STRANGE_TOLD: usize = 10;

/// Readings of a spool that another process changes meanwhile, until damage is believed.
const READINGS_MAX: u32 = 3;

impl Examined {
    /// Reads all of a spool and keeps so many events.
    pub(super) fn of(spool: &Spool, keep: usize) -> Result<Self, Problem> {
        let mut readings = 1;
        loop {
            let examined = Self::once(spool, keep)?;
            let doubtful = examined.holder.is_some() && examined.exit() != Exit::Complete;
            if !doubtful || readings == READINGS_MAX {
                return Ok(examined);
            }
            readings += 1;
        }
    }

    fn once(spool: &Spool, keep: usize) -> Result<Self, Problem> {
        let mut first_events = Vec::new();
        let examined = Self::while_read(spool, |event| {
            if first_events.len() < keep {
                first_events.push(KeptEvent {
                    number: event.number,
                    time_ms: event.time_ms,
                    datum: event.datum.to_vec(),
                });
            }
            Ok(())
        })?;
        Ok(Self {
            first_events,
            ..examined
        })
    }

    /// Reads all of a spool once, and gives each event away.
    pub(super) fn while_read(
        spool: &Spool,
        mut on_event: impl FnMut(StoredEvent<'_>) -> Result<(), Problem>,
    ) -> Result<Self, Problem> {
        let holder = spool.holder()?;
        let mut strange = Strange::default();
        let mut survey = spool.read(|event| {
            if EventRef::parse(event.datum).is_err() {
                strange.add(event.number);
            }
            on_event(event)
        })?;
        // It may have come while the spool was read.
        let holder = holder.or(spool.holder()?);
        if holder.is_some()
            && let Some(cursor) = spool.cursor()
        {
            // These are missing because they were delivered meanwhile.
            survey.gaps.retain(|gap| !cursor.retired.covers(gap.range));
        }
        Ok(Self {
            survey,
            holder,
            strange,
            first_events: Vec::new(),
        })
    }

    /// Whether all is as it was written; if not, whether the reason is damage or a file that
    /// cannot be read.
    pub(super) fn exit(&self) -> Exit {
        let unread = |trouble: &SegmentTrouble| {
            matches!(
                trouble,
                SegmentTrouble::Unreadable(_) | SegmentTrouble::OtherVersion(_)
            )
        };
        let mut troubles = self
            .survey
            .segments
            .iter()
            .filter_map(|it| it.trouble.as_ref());
        if troubles.any(unread) || self.survey.unreadable() > 0 {
            Exit::Unexpected
        } else if self.survey.is_sound() && self.strange.count == 0 {
            // Names that were changed too, for nothing is lost by it.
            Exit::Complete
        } else {
            Exit::Damaged
        }
    }

    /// The same where all that counts is that every event can be had.
    pub(super) fn exit_of_export(&self) -> Exit {
        let hides_events = |trouble: &SegmentTrouble| {
            !matches!(
                trouble,
                SegmentTrouble::OneCopyDamaged
                    | SegmentTrouble::OtherName
                    | SegmentTrouble::Misnamed
            )
        };
        let mut troubles = self
            .survey
            .segments
            .iter()
            .filter_map(|it| it.trouble.as_ref());
        let missing = self.survey.lost() + self.survey.unreadable() + self.strange.count;
        let complete = missing == 0 && !troubles.any(hides_events);
        if complete {
            Exit::Complete
        } else {
            self.exit()
        }
    }

    /// Whether somebody has renamed segments.
    fn is_misnamed(&self) -> bool {
        let mut segments = self.survey.segments.iter();
        segments.any(SurveyedSegment::is_misnamed)
    }

    /// The files of a spool that cannot be read, each with how many events it can have.
    pub(super) fn unreadable(&self, spool: &Path) -> Vec<UnreadableLine> {
        let segments = self.survey.segments.iter().filter_map(|segment| {
            let why = match segment.trouble.as_ref()? {
                SegmentTrouble::Unreadable(why) => why.clone(),
                SegmentTrouble::OtherVersion(version) => other_version(*version),
                _ => return None,
            };
            let events = self.unreadable_in(Some(segment.id));
            let file = spool.join(FileName::Segment(segment.id).to_string());
            Some(UnreadableLine::new(&file, events, &why))
        });
        let mut lines: Vec<_> = segments.collect();
        let elsewhere = self.unreadable_in(None);
        if elsewhere > 0 {
            let why = "a file of it cannot be read";
            lines.push(UnreadableLine::new(spool, elsewhere, why));
        }
        lines
    }

    fn unreadable_in(&self, segment: Option<u64>) -> u64 {
        let gaps = self.survey.gaps.iter();
        let gaps = gaps.filter(|it| it.missing == Missing::Unreadable && it.segment == segment);
        gaps.map(|gap| gap.events_max).sum()
    }

    /// Bytes of the events that are not done with.
    pub(super) fn event_bytes(&self) -> u64 {
        let segments = self.survey.segments.iter();
        segments.map(|segment| segment.event_bytes).sum()
    }

    pub(super) fn disk_bytes(&self) -> u64 {
        self.survey.files.iter().map(|(_, bytes)| bytes).sum()
    }

    /// When the oldest event that is not done with was stored, in milliseconds since 1970.
    pub(super) fn oldest_ms(&self) -> Option<u64> {
        let mut segments = self.survey.segments.iter();
        segments.find_map(|segment| segment.times_ms.map(|(first, _)| first))
    }

    /// In a few words.
    pub(super) fn state(&self) -> String {
        let mut state = match self.exit() {
            Exit::Complete if self.is_misnamed() => "sound, but misnamed".to_owned(),
            Exit::Complete => "sound".to_owned(),
            Exit::Damaged => "damaged".to_owned(),
            _ => "not all of it can be read".to_owned(),
        };
        let lost = self.survey.lost();
        if lost > 0 {
            state.push_str(&format!(", {} lost", text::plural(lost, "event")));
        }
        let unreadable = self.survey.unreadable();
        if unreadable > 0 {
            let events = text::plural(unreadable, "event");
            state.push_str(&format!(", up to {events} in it"));
        }
        if let Some(holder) = self.holder {
            state.push_str(&format!(", in use by {holder}"));
        }
        state
    }

    /// Tells the user if another process has the spool.
    pub(super) fn note_holder(&self, spool: &Spool) {
        if let Some(holder) = self.holder {
            output::note(format_args!(
                "{} is in use by {holder}: what is read may be in the middle of a change",
                text::path(spool.path())
            ));
        }
    }

    pub(super) fn in_use(&self) -> InUse {
        InUse {
            in_use: self.holder.is_some(),
            process: self.holder.and_then(|holder| holder.process),
        }
    }
}

impl KeptEvent {
    /// `None`: it is no Flume event.
    pub(super) fn line(&self, bodies: Bodies) -> Option<EventLine<'_>> {
        EventLine::new(self.number, self.time_ms, &self.datum, bodies).ok()
    }
}

impl Strange {
    fn add(&mut self, number: Seq) {
        self.count += 1;
        if self.first.len() < STRANGE_TOLD {
            self.first.push(number);
        }
    }
}

/// How long ago that was, by this computer's clock.
pub(super) fn age(time_ms: u64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let age = now
        .unwrap_or_default()
        .saturating_sub(Duration::from_millis(time_ms));
    text::age(age)
}

/// A client's id, as it is written everywhere.
pub(super) fn client_text(client: u64) -> String {
    format!("{client:016x}")
}

/// A run id as it stands in the names of events; segments of before have none.
pub(super) fn run_text(run_id: u64) -> Option<String> {
    (run_id != 0).then(|| format!("{run_id:016x}"))
}
