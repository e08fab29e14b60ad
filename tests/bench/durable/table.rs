//! [`Table`]: turns of all contenders, round by round, and their medians beside the first one's.

use flume_tests::median;

use crate::callers::{Contender, Turn};
use crate::disk::Flushes;
use crate::load::{Result, event_bytes};

/// The figures of all rounds. The first contender is the one the others are compared with.
pub(crate) struct Table {
    rows: Vec<Row>,
}

struct Row {
    name: &'static str,
    turns: Vec<(Turn, Option<u64>)>,
}

impl Table {
    /// Gives all contenders a turn in each round, after one that does not count.
    pub(crate) fn measure(
        contenders: &mut [Box<dyn Contender>],
        rounds: usize,
        flushes: &Flushes,
    ) -> Result<Self> {
        let mut rows: Vec<Row> = contenders
            .iter()
            .map(|contender| Row {
                name: contender.name(),
                turns: Vec::new(),
            })
            .collect();
        for round in 0..=rounds {
            let order = (0..rows.len()).cycle().skip(round).take(rows.len());
            for place in order {
                let (Some(contender), Some(row)) = (contenders.get_mut(place), rows.get_mut(place))
                else {
                    continue;
                };
                let before = flushes.count();
                let turn = contender.turn()?;
                let flushed = flushes.count().zip(before).map(|(now, then)| now - then);
                contender.settle()?;
                if round > 0 {
                    row.turns.push((turn, flushed));
                }
            }
        }
        Ok(Self { rows })
    }

    pub(crate) fn print(&self, by: By) {
        println!(
            "{:<40} {:>10} {:>10} {:>8} {:>11} {:>13} {:>13}",
            "", "us/append", "events/s", "MiB/s", "ours / this", "events/commit", "flushes/event"
        );
        let Some(ours) = self.rows.first() else {
            return;
        };
        for row in &self.rows {
            let rate = row.median(|(turn, _)| Some(turn.rate()));
            let ratio = by.median(ours, row);
            let in_commit = row.median(|(turn, _)| Some(turn.events as f64 / turn.commits? as f64));
            let flushes =
                row.median(|(turn, flushed)| Some((*flushed)? as f64 / turn.events as f64));
            println!(
                "{:<40} {:>10} {rate:>10.0} {:>8.1} {ratio:>10.2}x {:>13} {:>13}",
                row.name,
                text(row.median(|(turn, _)| turn.micros), 1),
                rate * event_bytes() as f64 / f64::from(1 << 20),
                text(in_commit, 1),
                text(flushes, 4),
            );
        }
    }

    /// How many times as good ours is as the contender whose name begins so.
    pub(crate) fn ratio(&self, name: &str, by: By) -> f64 {
        let other = self.rows.iter().find(|row| row.name.starts_with(name));
        let pair = self.rows.first().zip(other);
        pair.map_or(f64::NAN, |(ours, other)| by.median(ours, other))
    }
}

/// What the contenders are compared by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum By {
    /// The append in the middle.
    Time,
    /// Events per second.
    Rate,
}

impl By {
    /// How many times as good ours is, in the middle of the rounds.
    fn median(self, ours: &Row, this: &Row) -> f64 {
        let rounds = ours.turns.iter().zip(&this.turns);
        let ratios = rounds.map(|((ours, _), (this, _))| self.ratio(ours, this));
        median(&mut ratios.collect::<Vec<_>>())
    }

    fn ratio(self, ours: &Turn, this: &Turn) -> f64 {
        match self {
            Self::Time => this.micros.unwrap_or(f64::NAN) / ours.micros.unwrap_or(f64::NAN),
            Self::Rate => ours.rate() / this.rate(),
        }
    }
}

fn text(figure: f64, decimals: usize) -> String {
    if figure.is_nan() {
        return "-".to_owned();
    }
    format!("{figure:.decimals$}")
}

impl Row {
    fn median(&self, figure: impl Fn(&(Turn, Option<u64>)) -> Option<f64>) -> f64 {
        median(&mut self.turns.iter().filter_map(figure).collect::<Vec<_>>())
    }
}

impl Turn {
    fn rate(&self) -> f64 {
        self.events as f64 / self.seconds
    }
}
