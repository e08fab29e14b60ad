//! [`Watch`]: tells when an agent fails, and when it works again. Once each, not at every retry.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flume_client::AgentError;
use flume_client::stats::AgentStats;

use crate::trouble;

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
    delivered: u64,
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
                self.delivered = agent.delivered;
                let trouble = trouble::sentence(error);
                if self.trouble.as_ref() == Some(&trouble) {
                    return None;
                }
                self.trouble = Some(trouble.clone());
                format!("{}: {trouble}; {retrying}", agent.agent)
            }
            _ if self.trouble.is_some() && agent.delivered > self.delivered => {
                self.trouble = None;
                format!("{}: works again", agent.agent)
            }
            _ => return None,
        };
        self.noted = Some(now);
        Some(note)
    }

    fn knows(&self, error: &Arc<AgentError>) -> bool {
        self.error
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, error))
    }
}
