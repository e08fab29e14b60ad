//! Flume's own Java client, run as a program of its own: `interop/java/SdkBench.java`.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::java::{compile, run};
use crate::{HarnessError, Result, Version};

/// A run that takes longer hangs: the slowest useful one (batch 1) sends 4,000 events a second.
const RUN_TIMEOUT: Duration = Duration::from_secs(600);

/// The `client.type` of `RpcClientFactory`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientType {
    /// `default`: Avro to one host.
    Default,
    /// `default_failover`: the hosts in their order.
    Failover,
    /// `default_loadbalance`: round robin over the hosts.
    LoadBalance,
    /// `thrift`: Thrift to one host.
    Thrift,
}

impl ClientType {
    fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Failover => "default_failover",
            Self::LoadBalance => "default_loadbalance",
            Self::Thrift => "thrift",
        }
    }
}

/// What the Java client shall send.
///
/// A body is the event's number (0, 1, ...) as 12 digits, padded with `x` or cut to `body_bytes`;
/// the headers are `host` and `timestamp`. Start from `SdkRun::to(hosts)` and change fields.
#[derive(Debug, Clone)]
pub struct SdkRun {
    /// The agents' sources; the default client and that of Thrift use the first.
    pub hosts: Vec<SocketAddr>,
    /// Which client.
    pub client_type: ClientType,
    /// Events per `appendBatch`; 1 means `append`.
    pub batch: usize,
    /// Senders, each with a client of its own.
    pub threads: usize,
    /// Events per round, over all threads.
    pub events: u64,
    /// Size of a body.
    pub body_bytes: usize,
    /// How often to send all events in one JVM; only the later rounds show warm code.
    pub rounds: usize,
    /// Further settings of the client, such as `compression-type=deflate`.
    pub settings: Vec<String>,
}

impl SdkRun {
    /// One round of 1,000 events of 200 bytes by one default client, at its default batch of 100.
    #[must_use]
    pub fn to(hosts: &[SocketAddr]) -> Self {
        Self {
            hosts: hosts.to_vec(),
            client_type: ClientType::Default,
            batch: 100,
            threads: 1,
            events: 1_000,
            body_bytes: 200,
            rounds: 1,
            settings: Vec::new(),
        }
    }
}

/// What one round of the Java client took. Connecting is not in it; building the events is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SdkRound {
    /// Events accepted by the agents.
    pub events: u64,
    /// Wall-clock time.
    pub seconds: f64,
    /// `events / seconds`.
    pub events_per_second: f64,
    /// CPU time of the whole client process in the round.
    pub cpu_seconds: f64,
    /// Senders.
    pub threads: u64,
    /// Events per call.
    pub batch: u64,
    /// Calls that failed and were made again.
    pub retries: u64,
}

/// Flume's own Java client.
#[derive(Debug)]
pub struct JavaSdk;

impl JavaSdk {
    /// Sends what `run` says with the client of Flume `version`; one result per round.
    ///
    /// # Errors
    ///
    /// When the program cannot be compiled or started, gives up on a batch, or takes longer than
    /// ten minutes.
    pub fn run(version: Version, run: &SdkRun) -> Result<Vec<SdkRound>> {
        let hosts: Vec<_> = run.hosts.iter().map(ToString::to_string).collect();
        let numbers = [
            run.batch.to_string(),
            run.threads.to_string(),
            run.events.to_string(),
            run.body_bytes.to_string(),
            run.rounds.to_string(),
        ];
        let mut java = Command::new("java");
        java.args([
            "-Xmx512m",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-cp",
        ])
        .arg(compile(version, "SdkBench.java")?)
        .args(["SdkBench", run.client_type.name(), &hosts.join(",")])
        .args(&numbers)
        .args(&run.settings);
        let output = self::run(&mut java, RUN_TIMEOUT)?;
        let rounds: Vec<_> = output.lines().filter_map(SdkRound::parse).collect();
        if rounds.len() == run.rounds {
            Ok(rounds)
        } else {
            Err(HarnessError::doing(
                format!("expected {} rounds", run.rounds),
                output,
            ))
        }
    }
}

impl SdkRound {
    fn parse(line: &str) -> Option<Self> {
        let line: Value = serde_json::from_str(line).ok()?;
        let count = |name: &str| line.get(name).and_then(Value::as_u64);
        let number = |name: &str| line.get(name).and_then(Value::as_f64);
        Some(Self {
            events: count("events")?,
            seconds: number("seconds")?,
            events_per_second: number("events_per_second")?,
            cpu_seconds: number("cpu_seconds")?,
            threads: count("threads")?,
            batch: count("batch")?,
            retries: count("retries")?,
        })
    }
}
