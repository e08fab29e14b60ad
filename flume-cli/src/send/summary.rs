//! [`Summary`]: what became of every line, for people, for scripts, and as an exit code.

use std::time::Duration;

use flume_client::stats::Stats;
use serde::Serialize;

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
    agents: Vec<AgentLine>,
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
        let acked = self.stats.delivered;
        if self.ending == Ending::Broken {
            return Exit::Unexpected;
        }
        match self.pending() {
            0 if self.tally.refused > 0 => Exit::Partial,
            0 if self.tally.unreadable > 0 => Exit::Unexpected,
            0 => Exit::Complete,
            _ if acked > 0 => Exit::Partial,
            _ if agents::is_answer_owed(&self.stats.agents) => Exit::TimedOut,
            _ => Exit::Undelivered,
        }
    }

    /// Taken by the client and not acknowledged.
    fn pending(&self) -> u64 {
        self.stats.accepted - self.stats.delivered
    }

    fn show(&self) {
        if self.ending == Ending::Broken {
            output::note("an internal error ended the delivery; not all of the input was read");
        }
        let (acked, pending, refused) = (self.stats.delivered, self.pending(), self.tally.refused);
        let time = text::duration(self.elapsed);
        let per_second = (acked as f64 / self.elapsed.as_secs_f64().max(0.001)) as u64;
        output::note(match (self.tally.read, pending + refused) {
            (0, _) => "nothing to send: no lines were read".to_owned(),
            (_, 0) => format!(
                "all {} acknowledged in {time} ({}/s)",
                plural(acked, "event"),
                count(per_second)
            ),
            (read, _) => format!(
                "{} of {} acknowledged in {time}",
                count(acked),
                plural(read, "event")
            ),
        });
        if pending > 0 {
            output::detail(self.pending_text(pending));
        }
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
        if self.tally.read > 0 {
            let agents = agents::text(&self.stats.agents, pending > 0);
            agents.iter().for_each(output::detail);
        }
    }

    fn pending_text(&self, pending: u64) -> String {
        let sent = match self.stats.lost.unknown {
            0 => "never sent".to_owned(),
            unknown if unknown == pending => "all were sent and may have arrived".to_owned(),
            unknown => format!("of which {} were sent and may have arrived", count(unknown)),
        };
        let why = match self.ending {
            Ending::GaveUp => format!(
                "; gave up after {} without an acknowledgement (--timeout)",
                text::duration(self.timeout)
            ),
            Ending::Complete | Ending::Broken => String::new(),
        };
        format!("{} pending: {sent}{why}", count(pending))
    }

    fn line(&self) -> SummaryLine {
        SummaryLine {
            schema: SCHEMA,
            read: self.tally.read,
            acked: self.stats.delivered,
            pending: self.pending(),
            refused: self.tally.refused,
            retries: self.stats.batches_retried,
            agents: agents::lines(&self.stats.agents),
        }
    }
}
