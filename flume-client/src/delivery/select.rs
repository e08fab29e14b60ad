//! Which agent is used next: the only place that knows that they stand in an order.

use super::link::{Link, State};
use super::settings::{AgentId, Time};

/// The most preferred agent that may be connected to, unless one that comes before it is being
/// connected to, or may be used.
pub(super) fn to_connect(links: &[Link], now: Time) -> Option<AgentId> {
    for (index, link) in links.iter().enumerate() {
        if link.is_connecting() || link.is_usable(now) {
            return None;
        }
        if link.state == State::Idle && !link.is_resting(now) {
            return Some(AgentId::new(index));
        }
    }
    None
}

/// The most preferred agent that may be used, if its window has room. One that failed and has
/// not acknowledged anything since is on trial: when its window is full, the next one is used,
/// so that an agent that answers handshakes but no calls costs one window for each of its
/// rests.
pub(super) fn to_send(links: &mut [Link], now: Time) -> Option<&mut Link> {
    for link in links.iter_mut().filter(|link| link.is_usable(now)) {
        if link.has_room() {
            return Some(link);
        }
        link.on_window_full();
        if link.is_proven() {
            return None;
        }
    }
    None
}

/// Whether the agent that [`to_send`] chooses has nothing under way.
pub(super) fn is_idle(links: &[Link], now: Time) -> bool {
    let mut usable = links.iter().filter(|link| link.is_usable(now));
    let chosen = usable.find(|link| link.has_room() || link.is_proven());
    chosen.is_some_and(|link| link.in_flight_count() == 0)
}

/// Agents with an idle connection that come after one that works.
pub(super) fn spares(links: &[Link], now: Time) -> impl Iterator<Item = AgentId> + use<'_> {
    let is_active = |link: &Link| link.is_usable(now) && link.is_proven();
    let active = links.iter().position(is_active);
    let after = active.map_or(links.len(), |active| active + 1);
    let is_spare =
        |link: &Link| matches!(link.state, State::Open { .. }) && link.in_flight_count() == 0;
    let later = links.iter().enumerate().skip(after);
    later
        .filter(move |(_, link)| is_spare(link))
        .map(|(index, _)| AgentId::new(index))
}

/// Whether no agent may be used or connected to.
pub(super) fn do_all_rest(links: &[Link], now: Time) -> bool {
    links.iter().all(|link| link.is_resting(now))
}
