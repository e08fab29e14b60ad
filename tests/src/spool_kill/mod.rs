//! `kill -9` at any moment: processes that append under full load through one spool, each killed
//! and followed by the next, against a mini-agent that is there or not. In some rounds there are two
//! of them at once, each in a place of its own: the next ones adopt what was left in the second, and
//! are killed while they do.
//!
//! | file | holds |
//! |---|---|
//! | here | the rounds, and what they must come to |
//! | `plan` | what a seed makes of a round. Pure |
//! | `writer` | the process that is killed |
//! | `book` | what was reported stored, what arrived, what is not as promised. Pure |
//!
//! # What must hold
//!
//! - An event that was reported stored before the kill arrives, whatever comes later.
//! - The copies of an event have one id, and no other event has it.
//! - What arrives again after a kill is no more than came last, within a cursor's interval and two
//!   commits, and the batches under way: a commit can be in the way of learning what is
//!   acknowledged, and one of saving it. A process that adopts has twice as many under way.
//! - A process sends an event once as long as the agent answers.
//! - With one batch under way at once, and an agent that works, the events of a place arrive in
//!   order.
//! - At the end nothing is left in any place, and nothing was damaged.
//!
//! A seed repeats the plan, not the run: where a kill strikes is up to the machine.

mod book;
mod plan;
mod writer;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use flume_client::spool::{Directory, FileName, Storage, Survey, places};
use flume_mini_agent::{Fault, FaultGuard, MiniAgent, Received, Stored};
use tempfile::TempDir;

use crate::{Child, HarnessError, Heard, Line, Result};
use book::{Book, Sums};
use plan::{CURSOR_INTERVAL, Kill, Mood, Plan};
use writer::{Job, Word, client_of};

pub use writer::write;

/// How long a process may take to store its first event while the agent works.
const FIRST_TIMEOUT: Duration = Duration::from_secs(20);
/// The same while it does not, so that the spool may be full.
const FIRST_WAIT: Duration = Duration::from_millis(300);
/// How long the agent may take for what it was sent.
const QUIET_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the last client may take for the spool's events.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);

/// How often it is looked whether it has sent those that it adopts.
const DRAIN_LOOK: Duration = Duration::from_millis(10);

/// What the rounds came to.
#[derive(Debug)]
pub struct Figures {
    rounds: u32,
    seed: u64,
    sums: Sums,
    recovered: u64,
    /// Rounds that began with events in the spool, and that were killed before they had any stored.
    with_backlog: u32,
    early: u32,
    adoption: Adoption,
    took: Duration,
    broken: String,
}

/// Rounds with adoption.
#[derive(Clone, Copy, Debug, Default)]
struct Adoption {
    /// Rounds of two processes at once.
    companions: u32,
    /// Rounds that began with something in a further place.
    offered: u32,
    /// Kills of a process that had adopted events to send.
    killed: u32,
    /// Places that were adopted and delivered to the end within a round.
    finished: u32,
}

/// Runs so many rounds, and a last client. `program` is the binary of [`write()`], called with the
/// argument `write` and those that it takes.
///
/// # Errors
///
/// When a process ends by itself, or something takes too long. A promise that is broken is none:
/// see [`Figures::is_sound`].
pub fn run(program: &Path, rounds: u32, seed: u64) -> Result<Figures> {
    let started = Instant::now();
    let mut scene = Scene::new(program, seed)?;
    for round in 1..=rounds {
        let played = scene.play(round);
        played.map_err(|e| HarnessError::doing(format!("seed {seed}, round {round}"), e))?;
    }
    scene.drain(rounds + 1)?;
    let sums = scene.book.close();
    Ok(Figures {
        rounds,
        seed,
        sums,
        recovered: scene.recovered,
        with_backlog: scene.with_backlog,
        early: scene.early,
        adoption: scene.adoption,
        took: started.elapsed(),
        broken: scene.book.broken().to_string(),
    })
}

struct Scene<'a> {
    program: &'a Path,
    seed: u64,
    home: TempDir,
    agent: MiniAgent,
    book: Book,
    recovered: u64,
    with_backlog: u32,
    early: u32,
    adoption: Adoption,
    /// The agent's requests up to here are in the book.
    requests: u64,
    is_stopped: bool,
}

/// What its parent heard of a process.
struct Life {
    has_stored: bool,
    /// Events of another place that it is to send, as it told last.
    adopted: u64,
    opening: Instant,
    /// When each thread reported last.
    reported: BTreeMap<u32, Instant>,
    /// Of a thread for its next report, up to the kill: how long a commit took at the most.
    longest_wait: Duration,
}

impl<'a> Scene<'a> {
    fn new(program: &'a Path, seed: u64) -> Result<Self> {
        // Where cargo builds is a disk as a rule, where temporary files are often is none.
        let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        let home = tempfile::tempdir_in(&target);
        let home = home.map_err(|e| HarnessError::doing("a directory for the spool", e))?;
        let agent = MiniAgent::builder()
            .capacity(1_000_000)
            .transaction_capacity(1_000)
            .batch_size(1_000)
            .collect_max(10_000_000)
            .start();
        let agent = agent.map_err(|e| HarnessError::doing("the agent", e))?;
        Ok(Self {
            program,
            seed,
            home,
            agent,
            book: Book::default(),
            recovered: 0,
            with_backlog: 0,
            early: 0,
            adoption: Adoption::default(),
            requests: 0,
            is_stopped: false,
        })
    }

    fn spool(&self) -> PathBuf {
        self.home.path().join("spool")
    }

    /// One process from its start to its end, or two, and what came of it.
    fn play(&mut self, round: u32) -> Result<()> {
        let plan = Plan::of(self.seed, round);
        let job = Job {
            spool: self.spool(),
            agent: self.agent.url(),
            round,
            process: 0,
            threads: plan.threads,
            padding: plan.padding,
            ordered: plan.ordered,
        };
        let is_offered = self.has_further_places()?;
        let refusal = self.set_agent(plan.agent);
        let mut companion = match plan.companion {
            true => Some(self.start_companion(&job)?),
            false => None,
        };
        let mut process = self.start(&job)?;
        let mut life = self.watch(&plan, round, &process)?;
        // At one moment, so that neither adopts what the other one left.
        process.strike()?;
        if let Some((companion, life)) = &mut companion {
            companion.strike()?;
            for line in companion.kill()? {
                self.hear(round, 1, &line, life)?;
            }
        }
        for line in process.kill()? {
            self.hear(round, 0, &line, &mut life)?;
        }
        self.early += u32::from(!life.has_stored);
        self.adoption.offered += u32::from(is_offered);
        self.adoption.companions += u32::from(companion.is_some());
        let mut lives = vec![life];
        lives.extend(companion.map(|(_, life)| life));
        let adopting = lives.iter().filter(|life| life.adopted > 0);
        self.adoption.killed += adopting.count() as u32;
        drop(refusal);
        if std::mem::take(&mut self.is_stopped) {
            let started = self.agent.start_again();
            started.map_err(|e| HarnessError::doing("starting the agent again", e))?;
        }
        let waits = lives.iter().map(|life| life.longest_wait);
        let lanes = lives.len() as u32 * (1 + u32::from(is_offered));
        self.collect(round, waits.max().unwrap_or_default(), lanes)?;
        if plan.ordered && plan.agent == Mood::Works {
            self.book.expect_order(round);
        }
        Ok(())
    }

    fn start(&self, job: &Job) -> Result<Child> {
        Child::start(Command::new(self.program).arg("write").args(job.args()))
    }

    /// A process that is in its place before the other one comes.
    fn start_companion(&mut self, job: &Job) -> Result<(Child, Life)> {
        let job = Job {
            process: 1,
            ..job.clone()
        };
        let process = self.start(&job)?;
        let started = Instant::now();
        let mut life = Life::new(started);
        loop {
            match process.hear(started + FIRST_TIMEOUT) {
                Heard::Line(line) => {
                    let word = self.hear(job.round, 1, &line, &mut life)?;
                    if matches!(word, Word::Opened { .. }) {
                        return Ok((process, life));
                    }
                }
                Heard::Nothing => {
                    return Err(HarnessError::new("a companion did not open its place"));
                }
                Heard::End => return Err(HarnessError::new("a companion ended by itself")),
            }
        }
    }

    /// Whether something is left in a place that is not the first.
    fn has_further_places(&self) -> Result<bool> {
        for place in self.places().into_iter().skip(1) {
            let directory = Directory::look(&place);
            let files = directory.map(|directory| directory.list());
            let files = files.map_err(|e| HarnessError::doing("looking at a place", e))?;
            let files = files.map_err(|e| HarnessError::doing("looking at a place", e))?;
            let is_segment = |(file, _): &(FileName, u64)| matches!(file, FileName::Segment(_));
            if files.iter().any(is_segment) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Those that there are.
    fn places(&self) -> Vec<PathBuf> {
        let spool = self.spool();
        places(&spool).filter(|place| place.is_dir()).collect()
    }

    /// A refusal ends when it is dropped.
    fn set_agent(&mut self, mood: Mood) -> Option<FaultGuard> {
        match mood {
            Mood::Stopped => self.stop(),
            Mood::Refuses => return Some(self.agent.fault(Fault::Failed)),
            Mood::Works | Mood::Vanishes(_) => {}
        }
        None
    }

    fn stop(&mut self) {
        self.agent.stop();
        self.is_stopped = true;
    }

    /// Listens until it is time to kill.
    fn watch(&mut self, plan: &Plan, round: u32, process: &Child) -> Result<Life> {
        let works = plan.agent == Mood::Works;
        let started = Instant::now();
        let mut kill_at = match plan.kill {
            Kill::AfterStart(wait) => started + wait,
            Kill::AfterStored(_) if works => started + FIRST_TIMEOUT,
            Kill::AfterStored(_) => started + FIRST_WAIT,
        };
        let mut vanish_at = None;
        let mut life = Life::new(started);
        loop {
            let deadline = vanish_at.map_or(kill_at, |at: Instant| at.min(kill_at));
            let heard = process.hear(deadline);
            let now = Instant::now();
            match heard {
                Heard::Line(line) => {
                    let had_stored = life.has_stored;
                    self.hear(round, 0, &line, &mut life)?;
                    if life.has_stored && !had_stored {
                        if let Kill::AfterStored(wait) = plan.kill {
                            kill_at = now + wait;
                        }
                        if let Mood::Vanishes(wait) = plan.agent {
                            vanish_at = Some(now + wait);
                        }
                    }
                }
                Heard::Nothing => {}
                Heard::End => return Err(HarnessError::new("the process ended by itself")),
            }
            if vanish_at.take_if(|at| *at <= now).is_some() {
                self.stop();
            }
            if kill_at <= now {
                if works && !life.has_stored && matches!(plan.kill, Kill::AfterStored(_)) {
                    let text = format!("nothing was stored within {FIRST_TIMEOUT:?}");
                    return Err(HarnessError::new(text));
                }
                life.end(now);
                return Ok(life);
            }
        }
    }

    /// Enters what a process of the round tells.
    fn hear(&mut self, round: u32, process: u32, line: &Line, life: &mut Life) -> Result<Word> {
        let word = line.text.parse()?;
        self.enter(round, process, word, line.at, life);
        Ok(word)
    }

    fn enter(&mut self, round: u32, process: u32, word: Word, at: Instant, life: &mut Life) {
        match word {
            // Not when it is open: by then what was in it may be delivered, and not noted yet.
            Word::Opening => life.opening = at,
            Word::Opened { place, recovered } => {
                self.book.open(round, process, place);
                self.recovered += recovered;
                self.with_backlog += u32::from(recovered > 0);
            }
            Word::Adopts { left } => {
                self.adoption.finished += u32::from(left == 0);
                life.adopted = left;
            }
            Word::Stored {
                thread,
                stored,
                appended,
            } => {
                self.book.report(round, thread, stored, appended);
                life.on_stored(thread, at);
            }
        }
    }

    /// Waits until the agent is through with what it was sent, and enters that into the book.
    fn collect(&mut self, round: u32, longest_wait: Duration, lanes: u32) -> Result<()> {
        let quiet = self.agent.wait_until(QUIET_TIMEOUT, |stats| {
            stats.connections_open == 0
                && stats.batches_waiting == 0
                && stats.events_accepted == stats.events_drained
        });
        quiet.map_err(|e| HarnessError::doing("the agent's rest", e))?;
        let events = self.agent.received().into_iter();
        let events: Vec<_> = events.map(Received::into_event).collect();
        self.agent.forget_received();
        self.book.arrive(round, &events);
        let mut batches = self.agent.batches();
        batches.retain(|it| it.number > self.requests);
        self.requests = batches.last().map_or(self.requests, |it| it.number);
        batches.retain(|it| it.stored == Stored::Yes);
        let paced: Vec<_> = batches.iter().map(|it| (it.at, it.events as u64)).collect();
        self.book
            .pace(round, &paced, CURSOR_INTERVAL + longest_wait, lanes);
        Ok(())
    }

    /// The last client sends what is left, and nothing must be.
    fn drain(&mut self, round: u32) -> Result<()> {
        let client = client_of(&self.spool(), &self.agent.url(), false).build();
        let client = client.map_err(|e| HarnessError::doing("opening the spool at the end", e))?;
        let mut life = Life::new(Instant::now());
        let opened = Word::opened(&client);
        self.enter(round, 0, opened, Instant::now(), &mut life);
        let flushed = client.flush(DRAIN_TIMEOUT).wait();
        flushed.map_err(|e| HarnessError::doing("sending what is left at the end", e))?;
        // A flush does not wait for what is adopted.
        while self.has_further_places()? {
            if life.opening.elapsed() > DRAIN_TIMEOUT {
                return Err(HarnessError::new(
                    "further places are not emptied at the end",
                ));
            }
            thread::park_timeout(DRAIN_LOOK);
        }
        let report = client.close(QUIET_TIMEOUT).wait();
        if !report.is_complete() {
            self.book.fault(format!("the last client: {report:?}"));
        }
        drop(client);
        self.collect(round, Duration::ZERO, 2)?;
        for place in self.places() {
            let looked = Directory::look(&place);
            let directory = looked.map_err(|e| HarnessError::doing("looking at the spool", e))?;
            let survey = Survey::take(&directory, |_| Ok(()));
            let survey = survey.map_err(|e| HarnessError::doing("looking at the spool", e))?;
            if !survey.is_sound() || survey.events() > 0 {
                let place = place.display();
                self.book.fault(format!("left in {place}: {survey:?}"));
            }
        }
        Ok(())
    }
}

impl Life {
    fn new(started: Instant) -> Self {
        Self {
            has_stored: false,
            adopted: 0,
            opening: started,
            reported: BTreeMap::new(),
            longest_wait: Duration::ZERO,
        }
    }

    fn on_stored(&mut self, thread: u32, now: Instant) {
        let before = self.reported.insert(thread, now).unwrap_or(self.opening);
        self.longest_wait = self.longest_wait.max(now - before);
        self.has_stored = true;
    }

    fn end(&mut self, now: Instant) {
        let oldest = self.reported.values().min().unwrap_or(&self.opening);
        self.longest_wait = self.longest_wait.max(now - *oldest);
    }
}

impl Figures {
    /// Whether all promises were kept.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.broken.is_empty()
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sums {
            appended,
            stored,
            arrived,
            unique,
            lost,
            worst,
            doubling,
            telling,
        } = &self.sums;
        let mut line = |name: &str, text: String| writeln!(f, "{name:<28} {text}");
        line("seed", self.seed.to_string())?;
        line("rounds, each a kill -9", self.rounds.to_string())?;
        line("  before a stored event", self.early.to_string())?;
        line("  found events in the spool", self.with_backlog.to_string())?;
        let Adoption {
            companions,
            offered,
            killed,
            finished,
        } = self.adoption;
        line("  of two processes at once", companions.to_string())?;
        line("  found a further place", offered.to_string())?;
        line("adopting processes killed", killed.to_string())?;
        line("  places emptied by others", finished.to_string())?;
        line("events appended", format!("{appended}, as far as was told"))?;
        line("  reported stored", stored.to_string())?;
        line("  recovered from the disk", self.recovered.to_string())?;
        line("  delivered", format!("{unique} in {arrived} copies"))?;
        line("  lost", lost.to_string())?;
        line("duplicates", (arrived - unique).to_string())?;
        line("  kills that made any", doubling.to_string())?;
        line("  kills that could too many", telling.to_string())?;
        let share = worst.share();
        line(
            "  worst kill",
            format!(
                "{} in round {}, {share} % of the {} that may be",
                worst.again, worst.round, worst.bound
            ),
        )?;
        line("took", format!("{:.1} s", self.took.as_secs_f64()))?;
        f.write_str(&self.broken)
    }
}
