//! [`FileStore`]: a file channel that can be opened again in its place.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::{FileChannel, FileSettings, OpenError, TransactionError};
use crate::fault::guard::FaultBoard;

/// The file channel of an agent, over its stops and starts.
#[derive(Debug)]
pub(crate) struct FileStore {
    settings: FileSettings,
    faults: Arc<FaultBoard>,
    /// `None` when it could not be opened again.
    channel: RwLock<Option<Arc<FileChannel>>>,
}

impl FileStore {
    /// Opens the channel in its directory, see [`FileChannel::open`].
    pub(crate) fn open(settings: FileSettings, faults: Arc<FaultBoard>) -> Result<Self, OpenError> {
        let (channel, _) = FileChannel::open(settings.clone(), Some(Arc::clone(&faults)))?;
        Ok(Self {
            settings,
            faults,
            channel: RwLock::new(Some(Arc::new(channel))),
        })
    }

    /// Closes the channel and opens it again, so that it works even if it was out of order. No
    /// transaction may be open.
    pub(crate) fn reopen(&self) -> Result<(), OpenError> {
        let mut channel = self.channel.write().unwrap_or_else(PoisonError::into_inner);
        // Only its end frees the directory, and settles the commits that nobody waits for.
        if let Some(open) = channel.take() {
            open.close();
        }
        let (opened, _) = FileChannel::open(self.settings.clone(), Some(Arc::clone(&self.faults)))?;
        *channel = Some(Arc::new(opened));
        Ok(())
    }

    /// Lets go of the directory, whoever still has a handle.
    pub(crate) fn close(&self) {
        let mut channel = self.channel.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = channel.take() {
            open.close();
        }
    }

    /// Events in slots: those that open transactions have taken or put, too.
    pub(crate) fn unsettled(&self) -> usize {
        self.channel().as_ref().map_or(0, |open| open.unsettled())
    }

    /// The channel, for a transaction or a wait.
    pub(crate) fn current(&self) -> Result<Arc<FileChannel>, TransactionError> {
        let channel = self.channel();
        channel.as_ref().map(Arc::clone).ok_or_else(|| {
            TransactionError::Poisoned("the log could not be opened at the last start".into())
        })
    }

    /// Events that can be taken.
    pub(crate) fn len(&self) -> usize {
        // Looked at under the lock: a handle would keep the directory from being opened again.
        self.channel().as_ref().map_or(0, |open| open.len())
    }

    pub(crate) fn settings(&self) -> &FileSettings {
        &self.settings
    }

    fn channel(&self) -> RwLockReadGuard<'_, Option<Arc<FileChannel>>> {
        self.channel.read().unwrap_or_else(PoisonError::into_inner)
    }
}
