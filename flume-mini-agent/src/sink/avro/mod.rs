//! The Avro sink: passes events on to another agent (Flume's `AvroSink`).
//!
//! One call is under way at a time; the sink commits its takes when the other agent has answered
//! `OK`, so for a moment both channels hold the events. After any other answer, or none within the
//! request timeout, it drops the connection. One that the other side has closed in between is
//! replaced before a call, unseen and uncounted, as Avro's transceiver does for Flume's sink.

mod link;

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::carrier::Carrier;
use crate::channel::StoredEvent;
use link::{Link, LinkError};

/// A sink and its connection, if it has one.
#[derive(Debug)]
pub(crate) struct AvroSink {
    settings: AvroSinkSettings,
    open: Option<Open>,
}

/// Where an Avro sink sends to, and how long it waits.
#[derive(Clone, Debug)]
pub(crate) struct AvroSinkSettings {
    pub(crate) hostname: String,
    pub(crate) port: u16,
    pub(crate) carrier: Carrier,
    /// For name look-up, connection and handshake together.
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
    /// How old a connection gets, that a balancer in between may choose anew.
    pub(crate) reset_connection_interval: Option<Duration>,
}

#[derive(Debug)]
struct Open {
    link: Link,
    since: Instant,
}

/// Why a batch was not passed on, or no connection was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error("cannot connect to {address}: {reason}")]
    Connect { address: String, reason: LinkError },
    #[error("cannot connect to {address} within {limit:?}")]
    ConnectTimeout { address: String, limit: Duration },
    #[error("{address}: {reason}")]
    Request { address: String, reason: LinkError },
    #[error("{address} did not answer within {limit:?}")]
    RequestTimeout { address: String, limit: Duration },
}

impl AvroSink {
    pub(crate) fn new(settings: AvroSinkSettings) -> Self {
        Self {
            settings,
            open: None,
        }
    }

    /// Drops a connection that is too old. Tells whether there was such a one.
    pub(super) fn drop_if_old(&mut self) -> bool {
        let reset_after = self.settings.reset_connection_interval;
        let is_old = |open: &Open| reset_after.is_some_and(|age| open.since.elapsed() >= age);
        self.open.as_ref().is_some_and(is_old) && self.disconnect()
    }

    /// Connects if need be. Tells whether there was need.
    pub(super) async fn connect(&mut self) -> Result<bool, SendError> {
        if self.open.is_some() {
            return Ok(false);
        }
        let link = self.link().await?;
        let since = Instant::now();
        self.open = Some(Open { link, since });
        Ok(true)
    }

    async fn link(&self) -> Result<Link, SendError> {
        let limit = self.settings.connect_timeout;
        let address = (self.settings.hostname.as_str(), self.settings.port);
        let opened = Link::open(address, &self.settings.carrier);
        let address = || self.address();
        timeout(limit, opened)
            .await
            .map_err(|_| SendError::ConnectTimeout {
                address: address(),
                limit,
            })?
            .map_err(|reason| SendError::Connect {
                address: address(),
                reason,
            })
    }

    /// Sends a batch and waits for its answer. After an error the caller must disconnect: an
    /// answer may still come.
    pub(super) async fn append_batch(&mut self, events: &[StoredEvent]) -> Result<(), SendError> {
        let is_dead = match &mut self.open {
            Some(open) => !open.link.is_alive().await,
            None => false,
        };
        if is_dead {
            let link = self.link().await?;
            if let Some(open) = &mut self.open {
                open.link = link;
            }
        }
        let limit = self.settings.request_timeout;
        let answered = match &mut self.open {
            Some(open) => timeout(limit, open.link.append_batch(events)).await,
            None => Ok(Err(LinkError::Closed)),
        };
        let address = || self.address();
        answered
            .map_err(|_| SendError::RequestTimeout {
                address: address(),
                limit,
            })?
            .map_err(|reason| SendError::Request {
                address: address(),
                reason,
            })
    }

    /// Drops the connection. Tells whether there was one.
    pub(super) fn disconnect(&mut self) -> bool {
        self.open.take().is_some()
    }

    fn address(&self) -> String {
        let AvroSinkSettings { hostname, port, .. } = &self.settings;
        format!("{hostname}:{port}")
    }
}
