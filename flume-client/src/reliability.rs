//! [`Reliability`]: what the client does with an event that an agent did not take.

/// How hard the client tries, and what it costs.
///
/// | | `EndToEnd` | `InMemory` | `BestEffort` |
/// |---|---|---|---|
/// | kept | on the disk | in memory | in memory |
/// | kept until | an agent acknowledges it | an agent acknowledges it | one pass over the agents ended |
/// | sent again after a lost reply or a refusal | yes | yes | never |
/// | duplicates possible | yes (at least once) | yes (at least once) | no |
/// | lost when the process dies | what is not [stored](crate::Receipt::stored) | everything pending | everything pending |
///
/// An agent's acknowledgement says that its required channels committed the event, nothing more:
/// Flume has no acknowledgement from the end of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reliability {
    /// Keep events in memory, within the buffer's bound, and retry until an agent acknowledges.
    #[default]
    InMemory,
    /// Write events to a [spool](crate::ClientBuilder::spool) on the local disk before they are
    /// sent (or, if the disk takes nothing for 2 s or at the close, send them from memory), and
    /// retry until an agent acknowledges, across restarts. Flume OG's name for its write-ahead log.
    EndToEnd,
    /// Try each agent once. What no agent took is dropped and counted by reason.
    BestEffort,
}

impl Reliability {
    /// All levels, each at its [`index`](Self::index).
    pub(crate) const ALL: [Self; 3] = [Self::InMemory, Self::EndToEnd, Self::BestEffort];

    /// Its place in a list with an entry for each level.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_stands_at_its_index() {
        for (index, level) in Reliability::ALL.into_iter().enumerate() {
            assert_eq!(level.index(), index, "{level:?}");
        }
    }
}
