//! What is checked about the disk, and when all is over.

use flume_client::seq::{Seq, SeqRange};
use flume_client::spool::{ALIGNMENT, FileName, FrameHeader, Log, Place, SpoolError};

use super::disk::Faults;
use super::world::{Broken, World};

impl World {
    /// All is well again, and everything is read.
    pub(super) fn end(&mut self) -> Result<(), Broken> {
        self.disk.set_capacity(u64::MAX / 2);
        self.disk.set_read_only(false);
        self.plan.faults = Faults::default();
        self.plan.full_disk = false;
        self.plan.read_only = false;
        self.plan.settings_change = false;
        self.lift_all();
        self.plan.obstacles = false;
        self.surveyed = Some(Vec::new());
        let loses_power = self.plan.power_losses && self.random.bool();
        if loses_power {
            self.lose_power()?;
        } else {
            self.kill()?;
        }
        // Everything that is stored is below what is durable now.
        let mut steps = 0;
        while self.read_one()? {
            steps += 1;
            if steps > 100_000 {
                return Err(("reading comes to its end", String::new()));
            }
        }
        self.check_survey()?;
        self.check_lost()?;
        self.check_stale()?;
        self.check_reuse()?;
        let tally = self.disk.tally();
        self.stats.operations = tally.operations;
        self.stats.faults = tally.faults;
        Ok(())
    }

    /// Who only looked before the last start saw what it gave.
    fn check_survey(&self) -> Result<(), Broken> {
        let surveyed = self.surveyed.as_deref().unwrap_or_default();
        if surveyed.iter().copied().eq(self.book.read_since_start()) {
            return Ok(());
        }
        let read: Vec<_> = self.book.read_since_start().collect();
        let details = format!("surveyed {surveyed:?}, read {read:?}");
        Err(("a survey sees what a start reads", details))
    }

    fn check_lost(&self) -> Result<(), Broken> {
        match self.book.check_all_read() {
            // A damaged segment's header hides how much was in it.
            Err(broken) if !self.damaged => Err(broken),
            _ => Ok(()),
        }
    }

    /// What an earlier use of a file left behind is no frame of the segment it is now.
    fn check_stale(&self) -> Result<(), Broken> {
        let segments = self.log.as_ref().map(Log::segments).unwrap_or_default();
        for segment in segments.readable {
            let content = self.disk.content(FileName::Segment(segment.id));
            for offset in (0..content.len()).step_by(ALIGNMENT) {
                let place = Place {
                    salt: segment.header.salt,
                    offset: offset as u64,
                };
                let frame = FrameHeader::read(place, &content[offset..]);
                if frame.is_some_and(|frame| frame.first < segment.header.first) {
                    let details = format!("{frame:?} in {segment:?}");
                    return Err(("an old frame is none of a new segment", details));
                }
            }
        }
        Ok(())
    }

    /// Once all is done with, the disk is free again.
    fn check_reuse(&mut self) -> Result<(), Broken> {
        let Some(log) = &mut self.log else {
            return Ok(());
        };
        log.retire(SeqRange::new(Seq::ZERO, log.readable_upto()));
        match log.save().and_then(|()| log.reserve()) {
            // What was set aside takes room too.
            Err(SpoolError::Quota) if self.damaged => {}
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

    pub(super) fn check_quota(&self) -> Result<(), Broken> {
        let (peak, quota) = (self.disk.peak_bytes(), self.settings.bytes_max);
        // Files of nonsense are not of the spool's making, and what was cut off without a good sync
        // can come back with the power.
        let excused = self.plan.damage || self.plan.power_losses && self.plan.faults.syncs > 0;
        if peak > quota && !excused {
            return Err(("the quota is never exceeded", format!("{peak} of {quota}")));
        }
        Ok(())
    }

    /// After the first segment of a run the reserve is not touched.
    pub(super) fn check_reserve(&self, log: &Log) -> Result<(), Broken> {
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
}
