//! `flume agent`: the mini-agent as a program of its own.
//!
//! | file | holds |
//! |---|---|
//! | `quick` | the form with one source, one channel and one sink |
//! | `document` | the form with a property file |
//! | `ready_file` | the file that tells a script that the agent is there |
//! | `stdout` | standard output for logger sinks |

mod document;
mod quick;
mod ready_file;
mod stdout;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use flume_mini_agent::{MiniAgent, StartError, Stats};

use self::document::{DocumentArgs, DocumentError};
use self::quick::QuickArgs;
use self::ready_file::{ReadyFile, ReadyFileError};
use self::stdout::Stdout;
use crate::exit::Exit;
use crate::interrupts::Interrupts;
use crate::output;
use crate::text::plural;
use crate::trouble::reason;

/// Run a small agent: from a Flume property file, or quickly from a few options.
///
/// For trying things out and for tests. It answers as Apache Flume does, and lets in whoever can
/// reach its ports.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AgentArgs {
    /// Write the addresses to this file once the agent can be reached; removed at the end
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,

    /// Where the control interface listens: metrics, received events, faults, reload over HTTP.
    /// Whoever reaches it can do all that, so only loopback addresses are taken
    #[arg(long, value_name = "HOST:PORT")]
    control: Option<String>,

    /// Let the control interface listen on addresses that others can reach
    #[arg(long, requires = "control")]
    control_from_anywhere: bool,

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

The first lines on stdout are `listening on avro://HOST:PORT`, with a property file followed by
` (source NAME)`, one line for each source; the ready file has `avro://HOST:PORT source NAME`.
Ctrl-C or SIGTERM ends the agent with exit code 0, or 5 if events were left in its channels.";

/// How often the sinks are asked for their errors.
const TICK: Duration = Duration::from_millis(200);
/// How long the sinks may still take events when the agent ends.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

pub(crate) fn run(args: &AgentArgs) -> Exit {
    match serve(args) {
        Ok(exit) => exit,
        Err(failure) => {
            output::note(failure.sentence());
            failure.exit()
        }
    }
}

#[derive(Debug)]
enum Failure {
    Document(DocumentError),
    Start(StartError),
    Io(io::Error),
    ReadyFile(ReadyFileError),
}

impl Failure {
    fn sentence(&self) -> String {
        match self {
            Self::Document(error) => error.to_string(),
            Self::Start(error @ StartError::ControlReachable { .. }) => error
                .to_string()
                .replace("say control_from_anywhere", "say --control-from-anywhere"),
            Self::Start(error) => error.to_string(),
            Self::Io(error) => format!("cannot run the agent: {}", reason(error)),
            Self::ReadyFile(ReadyFileError { path, source }) => {
                format!("cannot write {}: {}", path.display(), reason(source))
            }
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Document(DocumentError::Wrong(_)) => Exit::Usage,
            Self::Start(
                StartError::Bind { .. }
                | StartError::Channel { .. }
                | StartError::Sink { .. }
                | StartError::Thread { .. },
            ) => Exit::Unexpected,
            Self::Start(_) => Exit::Usage,
            Self::Document(_) | Self::Io(_) | Self::ReadyFile(_) => Exit::Unexpected,
        }
    }
}

fn serve(args: &AgentArgs) -> Result<Exit, Failure> {
    let interrupts = Interrupts::watch().map_err(Failure::Io)?;
    let stdout = Stdout::default();
    let ready_file = args.ready_file.clone().map(ReadyFile::prepare).transpose();
    let ready_file = ready_file.map_err(Failure::ReadyFile)?;
    let mut agent = args.start(&stdout)?;
    if let Some(file) = &ready_file {
        let written = file.write(&args.addresses(&agent, "", ""));
        written.map_err(Failure::ReadyFile)?;
    }
    let addresses = args.addresses(&agent, "(", ")");
    let mut lines: Vec<_> = addresses
        .iter()
        .map(|it| format!("listening on {it}"))
        .collect();
    if lines.is_empty() {
        lines.push("running, and listening nowhere: there is no source".to_owned());
    }
    if !lines.iter().all(output::data) {
        return Ok(Exit::Unexpected);
    }
    let mut told = None;
    while !interrupts.wait(TICK) && !stdout.is_gone() {
        let error = agent.sink_error();
        if error != told {
            error.iter().for_each(output::note);
            told = error;
        }
    }
    let drained = |stats: &Stats| stats.events_drained >= stats.events_accepted;
    if !stdout.is_gone() {
        // What is left is counted below.
        let _ = agent.wait_until(DRAIN_TIMEOUT, drained);
    }
    agent.stop();
    Ok(summary(&agent.stats(), stdout.is_gone()))
}

impl AgentArgs {
    fn start(&self, stdout: &Stdout) -> Result<MiniAgent, Failure> {
        let started = match self.document.document() {
            Some(document) => {
                let config = document.load().map_err(Failure::Document)?;
                let builder = MiniAgent::configured(config)
                    .logger_output(stdout.clone())
                    .control_from_anywhere(self.control_from_anywhere);
                match &self.control {
                    Some(control) => builder.control(control).start(),
                    None => builder.start(),
                }
            }
            None => {
                let builder = self.quick.builder(stdout);
                let builder = builder.control_from_anywhere(self.control_from_anywhere);
                match &self.control {
                    Some(control) => builder.control(control).start(),
                    None => builder.start(),
                }
            }
        };
        started.map_err(Failure::Start)
    }

    /// Where the agent can be reached, one line each, and what is there between `open` and `close`.
    fn addresses(&self, agent: &MiniAgent, open: &str, close: &str) -> Vec<String> {
        let from_file = self.document.document().is_some();
        let source = |(name, url): (String, String)| match from_file {
            true => format!("{url} {open}source {name}{close}"),
            false => url,
        };
        let control = agent.control_addr().into_iter();
        let control = control.map(|address| format!("http://{address} {open}control{close}"));
        agent
            .urls()
            .into_iter()
            .map(source)
            .chain(control)
            .collect()
    }
}

fn summary(stats: &Stats, stdout_gone: bool) -> Exit {
    let events = plural(stats.events_accepted, "event");
    let connections = plural(stats.connections_opened, "connection");
    let ending = if stdout_gone {
        "nobody reads standard output any more"
    } else {
        "stopped"
    };
    output::note(format_args!(
        "{ending}: {events} accepted, over {connections}"
    ));
    if stats.batches_failed > 0 {
        let refused = stats.batches_failed;
        output::detail(format_args!(
            "batches refused: {refused}, as the channel was full or the batch too large"
        ));
    }
    let left = stats.events_accepted.saturating_sub(stats.events_drained);
    if left > 0 {
        output::detail(format_args!(
            "{} lost: the sink had not taken them",
            plural(left, "event")
        ));
        return Exit::Partial;
    }
    Exit::Complete
}
