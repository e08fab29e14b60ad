//! [`Outcome`]: a run in tables.

use std::fmt;

use super::{AgentCounters, AgentLife, Plan, SenderEnd, SenderLife, Tally};

/// A run in which every event arrived.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// What was asked for.
    pub plan: Plan,
    /// How long it took.
    pub seconds: f64,
    /// The sender's processes.
    pub senders: Vec<SenderLife>,
    /// The agent's processes.
    pub agents: Vec<AgentLife>,
    /// What arrived.
    pub tally: Tally,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { events, seed, .. } = self.plan;
        let seconds = self.seconds;
        writeln!(f, "{events} events in {seconds:.0} s, seed {seed}\n")?;
        self.put_senders(f)?;
        self.put_agents(f)?;
        self.put_tally(f)
    }
}

impl Outcome {
    fn put_senders(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "sender  in spool      from  reported   arrived")?;
        let lives = self.senders.iter().zip(&self.tally.arrived_upto);
        for (index, (life, arrived)) in lives.enumerate() {
            let (recovered, first, stored) = (life.recovered, life.first, life.stored_upto);
            writeln!(
                f,
                "{index:>6} {recovered:>9} {first:>9} {stored:>9} {arrived:>9}"
            )?;
        }
        let Some(end) = self.senders.last().and_then(|life| life.end) else {
            return Ok(());
        };
        let SenderEnd {
            delivered,
            retried,
            connects,
        } = end;
        let counters = format!("{retried} batches sent again, {connects} connects");
        writeln!(f, "the last one: {delivered} delivered, {counters}\n")
    }

    fn put_agents(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, " agent  up after  accepted   written  left in channel")?;
        for (index, life) in self.agents.iter().enumerate() {
            let AgentCounters {
                accepted,
                written,
                waiting,
                ..
            } = life.counters;
            let start = life.start_seconds;
            writeln!(
                f,
                "{index:>6} {start:>7.1} s {accepted:>9} {written:>9} {waiting:>16}"
            )?;
        }
        writeln!(f)
    }

    fn put_tally(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally {
            numbers,
            ids,
            lines,
            copies_max,
            torn,
            ..
        } = self.tally;
        let (twice, copies) = (ids - numbers, lines - ids);
        writeln!(f, "numbers that arrived     {numbers:>9}, all of them")?;
        writeln!(
            f,
            "ids that arrived         {ids:>9}, without a hole; {twice} numbers have two or more"
        )?;
        writeln!(
            f,
            "lines in the files       {lines:>9}, {copies} of them copies; at most {copies_max} of an id"
        )?;
        writeln!(f, "lines cut off by a kill  {torn:>9}")
    }
}
