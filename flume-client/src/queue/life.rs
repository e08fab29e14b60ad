//! [`Guard`]: how the client's threads end, together.
//!
//! | | then |
//! |---|---|
//! | a thread ends in good order | the other one is told |
//! | a thread panics | nothing more is taken, the other one ends too; what is in memory goes to the disk if it can |
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
    /// With a spool.
    handover: Option<Arc<Handover>>,
    is_done: bool,
}

impl Guard {
    /// The intake must know how many of these there are.
    pub(crate) fn new(
        thread: ClientThread,
        intake: Arc<Intake>,
        handover: Option<Arc<Handover>>,
    ) -> Self {
        Self {
            thread,
            intake,
            handover,
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
        if let Some(handover) = &self.handover {
            match self.thread {
                ClientThread::Sender => drop(handover.finish(Waker::noop())),
                ClientThread::Committer => handover.ended(),
            }
        }
        self.intake.thread_ended();
    }
}

#[cfg(test)]
mod tests;
