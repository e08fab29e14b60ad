//! Files of a spool that cannot be read, as they are told at the end of a delivery.

use std::path::Path;

use flume_client::Stats;
use flume_client::stats::{Passed, SpoolStats, UnreadableEvents};
use serde::Serialize;

use crate::text::{count, plain, plural, quiet};

/// One of them, for scripts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct UnreadableLine {
    /// Absolute, however the spool was named.
    pub(crate) file: String,
    /// Events in it, or behind it and waiting for it, at most. 0 if that is not known, because it
    /// is a whole spool.
    events_max: u64,
    why: String,
    #[serde(skip)]
    is_awaited: bool,
}

impl UnreadableLine {
    pub(crate) fn new(file: &Path, events_max: u64, why: &str) -> Self {
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        Self {
            file: file.display().to_string(),
            events_max,
            why: plain(why),
            is_awaited: false,
        }
    }

    pub(crate) fn all(stats: &Stats) -> Vec<Self> {
        let unreadable = stats.spool.iter().flat_map(|spool| spool.unreadable.iter());
        let lines = unreadable.map(|it| Self {
            is_awaited: matches!(it.passed, Passed::Retried | Passed::Awaited),
            ..Self::new(&it.file, it.events_max, &it.why)
        });
        lines.collect()
    }
}

/// What to do about them.
pub(crate) const ADVICE: &str = "nothing in it is lost while the file is there: mend what keeps it from being read, and deliver again";

/// Whether all that is pending is in such files, or waits behind one that somebody has to mend, so
/// that nothing is left to wait for.
pub(crate) fn is_all_that_waits(stats: &Stats) -> bool {
    let spool = stats.spool.as_ref().filter(|spool| spool.unstored == 0);
    let Some(spool) = spool.filter(|_| stats.pending > 0) else {
        return false;
    };
    if spool.passed_events() == stats.pending {
        return true;
    }
    let is_retried = |it: &UnreadableEvents| it.passed == Passed::Retried;
    awaited(spool).next().is_some()
        && (spool.unreadable_events() == stats.pending || is_own_behind(stats, spool))
        && !spool.unreadable.iter().any(is_retried)
}

/// Whether the events of some wait for a file that cannot be read.
pub(crate) fn is_any_awaited(stats: &Stats) -> bool {
    let mut spools = stats.spool.iter();
    spools.any(|spool| awaited(spool).next().is_some())
}

fn awaited(spool: &SpoolStats) -> impl Iterator<Item = &UnreadableEvents> {
    let files = spool.unreadable.iter();
    files.filter(|it| it.passed == Passed::Awaited)
}

/// Whether all of this run wait behind events of an earlier one, which are all that is left of
/// those. Then none of this run's were sent from the disk.
fn is_own_behind(stats: &Stats, spool: &SpoolStats) -> bool {
    let is_own = |it: &UnreadableEvents| it.file.parent() == Some(&spool.directory);
    let done = stats.delivered - spool.delivered_unstored + stats.lost.total();
    let earlier = stats.recovered.saturating_sub(done);
    awaited(spool).any(is_own) && spool.unreadable_events() == earlier
}

/// Each of them with the reason, and what can be done.
pub(crate) fn text(unreadable: &[UnreadableLine]) -> Vec<String> {
    let line = |it: &UnreadableLine| {
        let (file, why) = (quiet(&it.file), quiet(&it.why));
        let behind = if it.is_awaited { " and behind it" } else { "" };
        match it.events_max {
            0 => format!("{file} cannot be read: {why}"),
            1 => format!("up to 1 event waits in {file}{behind}, which cannot be read: {why}"),
            events => format!(
                "up to {} events wait in {file}{behind}, which cannot be read: {why}",
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

/// That everything else is delivered. `is_any_awaited`: all but what waits behind a file.
pub(crate) fn headline(delivered: u64, time: &str, is_any_awaited: bool) -> String {
    let delivered = (delivered > 0).then(|| plural(delivered, "event"));
    match (delivered, is_any_awaited) {
        (None, false) => "nothing that can be read is left to deliver".to_owned(),
        (None, true) => "nothing that can be read in order is left to deliver; events behind a \
                         file that cannot be read wait for it"
            .to_owned(),
        (Some(events), false) => format!("{events} delivered in {time}, all that can be read"),
        (Some(events), true) => format!(
            "{events} delivered in {time}; those behind a file that cannot be read wait for it"
        ),
    }
}
