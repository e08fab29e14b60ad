//! [`Flush`]: waiting until what was logged is safe.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use flume_client::{Client, StoreError};

use crate::capture::CaptureCore;
use crate::passes::{Stage, deadline_after, left_until};

/// What was logged is not safe yet. Nothing is lost by it.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum FlushError {
    /// Records are not with the client: it has no room, or the layout takes its time.
    #[error(
        "what was logged is not with the client within {within:?}: {}",
        why_captured(.health)
    )]
    Captured {
        /// The time that was given.
        within: Duration,
        /// What the client's health said then.
        health: String,
    },
    /// Events are not acknowledged.
    #[error(transparent)]
    Unacknowledged(flume_client::FlushError),
    /// Events are not stored.
    #[error(transparent)]
    Unstored(StoreError),
    /// This is not the appender's process, but one that was forked from it.
    #[error(
        "this process was forked from that of the appender, which alone can flush it: build an \
         appender after the fork"
    )]
    Forked,
}

impl fmt::Debug for FlushError {
    /// The message: it is what a `main` that returns the error prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn why_captured(health: &str) -> String {
    match health {
        "" => "the layout, or a hook in it, takes its time".into(),
        health => health.into(),
    }
}

/// What a flush waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Agents have acknowledged all of it.
    Acknowledged,
    /// It is on the disk; without a spool, which nothing is stored in, the first one holds.
    Stored,
}

/// The future of [`Guard::flush`](crate::Guard::flush) and its like. It began when it was made, whether
/// it is awaited or not.
#[must_use = "it says whether what was logged is safe"]
pub struct Flush {
    core: Arc<CaptureCore>,
    client: Client,
    goal: Goal,
    within: Duration,
    deadline: Instant,
    /// None in a forked process.
    pass: Option<u64>,
    /// Once the pass is done.
    rest: Option<Rest>,
}

type Rest = Pin<Box<dyn Future<Output = Result<(), FlushError>> + Send>>;

impl Flush {
    pub(crate) fn begin(
        core: Arc<CaptureCore>,
        client: Client,
        goal: Goal,
        within: Duration,
    ) -> Self {
        // A forked process has the parent's locks, possibly held for ever.
        let pass = (!core.is_forked()).then(|| core.passes.hurry_for_next());
        Self {
            deadline: deadline_after(within),
            core,
            client,
            goal,
            within,
            pass,
            rest: None,
        }
    }

    /// The same for a plain thread, which it blocks for the time that was given, and a little longer
    /// at the most.
    pub fn wait(self) -> Result<(), FlushError> {
        let pass = self.pass.ok_or(FlushError::Forked)?;
        if !self.core.passes.wait(pass, Stage::Done, self.deadline) {
            return Err(self.captured());
        }
        let left = left_until(self.deadline);
        match self.goal {
            Goal::Acknowledged => {
                let flushed = self.client.flush(left).wait();
                flushed.map_err(FlushError::Unacknowledged)
            }
            Goal::Stored => self.core.passes.receipt().map_or(Ok(()), |receipt| {
                let stored = receipt.wait_stored(left);
                stored.map_err(FlushError::Unstored)
            }),
        }
    }

    fn captured(&self) -> FlushError {
        let problems = self.client.health().problems;
        let health = problems.first().map(ToString::to_string);
        FlushError::Captured {
            within: self.within,
            health: health.unwrap_or_default(),
        }
    }

    /// What is to come when the records are with the client.
    fn rest(&self) -> Rest {
        let receipt = self.core.passes.receipt();
        match (self.goal, receipt) {
            (Goal::Acknowledged, _) => {
                let flush = self.client.flush(left_until(self.deadline));
                Box::pin(async { flush.await.map_err(FlushError::Unacknowledged) })
            }
            (Goal::Stored, None) => Box::pin(std::future::ready(Ok(()))),
            (Goal::Stored, Some(receipt)) => Box::pin(async move {
                let stored = receipt.stored().await;
                stored.map_err(FlushError::Unstored)
            }),
        }
    }
}

impl Future for Flush {
    type Output = Result<(), FlushError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let flush = self.get_mut();
        let Some(pass) = flush.pass else {
            return Poll::Ready(Err(FlushError::Forked));
        };
        let passes = &flush.core.passes;
        if flush.rest.is_none() {
            match passes.poll(pass, Stage::Done, flush.deadline, context.waker()) {
                Some(true) => flush.rest = Some(flush.rest()),
                Some(false) => return Poll::Ready(Err(flush.captured())),
                None => return Poll::Pending,
            }
        }
        let rest = flush.rest.as_mut().map(|rest| rest.as_mut().poll(context));
        match rest {
            Some(Poll::Ready(result)) => Poll::Ready(result),
            // The client sees to the time of its own flush.
            _ if flush.goal == Goal::Acknowledged => Poll::Pending,
            _ if flush.deadline <= Instant::now() => {
                let waited = flush.within;
                Poll::Ready(Err(FlushError::Unstored(StoreError::Pending { waited })))
            }
            _ => {
                // A receipt knows no deadline.
                flush.core.passes.wake_at(flush.deadline, context.waker());
                Poll::Pending
            }
        }
    }
}

impl fmt::Debug for Flush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flush")
            .field("goal", &self.goal)
            .field("within", &self.within)
            .finish_non_exhaustive()
    }
}
