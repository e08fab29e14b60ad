//! [`Config`]: the settings of a client, checked.

mod agents;
mod bounds;
mod common_headers;
#[cfg(feature = "http")]
mod http;
mod sizes;
mod spool;
#[cfg(feature = "tls")]
mod tls;

use std::time::Duration;

pub use agents::AgentOptions;
pub(crate) use agents::Given;
pub(crate) use bounds::{CHUNK_BYTES, FOREVER};
pub(crate) use common_headers::CommonHeaders;
pub use common_headers::host_name;
#[cfg(feature = "http")]
pub(crate) use http::{HttpConfig, HttpTarget, http_for};
#[cfg(feature = "http")]
pub use http::{HttpOptions, Secret};
pub(crate) use sizes::Sizes;
pub(crate) use spool::SpoolConfig;
pub use spool::SyncMode;
#[cfg(feature = "tls")]
pub use tls::TlsOptions;
#[cfg(feature = "tls")]
pub(crate) use tls::{TlsConfig, tls_for};

use crate::agent_url::{AgentUrl, Door};
#[cfg(all(feature = "http", feature = "tls"))]
use crate::delivery::AgentId;
use crate::delivery::{Backoff, Selection, Settings, WindowMode};
use crate::error::BuildError;
use crate::health::Limits;
use crate::health::change::OnChange;
use crate::reliability::Reliability;
use bounds::{long_enough, within};

/// What [`Client::append`](crate::Client::append) does when buffer or spool are full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// It hands the event back at once. A caller that drops it then loses the newest events, and
    /// finds them counted in [`Refused`](crate::stats::Refused).
    #[default]
    Refuse,
    /// It waits for room, so long at the most, and hands the event back then. It blocks the
    /// calling thread: nothing for threads that run async tasks.
    Block(Duration),
    /// It takes the event, and the client gives up the oldest ones that wait, counted in
    /// [`Lost::shed`](crate::stats::Lost::shed), as soon as three quarters of the buffer are used.
    /// The rest is for what comes before the client's thread can look; beyond that, events are
    /// handed back all the same. Of several [levels](crate::Client::at) the one that keeps least gives
    /// its events up first. Not for a client whose own level has a spool, which keeps what it took:
    /// beside another level, its events are handed back.
    DropOldest,
}

/// The settings of a client, checked. Made once, when the client is built, and lent to everybody who
/// needs more of them than a few numbers.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// In order of preference.
    pub(crate) agents: Vec<AgentUrl>,
    /// The client's own level.
    pub(crate) reliability: Reliability,
    pub(crate) delivery: Settings,
    pub(crate) buffer_bytes_max: usize,
    pub(crate) event_bytes_max: usize,
    /// What was chosen, if anything was.
    pub(crate) event_ids: Option<bool>,
    /// Those of every event, if there are some.
    pub(crate) headers: Option<CommonHeaders>,
    pub(crate) overflow: Overflow,
    pub(crate) on_change: OnChange,
    /// For [`Reliability::EndToEnd`].
    pub(crate) spool: Option<SpoolConfig>,
    /// If an agent has TLS.
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<TlsConfig>,
    /// If an agent speaks HTTP.
    #[cfg(feature = "http")]
    pub(crate) http: Option<HttpConfig>,
    pub(crate) sizes: Sizes,
    /// From 0 to 9.
    #[cfg(feature = "compression")]
    pub(crate) compression_level: u32,
}

/// Upper bound of [`ClientBuilder::batch_events`](crate::ClientBuilder::batch_events).
const BATCH_EVENTS_LIMIT: u32 = 100_000;
/// Upper bound of [`ClientBuilder::batch_bytes`](crate::ClientBuilder::batch_bytes) and of
/// [`ClientBuilder::event_bytes`](crate::ClientBuilder::event_bytes).
const BATCH_BYTES_LIMIT: u32 = 64 * 1024 * 1024;
/// Upper bound of [`WindowMode::Adaptive`]: far above what any Flume handles at once.
const WINDOW_LIMIT: u64 = 1024;
/// The longest that an agent has to answer the handshake, which costs it no work. Not a setting: a
/// shorter [`ClientBuilder::request_timeout`](crate::ClientBuilder::request_timeout) holds for it too,
/// and a longer one would only keep the client from the next agent.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// Upper bound of [`ClientBuilder::connections`](crate::ClientBuilder::connections): half of what a
/// Flume source handles at once.
const CONNECTIONS_LIMIT: u64 = 8;
/// Upper bound of [`ClientBuilder::buffer_bytes`](crate::ClientBuilder::buffer_bytes).
const BUFFER_BYTES_LIMIT: usize = 1024 * 1024 * 1024;

impl Default for Config {
    fn default() -> Self {
        let delivery = Settings {
            agents: Vec::new(),
            selection: Selection::default(),
            connections: 1,
            batch_events_max: 100,
            batch_bytes_max: 256 * 1024,
            linger: Duration::from_millis(20),
            window: WindowMode::ADAPTIVE,
            connect_timeout: Duration::from_secs(5),
            greeting_timeout: GREETING_TIMEOUT,
            request_timeout: Duration::from_secs(20),
            backoff: Backoff::default(),
        };
        Self {
            agents: Vec::new(),
            reliability: Reliability::default(),
            delivery,
            buffer_bytes_max: 32 * 1024 * 1024,
            event_bytes_max: 1024 * 1024,
            event_ids: None,
            headers: None,
            overflow: Overflow::Refuse,
            on_change: OnChange::default(),
            spool: None,
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "http")]
            http: None,
            sizes: Sizes::default(),
            #[cfg(feature = "compression")]
            compression_level: 6,
        }
    }
}

impl Config {
    /// What judging a client's health depends on.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            linger: self.delivery.linger,
            rest_max: self.delivery.backoff.cap,
            #[cfg(feature = "dangerous-trust-any-certificate")]
            trusts_any: self.tls.as_ref().is_some_and(TlsConfig::trusts_any),
        }
    }

    /// Whom an agent's certificate has to be for, if it has TLS.
    #[cfg(feature = "http")]
    pub(crate) fn server_name(&self, agent: usize) -> Option<String> {
        let is_tls = self.agents.get(agent)?.scheme().is_tls();
        #[cfg(feature = "tls")]
        let name = self.tls.as_ref()?.server_name(AgentId::new(agent));
        #[cfg(not(feature = "tls"))]
        let name: Option<&str> = None;
        name.filter(|_| is_tls).map(str::to_owned)
    }

    /// Whether no agent can take a body that is not UTF-8: all of them speak HTTP.
    pub(crate) fn takes_text_only(&self) -> bool {
        let mut agents = self.agents.iter();
        !self.agents.is_empty() && agents.all(|agent| agent.scheme().door() == Door::Http)
    }

    /// Whether events of a level get a header that names them: copies are made of all but those of
    /// best effort.
    pub(crate) fn adds_event_ids(&self, level: Reliability) -> bool {
        self.event_ids.unwrap_or(level != Reliability::BestEffort)
    }

    /// How full the buffer may be for an event of a level to be taken, in bytes. What keeps least
    /// gives way first, but the client's own level and those above it have all of the buffer.
    pub(crate) fn buffer_share(&self, level: Reliability) -> usize {
        let all = self.buffer_bytes_max;
        match (self.reliability, level) {
            (own, _) if level.index() >= own.index() => all,
            (_, Reliability::BestEffort) => all / 2,
            (_, Reliability::InMemory | Reliability::StoreOnFailure) => all / 4 * 3,
            (_, Reliability::EndToEnd) => all,
        }
    }

    /// The level whose spool is opened when the client is built, if there is a spool.
    pub(crate) fn spool_level(&self) -> Reliability {
        match self.reliability {
            Reliability::StoreOnFailure => Reliability::StoreOnFailure,
            _ => Reliability::EndToEnd,
        }
    }

    /// Shortens times above [`FOREVER`] to it, above all `Duration::MAX`.
    pub(crate) fn bound_times(&mut self) {
        let Backoff {
            base, cap, floor, ..
        } = &mut self.delivery.backoff;
        for time in [
            &mut self.delivery.linger,
            &mut self.delivery.connect_timeout,
            &mut self.delivery.request_timeout,
            base,
            cap,
            floor,
        ] {
            *time = FOREVER.min(*time);
        }
        if let Some(spool) = &mut self.spool {
            spool.bound_times();
        }
    }

    /// Whether these can work together; batches are made to fit into the buffer.
    pub(crate) fn check(&mut self) -> Result<(), BuildError> {
        self.check_sizes()?;
        self.check_delivery()?;
        let delivery = &mut self.delivery;
        delivery.greeting_timeout = delivery.request_timeout.min(GREETING_TIMEOUT);
        // Else a full buffer could be one open batch, which nothing but its linger time sends.
        let batch_bytes_fitting = u32::try_from(self.buffer_bytes_max / 4).unwrap_or(u32::MAX);
        let batch_bytes_max = &mut self.delivery.batch_bytes_max;
        *batch_bytes_max = batch_bytes_fitting.clamp(1, *batch_bytes_max);
        Ok(())
    }

    fn check_sizes(&self) -> Result<(), BuildError> {
        let batch_events = self.delivery.batch_events_max.into();
        let batch_bytes = self.delivery.batch_bytes_max.into();
        let event_bytes = self.event_bytes_max as u64;
        let buffer_bytes = self.buffer_bytes_max as u64;
        let (batch_limit, buffer_limit) = (BATCH_BYTES_LIMIT.into(), BUFFER_BYTES_LIMIT as u64);
        within("batch_events", batch_events, 1, BATCH_EVENTS_LIMIT.into())?;
        within("batch_bytes", batch_bytes, 1, batch_limit)?;
        within("event_bytes", event_bytes, 2, batch_limit)?;
        within("buffer_bytes", buffer_bytes, event_bytes, buffer_limit)?;
        #[cfg(feature = "compression")]
        within("compression_level", self.compression_level.into(), 0, 9)?;
        let Some(spool) = &self.spool else {
            return Ok(());
        };
        spool.check(self.event_bytes_max)?;
        match (self.overflow, self.reliability) {
            (Overflow::DropOldest, level) if level.has_spool() => Err(BuildError::DropsStored),
            _ => Ok(()),
        }
    }

    fn check_delivery(&self) -> Result<(), BuildError> {
        let delivery = &self.delivery;
        let Backoff { cap, floor, .. } = delivery.backoff;
        for (setting, value) in [
            ("connect_timeout", delivery.connect_timeout),
            ("request_timeout", delivery.request_timeout),
            ("the floor of backoff", floor),
        ] {
            long_enough(setting, value)?;
        }
        if cap < floor {
            return Err(BuildError::CapBelowFloor { cap, floor });
        }
        within(
            "connections",
            delivery.connections.into(),
            1,
            CONNECTIONS_LIMIT,
        )?;
        match delivery.window {
            WindowMode::Adaptive { max } => within("window", max.into(), 1, WINDOW_LIMIT),
            WindowMode::Ordered => Ok(()),
        }
    }
}
