//! How a [`World`] ends: everything works again, and what must hold then is looked at.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use flume_client::Reliability;
use flume_client::spool::{FileName, SpoolError};
use flume_client::stats::Stats as Counters;

use super::agents::Mood;
use super::promise::{Check, ensure};
use super::world::{NOTED_AFTER, SECOND, SYNCED_AFTER, TURNS_MAX, World, lock};
use crate::spool_sim::disk::{Faults, SimDisk};

/// Everything has come to its end after this long, once nothing goes wrong any more.
const HEALED_WITHIN: Duration = Duration::from_secs(1200);

impl World {
    /// Everything works again, and all comes to its end.
    pub(super) fn heal(&mut self) -> Check {
        if self.plan.unreadable && self.plan.spool.is_some() {
            // What an earlier process left cannot be read when everything heals.
            self.end_process(false)?;
            (0..4).for_each(|_| self.meet_obstacle());
            let wait = Duration::from_millis(self.random.u64(0..8_000));
            self.settle(self.clock.elapsed() + wait)?;
        }
        if self.plan.spool.is_some() && !self.plan.is_disk_sound() && self.random.bool() {
            // Events wait for a disk that takes nothing when everything heals.
            self.disk.set_read_only(true);
            lock(&self.side()).append(3)?;
            let wait = Duration::from_millis(self.random.u64(0..8_000));
            self.settle(self.clock.elapsed() + wait)?;
        }
        // Agents that work wake the threads, and so do agents that begin to work.
        if self.random.bool() {
            lock(&self.net).heal();
        }
        self.machine.heal();
        self.disk.set_faults(Faults::default());
        self.disk.set_capacity(u64::MAX / 2);
        self.disk.set_read_only(false);
        self.disk.make_readable();
        if self.disk.is_crashed() {
            self.end_process(true)?;
        }
        // The power stays.
        self.disk.end_process();
        let side = self.side();
        self.rests = true;
        lock(&side).rests = true;
        if self.random.bool() {
            lock(&side).append(3)?;
        }
        self.check_disk()?;
        lock(&self.net).heal();
        let until = self.clock.elapsed() + HEALED_WITHIN;
        self.settle(until)?;
        let counters = lock(&side).callers.stats();
        ensure(counters.pending == 0, "every event arrives", || {
            format!("{} are pending: {counters:?}", counters.pending)
        })?;
        lock(&self.book).check_arrived()?;
        lock(&side).check_quiet()?;
        self.check_adopted(&counters)?;
        self.check_room()?;
        self.check_levels()?;
        self.check_spill()?;
        self.check_scattered()?;
        self.check_idle()?;
        self.check_noted()
    }

    /// A disk that works again is found out soon.
    fn check_disk(&mut self) -> Check {
        self.settle(self.clock.elapsed() + 5 * SECOND)?;
        let spool = lock(&self.side()).callers.stats().spool;
        // A disk that failed may have left no room for what is not delivered yet.
        let is_full = |trouble: &Arc<SpoolError>| **trouble == SpoolError::Quota;
        let is_well = spool.as_ref().is_none_or(|it| match &it.trouble {
            Some(trouble) => is_full(trouble),
            // What waits in memory may do so.
            None => it.unstored == 0 || self.plan.level == Reliability::StoreOnFailure,
        });
        ensure(is_well, "a disk that works again is used again", || {
            format!("{spool:?}")
        })
    }

    /// What was acknowledged a moment ago is noted, and does not come again after a kill, nor a little
    /// later after a power loss.
    fn check_noted(&mut self) -> Check {
        if self.plan.spool.is_none() {
            return Ok(());
        }
        let (with_power, after) = match self.random.bool() {
            true => (true, SYNCED_AFTER),
            false => (false, NOTED_AFTER),
        };
        if with_power {
            // What was committed is noted before it is acknowledged, so that nothing else is.
            self.set_moods(Mood::Down);
            lock(&self.side()).append(2)?;
            self.settle(self.clock.elapsed() + 5 * SECOND)?;
            self.set_moods(Mood::Good);
        } else {
            lock(&self.side()).append(2)?;
        }
        let is_quiet = |world: &Self| lock(&world.side()).callers.stats().pending == 0;
        for _ in 0..1200 {
            if is_quiet(self) {
                break;
            }
            self.settle(self.clock.elapsed() + Duration::from_millis(100))?;
        }
        ensure(is_quiet(self), "every event arrives", || {
            "not within 120 s".into()
        })?;
        self.settle(self.clock.elapsed() + after)?;
        self.end_process(with_power)?;
        let recovered = lock(&self.side()).callers.stats().recovered;
        ensure(recovered == 0, "what is noted does not come again", || {
            format!("{recovered} events, with a power loss: {with_power}")
        })
    }

    /// Lets time pass until then.
    pub(super) fn settle(&mut self, until: Duration) -> Check {
        let mut turns = 0;
        while self.clock.elapsed() < until {
            if self.turn()? {
                turns += 1;
                ensure(turns < TURNS_MAX, "it comes to rest", || {
                    let side = self.side();
                    let side = lock(&side);
                    format!("sender {:?}, committer {:?}", side.party, side.committer)
                })?;
            } else {
                self.advance(Some(until));
            }
            self.after()?;
        }
        Ok(())
    }

    /// What others left is delivered, and their places are empty.
    fn check_adopted(&self, counters: &Counters) -> Check {
        // A process that is killed in between leaves the cursor, which tells that nothing is left.
        let is_segment = |file: &FileName| matches!(file, FileName::Segment(_));
        let segments = |disk: &SimDisk| {
            let files = disk.files();
            files.iter().filter(|(file, _)| is_segment(file)).count()
        };
        let files: Vec<_> = self.others.iter().map(|(_, disk)| segments(disk)).collect();
        ensure(
            files.iter().all(|it| *it == 0),
            "what others left is taken",
            || format!("files {files:?}: {counters:?}"),
        )
    }

    /// With nothing pending there is room.
    fn check_room(&mut self) -> Check {
        let side = self.side();
        let mut side = lock(&side);
        let before = side.refused;
        side.append(2)?;
        let counters = side.callers.stats();
        ensure(
            side.refused == before,
            "with nothing pending there is room",
            || format!("{counters:?}"),
        )
    }

    /// What no agent takes goes to the disk, and comes from there; then events stay in memory again.
    fn check_spill(&mut self) -> Check {
        if self.plan.level != Reliability::StoreOnFailure {
            return Ok(());
        }
        self.set_moods(Mood::Down);
        let first = lock(&self.book).next_id();
        lock(&self.side()).append(3)?;
        self.settle(self.clock.elapsed() + 10 * SECOND)?;
        self.settle(self.clock.elapsed() + 10 * SECOND)?;
        let missing = lock(&self.book).not_on_disk(first);
        let counters = lock(&self.side()).callers.stats();
        ensure(
            missing.is_empty() && counters.spilled > 0,
            "what no agent takes goes to the disk",
            || format!("not {missing:?} from {first} on: {counters:?}"),
        )?;
        self.set_moods(Mood::Good);
        self.settle(self.clock.elapsed() + 60 * SECOND)?;
        let commits = |stats: &Counters| stats.spool.as_ref().map_or(0, |it| it.commits);
        let before = lock(&self.side()).callers.stats();
        for _ in 0..3 {
            lock(&self.side()).append(1)?;
            // In between, somebody begins to wait for it.
            self.settle(self.clock.elapsed() + SECOND)?;
            self.settle(self.clock.elapsed() + 10 * SECOND)?;
        }
        let counters = lock(&self.side()).callers.stats();
        let is_delivered = before.pending + counters.pending == 0;
        ensure(
            is_delivered && commits(&before) == commits(&counters),
            "what agents take stays in memory",
            || format!("{before:?}, then {counters:?}"),
        )?;
        // What has not waited for long enough is stored by the close.
        self.set_moods(Mood::Down);
        lock(&self.side()).append(2)?;
        self.close_and_open(Duration::ZERO)?;
        self.set_moods(Mood::Good);
        self.settle(self.clock.elapsed() + 60 * SECOND)?;
        lock(&self.book).check_arrived()
    }

    /// A process is killed when later events are acknowledged and earlier ones are not. At the level
    /// store on failure, all of them have gone to the disk together.
    fn check_scattered(&mut self) -> Check {
        if self.plan.spool.is_none() {
            return Ok(());
        }
        self.scatter()?;
        if self.plan.level == Reliability::StoreOnFailure {
            self.set_moods(Mood::Down);
            // A second later the cursor is saved for other reasons.
            let wait = Duration::from_millis(self.random.u64(800..2_200));
            self.settle(self.clock.elapsed() + wait)?;
        }
        self.end_process(false)?;
        self.set_moods(Mood::Good);
        self.settle(self.clock.elapsed() + 60 * SECOND)?;
        lock(&self.book).check_arrived()
    }

    fn set_moods(&self, mood: Mood) {
        let mut net = lock(&self.net);
        (0..self.plan.delivery.agents.len()).for_each(|agent| net.set_mood(agent, mood));
    }

    /// Events of each level come to their end by themselves.
    fn check_levels(&mut self) -> Check {
        for level in self.plan.other_levels.clone() {
            self.settle(self.clock.elapsed() + 60 * SECOND)?;
            lock(&self.side()).append_at(level, 1)?;
            // In between, somebody begins to wait for it.
            self.settle(self.clock.elapsed() + SECOND)?;
            self.settle(self.clock.elapsed() + 10 * SECOND)?;
            let counters = lock(&self.side()).callers.stats();
            ensure(
                counters.pending == 0,
                "every event arrives by itself",
                || format!("{level:?}: {counters:?}"),
            )?;
        }
        Ok(())
    }

    /// An idle client does next to nothing.
    fn check_idle(&mut self) -> Check {
        let begun = self.clock.elapsed();
        self.settle(begun + 120 * SECOND)?;
        let turns = |world: &Self| {
            let side = world.side();
            let side = lock(&side);
            (side.party.turns, side.committer.turns)
        };
        let before = turns(self);
        let begun = self.clock.elapsed();
        self.settle(begun + 300 * SECOND)?;
        let after = turns(self);
        let (sender, committer) = (after.0 - before.0, after.1 - before.1);
        ensure(
            sender <= 10 && committer <= 60,
            "who has nothing to do sleeps",
            || format!("sender {sender}, committer {committer} turns in 300 s"),
        )
    }

    /// A close in peace leaves nothing.
    pub(super) fn end(&mut self) -> Check {
        let begun = self.clock.elapsed();
        self.close_within(60 * SECOND)?;
        let took = self.clock.elapsed() - begun;
        ensure(
            took < 10 * SECOND,
            "a close in peace takes no longer than it must",
            || format!("{took:?}"),
        )?;
        let side = self.side();
        let asked = lock(&side).callers.flush(SECOND);
        let answered = asked.poll(Waker::noop());
        ensure(
            matches!(answered, Some(None)),
            "who asks a client that has ended is told",
            || format!("{answered:?}"),
        )?;
        let counters = lock(&side).callers.stats();
        // What a sync that failed left in the cache was found by the next process, and is gone with
        // the power: it was nobody's word that it is stored, and is told. So is a write that never
        // came to its end, if its file could not be read when the next process began.
        let may_vanish = self.plan.faults.syncs > 0 || self.plan.unreadable;
        let lost = counters.lost.total() - if may_vanish { counters.lost.corrupt } else { 0 };
        // Best effort may have lost some before all was sound.
        let lost = lost - counters.level(Reliability::BestEffort).lost.total();
        ensure(
            lost + counters.pending == 0,
            "a close in peace loses nothing",
            || format!("{counters:?}"),
        )?;
        self.machine.set_meanwhile(None);
        self.drop_client();
        if self.plan.spool.is_none() {
            return Ok(());
        }
        lock(&self.book).end_run(true, None);
        self.open()?;
        let recovered = lock(&self.side()).callers.stats().recovered;
        self.drop_client();
        ensure(recovered == 0, "what is noted does not come again", || {
            format!("{recovered} events")
        })
    }
}
