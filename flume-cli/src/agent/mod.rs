//! `flume agent`: the mini-agent as a program of its own.
//!
//! | file | holds |
//! |---|---|
//! | `quick` | the form with one source, one channel and one sink |
//! | `document`, `uri`, `http` | the form with a property file, and where that can be |
//! | `reload` | the thread that looks at the document again |
//! | `session` | the agent while it runs, and its end |
//! | `failure` | why there is none |
//! | `ready_file` | the file that tells a script that the agent is there |
//! | `stdout` | standard output for logger sinks |

mod document;
mod failure;
mod http;
mod quick;
mod ready_file;
mod reload;
mod session;
mod stdout;
mod uri;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use flume_mini_agent::{Fault, MiniAgent};

use self::document::{Document, DocumentArgs};
use self::failure::Failure;
use self::quick::QuickArgs;
use self::ready_file::ReadyFile;
use self::reload::Reloader;
use self::session::Session;
use self::stdout::Stdout;
use crate::exit::Exit;
use crate::interrupts::Interrupts;
use crate::output;
use crate::text::parse_duration;

/// Run a small agent: from a Flume property file, or quickly from a few options.
///
/// For trying things out and for tests. It answers as Apache Flume does, and lets in whoever can
/// reach its ports.
#[derive(Debug, Args)]
#[command(after_help = after_help())]
pub(crate) struct AgentArgs {
    /// Write the addresses to this file once the agent can be reached; removed at the end
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,

    /// Where the control interface listens: metrics, received events, faults, reload over HTTP.
    /// Whoever reaches it can do all that, so only loopback addresses are taken
    #[arg(long, value_name = "HOST:PORT", value_parser = quick::parse_address)]
    control: Option<String>,

    /// Let the control interface listen on addresses that others can reach
    #[arg(long, requires = "control")]
    control_from_anywhere: bool,

    /// How long sinks may still take events when the agent ends
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    drain_timeout: Duration,

    #[command(flatten)]
    document: DocumentArgs,

    #[command(flatten)]
    quick: QuickArgs,
}

const EXAMPLES: &str = "\
Examples:
  flume agent
  flume agent --bind 127.0.0.1:0 --sink file_roll:/tmp/events --ready-file /tmp/agent.ready
  flume agent --name a1 --config flume.properties --control 127.0.0.1:41414
  flume agent --sink collect --control 127.0.0.1:41414

The first lines on stdout are `listening on avro://HOST:PORT`, with a property file followed by
` (source NAME)`, one line for each source; the ready file has `avro://HOST:PORT source NAME`.

When the document changes, all sources, sinks and channels are stopped and the new ones started.
Memory channels of the same name keep their events. With a mistake in it the old set goes on.

Ctrl-C, SIGTERM, or SIGHUP when the terminal goes, closes the sources, lets the sinks empty the
channels and ends with exit code 0, or 5 if events in memory were lost; what is in file channels is
pending for the next start. A second Ctrl-C or SIGTERM ends at once, with 130. Exit code 1 is
something unexpected, such as a port that is taken; 2 is wrong usage, or a mistake in the document.";

const CONTROL: &str = "\
Control interface (--control):
  GET /metrics                    counters, as Flume's monitoring has them
  GET /events?from=0&limit=1000   what --sink collect has received; DELETE forgets it
  GET /api/v1/wait?n=1&timeout=5  answers once so many events were received
  PUT /faults                     what is to go wrong from now on; GET shows it, DELETE ends it
  POST /reload                    reads the document again, or restarts

  curl -X PUT -d '{\"fault\": \"commit_then_drop\", \"times\": 1}' http://127.0.0.1:41414/faults
";

fn after_help() -> String {
    let faults = Fault::NAMES.join(", ");
    format!("{EXAMPLES}\n\n{CONTROL}\nFaults: {faults}.")
}

pub(crate) fn run(args: &AgentArgs) -> Exit {
    match serve(args) {
        Ok(exit) => exit,
        Err(failure) => {
            output::note(failure.sentence());
            failure.exit()
        }
    }
}

fn serve(args: &AgentArgs) -> Result<Exit, Failure> {
    let interrupts = Interrupts::watch().map_err(Failure::Io)?;
    let stdout = Stdout::default();
    let ready_file = args.ready_file.clone().map(ReadyFile::prepare).transpose();
    let ready_file = ready_file.map_err(Failure::ReadyFile)?;
    let (reloader, requests) = Reloader::new();
    let document = args.document.document();
    let (agent, changes) = match document {
        Some(mut document) => {
            let agent = args.start_configured(&mut document, &stdout, &reloader)?;
            let interval = args.document.poll_interval();
            let changes = reload::watch(document, interval, requests).map_err(Failure::Io)?;
            (agent, Some(changes))
        }
        None => (args.start_quick(&stdout)?, None),
    };
    let session = Session {
        agent,
        stdout,
        ready_file,
        named: args.document.are_given(),
        changes,
        failed: false,
        lost: 0,
    };
    let exit = session.run(&interrupts, args.drain_timeout);
    // The thread that looks at the document ends with the last one who may ask it to.
    drop(reloader);
    exit
}

impl AgentArgs {
    fn start_quick(&self, stdout: &Stdout) -> Result<MiniAgent, Failure> {
        let builder = self.quick.builder(stdout);
        let builder = builder
            .sink_paused(true)
            .control_from_anywhere(self.control_from_anywhere);
        let started = match &self.control {
            Some(control) => builder.control(control).start(),
            None => builder.start(),
        };
        started.map_err(Failure::Start)
    }

    fn start_configured(
        &self,
        document: &mut Document,
        stdout: &Stdout,
        reloader: &Reloader,
    ) -> Result<MiniAgent, Failure> {
        let config = document.read().map_err(Failure::Document)?;
        let reloader = reloader.clone();
        let builder = MiniAgent::configured(config)
            .logger_output(stdout.clone())
            .sinks_paused(true)
            .on_reload(move || reloader.reload())
            .control_from_anywhere(self.control_from_anywhere);
        let started = match &self.control {
            Some(control) => builder.control(control).start(),
            None => builder.start(),
        };
        started.map_err(Failure::Start)
    }
}
