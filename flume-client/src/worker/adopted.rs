//! What a process left that is gone: a second lane, which ends when it is through or the client does.

use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use super::Worker;
use super::feed::{Backlog, Feed};
use super::lane::Lane;

/// How long a client that ends waits for answers about adopted events, if its own are done with
/// sooner. Those that are not answered are sent again by the next client.
const ANSWERS_TIMEOUT: Duration = Duration::from_secs(3);

/// Events of a process that is gone, read from where it left them.
pub(super) struct Adopted {
    pub(super) lane: Lane,
    /// Until when answers are waited for; nothing more is sent.
    stopped_until: Option<Instant>,
}

impl Worker {
    pub(super) fn adopt(&mut self, backlog: Backlog) {
        assert!(self.adopted.is_none(), "one place is adopted at a time");
        if self.closing.is_some() {
            backlog.handover.finish(Waker::noop());
            return;
        }
        self.adopted = Some(Adopted {
            lane: Lane::new(&self.config, &self.means, self.epoch, Some(backlog)),
            stopped_until: None,
        });
    }

    /// The client ends by `deadline`: what was not sent stays where it is.
    pub(super) fn stop_adopted(&mut self, deadline: Instant) {
        if let Some(adopted) = &mut self.adopted {
            adopted.lane.stop();
            let until = adopted.stopped_until;
            let until = until.unwrap_or_else(|| Instant::now() + ANSWERS_TIMEOUT);
            adopted.stopped_until = Some(until.min(deadline));
        }
    }

    /// Lets go of what is through, or stopped and answered. Callers must know all of it already.
    pub(super) fn end_adopted(&mut self) {
        let is_over = |adopted: &mut Adopted| match adopted.stopped_until {
            None => adopted.lane.is_over(),
            Some(until) => !adopted.lane.awaits_answers() || until <= Instant::now(),
        };
        if let Some(mut adopted) = self.adopted.take_if(is_over) {
            self.turn.keep_counters(&adopted.lane);
            adopted.lane.feed.iter_mut().for_each(Feed::let_go);
        }
    }

    pub(super) fn adopted_deadline(&self) -> Option<Instant> {
        let adopted = self.adopted.as_ref()?;
        let lane = adopted.lane.deadline();
        lane.into_iter().chain(adopted.stopped_until).min()
    }
}
