//! Files that cannot be read for a while, and what people do to a spool's files.

use flume_client::seq::{Seq, SeqRange};
use flume_client::spool::{
    FileName, FrameHeader, Gap, HeaderBlock, Log, Missing, Place, SEGMENT_HEADER_BYTES,
    SegmentHeader,
};

use super::unread::{EVENT_BYTES_MIN, Obstacle, Sums};
use super::world::{Broken, World};

/// Numbers of a run, as they are in the format.
const RUN: u64 = 1 << 32;
/// Files that a run of the simulator never has more of.
const FILES_MAX: u64 = 1_000;

impl World {
    /// A file becomes unreadable, or one is readable again.
    pub(super) fn meet_obstacle(&mut self) -> Result<(), Broken> {
        if self.random.bool() && !self.obstacles.is_empty() {
            let index = self.random.usize(0..self.obstacles.len());
            let obstacle = self.obstacles.swap_remove(index);
            return self.lift(&obstacle);
        }
        let files = self.disk.files();
        if files.is_empty() {
            return Ok(());
        }
        let (file, bytes) = files[self.random.usize(0..files.len())];
        let is_segment = matches!(file, FileName::Segment(_));
        if !is_segment && file != FileName::Cursor || self.is_in_the_way(file) {
            return Ok(());
        }
        self.stats.obstacles += 1;
        self.unread.note(file, bytes);
        if self.random.bool() {
            self.disk.deny(file, true);
            self.obstacles.push(Obstacle::Denied(file));
        } else if is_segment {
            let byte = self.random.u64(0..bytes.max(1));
            self.disk.break_block(file, byte);
            self.obstacles.push(Obstacle::BadBlock(file));
        }
        Ok(())
    }

    pub(super) fn look_again(&mut self) -> Result<(), Broken> {
        if let Some(log) = &mut self.log {
            log.look_again();
        }
        Ok(())
    }

    /// While no process has the spool: names are changed, files are taken away or are of another
    /// version.
    pub(super) fn meddle(&mut self) {
        let files = self.disk.files();
        let is_free = |(file, _): &&(FileName, u64)| {
            matches!(file, FileName::Segment(_)) && !self.is_in_the_way(*file)
        };
        let segments: Vec<_> = files
            .iter()
            .filter(is_free)
            .map(|(file, _)| *file)
            .collect();
        if segments.len() < 2 {
            return;
        }
        self.stats.obstacles += 1;
        let one = segments[self.random.usize(0..segments.len())];
        let other = segments[self.random.usize(0..segments.len())];
        match self.random.u32(0..4) {
            0 if one != other => {
                self.swapped = true;
                self.disk.swap(one, other);
            }
            1 => {
                self.took_away = true;
                self.note_events_of(one);
                self.disk.take_away(one);
            }
            _ => {
                let before = self.disk.content(one);
                let Some(now) = of_another_version(&before) else {
                    return;
                };
                self.disk.place(one, now.clone());
                self.obstacles
                    .push(Obstacle::OtherVersion(one, before, now));
            }
        }
    }

    /// Lifts all that can be lifted.
    pub(super) fn lift_all(&mut self) {
        for obstacle in std::mem::take(&mut self.obstacles) {
            // What is not as it was is found when all is read.
            let _ = self.lift(&obstacle);
        }
    }

    /// Makes all readable if the cursor is not, or is damaged and there are only headers to tell
    /// whose spool it is. `false`: nothing of it keeps the spool from being opened.
    pub(super) fn lift_to_open(&mut self) -> bool {
        let is_other = |it: &Obstacle| matches!(it, Obstacle::OtherVersion(..));
        let is_cursor = |it: &Obstacle| matches!(it, Obstacle::Denied(FileName::Cursor));
        let denies = self.obstacles.iter().any(is_cursor);
        let hides = self.damaged && !self.obstacles.iter().all(is_other);
        if denies || hides {
            self.disk.make_readable();
            self.obstacles.retain(is_other);
        }
        denies || hides
    }

    fn is_in_the_way(&self, wanted: FileName) -> bool {
        self.obstacles.iter().any(|obstacle| match obstacle {
            Obstacle::Denied(file)
            | Obstacle::BadBlock(file)
            | Obstacle::OtherVersion(file, ..) => *file == wanted,
        })
    }

    fn lift(&mut self, obstacle: &Obstacle) -> Result<(), Broken> {
        match obstacle {
            // The file may have another name by now.
            Obstacle::Denied(_) | Obstacle::BadBlock(_) => {
                self.disk.make_readable();
                let is_other = |it: &Obstacle| matches!(it, Obstacle::OtherVersion(..));
                self.obstacles.retain(is_other);
            }
            Obstacle::OtherVersion(file, before, now) => {
                if self.disk.content(*file) != *now && !self.damaged {
                    let details = format!("{file} is gone or changed");
                    return Err(("a file of another version is left alone", details));
                }
                self.disk.place(*file, before.clone());
            }
        }
        Ok(())
    }

    /// The events in a file are with whoever takes it away.
    fn note_events_of(&mut self, file: FileName) {
        let content = self.disk.content(file);
        let HeaderBlock::Whole(header, _) = HeaderBlock::read(&content) else {
            return;
        };
        for offset in (SEGMENT_HEADER_BYTES..content.len()).step_by(8) {
            let place = Place {
                salt: header.salt,
                offset: offset as u64,
            };
            if let Some(frame) = FrameHeader::read(place, &content[offset..]) {
                self.book.take_away(frame.range());
            }
        }
    }

    /// As many as can have been there are told, and never the distance between two runs.
    pub(super) fn check_bound(&mut self, gap: &Gap, log: &Log, late: bool) -> Result<(), Broken> {
        let (given, open) = self.book.count(gap.range);
        let this = Sums {
            told: gap.events_max,
            given,
            open,
        };
        for (file, bytes) in self.disk.files() {
            if self.is_in_the_way(file) {
                self.unread.note(file, bytes);
            }
        }
        let sums = match gap.missing {
            Missing::Unreadable => self.unread.add(this, log, late),
            _ => this,
        };
        if sums.told < sums.open && !self.damaged {
            let details = format!("{sums:?} with {gap:?}");
            return Err(("what is missing is told with an upper bound", details));
        }
        let room = self.unread.room();
        // A read that fails by chance hides a part of any file.
        let is_known = self.plan.faults.reads == 0 && !self.damaged;
        if gap.missing == Missing::Unreadable && sums.told > sums.given + room && is_known {
            let details = format!("{sums:?} with {gap:?} in room for {room}");
            return Err(("what a file can hold is told once", details));
        }
        self.check_most(given, gap.events_max, || format!("{given} of {gap:?}"))
    }

    /// What was found at a start is not more than can be there, nor less than is, unless somebody
    /// gave a file that cannot be read another name: then only the reader finds that more is missing
    /// elsewhere.
    pub(super) fn check_backlog(&self, log: &Log) -> Result<(), Broken> {
        let stored = SeqRange::new(Seq::ZERO, log.readable_upto());
        let (given, open) = self.book.count(stored);
        let told = log.backlog();
        let is_elsewhere = self.swapped && !log.unread().is_empty();
        if told < open && !self.damaged && !is_elsewhere {
            let details = format!("{told} of {open}");
            return Err(("what is found is told with an upper bound", details));
        }
        self.check_most(given, told, || {
            format!("{told} of {given} were found: {log:?}")
        })
    }

    fn check_most(
        &self,
        given: u64,
        told: u64,
        details: impl FnOnce() -> String,
    ) -> Result<(), Broken> {
        // Files may be larger than they are now by as much as settings change.
        let most = FILES_MAX * self.settings.bytes_max / EVENT_BYTES_MIN;
        if told > given + most.min(RUN / 2) && !self.damaged {
            return Err(("what is missing can have been there", details()));
        }
        Ok(())
    }
}

/// A segment's file with a header of the next version of the format, as whole as its own. `None`: it
/// has no whole one.
#[must_use]
pub fn of_another_version(content: &[u8]) -> Option<Vec<u8>> {
    let HeaderBlock::Whole(header, _) = HeaderBlock::read(content) else {
        return None;
    };
    let mut block = SegmentHeader::to_block(&header);
    let half = SEGMENT_HEADER_BYTES / 2;
    for copy in block.chunks_mut(half) {
        copy[8] += 1;
        let sum = crc(&copy[..half - 4]).to_le_bytes();
        copy[half - 4..].copy_from_slice(&sum);
    }
    let mut content = content.to_vec();
    content[..block.len()].copy_from_slice(&block);
    Some(content)
}

/// CRC-32, as the format has it.
fn crc(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg());
        }
    }
    !sum
}
