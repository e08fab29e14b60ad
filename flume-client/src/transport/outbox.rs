//! [`Outbox`]: what a connection is still to send.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use super::session::{Envelope, Session};
use super::stream::Stream;
use crate::delivery::{Batch, CallId};
use crate::error::AgentError;
use crate::queue::Unacked;
use crate::reliability::PerLevel;
use crate::wire::thrift::event::EncodeError;

/// Most slices handed to one write.
const SLICES_MAX: usize = 64;
/// Of calls whose events are put in another form, no more than this is made ahead of being sent, and a
/// call.
const ENCODED_BYTES_MAX: usize = 64 * 1024;

/// Frames that are not wholly written, oldest first.
pub(super) struct Outbox {
    queue: VecDeque<Outgoing>,
    /// Bytes of the first one that are written.
    written: usize,
    /// Calls that cannot be put as the agent's protocol has them: nothing of them is sent.
    pub(super) unfit: VecDeque<(CallId, EncodeError)>,
    /// A buffer that is used again.
    spare: Vec<u8>,
}

/// A message: bytes, and those of a batch's events behind its head, if it is a call that has them so.
pub(super) struct Outgoing {
    head: Vec<u8>,
    events: Events,
    tail: &'static [u8],
    call: Option<(CallId, Batch)>,
}

/// Where the events of a message are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Events {
    /// There are none, or in the head.
    InHead,
    /// In memory, as they travel.
    InMemory,
    /// In memory, and are to be put into the head in another form.
    ToEncode,
}

impl Outgoing {
    pub(super) fn greeting(head: Vec<u8>) -> Self {
        Self {
            head,
            events: Events::InHead,
            tail: &[],
            call: None,
        }
    }

    pub(super) fn call(call: CallId, batch: Batch, envelope: Envelope) -> Self {
        let (events, head, tail) = match envelope {
            Envelope::Around { head, tail } => (Events::InMemory, head, tail),
            Envelope::Encoded => (Events::ToEncode, Vec::new(), &[][..]),
        };
        Self {
            head,
            events,
            tail,
            call: Some((call, batch)),
        }
    }

    fn len(&self) -> usize {
        let events = match (self.events, &self.call) {
            (Events::InMemory, Some((_, batch))) => batch.bytes as usize,
            _ => 0,
        };
        self.head.len() + events + self.tail.len()
    }

    fn slices<'a>(&'a self, unacked: &'a PerLevel<Unacked>) -> impl Iterator<Item = &'a [u8]> {
        let call = self.call.iter().filter(|_| self.events == Events::InMemory);
        let events = call.flat_map(|(_, batch)| unacked[batch.level].slices(batch.range()));
        std::iter::once(self.head.as_slice())
            .chain(events)
            .chain([self.tail])
    }
}

impl Outbox {
    pub(super) fn starting_with(greeting: Vec<u8>) -> Self {
        Self {
            queue: VecDeque::from([Outgoing::greeting(greeting)]),
            written: 0,
            unfit: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, outgoing: Outgoing) {
        self.queue.push_back(outgoing);
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn holds(&self, call: CallId) -> bool {
        self.queue
            .iter()
            .any(|outgoing| outgoing.call.is_some_and(|(held, _)| held == call))
    }

    /// The first call of which no byte is written.
    pub(super) fn unsent_from(&self) -> Option<CallId> {
        let begun = usize::from(self.written > 0);
        let unsent = self
            .queue
            .iter()
            .skip(begun)
            .filter_map(|outgoing| outgoing.call);
        unsent.map(|(call, _)| call).min()
    }

    /// Writes until the stream takes no more. Says whether it took any.
    pub(super) fn write(
        &mut self,
        stream: &mut Stream,
        session: &Session,
        context: &mut Context<'_>,
        unacked: &PerLevel<Unacked>,
    ) -> Result<bool, AgentError> {
        let mut has_sent = false;
        loop {
            self.encode(session, unacked);
            if self.queue.is_empty() {
                break;
            }
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let mut count = 0;
            for (place, bytes) in slices.iter_mut().zip(self.unwritten(unacked)) {
                *place = IoSlice::new(bytes);
                count += 1;
            }
            let unwritten = slices.get(..count).unwrap_or_default();
            match stream.poll_send(context, unwritten) {
                Poll::Pending => return Ok(has_sent),
                Poll::Ready(Ok(0)) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Poll::Ready(written) => self.advance(written?),
            }
            has_sent = true;
        }
        match stream.poll_flush(context) {
            Poll::Pending => Ok(has_sent),
            Poll::Ready(flushed) => flushed.map(|()| has_sent),
        }
    }

    /// Puts events in the form in which they travel, if that is another one.
    fn encode(&mut self, session: &Session, unacked: &PerLevel<Unacked>) {
        let mut encoded = 0;
        let mut index = 0;
        while encoded < ENCODED_BYTES_MAX
            && let Some(outgoing) = self.queue.get_mut(index)
        {
            if let (Events::ToEncode, Some((call, batch))) = (outgoing.events, outgoing.call) {
                let mut head = std::mem::take(&mut self.spare);
                head.clear();
                let datums = unacked[batch.level].slices(batch.range());
                if let Err(error) = session.encode(&mut head, call, &batch, datums) {
                    self.spare = head;
                    self.unfit.push_back((call, error));
                    self.queue.remove(index);
                    continue;
                }
                (outgoing.head, outgoing.events) = (head, Events::InHead);
            }
            if outgoing.events == Events::InHead {
                encoded += outgoing.head.len();
            }
            index += 1;
        }
    }

    /// What is left to write, as it lies in memory.
    fn unwritten<'a>(&'a self, unacked: &'a PerLevel<Unacked>) -> impl Iterator<Item = &'a [u8]> {
        let ready = self.queue.iter();
        let outgoing = ready.take_while(|outgoing| outgoing.events != Events::ToEncode);
        let mut written = self.written;
        outgoing
            .flat_map(|outgoing| outgoing.slices(unacked))
            .filter_map(move |bytes| {
                let start = written.min(bytes.len());
                written -= start;
                bytes.get(start..).filter(|rest| !rest.is_empty())
            })
    }

    fn advance(&mut self, written: usize) {
        self.written += written;
        while let Some(first) = self.queue.front()
            && first.events != Events::ToEncode
            && self.written >= first.len()
        {
            self.written -= first.len();
            if let Some(sent) = self.queue.pop_front() {
                self.spare = sent.head;
            }
        }
    }
}
