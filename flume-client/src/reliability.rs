//! [`Reliability`]: what the client does with an event that an agent did not take.

use std::ops::{Index, IndexMut};

/// How hard the client tries, and what it costs. A client has a level of its own, and hands out handles
/// for [others](crate::Client::at).
///
/// | | `EndToEnd` | `StoreOnFailure` | `InMemory` | `BestEffort` |
/// |---|---|---|---|---|
/// | kept | on the disk | in memory; on the disk while no agent takes them | in memory | in memory |
/// | kept until | an agent acknowledges it | an agent acknowledges it | an agent acknowledges it | one pass over the agents ended |
/// | sent again after a lost reply or a refusal | yes | yes | yes | never |
/// | duplicates possible | yes (at least once) | yes (at least once) | yes (at least once) | no |
/// | lost when the process dies | what is not [stored](crate::Receipt::stored) | what is not [on the disk](crate::Receipt::is_on_disk) | everything pending | everything pending |
///
/// An agent's acknowledgement says that its required channels committed the event, nothing more:
/// Flume has no acknowledgement from the end of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reliability {
    /// Keep events in memory, within the buffer's bound, and retry until an agent acknowledges.
    #[default]
    InMemory,
    /// Keep events in memory as long as agents take them. When every agent has failed and the oldest
    /// event has waited for a second, or when the level's events fill half of their
    /// [share](crate::Client::at) of the buffer, what waits is written to a
    /// [spool](crate::ClientBuilder::spool), and what comes after it as well, until the agents have
    /// caught up; then memory again. While the disk takes nothing, events stay in memory, within the
    /// buffer's bound. Flume OG's name for its middle level. It has a directory of its own among the
    /// spool's [places](crate::ClientBuilder::spool_shared), with a quota of its own, opened with the
    /// first handle for it; a copy of what is under way is kept, of 16 MiB at the most.
    StoreOnFailure,
    /// Write events to a [spool](crate::ClientBuilder::spool) on the local disk before they are
    /// sent (or while they are, if somebody waits for one of them: [`Receipt::delivered`] and
    /// [`Receipt::wait`]; or, if the disk takes nothing for 2 s or at the close, send them from
    /// memory), and retry until an agent acknowledges, across restarts. Flume OG's name for its
    /// write-ahead log.
    ///
    /// [`Receipt::delivered`]: crate::Receipt::delivered
    /// [`Receipt::wait`]: crate::Receipt::wait
    EndToEnd,
    /// Try each agent once. What no agent took is dropped and counted by reason.
    BestEffort,
}

impl Reliability {
    /// Each level at its [`index`](Self::index), the one that keeps least first.
    pub(crate) const ALL: [Self; 4] = [
        Self::BestEffort,
        Self::InMemory,
        Self::StoreOnFailure,
        Self::EndToEnd,
    ];

    /// Its place in a list with an entry for each level.
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::BestEffort => 0,
            Self::InMemory => 1,
            Self::StoreOnFailure => 2,
            Self::EndToEnd => 3,
        }
    }

    /// Whether its events can lie on the disk: a client needs a [spool](crate::ClientBuilder::spool) for
    /// it.
    #[must_use]
    pub const fn has_spool(self) -> bool {
        match self {
            Self::BestEffort | Self::InMemory => false,
            Self::StoreOnFailure | Self::EndToEnd => true,
        }
    }
}

/// One of something for each level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PerLevel<T> {
    best_effort: T,
    in_memory: T,
    store_on_failure: T,
    end_to_end: T,
}

impl<T> PerLevel<T> {
    /// Made level by level, the one that keeps least first.
    pub(crate) fn new(mut make: impl FnMut(Reliability) -> T) -> Self {
        Self {
            best_effort: make(Reliability::BestEffort),
            in_memory: make(Reliability::InMemory),
            store_on_failure: make(Reliability::StoreOnFailure),
            end_to_end: make(Reliability::EndToEnd),
        }
    }

    /// All of them, the one of the level that keeps least first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Reliability, &T)> + Clone {
        let all = [
            &self.best_effort,
            &self.in_memory,
            &self.store_on_failure,
            &self.end_to_end,
        ];
        Reliability::ALL.into_iter().zip(all)
    }

    /// The same, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Reliability, &mut T)> {
        let all = [
            &mut self.best_effort,
            &mut self.in_memory,
            &mut self.store_on_failure,
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
            Reliability::StoreOnFailure => &self.store_on_failure,
            Reliability::EndToEnd => &self.end_to_end,
        }
    }
}

impl<T> IndexMut<Reliability> for PerLevel<T> {
    fn index_mut(&mut self, level: Reliability) -> &mut T {
        match level {
            Reliability::BestEffort => &mut self.best_effort,
            Reliability::InMemory => &mut self.in_memory,
            Reliability::StoreOnFailure => &mut self.store_on_failure,
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
