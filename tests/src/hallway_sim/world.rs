//! [`World`]: whose turn it is, and what goes wrong. How it ends is in `ending`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use fastrand::Rng;
use flume_client::hallway::{CommitterByHand, Hallway, Plan as Parts, Spool};
use flume_client::spool::{FileName, Level, Log, Storage};
use flume_client::{Overflow, Reliability, SyncMode, WindowMode};

use super::agents::{Mood, Net};
use super::book::{Book, event};
use super::disk::{Machine, SimPlace, SimPlaces};
use super::plan::Plan;
use super::promise::{Broken, Check, ensure};
use super::side::Side;
use super::stats::Stats;
use super::time::SimClock;
use crate::spool_sim::disk::{Faults, SimDisk};

/// What was acknowledged this long ago is noted in the cursor, if the disk is sound.
pub(super) const NOTED_AFTER: Duration = Duration::from_millis(200);
/// And this long ago in a cursor that was synced, which outlives the power.
pub(super) const SYNCED_AFTER: Duration = Duration::from_millis(1_200);
/// Turns without a pause.
pub(super) const TURNS_MAX: u32 = 200_000;
/// What an agent comes to be.
const MOODS: [Mood; 7] = [
    Mood::Good,
    Mood::Good,
    Mood::Down,
    Mood::Mute,
    Mood::Refusing,
    Mood::Flaky,
    Mood::Full,
];
pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) random: Rng,
    pub(super) clock: Arc<SimClock>,
    pub(super) machine: Arc<Machine>,
    pub(super) disk: Arc<SimDisk>,
    pub(super) others: Arc<Vec<(PathBuf, Arc<SimDisk>)>>,
    pub(super) book: Arc<Mutex<Book>>,
    pub(super) net: Arc<Mutex<Net>>,
    side: Option<Arc<Mutex<Side>>>,
    committer: Option<CommitterByHand>,
    /// Callers do nothing by themselves.
    pub(super) rests: bool,
    next_load: Duration,
    next_trouble: Duration,
    stats: Stats,
}

pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(super) fn new(plan: Plan) -> Self {
        let mut random = Rng::with_seed(plan.seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 7);
        let clock = Arc::new(SimClock::new());
        let machine = Machine::new(clock.clone(), random.u64(..), plan.slow_syncs);
        let book = Arc::<Mutex<Book>>::default();
        let agents = plan.delivery.agents.len();
        let net = Net::new(clock.clone(), book.clone(), random.u64(..), agents);
        let disk = SimDisk::new(random.u64(..), u64::MAX / 2);
        Self {
            random,
            machine,
            disk: Arc::new(disk),
            others: Arc::default(),
            book,
            net: Arc::new(Mutex::new(net)),
            side: None,
            committer: None,
            rests: false,
            next_load: Duration::ZERO,
            next_trouble: plan.trouble_gap,
            stats: Stats {
                seeds: 1,
                ..Stats::default()
            },
            clock,
            plan,
        }
    }

    /// Notes what agents see.
    pub(super) fn note(&self) {
        lock(&self.net).trace = Some(Vec::new());
    }

    pub(super) fn noted(&self) -> Vec<String> {
        lock(&self.net).trace.take().unwrap_or_default()
    }

    pub(super) fn stats(&self) -> Stats {
        let book = lock(&self.book);
        Stats {
            simulated: self.clock.elapsed(),
            delivered: book.delivered(),
            duplicates: book.duplicates,
            unstored: book.unstored,
            adopted: book.adopted,
            faults: lock(&self.net).faults + self.disk.tally().faults + self.stats.kills,
            ..self.stats
        }
    }

    pub(super) fn live(&mut self) -> Check {
        self.leave();
        let is_sound = self.plan.is_disk_sound() && !self.plan.closes;
        {
            let mut book = lock(&self.book);
            book.chunk_bytes = self.plan.chunk_bytes;
            book.is_strict = is_sound && self.plan.level == Reliability::EndToEnd;
            let is_calm = is_sound && !self.plan.bad_agents && !self.plan.kills;
            let is_calm = is_calm && !self.plan.power_losses && self.plan.spool.is_some();
            let is_ordered = self.plan.delivery.window == WindowMode::Ordered;
            book.next_in_order = (is_calm && is_ordered).then(BTreeMap::new);
        }
        self.open()?;
        for _ in 0..self.plan.happenings {
            self.happen()?;
        }
        self.heal()?;
        self.end()
    }

    /// Others leave events in their places.
    fn leave(&mut self) {
        let Some(settings) = self.plan.spool else {
            return;
        };
        let mut others = Vec::new();
        for (index, events) in self.plan.left.clone().into_iter().enumerate() {
            let place = index + 1;
            let disk = Arc::new(SimDisk::new(self.random.u64(..), u64::MAX / 2));
            let storage = disk.clone() as Arc<dyn Storage>;
            let opened = Log::open(storage, settings, self.random.u64(..));
            let (mut log, _) = opened.expect("an empty disk that is sound");
            for _ in 0..events {
                let mut book = lock(&self.book);
                let event = event(book.next_id(), self.random.usize(8..self.plan.event_bytes));
                let datum = event.as_datum();
                if log.room() < 4 * settings.frame_bytes_max {
                    break;
                }
                let number = log.push(&[datum.len() as u32], datum, Level::EndToEnd);
                log.flush(0).expect("a sound disk");
                book.leave(place, number.number(), datum);
            }
            others.push((PathBuf::from(format!("/spool/process-{}", place + 1)), disk));
        }
        self.others = Arc::new(others);
    }

    pub(super) fn open(&mut self) -> Check {
        let mut tries = 0;
        let hallway = loop {
            match self.try_open() {
                Ok(hallway) => break hallway,
                Err(error) => {
                    tries += 1;
                    if self.disk.is_crashed() {
                        self.disk.power_off_and_on();
                    }
                    self.disk.make_readable();
                    ensure(tries < 100, "it opens whatever is there", || error)?;
                }
            }
        };
        let Hallway {
            callers,
            sender,
            committer,
            reads,
        } = hallway;
        let mut side = Side::new(
            self.clock.clone(),
            self.random.fork(),
            self.book.clone(),
            (callers, sender, reads),
            self.plan.event_bytes,
            self.plan.other_levels.clone(),
        );
        side.rests = self.rests;
        side.awaits = self.plan.awaits;
        let side = Arc::new(Mutex::new(side));
        let (weak, broken) = (Arc::downgrade(&side), self.book.clone());
        let net = self.net.clone();
        // While the disk works, callers and the sender go on.
        self.machine.set_meanwhile(Some(Arc::new(move || {
            let Some(side) = weak.upgrade() else {
                return;
            };
            let Ok(mut side) = side.try_lock() else {
                return;
            };
            let now = side.clock.elapsed();
            lock(&net).arrive();
            if let Some(timeout) = side.closes_in_work.take() {
                side.close(timeout);
            }
            let done = match side.random.u32(0..4) {
                0 if !side.rests => side.call(),
                1 | 2 if side.party.is_due(now) => side.send(),
                _ => Ok(()),
            };
            if let Err(done) = done {
                drop(side);
                lock(&broken).broken.get_or_insert(done);
            }
        })));
        self.side = Some(side);
        self.committer = Some(committer);
        Ok(())
    }

    fn try_open(&mut self) -> Result<Hallway, String> {
        let spool = self.plan.spool.map(|settings| {
            let (machine, path) = (self.machine.clone(), PathBuf::from("/spool"));
            let own = Arc::new(SimPlace::new(machine.clone(), path, self.disk.clone()));
            Spool {
                location: own,
                neighbours: Some(Box::new(SimPlaces::new(machine, self.others.clone()))),
                settings,
                sync: SyncMode::Always,
            }
        });
        let parts = Parts {
            delivery: self.plan.delivery.clone(),
            reliability: self.plan.level,
            buffer_bytes: self.plan.buffer_bytes,
            event_bytes: self.plan.event_bytes + 16,
            overflow: Overflow::Refuse,
            spool,
            chunk_bytes: self.plan.chunk_bytes,
            clock: self.clock.clone(),
            seed: self.random.u64(..),
        };
        Hallway::open(parts, self.net.clone()).map_err(|error| error.to_string())
    }

    pub(super) fn side(&self) -> Arc<Mutex<Side>> {
        Arc::clone(self.side.as_ref().expect("a client is open"))
    }

    /// Something happens.
    fn happen(&mut self) -> Check {
        let now = self.clock.elapsed();
        if now >= self.next_trouble {
            self.next_trouble = now + self.gap(self.plan.trouble_gap);
            self.trouble()?;
        } else if now >= self.next_load {
            self.next_load = now + self.gap(self.plan.load_gap);
            lock(&self.side()).call()?;
        }
        let moved = self.turn()?;
        if !moved {
            let others = [self.next_load, self.next_trouble];
            self.advance(others.into_iter().min());
        }
        self.after()
    }

    fn gap(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(2.0 * self.random.f64()) + Duration::from_micros(1)
    }

    /// Whoever is to have a turn has one. `false`: nobody is.
    pub(super) fn turn(&mut self) -> Result<bool, Broken> {
        let now = self.clock.elapsed();
        lock(&self.net).arrive();
        let side = self.side();
        let mut due = Vec::new();
        {
            let mut side = lock(&side);
            due.extend(side.party.is_due(now).then_some(0));
            due.extend(side.committer.is_due(now).then_some(1));
            due.extend(side.reads_at().is_some_and(|at| at <= now).then_some(2));
        }
        if due.is_empty() {
            return Ok(false);
        }
        let takes = Duration::from_micros(self.random.u64(1..30));
        self.clock.pass(takes);
        self.stats.turns += 1;
        match due[self.random.usize(0..due.len())] {
            0 => lock(&side).send()?,
            1 => self.commit()?,
            _ => lock(&side).read(),
        }
        Ok(true)
    }

    fn commit(&mut self) -> Check {
        let side = self.side();
        let waker = {
            let mut side = lock(&side);
            side.committer.begin();
            side.committer.waker()
        };
        let committer = self.committer.as_mut().expect("a client is open");
        let step = committer.turn(&waker);
        let mut side = lock(&side);
        side.committer.take(step, &self.clock);
        side.check()?;
        let used = self.disk.used_bytes();
        let most = self.plan.spool.map_or(0, |it| it.bytes_max);
        // What was cut off at a start without a good sync can come back with the power.
        let is_excused = self.plan.power_losses && self.plan.faults.syncs > 0;
        ensure(
            used <= most || is_excused,
            "the files never take more than the quota",
            || format!("{used} of {most} bytes, {:?}", self.disk.files()),
        )
    }

    /// Nobody has a turn: time passes.
    pub(super) fn advance(&mut self, other: Option<Duration>) {
        let now = self.clock.elapsed();
        let next = self.next_event();
        if let Some(at) = next.into_iter().chain(other).min() {
            self.clock.pass(at.saturating_sub(now));
        }
    }

    /// When somebody is to have a turn, if nobody does anything.
    fn next_event(&mut self) -> Option<Duration> {
        let arrival = lock(&self.net).next_arrival();
        let side = self.side();
        let mut side = lock(&side);
        let threads = [&side.party, &side.committer];
        let threads = threads.map(|it| it.until.filter(|_| !it.has_ended));
        let reads = side.reads_at();
        let all = threads.into_iter().chain([arrival, reads]);
        all.flatten().min()
    }

    pub(super) fn after(&mut self) -> Check {
        lock(&self.side()).look()?;
        if let Some(broken) = lock(&self.book).broken.take() {
            return Err(broken);
        }
        if self.disk.is_crashed() {
            self.end_process(true)?;
        }
        Ok(())
    }

    fn trouble(&mut self) -> Check {
        self.stats.troubles += 1;
        if self.plan.is_storm && self.random.u32(0..4) > 0 {
            self.storm();
            return Ok(());
        }
        let plan = &self.plan;
        match self.random.u32(0..100) {
            0..40 if plan.bad_agents => {
                let agent = self.random.usize(0..plan.delivery.agents.len());
                let mood = MOODS[self.random.usize(0..MOODS.len())];
                lock(&self.net).set_mood(agent, mood);
            }
            40..45 if plan.bad_agents => {
                let agent = self.random.usize(0..plan.delivery.agents.len());
                lock(&self.net).hang_up(agent);
            }
            45..50 => {
                let faults = match self.random.bool() {
                    true => plan.faults,
                    false => Faults::default(),
                };
                self.disk.set_faults(faults);
            }
            50..55 if plan.full_disk => {
                let most = plan.spool.map_or(0, |it| it.bytes_max);
                let capacity = match self.random.bool() {
                    true => u64::MAX / 2,
                    false => most * self.random.u64(1..11) / 10,
                };
                self.disk.set_capacity(capacity);
            }
            55..60 if plan.read_only => {
                let is = self.random.bool();
                self.disk.set_read_only(is);
            }
            60..65 if plan.unreadable => self.meet_obstacle(),
            65..70 if plan.unreadable => self.disk.make_readable(),
            70..76 if plan.kills => {
                if plan.bad_agents && plan.spool.is_some() {
                    self.scatter()?;
                }
                return self.end_process(false);
            }
            76..82 if plan.power_losses && plan.spool.is_some() => {
                let operations = self.random.u64(1..25);
                self.disk.crash_in(operations);
            }
            82..88 if plan.closes => return self.close(),
            88..98 if plan.power_losses && plan.faults.writes > 0 && plan.spool.is_some() => {
                return self.break_commit();
            }
            _ => {}
        }
        Ok(())
    }

    /// An agent fails in another way than before, or ends its connections.
    fn storm(&mut self) {
        let agent = self.random.usize(0..self.plan.delivery.agents.len());
        let moods = [Mood::Good, Mood::Down, Mood::Refusing, Mood::Flaky];
        let mut net = lock(&self.net);
        match moods.get(self.random.usize(0..=moods.len())) {
            Some(mood) => net.set_mood(agent, *mood),
            None => net.hang_up(agent),
        }
    }

    /// A file cannot be read for a while.
    pub(super) fn meet_obstacle(&mut self) {
        let files = self.disk.files();
        let segments: Vec<_> = files
            .iter()
            .filter(|(it, _)| matches!(it, FileName::Segment(_)))
            .collect();
        if segments.is_empty() {
            return;
        }
        let (file, bytes) = *segments[self.random.usize(0..segments.len())];
        match self.random.bool() {
            true => self.disk.deny(file, true),
            false => self
                .disk
                .break_block(file, self.random.u64(0..bytes.max(1))),
        }
    }

    /// A commit of all that there is room for fails somewhere, and the power goes a moment later.
    fn break_commit(&mut self) -> Check {
        let before = self.disk.set_faults(Faults {
            writes: 4,
            syncs: 4,
            ..Faults::default()
        });
        lock(&self.side()).append(2_000)?;
        for _ in 0..self.random.u32(1..20) {
            self.turn()?;
        }
        self.disk.set_faults(before);
        self.end_process(true)
    }

    /// Some events are acknowledged, and others before them are not, when the cursor is saved.
    pub(super) fn scatter(&mut self) -> Check {
        for agent in 0..self.plan.delivery.agents.len() {
            lock(&self.net).set_mood(agent, Mood::Flaky);
        }
        lock(&self.side()).append(30)?;
        let wait = Duration::from_millis(self.random.u64(50..400));
        self.settle(self.clock.elapsed() + wait)
    }

    /// The process is killed, with the power of the machine or without.
    pub(super) fn end_process(&mut self, with_power: bool) -> Check {
        self.stats.kills += 1;
        let now = self.clock.elapsed();
        self.machine.set_meanwhile(None);
        lock(&self.book).mark();
        self.drop_client();
        let noted_after = match with_power {
            true => {
                let others = self.others.iter().map(|(_, disk)| disk);
                others.for_each(|disk| disk.power_off_and_on());
                self.disk.power_off_and_on();
                SYNCED_AFTER
            }
            false => {
                self.disk.end_process();
                NOTED_AFTER
            }
        };
        // Only a disk that never hesitates notes in time what was acknowledged.
        let is_sound = self.plan.is_disk_sound() && self.plan.slow_syncs == 0;
        let noted = is_sound.then(|| now.saturating_sub(noted_after));
        lock(&self.book).end_run(self.plan.spool.is_some(), noted);
        self.open()
    }

    pub(super) fn drop_client(&mut self) {
        if let Some(side) = self.side.take() {
            let side = lock(&side);
            self.stats.accepted += side.accepted;
            self.stats.refused += side.refused;
        }
        self.committer = None;
        lock(&self.net).end_process();
    }

    /// The client is closed, and another one opened.
    fn close(&mut self) -> Check {
        let timeout = Duration::from_millis(self.random.u64(0..3000));
        self.close_and_open(timeout)
    }

    pub(super) fn close_and_open(&mut self, timeout: Duration) -> Check {
        self.stats.closes += 1;
        self.close_within(timeout)?;
        self.check_kept()?;
        self.machine.set_meanwhile(None);
        lock(&self.book).mark();
        self.drop_client();
        self.disk.end_process();
        lock(&self.book).end_run(self.plan.spool.is_some(), None);
        self.open()
    }

    /// What no agent took before the close is on the disk, if that had room.
    fn check_kept(&self) -> Check {
        let stats = lock(&self.side()).callers.stats();
        let is_well = stats.spool.as_ref().is_some_and(|it| it.trouble.is_none());
        let lost = stats.level(self.plan.level).lost;
        let is_kept = lost.closed + lost.unknown == 0;
        ensure(
            is_kept || !is_well || !self.plan.is_disk_sound(),
            "what is in memory goes to the disk at the close",
            || format!("{stats:?}"),
        )
    }

    pub(super) fn close_within(&mut self, timeout: Duration) -> Check {
        let side = self.side();
        let begun = self.clock.elapsed();
        // Somewhere within a commit, if there is one.
        if self.plan.spool.is_some() && self.random.bool() {
            lock(&side).closes_in_work = Some(timeout);
            lock(&side).append(1)?;
            for _ in 0..20 {
                self.turn()?;
            }
        }
        if !lock(&side).is_closed {
            lock(&side).closes_in_work = None;
            lock(&side).close(timeout);
        }
        let waiting = lock(&side).closing.take().expect("it was closed");
        let mut report = None;
        // A disk that takes long is not waited for by whoever asks for the report.
        let most = timeout + Duration::from_secs(30);
        for _ in 0..TURNS_MAX {
            if report.is_none() {
                report = waiting.poll(Waker::noop());
            }
            let (sender, committer) = {
                let side = lock(&side);
                (side.party.has_ended, side.committer.has_ended)
            };
            if sender && committer {
                break;
            }
            if !self.turn()? {
                let at = self.next_event();
                ensure(at.is_some(), "a closed client ends", || {
                    format!("sender {sender}, committer {committer}")
                })?;
                self.advance(None);
            }
            if let Some(broken) = lock(&self.book).broken.take() {
                return Err(broken);
            }
            let took = self.clock.elapsed() - begun;
            ensure(took < most + 100 * SECOND, "a closed client ends", || {
                format!("not within {took:?}")
            })?;
            if self.disk.is_crashed() {
                // Nothing works any more.
                return Ok(());
            }
        }
        report = report.or_else(|| waiting.poll(Waker::noop()));
        ensure(report.is_some(), "who closes gets a report", String::new)
    }
}
