//! [`Renderer`]: the thread that turns records into events and hands them to the client.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flume_client::Receipt;

use super::lanes::Lanes;
use super::telling::Teller;
use super::voice::{Voice, put_episode, site_of_episode};
use super::writer::Writer;
use crate::capture::{
    ByLevel, CaptureCore, CapturedRecord, Faults, FieldWriter, Head, Records, SpanRef,
    limit_percent, now,
};
use crate::counts::{Counts, Outcomes};
use crate::level::Level;
use crate::passes::Stage;
use crate::stats::Stats;

/// Records between two looks at how full the client is.
const LOOK_EVERY: usize = 64;

/// How often the renderer looks whether it is to end, while the client has no room.
const PATIENCE: Duration = Duration::from_millis(100);

/// How often the renderer looks whether there is room again, if records were shed and that is still to
/// be told.
const LOOK_FOR_ROOM: Duration = Duration::from_millis(250);

/// What the renderer works with.
pub(crate) struct Renderer {
    pub(crate) core: Arc<CaptureCore>,
    pub(crate) lanes: Lanes,
    pub(crate) counts: Arc<Counts>,
    /// What is left is given up now.
    pub(crate) gives_up: Arc<AtomicBool>,
    pub(crate) writer: Writer,
    pub(crate) linger: Duration,
    /// From so many bytes on a batch is handed over.
    pub(crate) batch_bytes: usize,
    pub(crate) buffers: Buffers,
    pub(crate) teller: Teller,
    pub(crate) voice: Voice,
    /// Where events go instead of the client.
    #[cfg(feature = "test")]
    pub(crate) kept: Option<crate::kept::Kept>,
}

/// What is used again from pass to pass.
#[derive(Debug)]
pub(crate) struct Buffers {
    taken: Vec<Records>,
    /// Records of the last pass that were younger than its begin.
    kept: Records,
    order: Vec<Place>,
    /// Records that became none of them, since the last time that was told.
    outcomes: Outcomes,
    receipt: Option<Receipt>,
}

/// Where a record lies.
#[derive(Clone, Copy, Debug)]
struct Place {
    stamp: u64,
    buffer: u32,
    head: u32,
    /// The head that has its span.
    span: Option<u32>,
    start: u32,
}

impl Buffers {
    pub(crate) fn new(core: &CaptureCore) -> Self {
        let shards = core.shards.count();
        Self {
            taken: (0..shards).map(|_| core.shards.spare()).collect(),
            kept: Records::default(),
            order: Vec::new(),
            outcomes: Outcomes::default(),
            receipt: None,
        }
    }
}

impl Renderer {
    /// The body of the thread.
    pub(crate) fn run(mut self) {
        let core = self.core.clone();
        // Last, also if this panics: nobody waits for what never comes.
        let _end = End(core.clone());
        core.passes.enter();
        loop {
            let is_closed = core.is_closed();
            if !is_closed {
                let nothing_kept = self.buffers.kept.heads.is_empty();
                let is_empty = || nothing_kept && core.shards.is_empty() && !core.is_closed();
                if self.teller.waits_for_room() {
                    core.passes.linger(self.linger.max(LOOK_FOR_ROOM));
                } else {
                    core.passes.rest(is_empty, self.linger);
                }
            }
            core.passes.begin();
            self.pass();
            self.tell_losses();
            self.tell_recovery();
            core.passes.tell(Stage::Done, self.buffers.receipt.take());
            if is_closed {
                core.passes.finish();
                break;
            }
        }
    }

    /// Takes what lies in the shards, and hands on all of it.
    fn pass(&mut self) {
        let begin = if self.core.is_closed() {
            u64::MAX
        } else {
            now()
        };
        let (taken, order) = (&mut self.buffers.taken, &mut self.buffers.order);
        for (index, records) in taken.iter_mut().enumerate() {
            self.core.shards.swap(index, records);
        }
        // What was left of the last pass is one buffer more.
        taken.push(std::mem::take(&mut self.buffers.kept));
        self.core.passes.tell(Stage::Taken, None);

        order.clear();
        for (buffer, records) in (0..).zip(taken.iter()) {
            list(buffer, records, order);
        }
        order.sort_unstable_by_key(|place| (place.stamp, place.buffer, place.head));
        let offset = unix_ns().saturating_sub(now());

        let taken = std::mem::take(taken);
        let order = std::mem::take(order);
        let mut kept = Records::default();
        for (index, place) in order.iter().enumerate() {
            let Some(record) = find(&taken, place) else {
                continue;
            };
            if place.stamp > begin {
                // A record of its thread that is older may still be on its way into a shard.
                kept.push(&record.as_draft());
                continue;
            }
            if index % LOOK_EVERY == 0 && self.core.sheds() {
                self.lanes.look();
            }
            self.render(&record, offset);
        }
        self.hand_over_all();
        self.give_back(taken, order, kept);
    }

    fn give_back(&mut self, mut taken: Vec<Records>, order: Vec<Place>, kept: Records) {
        let mut rest = taken.pop().unwrap_or_default();
        rest.clear();
        taken.iter_mut().for_each(Records::clear);
        self.buffers.kept = if kept.heads.is_empty() { rest } else { kept };
        self.buffers.taken = taken;
        self.buffers.order = order;
    }

    fn render(&mut self, record: &CapturedRecord<'_>, offset: u64) {
        let head = record.head;
        let level = head.level;
        let lane = self.lanes.of_level(level);
        if lane.percent >= limit_percent(level) {
            self.buffers.outcomes.no_room.add(level, 1);
            return;
        }
        let unix_ns = head.stamp + offset;
        let (batch, outcomes) = (&mut lane.batch, &mut self.buffers.outcomes);
        if !self.writer.write(record, unix_ns, batch, outcomes) {
            return;
        }
        lane.levels.add(level, 1);
        if lane.batch.bytes() >= self.batch_bytes {
            self.hand_over(level);
        }
    }

    /// Tells the user's callback and, from time to time, the standard error output what was lost.
    fn tell_losses(&mut self) {
        let stats = Stats::of(&self.core, &self.counts);
        let fault = self.writer.take_fault();
        if let Some(loss) = self.teller.look(&stats, fault, unix_ns()) {
            self.voice.tell(&loss);
        }
        if self.voice.may_complain()
            && let Some(line) = self.teller.take_complaint()
        {
            self.voice.complain(line);
        }
    }

    /// Tells those who read the log that records were shed, once there is room again. The record is
    /// the appender's own, so the counters of records know nothing of it.
    fn tell_recovery(&mut self) {
        if !self.teller.waits_for_room() {
            return;
        }
        let percent = self.lanes.look();
        let Some(episode) = self.teller.take_recovered(percent) else {
            return;
        };
        let (mut bytes, mut faults) = (Vec::new(), Faults::default());
        put_episode(&mut FieldWriter::new(&mut bytes, &mut faults), &episode);
        let head = Head {
            site: Some(site_of_episode()),
            stamp: now(),
            span: SpanRef::None,
            end: bytes.len() as u32,
            level: Level::Warn,
            is_cut: false,
        };
        let record = CapturedRecord {
            head: &head,
            span: None,
            bytes: &bytes,
        };
        let mut outcomes = Outcomes::default();
        let batch = &mut self.lanes.of_level(Level::Warn).batch;
        if self.writer.write(&record, unix_ns(), batch, &mut outcomes) {
            self.buffers.outcomes.reports += 1;
            self.hand_over(Level::Warn);
        }
    }

    /// Hands all that is rendered to the client.
    fn hand_over_all(&mut self) {
        // The greatest first: what goes to the disk is to be there soon.
        for level in Level::ALL.into_iter().rev() {
            if !self.lanes.of_level(level).batch.is_empty() {
                self.hand_over(level);
            }
        }
        self.count();
    }

    /// Hands the batch that records of this level are in to the client, and waits for room if there is
    /// none. Then all is counted.
    fn hand_over(&mut self, level: Level) {
        #[cfg(feature = "test")]
        if let Some(kept) = &self.kept {
            kept.take(&mut self.lanes.of_level(level).batch);
        }
        loop {
            let (lane, buffers) = (self.lanes.of_level(level), &mut self.buffers);
            match lane.client.append_encoded(&mut lane.batch) {
                Ok(receipt) => {
                    if lane.is_stored {
                        buffers.receipt = receipt.or(buffers.receipt.take());
                    }
                    buffers.outcomes.handed.add_all(&lane.levels);
                    break;
                }
                Err(refusal) if refusal.is_retryable() && !self.gives_up.load(Ordering::SeqCst) => {
                    lane.client.ready_for(&lane.batch).wait(PATIENCE);
                    self.tell_losses();
                    self.core.passes.wake_due();
                }
                Err(_) => {
                    lane.batch.clear();
                    buffers.outcomes.closed.add_all(&lane.levels);
                    break;
                }
            }
        }
        self.lanes.of_level(level).levels = ByLevel::default();
        self.count();
    }

    fn count(&mut self) {
        let buffers = &mut self.buffers;
        self.counts.lock().add_all(&buffers.outcomes);
        buffers.outcomes = Outcomes::default();
    }
}

/// The end of the renderer.
struct End(Arc<CaptureCore>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.close();
        self.0.passes.end();
    }
}

/// Lists the records of a buffer.
fn list(buffer: u32, records: &Records, order: &mut Vec<Place>) {
    let (mut start, mut span) = (0, None);
    for (head, known) in (0..).zip(&records.heads) {
        let own = match known.span {
            SpanRef::None => None,
            SpanRef::Same => span,
            SpanRef::Node(_) => {
                span = Some(head);
                span
            }
        };
        order.push(Place {
            stamp: known.stamp,
            buffer,
            head,
            span: own,
            start,
        });
        start = known.end;
    }
}

/// The record in a place.
fn find<'a>(taken: &'a [Records], place: &Place) -> Option<CapturedRecord<'a>> {
    let records = taken.get(place.buffer as usize)?;
    let head = records.heads.get(place.head as usize)?;
    let of_span = place.span.and_then(|at| records.heads.get(at as usize));
    let span = match of_span {
        Some(Head {
            span: SpanRef::Node(node),
            ..
        }) => Some(node),
        _ => None,
    };
    let bytes = records.bytes.get(place.start as usize..head.end as usize)?;
    Some(CapturedRecord { head, span, bytes })
}

pub(crate) fn unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}
