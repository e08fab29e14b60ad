//! `flume agent`: the mini-agent as a program of its own.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use flume_mini_agent::{MiniAgent, Sink, StartError, Stats};

use crate::exit::Exit;
use crate::interrupts::Interrupts;
use crate::output;
use crate::text::plural;
use crate::trouble::reason;

/// Run a small agent: an Avro source, a memory channel and a sink.
///
/// For trying things out and for tests. It answers as Apache Flume does, keeps its events in
/// memory, and lets in whoever can reach its port.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AgentArgs {
    /// Where to listen, as HOST:PORT; port 0 takes a free one
    #[arg(
        long,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:4141",
        env = "FLUME_BIND"
    )]
    bind: String,

    /// What becomes of events: logger prints headers and the first 16 bytes, null drops them,
    /// file_roll:DIR writes bodies as lines to a new file in DIR
    #[arg(long, value_name = "SINK", default_value = "logger", value_parser = parse_sink)]
    sink: SinkKind,

    /// Events the channel holds
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    capacity: usize,

    /// Events one transaction holds, so the largest batch that is taken
    #[arg(long, value_name = "N", default_value_t = 100)]
    transaction_capacity: usize,

    /// Write the address to this file once the agent can be reached; removed at the end
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  flume agent
  flume agent --bind 127.0.0.1:0 --sink file_roll:/tmp/events --ready-file /tmp/agent.ready

The first line on stdout is `listening on avro://HOST:PORT`. Ctrl-C or SIGTERM ends the agent with
exit code 0, or 5 if events were left in its channel.";

#[derive(Clone, Debug)]
enum SinkKind {
    Logger,
    Null,
    FileRoll(PathBuf),
}

/// How often the sink is asked for its errors.
const TICK: Duration = Duration::from_millis(200);
/// How long the sink may still take events when the agent ends.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

pub(crate) fn run(args: &AgentArgs) -> Exit {
    match serve(args) {
        Ok(exit) => exit,
        Err(Failure::Start(error)) => {
            output::note(&error);
            match error {
                StartError::Bind { .. } | StartError::Sink { .. } | StartError::Thread { .. } => {
                    Exit::Unexpected
                }
                _ => Exit::Usage,
            }
        }
        Err(Failure::Io(error)) => {
            output::note(format_args!("cannot run the agent: {}", reason(&error)));
            Exit::Unexpected
        }
        Err(Failure::ReadyFile(path, error)) => {
            output::note(format_args!(
                "cannot write {}: {}",
                path.display(),
                reason(&error)
            ));
            Exit::Unexpected
        }
    }
}

#[derive(Debug)]
enum Failure {
    Start(StartError),
    Io(io::Error),
    ReadyFile(PathBuf, io::Error),
}

fn serve(args: &AgentArgs) -> Result<Exit, Failure> {
    let interrupts = Interrupts::watch().map_err(Failure::Io)?;
    let stdout_gone = Arc::new(AtomicBool::new(false));
    let ready_file = args
        .ready_file
        .clone()
        .map(ReadyFile::prepare)
        .transpose()?;
    let agent = MiniAgent::builder()
        .bind(&args.bind)
        .sink(args.sink.open(&stdout_gone));
    let agent = agent
        .capacity(args.capacity)
        .transaction_capacity(args.transaction_capacity);
    let mut agent = agent.start().map_err(Failure::Start)?;
    if let Some(file) = &ready_file {
        file.write(&agent.url())?;
    }
    if !output::data(format_args!("listening on {}", agent.url())) {
        return Ok(Exit::Unexpected);
    }
    let mut told = None;
    while !interrupts.wait(TICK) && !stdout_gone.load(Ordering::Relaxed) {
        let error = agent.sink_error();
        if error != told {
            error.iter().for_each(output::note);
            told = error;
        }
    }
    let drained = |stats: &Stats| stats.events_drained >= stats.events_accepted;
    if !stdout_gone.load(Ordering::Relaxed) {
        // What is left is counted below.
        let _ = agent.wait_until(DRAIN_TIMEOUT, drained);
    }
    agent.stop();
    Ok(summary(&agent.stats(), stdout_gone.load(Ordering::Relaxed)))
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

impl SinkKind {
    fn open(&self, stdout_gone: &Arc<AtomicBool>) -> Sink {
        match self {
            Self::Logger => Sink::Logger {
                output: Box::new(Stdout {
                    gone: stdout_gone.clone(),
                }),
            },
            Self::Null => Sink::Null,
            Self::FileRoll(directory) => Sink::FileRoll {
                directory: directory.clone(),
            },
        }
    }
}

fn parse_sink(text: &str) -> Result<SinkKind, String> {
    match text.split_once(':') {
        None if text == "logger" => Ok(SinkKind::Logger),
        None if text == "null" => Ok(SinkKind::Null),
        Some(("file_roll", directory)) if !directory.is_empty() => {
            Ok(SinkKind::FileRoll(directory.into()))
        }
        _ => Err("write it as logger, null or file_roll:DIR".to_owned()),
    }
}

/// Standard output that remembers that its reader went away.
struct Stdout {
    gone: Arc<AtomicBool>,
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.noting(|stdout| stdout.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.noting(Write::flush)
    }
}

impl Stdout {
    fn noting<T>(&self, work: impl FnOnce(&mut io::Stdout) -> io::Result<T>) -> io::Result<T> {
        let result = work(&mut io::stdout());
        if result
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        {
            self.gone.store(true, Ordering::Relaxed);
        }
        result
    }
}

/// A file that is there, whole, while the agent can be reached.
#[derive(Debug)]
struct ReadyFile {
    path: PathBuf,
}

impl ReadyFile {
    /// Removes what an earlier run left.
    fn prepare(path: PathBuf) -> Result<Self, Failure> {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Failure::ReadyFile(path, error))
            }
            _ => Ok(Self { path }),
        }
    }

    fn write(&self, address: &str) -> Result<(), Failure> {
        let failed = |error| Failure::ReadyFile(self.path.clone(), error);
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let unfinished = self.path.with_file_name(name);
        fs::write(&unfinished, format!("{address}\n")).map_err(failed)?;
        fs::rename(&unfinished, &self.path).map_err(|error| {
            remove(&unfinished);
            failed(error)
        })
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Someone else may have removed it before.
fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}
