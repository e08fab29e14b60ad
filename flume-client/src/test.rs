//! For tests of services: a client that keeps its events in memory. It is a [`Client`] like any other,
//! with its buffer, its batches, receipts and counters, but for the agents, which are in this process's
//! memory: no socket is opened, events are acknowledged at once, and any number of tests can run at
//! the same time. The client's thread ends with the client.
//!
//! ```
//! use flume_client::{Client, Event, test};
//!
//! fn place_order(client: &Client, order: u32) -> Result<(), flume_client::AppendError> {
//!     let event = Event::new(format!("order {order} placed")).header("shop", "tea");
//!     client.append(event).map(drop)
//! }
//!
//! let (client, captured) = test::capture()?;
//! place_order(&client, 17)?;
//! let expected = Event::new("order 17 placed").header("shop", "tea");
//! assert_eq!(captured.take(), [expected]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What a service does when things go wrong:
//!
//! ```
//! use std::time::Duration;
//! use flume_client::{Event, test};
//!
//! let (client, captured) = test::capture()?;
//! captured.refuse(); // the buffer is full
//! let refused = client.append(Event::new("no room")).expect_err("there is none");
//! assert!(refused.is_retryable());
//! captured.accept();
//!
//! captured.hold(); // no agent answers
//! let receipt = client.append(Event::new("on its way"))?;
//! assert!(receipt.wait(Duration::ZERO).is_err());
//! captured.release();
//! receipt.wait(Duration::from_secs(5))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What is lost with a real agent (connections that break, answers that come late, batches that are
//! sent twice) is for `flume-mini-agent`, which speaks over sockets.

use std::sync::Arc;
use std::time::Duration;

use crate::client::{Client, ClientBuilder, WeakClient};
use crate::error::BuildError;
use crate::event::Event;
use crate::transport::InMemory;

pub use crate::transport::KEPT_BYTES_MAX;

/// The longest that [`Captured::take`] waits.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Starts a client that keeps its events in memory. They are what was appended: they get no
/// [ids](ClientBuilder::event_ids). Works in `#[test]` and in `#[tokio::test]`.
///
/// # Errors
///
/// If its thread cannot be started.
pub fn capture() -> Result<(Client, Captured), BuildError> {
    capture_with(Client::builder().event_ids(false))
}

/// The same, with settings. All of them hold, but that batches wait for
/// [nothing](ClientBuilder::linger); agents are not spoken to, and need not be named. A spool is a real
/// one, in files.
///
/// # Errors
///
/// As [`ClientBuilder::build`].
pub fn capture_with(builder: ClientBuilder) -> Result<(Client, Captured), BuildError> {
    let agents = Arc::new(InMemory::default());
    let builder = builder.linger(Duration::ZERO).in_memory(agents.clone());
    let client = builder.build()?;
    let captured = Captured {
        client: client.downgrade(),
        agents,
    };
    Ok((client, captured))
}

/// The events that would have been sent, and the say over what becomes of more.
///
/// When it is dropped, agents take what waits and what comes, and nobody keeps it.
#[derive(Debug)]
pub struct Captured {
    client: WeakClient,
    agents: Arc<InMemory>,
}

impl Captured {
    /// The events that were appended so far, without those that were taken before. Waits until all of
    /// them are acknowledged, at most 30 s; while they are [held](Self::hold) it does not wait, and
    /// gives those from before.
    ///
    /// They come in the order in which they were appended, as one task or thread appended them.
    #[must_use]
    pub fn take(&self) -> Vec<Event> {
        self.settle();
        self.agents.take()
    }

    /// Their bodies, as texts. Bytes that are no UTF-8 are replaced.
    #[must_use]
    pub fn take_bodies(&self) -> Vec<String> {
        let text = |event: &Event| String::from_utf8_lossy(event.body()).into_owned();
        self.take().iter().map(text).collect()
    }

    /// Events that were not kept, because they would have been more than [`KEPT_BYTES_MAX`].
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.agents.left_out()
    }

    /// From now on no agent answers: what is appended stays unacknowledged, and fills the buffer. What
    /// was appended before is acknowledged first.
    ///
    /// It is as with agents that are silent: a batch that has waited for
    /// [`request_timeout`](ClientBuilder::request_timeout) counts as failed and is sent again, with
    /// [`BestEffort`](crate::Reliability::BestEffort) it is lost then. A client that is closed or
    /// dropped waits for its timeout and tells what it lost.
    pub fn hold(&self) {
        self.settle();
        self.agents.fall_silent();
    }

    /// What is held, and what comes, is acknowledged.
    pub fn release(&self) {
        self.agents.speak();
    }

    /// From now on the client's buffer is full, whatever is in it: [`append`](Client::append) hands
    /// events back, and who waits for room waits.
    pub fn refuse(&self) {
        self.play_full(true);
    }

    /// There is room again, as much as there is.
    pub fn accept(&self) {
        self.play_full(false);
    }

    fn play_full(&self, plays_full: bool) {
        if let Some(client) = self.client.upgrade() {
            client.play_full(plays_full);
        }
    }

    /// Waits until all is acknowledged.
    fn settle(&self) {
        if !self.agents.is_silent()
            && let Some(client) = self.client.upgrade()
        {
            // With an error it is what there is.
            let _ = client.flush(WAIT_MAX).wait();
        }
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        self.agents.discard();
    }
}
