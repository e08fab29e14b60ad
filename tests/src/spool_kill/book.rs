//! [`Book`]: what was reported stored and what arrived, and whether that is as promised. No clock,
//! no IO.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use flume_client::Event;
use flume_client::event_id::EVENT_ID_HEADER;

use super::plan::{BATCH_EVENTS, BATCHES_IN_FLIGHT};
use super::writer::Number;

/// Broken promises that are told one by one.
const TOLD_MAX: usize = 20;

#[derive(Debug, Default)]
pub(super) struct Book {
    /// By round and thread.
    lanes: BTreeMap<(u32, u32), Lane>,
    rounds: BTreeMap<u32, Round>,
    /// By which run id the events of a process are named, and in which place it wrote them.
    runs: BTreeMap<Process, String>,
    places: BTreeMap<Process, u32>,
    broken: Vec<String>,
    broken_untold: u64,
}

/// A round, and which process of it.
type Process = (u32, u32);

/// The events of one thread of one process.
#[derive(Debug, Default)]
struct Lane {
    /// Events below were reported stored, or appended.
    stored: u64,
    appended: u64,
    arrivals: Vec<Option<Arrival>>,
}

#[derive(Clone, Copy, Debug)]
struct Arrival {
    /// The number in its id.
    sequence: u64,
    /// The round in which it came last.
    round: u32,
}

#[derive(Clone, Debug, Default)]
struct Round {
    arrived: u64,
    is_unordered: bool,
    /// Events that came last, within the time that the cursor may lag behind.
    latest: u64,
    /// Events that had come by the end of this round, and came again later.
    again: u64,
    /// Batches that may have been under way.
    in_flight: u32,
}

/// A kill, and the events that came again because of it. One before which fewer events came than
/// may come again tells nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Worst {
    pub(super) round: u32,
    pub(super) again: u64,
    /// How many may have.
    pub(super) bound: u64,
}

/// All of it, added up.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    pub(super) appended: u64,
    pub(super) stored: u64,
    pub(super) arrived: u64,
    pub(super) unique: u64,
    pub(super) lost: u64,
    pub(super) worst: Worst,
    /// Kills after which events came again, and those before which more had come than may again.
    pub(super) doubling: u64,
    pub(super) telling: u64,
}

impl Book {
    /// A process opened this place.
    pub(super) fn open(&mut self, round: u32, process: u32, place: u32) {
        self.places.insert((round, process), place);
    }

    /// A process reported its events below these counts.
    pub(super) fn report(&mut self, round: u32, thread: u32, stored: u64, appended: u64) {
        let lane = self.lanes.entry((round, thread)).or_default();
        lane.stored = lane.stored.max(stored);
        lane.appended = lane.appended.max(appended);
    }

    /// These events arrived during a round, in this order.
    pub(super) fn arrive(&mut self, round: u32, events: &[Event]) {
        for event in events {
            if let Err(text) = self.arrive_one(round, event) {
                self.fault(text);
            }
        }
        // Within a place the numbers go on over all runs.
        let mut last = BTreeMap::new();
        let mut is_unordered = false;
        for event in events {
            let number = Number::of(event.body());
            let place = number.and_then(|number| self.places.get(&process_of(number)));
            let id = event.header_value(EVENT_ID_HEADER);
            let id = id.and_then(|id| Some(id.split_once('-')?.1.to_owned()));
            let before = last.insert(place, id.clone());
            is_unordered |= before.is_some_and(|before| before > id);
        }
        let entry = self.rounds.entry(round).or_default();
        entry.arrived += events.len() as u64;
        entry.is_unordered = is_unordered;
    }

    fn arrive_one(&mut self, round: u32, event: &Event) -> Result<(), String> {
        let number = Number::of(event.body());
        let number = number.ok_or("an event arrived that nobody appended")?;
        let id = event.header_value(EVENT_ID_HEADER);
        let id = id.and_then(|id| id.split_once('-'));
        let (run, sequence) = id.ok_or(format!("event {number} has no id"))?;
        let sequence = u64::from_str_radix(sequence, 16);
        let sequence = sequence.map_err(|e| format!("the id of event {number}: {e}"))?;
        let known = self.runs.entry(process_of(number));
        let known = known.or_insert_with(|| run.to_owned());
        if known != run {
            return Err(format!("event {number} is of run {run}, not {known}"));
        }
        let lane = self.lanes.entry((number.round, number.thread)).or_default();
        let count = usize::try_from(number.count).map_err(|e| e.to_string())?;
        if lane.arrivals.len() <= count {
            lane.arrivals.resize(count + 1, None);
        }
        let place = lane.arrivals.get_mut(count);
        let place = place.expect("there are as many places now");
        let Some(before) = place else {
            *place = Some(Arrival { sequence, round });
            return Ok(());
        };
        let (first, last) = (before.sequence, before.round);
        before.round = round;
        if first != sequence {
            return Err(format!(
                "event {number} came under two ids: {first:016x} and {sequence:016x}"
            ));
        }
        if last == round {
            return Err(format!("event {number} came twice from one process"));
        }
        self.rounds.entry(last).or_default().again += 1;
        Ok(())
    }

    /// In this round each batch waited for the one before.
    pub(super) fn expect_order(&mut self, round: u32) {
        if self.rounds.entry(round).or_default().is_unordered {
            self.fault(format!("the events of round {round} came out of order"));
        }
    }

    /// When batches were stored during a round, how many events each had, how long the cursor may
    /// have lagged behind, and in how many lanes batches may have been under way.
    pub(super) fn pace(
        &mut self,
        round: u32,
        batches: &[(Duration, u64)],
        lag: Duration,
        lanes: u32,
    ) {
        let last = batches.iter().map(|(at, _)| *at).max().unwrap_or_default();
        let latest = batches.iter().filter(|(at, _)| *at + lag >= last);
        let entry = self.rounds.entry(round).or_default();
        entry.latest = latest.map(|(_, events)| events).sum();
        entry.in_flight = lanes * BATCHES_IN_FLIGHT;
    }

    /// Something is not as promised.
    pub(super) fn fault(&mut self, text: String) {
        if self.broken.len() < TOLD_MAX {
            self.broken.push(text);
        } else {
            self.broken_untold += 1;
        }
    }

    /// Looks for what can be told at the end only, and adds up.
    pub(super) fn close(&mut self) -> Sums {
        self.check_loss();
        self.check_ids();
        let sums = self.sums();
        let Worst {
            round,
            again,
            bound,
        } = sums.worst;
        if again > bound {
            self.fault(format!(
                "{again} events came again after the kill of round {round}, {bound} may have"
            ));
        }
        sums
    }

    /// What is not as promised.
    pub(super) fn broken(&self) -> Broken<'_> {
        Broken(self)
    }

    fn check_loss(&mut self) {
        let mut texts = Vec::new();
        for ((round, thread), lane) in &self.lanes {
            let missing = lane.missing();
            if let Some(first) = missing.first() {
                texts.push(format!(
                    "lost: {} of {} events that were stored in round {round} by thread {thread}, \
                     from {first} on",
                    missing.len(),
                    lane.stored
                ));
            }
        }
        texts.into_iter().for_each(|text| self.fault(text));
    }

    fn check_ids(&mut self) {
        let runs: BTreeSet<&String> = self.runs.values().collect();
        let shared = self.runs.len() - runs.len();
        if shared > 0 {
            self.fault(format!(
                "{shared} processes named events as another one did"
            ));
        }
        let mut ids = Vec::new();
        for ((round, thread), lane) in &self.lanes {
            let number = Number {
                round: *round,
                thread: *thread,
                count: 0,
            };
            // A place that was emptied by another process begins with number 0 again.
            let arrivals = lane.arrivals.iter().flatten();
            ids.extend(arrivals.map(|it| (process_of(number), it.sequence)));
        }
        ids.sort_unstable();
        let shared = ids.windows(2).filter(|pair| pair.first() == pair.last());
        let shared = shared.count();
        if shared > 0 {
            self.fault(format!("{shared} events have an id that is another one's"));
        }
    }

    fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for lane in self.lanes.values() {
            sums.appended += lane.appended;
            sums.stored += lane.stored;
            sums.unique += lane.arrivals.iter().flatten().count() as u64;
            sums.lost += lane.missing().len() as u64;
        }
        for (round, it) in &self.rounds {
            sums.arrived += it.arrived;
            sums.doubling += u64::from(it.again > 0);
            let bound = it.latest + u64::from(BATCH_EVENTS * it.in_flight);
            if it.arrived <= bound {
                continue;
            }
            sums.telling += 1;
            let kill = Worst {
                round: *round,
                again: it.again,
                bound,
            };
            if kill.share() > sums.worst.share() {
                sums.worst = kill;
            }
        }
        sums
    }
}

fn process_of(number: Number) -> Process {
    (number.round, number.process())
}

impl Lane {
    /// Stored events that did not arrive.
    fn missing(&self) -> Vec<u64> {
        let arrived = |count: u64| {
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            self.arrivals.get(count).is_some_and(Option::is_some)
        };
        (0..self.stored).filter(|it| !arrived(*it)).collect()
    }
}

impl Worst {
    /// How near it came to its bound, in percent.
    pub(super) fn share(&self) -> u64 {
        (self.again * 100).checked_div(self.bound).unwrap_or(0)
    }
}

/// [`Book::broken`] as text.
pub(super) struct Broken<'a>(&'a Book);

impl fmt::Display for Broken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for text in &self.0.broken {
            writeln!(f, "{text}")?;
        }
        match self.0.broken_untold {
            0 => Ok(()),
            untold => writeln!(f, "and {untold} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(round: u32, count: u64, id: u64) -> Event {
        let thread = 0;
        let number = Number {
            round,
            thread,
            count,
        };
        let name = format!("00f{round}-{id:016x}");
        Event::new(format!("{number} ")).header(EVENT_ID_HEADER, name)
    }

    /// What a book says of events that came in two rounds, the first three of which were stored.
    fn check(rounds: [&[Event]; 2]) -> (Sums, String) {
        let mut book = Book::default();
        book.report(1, 0, 3, 5);
        for (round, events) in (1..).zip(rounds) {
            book.arrive(round, events);
            book.pace(round, &[], Duration::ZERO, 1);
        }
        let sums = book.close();
        (sums, book.broken().to_string())
    }

    fn events(counts: impl IntoIterator<Item = u64>) -> Vec<Event> {
        let counts = counts.into_iter();
        counts.map(|count| event(1, count, 10 + count)).collect()
    }

    #[test]
    fn events_may_come_again_after_a_kill_and_those_not_stored_may_stay_away() {
        let (sums, told) = check([&events([0, 1, 3]), &events([1, 2, 3])]);
        assert_eq!(told, "");
        assert_eq!((sums.appended, sums.stored, sums.lost), (5, 3, 0));
        assert_eq!((sums.arrived, sums.unique), (6, 4));
        assert_eq!((sums.doubling, sums.telling), (1, 0));
    }

    #[test]
    fn a_stored_event_that_stays_away_is_lost() {
        let (sums, told) = check([&events([0]), &events([2])]);
        assert_eq!(sums.lost, 1);
        assert!(told.contains("1 of 3 events"), "{told}");
        assert!(told.contains("round 1 by thread 0, from 1 on"), "{told}");
    }

    #[test]
    fn one_process_sends_an_event_once() {
        let (_, told) = check([&events([0, 1, 2, 1]), &[]]);
        assert!(told.contains("event 1 0 1 came twice"), "{told}");
    }

    #[test]
    fn a_copy_has_the_id_of_its_event_and_another_event_has_not() {
        let (_, told) = check([&events(0..3), &[event(1, 0, 99)]]);
        assert!(told.contains("two ids"), "{told}");
        let same = Event::new("1 1 0 ").header(EVENT_ID_HEADER, "00f1-000000000000000a");
        let (_, told) = check([&events(0..3), &[same]]);
        assert!(told.contains("1 events have an id"), "{told}");
        let (_, told) = check([&events(0..3), &[Event::new("1 0 3 ")]]);
        assert!(told.contains("event 1 0 3 has no id"), "{told}");
        let named = |name: &str| Event::new("1 0 3 ").header(EVENT_ID_HEADER, name);
        let (_, told) = check([&events(0..3), &[named("00f2-000000000000000d")]]);
        assert!(
            told.contains("event 1 0 3 is of run 00f2, not 00f1"),
            "{told}"
        );
        let other = Event::new("2 0 0 ").header(EVENT_ID_HEADER, "00f1-0000000000000020");
        let (_, told) = check([&events(0..3), &[other]]);
        assert!(
            told.contains("1 processes named events as another"),
            "{told}"
        );
    }

    #[test]
    fn more_events_come_again_than_may() {
        let most = u64::from(BATCH_EVENTS * BATCHES_IN_FLIGHT);
        let came = events(0..most + 10);
        let (sums, told) = check([&came, &events(0..most)]);
        assert_eq!((told.as_str(), sums.telling), ("", 1));
        assert_eq!((sums.worst.round, sums.worst.again), (1, most));
        let (_, told) = check([&came, &events(0..most + 1)]);
        assert!(told.contains("1601 events came again"), "{told}");
    }

    #[test]
    fn order_is_by_id() {
        let mut book = Book::default();
        book.arrive(1, &events(0..3));
        book.expect_order(1);
        assert_eq!(book.broken().to_string(), "");
        book.arrive(2, &events([3, 5, 4]));
        book.expect_order(2);
        assert!(
            book.broken()
                .to_string()
                .contains("round 2 came out of order")
        );
    }

    #[test]
    fn two_processes_have_an_order_and_numbers_of_their_own() {
        let other = |count, id: u64| {
            let name = format!("00aa-{id:016x}");
            Event::new(format!("1 16 {count} ")).header(EVENT_ID_HEADER, name)
        };
        let mut book = Book::default();
        book.open(1, 0, 1);
        book.open(1, 1, 2);
        let mixed = [event(1, 0, 10), other(0, 10), event(1, 1, 11), other(1, 11)];
        book.arrive(1, &mixed);
        book.expect_order(1);
        book.close();
        assert_eq!(book.broken().to_string(), "");
        book.arrive(2, &[other(3, 13), event(1, 2, 12), other(2, 12)]);
        book.expect_order(2);
        assert!(book.broken().to_string().contains("out of order"));
    }

    #[test]
    fn what_came_last_may_come_again_after_a_kill() {
        let at = |ms, events| (Duration::from_millis(ms), events);
        let mut book = Book::default();
        let batches = [at(0, 5), at(50, 10), at(149, 20), at(150, 40), at(100, 1)];
        book.pace(1, &batches, Duration::from_millis(100), 1);
        assert_eq!(book.rounds[&1].latest, 71);
        book.pace(2, &[], Duration::ZERO, 1);
        assert_eq!(book.rounds[&2].latest, 0);
    }
}
