//! [`Proof`]: what was sent against what the agents hold, by line number.

use std::collections::BTreeMap;

use flume_client::Event;

/// The header that tells each event from all others.
pub(super) const LINE_HEADER: &str = "line";

/// The count over both agents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Proof {
    pub(super) sent: u64,
    /// Different lines that arrived.
    pub(super) distinct: u64,
    /// Arrivals beyond the first of each line.
    pub(super) duplicates: u64,
    pub(super) missing: u64,
    /// Arrivals that are not what was sent: another text, or no number we gave.
    pub(super) altered: u64,
}

impl Proof {
    /// Compares `lines`, numbered from 1, with all events that arrived.
    pub(super) fn of<'a>(lines: &[Vec<u8>], arrived: impl Iterator<Item = &'a Event>) -> Self {
        let mut proof = Self {
            sent: lines.len() as u64,
            ..Self::default()
        };
        let mut times: BTreeMap<usize, u64> = BTreeMap::new();
        for event in arrived {
            let number = event
                .header_value(LINE_HEADER)
                .and_then(|number| number.parse().ok());
            let index = number.and_then(|number: usize| number.checked_sub(1));
            let line = index.and_then(|index| Some((index, lines.get(index)?)));
            match line {
                Some((index, line)) if line == event.body() => {
                    *times.entry(index).or_default() += 1;
                }
                _ => proof.altered += 1,
            }
        }
        proof.distinct = times.len() as u64;
        proof.duplicates = times.values().sum::<u64>() - proof.distinct;
        proof.missing = proof.sent - proof.distinct;
        proof
    }

    pub(super) fn holds(&self) -> bool {
        self.missing == 0 && self.altered == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart_by_number_and_not_by_text() {
        let event = |number: &str, body| Event::new(body).header(LINE_HEADER, number);
        let lines = ["same", "same", "other", "lost"].map(|line| line.as_bytes().to_vec());
        let arrived = [
            event("1", "same"),
            event("2", "same"),
            event("3", "other"),
            event("3", "other"),
            event("1", "changed"),
            event("9", "same"),
            event("0", "same"),
            Event::new("same"),
        ];
        let expected = Proof {
            sent: 4,
            distinct: 3,
            duplicates: 1,
            missing: 1,
            altered: 4,
        };
        let proof = Proof::of(&lines, arrived.iter());
        assert_eq!(proof, expected);
        assert!(!proof.holds());
    }
}
