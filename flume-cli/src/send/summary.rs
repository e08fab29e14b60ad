//! [`Summary`]: what became of every line, for people, for scripts, and as an exit code.

use std::sync::Arc;
use std::time::Duration;

use flume_client::AgentError;
use flume_client::stats::Stats;
use serde::Serialize;

use super::pump::Tally;
use crate::exit::Exit;
use crate::output::{self, SCHEMA};
use crate::text::{self, count, plural};
use crate::trouble;

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

#[derive(Serialize)]
struct AgentLine {
    agent: String,
    acked: u64,
    failures: u64,
    window_peak: u32,
    last_error: Option<String>,
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
            _ if self.is_answer_owed() => Exit::TimedOut,
            _ => Exit::Undelivered,
        }
    }

    /// Taken by the client and not acknowledged.
    fn pending(&self) -> u64 {
        self.stats.accepted - self.stats.delivered
    }

    /// Whether some agent accepted a connection, or was still being tried, and did not answer.
    fn is_answer_owed(&self) -> bool {
        let owes =
            |error: &Option<Arc<AgentError>>| error.as_deref().is_none_or(trouble::is_silence);
        self.stats
            .agents
            .iter()
            .any(|agent| owes(&agent.last_error))
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
        if self.stats.batches_retried > 0 {
            let again = count(self.stats.batches_retried);
            output::detail(format!(
                "batches sent again: {again}; their events may have arrived twice"
            ));
        }
        if self.tally.read > 0 {
            self.show_agents();
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

    fn show_agents(&self) {
        let mut advice = Vec::new();
        for agent in &self.stats.agents {
            let mut line = format!("{}: {} acknowledged", agent.agent, count(agent.delivered));
            if agent.failures > 0 {
                line.push_str(&format!(", {}", plural(agent.failures, "failure")));
            }
            if let Some(error) = &agent.last_error {
                line.push_str(&format!(", the last: {}", trouble::sentence(error)));
            }
            output::detail(line);
            let error = agent.last_error.as_deref().filter(|_| agent.delivered == 0);
            advice.extend(error.and_then(trouble::advice));
        }
        if self.pending() > 0 {
            advice.dedup();
            advice.iter().for_each(output::detail);
        }
    }

    fn line(&self) -> SummaryLine {
        let agent = |agent: &flume_client::stats::AgentStats| AgentLine {
            agent: agent.agent.to_string(),
            acked: agent.delivered,
            failures: agent.failures,
            window_peak: agent.window_peak,
            last_error: agent.last_error.as_deref().map(trouble::sentence),
        };
        SummaryLine {
            schema: SCHEMA,
            read: self.tally.read,
            acked: self.stats.delivered,
            pending: self.pending(),
            refused: self.tally.refused,
            retries: self.stats.batches_retried,
            agents: self.stats.agents.iter().map(agent).collect(),
        }
    }
}
