//! [`Spill`]: when the events of store on failure go to the disk. Pure: time is an argument.
//!
//! | where events go | until |
//! |---|---|
//! | to the sender, from memory | no agent takes any and the oldest has waited for [`SPILL_AFTER`]; or what is in memory is half of the level's share of the buffer; or the client ends |
//! | to the disk, and then to the sender | agents take them, and the sender has read what lies there |
//!
//! What the sender has already goes to the disk with the rest: its number says that it is the same.

use std::time::{Duration, Instant};

use crate::situations::reached;

/// How long the oldest event waits for an agent before it goes to the disk. Flume OG's agents tried
/// the next one sooner, but a restart of an agent takes longer than a moment, and each spill costs a
/// segment.
pub(crate) const SPILL_AFTER: Duration = Duration::from_secs(1);

/// What decides, at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    /// When the oldest event in memory was taken. `None`: there is none.
    pub(super) oldest: Option<Instant>,
    /// Of all events in memory.
    pub(super) bytes: usize,
    /// Every agent has failed, and none is tried yet.
    pub(super) agents_rest: bool,
}

#[derive(Debug)]
pub(super) struct Spill {
    /// Events go to the disk as they come.
    pub(super) stores: bool,
    /// Bytes in memory from which on they go to the disk.
    bytes_max: usize,
}

impl Spill {
    /// `share` is the level's part of the buffer in bytes. What is on the disk already was stored by
    /// an earlier run.
    pub(super) fn new(share: usize, is_on_disk: bool) -> Self {
        Self {
            stores: is_on_disk,
            bytes_max: share / 2,
        }
    }

    /// Looks at what is in memory. `true`: events go to the disk from now on.
    pub(super) fn begins(&mut self, memory: Memory, is_ending: bool, now: Instant) -> bool {
        let Some(oldest) = memory.oldest.filter(|_| !self.stores) else {
            return false;
        };
        let has_waited = memory.agents_rest && oldest + SPILL_AFTER <= now;
        if has_waited {
            reached!("events go to the disk because no agent takes them");
        } else if memory.bytes > self.bytes_max {
            reached!("events go to the disk because they fill the buffer");
        } else if is_ending {
            reached!("events go to the disk because the client ends");
        } else {
            return false;
        }
        self.stores = true;
        true
    }

    /// When to look again, if nothing happens.
    pub(super) fn deadline(&self, memory: Memory) -> Option<Instant> {
        let oldest = memory.oldest.filter(|_| !self.stores && memory.agents_rest);
        oldest.map(|oldest| oldest + SPILL_AFTER)
    }

    /// An agent has taken events, and the sender has read all that lies on the disk.
    pub(super) fn ends(&mut self) {
        if self.stores {
            reached!("events stay in memory again");
        }
        self.stores = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(oldest: Instant) -> Memory {
        Memory {
            oldest: Some(oldest),
            bytes: 10,
            agents_rest: true,
        }
    }

    #[test]
    fn events_go_to_the_disk_when_the_oldest_has_waited_a_second_and_no_agent_takes_any() {
        let (mut spill, start) = (Spill::new(100, false), Instant::now());
        let waits = memory(start);
        assert_eq!(spill.deadline(waits), Some(start + SPILL_AFTER));
        let early = start + SPILL_AFTER - Duration::from_nanos(1);
        assert!(!spill.begins(waits, false, early));
        let works = Memory {
            agents_rest: false,
            ..waits
        };
        assert_eq!(spill.deadline(works), None);
        assert!(!spill.begins(works, false, start + SPILL_AFTER * 60));
        assert!(spill.begins(waits, false, start + SPILL_AFTER));
        assert!(spill.stores);
        assert_eq!(spill.deadline(waits), None);
        assert!(
            !spill.begins(waits, false, start + SPILL_AFTER),
            "they do already"
        );
        spill.ends();
        assert!(!spill.stores);
    }

    #[test]
    fn events_go_to_the_disk_when_they_fill_half_of_the_share_and_when_the_client_ends() {
        let (mut spill, now) = (Spill::new(100, false), Instant::now());
        let half = Memory {
            bytes: 50,
            agents_rest: false,
            ..memory(now)
        };
        assert!(!spill.begins(half, false, now));
        assert!(spill.begins(Memory { bytes: 51, ..half }, false, now));
        let mut spill = Spill::new(100, false);
        assert!(spill.begins(half, true, now));
        let nothing = Memory {
            oldest: None,
            ..half
        };
        assert!(!Spill::new(100, false).begins(nothing, true, now));
    }

    #[test]
    fn what_an_earlier_run_left_on_the_disk_is_followed_there() {
        assert!(Spill::new(100, true).stores);
    }
}
