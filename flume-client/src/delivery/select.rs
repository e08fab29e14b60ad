//! Which agent is used next: the only place that knows that they stand in an order.

use super::agent::Agent;
use super::link::Link;
use super::settings::{AgentId, Settings, Time};

/// What is to be connected to: the most preferred agent that may be, unless one that comes before it
/// may be used, or is being connected to and not late.
pub(super) fn to_connect(agents: &[Agent], now: Time) -> Option<AgentId> {
    for (index, agent) in agents.iter().enumerate() {
        if agent.is_resting(now) {
            continue;
        }
        if agent.links.is_empty() {
            return Some(AgentId::new(index));
        }
        let is_late = agent.late_at().is_some_and(|late_at| late_at <= now);
        if !is_late {
            return None;
        }
    }
    None
}

/// Where a batch goes.
pub(super) enum Way<'a> {
    /// This agent has room.
    Free(&'a mut Agent),
    /// This agent is to be used, its connections are full, and it may have one more.
    Full(AgentId),
}

/// The most preferred agent that may be used, if its window has room. One that failed and has
/// not acknowledged anything since is on trial: when its window is full, the next one is used,
/// so that an agent that answers handshakes but no calls costs one window for each of its
/// rests.
pub(super) fn to_send<'a>(
    agents: &'a mut [Agent],
    now: Time,
    settings: &Settings,
) -> Option<Way<'a>> {
    let usable = agents.iter_mut().enumerate();
    for (index, agent) in usable.filter(|(_, agent)| agent.is_usable(now)) {
        if agent.has_room() {
            return Some(Way::Free(agent));
        }
        agent.on_full();
        if agent.is_proven() {
            let may_have_further = agent.may_have_further(now, settings);
            return may_have_further.then_some(Way::Full(AgentId::new(index)));
        }
    }
    None
}

/// Whether a connection of the agent that [`to_send`] chooses has nothing under way.
pub(super) fn is_idle(agents: &[Agent], now: Time) -> bool {
    let mut usable = agents.iter().filter(|agent| agent.is_usable(now));
    let chosen = usable.find(|agent| agent.has_room() || agent.is_proven());
    chosen.is_some_and(Agent::is_idle)
}

/// Agents with connections and no calls that come after one that works.
pub(super) fn spares(agents: &[Agent], now: Time) -> impl Iterator<Item = AgentId> + use<'_> {
    let is_active = |agent: &Agent| agent.is_usable(now) && agent.is_proven();
    let active = agents.iter().position(is_active);
    let after = active.map_or(agents.len(), |active| active + 1);
    let is_spare = |agent: &Agent| {
        let is_open = agent.links.iter().any(Link::is_open);
        is_open && agent.in_flight_count() == 0
    };
    let later = agents.iter().enumerate().skip(after);
    later
        .filter(move |(_, agent)| is_spare(agent))
        .map(|(index, _)| AgentId::new(index))
}

/// Whether no agent may be used or connected to.
pub(super) fn do_all_rest(agents: &[Agent], now: Time) -> bool {
    agents.iter().all(|agent| agent.is_resting(now))
}
