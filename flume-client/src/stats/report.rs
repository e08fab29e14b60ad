//! [`Report`]: what became of all events of a client, told at its end.

use std::sync::Arc;

use super::{Lost, Stats};
use crate::error::{AgentError, ClientThread};

/// What became of all events of a client.
///
/// Those of processes that are gone are among them if they were acknowledged. The others are left
/// where they are, for the next client that is given the directory.
#[derive(Clone, Debug, Default)]
#[must_use = "it says whether events were lost"]
#[non_exhaustive]
pub struct Report {
    /// Acknowledged by an agent.
    pub delivered: u64,
    /// Of those: sent from memory, because the disk did not take them in time.
    pub delivered_unstored: u64,
    /// Given up, by reason.
    pub lost: Lost,
    /// In the spool, for the next client to send.
    pub on_disk: u64,
    /// Not decided in time: a disk that is slow may still take them, and then they are in the spool.
    pub pending: u64,
    /// This thread of the client panicked, which is a fault in this crate.
    pub failed: Option<ClientThread>,
    /// What the most preferred agent said last of those that have failed since they last
    /// acknowledged anything: why events were not delivered, if they were not.
    pub last_error: Option<Arc<AgentError>>,
}

/// Reports are equal if their numbers are: the cause is not compared.
impl PartialEq for Report {
    fn eq(&self, other: &Self) -> bool {
        let numbers = |it: &Self| {
            let delivered = (it.delivered, it.delivered_unstored);
            (delivered, it.lost, it.on_disk, it.pending, it.failed)
        };
        numbers(self) == numbers(other)
    }
}

impl Eq for Report {}

impl Report {
    pub(crate) fn of(stats: &Stats) -> Self {
        let spool = stats.spool.as_ref();
        let own = stats.own_pending();
        let levels = stats.levels.iter().filter(|it| it.level.has_spool());
        let spooled: u64 = levels.map(|it| it.pending).sum();
        let on_disk = spool.map_or(0, |spool| spooled - spool.adopted - spool.unstored);
        Self {
            delivered: stats.delivered,
            delivered_unstored: spool.map_or(0, |spool| spool.delivered_unstored),
            lost: stats.lost,
            on_disk,
            pending: own - on_disk,
            failed: stats.failed,
            last_error: stats.last_error(),
        }
    }

    /// Whether every event was acknowledged.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.lost.total() == 0 && self.on_disk == 0 && self.pending == 0
    }
}
