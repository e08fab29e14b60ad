//! [`Writer`]: one record to one event.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use flume_client::EventBatch;

use super::own_headers::OwnHeaders;
use crate::capture::{CapturedRecord, split_inline_site};
use crate::counts::Outcomes;
use crate::layout::{Edits, Layout, LayoutError, Record, Verdict};
use crate::prepared::headers::HeaderPlan;
use crate::prepared::redact::Redact;
use crate::prepared::site::Sites;

/// Bodies are cut to this many bytes, unless the client takes no event that large.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// What is left for headers of an event, but for one of which half is less.
const HEADER_BYTES: usize = 20 * 1024;

/// A body that is too large is written again with its values cut to this, one after the other.
const VALUE_BYTES: [usize; 3] = [64 * 1024, 4 * 1024, 256];

/// The user's own look at each record.
pub(crate) struct BeforeSend(pub(crate) Box<Look>);

type Look = dyn FnMut(&Record<'_>, &mut Edits) -> Verdict + Send;

impl fmt::Debug for BeforeSend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BeforeSend")
    }
}

/// Turns records into events.
#[derive(Debug)]
pub(crate) struct Writer {
    sites: Sites,
    layout: Box<dyn Layout>,
    headers: OwnHeaders,
    before_send: Option<BeforeSend>,
    edits: Edits,
    body: Vec<u8>,
    body_bytes_max: usize,
    event_bytes_max: usize,
    /// Why the last record was not written that was not.
    fault: Option<String>,
}

impl Writer {
    pub(crate) fn new(
        layout: Box<dyn Layout>,
        plan: HeaderPlan,
        redact: Redact,
        before_send: Option<BeforeSend>,
        run_id: u64,
        event_bytes_max: usize,
    ) -> Self {
        let headers = OwnHeaders::new(&plan, run_id);
        Self {
            sites: Sites::new(redact, plan),
            layout,
            headers,
            before_send,
            edits: Edits::default(),
            body: Vec::new(),
            body_bytes_max: BODY_BYTES_MAX
                .min(event_bytes_max - HEADER_BYTES.min(event_bytes_max / 2)),
            event_bytes_max,
            fault: None,
        }
    }

    /// Adds the event of a record to the batch. `false`: it became none, which is counted.
    #[inline]
    pub(crate) fn write(
        &mut self,
        captured: &CapturedRecord<'_>,
        unix_ns: u64,
        batch: &mut EventBatch,
        outcomes: &mut Outcomes,
    ) -> bool {
        let level = captured.head.level;
        match self.try_write(captured, unix_ns, batch, outcomes) {
            Ok(()) => return true,
            Err(Unsent::Dropped) => outcomes.dropped.add(level, 1),
            Err(Unsent::Unwritten(fault)) => {
                outcomes.unwritten.add(level, 1);
                self.fault = Some(fault);
            }
        }
        false
    }

    fn try_write(
        &mut self,
        captured: &CapturedRecord<'_>,
        unix_ns: u64,
        batch: &mut EventBatch,
        outcomes: &mut Outcomes,
    ) -> Result<(), Unsent> {
        let head = captured.head;
        let (place, bytes) = self.prepare(captured);
        let Some(site) = self.sites.at(place) else {
            return Err(Unsent::Unwritten("its call site is not known".into()));
        };
        let mut record = Record {
            unix_ns,
            stamp: head.stamp,
            site,
            sites: &self.sites,
            span: captured.span,
            bytes,
            edits: None,
            value_bytes_max: usize::MAX,
        };
        if let Some(look) = &mut self.before_send {
            looked_at(look, &record, &mut self.edits)?;
            if !self.edits.is_empty() {
                record.edits = Some(&self.edits);
            }
        }
        let (layout, body) = (&mut *self.layout, &mut self.body);
        let mut cut_bytes = put_body(layout, &record, body, self.body_bytes_max)?;

        self.headers.begin(unix_ns);
        let plan = self.sites.headers();
        let loss = self.headers.promote(plan, &record, &site.headers);
        outcomes.renamed += loss.renamed;
        cut_bytes += loss.cut_bytes;
        if cut_bytes > 0 || head.is_cut {
            outcomes.cut += 1;
            self.headers.tell_cut(cut_bytes);
        }
        let [own, more] = self.headers.blocks();
        let pushed = batch.push(&[&site.headers, own, more], body);
        pushed.map_err(|fault| Unsent::Unwritten(fault.to_string()))?;
        let bytes = batch.last_bytes();
        if bytes > self.event_bytes_max {
            // With it the client would refuse all others.
            batch.pop();
            let most = self.event_bytes_max;
            return Err(Unsent::Unwritten(format!(
                "with its headers it has {bytes} bytes, more than the {most} of an event"
            )));
        }
        self.headers.pass();
        if self.body.capacity() > 2 * self.body_bytes_max {
            self.body = Vec::new();
        }
        Ok(())
    }

    /// Makes the call sites of a record and of its spans ready. Returns the place of its own, and its
    /// fields.
    #[inline]
    fn prepare<'a>(&mut self, captured: &CapturedRecord<'a>) -> (u32, &'a [u8]) {
        self.sites.make_room();
        for node in captured
            .span
            .into_iter()
            .flat_map(|span| span.with_parents())
        {
            self.sites.prepare(node.site());
        }
        if let Some(site) = captured.head.site {
            return (self.sites.prepare(site), captured.bytes);
        }
        let (site, fields) = split_inline_site(captured.bytes);
        let place = self.sites.prepare_inline(captured.head.level, &site);
        (place, fields.rest())
    }

    /// Why the last record was not written that was not, since this was asked last.
    pub(crate) fn take_fault(&mut self) -> Option<String> {
        self.fault.take()
    }
}

/// Why a record becomes no event.
#[derive(Debug)]
enum Unsent {
    /// The user's look at it said so.
    Dropped,
    /// It cannot be written, for this reason.
    Unwritten(String),
}

fn looked_at(look: &mut BeforeSend, record: &Record<'_>, edits: &mut Edits) -> Result<(), Unsent> {
    edits.clear();
    match catch_unwind(AssertUnwindSafe(|| look.0(record, edits))) {
        Ok(Verdict::Keep) => Ok(()),
        Ok(Verdict::Drop) => Err(Unsent::Dropped),
        // The record may hold what was to be taken out.
        Err(_) => Err(Unsent::Unwritten(
            "the function given to `before_send` panicked".into(),
        )),
    }
}

/// Writes a body of at most so many bytes. Returns how many were cut off.
fn put_body(
    layout: &mut dyn Layout,
    record: &Record<'_>,
    body: &mut Vec<u8>,
    most: usize,
) -> Result<usize, Unsent> {
    let mut record = *record;
    render(layout, &record, body)?;
    if body.len() <= most {
        return Ok(0);
    }
    let whole = body.len();
    for value_bytes in VALUE_BYTES {
        if body.len() > most {
            record.value_bytes_max = value_bytes;
            render(layout, &record, body)?;
        }
    }
    if body.len() > most && !layout.is_text() {
        return Err(Unsent::Unwritten(format!(
            "its body has {whole} bytes, more than {most}, and is no text that can be cut"
        )));
    }
    body.truncate(end_of_letter(body, most));
    Ok(whole.saturating_sub(body.len()))
}

/// Writes a body, with the user's own code perhaps.
#[inline]
fn render(layout: &mut dyn Layout, record: &Record<'_>, body: &mut Vec<u8>) -> Result<(), Unsent> {
    body.clear();
    match catch_unwind(AssertUnwindSafe(|| layout.render(record, body))) {
        Ok(rendered) => rendered.map_err(|fault: LayoutError| Unsent::Unwritten(fault.to_string())),
        Err(_) => Err(Unsent::Unwritten("the layout panicked".into())),
    }
}

/// Where a text is cut so that at most `most` bytes of whole letters are left.
fn end_of_letter(text: &[u8], most: usize) -> usize {
    if text.len() <= most {
        return text.len();
    }
    let is_inside = |at: &usize| text.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
    (0..=most).rev().find(|at| !is_inside(at)).unwrap_or(0)
}
