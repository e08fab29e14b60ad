//! `flume ping`: whether agents answer, and how fast.

use std::time::Duration;

use clap::Args;
use flume_client::agent_url::Dialect;
use flume_client::probe::{Probe, probe};
use flume_client::{AgentError, AgentUrl, Client};
use serde::Serialize;

use crate::agents;
use crate::exit::Exit;
use crate::http::{HttpArgs, is_unauthorized};
use crate::output::{self, SCHEMA};
use crate::shown::{self, TlsLine};
use crate::text::{duration, parse_duration, plural};
use crate::tls::{TlsArgs, is_untrusted};

/// See whether agents answer, and how fast.
///
/// Connects, greets, finds out in which dialect, and sends empty batches, which change nothing in the agent.
/// Of an agent with TLS it shows the version, the cipher suite and the certificates, and warns of one that
/// ends within 30 days.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PingArgs {
    /// Agents to ping, as avro://HOST:PORT, avro+tls://, avro+deflate://, avro+tls+deflate://, thrift://,
    /// thrift+tls://, http://HOST:PORT/PATH or https://
    #[arg(
        value_name = "URL",
        required = true,
        env = "FLUME_AGENT",
        value_delimiter = ','
    )]
    agent: Vec<AgentUrl>,

    /// Empty batches to send to each
    #[arg(long, short, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,

    /// Longest wait for a connection, and for each answer: 500ms, 10s, 2m
    #[arg(long, value_name = "TIME", default_value = "5s", env = "FLUME_TIMEOUT", value_parser = parse_duration)]
    timeout: Duration,

    /// Print one line of JSON per agent
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    tls: TlsArgs,

    #[command(flatten)]
    http: HttpArgs,
}

const EXAMPLES: &str = "\
Examples:
  flume ping avro://collector:4141
  flume ping avro://a:4141 avro://b:4141 --count 100 --json

Exits with 0 if all agents answered, 5 if some did, 4, 8 or 124 if none did, 2 for wrong usage.";

pub(crate) fn run(args: &PingArgs) -> Exit {
    let mut probes = Vec::new();
    let mut written = true;
    for agent in &args.agent {
        let client = Client::builder().agent(agent.to_string());
        let client = args.tls.apply(client, std::slice::from_ref(agent));
        let client = args.http.apply(client, std::slice::from_ref(agent));
        let probe = match probe(client, args.count, args.timeout) {
            Ok(probe) => probe,
            Err(error) => {
                output::note(format_args!("{agent}: {error}"));
                return Exit::Usage;
            }
        };
        if let Some(error) = &probe.error {
            output::note(format_args!("{agent}: {}", error.said_of(agent)));
            agents::advice(error).into_iter().for_each(output::detail);
        }
        written &= match args.json {
            true => output::json(&PingLine::new(agent, &probe)),
            false => output::data(sentence(agent, &probe)),
        };
        written &= shown::tell(agent, &probe, args.json);
        probes.push(probe);
    }
    exit(&probes).unless(!written)
}

fn exit(probes: &[Probe]) -> Exit {
    let failed = || probes.iter().filter_map(|probe| probe.error.as_ref());
    match failed().count() {
        0 => Exit::Complete,
        some if some < probes.len() => Exit::Partial,
        _ if failed().any(|error| is_untrusted(error) || is_unauthorized(error)) => Exit::Untrusted,
        _ if failed().any(agents::is_silence) => Exit::TimedOut,
        _ => Exit::Undelivered,
    }
}

fn sentence(agent: &AgentUrl, probe: &Probe) -> String {
    let mut parts = Vec::new();
    if let Some(connect) = probe.connect {
        parts.push(format!("connected in {}", duration(connect)));
    }
    if let Some(handshake) = probe.handshake {
        let dialect = probe.dialect.map(|it| format!(" in {}", it.name()));
        let dialect = dialect.unwrap_or_default();
        parts.push(format!("handshake{dialect} {}", duration(handshake)));
    }
    if let Some(trips) = RoundTrips::of(&probe.round_trips) {
        parts.push(format!(
            "{} answered: min {}, p50 {}, p99 {}",
            plural(probe.round_trips.len() as u64, "ping"),
            duration(trips.min),
            duration(trips.p50),
            duration(trips.p99)
        ));
    }
    if probe.error.is_some() {
        parts.push("FAILED".to_owned());
    }
    format!("{agent}: {}", parts.join(", "))
}

struct RoundTrips {
    min: Duration,
    p50: Duration,
    p99: Duration,
}

impl RoundTrips {
    fn of(trips: &[Duration]) -> Option<Self> {
        let mut sorted = trips.to_vec();
        sorted.sort_unstable();
        // The smallest value that this share of all is not above.
        let percentile = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1);
            sorted.get(rank - 1).copied()
        };
        Some(Self {
            min: *sorted.first()?,
            p50: percentile(50)?,
            p99: percentile(99)?,
        })
    }
}

#[derive(Serialize)]
struct PingLine {
    schema: u32,
    agent: String,
    ok: bool,
    answered: u64,
    dialect: Option<&'static str>,
    connect_ms: Option<f64>,
    handshake_ms: Option<f64>,
    round_trip_ms: Option<RoundTripsLine>,
    tls: Option<TlsLine>,
    error: Option<String>,
}

#[derive(Serialize)]
struct RoundTripsLine {
    min: f64,
    p50: f64,
    p99: f64,
}

impl PingLine {
    fn new(agent: &AgentUrl, probe: &Probe) -> Self {
        let trips = RoundTrips::of(&probe.round_trips).map(|trips| RoundTripsLine {
            min: millis(trips.min),
            p50: millis(trips.p50),
            p99: millis(trips.p99),
        });
        Self {
            schema: SCHEMA,
            agent: agent.to_string(),
            ok: probe.error.is_none(),
            answered: probe.round_trips.len() as u64,
            dialect: probe.dialect.map(Dialect::name),
            connect_ms: probe.connect.map(millis),
            handshake_ms: probe.handshake.map(millis),
            round_trip_ms: trips,
            tls: shown::line(probe),
            error: probe.error.as_ref().map(AgentError::to_string),
        }
    }
}

/// To a thousandth.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let millis = |range: std::ops::RangeInclusive<u64>| {
            range.rev().map(Duration::from_millis).collect::<Vec<_>>()
        };
        let found = RoundTrips::of(&millis(1..=200)).unwrap();
        let found = [found.min, found.p50, found.p99].map(|trip| trip.as_millis());
        assert_eq!(found, [1, 100, 198]);
        let one = RoundTrips::of(&millis(7..=7)).unwrap();
        assert_eq!([one.min, one.p50, one.p99], [Duration::from_millis(7); 3]);
        assert!(RoundTrips::of(&[]).is_none());
    }
}
