//! One client with an agent for each kind of source, and faults that strike one of them after the other.

use std::fmt;
use std::time::Duration;

use flume_client::{Backoff, Client, Event, Reliability, Selection, TlsOptions};
use flume_mini_agent::config::{Pem, ThriftProtocol, TlsConfig};
use flume_mini_agent::{Fault, FaultRule, MiniAgent, MiniAgentBuilder};
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use crate::error::{HarnessError, Result};

/// Most that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Calls that a fault strikes at.
const CALLS: u64 = 5;
const BATCH_EVENTS: u64 = 100;

/// What happens to an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is stopped, and started again when the events were sent.
    Stop,
    /// It answers no calls.
    Hang,
    /// FAILED, of HTTP 503.
    Refusal,
    /// The connection is reset at a call.
    Reset,
    /// Its channel is full.
    FullChannel,
}

impl Trouble {
    /// Each of them.
    pub const ALL: [Self; 5] = [
        Self::Stop,
        Self::Hang,
        Self::Refusal,
        Self::Reset,
        Self::FullChannel,
    ];

    fn fault(self) -> Option<FaultRule> {
        Some(match self {
            Self::Stop => return None,
            Self::Hang => Fault::Hang.nth_request(3),
            Self::Refusal => Fault::Failed.times(CALLS),
            Self::Reset => Fault::Reset.nth_request(3),
            Self::FullChannel => Fault::ChannelFull.times(CALLS),
        })
    }

    /// Whether batches can have been stored whose answers did not come.
    fn may_double(self) -> bool {
        matches!(self, Self::Stop | Self::Hang | Self::Reset)
    }
}

/// Agents of all kinds.
struct Doors {
    agents: Vec<MiniAgent>,
    home: TempDir,
}

impl Doors {
    fn start() -> Result<Self> {
        let failed = |error: &dyn fmt::Display| HarnessError::new(error.to_string());
        let home = TempDir::new().map_err(|error| failed(&error))?;
        let key = KeyPair::generate().map_err(|error| failed(&error))?;
        let names = vec!["127.0.0.1".to_owned()];
        let params = CertificateParams::new(names).map_err(|error| failed(&error))?;
        let certificate = params.self_signed(&key).map_err(|error| failed(&error))?;
        let pem = certificate.pem();
        std::fs::write(home.path().join("ca.pem"), &pem).map_err(|error| failed(&error))?;
        let tls = || TlsConfig::new(Pem::Bytes((pem.clone() + &key.serialize_pem()).into()));
        let builders: [MiniAgentBuilder; 6] = [
            MiniAgent::builder(),
            MiniAgent::builder().deflate(),
            MiniAgent::builder().deflate().tls(tls()),
            MiniAgent::builder().thrift(ThriftProtocol::Compact),
            MiniAgent::builder()
                .thrift(ThriftProtocol::Binary)
                .tls(tls()),
            MiniAgent::builder().http(),
        ];
        let agents = builders.into_iter().map(|builder| {
            let builder = builder.capacity(10_000).keep_alive(Duration::ZERO);
            builder.start().map_err(|error| failed(&error))
        });
        Ok(Self {
            agents: agents.collect::<Result<_>>()?,
            home,
        })
    }

    /// A client that prefers this one, if it has a preference.
    fn client(&self, first: usize, selection: Selection) -> Result<Client> {
        let (before, after) = self.agents.split_at(first);
        let urls = after.iter().chain(before).map(MiniAgent::url);
        let backoff = Backoff::default()
            .base(Duration::from_millis(5))
            .cap(Duration::from_millis(50));
        let builder = Client::builder()
            .agents(urls)
            .selection(selection)
            .backoff(backoff)
            .tls(TlsOptions::default().ca_file(self.home.path().join("ca.pem")))
            .request_timeout(Duration::from_secs(1))
            .batch_events(BATCH_EVENTS as u32)
            .reliability(Reliability::EndToEnd)
            .spool(self.home.path().join("spool"));
        builder
            .build()
            .map_err(|error| HarnessError::new(error.to_string()))
    }
}

/// What came of all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Events that were sent.
    pub events: u64,
    /// That did not arrive.
    pub lost: u64,
    /// That arrived more than once.
    pub doubled: u64,
    /// That arrived more than once though each call was answered.
    pub unexplained: u64,
    /// Batches that were sent again.
    pub retried: u64,
}

/// Sends events end to end while each agent has each trouble in its turn.
///
/// # Errors
///
/// Something did not come about in time.
pub fn run(selection: Selection, events: u64) -> Result<Figures> {
    let mut doors = Doors::start()?;
    let steps = (doors.agents.len() * Trouble::ALL.len()) as u64;
    let in_each = events.div_ceil(steps);
    let mut figures = Figures::default();
    for place in 0..doors.agents.len() {
        for trouble in Trouble::ALL {
            step(
                &mut doors,
                (place, trouble),
                selection,
                in_each,
                &mut figures,
            )?;
        }
    }
    Ok(figures)
}

fn step(
    doors: &mut Doors,
    (place, trouble): (usize, Trouble),
    selection: Selection,
    events: u64,
    figures: &mut Figures,
) -> Result<()> {
    let failed = |error: &dyn fmt::Display| {
        HarnessError::new(format!("{trouble:?} at agent {place}: {error}"))
    };
    let client = doors.client(place, selection)?;
    let send = |number: u64| {
        let event = Event::new(number.to_string()).header("number", number.to_string());
        let sent = client.append_within(event, PATIENCE);
        sent.map(drop).map_err(|error| failed(&error))
    };
    // A tenth of them before, so that the agent is in use.
    (0..events / 10).try_for_each(send)?;
    client
        .flush(PATIENCE)
        .wait()
        .map_err(|error| failed(&error))?;
    let rule = trouble.fault().map(|rule| doors.agents[place].fault(rule));
    if rule.is_none() {
        doors.agents[place].stop();
    }
    (events / 10..events).try_for_each(send)?;
    client
        .flush(PATIENCE)
        .wait()
        .map_err(|error| failed(&error))?;
    drop(rule);
    if trouble == Trouble::Stop {
        let started = doors.agents[place].start_again();
        started.map_err(|error| failed(&error))?;
    }
    let stats = client.stats();
    let report = client.close(PATIENCE).wait();
    if !report.is_complete() {
        return Err(failed(&format_args!("{report:?}")));
    }
    let mut arrived = vec![0_u32; events as usize];
    for agent in &doors.agents {
        for event in agent.received() {
            let number = std::str::from_utf8(event.body()).ok();
            let number = number.and_then(|number| number.parse::<usize>().ok());
            let count = number.and_then(|number| arrived.get_mut(number));
            *count.ok_or_else(|| failed(&"an event came that nobody sent"))? += 1;
        }
        agent.forget_received();
    }
    let doubled = arrived.iter().filter(|count| **count > 1).count() as u64;
    let retried = stats.batches_retried;
    let explained = match trouble.may_double() {
        true => doubled.min(retried * BATCH_EVENTS),
        false => 0,
    };
    figures.events += events;
    figures.lost += arrived.iter().filter(|count| **count == 0).count() as u64;
    figures.doubled += doubled;
    figures.unexplained += doubled - explained;
    figures.retried += retried;
    Ok(())
}
