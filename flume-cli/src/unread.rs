//! Files of a spool that cannot be read, as they are told at the end of a delivery.

use std::path::Path;

use flume_client::Stats;
use serde::Serialize;

use crate::text::count;
use crate::trouble::plain;

/// One of them, for scripts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct UnreadableLine {
    pub(crate) file: String,
    /// Events in it at most. 0 if that is not known, because it is a whole spool.
    events_max: u64,
    why: String,
}

impl UnreadableLine {
    pub(crate) fn new(file: &Path, events_max: u64, why: &str) -> Self {
        Self {
            file: file.display().to_string(),
            events_max,
            why: plain(why),
        }
    }

    pub(crate) fn all(stats: &Stats) -> Vec<Self> {
        let unreadable = stats.spool.iter().flat_map(|spool| spool.unreadable.iter());
        let lines = unreadable.map(|it| Self::new(&it.file, it.events_max, &it.why));
        lines.collect()
    }
}

/// What to do about them.
pub(crate) const ADVICE: &str = "nothing in it is lost while the file is there: mend what keeps it from being read, and deliver again";

/// Whether all that is pending is in such files, so that nothing is left to wait for.
pub(crate) fn is_all_that_waits(stats: &Stats) -> bool {
    let spool = stats.spool.as_ref().filter(|spool| spool.unstored == 0);
    spool.is_some_and(|spool| stats.pending > 0 && spool.passed_events() == stats.pending)
}

/// Each of them with the reason, and what can be done.
pub(crate) fn text(unreadable: &[UnreadableLine]) -> Vec<String> {
    let line = |it: &UnreadableLine| {
        let UnreadableLine { file, why, .. } = it;
        match it.events_max {
            0 => format!("{file} cannot be read: {why}"),
            1 => format!("up to 1 event waits in {file}, which cannot be read: {why}"),
            events => format!(
                "up to {} events wait in {file}, which cannot be read: {why}",
                count(events)
            ),
        }
    };
    let mut lines: Vec<_> = unreadable.iter().map(line).collect();
    if !lines.is_empty() {
        lines.push(ADVICE.to_owned());
    }
    lines
}

/// Of what was recovered, what cannot be read is counted by the most that it can be.
pub(crate) fn up_to(stats: &Stats) -> &'static str {
    let mut spool = stats.spool.iter();
    match spool.any(|spool| !spool.unreadable.is_empty()) {
        true => "up to ",
        false => "",
    }
}

/// That everything else is delivered.
pub(crate) fn headline(delivered: u64, time: &str) -> String {
    match delivered {
        0 => "nothing that can be read is left to deliver".to_owned(),
        1 => format!("1 event delivered in {time}, all that can be read"),
        _ => format!(
            "{} events delivered in {time}, all that can be read",
            count(delivered)
        ),
    }
}
