//! [`Watch`]: tells when an agent fails, and when it works again. Once each, not at every retry.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flume_client::AgentError;
use flume_client::stats::AgentStats;

/// Least time between two notes about one agent.
const NOTE_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(crate) struct Watch {
    agents: Vec<Seen>,
}

/// What was said of an agent last.
#[derive(Debug, Default)]
struct Seen {
    error: Option<Arc<AgentError>>,
    trouble: Option<String>,
    noted: Option<Instant>,
}

impl Watch {
    /// What there is to say now. `retrying` ends each sentence about a failure.
    pub(crate) fn look(
        &mut self,
        agents: &[AgentStats],
        now: Instant,
        retrying: &str,
    ) -> Vec<String> {
        self.agents.resize_with(agents.len(), Seen::default);
        let pairs = self.agents.iter_mut().zip(agents);
        pairs
            .filter_map(|(seen, agent)| seen.look(agent, now, retrying))
            .collect()
    }
}

impl Seen {
    fn look(&mut self, agent: &AgentStats, now: Instant, retrying: &str) -> Option<String> {
        if self.noted.is_some_and(|noted| now - noted < NOTE_INTERVAL) {
            return None;
        }
        let note = match &agent.last_error {
            Some(error) if !self.knows(error) => {
                self.error = Some(error.clone());
                let trouble = error.said_of(&agent.agent);
                match self.trouble.as_ref() == Some(&trouble) {
                    true => self.recover(agent)?,
                    false => {
                        self.trouble = Some(trouble.clone());
                        format!("{}: {trouble}; {retrying}", agent.agent)
                    }
                }
            }
            _ => self.recover(agent)?,
        };
        self.noted = Some(now);
        Some(note)
    }

    /// It has acknowledged something since it failed last.
    fn recover(&mut self, agent: &AgentStats) -> Option<String> {
        let is_over = self.trouble.is_some() && agent.failing_for.is_none();
        is_over.then(|| {
            self.trouble = None;
            format!("{}: works again", agent.agent)
        })
    }

    fn knows(&self, error: &Arc<AgentError>) -> bool {
        self.error
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, error))
    }
}

#[cfg(test)]
mod tests {
    use flume_client::Client;

    use super::*;

    #[test]
    fn an_agent_works_again_also_if_it_failed_once_more_between_two_looks() {
        let client = Client::builder().agent("avro://127.0.0.1:1").build();
        let mut agents = client.unwrap().stats().agents;
        let (mut watch, mut now) = (Watch::default(), Instant::now());
        let mut look = |error: AgentError, failing_for| {
            now += NOTE_INTERVAL;
            agents[0].last_error = Some(Arc::new(error));
            agents[0].failing_for = failing_for;
            watch.look(&agents, now, "retrying").join("; ")
        };
        let failing = Some(NOTE_INTERVAL);
        assert!(look(AgentError::ConnectionClosed, failing).ends_with("retrying"));
        assert_eq!(look(AgentError::ConnectionClosed, failing), "");
        let told = look(AgentError::ConnectionClosed, None);
        assert_eq!(told, "avro://127.0.0.1:1: works again");
        assert!(look(AgentError::ClosedInHandshake, None).ends_with("retrying"));
        let told = look(AgentError::ClosedInHandshake, None);
        assert_eq!(told, "avro://127.0.0.1:1: works again");
    }
}
