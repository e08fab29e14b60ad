//! [`Adopted`]: events of a dead process are sent from its own directory. They are a second lane,
//! which ends when it is through or the client does. Its cursor and files are the committer's
//! `Adoption`.

use std::time::{Duration, Instant};

use super::route::Route;
use crate::transport::Network;

/// How long a client that ends waits for answers about adopted events, if its own are retired
/// sooner. Those that are not answered are sent again by the next client.
const ANSWERS_TIMEOUT: Duration = Duration::from_secs(3);

/// Events of a dead process, read from its own directory.
pub(super) struct Adopted<N: Network> {
    pub(super) route: Route<N>,
    /// Until when answers are waited for; nothing more is sent.
    stopped_until: Option<Instant>,
}

impl<N: Network> Adopted<N> {
    pub(super) fn new(route: Route<N>) -> Self {
        Self {
            route,
            stopped_until: None,
        }
    }

    /// The client ends by `deadline`: what was not sent stays where it is.
    pub(super) fn stop(&mut self, now: Instant, deadline: Instant) {
        self.route.dispatch.stop();
        let until = self.stopped_until;
        let until = until.unwrap_or(now + ANSWERS_TIMEOUT);
        self.stopped_until = Some(until.min(deadline));
    }

    /// Whether it is through, or stopped and answered.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        match self.stopped_until {
            None => self.route.dispatch.is_over(),
            Some(until) => !self.route.awaits_answers() || until <= now,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let route = self.route.dispatch.deadline();
        route.into_iter().chain(self.stopped_until).min()
    }
}
