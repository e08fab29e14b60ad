//! [`World`]: the work of a spool's client, and what goes wrong around it.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use fastrand::Rng;
use flume_client::seq::{Seq, SeqRange};
use flume_client::spool::{
    CursorState, FileName, Level, Log, Reader, Settings, SpoolError, Survey, frame_bytes,
};

use super::book::Book;
use super::disk::{SimDisk, Tally};
use super::noted::Noted;
use super::plan::{Plan, settings};
use super::unread::{Obstacle, ToldUnread};
use super::{Failure, Stats};

pub(super) type Broken = (&'static str, String);

pub(super) struct World {
    pub(super) random: Rng,
    pub(super) disk: Arc<SimDisk>,
    pub(super) settings: Settings,
    pub(super) plan: Plan,
    pub(super) book: Book,
    pub(super) stats: Stats,
    pub(super) log: Option<Log>,
    /// The run ids so far.
    runs: BTreeSet<u64>,
    pub(super) reader: Reader,
    /// The first number of this run.
    pub(super) first: Seq,
    /// Errors of the disk before this run are forgotten.
    pub(super) tally: Tally,
    /// Whether a stored event may be missing, because bytes were damaged.
    pub(super) damaged: bool,
    pub(super) syncs_fail: bool,
    /// The events that a look at the files before the last start found.
    pub(super) surveyed: Option<Vec<Seq>>,
    pub(super) noted: Noted,
    /// Times that the cursor was written.
    saves: u64,
    /// A saved cursor says that everything below was durable.
    pub(super) witnessed: Seq,
    /// What the cursor said of it when this run began.
    pub(super) witnessed_before: Seq,
    /// What could not be read since the last start.
    pub(super) left_out: Vec<SeqRange>,
    /// How much of it was told.
    pub(super) unread: ToldUnread,
    pub(super) obstacles: Vec<Obstacle>,
    /// All events below were durable when the spool was opened.
    pub(super) opened_durable_upto: Seq,
    /// The first event of the last step.
    pub(super) step_first: Option<Seq>,
    /// Somebody has taken a file away.
    pub(super) took_away: bool,
    /// Somebody has given files each other's names.
    pub(super) swapped: bool,
    /// A run has begun while a file could not be read: where the last run ended was not known.
    pub(super) began_unread: bool,
}

/// Turns of one run.
const TURNS: u32 = 160;

/// Runs a seed, to its end or to the first broken promise.
pub fn run(seed: u64) -> Result<Stats, Box<Failure>> {
    let mut world = World::new(seed);
    let plan = world.plan;
    let outcome = catch_unwind(AssertUnwindSafe(|| world.live()));
    let (promise, details) = match outcome {
        Ok(Ok(())) => return Ok(world.stats),
        Ok(Err(broken)) => broken,
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or(panic.downcast_ref::<&str>().copied())
                .unwrap_or("?");
            ("it never panics", text.to_owned())
        }
    };
    Err(Box::new(Failure {
        seed,
        promise,
        details: format!("{details} ({:?}, {plan:?})", world.settings),
    }))
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let settings = settings(&mut random);
        let plan = Plan::of(seed, &mut random);
        let capacity = if plan.full_disk {
            settings.bytes_max * random.u64(4..12) / 10
        } else {
            u64::MAX / 2
        };
        Self {
            disk: Arc::new(SimDisk::new(random.u64(..), capacity)),
            random,
            settings,
            plan,
            book: Book::default(),
            stats: Stats {
                seeds: 1,
                ..Stats::default()
            },
            log: None,
            runs: BTreeSet::new(),
            reader: Reader::new(Seq::ZERO, Seq::ZERO),
            first: Seq::ZERO,
            tally: Tally::default(),
            damaged: false,
            syncs_fail: plan.faults.syncs > 0,
            surveyed: None,
            noted: Noted::default(),
            saves: 0,
            witnessed: Seq::ZERO,
            witnessed_before: Seq::ZERO,
            left_out: Vec::new(),
            unread: ToldUnread::default(),
            obstacles: Vec::new(),
            opened_durable_upto: Seq::ZERO,
            step_first: None,
            took_away: false,
            swapped: false,
            began_unread: false,
        }
    }

    fn live(&mut self) -> Result<(), Broken> {
        self.start()?;
        for _ in 0..TURNS {
            if self.plan.power_losses && self.random.u32(0..30) == 0 {
                let operations = self.random.u64(1..25);
                self.disk.crash_in(operations);
            }
            self.turn()?;
            self.check_quota()?;
            if self.disk.is_crashed() {
                self.lose_power()?;
            }
        }
        self.end()
    }

    fn turn(&mut self) -> Result<(), Broken> {
        match self.random.u32(0..100) {
            0..40 => self.append(),
            40..62 => self.read(),
            62..65 => self.read_late(),
            65..80 => {
                self.retire();
                Ok(())
            }
            80..92 => self.save(),
            92..95 => self.kill(),
            95..97 if self.plan.power_losses => self.lose_power(),
            97 if self.plan.full_disk => {
                let capacity = self.settings.bytes_max * self.random.u64(4..14) / 10;
                self.disk.set_capacity(capacity);
                Ok(())
            }
            96 if self.plan.obstacles => self.meet_obstacle(),
            99 if self.plan.obstacles => self.look_again(),
            98 if self.plan.read_only => {
                let read_only = self.random.bool();
                self.disk.set_read_only(read_only);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Nothing went wrong since the start.
    pub(super) fn is_calm(&self) -> bool {
        self.disk.tally().faults == self.tally.faults
            && !self.plan.full_disk
            && !self.plan.obstacles
            && !self.plan.read_only
            && !self.disk.is_crashed()
    }

    fn start(&mut self) -> Result<(), Broken> {
        self.disk.set_faults(self.plan.faults);
        if let Some(surveyed) = &mut self.surveyed {
            let survey = Survey::take(self.disk.as_ref(), |event| {
                surveyed.push(event.number);
                Ok(())
            });
            survey.map_err(|error| ("a sound disk can be read", error.to_string()))?;
        }
        let (log, opened) = loop {
            let seed = self.random.u64(..);
            match Log::open(Arc::clone(&self.disk) as _, self.settings, seed) {
                Ok(opened) => break opened,
                // The listing failed.
                Err(_) if self.disk.is_crashed() => {
                    self.stats.crashes += 1;
                    self.noted.lose();
                    self.disk.power_off_and_on();
                }
                // Without the cursor nobody knows what is done with.
                Err(_) if self.lift_to_open() => {}
                Err(error) if self.plan.faults.reads == 0 => {
                    return Err(("it opens whatever is there", error.to_string()));
                }
                Err(_) => {}
            }
        };
        self.stats.starts += 1;
        let readable = self.plan.faults.reads == 0 && !self.damaged;
        if opened.cursor == CursorState::Damaged && readable && opened.segments > 0 {
            return Err(("a cursor survives any crash", format!("{opened:?}")));
        }
        if !opened.quarantined.is_empty() && (self.swapped || self.took_away) {
            // A file that has the name of another, or the newest one, was not there under its own id
            // when a run began, and the id was given again: of the two that have it now, one is set
            // aside.
            self.damaged = true;
        }
        if !opened.quarantined.is_empty() && !self.damaged && !self.syncs_fail {
            return Err(("only damage is set aside", format!("{opened:?}")));
        }
        self.damaged |= opened.cursor == CursorState::Damaged;
        if !self.damaged {
            self.noted.check(&log)?;
        }
        match opened.trouble {
            None => self.noted.save(&log),
            Some(_) => self.noted.lose(),
        }
        self.tally = self.disk.tally();
        self.reader = Reader::new(log.retired().watermark(), opened.known_durable_upto);
        self.first = log.next();
        if !self.runs.insert(log.run_id()) {
            let details = format!("{:x} again", log.run_id());
            return Err(("each run names events in its own way", details));
        }
        self.opened_durable_upto = opened.known_durable_upto;
        self.witnessed_before = self.witnessed;
        self.began_unread |= !log.unread().is_empty() || !opened.unreadable.is_empty();
        self.left_out.clear();
        self.unread = ToldUnread::default();
        self.check_backlog(&log)?;
        let started = self.book.start(log.client(), self.damaged);
        self.log = Some(log);
        started
    }

    fn append(&mut self) -> Result<(), Broken> {
        let Some(mut log) = self.log.take() else {
            return Ok(());
        };
        let mut frames = 0;
        for _ in 0..self.random.usize(1..4) {
            let (ends, datums) = self.events();
            let bytes = frame_bytes(ends.len(), datums.len()) as u64;
            if bytes > self.settings.frame_bytes_max || bytes > log.room() {
                continue;
            }
            let first = log.push(&ends, &datums, Level::EndToEnd);
            frames += 1;
            let mut start = 0;
            let range = SeqRange::of(first, ends.len() as u64);
            for (number, end) in range.iter().zip(ends) {
                self.book
                    .push(number, datums[start..end as usize].to_vec())?;
                start = end as usize;
            }
            if self.random.u32(0..4) == 0 {
                log.write(1_700_000_000_000);
            }
        }
        let flushed = self.flush(&mut log, frames);
        self.log = Some(log);
        flushed
    }

    fn flush(&mut self, log: &mut Log, frames: u32) -> Result<(), Broken> {
        let before = self.disk.tally();
        let flushed = log.flush(1_700_000_000_000);
        let after = self.disk.tally();
        let begun = after.begun - self.tally.begun;
        if flushed.is_err() {
            // The first one of a run saves the cursor.
            self.noted.lose();
        }
        match flushed {
            Ok(()) => {
                let of_this_run = SeqRange::new(self.first, log.next());
                self.stats.stored += self.book.store(of_this_run);
                if log.durable_upto() < log.next() && frames > 0 {
                    let details = format!("{} of {}", log.durable_upto(), log.next());
                    return Err(("a flush makes everything durable", details));
                }
                let extra = after.begun - before.begun;
                let syncs = after.segment_syncs - before.segment_syncs;
                if frames > 0 && self.is_calm() && extra == 0 && syncs != 1 {
                    return Err(("a commit is one sync", format!("{syncs} syncs")));
                }
            }
            Err(SpoolError::Quota) if self.is_calm() && !self.damaged => {
                return Err(("what there is room for is taken", String::new()));
            }
            Err(error) if self.is_calm() && !self.damaged => {
                return Err(("a sound disk is no trouble", error.to_string()));
            }
            Err(_) => {}
        }
        if after.begun > before.begun && begun > 1 {
            self.check_reserve(log)?;
        }
        Ok(())
    }

    fn events(&mut self) -> (Vec<u32>, Vec<u8>) {
        let mut datums = Vec::new();
        let mut ends = Vec::new();
        let largest = match self.random.u32(0..10) {
            0 => self.settings.frame_bytes_max as usize,
            1..4 => 200,
            _ => 40,
        };
        for _ in 0..self.random.usize(1..8) {
            // A datum has two bytes at least.
            let length = self.random.usize(2..=largest.max(2));
            datums.extend((0..length).map(|_| self.random.u8(..)));
            ends.push(datums.len() as u32);
        }
        (ends, datums)
    }

    /// Agents take the first of the events that the disk does not.
    fn deliver_unstored(&mut self) {
        let Some(log) = &mut self.log else {
            return;
        };
        let unstored = SeqRange::new(log.settled_upto(), log.next());
        if !unstored.is_empty() && self.random.bool() {
            let taken = match self.random.bool() {
                true => unstored.len(),
                false => self.random.u64(0..=unstored.len()),
            };
            let taken = SeqRange::of(unstored.first, taken);
            log.retire(taken);
            self.book.retire(taken);
            log.forget_retired();
            self.stats.unstored += log.settled_upto().since(unstored.first);
        }
        // Whether the disk takes events is tried when there are none to try it with. Not drawn, so
        // that known seeds go on to show what they showed.
        let tries = log.run_id() % 8 == 5;
        if tries && log.settled_upto() == log.next() && log.begin(1_700_000_000_000).is_err() {
            self.noted.lose();
        }
    }

    fn retire(&mut self) {
        self.deliver_unstored();
        let unretired = self.book.unretired();
        let Some(log) = &mut self.log else {
            return;
        };
        if unretired.is_empty() {
            return;
        }
        let from = if self.random.bool() {
            0
        } else {
            self.random.usize(0..unretired.len())
        };
        let most = if self.random.bool() { 30 } else { 300 };
        let count = self.random.usize(1..most);
        for number in unretired.iter().skip(from).take(count) {
            let one = SeqRange::of(*number, 1);
            log.retire(one);
            self.book.retire(one);
        }
    }

    fn save(&mut self) -> Result<(), Broken> {
        let Some(log) = &mut self.log else {
            return Ok(());
        };
        self.saves += 1;
        let saved = if self.plan.notes && !self.saves.is_multiple_of(4) {
            let noted = log.note();
            noted.map(|()| self.noted.note(log))
        } else {
            let saved = log.save();
            saved.map(|()| {
                self.noted.save(log);
                self.witnessed = log.durable_upto();
            })
        };
        if saved.is_err() {
            self.noted.lose();
        }
        match saved.and_then(|()| log.reserve()) {
            Err(error) if self.is_calm() && !matches!(error, SpoolError::Quota) => {
                Err(("a sound disk is no trouble", error.to_string()))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn kill(&mut self) -> Result<(), Broken> {
        self.log = None;
        self.disk.end_process();
        self.between_runs();
        self.start()
    }

    pub(super) fn lose_power(&mut self) -> Result<(), Broken> {
        self.log = None;
        self.stats.crashes += 1;
        self.noted.lose();
        self.disk.power_off_and_on();
        self.between_runs();
        self.start()
    }

    fn between_runs(&mut self) {
        if self.plan.obstacles && self.random.u32(0..3) == 0 {
            self.meddle();
        }
        if self.plan.damage && self.random.u32(0..3) == 0 {
            self.damage();
        }
        if self.plan.settings_change && self.random.u32(0..3) == 0 {
            let bytes = (self.settings.segment_bytes / 2).max(4 * 1024);
            let bytes = bytes + 512 * self.random.u64(0..32);
            let changed = Settings {
                segment_bytes: bytes,
                ..self.settings
            };
            if changed.are_sound() {
                self.settings = changed;
            }
        }
    }

    /// A bit turned over somewhere, or a file of nonsense.
    fn damage(&mut self) {
        self.stats.damages += 1;
        self.damaged = true;
        let files = self.disk.files();
        if files.is_empty() || self.random.u32(0..4) == 0 {
            let id = self.random.u64(0..40);
            let file = if self.random.bool() {
                FileName::Segment(id)
            } else {
                FileName::Spare(id)
            };
            if files.iter().all(|(there, _)| *there != file) {
                let length = self.random.usize(0..6_000);
                let content = (0..length).map(|_| self.random.u8(..)).collect();
                self.disk.place(file, content);
            }
            return;
        }
        let (file, bytes) = files[self.random.usize(0..files.len())];
        if file == FileName::Cursor {
            self.witnessed = Seq::ZERO;
        }
        if bytes > 0 {
            let bit = self.random.u64(0..bytes * 8);
            self.disk.rot(file, bit);
        }
    }
}
