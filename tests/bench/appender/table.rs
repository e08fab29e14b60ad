//! Rows of figures, and ratios beside what is asked of them.

use std::path::Path;

use crate::job::Job;
use crate::measure::{Cost, Load};
use crate::running::Result;

/// Calls of a run whose pace is ten a millisecond.
const PACED_CALLS: u64 = 20_000;
/// Calls of a run that counts allocations.
const COUNTED_CALLS: u64 = 40_000;

/// The contenders of a front end.
pub(crate) struct Table {
    pub(crate) front_end: &'static str,
    pub(crate) rows: &'static [&'static str],
    pub(crate) has_spans: bool,
    pub(crate) goals: &'static [Goal],
}

/// What a ratio of ours to a peer is to be at the most.
pub(crate) struct Goal {
    ours: &'static str,
    peer: &'static str,
    figure: Figure,
    most: f64,
    /// With a new span for each event.
    most_of_spans: Option<f64>,
    is_paced_too: bool,
}

#[derive(Clone, Copy)]
enum Figure {
    Call,
    Process,
}

impl Goal {
    pub(crate) const fn process(
        ours: &'static str,
        peer: &'static str,
        most: f64,
        most_of_spans: Option<f64>,
    ) -> Self {
        Self {
            ours,
            peer,
            figure: Figure::Process,
            most,
            most_of_spans,
            is_paced_too: false,
        }
    }

    pub(crate) const fn call(ours: &'static str, peer: &'static str, most: f64) -> Self {
        let mut it = Self::process(ours, peer, most, None);
        it.figure = Figure::Call;
        it
    }

    pub(crate) const fn paced_too(mut self) -> Self {
        self.is_paced_too = true;
        self
    }
}

/// How is called.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    threads: u64,
    is_paced: bool,
    new_spans: bool,
}

impl Shape {
    pub(crate) fn of(has_spans: bool) -> Vec<Self> {
        let shape = |threads, is_paced, new_spans| Self {
            threads,
            is_paced,
            new_spans,
        };
        let mut all: Vec<_> = [1, 2, 4].map(|it| shape(it, false, false)).into();
        all.extend([1, 4].map(|it| shape(it, true, false)));
        if has_spans {
            all.extend([1, 4].map(|it| shape(it, false, true)));
        }
        all
    }
}

/// What the rounds gave of one contender.
#[derive(Default)]
struct Row {
    costs: Vec<Cost>,
    p999_ns: Vec<f64>,
    allocations: Option<Cost>,
}

impl Table {
    /// Gives all contenders their turns, and prints what came of it.
    pub(crate) fn measure(
        &self,
        shape: Shape,
        rounds: u64,
        calls: u64,
        (counted, disk): (&Path, &Path),
        agent: &str,
    ) -> Result<()> {
        let own = std::env::current_exe()?;
        let job = |name: &str, is_timed, calls| Job {
            name: name.to_owned(),
            new_spans: shape.new_spans,
            load: Load {
                threads: shape.threads,
                calls,
                is_paced: shape.is_paced,
                is_timed,
            },
        };
        let calls = if shape.is_paced { PACED_CALLS } else { calls };
        let mut rows: Vec<Row> = self.rows.iter().map(|_| Row::default()).collect();
        for round in 0..rounds as usize {
            for turn in 0..self.rows.len() {
                let at = (round + turn) % self.rows.len();
                let (Some(name), Some(row)) = (self.rows.get(at), rows.get_mut(at)) else {
                    continue;
                };
                row.costs
                    .push(job(name, false, calls).run_by(&own, agent, disk)?);
                let timed = job(name, true, calls).run_by(&own, agent, disk)?;
                row.p999_ns.push(timed.p999_ns);
                if round == 0 && !shape.is_paced {
                    let job = job(name, false, COUNTED_CALLS);
                    row.allocations = Some(job.run_by(counted, agent, disk)?);
                }
            }
        }
        self.print(shape, rounds, &rows);
        Ok(())
    }

    fn print(&self, shape: Shape, rounds: u64, rows: &[Row]) {
        let Shape { threads, .. } = shape;
        let pace = if shape.is_paced {
            "10 a ms"
        } else {
            "flat out"
        };
        let spans = if shape.new_spans {
            ", a new span each"
        } else {
            ""
        };
        println!(
            "\n{}, {threads} thread(s), {pace}{spans}; median of {rounds} rounds",
            self.front_end
        );
        println!(
            "{:<24} {:>8} {:>11} {:>16} {:>10}",
            "", "call ns", "process ns", "allocs call/proc", "p99.9 us"
        );
        for (name, row) in self.rows.iter().zip(rows) {
            let allocations = row.allocations.map_or("-".to_owned(), |it| {
                format!(
                    "{:.2} / {:.3}",
                    it.caller_allocations, it.process_allocations
                )
            });
            println!(
                "{name:<24} {:>8.0} {:>11.0} {allocations:>16} {:>10.1}",
                median(row.costs.iter().map(|it| it.caller_ns)),
                median(row.costs.iter().map(|it| it.process_ns)),
                median(row.p999_ns.iter().copied()) / 1e3,
            );
        }
        for goal in self.goals {
            self.print_goal(goal, shape, rows);
        }
    }

    fn print_goal(&self, goal: &Goal, shape: Shape, rows: &[Row]) {
        let most = if shape.new_spans {
            goal.most_of_spans
        } else {
            Some(goal.most)
        };
        let row = |name: &str| {
            let full = format!("{}/{name}", self.front_end);
            let at = self.rows.iter().position(|known| *known == full);
            at.and_then(|at| rows.get(at))
        };
        let (Some(ours), Some(peer)) = (row(goal.ours), row(goal.peer)) else {
            return;
        };
        let (what, of): (_, fn(&Cost) -> f64) = match goal.figure {
            Figure::Call => ("call", |cost| cost.caller_ns),
            Figure::Process => ("process", |cost| cost.process_ns),
        };
        let pairs = ours.costs.iter().zip(&peer.costs);
        let ratio = median(pairs.map(|(ours, peer)| of(ours) / of(peer)));
        let is_asked = goal.is_paced_too || !shape.is_paced;
        let verdict = match most.filter(|_| is_asked) {
            None => String::new(),
            Some(most) if ratio <= most => format!("  goal <= {most:.3}: met"),
            Some(most) => format!("  goal <= {most:.3}: NOT MET"),
        };
        println!(
            "  {what}: {} / {} = {ratio:.3}{verdict}",
            goal.ours, goal.peer
        );
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
