//! The agents of a delivery: how long each is waited for, and what is told of them at the end.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use flume_client::stats::AgentStats;
use flume_client::{AgentError, AgentUrl, Client, ClientBuilder, Stats};
use serde::Serialize;

use crate::exit::Exit;
use crate::http::{HttpArgs, is_unauthorized};
use crate::text::{count, plural};
use crate::tls::{TlsArgs, is_untrusted};

/// Most of the time-out that the agents may use up, so that each is tried and its error is seen.
const TIMEOUT_SHARE: f64 = 0.75;
/// Longest wait for a connection, and for an answer: the client's defaults.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT_MAX: Duration = Duration::from_secs(20);

/// An agent, for scripts.
#[derive(Debug, Serialize)]
pub(crate) struct AgentLine {
    agent: String,
    delivered: u64,
    failures: u64,
    window_peak: u32,
    last_error: Option<String>,
}

/// Which agents there are.
#[derive(Debug, Args)]
pub(crate) struct AgentArgs {
    /// Agent to send to, as avro://HOST:PORT, avro+tls://, avro+deflate://, avro+tls+deflate://,
    /// thrift://, thrift+tls://, http://HOST:PORT/PATH or https://. Given several times, or several with commas: the
    /// first that works gets everything, the others stand by
    #[arg(
        long,
        short,
        value_name = "URL",
        required = true,
        env = "FLUME_AGENT",
        value_delimiter = ','
    )]
    agent: Vec<AgentUrl>,

    #[command(flatten)]
    tls: TlsArgs,

    #[command(flatten)]
    http: HttpArgs,
}

impl AgentArgs {
    /// A client of these agents that has tried each of them before `timeout` is over.
    pub(crate) fn client(&self, timeout: Duration) -> ClientBuilder {
        let share = timeout.mul_f64(TIMEOUT_SHARE) / self.agent.len() as u32;
        let builder = Client::builder()
            .agents(self.agent.iter().map(AgentUrl::to_string))
            .connect_timeout(share.min(CONNECT_TIMEOUT_MAX))
            .request_timeout(share.min(REQUEST_TIMEOUT_MAX));
        let builder = self.http.apply(builder, &self.agent);
        self.tls.apply(builder, &self.agent)
    }
}

/// The end of a delivery by which nothing was delivered, by the counters of all its clients.
pub(crate) fn nothing_delivered(stats: &[Stats]) -> Exit {
    // With nothing to send that can be read, no agent is tried.
    let is_tried = |it: &Stats| it.connects > 0;
    if !stats.iter().any(is_tried) {
        Exit::Unexpected
    } else if stats.iter().any(has_untrusted) {
        Exit::Untrusted
    } else if stats.iter().any(|it| is_tried(it) && is_answer_owed(it)) {
        Exit::TimedOut
    } else {
        Exit::Undelivered
    }
}

fn has_untrusted(stats: &Stats) -> bool {
    let mut errors = stats
        .agents
        .iter()
        .filter_map(|it| it.last_error.as_deref());
    errors.any(|error| is_untrusted(error) || is_unauthorized(error))
}

/// Whether some agent accepted a connection, or was still being tried, and did not answer.
fn is_answer_owed(stats: &Stats) -> bool {
    let owes = |error: &Option<Arc<AgentError>>| error.as_deref().is_none_or(is_silence);
    stats.agents.iter().any(|agent| owes(&agent.last_error))
}

/// What each did, and what the user can check if something is `missing`.
pub(crate) fn text(agents: &[AgentStats], missing: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut advised = Vec::new();
    for agent in agents {
        let mut line = format!("{}: {} delivered", agent.agent, count(agent.delivered));
        if agent.failures > 0 {
            line.push_str(&format!(", {}", plural(agent.failures, "failure")));
        }
        if let Some(error) = &agent.last_error {
            line.push_str(&format!(", the last: {}", error.said_of(&agent.agent)));
        }
        lines.push(line);
        let error = agent.last_error.as_deref().filter(|_| agent.delivered == 0);
        advised.extend(error.and_then(advice).map(str::to_owned));
    }
    if missing {
        advised.dedup();
        lines.append(&mut advised);
    }
    lines
}

/// What of the command's arguments can be the reason of an error, where one can.
pub(crate) fn advice(error: &AgentError) -> Option<&'static str> {
    match error {
        AgentError::Resolve { .. } => Some("check the host name"),
        AgentError::Connect(_) | AgentError::ConnectTimeout(_) => {
            Some("check host and port, and that the agent runs with such a source there")
        }
        AgentError::Refused { .. } => {
            Some("see why the agent's sink is slow, or send smaller batches with --batch")
        }
        _ => None,
    }
}

/// Whether the agent accepted a connection and then owed an answer for too long.
pub(crate) fn is_silence(error: &AgentError) -> bool {
    matches!(
        error,
        AgentError::HandshakeTimeout(_) | AgentError::RequestTimeout(_)
    )
}

/// That events may have come twice, if so.
pub(crate) fn sent_again(batches: u64) -> Option<String> {
    let again = count(batches);
    (batches > 0)
        .then(|| format!("batches sent again: {again}; their events may have arrived twice"))
}

/// The same as `text`, for scripts.
pub(crate) fn lines(agents: &[AgentStats]) -> Vec<AgentLine> {
    let line = |agent: &AgentStats| AgentLine {
        agent: agent.agent.to_string(),
        delivered: agent.delivered,
        failures: agent.failures,
        window_peak: agent.window_peak,
        last_error: agent.last_error.as_deref().map(AgentError::to_string),
    };
    agents.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_was_never_tried_owes_no_answer() {
        let client = Client::builder().agent("avro://127.0.0.1:1").build();
        let stats = client.unwrap().stats();
        assert_eq!(nothing_delivered(&[stats]), Exit::Unexpected);
    }

    #[test]
    fn silence_is_told_from_absence() {
        let waited = Duration::from_secs(1);
        assert!(is_silence(&AgentError::HandshakeTimeout(waited)));
        assert!(is_silence(&AgentError::RequestTimeout(waited)));
        assert!(!is_silence(&AgentError::ConnectTimeout(waited)));
        assert!(!is_silence(&AgentError::ConnectionClosed));
    }
}
