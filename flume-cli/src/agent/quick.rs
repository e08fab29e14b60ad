//! The quick form: one Avro source, one memory channel, one sink, named on the command line.

use std::path::PathBuf;

use clap::Args;
use flume_mini_agent::{MiniAgent, MiniAgentBuilder, Sink};

use super::stdout::Stdout;

/// What the agent is made of.
#[derive(Debug, Args)]
#[command(next_help_heading = "An agent of one source, one memory channel and one sink")]
pub(super) struct QuickArgs {
    /// Where the Avro source listens, as HOST:PORT; port 0 takes a free one
    #[arg(
        long,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:4141",
        value_parser = parse_address,
        conflicts_with_all = ["name", "config"]
    )]
    bind: String,

    /// What becomes of events: logger prints headers and the first 16 bytes, null drops them,
    /// file_roll:DIR writes bodies as lines to a new file in DIR, collect keeps them in memory, up
    /// to 1,000,000, for `GET /events` of the control interface
    #[arg(long, value_name = "SINK", default_value = "logger", value_parser = parse_sink, conflicts_with_all = ["name", "config"])]
    sink: SinkKind,

    /// Events the channel holds
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10_000,
        conflicts_with_all = ["name", "config"]
    )]
    capacity: usize,

    /// Events one transaction holds, so the largest batch that is taken
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100,
        conflicts_with_all = ["name", "config"]
    )]
    transaction_capacity: usize,
}

#[derive(Clone, Debug)]
enum SinkKind {
    Collect,
    Logger,
    Null,
    FileRoll(PathBuf),
}

impl QuickArgs {
    pub(super) fn builder(&self, stdout: &Stdout) -> MiniAgentBuilder {
        MiniAgent::builder()
            .bind(&self.bind)
            .sink(self.sink.open(stdout))
            .capacity(self.capacity)
            .transaction_capacity(self.transaction_capacity)
    }
}

impl SinkKind {
    fn open(&self, stdout: &Stdout) -> Sink {
        match self {
            Self::Collect => Sink::Collect,
            Self::Logger => Sink::Logger {
                output: Box::new(stdout.clone()),
            },
            Self::Null => Sink::Null,
            Self::FileRoll(directory) => Sink::FileRoll {
                directory: directory.clone(),
            },
        }
    }
}

/// Whether it is an address is seen when it is listened on; that it is none by its form, here.
pub(super) fn parse_address(text: &str) -> Result<String, String> {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let is_bare_ipv6 = host.contains(':') && !host.starts_with('[');
    match port.parse::<u16>() {
        Ok(_) if !host.is_empty() && !is_bare_ipv6 => Ok(text.to_owned()),
        _ => Err("write it as HOST:PORT, with a port from 0 to 65535".to_owned()),
    }
}

fn parse_sink(text: &str) -> Result<SinkKind, String> {
    match text.split_once(':') {
        None if text == "collect" => Ok(SinkKind::Collect),
        None if text == "logger" => Ok(SinkKind::Logger),
        None if text == "null" => Ok(SinkKind::Null),
        Some(("file_roll", directory)) if !directory.is_empty() => {
            Ok(SinkKind::FileRoll(directory.into()))
        }
        _ => Err("write it as logger, null, collect or file_roll:DIR".to_owned()),
    }
}
