//! [`Guard`]: how the client's threads end, together.
//!
//! | | then |
//! |---|---|
//! | a thread ends in good order | the others are told |
//! | a thread panics | nothing more is taken, the others end too; what is in memory goes to the disk if it can |
//! | the last one has ended | it is known what became of every event, and everybody who waits is told |

use std::sync::Arc;
use std::task::Waker;

use super::handover::Handover;
use super::intake::Intake;
use crate::error::ClientThread;

/// What a thread of a client holds while it runs, and lets go of however it ends.
#[derive(Debug)]
pub(crate) struct Guard {
    thread: ClientThread,
    intake: Arc<Intake>,
    /// Of the thread that writes a spool: its own.
    handover: Option<Arc<Handover>>,
    is_done: bool,
}

impl Guard {
    /// For the thread that delivers.
    pub(crate) fn of_sender(intake: Arc<Intake>) -> Self {
        Self {
            thread: ClientThread::Sender,
            intake,
            handover: None,
            is_done: false,
        }
    }

    /// For a thread that writes a spool.
    pub(crate) fn of_committer(intake: Arc<Intake>, handover: Arc<Handover>) -> Self {
        Self {
            thread: ClientThread::Committer,
            intake,
            handover: Some(handover),
            is_done: false,
        }
    }

    /// The thread has done what it had to.
    pub(crate) fn end(mut self) {
        self.is_done = true;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.is_done {
            self.intake.fail(self.thread);
        }
        match &self.handover {
            Some(handover) => handover.ended(),
            None => {
                for handover in self.intake.handovers() {
                    handover.finish(Waker::noop());
                }
            }
        }
        self.intake.thread_ended();
    }
}

#[cfg(test)]
mod tests;
