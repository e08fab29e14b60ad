//! [`Times`]: when things happened last, and [`Ages`]: how long the events of a lane have waited, kept
//! by the groups in which they came.
//!
//! Nothing here costs anything per event: ages are noted when a taker comes for what callers
//! appended, acknowledgements and losses when callers are told of them. Knows no clock: the time is
//! given.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{AgentStats, Timing};
use crate::delivery::AgentId;
use crate::seq::Seq;

/// Ages are kept for at most this many groups of events. Beyond, pairs become one.
const GROUPS_MAX: usize = 64;
/// What comes in within this time is one group.
const GROUP_TIME_MIN: Duration = Duration::from_millis(100);
/// So is what comes in within this part of the oldest event's age, if that is more.
const GROUP_PART: u32 = 32;

#[derive(Debug, Default)]
pub(crate) struct Times {
    delivered: Option<Instant>,
    lost: Option<Instant>,
    no_room: Option<Instant>,
    agents: Vec<AgentTimes>,
}

/// When the pending events of a lane came in.
#[derive(Debug)]
pub(crate) struct Ages {
    /// When the oldest pending event became that.
    advanced: Option<Instant>,
    watermark: Seq,
    /// Events below this number, and not below that of the group before, had come in by then.
    groups: VecDeque<(Seq, Instant)>,
}

/// When an agent failed.
#[derive(Clone, Copy, Debug, Default)]
struct AgentTimes {
    failing_since: Option<Instant>,
    last_failure: Option<Instant>,
}

impl Times {
    /// For `agents` agents.
    pub(crate) fn new(agents: usize) -> Self {
        Self {
            agents: vec![AgentTimes::default(); agents],
            ..Self::default()
        }
    }

    /// An agent acknowledged events. `true`: it had failed before.
    pub(crate) fn on_delivered(&mut self, agent: AgentId, now: Instant) -> bool {
        self.delivered = Some(now);
        let agent = self.agents.get_mut(agent.index());
        agent.is_some_and(|agent| agent.failing_since.take().is_some())
    }

    pub(crate) fn on_lost(&mut self, now: Instant) {
        self.lost = Some(now);
    }

    /// An agent failed.
    pub(crate) fn on_failure(&mut self, agent: AgentId, now: Instant) {
        if let Some(times) = self.agents.get_mut(agent.index()) {
            times.failing_since.get_or_insert(now);
            times.last_failure = Some(now);
        }
    }

    /// `append` found no room. Says how long ago that was the last time.
    pub(crate) fn on_no_room(&mut self, now: Instant) -> Option<Duration> {
        let before = self.no_room.replace(now);
        before.map(|before| now.saturating_duration_since(before))
    }

    /// How long ago everything was. The lane of `oldest` has the oldest pending event.
    pub(crate) fn timing(&self, oldest: Option<&Ages>, now: Instant) -> Timing {
        let ago = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
        Timing {
            oldest_pending: ago(oldest.and_then(Ages::oldest)),
            advanced: ago(oldest.and_then(|ages| ages.advanced)),
            delivered: ago(self.delivered),
            lost: ago(self.lost),
            no_room: ago(self.no_room),
        }
    }

    /// The same of each agent.
    pub(crate) fn tell_agents(&self, agents: &mut [AgentStats], now: Instant) {
        let ago = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
        for (agent, times) in agents.iter_mut().zip(&self.agents) {
            agent.failing_for = ago(times.failing_since);
            agent.last_failure = ago(times.last_failure);
        }
    }
}

impl Ages {
    /// Of events from number `first` on.
    pub(crate) fn new(first: Seq) -> Self {
        Self {
            advanced: None,
            watermark: first,
            groups: VecDeque::new(),
        }
    }

    /// Everything below `next` has come in by now.
    pub(crate) fn came_in(&mut self, next: Seq, now: Instant) {
        let oldest = self.groups.front().map_or(now, |(_, at)| *at);
        let part = now.saturating_duration_since(oldest) / GROUP_PART;
        let group_time = part.max(GROUP_TIME_MIN);
        match self.groups.back_mut() {
            Some((end, _)) if *end >= next => return,
            Some((end, at)) if now.saturating_duration_since(*at) < group_time => *end = next,
            None if next <= self.watermark => return,
            _ => self.groups.push_back((next, now)),
        }
        if self.groups.len() > GROUPS_MAX {
            self.halve();
        }
    }

    /// Everything below this number is retired.
    pub(crate) fn done_below(&mut self, watermark: Seq, now: Instant) {
        if watermark <= self.watermark {
            return;
        }
        self.watermark = watermark;
        self.advanced = Some(now);
        while self
            .groups
            .front()
            .is_some_and(|(end, _)| *end <= watermark)
        {
            self.groups.pop_front();
        }
    }

    /// When the oldest pending event came in.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.groups.front().map(|(_, at)| *at)
    }

    /// Makes one group of two. It is as old as the older one: no age is ever told too low.
    fn halve(&mut self) {
        let groups = self.groups.make_contiguous();
        let halved = groups.chunks(2).filter_map(|pair| match pair {
            [(_, at), (end, _)] => Some((*end, *at)),
            [group] => Some(*group),
            _ => None,
        });
        self.groups = halved.collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> impl Fn(u64) -> Instant {
        let start = Instant::now();
        move |ms| start + Duration::from_millis(ms)
    }

    fn timing(ages: &Ages, now: Instant) -> Timing {
        Times::new(0).timing(Some(ages), now)
    }

    #[test]
    fn the_oldest_pending_event_is_known_by_its_group() {
        let (mut ages, at) = (Ages::new(Seq::ZERO), clock());
        ages.came_in(Seq::new(10), at(0));
        ages.came_in(Seq::new(20), at(50));
        ages.came_in(Seq::new(30), at(5_000));
        let oldest = |ages: &Ages, ms| timing(ages, at(ms)).oldest_pending;
        assert_eq!(oldest(&ages, 6_000), Some(Duration::from_secs(6)));
        ages.done_below(Seq::new(19), at(6_000));
        assert_eq!(oldest(&ages, 6_000), Some(Duration::from_secs(6)));
        ages.done_below(Seq::new(20), at(6_000));
        assert_eq!(oldest(&ages, 6_000), Some(Duration::from_secs(1)));
        ages.done_below(Seq::new(30), at(6_000));
        assert_eq!(oldest(&ages, 6_000), None);
        ages.came_in(Seq::new(30), at(7_000));
        assert_eq!(oldest(&ages, 7_000), None, "nothing came in");
        assert_eq!(
            timing(&ages, at(9_000)).advanced,
            Some(Duration::from_secs(3))
        );
    }

    #[test]
    fn an_outage_of_a_day_takes_no_more_memory_and_no_age_is_told_too_low() {
        let (mut ages, at) = (Ages::new(Seq::ZERO), clock());
        let day_ms = 24 * 3600 * 1000;
        let step = 150;
        let came_in = |event: u64| event * step;
        for event in 0..day_ms / step {
            ages.came_in(Seq::new(event + 1), at(came_in(event)));
            assert!(ages.groups.len() <= GROUPS_MAX);
        }
        for done in (1..day_ms / step).step_by(1000) {
            ages.done_below(Seq::new(done), at(day_ms));
            let told = timing(&ages, at(day_ms)).oldest_pending.unwrap();
            let right = Duration::from_millis(day_ms - came_in(done));
            assert!(
                told >= right && told <= right + Duration::from_millis(day_ms) / 16,
                "{told:?} for {right:?}"
            );
        }
    }

    #[test]
    fn an_agent_fails_from_its_first_failure_to_its_next_acknowledgement() {
        let (mut times, at) = (Times::new(1), clock());
        let mut agents = [AgentStats::new("avro://a:1".parse().unwrap())];
        let mut told = |times: &Times, ms| {
            times.tell_agents(&mut agents, at(ms));
            (agents[0].failing_for, agents[0].last_failure)
        };
        assert_eq!(told(&times, 0), (None, None));
        let agent = AgentId::new(0);
        times.on_failure(agent, at(1_000));
        times.on_failure(agent, at(3_000));
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(told(&times, 4_000), (seconds(3), seconds(1)));
        times.on_delivered(agent, at(5_000));
        assert_eq!(told(&times, 6_000), (None, seconds(3)));
        assert_eq!(times.timing(None, at(6_000)).delivered, seconds(1));
    }
}
