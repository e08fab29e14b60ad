//! What a spool's reader does: events in order, and late those that could not be read.

use flume_client::seq::{Seq, SeqRange};
use flume_client::spool::{FileName, Gap, Log, Missing, ReadFailure, Reader, Step};

use super::unread::Sums;
use super::world::{Broken, World};

impl World {
    pub(super) fn read(&mut self) -> Result<(), Broken> {
        for _ in 0..self.random.u32(1..12) {
            if !self.read_one()? {
                break;
            }
        }
        Ok(())
    }

    /// `false` without a log, at the end, or after an error of the disk.
    pub(super) fn read_one(&mut self) -> Result<bool, Broken> {
        let Some(mut log) = self.log.take() else {
            return Ok(false);
        };
        let more = self.read_step(&mut log);
        self.log = Some(log);
        more
    }

    /// `false` at the end or after an error of the disk.
    pub(super) fn read_step(&mut self, log: &mut Log) -> Result<bool, Broken> {
        let mut reader = std::mem::replace(&mut self.reader, Reader::new(Seq::ZERO, Seq::ZERO));
        let (next, upto) = (reader.next(), log.readable_upto());
        let more = self.step(&mut reader, log, upto, false);
        // What is nobody's is done with when it is passed.
        let passed = self.step_first.unwrap_or(reader.next().min(upto));
        log.retire(SeqRange::new(next, passed));
        self.reader = reader;
        more
    }

    /// Tries again all that could not be read.
    pub(super) fn read_late(&mut self) -> Result<(), Broken> {
        let Some(mut log) = self.log.take() else {
            return Ok(());
        };
        let mut outcome = Ok(());
        for range in std::mem::take(&mut self.left_out) {
            outcome = outcome.and_then(|()| self.read_range(range, &mut log));
        }
        self.log = Some(log);
        outcome
    }

    fn read_range(&mut self, range: SeqRange, log: &mut Log) -> Result<(), Broken> {
        let mut reader = Reader::new(range.first, self.opened_durable_upto);
        let mut rest = range;
        self.unread.late = Sums::default();
        while self.step(&mut reader, log, range.end, true)? {
            // What is nobody's among it is done with, too.
            log.retire(rest.below(self.step_first.take().unwrap_or(rest.first)));
            rest.first = reader.next();
        }
        if !rest.is_empty() && reader.next() < range.end {
            self.left_out.push(rest);
        } else {
            log.retire(rest);
        }
        Ok(())
    }

    fn step(
        &mut self,
        reader: &mut Reader,
        log: &mut Log,
        upto: Seq,
        late: bool,
    ) -> Result<bool, Broken> {
        self.step_first = None;
        let segments = log.segments();
        match reader.advance(self.disk.as_ref(), &segments, log.retired(), upto) {
            Ok(Step::Frame) => {
                self.read_frame(reader, late)?;
                Ok(true)
            }
            Ok(Step::Gap(gap)) => {
                self.step_first = Some(gap.range.first);
                self.meet_gap(&gap, log, late)?;
                Ok(true)
            }
            Ok(Step::End) => Ok(false),
            Err(error) if self.expects_no_error() => {
                Err(("a sound disk can be read", error.to_string()))
            }
            Err(error) => {
                // As long as it may pass, nobody goes on behind it.
                let passes = ReadFailure::of(&error) == ReadFailure::Passing;
                if !passes && !self.disk.is_crashed() && self.random.u32(0..3) == 0 {
                    // It may be readable again, or have another name, when the gap is told.
                    if let Some(id) = reader.segment() {
                        let file = FileName::Segment(id);
                        let bytes = self.disk.content(file).len() as u64;
                        self.unread.note(file, bytes);
                    }
                    reader.skip_unread(&error);
                    return Ok(true);
                }
                Ok(false)
            }
        }
    }

    fn expects_no_error(&self) -> bool {
        self.plan.faults.reads == 0 && !self.plan.obstacles && !self.disk.is_crashed()
    }

    fn read_frame(&mut self, reader: &Reader, late: bool) -> Result<(), Broken> {
        let Some(frame) = reader.frame() else {
            return Err(("a frame that was found is there", String::new()));
        };
        self.step_first = Some(frame.wanted().first);
        for (number, datum) in frame.events() {
            self.book.read(number, datum, late)?;
            self.stats.read += 1;
        }
        Ok(())
    }

    fn meet_gap(&mut self, gap: &Gap, log: &mut Log, late: bool) -> Result<(), Broken> {
        self.check_bound(gap, log, late)?;
        if gap.missing == Missing::Unreadable {
            if !self.plan.obstacles && self.plan.faults.reads == 0 && !self.damaged {
                return Err(("a sound disk can be read", format!("{gap:?}")));
            }
            self.stats.left_out += 1;
            self.left_out.push(gap.range);
            return Ok(());
        }
        let lost = self.book.miss(gap.range);
        if lost && !self.damaged {
            let details = format!("{gap:?}");
            return Err(("a stored event is read after any crash", details));
        }
        // After a failed sync the machine itself believes what is not on the disk. And nobody knows
        // of an unfinished write at the end of a file that could not be read when the next run began.
        let is_lost = gap.missing == Missing::Lost;
        let is_told = self.damaged || self.syncs_fail || self.took_away || self.began_unread;
        if is_lost && !is_told {
            return Err(("what is done with is not told as lost", format!("{gap:?}")));
        }
        // What nothing later bears witness of looks like a write that was never finished. That a run
        // stores events tells nothing of those before it.
        let witnessed = match gap.range.first < self.first {
            true => self.witnessed_before,
            false => self.witnessed,
        };
        if lost && !is_lost && gap.range.first < witnessed {
            return Err(("damage is told as such", format!("{gap:?}")));
        }
        self.stats.gaps += u64::from(lost);
        if let (Missing::Lost, Some(segment)) = (gap.missing, gap.segment) {
            log.mark_damaged(segment);
        }
        log.retire(gap.range);
        Ok(())
    }
}
