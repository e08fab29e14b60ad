//! What `flume send` can be told.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use flume_client::event::{
    HEADER_BYTES_MAX, HEADER_KEY_BYTES_MAX, HEADER_VALUE_BYTES_MAX, HEADERS_MAX,
};
use flume_client::spool::SpoolError;
use flume_client::{BuildError, Client, Reliability, WindowMode};

use super::pump::EVENT_BYTES_MAX;
use crate::agents::AgentArgs;
use crate::exit;
use crate::text::{bytes, parse_bytes, parse_duration};

/// Send lines to an agent, each line as one event.
///
/// Lines end at a line feed and are sent as they are, byte for byte: no decoding, no trimming. An
/// empty line is an event with an empty body. An event is delivered when an agent has acknowledged
/// it, which it does when its channels have it; the command ends when all are, and tells what became
/// of those that are not: pending on the disk with --spool, otherwise lost.
#[derive(Debug, Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub(crate) struct SendArgs {
    #[command(flatten)]
    agents: AgentArgs,

    /// Header for every event; may be given several times
    #[arg(long, short = 'H', value_name = "KEY=VALUE", value_parser = parse_header)]
    pub(super) header: Vec<(String, String)>,

    /// Keep events on the disk, in a spool in this directory, until an agent acknowledges them.
    /// What earlier runs left there is sent first. Each event gets a header `guid` that names it,
    /// so that copies can be told
    #[arg(long, value_name = "DIR")]
    pub(super) spool: Option<PathBuf>,

    /// Most that the spool's files take on the disk: 64MiB, 1GiB, 1GB [default: 1GiB, or half of a
    /// disk that is smaller than 2GiB]
    #[arg(long, value_name = "SIZE", requires = "spool", value_parser = parse_bytes)]
    pub(super) spool_bytes: Option<u64>,

    /// What stays free on the spool's disk: the spool does not grow into it. 0B uses all there is
    /// [default: 512MiB, or an eighth of a disk that is smaller than 4GiB]
    #[arg(long, value_name = "SIZE", requires = "spool", value_parser = parse_bytes)]
    pub(super) spool_free: Option<u64>,

    /// What becomes of events that an agent does not take [default: in-memory; end-to-end with
    /// --spool]
    #[arg(long, value_name = "LEVEL")]
    pub(super) reliability: Option<Level>,

    /// Most events in one batch. An agent refuses batches over its channel's transactionCapacity
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) batch: u32,

    /// Give up when everything is read, or the buffer is full, and nothing is acknowledged for
    /// this long: 500ms, 10s, 2m
    #[arg(long, value_name = "TIME", default_value = "30s", env = "FLUME_TIMEOUT", value_parser = parse_duration)]
    pub(super) timeout: Duration,

    /// Keep the order of lines, except for batches sent again: one at a time, which is slower
    #[arg(long)]
    pub(super) ordered: bool,

    /// Print the summary to stdout as one line of JSON as well; docs/json.md has its fields
    #[arg(long)]
    pub(super) json: bool,

    /// Files to read, one after the other; `-`, or none, is standard input
    #[arg(value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
}

/// The client's levels, by the names that Flume gave them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Level {
    /// They stay on the disk and are sent again, by this run or the next; needs --spool
    EndToEnd,
    /// They stay in memory while agents take them, else on the disk; needs --spool
    StoreOnFailure,
    /// They stay in memory and are sent again, until the command gives up
    InMemory,
    /// They are tried once with each agent, and dropped
    BestEffort,
}

const EXAMPLES: &str = "\
Examples:
  flume send --agent avro://collector:4141 app.log
  tail -F app.log | flume send --agent avro://a:4141 --agent avro://b:4141 -H host=web-1
  journalctl -o json | flume send --agent avro://collector:4141 --json >summary.json
  flume send --agent avro://collector:4141 --spool /var/spool/app app.log

Ctrl-C, SIGTERM, and SIGHUP when the terminal goes, stop reading and send what was read; a second
Ctrl-C or SIGTERM ends at once. A file that is cut while it is read (copytruncate) is told of.";

/// What keeps events from being stored, in a sentence about the spool.
pub(crate) fn storing(trouble: &SpoolError) -> String {
    match trouble {
        SpoolError::Quota => "it is full: agents must acknowledge older events, or `flume spool \
             prune` remove damaged ones that were set aside; --spool-bytes gives it more"
            .to_owned(),
        SpoolError::DiskFull => "its disk is full: make room there".to_owned(),
        SpoolError::FreeBytes { free, kept, .. } => format!(
            "its disk has {} free, and {} are to stay free: make room there, or lower --spool-free",
            bytes(*free),
            bytes(*kept)
        ),
        other => other.to_string(),
    }
}

impl SendArgs {
    /// What no single value tells: the level and the spool, and the headers together.
    pub(super) fn check(&self) -> Result<(), String> {
        self.check_reliability()?;
        self.check_headers()
    }

    fn check_reliability(&self) -> Result<(), String> {
        match (self.reliability, &self.spool) {
            (Some(level @ (Level::EndToEnd | Level::StoreOnFailure)), None) => {
                let level = match level {
                    Level::StoreOnFailure => "store-on-failure",
                    _ => "end-to-end",
                };
                Err(format!(
                    "--reliability {level} keeps events on the disk: name a directory with --spool DIR"
                ))
            }
            (Some(Level::InMemory | Level::BestEffort), Some(_)) => Err(
                "with --spool events are kept end to end: leave out either --spool or --reliability"
                    .to_owned(),
            ),
            (_, Some(spool)) if spool.as_os_str().is_empty() => {
                Err("--spool is empty: name a directory".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn check_headers(&self) -> Result<(), String> {
        let mut keys: Vec<&str> = self.header.iter().map(|(key, _)| key.as_str()).collect();
        keys.sort_unstable();
        let twice = keys.windows(2).find(|pair| pair.first() == pair.last());
        if let Some(key) = twice.and_then(|pair| pair.first()) {
            return Err(format!(
                "the header {key:?} is given twice; give each key once"
            ));
        }
        if keys.len() > HEADERS_MAX {
            let given = keys.len();
            return Err(format!(
                "{given} headers are given; an event carries up to {HEADERS_MAX}"
            ));
        }
        let bytes: usize = self
            .header
            .iter()
            .map(|(key, value)| key.len() + value.len() + 6)
            .sum();
        if bytes > HEADER_BYTES_MAX {
            return Err(format!(
                "the headers take {bytes} bytes; an event carries up to {HEADER_BYTES_MAX}"
            ));
        }
        Ok(())
    }

    pub(super) fn is_best_effort(&self) -> bool {
        self.reliability == Some(Level::BestEffort)
    }

    pub(super) fn client(&self) -> Result<Client, BuildError> {
        let window = if self.ordered {
            WindowMode::Ordered
        } else {
            WindowMode::ADAPTIVE
        };
        let client = self
            .agents
            .client(self.timeout)
            .batch_events(self.batch)
            .window(window)
            .event_bytes(EVENT_BYTES_MAX)
            // Without a spool, what is sent is what the user wrote.
            .event_ids(self.spool.is_some());
        let client = match &self.spool {
            Some(directory) => client.spool(directory),
            None => client,
        };
        let client = match self.spool_bytes {
            Some(bytes) => client.spool_bytes(bytes),
            None => client,
        };
        let client = match self.spool_free {
            Some(bytes) => client.spool_free_bytes(bytes),
            None => client,
        };
        let client = match self.reliability {
            Some(level) => client.reliability(level.into()),
            None => client,
        };
        client.build()
    }
}

impl From<Level> for Reliability {
    fn from(level: Level) -> Self {
        match level {
            Level::EndToEnd => Self::EndToEnd,
            Level::StoreOnFailure => Self::StoreOnFailure,
            Level::InMemory => Self::InMemory,
            Level::BestEffort => Self::BestEffort,
        }
    }
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    let Some((key, value)) = text.split_once('=') else {
        return Err("write it as KEY=VALUE".to_owned());
    };
    if key.is_empty() {
        return Err("the key is empty; write it as KEY=VALUE".to_owned());
    }
    if key.len() > HEADER_KEY_BYTES_MAX {
        return Err(format!(
            "the key has {} bytes, up to {HEADER_KEY_BYTES_MAX} are allowed",
            key.len()
        ));
    }
    if value.len() > HEADER_VALUE_BYTES_MAX {
        let bytes = value.len();
        return Err(format!(
            "the value has {bytes} bytes, up to {HEADER_VALUE_BYTES_MAX} are allowed"
        ));
    }
    Ok((key.to_owned(), value.to_owned()))
}
