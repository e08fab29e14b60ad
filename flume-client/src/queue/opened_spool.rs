//! [`OpenedSpool`]: what lies in a spool when it is opened, and how the sender gets at it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::blocking::BlockingThread;
use super::handover::Handover;
use crate::config::Sizes;
use crate::seq::{Seq, SeqSet};
use crate::spool::{Log, Opened, Storage};

/// Where the events of a spool are read from, and which not.
pub(crate) struct OpenedSpool {
    pub(crate) storage: Arc<dyn Storage>,
    /// Where that is.
    pub(crate) place: PathBuf,
    /// What was retired when the spool was opened.
    pub(crate) retired: Arc<SeqSet>,
    /// See [`Opened::known_durable_upto`](crate::spool::Opened::known_durable_upto).
    pub(crate) known_durable_upto: Seq,
    /// The first number of this run, and how many events of earlier ones there are at most.
    pub(crate) run: Seq,
    pub(crate) recovered: u64,
    /// Where those end.
    pub(crate) recovered_upto: Seq,
    pub(crate) handover: Arc<Handover>,
    /// Where reading may block.
    pub(crate) reading: BlockingThread,
    /// Bytes that are read at once.
    pub(crate) read_bytes: usize,
}

impl OpenedSpool {
    /// What is in a spool that was opened.
    pub(crate) fn new(
        reading: BlockingThread,
        storage: Arc<dyn Storage>,
        place: &Path,
        log: &Log,
        opened: &Opened,
        sizes: Sizes,
    ) -> Self {
        Self {
            reading,
            read_bytes: sizes.read,
            storage,
            place: place.to_owned(),
            retired: Arc::new(log.retired().clone()),
            known_durable_upto: opened.known_durable_upto,
            run: log.next(),
            recovered: log.backlog(),
            recovered_upto: log.readable_upto(),
            handover: Arc::new(Handover::new(log.next(), log.segments(), sizes.waiting)),
        }
    }
}

impl fmt::Debug for OpenedSpool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenedSpool").finish_non_exhaustive()
    }
}
