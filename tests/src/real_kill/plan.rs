//! [`Plan`]: how much is sent, how often it goes wrong and where, and how long it may take.

use std::time::Duration;

use fastrand::Rng;

/// How long anything may take: a life of the sender or the agent, with the JVM's starts.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

/// A run, as it was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Different numbers.
    pub events: u64,
    /// Kills of the agent.
    pub agent_kills: usize,
    /// Kills of the sender.
    pub sender_kills: usize,
    /// Of the places where they are killed.
    pub seed: u64,
}

/// How many events each life is given that ends with a kill. The kills are anywhere in the first
/// four fifths, so that there is something left for the last life: an agent accepts some more
/// events between the last look at it and its kill.
pub(super) fn lengths(rng: &mut Rng, events: u64, kills: usize) -> Vec<u64> {
    let mut places: Vec<u64> = (0..kills)
        .map(|_| rng.u64(..(events * 4 / 5).max(1)))
        .collect();
    places.sort_unstable();
    let mut before = 0;
    let length = |place| place - std::mem::replace(&mut before, place);
    places.into_iter().map(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_life_that_is_ended_leaves_events_for_the_next_one() {
        for seed in 0..100 {
            let lengths = lengths(&mut Rng::with_seed(seed), 1_000, 5);
            assert_eq!(lengths.len(), 5);
            assert!(lengths.iter().sum::<u64>() < 800);
        }
    }
}
