//! Which agent is used next: the only place that knows that they stand in an order, and share.
//!
//! Agents stand in groups. One of the first group that has a usable agent gets the batch; which one,
//! [`Selection`] says.

use super::agent::Agent;
use super::batch::Batch;
use super::link::Link;
use super::settings::{AgentId, AgentSet, Selection, Settings, Time};

/// The groups, the most preferred first.
fn groups(agents: &[Agent]) -> impl Iterator<Item = &[Agent]> {
    agents.chunk_by(|one, other| one.rank.group == other.rank.group)
}

/// What is to be connected to: an agent of the first group that may be, unless one of a group before
/// it may be used, or is being connected to and not late. As if there were none of those that are
/// `unfit` for what waits.
pub(super) fn to_connect(agents: &[Agent], unfit: AgentSet, now: Time) -> Option<AgentId> {
    for group in groups(agents) {
        let fit = group.iter().filter(|agent| !unfit.contains(agent.id));
        let mut rested = fit.filter(|agent| !agent.is_resting(now));
        let mut idle = rested.clone().filter(|agent| agent.is_unconnected());
        if let Some(agent) = idle.next() {
            return Some(agent.id);
        }
        let is_late = |agent: &Agent| agent.late_at().is_some_and(|late_at| late_at <= now);
        if rested.any(|agent| !is_late(agent)) {
            return None;
        }
    }
    None
}

/// Where a batch goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    /// This agent has room.
    Free(AgentId),
    /// This agent is to be used, its connections are full, and it may have one more.
    Full(AgentId),
}

/// An agent of the first group that has a usable one, if a window has room. The one that the batch was
/// sent to before, in vain, comes after all others that have room; one that finds it unacceptable does
/// not count.
///
/// One that failed and has not acknowledged anything since is on trial: when its window is full, the
/// next group is used, so that an agent that answers handshakes but no calls costs one window for
/// each of its rests.
pub(super) fn to_send(
    agents: &mut [Agent],
    batch: Option<&Batch>,
    random: &mut fastrand::Rng,
    now: Time,
    settings: &Settings,
) -> Option<Way> {
    let tried = batch.and_then(|batch| batch.tried);
    let unfit = batch.map(|batch| batch.unfit).unwrap_or_default();
    let mut last_resort = None;
    for group in agents.chunk_by_mut(|one, other| one.rank.group == other.rank.group) {
        let mut is_waited_for = false;
        let mut further = None;
        let fit = group.iter_mut().filter(|agent| !unfit.contains(agent.id));
        for agent in fit.filter(|agent| agent.is_usable(now)) {
            if agent.has_room(settings) {
                last_resort = last_resort.or(tried.filter(|tried| *tried == agent.id));
                continue;
            }
            agent.on_full();
            if agent.is_proven() {
                is_waited_for = true;
                let may_have_further = agent.may_have_further(now, settings);
                further = further.or(may_have_further.then_some(agent.id));
            }
        }
        let is_free = |agent: &Agent| {
            let has_room = agent.is_usable(now) && agent.has_room(settings);
            has_room && Some(agent.id) != tried && !unfit.contains(agent.id)
        };
        if let Some(agent) = choose(group, is_free, settings.selection, random) {
            return Some(Way::Free(agent));
        }
        if last_resort.is_none() && is_waited_for {
            return further.map(Way::Full);
        }
    }
    last_resort.map(Way::Free)
}

/// One of those of a group that are free.
fn choose(
    group: &mut [Agent],
    is_free: impl Fn(&Agent) -> bool,
    selection: Selection,
    random: &mut fastrand::Rng,
) -> Option<AgentId> {
    let weights = group.iter().filter(|agent| is_free(agent));
    let total: i64 = weights.map(|agent| i64::from(agent.rank.weight)).sum();
    let mut free = group.iter_mut().filter(|agent| is_free(agent));
    match selection {
        Selection::Failover => free.next().map(|agent| agent.id),
        Selection::RoundRobin => {
            // As nginx does: each is owed its weight, and who is owed most pays for all.
            let mut most: Option<&mut Agent> = None;
            for agent in free {
                agent.credit += i64::from(agent.rank.weight);
                if most.as_ref().is_none_or(|most| most.credit < agent.credit) {
                    most = Some(agent);
                }
            }
            let chosen = most?;
            chosen.credit -= total;
            Some(chosen.id)
        }
        Selection::Random => {
            let mut left = random.i64(0..total.max(1));
            let drawn = free.find(|agent| {
                left -= i64::from(agent.rank.weight);
                left < 0
            });
            drawn.map(|agent| agent.id)
        }
    }
}

/// Whether a connection of the agents that [`to_send`] chooses from has nothing under way.
pub(super) fn is_idle(agents: &[Agent], now: Time, settings: &Settings) -> bool {
    let is_chosen_from = |agent: &Agent| {
        let counts = agent.has_room(settings) || agent.is_proven();
        agent.is_usable(now) && counts
    };
    let chosen_from = groups(agents).find(|group| group.iter().any(is_chosen_from));
    let mut usable = chosen_from.into_iter().flatten();
    usable.any(|agent| agent.is_usable(now) && agent.is_idle())
}

/// Agents with connections and no calls, of groups that come after one with an agent that works.
pub(super) fn spares(agents: &[Agent], now: Time) -> impl Iterator<Item = AgentId> + use<'_> {
    let is_active = |agent: &Agent| agent.is_usable(now) && agent.is_proven();
    let active = agents.iter().find(|agent| is_active(agent));
    let active = active.map_or(u32::MAX, |agent| agent.rank.group);
    let is_spare = |agent: &Agent| {
        let is_open = agent.links.iter().any(Link::is_open);
        is_open && agent.in_flight_count() == 0
    };
    let later = agents.iter().filter(move |agent| agent.rank.group > active);
    later
        .filter(move |agent| is_spare(agent))
        .map(|agent| agent.id)
}

/// Whether no agent may be used or connected to.
pub(super) fn do_all_rest(agents: &[Agent], now: Time) -> bool {
    do_others_rest(agents, AgentSet::default(), now)
}

/// Whether none may but those that are unfit.
pub(super) fn do_others_rest(agents: &[Agent], unfit: AgentSet, now: Time) -> bool {
    let mut fit = agents.iter().filter(|agent| !unfit.contains(agent.id));
    fit.all(|agent| agent.is_resting(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Rank;

    fn turns(selection: Selection, weights: &[u32], turns: usize) -> Vec<usize> {
        let agents = weights.iter().enumerate();
        let mut group: Vec<Agent> = agents
            .map(|(index, weight)| {
                let weight = *weight;
                let rank = Rank {
                    weight,
                    ..Rank::alone(0)
                };
                Agent::new(AgentId::new(index), rank)
            })
            .collect();
        let mut random = fastrand::Rng::with_seed(1);
        let mut turn = || choose(&mut group, |_| true, selection, &mut random);
        (0..turns).map(|_| turn().unwrap().index()).collect()
    }

    #[test]
    fn turns_are_spread_as_nginx_spreads_them() {
        // The example of nginx's change "Upstream: smooth weighted round-robin balancing".
        let expected = [0, 0, 1, 0, 2, 0, 0];
        assert_eq!(turns(Selection::RoundRobin, &[5, 1, 1], 7), expected);
        assert_eq!(turns(Selection::RoundRobin, &[1, 1, 1], 4), [0, 1, 2, 0]);
    }

    #[test]
    fn draws_follow_the_weights() {
        let drawn = turns(Selection::Random, &[3, 1], 10_000);
        let second = drawn.iter().filter(|agent| **agent == 1).count();
        // Five standard deviations.
        assert!((2_284..=2_716).contains(&second), "{second}");
    }
}
