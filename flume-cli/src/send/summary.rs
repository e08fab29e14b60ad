//! [`Summary`]: what became of every line, for people, for scripts, and as an exit code.

use std::slice;
use std::time::Duration;

use flume_client::spool::SpoolError;
use flume_client::stats::{Lost, SpoolStats, Stats};
use serde::Serialize;

use super::args::storing;
use super::pump::Tally;
use crate::agents::{self, AgentLine};
use crate::exit::Exit;
use crate::output::{self, LostLine, SCHEMA};
use crate::spool::Elsewhere;
use crate::text::{self, count, plural};
use crate::unread::{self, UnreadableLine};

#[derive(Debug)]
pub(super) struct Summary {
    pub(super) tally: Tally,
    /// The client's counters after it was closed.
    pub(super) stats: Stats,
    /// What earlier runs left in further places of the spool's directory.
    pub(super) elsewhere: Elsewhere,
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
    /// But for what was stored and cannot be read now, and what waits behind that.
    Unread,
    /// Nothing was acknowledged for as long as the user wants to wait.
    GaveUp,
    /// Reading ended by a bug.
    Broken,
}

/// `accepted + recovered = delivered + pending + lost.total`.
#[derive(Serialize)]
struct SummaryLine {
    schema: u32,
    read: u64,
    refused: u64,
    unended: u64,
    files_cut: u64,
    files_unreadable: u64,
    accepted: u64,
    recovered: u64,
    delivered: u64,
    pending: u64,
    lost: LostLine,
    retries: u64,
    /// With `--spool`.
    spool: Option<SpoolLine>,
    agents: Vec<AgentLine>,
}

#[derive(Serialize)]
struct SpoolLine {
    directory: String,
    /// Of those delivered: sent from memory.
    delivered_unstored: u64,
    /// What other runs left in further places of the directory.
    pending_elsewhere: u64,
    unreadable: Vec<UnreadableLine>,
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
        if matches!(self.ending, Ending::Broken | Ending::Unread) {
            return Exit::Unexpected;
        }
        let (delivered, lost) = (self.stats.delivered, self.lost());
        let is_refused = self.tally.refused + self.tally.cut > 0;
        let is_unread = is_refused || self.tally.unreadable > 0 || self.stopped_at.is_some();
        match self.pending() + lost.total() {
            0 if is_refused => Exit::Partial,
            0 if self.tally.unreadable > 0 => Exit::Unexpected,
            0 if !self.elsewhere.unreadable.is_empty() => Exit::Unexpected,
            0 if !self.elsewhere.pending.is_empty() => Exit::Stored,
            0 => Exit::Complete,
            missing if missing == self.pending() && !is_unread => Exit::Stored,
            missing if missing == lost.corrupt && !is_unread => Exit::Damaged,
            _ if delivered > 0 => Exit::Partial,
            missing if missing > self.pending() && self.trouble().is_some() => Exit::Unexpected,
            _ => agents::nothing_delivered(slice::from_ref(&self.stats)),
        }
    }

    /// In the spool, for the next run.
    fn pending(&self) -> u64 {
        let spool = self.stats.spool.as_ref();
        spool.map_or(0, |it| self.stats.pending.saturating_sub(it.unstored))
    }

    /// In files that cannot be read, or behind them.
    fn unreadable_events(&self) -> u64 {
        let spool = self.stats.spool.as_ref();
        spool.map_or(0, SpoolStats::unreadable_events)
    }

    /// Neither delivered nor pending, by reason: what waits in memory goes with this process.
    fn lost(&self) -> Lost {
        let mut lost = self.stats.lost;
        lost.closed += self.stats.pending - self.pending();
        lost
    }

    /// What kept events from being stored.
    fn trouble(&self) -> Option<&SpoolError> {
        self.stats.spool.as_ref()?.trouble.as_deref()
    }

    fn show(&self) {
        if self.ending == Ending::Broken {
            output::note("an internal error ended the delivery; not all of the input was read");
        }
        let (delivered, refused) = (self.stats.delivered, self.tally.refused);
        let missing = self.pending() + self.lost().total();
        let time = text::duration(self.elapsed);
        let per_second = (delivered as f64 / self.elapsed.as_secs_f64().max(0.001)) as u64;
        let recovered = self.stats.recovered;
        let up_to = unread::up_to(&self.stats);
        output::note(match (self.tally.read + recovered, missing + refused) {
            _ if self.ending == Ending::Unread => {
                unread::headline(delivered, &time, unread::is_any_awaited(&self.stats))
            }
            (0, _) => "nothing to send: no lines were read".to_owned(),
            (_, 0) => format!(
                "{} delivered in {time} ({}/s)",
                text::all(delivered, "event"),
                count(per_second)
            ),
            (events, _) => format!(
                "{} of {up_to}{} delivered in {time}",
                count(delivered),
                plural(events, "event")
            ),
        });
        let (earlier, up_to) = self.earlier(up_to);
        if earlier > 0 {
            let earlier = count(earlier);
            output::detail(format!("{up_to}{earlier} of them left by earlier runs"));
        }
        let spool = self.stats.spool.as_ref();
        let unstored = spool.map_or(0, |spool| spool.delivered_unstored);
        if unstored > 0 {
            let unstored = count(unstored);
            output::detail(format!(
                "{unstored} of them from memory: the disk did not take them"
            ));
        }
        self.missing_text().iter().for_each(output::detail);
        if let Some(place) = &self.stopped_at {
            output::detail(format!(
                "reading stopped {place}; what follows was not read"
            ));
        }
        if refused > 0 {
            output::detail(format!("{} refused, see above", plural(refused, "line")));
        }
        if self.tally.cut > 0 {
            let cut = plural(self.tally.cut, "file");
            output::detail(format!("{cut} cut while it was read, see above"));
        }
        let again = agents::sent_again(self.stats.batches_retried);
        again.iter().for_each(output::detail);
        if self.tally.read + recovered > 0 {
            let agents = agents::text(&self.stats.agents, missing > 0);
            agents.iter().for_each(output::detail);
        }
    }

    /// Events of earlier runs, of those delivered or, as so many `up_to` at most, of all.
    fn earlier(&self, up_to: &'static str) -> (u64, &'static str) {
        let recovered = self.stats.recovered;
        match self.ending {
            // None of those that are left can be read.
            Ending::Unread => {
                let left = self.unreadable_events() + self.lost().corrupt;
                let sent = recovered.saturating_sub(left);
                (sent.min(self.stats.delivered), "")
            }
            _ => (recovered, up_to),
        }
    }

    /// What is not delivered, by where it is and why.
    fn missing_text(&self) -> Vec<String> {
        let lost = self.lost();
        let why = match self.ending {
            Ending::GaveUp => format!(
                "; gave up after {} without an acknowledgement (--timeout)",
                text::duration(self.timeout)
            ),
            _ => String::new(),
        };
        let mut lines = Vec::new();
        let mut unsent = lost.unreachable;
        if let Some(spool) = &self.stats.spool {
            let place = text::path(&spool.directory);
            let next = "sent by the next run or `flume spool drain`";
            let pending = match self.ending {
                // Those are told by file.
                Ending::Unread => self.pending().saturating_sub(self.unreadable_events()),
                _ => self.pending(),
            };
            lines.push((pending, format!("pending in {place}, {next}{why}")));
            let trouble = self
                .trouble()
                .map_or_else(String::new, |it| format!(": {}", storing(it)));
            lines.push((lost.closed, format!("lost: could not be stored{trouble}")));
            lines.push((lost.corrupt, format!("lost: damaged in {place}")));
            let elsewhere = self.elsewhere.pending.iter();
            lines.extend(elsewhere.map(|(place, left)| {
                let place = text::path(place);
                let text = format!("pending in {place}, left by another run; {next}");
                (*left, text)
            }));
        } else {
            unsent += lost.closed;
        }
        lines.push((unsent, format!("lost: never sent{why}")));
        let sent = "lost: sent and not acknowledged, and may have arrived";
        lines.push((lost.unknown, format!("{sent}{why}")));
        lines.push((lost.rejected, "lost: an agent refused them".to_owned()));
        let some = lines.into_iter().filter(|(events, _)| *events > 0);
        let some = some.map(|(events, text)| format!("{} {text}", count(events)));
        some.chain(unread::text(&self.unreadable())).collect()
    }

    /// In all places of the spool's directory.
    fn unreadable(&self) -> Vec<UnreadableLine> {
        let mut lines = UnreadableLine::all(&self.stats);
        let more = self.elsewhere.unreadable.iter();
        let is_told = |line: &UnreadableLine| lines.iter().any(|told| told.file == line.file);
        let more: Vec<_> = more.filter(|line| !is_told(line)).cloned().collect();
        lines.extend(more);
        lines
    }

    fn line(&self) -> SummaryLine {
        let (tally, stats) = (&self.tally, &self.stats);
        SummaryLine {
            schema: SCHEMA,
            read: tally.read,
            refused: tally.refused,
            unended: tally.unended,
            files_cut: tally.cut,
            files_unreadable: tally.unreadable,
            accepted: stats.accepted,
            recovered: stats.recovered,
            delivered: stats.delivered,
            pending: self.pending(),
            lost: LostLine(self.lost()),
            retries: stats.batches_retried,
            spool: stats.spool.as_ref().map(|spool| SpoolLine {
                directory: spool.directory.display().to_string(),
                delivered_unstored: spool.delivered_unstored,
                pending_elsewhere: self
                    .elsewhere
                    .pending
                    .iter()
                    .map(|(_, events)| events)
                    .sum(),
                unreadable: self.unreadable(),
            }),
            agents: agents::lines(&stats.agents),
        }
    }
}
