//! [`Summary`]: what became of every line, for people, for scripts, and as an exit code.

use std::path::PathBuf;
use std::time::Duration;

use flume_client::spool::Trouble;
use flume_client::stats::Stats;
use serde::Serialize;

use super::args::storing;
use super::pump::Tally;
use crate::agents::{self, AgentLine};
use crate::exit::Exit;
use crate::output::{self, SCHEMA};
use crate::text::{self, count, plural};

#[derive(Debug)]
pub(super) struct Summary {
    pub(super) tally: Tally,
    /// The client's counters after it was closed.
    pub(super) stats: Stats,
    /// Events that earlier runs left in further places of the spool's directory.
    pub(super) left_elsewhere: Vec<(PathBuf, u64)>,
    pub(super) ending: Ending,
    /// Where reading stopped, unless everything was read.
    pub(super) stopped_at: Option<String>,
    pub(super) elapsed: Duration,
    pub(super) timeout: Duration,
}

/// Why the command stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Everything read is acknowledged.
    Complete,
    /// Nothing was acknowledged for as long as the user wants to wait.
    GaveUp,
    /// Reading ended by a bug.
    Broken,
}

#[derive(Serialize)]
struct SummaryLine {
    schema: u32,
    read: u64,
    acked: u64,
    pending: u64,
    refused: u64,
    retries: u64,
    /// With `--spool`; then `acked` and `pending` count what an earlier run left as well.
    spool: Option<SpoolLine>,
    agents: Vec<AgentLine>,
}

#[derive(Serialize)]
struct SpoolLine {
    directory: String,
    /// Left by an earlier run.
    recovered: u64,
    /// For the next one.
    left: u64,
    /// The same in further places of the directory.
    left_elsewhere: u64,
}

impl Summary {
    /// Tells everyone. `json`: scripts as well.
    pub(super) fn report(&self, interrupted: bool, json: bool) -> Exit {
        self.show();
        let exit = if interrupted {
            Exit::Interrupted
        } else {
            self.exit()
        };
        let written = !json || output::json(&self.line());
        exit.unless(!written)
    }

    fn exit(&self) -> Exit {
        if self.ending == Ending::Broken {
            return Exit::Unexpected;
        }
        let (acked, lost) = (self.stats.delivered, self.stats.lost);
        let has_all = self.tally.refused + self.tally.unreadable == 0 && self.stopped_at.is_none();
        match self.pending() {
            0 if self.tally.refused > 0 => Exit::Partial,
            0 if self.tally.unreadable > 0 => Exit::Unexpected,
            0 if !self.left_elsewhere.is_empty() => Exit::Stored,
            0 => Exit::Complete,
            pending if pending == self.left() && has_all => Exit::Stored,
            pending if pending == lost.corrupt && has_all => Exit::Damaged,
            _ if acked > 0 => Exit::Partial,
            pending if pending > self.left() && self.trouble().is_some() => Exit::Unexpected,
            _ if agents::is_answer_owed(&self.stats.agents) => Exit::TimedOut,
            _ => Exit::Undelivered,
        }
    }

    /// Taken by the client or found in the spool, and not acknowledged.
    fn pending(&self) -> u64 {
        self.stats.accepted + self.stats.recovered - self.stats.delivered
    }

    /// In the spool, for the next run.
    fn left(&self) -> u64 {
        let spool = self.stats.spool.as_ref();
        spool.map_or(0, |it| self.stats.pending.saturating_sub(it.unstored))
    }

    /// What kept events from being stored.
    fn trouble(&self) -> Option<&Trouble> {
        self.stats.spool.as_ref()?.trouble.as_deref()
    }

    fn show(&self) {
        if self.ending == Ending::Broken {
            output::note("an internal error ended the delivery; not all of the input was read");
        }
        let (acked, pending, refused) = (self.stats.delivered, self.pending(), self.tally.refused);
        let time = text::duration(self.elapsed);
        let per_second = (acked as f64 / self.elapsed.as_secs_f64().max(0.001)) as u64;
        let recovered = self.stats.recovered;
        output::note(match (self.tally.read + recovered, pending + refused) {
            (0, _) => "nothing to send: no lines were read".to_owned(),
            (_, 0) => format!(
                "all {} acknowledged in {time} ({}/s)",
                plural(acked, "event"),
                count(per_second)
            ),
            (events, _) => format!(
                "{} of {} acknowledged in {time}",
                count(acked),
                plural(events, "event")
            ),
        });
        if recovered > 0 {
            let recovered = count(recovered);
            output::detail(format!("{recovered} of them left by earlier runs"));
        }
        self.pending_text().iter().for_each(output::detail);
        if let Some(place) = &self.stopped_at {
            output::detail(format!(
                "reading stopped {place}; what follows was not read"
            ));
        }
        if refused > 0 {
            output::detail(format!("{} refused, see above", plural(refused, "line")));
        }
        let again = agents::sent_again(self.stats.batches_retried);
        again.iter().for_each(output::detail);
        if self.tally.read + recovered > 0 {
            let agents = agents::text(&self.stats.agents, pending > 0);
            agents.iter().for_each(output::detail);
        }
    }

    /// What is not acknowledged, by where it is and why.
    fn pending_text(&self) -> Vec<String> {
        let (left, lost) = (self.left(), self.stats.lost);
        let why = match self.ending {
            Ending::GaveUp => format!(
                "; gave up after {} without an acknowledgement (--timeout)",
                text::duration(self.timeout)
            ),
            Ending::Complete | Ending::Broken => String::new(),
        };
        let mut lines = Vec::new();
        if let Some(spool) = &self.stats.spool {
            let place = spool.directory.display();
            let next = "sent by the next run or `flume spool drain`";
            lines.push((left, format!("in {place}, {next}{why}")));
            let trouble = self
                .trouble()
                .map_or_else(String::new, |it| format!(": {}", storing(it)));
            let unstored = self.stats.pending - left + lost.closed;
            lines.push((unstored, format!("lost: could not be stored{trouble}")));
            lines.push((lost.corrupt, format!("lost: damaged in {place}")));
            let elsewhere = self.left_elsewhere.iter();
            lines.extend(elsewhere.map(|(place, left)| {
                let place = place.display();
                (*left, format!("in {place}, left by another run; {next}"))
            }));
        } else {
            let unsent = lost.closed + lost.unreachable;
            let pending = unsent + lost.unknown;
            let sent = match lost.unknown {
                0 => "never sent".to_owned(),
                unknown if unknown == pending => "all were sent and may have arrived".to_owned(),
                unknown => format!("of which {} were sent and may have arrived", count(unknown)),
            };
            let word = match self.ending {
                Ending::Complete => "lost",
                Ending::GaveUp | Ending::Broken => "pending",
            };
            lines.push((pending, format!("{word}: {sent}{why}")));
            lines.push((lost.rejected, "lost: an agent refused them".to_owned()));
        }
        let some = lines.into_iter().filter(|(events, _)| *events > 0);
        some.map(|(events, text)| format!("{} {text}", count(events)))
            .collect()
    }

    fn line(&self) -> SummaryLine {
        SummaryLine {
            schema: SCHEMA,
            read: self.tally.read,
            acked: self.stats.delivered,
            pending: self.pending(),
            refused: self.tally.refused,
            retries: self.stats.batches_retried,
            spool: self.stats.spool.as_ref().map(|spool| SpoolLine {
                directory: spool.directory.display().to_string(),
                recovered: self.stats.recovered,
                left: self.left(),
                left_elsewhere: self.left_elsewhere.iter().map(|(_, events)| events).sum(),
            }),
            agents: agents::lines(&self.stats.agents),
        }
    }
}
