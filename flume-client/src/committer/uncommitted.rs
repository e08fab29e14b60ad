//! [`Uncommitted`]: chunks that were taken from callers and are not durable, and when agents are
//! given them all the same. Pure: time is an argument.
//!
//! A chunk is sent once it is stored, or while it is if somebody waits for one of its events. If the
//! disk takes nothing for [`DELIVER_UNSTORED_AFTER`], or the client is closed meanwhile, chunks are
//! handed on from memory: an event that an agent has is safe from the end of this process, one that
//! waits here is not. They stay to be stored until they are acknowledged, whichever comes first.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::queue::Chunk;
use crate::seq::Seq;

/// How long events wait for a disk that takes none before they are delivered from memory. What it
/// costs: if the process is killed or the power fails before an agent has acknowledged them, they
/// are lost, as they would be while they wait. In this time a disk is tried half a dozen times.
pub(crate) const DELIVER_UNSTORED_AFTER: Duration = Duration::from_secs(2);

/// Oldest first.
#[derive(Debug, Default)]
pub(crate) struct Uncommitted {
    chunks: VecDeque<Taken>,
    /// Those of all chunks.
    bytes: usize,
    /// How many of the first ones the log has.
    logged: usize,
    /// The first failure since the disk took something last.
    failing_since: Option<Instant>,
}

#[derive(Debug)]
struct Taken {
    first: Seq,
    end: Seq,
    bytes: usize,
    at: Instant,
    /// `None`: it was handed on unstored.
    chunk: Option<Chunk>,
}

impl Uncommitted {
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Takes in a chunk that follows the last one, and that the log does not have.
    pub(crate) fn push(&mut self, chunk: Chunk, now: Instant) {
        self.bytes += chunk.bytes.len();
        self.chunks.push_back(Taken {
            first: chunk.first,
            end: chunk.range().end,
            bytes: chunk.bytes.len(),
            at: now,
            chunk: Some(chunk),
        });
    }

    /// Hands the chunks to the log that it does not have.
    pub(crate) fn log(&mut self, mut log: impl FnMut(&Chunk)) {
        for taken in self.chunks.range(self.logged..) {
            let chunk = taken.chunk.as_ref();
            log(chunk.expect("what the log does not have was not handed on"));
        }
        self.logged = self.chunks.len();
    }

    /// Bytes of all events.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the first chunk was taken.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.chunks.front().map(|taken| taken.at)
    }

    /// The first event that was not handed on.
    pub(crate) fn first(&self) -> Option<Seq> {
        let mut waiting = self.chunks.iter().filter(|taken| taken.chunk.is_some());
        waiting.next().map(|taken| taken.first)
    }

    /// Whether more chunks are of use: those before are stored, or handed on.
    pub(crate) fn takes_more(&self) -> bool {
        self.chunks.iter().all(|taken| taken.chunk.is_none())
    }

    /// The disk took nothing.
    pub(crate) fn fail(&mut self, now: Instant) {
        self.failing_since.get_or_insert(now);
    }

    /// The disk took everything.
    pub(crate) fn recover(&mut self) {
        self.failing_since = None;
    }

    /// Lets go of events below `upto`, which are stored or retired. Says how many bytes they
    /// were; chunks that were not handed on go to `chunks`.
    pub(crate) fn settle(&mut self, upto: Seq, chunks: &mut Vec<Chunk>) -> usize {
        let settled = self.chunks.partition_point(|taken| taken.end <= upto);
        self.logged -= settled;
        let mut bytes = 0;
        for taken in self.chunks.drain(..settled) {
            bytes += taken.bytes;
            chunks.extend(taken.chunk);
        }
        self.bytes -= bytes;
        bytes
    }

    /// When chunks are to be handed on unstored, if some wait for it.
    pub(crate) fn hand_on_at(&self, is_closed: bool) -> Option<Instant> {
        let since = self.failing_since?;
        let at = match is_closed {
            true => since,
            false => since + DELIVER_UNSTORED_AFTER,
        };
        (!self.takes_more()).then_some(at)
    }

    /// Hands chunks that begin below `upto` to `takes` until it gives one back, and before that each
    /// to the log, if it does not have it.
    pub(crate) fn hand_on(
        &mut self,
        upto: Seq,
        mut log: impl FnMut(&Chunk),
        mut takes: impl FnMut(Chunk) -> Result<(), Chunk>,
    ) {
        for (place, taken) in self.chunks.iter_mut().enumerate() {
            if taken.first >= upto {
                return;
            }
            let Some(chunk) = taken.chunk.take() else {
                continue;
            };
            if place == self.logged {
                log(&chunk);
                self.logged += 1;
            }
            if let Err(chunk) = takes(chunk) {
                taken.chunk = Some(chunk);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(first: u64, events: u32) -> Chunk {
        Chunk {
            first: Seq::new(first),
            bytes: vec![0; events as usize * 10],
            ends: (1..=events).map(|event| event * 10).collect(),
        }
    }

    /// Three chunks of ten events each.
    fn three() -> Uncommitted {
        let mut uncommitted = Uncommitted::default();
        for first in [0, 10, 20] {
            uncommitted.push(chunk(first, 10), Instant::now());
        }
        uncommitted.log(|_| ());
        uncommitted
    }

    #[test]
    fn chunks_wait_for_the_disk_two_seconds_from_its_first_failure_and_no_more_once_closed() {
        let (mut uncommitted, start) = (three(), Instant::now());
        assert_eq!(uncommitted.hand_on_at(true), None, "nothing has failed");
        uncommitted.fail(start);
        uncommitted.fail(start + Duration::from_secs(1));
        let later = start + DELIVER_UNSTORED_AFTER;
        assert_eq!(uncommitted.hand_on_at(false), Some(later));
        assert_eq!(uncommitted.hand_on_at(true), Some(start));
        uncommitted.recover();
        assert_eq!(uncommitted.hand_on_at(true), None);
    }

    #[test]
    fn each_chunk_is_logged_once_before_it_is_handed_on() {
        let (mut uncommitted, now) = (Uncommitted::default(), Instant::now());
        for first in [0, 10, 20] {
            uncommitted.push(chunk(first, 10), now);
        }
        assert_eq!(
            (uncommitted.bytes(), uncommitted.oldest()),
            (300, Some(now))
        );
        let mut logged = Vec::new();
        let takes = |chunk: Chunk| match chunk.first.number() {
            10 => Err(chunk),
            _ => Ok(()),
        };
        uncommitted.hand_on(Seq::MAX, |chunk| logged.push(chunk.first.number()), takes);
        assert_eq!(logged, [0, 10], "the second was not taken");
        let mut left = Vec::new();
        assert_eq!(uncommitted.settle(Seq::new(20), &mut left), 200);
        uncommitted.log(|chunk| logged.push(chunk.first.number()));
        assert_eq!(logged, [0, 10, 20]);
        assert_eq!(uncommitted.settle(Seq::new(30), &mut left), 100);
        assert_eq!((uncommitted.bytes(), uncommitted.oldest()), (0, None));
    }

    #[test]
    fn what_was_handed_on_is_let_go_of_without_its_chunk_and_more_is_taken_then() {
        let (mut uncommitted, start) = (three(), Instant::now());
        uncommitted.fail(start);
        let mut handed_on = Vec::new();
        uncommitted.hand_on(
            Seq::MAX,
            |_| (),
            |chunk| match chunk.first.number() {
                20 => Err(chunk),
                first => {
                    handed_on.push(first);
                    Ok(())
                }
            },
        );
        assert_eq!(handed_on, [0, 10]);
        assert!(!uncommitted.takes_more(), "the third has no room yet");
        let mut left = Vec::new();
        let upto = Seq::new(19);
        assert_eq!(uncommitted.settle(upto, &mut left), 100, "the first");
        assert!(left.is_empty());
        uncommitted.hand_on(Seq::MAX, |_| (), |_| Ok(()));
        assert!(uncommitted.takes_more() && !uncommitted.is_empty());
        assert_eq!(uncommitted.hand_on_at(true), None);
        uncommitted.push(chunk(30, 1), Instant::now());
        uncommitted.log(|_| ());
        assert_eq!(uncommitted.settle(Seq::new(31), &mut left), 210);
        let left: Vec<Seq> = left.iter().map(|chunk| chunk.first).collect();
        assert_eq!(left, [Seq::new(30)], "one that was never handed on");
        assert!(uncommitted.is_empty());
    }
}
