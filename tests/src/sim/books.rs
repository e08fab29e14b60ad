//! The books of all levels, and what the levels owe each other: turns.

use flume_client::Reliability;
use flume_client::delivery::{Batch, Counters, Outcome, Settings};
use flume_client::seq::Seq;

use super::book::{Acked, Book, End, Events};
use super::options::LEVELS;
use super::time::Nanos;
use super::violation::{Check, ensure};

#[derive(Debug)]
pub(super) struct Books {
    books: [Book; LEVELS.len()],
    /// Batches of others in a row that left while one of this level could have.
    passed_over: [usize; LEVELS.len()],
    pub(super) connects: u64,
    /// Something was given up.
    pub(super) is_closing: bool,
    /// Everything was, of all levels.
    pub(super) abandoned: bool,
    pub(super) calm: bool,
}

impl Books {
    pub(super) fn new(settings: &Settings, calm: bool) -> Self {
        Self {
            books: LEVELS.map(|level| Book::new(level, settings, calm)),
            passed_over: [0; LEVELS.len()],
            connects: 0,
            is_closing: false,
            abandoned: false,
            calm,
        }
    }

    pub(super) fn of(&self, level: Reliability) -> &Book {
        &self.books[index(level)]
    }

    pub(super) fn of_mut(&mut self, level: Reliability) -> &mut Book {
        &mut self.books[index(level)]
    }

    /// Events and bytes of all levels that are not done with.
    pub(super) fn pending(&self) -> (u64, u64) {
        let pending = self.books.iter().map(Book::pending);
        pending.fold((0, 0), |(events, bytes), of| (events + of.0, bytes + of.1))
    }

    pub(super) fn counters(&self) -> Counters {
        let books = self.books.iter();
        let sum = books.fold(Counters::default(), |sum, book| sum + book.counters);
        Counters {
            connects: self.connects,
            ..sum
        }
    }

    pub(super) fn duplicates(&self) -> u64 {
        self.books.iter().map(|book| book.duplicates).sum()
    }

    /// All open batches are closed.
    pub(super) fn seal(&mut self) {
        self.books.iter_mut().for_each(Book::seal);
    }

    /// Everything of a level is given up, which ends all connections.
    pub(super) fn abandon(&mut self, level: Reliability) {
        self.is_closing = true;
        self.of_mut(level).abandoned = true;
    }

    /// A batch leaves for an agent.
    pub(super) fn send(&mut self, now: Nanos, batch: &Batch, quiet: bool) -> Check {
        self.take_turn(now, batch)?;
        self.of_mut(batch.level).send(now, batch, quiet)
    }

    /// No level waits for more than a batch of each other one, or for one that rests.
    fn take_turn(&mut self, now: Nanos, batch: &Batch) -> Check {
        let level = batch.level;
        let rests = self.of(level).rests(batch.first, now);
        for ((other, book), passed_over) in LEVELS
            .iter()
            .zip(&mut self.books)
            .zip(&mut self.passed_over)
        {
            if *other == level || !book.could_send(now) {
                *passed_over = 0;
                continue;
            }
            ensure(!rests, "one that rests goes first", || {
                format!("{batch:?} is sent before one of {other:?}")
            })?;
            *passed_over += 1;
            ensure(*passed_over < LEVELS.len(), "turns", || {
                format!("{passed_over} batches in a row are sent before one of {other:?}")
            })?;
        }
        Ok(())
    }

    pub(super) fn end_call(&mut self, now: Nanos, events: Events, ending: End) {
        self.of_mut(events.level)
            .end_call(now, events.range, ending);
    }

    /// An agent commits events.
    pub(super) fn store(&mut self, agent: usize, events: Events) -> Check {
        self.of_mut(events.level).store(agent, events.range)
    }

    /// The core is done with events. `acked` is the call that the present input acknowledges.
    pub(super) fn retire(
        &mut self,
        events: Events,
        bytes: u32,
        outcome: Outcome,
        acked: Option<Acked>,
    ) -> Check {
        self.of_mut(events.level)
            .retire(events, bytes, outcome, acked)
    }

    /// Leaves out the numbers of so many events, and says which one comes next.
    pub(super) fn skip(&mut self, level: Reliability, events: usize) -> Seq {
        self.of_mut(level).skip(events)
    }
}

fn index(level: Reliability) -> usize {
    let mut levels = LEVELS.iter();
    let index = levels.position(|known| *known == level);
    index.expect("all levels are listed")
}
