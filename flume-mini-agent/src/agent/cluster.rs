//! [`Cluster`]: several agents for one client.

use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::{Duration, Instant};

use flume_client::{Client, ClientBuilder};

use super::MiniAgent;
use super::builder::MiniAgentBuilder;
use super::error::StartError;
use super::wait::within;
use crate::ledger::Ledger;
use crate::received::Received;

/// Agents side by side, for tests of failover. They share nothing.
///
/// ```
/// use std::time::Duration;
///
/// use flume_client::Event;
/// use flume_mini_agent::MiniAgent;
///
/// let mut cluster = MiniAgent::cluster(3)?;
/// let client = cluster.client().build()?;
/// cluster.agents_mut()[0].stop();
///
/// let event = Event::new("hi").header("id", "1");
/// client.append(event.clone())?.wait(Duration::from_secs(10))?;
/// assert!(cluster.wait_for(1, Duration::from_secs(10)));
/// cluster.ledger("id").assert_no_loss([&event]);
/// assert_eq!(cluster.agents()[1].received_count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Cluster {
    agents: Vec<MiniAgent>,
}

/// How long a wait looks at one agent before it looks at the next.
const LOOK: Duration = Duration::from_millis(2);

impl Cluster {
    /// Starts an agent for each of `builders`.
    pub fn start(builders: impl IntoIterator<Item = MiniAgentBuilder>) -> Result<Self, StartError> {
        let agents = builders.into_iter().map(MiniAgentBuilder::start);
        Ok(Self {
            agents: agents.collect::<Result<_, _>>()?,
        })
    }

    /// The agents, in their client's order of preference.
    #[must_use]
    pub fn agents(&self) -> &[MiniAgent] {
        &self.agents
    }

    /// The agents, to be stopped and started.
    pub fn agents_mut(&mut self) -> &mut [MiniAgent] {
        &mut self.agents
    }

    /// Settings of a client of all the agents, the first one preferred.
    pub fn client(&self) -> ClientBuilder {
        let agents = self.agents.iter();
        agents.fold(Client::builder(), |client, agent| client.agent(agent.url()))
    }

    /// The events that the collect sinks have received, one agent's after another's.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.agents.iter().flat_map(MiniAgent::received).collect()
    }

    /// What all of them have received, as a ledger of events that carry their id in the header
    /// `name`. The order of arrival is known within an agent only.
    #[must_use]
    pub fn ledger(&self, name: impl Into<String>) -> Ledger<String> {
        Ledger::by_header(self.received(), name)
    }

    /// Waits until the agents' sinks have received `events` events or more together; `false` if
    /// they have not by the end of `timeout`.
    ///
    /// Blocks the thread; in async code use [`wait_for_async`](Self::wait_for_async).
    #[must_use]
    pub fn wait_for(&self, events: u64, timeout: Duration) -> bool {
        let start = Instant::now();
        let mut agents = self.agents.iter().cycle();
        while self.received_count() < events {
            let left = timeout.saturating_sub(start.elapsed());
            if left.is_zero() {
                return false;
            }
            let Some(agent) = agents.next() else {
                return false;
            };
            let before = agent.received_count();
            // Whether it was this one that got something is seen in the next turn.
            let _ = agent.wait_until(left.min(LOOK), |stats| stats.events_drained > before);
        }
        true
    }

    /// The same without blocking the thread, on any runtime or none.
    pub async fn wait_for_async(&self, events: u64, timeout: Duration) -> bool {
        let all_received = async {
            loop {
                let changes = self.agents.iter().map(MiniAgent::change);
                let mut changes: Vec<_> = changes.map(Box::pin).collect();
                if self.received_count() >= events {
                    return;
                }
                poll_fn(|context| {
                    let mut changes = changes.iter_mut();
                    match changes.any(|it| it.as_mut().poll(context).is_ready()) {
                        true => Poll::Ready(()),
                        false => Poll::Pending,
                    }
                })
                .await;
            }
        };
        within(timeout, all_received).await.is_some()
    }

    fn received_count(&self) -> u64 {
        self.agents.iter().map(MiniAgent::received_count).sum()
    }
}
