//! What can go wrong, by what the caller can do about it.
//!
//! | type | from | says |
//! |---|---|---|
//! | [`BuildError`] | `build` | a setting is wrong |
//! | [`AppendError`] | `append` | the event was not taken; here it is back |
//! | [`DeliveryError`] | a receipt | what became of an event that was taken |
//! | [`StoreError`] | a receipt | whether it is on the disk |
//! | [`FlushError`] | `flush` | not everything was acknowledged in time |
//! | [`AgentError`] | [`Stats`](crate::stats::Stats) | why an agent is not used |
//! | [`SpoolError`] | `Stats`, [`Health`](crate::Health) | why events cannot be stored |
//!
//! The others are causes inside of these.
//!
//! No message shows a body or the value of a header. `Debug` shows the message too: that is what
//! `main` and `unwrap` print.

mod agent;
mod build;
#[cfg(feature = "http")]
mod http;
mod peer_text;

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

pub use agent::AgentError;
pub use build::BuildError;
#[cfg(feature = "http")]
pub use http::{HttpOptionsError, HttpRefusal};
pub use peer_text::PeerText;

use crate::debug::debug_is_the_message;
use crate::event::{Event, HeaderFault};
#[doc(inline)]
pub use crate::spool::{
    DeniedBy, DirectoryError, FileName, FileSizeLimit, Holder, Removed, SpoolError, User,
};
#[cfg(feature = "tls")]
#[doc(inline)]
pub use crate::tls::TlsSettingsError;
#[doc(inline)]
pub use crate::wire::avro::DecodeError;
#[doc(inline)]
pub use crate::wire::avro::frame::{Foreign, FrameError};
#[doc(inline)]
pub use crate::wire::avro::session::SessionError;
use crate::wire::thrift;

/// One of a client's threads. See [`ClientBuilder::build`](crate::ClientBuilder::build).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientThread {
    /// `flume-client`: sends events to agents.
    Sender,
    /// `flume-spool`: writes events to the spool.
    Committer,
}

impl ClientThread {
    /// The name that debuggers and panic messages show.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sender => "flume-client",
            Self::Committer => "flume-spool",
        }
    }
}

impl fmt::Display for ClientThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An event was not taken. It is handed back, unchanged.
pub struct AppendError {
    refusal: Refusal,
    event: Event,
}

/// Events were not taken, none of them. They are handed back, unchanged and in order.
pub struct AppendBatchError {
    refusal: Refusal,
    index: usize,
    events: Vec<Event>,
}

/// Why an event was not taken.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The buffer has no room. It has when agents acknowledge, or with a spool when events are
    /// stored.
    #[error(
        "the buffer is full: {used} of {capacity} bytes are in use and the event needs {needed}{}",
        because(.trouble.as_deref(), "")
    )]
    Full {
        /// Bytes in use.
        used: usize,
        /// The buffer's bound.
        capacity: usize,
        /// Bytes the event needs.
        needed: usize,
        /// What keeps the spool from storing events.
        trouble: Option<Arc<SpoolError>>,
    },
    /// The spool has no room; it has when agents acknowledge.
    #[error(
        "the spool is full: spool_bytes allows {capacity}, and the event needs {needed} more{}",
        because(.trouble.as_deref(), "; agents must acknowledge older events")
    )]
    SpoolFull {
        /// The spool's bound.
        capacity: u64,
        /// Bytes the event needs.
        needed: u64,
        /// What keeps the spool from storing events.
        trouble: Option<Arc<SpoolError>>,
    },
    /// The event, or a batch of them, is larger than `event_bytes` or the whole buffer.
    #[error("{bytes} bytes were offered at once, more than the {limit} allowed")]
    TooLarge {
        /// Bytes offered.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The event's body is not UTF-8, and all agents speak HTTP, whose JSON cannot carry it.
    #[error(
        "the event's body is not UTF-8, which no agent of this client can take, as all of them speak \
         HTTP: encode it as text, in base64 for example, or send to an Avro or a Thrift source"
    )]
    NotText,
    /// A header breaks a limit.
    #[error("the event has a header that agents would not keep: {0}")]
    Header(HeaderFault),
    /// The client was closed.
    #[error("the client was closed and takes no more events")]
    Closed,
    /// One of the client's threads panicked, which is a fault in this crate. The client has ended;
    /// what is in the spool is delivered by the next one.
    #[error(
        "the client's thread {thread} panicked, so the client has ended and takes no more events: build another one"
    )]
    Failed {
        /// The thread.
        thread: ClientThread,
    },
    /// This is not the process that built the client, but one forked from it, without its threads.
    #[error(
        "this process was forked from process {process}, whose client this is: build one after the fork"
    )]
    Forked {
        /// The client's process.
        process: u32,
    },
}

impl Refusal {
    /// Whether the same event can be taken later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::SpoolFull { .. })
    }
}

impl AppendError {
    pub(crate) fn new(refusal: Refusal, event: Event) -> Self {
        Self { refusal, event }
    }

    /// The event, to look at.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// Why.
    #[must_use]
    pub fn refusal(&self) -> &Refusal {
        &self.refusal
    }

    /// Whether the same event can be taken later: the buffer or the spool is full.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.refusal.is_retryable()
    }

    /// The event.
    #[must_use]
    pub fn into_event(self) -> Event {
        self.event
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.refusal.fmt(f)
    }
}

impl std::error::Error for AppendError {}

impl AppendBatchError {
    pub(crate) fn new(refusal: Refusal, index: usize, events: Vec<Event>) -> Self {
        Self {
            refusal,
            index,
            events,
        }
    }

    /// Why.
    #[must_use]
    pub fn refusal(&self) -> &Refusal {
        &self.refusal
    }

    /// Position of the first event that could not be taken.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Whether the same events can be taken later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.refusal.is_retryable()
    }

    /// The events, all of them, to look at.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The events, all of them.
    #[must_use]
    pub fn into_events(self) -> Vec<Event> {
        self.events
    }
}

impl fmt::Display for AppendBatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "none of {} events was taken; event {}: {}",
            self.events.len(),
            self.index,
            self.refusal
        )
    }
}

impl std::error::Error for AppendBatchError {}

/// An event that was taken is not delivered, or not yet.
///
/// `cause` is the last trouble with an agent, if none has acknowledged anything since. Two errors
/// are equal if they are of one kind: the cause is not compared.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// The wait ended first; the event is still on its way.
    #[error(
        "no acknowledgement within {waited:?}; the event is still pending{}",
        told(.cause.as_ref())
    )]
    Pending {
        /// How long was waited.
        waited: Duration,
        /// Why, if that is known.
        cause: Option<Arc<AgentError>>,
    },
    /// Best effort: no agent could be reached. It is nowhere.
    #[error(
        "no agent could be reached; the event was never sent and is dropped (best effort){}",
        told(.cause.as_ref())
    )]
    Unreachable {
        /// Why, if that is known.
        cause: Option<Arc<AgentError>>,
    },
    /// Best effort: an agent refused it. It may be stored in part of that agent's channels.
    #[error("the agent refused the event, which is dropped (best effort){}", told(.cause.as_ref()))]
    Rejected {
        /// Why, if that is known.
        cause: Option<Arc<AgentError>>,
    },
    /// It was sent, and whether it was stored is not known.
    #[error("the event was sent but not acknowledged; it may be stored{}", told(.cause.as_ref()))]
    Unknown {
        /// Why, if that is known.
        cause: Option<Arc<AgentError>>,
    },
    /// The client was closed before it was sent. It is nowhere.
    #[error("the client was closed before the event was sent{}", told(.cause.as_ref()))]
    Closed {
        /// Why, if that is known.
        cause: Option<Arc<AgentError>>,
    },
    /// The buffer was full, and it was the oldest event that waited. It is nowhere.
    #[error("the event was dropped as the oldest, for want of room; it was never sent")]
    Shed,
    /// The event was in the spool and cannot be read any more. Its file is set aside as
    /// `quarantine-...`.
    #[error("the event was in the spool and cannot be read any more; its file is set aside")]
    Corrupt,
    /// The client was closed first. The event is in the spool and will be sent by the next client
    /// that opens it.
    #[error("the client was closed first; the event is in the spool, for the next client to send")]
    InSpool,
    /// This is not the process that took the event, but one forked from it. What becomes of the
    /// event only that one learns.
    #[error(
        "this process was forked from process {process}, which took the event and alone learns what becomes of it"
    )]
    Forked {
        /// The client's process.
        process: u32,
    },
    /// One of the client's threads panicked, which is a fault in this crate. It is not known
    /// whether the event was sent or is on the disk.
    #[error("the client's thread {thread} panicked; whether the event was sent is not known")]
    Failed {
        /// The thread.
        thread: ClientThread,
    },
}

/// An event that was taken is not on the disk, or not yet.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The wait ended first; the event still waits for the disk.
    #[error("not on the disk within {waited:?}; the event waits in memory")]
    Pending {
        /// How long was waited.
        waited: Duration,
    },
    /// The client ended before the event was on the disk. It may still have been delivered.
    #[error("the client was closed before the event was on the disk")]
    Closed,
    /// This is not the process that took the event, but one forked from it before the event was on
    /// the disk. Whether it gets there only that one learns.
    #[error(
        "this process was forked from process {process}, which took the event and alone learns when it is on the disk"
    )]
    Forked {
        /// The client's process.
        process: u32,
    },
    /// One of the client's threads panicked before the event was known to be on the disk.
    #[error("the client's thread {thread} panicked before the event was known to be on the disk")]
    Failed {
        /// The thread.
        thread: ClientThread,
    },
}

impl DeliveryError {
    /// Whether an agent may have the event: sending it again could double it.
    #[must_use]
    pub fn is_possibly_stored(&self) -> bool {
        matches!(
            self,
            Self::Pending { .. }
                | Self::Rejected { .. }
                | Self::Unknown { .. }
                | Self::InSpool
                | Self::Forked { .. }
                | Self::Failed { .. }
        )
    }

    /// The last trouble with an agent, if none has acknowledged anything since.
    #[must_use]
    pub fn cause(&self) -> Option<&Arc<AgentError>> {
        match self {
            Self::Pending { cause, .. }
            | Self::Unreachable { cause }
            | Self::Rejected { cause }
            | Self::Unknown { cause }
            | Self::Closed { cause } => cause.as_ref(),
            Self::Shed
            | Self::Corrupt
            | Self::InSpool
            | Self::Failed { .. }
            | Self::Forked { .. } => None,
        }
    }
}

impl PartialEq for DeliveryError {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Pending { waited: one, .. }, Self::Pending { waited: other, .. }) => {
                one == other
            }
            _ => mem::discriminant(self) == mem::discriminant(other),
        }
    }
}

impl Eq for DeliveryError {}

/// A flush ended before everything was acknowledged. Nothing is lost by it.
#[derive(Clone, thiserror::Error)]
#[error("{}", unflushed(self))]
#[non_exhaustive]
pub struct FlushError {
    /// Events that still wait.
    pub pending: u64,
    /// The last trouble with an agent, if there was any.
    pub last_error: Option<Arc<AgentError>>,
    /// This thread of the client panicked, and the client has ended.
    pub failed: Option<ClientThread>,
    /// The client's process, if this is not that one but was forked from it. What waits there only
    /// that one knows; [`pending`](Self::pending) is zero.
    pub forked_from: Option<u32>,
}

fn unflushed(error: &FlushError) -> String {
    match error.forked_from {
        Some(process) => format!(
            "this process was forked from process {process}, whose client this is: only that one can flush it"
        ),
        None => format!(
            "{} events are still not acknowledged{}{}",
            error.pending,
            failure(error.failed),
            told(error.last_error.as_ref())
        ),
    }
}

fn failure(thread: Option<ClientThread>) -> String {
    thread
        .map(|thread| format!("; the client's thread {thread} panicked, and the client has ended"))
        .unwrap_or_default()
}

#[cfg(feature = "compression")]
debug_is_the_message!(crate::wire::deflate::DeflateError);

debug_is_the_message!(
    BuildError,
    AppendError,
    AppendBatchError,
    Refusal,
    DeliveryError,
    StoreError,
    FlushError,
    // Of modules below this one.
    HeaderFault,
    DecodeError,
    FrameError,
    SessionError,
    crate::wire::http::json::EncodeError,
    thrift::DecodeError,
    thrift::event::EncodeError,
    thrift::frame::FrameError,
    thrift::session::SessionError,
);

fn told(error: Option<&Arc<AgentError>>) -> String {
    error
        .map(|error| format!("; last error: {error}"))
        .unwrap_or_default()
}

fn because(trouble: Option<&SpoolError>, otherwise: &str) -> String {
    trouble.map_or_else(
        || otherwise.to_owned(),
        |trouble| format!("; nothing is stored because {trouble}"),
    )
}
