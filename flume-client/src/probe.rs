//! [`probe`]: one connection to one agent, as a client makes it, so that each step can be timed and named.
//!
//! For the command `flume` and tools like it. This module is public with the feature `internals`; it may
//! change in any release.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::agent_url::{AgentUrl, Dialect};
use crate::client::ClientBuilder;
use crate::config::Config;
use crate::delivery::{AgentId, AgentSet, Batch, CallId, Ending, Time};
use crate::error::{AgentError, BuildError};
use crate::queue::Unacked;
use crate::reliability::{PerLevel, Reliability};
use crate::seq::Seq;
#[cfg(feature = "tls")]
use crate::tls::certificate::Certificate;
use crate::transport::{
    ClientRuntime, Link, Means, Names, Network, Progress, Sockets, Verdict, within,
};

/// What an agent answered, up to its first failure.
#[derive(Debug, Default)]
pub struct Probe {
    /// Look-up and connecting.
    pub connect: Option<Duration>,
    /// From the first byte sent to the answered handshake.
    pub handshake: Option<Duration>,
    /// What was found out, if there was something.
    pub dialect: Option<Dialect>,
    /// What was agreed on by TLS, if the agent has it.
    #[cfg(feature = "tls")]
    pub tls: Option<ProbedTls>,
    /// One for each empty batch that was answered OK.
    pub round_trips: Vec<Duration>,
    /// What went wrong.
    pub error: Option<AgentError>,
}

/// What was agreed on with an agent by TLS.
#[cfg(feature = "tls")]
#[derive(Debug)]
pub struct ProbedTls {
    /// `TLS 1.2` or `TLS 1.3`.
    pub version: &'static str,
    /// The cipher suite by its registered name, such as `TLS13_AES_256_GCM_SHA384`.
    pub cipher: &'static str,
    /// The agent's certificates, its own first, those of them that can be read.
    pub chain: Vec<Certificate>,
}

/// Connects to the first agent of a client that would be built so, greets, and sends `count` empty
/// batches, which change nothing in the agent. `timeout` bounds connecting, and each answer. Blocks the
/// calling thread.
///
/// # Errors
///
/// If no such client can be built.
pub fn probe(builder: ClientBuilder, count: u32, timeout: Duration) -> Result<Probe, BuildError> {
    let builder = builder.connect_timeout(timeout);
    let config = Arc::new(builder.check()?);
    let names = Names::start(&config.agents, 1).map_err(BuildError::Thread)?;
    let means = Means::start(&config, names, None).map_err(BuildError::Thread)?;
    let network = Sockets::new(config.clone(), means);
    let runtime = ClientRuntime::new().map_err(BuildError::Thread)?;
    Ok(runtime.block_on(Probing::of(&config, network, timeout).run(count)))
}

struct Probing<'a> {
    agent: Option<&'a AgentUrl>,
    network: Sockets,
    timeout: Duration,
}

type Connection = <Sockets as Network>::Link;

impl<'a> Probing<'a> {
    fn of(config: &'a Config, network: Sockets, timeout: Duration) -> Self {
        Self {
            agent: config.agents.first(),
            network,
            timeout,
        }
    }

    /// In each dialect, until one is answered.
    async fn run(&self, count: u32) -> Probe {
        let dialects = self.agent.map(AgentUrl::dialects).unwrap_or_default();
        let mut probe = Probe::default();
        for number in 0..dialects.len().max(1) {
            probe = Probe {
                dialect: dialects.get(number).copied(),
                ..Probe::default()
            };
            let Err(error) = self.run_in(number as u32, count, &mut probe).await else {
                break;
            };
            let is_misspoken = probe.handshake.is_none() && error.ending() == Ending::Misspoken;
            probe.error = Some(error);
            if !is_misspoken {
                break;
            }
        }
        if probe.handshake.is_none() {
            probe.dialect = None;
        }
        probe
    }

    async fn run_in(&self, dialect: u32, count: u32, probe: &mut Probe) -> Result<(), AgentError> {
        let started = Instant::now();
        let Some(mut link) = self.network.connect(AgentId::new(0), dialect) else {
            return Ok(());
        };
        let connected = within(self.timeout, next(&mut link)).await;
        match connected.ok_or_else(|| self.no_connection(&link))?? {
            Progress::Connected => probe.connect = Some(started.elapsed()),
            other => return Err(unexpected(&other)),
        }
        let started = Instant::now();
        loop {
            let opened = within(self.timeout, next(&mut link)).await;
            match opened.ok_or(AgentError::HandshakeTimeout(self.timeout))?? {
                Progress::Opened => break,
                // The handshake goes on.
                Progress::Connected => {}
                other => return Err(unexpected(&other)),
            }
        }
        probe.handshake = Some(started.elapsed());
        #[cfg(feature = "tls")]
        if let Some(facts) = link.tls_facts() {
            let chain = facts.chain.into_iter().filter_map(Certificate::read);
            probe.tls = Some(ProbedTls {
                version: facts.version,
                cipher: facts.cipher,
                chain: chain.collect(),
            });
        }
        for _ in 0..count {
            let started = Instant::now();
            let call = CallId::new(probe.round_trips.len() as i32 + 1);
            link.send(call, empty_batch());
            let answered = within(self.timeout, next(&mut link)).await;
            match answered.ok_or(AgentError::RequestTimeout(self.timeout))?? {
                Progress::Answered { call: other, .. } if other != call => {
                    let serial = other.number();
                    return Err(AgentError::UnexpectedSerial { serial });
                }
                Progress::Answered { verdict, .. } => accepted(verdict)?,
                other => return Err(unexpected(&other)),
            }
            probe.round_trips.push(started.elapsed());
        }
        Ok(())
    }

    fn no_connection(&self, link: &Connection) -> AgentError {
        let waited = self.timeout;
        match self.agent.filter(|_| link.is_resolving()) {
            Some(agent) => AgentError::ResolveTimeout {
                host: agent.host().to_owned(),
                waited,
            },
            None => AgentError::ConnectTimeout(waited),
        }
    }
}

/// What comes of a connection next.
fn next(link: &mut Connection) -> impl Future<Output = Result<Progress, AgentError>> {
    let unacked = PerLevel::<Unacked>::default();
    poll_fn(move |context| {
        link.poll(context, &unacked).map(|progress| match progress {
            Progress::Ended { error, .. } => Err(error),
            #[cfg(feature = "http")]
            Progress::Failed { error, .. } => Err(error),
            progress => Ok(progress),
        })
    })
}

fn unexpected(progress: &Progress) -> AgentError {
    match progress {
        Progress::Answered { call, .. } => AgentError::UnexpectedSerial {
            serial: call.number(),
        },
        _ => AgentError::ConnectionClosed,
    }
}

fn accepted(verdict: Verdict) -> Result<(), AgentError> {
    match verdict {
        Verdict::Committed => Ok(()),
        Verdict::Refused { error, .. } | Verdict::Unacceptable(error) | Verdict::Blocked(error) => {
            Err(error)
        }
        #[cfg(feature = "http")]
        Verdict::Doubtful(error) => Err(error),
    }
}

fn empty_batch() -> Batch {
    Batch {
        level: Reliability::InMemory,
        first: Seq::ZERO,
        events: 0,
        bytes: 0,
        attempts: 1,
        rest_until: Time::ZERO,
        tried: None,
        unfit: AgentSet::default(),
        half_bytes: 0,
    }
}
