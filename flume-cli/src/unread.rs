//! Files of a spool that cannot be read, as they are told at the end of a delivery.

use flume_client::Stats;
use flume_client::stats::SpoolStats;
use serde::Serialize;

use crate::text::{count, plural};
use crate::trouble::plain;

/// One of them, for scripts.
#[derive(Debug, Serialize)]
pub(crate) struct UnreadableLine {
    file: String,
    /// Events in it at most.
    events_max: u64,
    why: String,
}

impl UnreadableLine {
    pub(crate) fn all(stats: &Stats) -> Vec<Self> {
        let unreadable = stats.spool.iter().flat_map(|spool| spool.unreadable.iter());
        let lines = unreadable.map(|it| Self {
            file: it.file.display().to_string(),
            events_max: it.events_max,
            why: plain(&it.why),
        });
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
pub(crate) fn text(spool: Option<&SpoolStats>) -> Vec<String> {
    let unreadable = spool.iter().flat_map(|spool| spool.unreadable.iter());
    let mut lines: Vec<_> = unreadable
        .map(|it| {
            let wait = match it.events_max {
                0 => String::new(),
                events => format!("up to {} wait in ", plural(events, "event")),
            };
            let (file, why) = (it.file.display(), plain(&it.why));
            match wait.is_empty() {
                true => format!("{file} cannot be read: {why}"),
                false => format!("{wait}{file}, which cannot be read: {why}"),
            }
        })
        .collect();
    if !lines.is_empty() {
        lines.push(ADVICE.to_owned());
    }
    lines
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
