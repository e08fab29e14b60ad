//! [`World`]: the work of a spool's client, and what goes wrong around it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use fastrand::Rng;
use flume_client::spool::{
    CURSOR_BYTES, CursorState, FileName, Level, Log, Reader, SEGMENT_HEADER_BYTES, Settings, Step,
    Trouble, frame_bytes,
};

use super::book::Book;
use super::disk::{Faults, SimDisk, Tally};
use super::{Failure, Stats};

type Broken = (&'static str, String);

struct World {
    random: Rng,
    disk: Arc<SimDisk>,
    settings: Settings,
    plan: Plan,
    book: Book,
    stats: Stats,
    log: Option<Log>,
    reader: Reader,
    /// The first number of this run.
    first: u64,
    /// Errors of the disk before this run are forgotten.
    tally: Tally,
    /// Whether a stored event may be missing, because bytes were damaged.
    damaged: bool,
    syncs_fail: bool,
    /// A saved cursor says that everything below was durable.
    witnessed: u64,
}

/// What may go wrong in a run.
#[derive(Clone, Copy, Debug)]
struct Plan {
    faults: Faults,
    power_losses: bool,
    full_disk: bool,
    read_only: bool,
    damage: bool,
    settings_change: bool,
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
        let plan = Plan::of(&mut random);
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
            reader: Reader::new(0, 0),
            first: 0,
            tally: Tally::default(),
            damaged: false,
            syncs_fail: plan.faults.syncs > 0,
            witnessed: 0,
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
            40..65 => self.read(),
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
            98 if self.plan.read_only => {
                let read_only = self.random.bool();
                self.disk.set_read_only(read_only);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Nothing went wrong since the start.
    fn is_calm(&self) -> bool {
        self.disk.tally().faults == self.tally.faults
            && !self.plan.full_disk
            && !self.plan.read_only
            && !self.disk.is_crashed()
    }

    fn start(&mut self) -> Result<(), Broken> {
        self.disk.set_faults(self.plan.faults);
        let (log, opened) = loop {
            let seed = self.random.u64(..);
            match Log::open(Arc::clone(&self.disk) as _, self.settings, seed) {
                Ok(opened) => break opened,
                // The listing failed.
                Err(_) if self.disk.is_crashed() => {
                    self.stats.crashes += 1;
                    self.disk.power_off_and_on();
                }
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
        // What cannot be read is as good as damaged.
        self.damaged |= !opened.unreadable.is_empty() || opened.cursor == CursorState::Damaged;
        self.tally = self.disk.tally();
        self.reader = Reader::new(log.retired().watermark(), opened.witnessed);
        self.first = log.next();
        self.log = Some(log);
        self.book.start();
        Ok(())
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
            for (number, end) in (first..).zip(ends) {
                self.book
                    .push(number, datums[start..end as usize].to_vec())?;
                start = end as usize;
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
        match flushed {
            Ok(()) => {
                self.stats.stored += self.book.store(self.first, log.next());
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
            Err(Trouble::Quota) if self.is_calm() && !self.damaged => {
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

    /// After the first segment of a run the reserve is not touched.
    fn check_reserve(&self, log: &Log) -> Result<(), Broken> {
        let files = self.disk.files();
        let spare = files
            .iter()
            .any(|(file, _)| matches!(file, FileName::Spare(_)));
        let room = self.settings.bytes_max.saturating_sub(log.disk_bytes());
        if spare || room >= self.settings.segment_bytes || !self.is_calm() {
            return Ok(());
        }
        Err(("a reserve is kept for the next start", format!("{files:?}")))
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
            let length = self.random.usize(0..=largest);
            datums.extend((0..length).map(|_| self.random.u8(..)));
            ends.push(datums.len() as u32);
        }
        (ends, datums)
    }

    fn read(&mut self) -> Result<(), Broken> {
        let Some(mut log) = self.log.take() else {
            return Ok(());
        };
        let mut outcome = Ok(());
        for _ in 0..self.random.u32(1..12) {
            match self.read_step(&mut log) {
                Ok(true) => {}
                Ok(false) => break,
                Err(broken) => {
                    outcome = Err(broken);
                    break;
                }
            }
        }
        self.log = Some(log);
        outcome
    }

    /// `false` at the end or after an error of the disk.
    fn read_step(&mut self, log: &mut Log) -> Result<bool, Broken> {
        let segments = log.readable();
        let step = self.reader.advance(
            self.disk.as_ref(),
            &segments,
            log.retired(),
            log.readable_upto(),
        );
        match step {
            Ok(Step::Frame) => {
                let frame = self.reader.frame();
                let Some(frame) = frame else {
                    return Err(("a frame that was found is there", String::new()));
                };
                let mut start = 0;
                let numbered = (frame.header.first..).zip(frame.payload.ends());
                for (index, (number, end)) in numbered.enumerate() {
                    let datum = &frame.payload.datums()[start..end as usize];
                    start = end as usize;
                    let from = frame.skip as usize;
                    if (from..from + frame.take as usize).contains(&index) {
                        self.book.read(number, datum)?;
                        self.stats.read += 1;
                    }
                }
                Ok(true)
            }
            Ok(Step::Gap(gap)) => {
                let lost = self.book.miss(gap.first, gap.end);
                if lost && !self.damaged {
                    let details = format!("{gap:?}");
                    return Err(("a stored event is read after any crash", details));
                }
                // After a failed sync the machine itself believes what is not on the disk.
                if gap.durable && !self.damaged && !self.syncs_fail {
                    return Err(("what is done with is not told as lost", format!("{gap:?}")));
                }
                // What nothing later bears witness of looks like a write that was never finished.
                if lost && !gap.durable && gap.first < self.witnessed {
                    return Err(("damage is told as such", format!("{gap:?}")));
                }
                self.stats.gaps += u64::from(lost);
                if gap.durable {
                    log.mark_damaged(gap.segment);
                }
                log.retire(gap.first, gap.end);
                Ok(true)
            }
            Ok(Step::End) => Ok(false),
            Err(error) if self.plan.faults.reads == 0 && !self.disk.is_crashed() => {
                Err(("a sound disk can be read", error.to_string()))
            }
            Err(_) => Ok(false),
        }
    }

    fn retire(&mut self) {
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
        let count = self.random.usize(1..30);
        for number in unretired.iter().skip(from).take(count) {
            log.retire(*number, number + 1);
            self.book.retire(*number, number + 1);
        }
    }

    fn save(&mut self) -> Result<(), Broken> {
        let Some(log) = &mut self.log else {
            return Ok(());
        };
        match log.save() {
            Ok(()) => {
                self.witnessed = log.durable_upto();
                Ok(())
            }
            Err(error) if self.is_calm() && !matches!(error, Trouble::Quota) => {
                Err(("a sound disk is no trouble", error.to_string()))
            }
            _ => Ok(()),
        }
    }

    fn kill(&mut self) -> Result<(), Broken> {
        self.log = None;
        self.disk.end_process();
        self.between_runs();
        self.start()
    }

    fn lose_power(&mut self) -> Result<(), Broken> {
        self.log = None;
        self.stats.crashes += 1;
        self.disk.power_off_and_on();
        self.between_runs();
        self.start()
    }

    fn between_runs(&mut self) {
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
            self.witnessed = 0;
        }
        if bytes > 0 {
            let bit = self.random.u64(0..bytes * 8);
            self.disk.rot(file, bit);
        }
    }

    fn check_quota(&self) -> Result<(), Broken> {
        let (peak, quota) = (self.disk.peak_bytes(), self.settings.bytes_max);
        // Files of nonsense are not of the spool's making, and what was cut off without a good sync
        // can come back with the power.
        let excused = self.plan.damage || self.plan.power_losses && self.plan.faults.syncs > 0;
        if peak > quota && !excused {
            return Err(("the quota is never exceeded", format!("{peak} of {quota}")));
        }
        Ok(())
    }

    /// All is well again, and everything is read.
    fn end(&mut self) -> Result<(), Broken> {
        self.disk.set_capacity(u64::MAX / 2);
        self.disk.set_read_only(false);
        self.plan.faults = Faults::default();
        self.plan.full_disk = false;
        self.plan.read_only = false;
        self.plan.settings_change = false;
        let loses_power = self.plan.power_losses && self.random.bool();
        if loses_power {
            self.lose_power()?;
        } else {
            self.kill()?;
        }
        // Everything that is stored is below what is durable now.
        let mut steps = 0;
        loop {
            let Some(mut log) = self.log.take() else {
                break;
            };
            let more = self.read_step(&mut log);
            self.log = Some(log);
            if !more? {
                break;
            }
            steps += 1;
            if steps > 100_000 {
                return Err(("reading comes to its end", String::new()));
            }
        }
        self.check_lost()?;
        self.check_reuse()?;
        let tally = self.disk.tally();
        self.stats.operations = tally.operations;
        self.stats.faults = tally.faults;
        Ok(())
    }

    fn check_lost(&self) -> Result<(), Broken> {
        match self.book.check_all_read() {
            // A damaged segment's header hides how much was in it.
            Err(broken) if !self.damaged => Err(broken),
            _ => Ok(()),
        }
    }

    /// Once all is done with, the disk is free again.
    fn check_reuse(&mut self) -> Result<(), Broken> {
        let Some(log) = &mut self.log else {
            return Ok(());
        };
        log.retire(0, log.readable_upto());
        match log.save() {
            // What was set aside takes room too.
            Err(Trouble::Quota) if self.damaged => {}
            Err(error) => {
                return Err((
                    "a sound disk is no trouble",
                    format!("{error} {:?} {log:?}", self.disk.files()),
                ));
            }
            Ok(()) => {}
        }
        let files = self.disk.files();
        let segments = files
            .iter()
            .filter(|(file, _)| matches!(file, FileName::Segment(_)));
        if segments.count() > 0 && !self.plan.damage {
            return Err(("drained segments are used again", format!("{files:?}")));
        }
        Ok(())
    }
}

fn settings(random: &mut Rng) -> Settings {
    let frame_bytes_max = 512 * random.u64(1..8);
    let least = SEGMENT_HEADER_BYTES as u64 + 2 * frame_bytes_max;
    let segment_bytes = least + 512 * random.u64(0..40);
    Settings {
        segment_bytes,
        frame_bytes_max,
        bytes_max: segment_bytes * random.u64(2..9) + CURSOR_BYTES as u64 + random.u64(0..4096),
        free_bytes_min: 0,
    }
}

impl Plan {
    fn of(random: &mut Rng) -> Self {
        let mut one_in = |most: u32| {
            if random.u32(0..3) == 0 {
                random.u32(8..most)
            } else {
                0
            }
        };
        let faults = Faults {
            reads: one_in(80),
            writes: one_in(60),
            syncs: one_in(60),
            names: one_in(60),
        };
        Self {
            faults,
            power_losses: random.u32(0..4) > 0,
            full_disk: random.u32(0..4) == 0,
            read_only: random.u32(0..8) == 0,
            damage: random.u32(0..5) == 0,
            settings_change: random.u32(0..6) == 0,
        }
    }
}
