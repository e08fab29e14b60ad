//! What stands for the file channel without the feature `file-channel`: types without a value.
//!
//! An agent that asks for a file channel does not start then, so there is none to tell apart from
//! a memory channel. With these types the code that does so is written once, without a feature at
//! each turn, and the compiler knows that it is never run.

use std::time::Duration;

use super::error::ChannelError;
use super::event::StoredEvent;

/// No file channel.
#[derive(Debug)]
pub(crate) enum FileChannel {}

/// No transaction of one: there is nothing to refer to. Where a value itself cannot be, the compiler
/// would warn of each line after it.
#[derive(Debug)]
pub(crate) struct Transaction(&'static FileChannel);

/// No failure of one.
#[derive(Debug)]
pub(crate) struct TransactionError(&'static FileChannel);

impl FileChannel {
    pub(crate) fn begin(&self) -> Transaction {
        match *self {}
    }

    pub(crate) async fn put(
        &self,
        _transaction: &mut Transaction,
        _event: StoredEvent,
    ) -> Result<(), TransactionError> {
        match *self {}
    }

    pub(crate) fn take(
        &self,
        _transaction: &mut Transaction,
        _events_max: usize,
    ) -> Result<usize, TransactionError> {
        match *self {}
    }

    pub(crate) async fn commit(&self, _transaction: Transaction) -> Result<(), TransactionError> {
        match *self {}
    }

    pub(crate) async fn arrival(&self) {
        match *self {}
    }

    pub(crate) fn len(&self) -> usize {
        match *self {}
    }

    pub(crate) fn unsettled(&self) -> usize {
        match *self {}
    }

    pub(crate) fn capacity(&self) -> usize {
        match *self {}
    }

    pub(crate) fn keep_alive(&self) -> Duration {
        match *self {}
    }

    pub(crate) fn close(&self) {
        match *self {}
    }
}

impl Transaction {
    pub(crate) fn taken(&self) -> &[StoredEvent] {
        match *self.0 {}
    }
}

impl TransactionError {
    pub(crate) fn is_write(&self) -> bool {
        match *self.0 {}
    }

    pub(crate) fn told(&self, _events: usize) -> ChannelError {
        match *self.0 {}
    }
}
