//! [`Reliability`]: what the client does with an event that an agent did not take.

use std::ops::{Index, IndexMut};

/// How hard the client tries, and what it costs. A client has a level of its own, and hands out handles
/// for [others](crate::Client::at).
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
    /// Each level at its [`index`](Self::index), the one that keeps least first.
    pub(crate) const ALL: [Self; 3] = [Self::BestEffort, Self::InMemory, Self::EndToEnd];

    /// Its place in a list with an entry for each level.
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::BestEffort => 0,
            Self::InMemory => 1,
            Self::EndToEnd => 2,
        }
    }
}

/// One of something for each level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PerLevel<T> {
    best_effort: T,
    in_memory: T,
    end_to_end: T,
}

impl<T> PerLevel<T> {
    /// Made level by level, the one that keeps least first.
    pub(crate) fn new(mut make: impl FnMut(Reliability) -> T) -> Self {
        Self {
            best_effort: make(Reliability::BestEffort),
            in_memory: make(Reliability::InMemory),
            end_to_end: make(Reliability::EndToEnd),
        }
    }

    /// All of them, the one of the level that keeps least first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Reliability, &T)> {
        let all = [&self.best_effort, &self.in_memory, &self.end_to_end];
        Reliability::ALL.into_iter().zip(all)
    }

    /// The same, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Reliability, &mut T)> {
        let all = [
            &mut self.best_effort,
            &mut self.in_memory,
            &mut self.end_to_end,
        ];
        Reliability::ALL.into_iter().zip(all)
    }
}

impl<T> Index<Reliability> for PerLevel<T> {
    type Output = T;

    fn index(&self, level: Reliability) -> &T {
        match level {
            Reliability::BestEffort => &self.best_effort,
            Reliability::InMemory => &self.in_memory,
            Reliability::EndToEnd => &self.end_to_end,
        }
    }
}

impl<T> IndexMut<Reliability> for PerLevel<T> {
    fn index_mut(&mut self, level: Reliability) -> &mut T {
        match level {
            Reliability::BestEffort => &mut self.best_effort,
            Reliability::InMemory => &mut self.in_memory,
            Reliability::EndToEnd => &mut self.end_to_end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_stands_at_its_index_and_has_its_own_of_everything() {
        let mut each = PerLevel::new(|level| level);
        for (index, level) in Reliability::ALL.into_iter().enumerate() {
            assert_eq!(level.index(), index, "{level:?}");
            assert_eq!(each[level], level);
        }
        assert!(each.iter().all(|(level, it)| level == *it));
        assert!(each.iter_mut().all(|(level, it)| level == *it));
    }
}
