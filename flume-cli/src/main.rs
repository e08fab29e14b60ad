//! The command `flume`, for Apache Flume; not related to the crate named flume.
//!
//! | file | holds |
//! |---|---|
//! | `send` | lines of files or standard input, delivered and accounted for |
//! | `ping` | one agent after the other: connect, handshake, empty batches |
//! | `agent` | the mini-agent as a program |
//! | `demo` | a failover, told as a story and proven |
//! | `spool` | events on a disk: listed, shown and checked, delivered, exported |
//! | `agents` | the agents of a delivery, and what is told of them at the end |
//! | `patience` | when to give up |
//! | `unread` | files of a spool that cannot be read, as they are told at the end |
//! | `watch` | what agents do meanwhile, said once each |
//! | `lines` | a stream cut into lines with bounded memory |
//! | `exit` | the exit codes, which are a contract |
//! | `text` | durations and numbers, read and written; what the system says |
//! | `output` | data on stdout, words on stderr, no panic when a pipe is closed |
//! | `interrupts` | Ctrl-C once and twice |
//!
//! Not here: anything that delivers. That is `flume-client`, used as any program would use it.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod agent;
mod agents;
mod demo;
mod exit;
mod http;
mod interrupts;
mod lines;
mod output;
mod patience;
mod ping;
mod send;
mod shown;
mod spool;
mod text;
mod tls;
mod unread;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::agent::AgentArgs;
use crate::demo::DemoArgs;
use crate::ping::PingArgs;
use crate::send::SendArgs;
use crate::spool::SpoolArgs;

/// Send events to Apache Flume agents, and see what became of every one of them.
///
/// For Apache Flume; not related to the Rust crate named flume.
#[derive(Debug, Parser)]
#[command(name = "flume", version, after_help = after_help(), max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn after_help() -> String {
    let json =
        "What --json prints is a contract, too: docs/json.md of the sources has every field.";
    format!("{}\n\n{json}", exit::HELP)
}

#[derive(Debug, Subcommand)]
enum Command {
    Send(SendArgs),
    Ping(PingArgs),
    Agent(Box<AgentArgs>),
    Demo(DemoArgs),
    Spool(SpoolArgs),
}

fn main() -> ExitCode {
    let exit = match Cli::parse().command {
        Command::Send(args) => send::run(&args),
        Command::Ping(args) => ping::run(&args),
        Command::Agent(args) => agent::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Spool(args) => spool::run(&args),
    };
    exit.into()
}
