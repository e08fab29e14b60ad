//! [`Patience`]: how long nothing may happen while something should.

use std::time::{Duration, Instant};

/// Runs out when acknowledgements are waited for and none comes. Pure: it is told the time.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Duration,
    acked: u64,
    waiting_since: Option<Instant>,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            acked: 0,
            waiting_since: None,
        }
    }

    /// Whether it has run out. `waiting`: nothing can go on before an acknowledgement comes.
    pub(crate) fn is_over(&mut self, now: Instant, acked: u64, waiting: bool) -> bool {
        if !waiting {
            self.waiting_since = None;
        } else if acked > self.acked || self.waiting_since.is_none() {
            self.waiting_since = Some(now);
        }
        self.acked = acked;
        self.waiting_since
            .is_some_and(|since| now - since >= self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_out_only_after_waiting_for_the_whole_time_without_an_acknowledgement() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut patience = Patience::new(Duration::from_secs(10));
        assert!(!patience.is_over(at(0), 0, false));
        assert!(
            !patience.is_over(at(100), 0, false),
            "nothing was waited for"
        );
        assert!(!patience.is_over(at(101), 0, true));
        assert!(!patience.is_over(at(110), 0, true));
        assert!(!patience.is_over(at(110), 5, true), "an acknowledgement");
        assert!(!patience.is_over(at(119), 5, true));
        assert!(patience.is_over(at(120), 5, true));
    }

    #[test]
    fn it_begins_anew_when_reading_went_on_in_between() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut patience = Patience::new(Duration::from_secs(10));
        assert!(!patience.is_over(at(0), 0, true));
        assert!(!patience.is_over(at(9), 0, false));
        assert!(!patience.is_over(at(10), 0, true));
        assert!(!patience.is_over(at(19), 0, true));
        assert!(patience.is_over(at(20), 0, true));
    }
}
