//! [`Arrivals`]: what the agent's sink wrote, event by event, and whether anything is missing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use super::child::body;
use super::sender::SenderLife;
use crate::{HarnessError, Result};

/// Findings that an error lists; further ones are counted.
const FINDINGS_MAX: usize = 10;
/// How much of a line that makes no sense is shown.
const SHOWN_BYTES: usize = 80;

/// The sums of a run in which nothing was missing.
#[derive(Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Different numbers that arrived: all.
    pub numbers: u64,
    /// Different ids that arrived. More than numbers, if a life stored some that it did not come
    /// to report.
    pub ids: u64,
    /// Whole lines.
    pub lines: u64,
    /// The most lines with the same id.
    pub copies_max: u32,
    /// Lines that a kill cut off, which the agent wrote again.
    pub torn: u64,
    /// For each life of the sender, the end of its numbers that arrived.
    pub arrived_upto: Vec<u64>,
}

/// Counts lines of the form `{guid=RUN-SEQUENCE} LIFE NUMBER xxx`.
#[derive(Debug)]
pub(super) struct Arrivals {
    lives: Vec<LifeArrivals>,
    lines: u64,
    torn: u64,
    findings: Findings,
}

/// What one life of the sender sent.
#[derive(Debug)]
struct LifeArrivals {
    first: u64,
    /// The run id in its events' names.
    run: Option<u64>,
    /// Of a sequence number from the event's own number: the same for the whole life.
    offset: Option<u64>,
    /// How many lines there are of each number.
    copies: Vec<u32>,
}

/// What is wrong.
#[derive(Debug, Default)]
struct Findings {
    listed: Vec<String>,
    further: usize,
}

impl Arrivals {
    pub(super) fn new(lives: &[SenderLife]) -> Self {
        let lives = lives.iter().map(|life| LifeArrivals {
            first: life.first,
            run: None,
            offset: None,
            copies: Vec::new(),
        });
        Self {
            lives: lives.collect(),
            lines: 0,
            torn: 0,
            findings: Findings::default(),
        }
    }

    /// Counts all lines of these files.
    pub(super) fn read_files(&mut self, files: &[PathBuf], events: u64) -> Result<()> {
        for path in files {
            File::open(path)
                .and_then(|file| self.read(BufReader::new(file), events))
                .map_err(|e| HarnessError::doing(path.display(), e))?;
        }
        Ok(())
    }

    /// Counts the lines of one file. The last one may have been cut off by a kill.
    fn read(&mut self, mut file: impl BufRead, events: u64) -> std::io::Result<()> {
        let mut line = Vec::new();
        loop {
            line.clear();
            if file.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            if line.pop() != Some(b'\n') {
                self.torn += 1;
                continue;
            }
            self.lines += 1;
            if let Err(finding) = self.count(&line, events) {
                let shown = line.get(..SHOWN_BYTES).unwrap_or(&line);
                let shown = String::from_utf8_lossy(shown);
                self.findings.add(format!("{finding}: {shown:?}"));
            }
        }
    }

    fn count(&mut self, line: &[u8], events: u64) -> Result<(), &'static str> {
        let arrived = Arrived::parse(line).ok_or("a line that nobody sent")?;
        let life = self.lives.get_mut(arrived.life);
        let life = life.ok_or("an event of a life that there was not")?;
        if !(life.first..events).contains(&arrived.number) {
            return Err("a number that this life was not told to send");
        }
        if *life.run.get_or_insert(arrived.run) != arrived.run {
            return Err("an id of another life");
        }
        let offset = arrived.sequence.wrapping_sub(arrived.number);
        if *life.offset.get_or_insert(offset) != offset {
            return Err("an id of another event");
        }
        let index = (arrived.number - life.first) as usize;
        if life.copies.len() <= index {
            life.copies.resize(index + 1, 0);
        }
        if let Some(copies) = life.copies.get_mut(index) {
            *copies += 1;
        }
        Ok(())
    }

    /// Every number arrived; of every life, all it reported as stored, without a hole up to the
    /// last that arrived; no id stands for two events.
    pub(super) fn check(mut self, lives: &[SenderLife], events: u64) -> Result<Tally> {
        let mut tally = Tally {
            lines: self.lines,
            torn: self.torn,
            ..Tally::default()
        };
        let mut arrived = vec![false; events as usize];
        for (index, (life, reported)) in self.lives.iter().zip(lives).enumerate() {
            let end = life.first + life.copies.len() as u64;
            if end < reported.stored_upto {
                let lost = format!("{end} to {}", reported.stored_upto - 1);
                self.findings
                    .add(format!("life {index} stored {lost}: they did not arrive"));
            }
            tally.arrived_upto.push(end);
            for (number, copies) in (life.first..).zip(&life.copies) {
                tally.copies_max = tally.copies_max.max(*copies);
                if *copies == 0 {
                    let gap = format!("life {index} stored later ones: {number} did not arrive");
                    self.findings.add(gap);
                    continue;
                }
                tally.ids += 1;
                if let Some(arrived) = arrived.get_mut(number as usize) {
                    *arrived = true;
                }
            }
        }
        self.look_for_shared_ids();
        for (number, _) in arrived.iter().enumerate().filter(|(_, arrived)| !**arrived) {
            self.findings.add(format!("number {number} did not arrive"));
        }
        tally.numbers = arrived.iter().filter(|arrived| **arrived).count() as u64;
        self.findings.result(tally)
    }

    /// The run ids of different lives must differ, and their sequence numbers.
    fn look_for_shared_ids(&mut self) {
        let mut ranges = BTreeMap::new();
        let mut runs = BTreeMap::new();
        for (index, life) in self.lives.iter().enumerate() {
            if let Some(run) = life.run
                && let Some(other) = runs.insert(run, index)
            {
                let shared = format!("lives {other} and {index} have the same run id");
                self.findings.add(shared);
            }
            let Some(offset) = life.offset else {
                continue;
            };
            let first = life.first.wrapping_add(offset);
            let end = first + life.copies.len() as u64;
            let before = ranges.range(..end).next_back();
            if let Some((_, (before_end, other))) = before
                && *before_end > first
            {
                let shared = format!("lives {other} and {index} used the same ids");
                self.findings.add(shared);
            }
            ranges.insert(first, (end, index));
        }
    }
}

impl Findings {
    fn add(&mut self, finding: String) {
        if self.listed.len() < FINDINGS_MAX {
            self.listed.push(finding);
        } else {
            self.further += 1;
        }
    }

    fn result(self, tally: Tally) -> Result<Tally> {
        if self.listed.is_empty() {
            return Ok(tally);
        }
        let listed = self.listed.join("\n");
        let further = self.further;
        Err(HarnessError::new(format!(
            "{listed}\n{further} further findings\n{tally:?}"
        )))
    }
}

/// One line.
struct Arrived {
    run: u64,
    sequence: u64,
    life: usize,
    number: u64,
}

impl Arrived {
    fn parse(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        let (id, sent) = text.strip_prefix("{guid=")?.split_once("} ")?;
        let (run, sequence) = id.split_once('-')?;
        let hex = |digits: &str| {
            let number = u64::from_str_radix(digits, 16).ok()?;
            (digits.len() == 16).then_some(number)
        };
        let mut words = sent.split(' ');
        let arrived = Self {
            run: hex(run)?,
            sequence: hex(sequence)?,
            life: words.next()?.parse().ok()?,
            number: words.next()?.parse().ok()?,
        };
        (body(arrived.life, arrived.number) == sent).then_some(arrived)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: u64 = 20;

    /// Two lives: 0 to 9 reported, 10 and 11 stored; then 10 to 19.
    fn lives() -> Vec<SenderLife> {
        [(0, 10), (10, 20)]
            .map(|(first, stored_upto)| SenderLife {
                first,
                stored_upto,
                ..SenderLife::default()
            })
            .into()
    }

    fn line(life: usize, number: u64) -> String {
        let sequence = number + [100, 200][life];
        format!(
            "{{guid=000000000000{life}0aa-{sequence:016x}}} {}\n",
            body(life, number)
        )
    }

    fn lines() -> Vec<String> {
        let first = (0..12).map(|number| line(0, number));
        first
            .chain((10..20).map(|number| line(1, number)))
            .collect()
    }

    fn check(files: &[String]) -> Result<Tally> {
        let mut arrivals = Arrivals::new(&lives());
        for file in files {
            arrivals.read(file.as_bytes(), EVENTS).unwrap();
        }
        arrivals.check(&lives(), EVENTS)
    }

    fn finding(files: &[String]) -> String {
        check(files).unwrap_err().to_string()
    }

    #[test]
    fn copies_and_numbers_stored_twice_and_a_torn_line_are_counted_and_no_fault() {
        let mut first_file = lines()[..15].concat() + &line(0, 3);
        first_file += &line(1, 15)[..30];
        let tally = check(&[first_file, lines()[13..].concat()]);
        let expected = Tally {
            numbers: 20,
            ids: 22,
            lines: 25,
            copies_max: 2,
            torn: 1,
            arrived_upto: vec![12, 20],
        };
        assert_eq!(tally.unwrap(), expected);
    }

    #[test]
    fn a_number_that_does_not_arrive_is_found() {
        for missing in [0, 5, 12, 17, 21] {
            let mut lines = lines();
            lines.remove(missing);
            let finding = finding(&[lines.concat()]);
            assert!(finding.contains("did not arrive"), "{finding}");
        }
    }

    #[test]
    fn an_id_that_does_not_arrive_is_found_though_its_number_arrived_under_another() {
        let mut lines = lines();
        lines.remove(10);
        let finding = finding(&[lines.concat()]);
        assert!(
            finding.starts_with("life 0 stored later ones: 10 did not arrive"),
            "{finding}"
        );
    }

    #[test]
    fn ids_that_are_not_the_events_own_are_found() {
        let replaced = |old: &str, new: &str| {
            let mut lines = lines();
            let line = lines.remove(11).replacen(old, new, 1);
            lines.insert(11, line);
            finding(&[lines.concat()])
        };
        assert!(replaced("006f}", "006e}").contains("an id of another event"));
        assert!(replaced("00aa-", "00ab-").contains("an id of another life"));
        assert!(replaced("x", "y").contains("a line that nobody sent"));
        assert!(replaced("} 0 ", "} 2 ").contains("a life that there was not"));
        assert!(replaced("} 0 11", "} 0 20").contains("not told to send"));
    }

    #[test]
    fn ids_that_two_lives_share_are_found() {
        let finding = |run: &str, offset: u64| {
            let line = |number: u64| {
                let sequence = number + offset;
                let id = format!("{{guid={run}-{sequence:016x}}}");
                format!("{id} {}\n", body(1, number))
            };
            let mut lines = lines();
            lines.truncate(12);
            lines.extend((10..20).map(line));
            finding(&[lines.concat()])
        };
        let shared = finding("00000000000010aa", 101);
        assert!(
            shared.contains("lives 0 and 1 used the same ids"),
            "{shared}"
        );
        let shared = finding("00000000000000aa", 200);
        assert!(
            shared.contains("lives 0 and 1 have the same run id"),
            "{shared}"
        );
    }
}
