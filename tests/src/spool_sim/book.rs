//! [`Book`]: what was promised to whom, kept apart from the spool.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use flume_client::seq::{Seq, SeqRange};

/// Every event that was ever pushed, by its client and its number.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// Whose events the spool has taken since the last start.
    client: u64,
    events: BTreeMap<Seq, Entry>,
    /// Told to be missing, since the first start.
    missing: BTreeSet<Seq>,
    /// Read since the last start.
    read: BTreeSet<Seq>,
    /// The events and the missing ones of other clients.
    others: BTreeMap<u64, (BTreeMap<Seq, Entry>, BTreeSet<Seq>)>,
}

#[derive(Debug)]
struct Entry {
    datum: Vec<u8>,
    stored: bool,
    retired: bool,
    /// Its file was taken away.
    taken: bool,
}

type Broken = (&'static str, String);

impl Book {
    pub(super) fn push(&mut self, number: Seq, datum: Vec<u8>) -> Result<(), Broken> {
        let entry = Entry {
            datum,
            stored: false,
            retired: false,
            taken: false,
        };
        match self.events.insert(number, entry) {
            Some(earlier) if earlier.stored => {
                Err(("a number is given once", format!("{number} twice")))
            }
            _ => Ok(()),
        }
    }

    /// Everything that was pushed in this run is reported durable, but for what agents took before
    /// it was: a run of nothing else leaves no trace, and its numbers are given again, by a run of
    /// another id. Returns how many are new.
    pub(super) fn store(&mut self, range: SeqRange) -> u64 {
        let mut new = 0;
        for (_, entry) in self.events.range_mut(range.first..range.end) {
            if !entry.stored && !entry.retired {
                entry.stored = true;
                new += 1;
            }
        }
        new
    }

    /// The spool was opened and says whose it is. Only if damage hid that may it be another's than
    /// before: then numbers begin anew, and together with the client they are still given once.
    pub(super) fn start(&mut self, client: u64, damaged: bool) -> Result<(), Broken> {
        self.read.clear();
        if client == self.client {
            return Ok(());
        }
        if !damaged && self.events.values().any(|entry| entry.stored) {
            let details = format!("{:x} became {client:x}", self.client);
            return Err(("a spool keeps its client", details));
        }
        let now = self.others.remove(&client).unwrap_or_default();
        let events = mem::replace(&mut self.events, now.0);
        let missing = mem::replace(&mut self.missing, now.1);
        self.others.insert(self.client, (events, missing));
        self.client = client;
        Ok(())
    }

    /// `late`: events behind it may have been read before.
    pub(super) fn read(&mut self, number: Seq, datum: &[u8], late: bool) -> Result<(), Broken> {
        let Some(entry) = self.events.get(&number) else {
            return Err(("only events are read", format!("{number} was never pushed")));
        };
        if entry.datum != datum {
            let details = format!("{number} has {} bytes, not its own", datum.len());
            return Err(("an event is read as it was written", details));
        }
        let last = self.read.last().copied();
        if !self.read.insert(number) {
            return Err(("an event is read once per start", number.to_string()));
        }
        if !late && last.is_some_and(|last| last > number) {
            return Err((
                "events are read in order",
                format!("{number} after {last:?}"),
            ));
        }
        Ok(())
    }

    /// In order.
    pub(super) fn read_since_start(&self) -> impl Iterator<Item = Seq> {
        self.read.iter().copied()
    }

    /// Marks a range as missing; returns whether an event that was stored is in it, and its file
    /// was not taken away.
    pub(super) fn miss(&mut self, range: SeqRange) -> bool {
        let mut lost = false;
        for (number, entry) in self.events.range(range.first..range.end) {
            lost |= entry.stored && !entry.retired && !entry.taken;
            self.missing.insert(*number);
        }
        lost
    }

    /// Events in a file that somebody takes away.
    pub(super) fn take_away(&mut self, range: SeqRange) {
        for (_, entry) in self.events.range_mut(range.first..range.end) {
            entry.taken = true;
        }
    }

    /// Of the numbers of a range: those that were given to events, and those of events that were
    /// stored and are not done with.
    pub(super) fn count(&self, range: SeqRange) -> (u64, u64) {
        let events = self.events.range(range.first..range.end);
        let open = |(_, entry): &(&Seq, &Entry)| entry.stored && !entry.retired && !entry.taken;
        (
            events.clone().count() as u64,
            events.filter(open).count() as u64,
        )
    }

    pub(super) fn retire(&mut self, range: SeqRange) {
        for (_, entry) in self.events.range_mut(range.first..range.end) {
            entry.retired = true;
        }
    }

    /// What was read since the start and not retired.
    pub(super) fn unretired(&self) -> Vec<Seq> {
        let read = self.read.iter().copied();
        read.filter(|number| self.events.get(number).is_some_and(|it| !it.retired))
            .collect()
    }

    /// After all was read: nothing that was stored is missing but what was told so.
    pub(super) fn check_all_read(&self) -> Result<(), Broken> {
        for (number, entry) in &self.events {
            let accounted =
                self.read.contains(number) || self.missing.contains(number) || entry.taken;
            if entry.stored && !entry.retired && !accounted {
                return Err(("a stored event is read after any crash", number.to_string()));
            }
        }
        Ok(())
    }
}
