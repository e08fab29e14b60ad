//! [`AgentOptions`]: how an agent stands beside the others, and what follows for the delivery core.

use super::bounds::within;
use crate::agent_url::AgentUrl;
use crate::delivery::{AgentSet, Rank, Selection};
use crate::error::BuildError;

/// How an agent stands beside the others, for [`ClientBuilder::agent_with`](crate::ClientBuilder::agent_with).
///
/// ```
/// use flume_client::{AgentOptions, Client, Selection};
///
/// let client = Client::builder()
///     .selection(Selection::RoundRobin)
///     .agent("avro://collector-1:4141")
///     .agent_with("avro://collector-2:4141", AgentOptions::default().weight(3))
///     // Of another site: used while neither of the two can be.
///     .agent_with("avro://far-away:4141", AgentOptions::default().priority(-1))
///     .build()?;
/// # Ok::<(), flume_client::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AgentOptions {
    /// The higher is used first, as with Flume's failover sink processor; the lower while none of
    /// those can be. Default 0.
    pub priority: i32,
    /// The share of the batches, beside the weights of agents with the same priority: 1 to 1000.
    /// Default 1. Only where agents [share](crate::ClientBuilder::selection).
    pub weight: u32,
    /// The name or address that its certificate has to be for, if that is neither the host of its
    /// address nor [the one for all agents](crate::TlsOptions::server_name). Default none. Only for an
    /// agent with TLS.
    #[cfg(feature = "tls")]
    pub server_name: Option<String>,
}

/// Upper bound of [`AgentOptions::weight`]: shares that differ by more are a mistake.
const WEIGHT_LIMIT: u64 = 1000;

impl Default for AgentOptions {
    fn default() -> Self {
        Self {
            priority: 0,
            weight: 1,
            #[cfg(feature = "tls")]
            server_name: None,
        }
    }
}

impl AgentOptions {
    /// With another [`priority`](field@Self::priority).
    #[must_use]
    pub fn priority(self, priority: i32) -> Self {
        Self { priority, ..self }
    }

    /// With another [`weight`](field@Self::weight).
    #[must_use]
    pub fn weight(self, weight: u32) -> Self {
        Self { weight, ..self }
    }

    /// With a [`server_name`](field@Self::server_name).
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn server_name(self, name: impl Into<String>) -> Self {
        let server_name = Some(name.into());
        Self {
            server_name,
            ..self
        }
    }
}

/// Agents in order of preference.
pub(crate) struct Ranked {
    pub(crate) urls: Vec<AgentUrl>,
    /// Where each of them stands.
    pub(crate) ranks: Vec<Rank>,
    /// The name that was given for one alone.
    #[cfg(feature = "tls")]
    pub(crate) server_names: Vec<Option<String>>,
}

/// Agents as they were given, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given(Vec<(String, AgentOptions)>);

impl Given {
    pub(crate) fn add(&mut self, url: String, options: AgentOptions) {
        self.0.push((url, options));
    }

    #[cfg(feature = "test")]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The agents in order of preference.
    pub(crate) fn ranked(self, selection: Selection) -> Result<Ranked, BuildError> {
        let mut agents: Vec<(AgentUrl, AgentOptions)> = Vec::new();
        for (url, options) in self.0 {
            let agent: AgentUrl = url.parse()?;
            if agents.iter().any(|(known, _)| known.is_same(&agent)) {
                return Err(BuildError::AgentTwice(agent));
            }
            within(
                "the weight of an agent",
                options.weight.into(),
                1,
                WEIGHT_LIMIT,
            )?;
            if selection == Selection::Failover && options.weight != 1 {
                let weight = options.weight;
                return Err(BuildError::NothingToShare { agent, weight });
            }
            #[cfg(feature = "tls")]
            if options.server_name.is_some() && !agent.scheme().is_tls() {
                return Err(BuildError::NameWithoutTls { agent });
            }
            agents.push((agent, options));
        }
        if agents.is_empty() {
            return Err(BuildError::NoAgent);
        }
        within(
            "the number of agents",
            agents.len() as u64,
            1,
            AgentSet::AGENTS_MAX as u64,
        )?;
        // Those of one priority stay in the order in which they were given.
        agents.sort_by_key(|(_, options)| std::cmp::Reverse(options.priority));
        let ranks = ranks(&agents, selection);
        Ok(Ranked {
            ranks,
            #[cfg(feature = "tls")]
            server_names: agents
                .iter()
                .map(|(_, options)| options.server_name.clone())
                .collect(),
            urls: agents.into_iter().map(|(agent, _)| agent).collect(),
        })
    }
}

/// In failover each agent is a group, else those of one priority are.
fn ranks(agents: &[(AgentUrl, AgentOptions)], selection: Selection) -> Vec<Rank> {
    let mut last = None;
    let mut group = 0;
    let ranked = agents.iter().map(|(agent, options)| {
        let AgentOptions {
            priority, weight, ..
        } = *options;
        let is_shared = selection != Selection::Failover && last == Some(priority);
        if last.is_some() && !is_shared {
            group += 1;
        }
        last = Some(priority);
        let dialects = agent.dialects().len().max(1) as u32;
        Rank {
            group,
            weight,
            dialects,
        }
    });
    ranked.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "avro://a:1";
    const B: &str = "avro://b:1";
    const C: &str = "avro://c:1";

    fn ranked(
        selection: Selection,
        agents: &[(&str, AgentOptions)],
    ) -> Result<Vec<(String, u32, u32)>, BuildError> {
        let mut given = Given::default();
        for (url, options) in agents {
            given.add((*url).to_owned(), options.clone());
        }
        let Ranked { urls, ranks, .. } = given.ranked(selection)?;
        let both = urls.iter().zip(ranks);
        Ok(both
            .map(|(url, rank)| (url.to_string(), rank.group, rank.weight))
            .collect())
    }

    fn check(selection: Selection, agents: &[(&str, AgentOptions)], expected: &[(&str, u32, u32)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(url, group, weight)| ((*url).to_owned(), *group, *weight))
            .collect();
        assert_eq!(ranked(selection, agents).unwrap(), expected);
    }

    #[test]
    fn in_failover_each_agent_stands_alone_by_priority_and_then_as_given() {
        let (usual, high) = (AgentOptions::default(), AgentOptions::default().priority(1));
        check(
            Selection::Failover,
            &[(A, usual.clone()), (B, high), (C, usual)],
            &[(B, 0, 1), (A, 1, 1), (C, 2, 1)],
        );
    }

    #[test]
    fn agents_of_one_priority_share_by_weight() {
        let (usual, low) = (
            AgentOptions::default(),
            AgentOptions::default().priority(-1),
        );
        check(
            Selection::RoundRobin,
            &[(A, low), (B, usual.clone().weight(3)), (C, usual)],
            &[(B, 0, 3), (C, 0, 1), (A, 1, 1)],
        );
    }

    #[test]
    fn what_makes_no_sense_is_an_error_that_says_what_to_do() {
        let told = |selection, agents: &[_]| ranked(selection, agents).unwrap_err().to_string();
        let weighted = |weight| AgentOptions::default().weight(weight);
        assert_eq!(
            told(Selection::Random, &[(A, weighted(0))]),
            "the weight of an agent is 0; it must lie between 1 and 1000"
        );
        assert_eq!(
            told(Selection::Failover, &[(A, weighted(2))]),
            "avro://a:1 has weight 2, but failover gives all to one agent: let agents share by \
             selection(Selection::RoundRobin), or leave the weight out"
        );
        assert_eq!(
            told(Selection::RoundRobin, &[]),
            "no agent was given; add one with agent(\"avro://HOST:PORT\")"
        );
    }
}
