//! [`Book`]: every event's fate, kept without looking into the client.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use flume_client::delivery::Batch;
use flume_client::seq::Seq;
use flume_client::{Event, Receipt, Reliability};

use super::promise::{Broken, Check, ensure};

/// A waker that notes that it was woken.
#[derive(Debug, Default)]
pub(super) struct Flag(AtomicBool);

impl Flag {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.set();
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// The process that took it lives, or it lies in a place of its own.
    Alive,
    /// It was told to be stored when its process ended: it must come.
    Due,
    /// It was not: it may come.
    Doubtful,
    /// It was in memory alone, or its client was closed without it.
    Gone,
}

struct Record {
    datum: Vec<u8>,
    /// Its number, in the place that it was stored in: 0 is the client's own.
    place: usize,
    level: Reliability,
    number: u64,
    life: Life,
    /// The client was told that it is stored.
    is_marked: bool,
    /// How often agents stored it.
    stored: u32,
    /// When the client heard so last.
    heard: Option<Duration>,
    /// The cursor tells that it is retired.
    is_noted: bool,
    /// An agent that has it may get it again.
    is_excused: bool,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("bytes", &self.datum.len())
            .field("place", &self.place)
            .field("level", &self.level)
            .field("number", &self.number)
            .field("life", &self.life)
            .field("is_marked", &self.is_marked)
            .field("stored", &self.stored)
            .field("heard", &self.heard)
            .field("is_excused", &self.is_excused)
            .finish()
    }
}

/// Who waits, and the flag that is set when there is something to look at.
type Waiting = (Pin<Box<dyn Future<Output = bool> + Send>>, Arc<Flag>);

/// Somebody who waits for what becomes of an event.
struct Watcher {
    id: usize,
    /// It was made then.
    made: Option<Duration>,
    /// When it began to wait for an agent.
    since: Option<Duration>,
    stored: Option<Waiting>,
    delivered: Option<Waiting>,
}

#[derive(Default)]
pub(super) struct Book {
    records: Vec<Record>,
    watchers: Vec<Watcher>,
    receipts: BTreeMap<usize, Receipt>,
    pub(super) duplicates: u64,
    pub(super) unstored: u64,
    pub(super) adopted: u64,
    /// The event of each level that comes next in order, if order is kept and nothing goes wrong.
    pub(super) next_in_order: Option<BTreeMap<&'static str, u64>>,
    /// Every event is to be stored before it is sent, unless somebody waits for one of its chunk.
    pub(super) is_strict: bool,
    pub(super) chunk_bytes: usize,
    /// At the spool's level somebody has waited for an agent to have events below this number.
    pub(super) awaited_below: u64,
    /// The first promise that was broken where nobody could say so.
    pub(super) broken: Option<Broken>,
}

/// The event of this number in the book, of about so many bytes.
pub(super) fn event(id: usize, bytes: usize) -> Event {
    let mut body = (id as u64).to_le_bytes().to_vec();
    body.resize(bytes.max(8), id as u8);
    Event::new(body)
}

impl Book {
    pub(super) fn next_id(&self) -> usize {
        self.records.len()
    }

    pub(super) fn delivered(&self) -> u64 {
        self.records.iter().filter(|it| it.stored > 0).count() as u64
    }

    /// An event lies in a place beside the client's own.
    pub(super) fn leave(&mut self, place: usize, number: u64, datum: &[u8]) {
        self.push(place, Reliability::EndToEnd, number, datum, Life::Due);
    }

    fn push(&mut self, place: usize, level: Reliability, number: u64, datum: &[u8], life: Life) {
        self.records.push(Record {
            datum: datum.to_vec(),
            place,
            level,
            number,
            life,
            is_marked: place > 0,
            stored: 0,
            heard: None,
            is_noted: false,
            is_excused: false,
        });
    }

    pub(super) fn accept(
        &mut self,
        level: Reliability,
        event: &Event,
        receipt: Receipt,
        watched: bool,
    ) {
        let id = self.next_id();
        let number = receipt.sequence();
        self.push(0, level, number, event.as_datum(), Life::Alive);
        if watched {
            let (mine, other) = (receipt.clone(), receipt.clone());
            let stored = async move { mine.stored().await.is_ok() };
            let delivered = async move { other.delivered().await.is_ok() };
            self.watchers.push(Watcher {
                id,
                made: None,
                since: None,
                stored: Some((Box::pin(stored), woken())),
                delivered: Some((Box::pin(delivered), woken())),
            });
        }
        self.receipts.insert(id, receipt);
    }

    /// Events came in together, and the last one's receipt tells of all.
    pub(super) fn accept_batch(
        &mut self,
        level: Reliability,
        events: &[Event],
        last: Receipt,
        watched: bool,
    ) {
        let first = last.sequence() + 1 - events.len() as u64;
        if let Some((event, before)) = events.split_last() {
            for (sequence, event) in (first..).zip(before) {
                self.push(0, level, sequence, event.as_datum(), Life::Alive);
            }
            self.accept(level, event, last, watched);
        }
    }

    /// Those who wait and were woken look. Nobody is to have waited since before `since`.
    pub(super) fn look(&mut self, now: Duration, since: Option<Duration>) -> Check {
        for watcher in &mut self.watchers {
            let record = &mut self.records[watcher.id];
            // Some begin to wait when the event has been taken further.
            let delay = [0, 5, 200][watcher.id % 3];
            let made = *watcher.made.get_or_insert(now);
            if now < made + Duration::from_millis(delay) {
                continue;
            }
            let began = *watcher.since.get_or_insert(now);
            if record.level == Reliability::EndToEnd {
                self.awaited_below = self.awaited_below.max(record.number + 1);
            }
            if let Some(is_stored) = poll(&mut watcher.stored) {
                record.is_marked |= is_stored;
                let is_known = is_stored || record.life != Life::Alive;
                ensure(is_known, "who waits for the disk is told of it", || {
                    format!("{record:?}")
                })?;
            }
            if let Some(true) = poll(&mut watcher.delivered) {
                ensure(
                    record.stored > 0,
                    "an acknowledgement is an agent's",
                    || format!("{record:?}"),
                )?;
            }
            let waits = watcher.delivered.is_some();
            ensure(
                !waits || since.is_none_or(|since| began >= since),
                "who waits for an event waits for no timer",
                || format!("since {began:?}, at {now:?}: {record:?}"),
            )?;
        }
        self.watchers
            .retain(|it| it.stored.is_some() || it.delivered.is_some());
        Ok(())
    }

    /// Nobody waits any more, for everything has come to its end.
    pub(super) fn check_watchers(&mut self, now: Duration) -> Check {
        self.look(now, None)?;
        let left = self.watchers.first();
        ensure(left.is_none(), "who waits is woken", || {
            let id = left.map_or(0, |it| it.id);
            format!("event {id}: {:?}", self.records[id])
        })
    }

    /// An agent gets these. Says which they are.
    pub(super) fn receive(&mut self, batch: &Batch, datums: &[u8]) -> Vec<usize> {
        match self.identify(batch, datums) {
            Ok(ids) => ids,
            Err(broken) => {
                self.broken.get_or_insert(broken);
                Vec::new()
            }
        }
    }

    fn identify(&mut self, batch: &Batch, mut datums: &[u8]) -> Result<Vec<usize>, Broken> {
        const PROMISE: &str = "what is sent is what was taken";
        let mut ids = Vec::new();
        for number in batch.range().iter().map(Seq::number) {
            let id = id_of(datums).filter(|id| *id < self.records.len());
            let Some(id) = id else {
                return Err((PROMISE, format!("{number} is nothing that was taken")));
            };
            let record = &self.records[id];
            let is_whole = datums.starts_with(&record.datum);
            ensure(is_whole && record.number == number, PROMISE, || {
                format!("{number} is sent with the bytes of event {id}: {record:?}")
            })?;
            ensure(
                record.level == batch.level,
                "a batch never mixes levels",
                || format!("{batch:?}, event {id}: {record:?}"),
            )?;
            ensure(
                record.life != Life::Gone,
                "who is gone sends nothing",
                || format!("event {id}: {record:?}"),
            )?;
            datums = &datums[record.datum.len()..];
            self.check_stored(id)?;
            ids.push(id);
        }
        ensure(datums.is_empty(), PROMISE, || "there is more".into())?;
        Ok(ids)
    }

    /// An event is sent after the flush that covers it.
    fn check_stored(&mut self, id: usize) -> Check {
        let (record, receipt) = (&self.records[id], self.receipts.get(&id));
        if record.life != Life::Alive || record.is_marked {
            return Ok(());
        }
        let Some(receipt) = receipt else {
            return Ok(());
        };
        let mut stored = Box::pin(receipt.stored());
        let polled = stored
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        drop(stored);
        let is_stored = matches!(polled, Poll::Ready(Ok(())));
        let is_awaited = self.may_be_awaited(id);
        self.records[id].is_marked = is_stored;
        self.unstored += u64::from(!is_stored);
        ensure(
            is_stored || is_awaited || !self.is_strict,
            "stored before it is sent, if nobody waits for it",
            || format!("event {id}: {:?}", self.records[id]),
        )
    }

    /// Whether somebody has waited for this event, or for one before it that may be in its chunk.
    fn may_be_awaited(&self, id: usize) -> bool {
        let level = self.records[id].level;
        let before = self.records[..=id].iter().rev();
        let mut bytes = 0;
        let mut in_chunk = before
            .filter(|it| it.level == level && it.place == 0)
            .take_while(|it| {
                let is_in_chunk = bytes < self.chunk_bytes;
                bytes += it.datum.len();
                is_in_chunk
            });
        in_chunk.any(|it| it.number < self.awaited_below)
    }

    /// An agent stores these.
    pub(super) fn store(&mut self, ids: &[usize]) {
        for id in ids {
            let record = &mut self.records[*id];
            record.stored += 1;
            self.adopted += u64::from(record.place > 0 && record.stored == 1);
            self.duplicates += u64::from(record.stored > 1);
            if record.stored > 1 && record.level == Reliability::BestEffort {
                let broken = format!("event {id}: {record:?}");
                let promise = "best effort sends nothing twice";
                self.broken.get_or_insert((promise, broken));
            }
            if record.stored > 1 && !record.is_excused {
                let broken = format!("event {id}: {record:?}");
                self.broken
                    .get_or_insert(("twice only with a cause", broken));
            }
            if let Some(next) = &mut self.next_in_order
                && record.place == 0
            {
                let next = next.entry(name_of(record.level)).or_default();
                // What is sent again is followed by what came after it.
                let may_lack_some = record.level == Reliability::BestEffort;
                let is_next = match may_lack_some {
                    true => record.number >= *next,
                    false => record.number == *next,
                };
                if !is_next && record.stored == 1 {
                    let broken = format!("{next} is due and not {}", record.number);
                    self.broken.get_or_insert(("order is kept", broken));
                }
                *next = record.number + 1;
            }
        }
    }

    /// The client hears that they are stored.
    pub(super) fn hear(&mut self, now: Duration, ids: &[usize]) {
        for id in ids {
            self.records[*id].heard = Some(now);
        }
    }

    /// The client does not hear whether they are.
    pub(super) fn excuse(&mut self, ids: &[usize]) {
        for id in ids {
            self.records[*id].is_excused = true;
        }
    }

    /// Those of the events from this one on that are not on the disk, by their receipts.
    pub(super) fn not_on_disk(&self, from: usize) -> Vec<usize> {
        let receipts = self.receipts.range(from..);
        let missing = receipts.filter(|(_, receipt)| !receipt.is_on_disk());
        missing.map(|(id, _)| *id).collect()
    }

    /// Everything that is stored by the client's word so far.
    pub(super) fn mark(&mut self) {
        for (id, receipt) in &self.receipts {
            let record = &mut self.records[*id];
            if record.is_marked {
                continue;
            }
            let mut stored = Box::pin(receipt.stored());
            let polled = stored
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
            record.is_marked = matches!(polled, Poll::Ready(Ok(())));
        }
    }

    /// The process has ended. What the client heard up to `noted` is not to come again.
    pub(super) fn end_run(&mut self, is_spooled: bool, noted: Option<Duration>) {
        self.watchers.clear();
        self.receipts.clear();
        self.awaited_below = 0;
        self.next_in_order = None;
        for record in &mut self.records {
            if record.life == Life::Alive {
                let is_spooled = is_spooled && record.level.has_spool();
                record.life = match (is_spooled, record.is_marked) {
                    (false, _) => Life::Gone,
                    (true, true) => Life::Due,
                    (true, false) => Life::Doubtful,
                };
            }
            let is_noted = record.heard.zip(noted).is_some_and(|(at, upto)| at <= upto);
            // What was heard and not noted is forgotten; what was noted stays so.
            record.is_noted |= is_noted;
            record.heard = record.heard.filter(|_| is_noted);
            record.is_excused = !record.is_noted;
        }
    }

    /// Every event that must have come has.
    pub(super) fn check_arrived(&self) -> Check {
        let is_kept = |it: &Record| it.level != Reliability::BestEffort;
        let is_due = |it: &Record| is_kept(it) && matches!(it.life, Life::Alive | Life::Due);
        let missing = |it: &Record| is_due(it) && it.stored == 0;
        let mut records = self.records.iter().enumerate();
        let missing = records.find(|(_, it)| missing(it));
        ensure(missing.is_none(), "every event arrives", || {
            format!("{missing:?} of {}", self.records.len())
        })
    }
}

/// What an order is kept by.
fn name_of(level: Reliability) -> &'static str {
    match level {
        Reliability::BestEffort => "best effort",
        Reliability::InMemory => "in memory",
        _ => "end to end",
    }
}

/// A flag that is set: who waits looks once at least.
fn woken() -> Arc<Flag> {
    let flag = Arc::<Flag>::default();
    flag.set();
    flag
}

fn poll(waiting: &mut Option<Waiting>) -> Option<bool> {
    let (future, flag) = waiting.as_mut()?;
    if !flag.take() {
        return None;
    }
    let waker = Waker::from(flag.clone());
    match future.as_mut().poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(told) => {
            *waiting = None;
            Some(told)
        }
        Poll::Pending => None,
    }
}

/// The id at the beginning of the first event's body: no headers, a length, the body.
fn id_of(datums: &[u8]) -> Option<usize> {
    let (none, rest) = datums.split_first()?;
    let length = rest.iter().position(|byte| byte & 0x80 == 0)? + 1;
    let id = rest.get(length..length + 8)?;
    (*none == 0).then(|| u64::from_le_bytes(id.try_into().expect("eight bytes")) as usize)
}
