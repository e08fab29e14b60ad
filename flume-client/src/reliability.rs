//! [`Reliability`]: what the client does with an event that an agent did not take.

/// How hard the client tries, and what it costs.
///
/// | | `InMemory` | `BestEffort` |
/// |---|---|---|
/// | kept until | an agent acknowledges it | one pass over the agents ended |
/// | sent again after a lost reply or a refusal | yes | never |
/// | duplicates possible | yes (at least once) | no |
/// | lost when the process dies | everything pending | everything pending |
///
/// An agent's acknowledgement says that its required channels committed the event, nothing more:
/// Flume has no acknowledgement from the end of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reliability {
    /// Keep events in memory, within the buffer's bound, and retry until an agent acknowledges.
    #[default]
    InMemory,
    /// Try each agent once. What no agent took is dropped and counted by reason.
    BestEffort,
}
