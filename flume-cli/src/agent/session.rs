//! A running agent: told where it listens, given new configurations, ended in good order.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use flume_mini_agent::config::AgentConfig;
use flume_mini_agent::{Leftover, MiniAgent, ReconfigureError, Reconfigured};

use super::failure::Failure;
use super::ready_file::ReadyFile;
use super::reload::{Change, Outcome};
use super::stdout::Stdout;
use crate::exit::Exit;
use crate::interrupts::Interrupts;
use crate::output;
use crate::text::{duration, plural};

/// An agent that was started.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) agent: MiniAgent,
    pub(super) stdout: Stdout,
    pub(super) ready_file: Option<ReadyFile>,
    /// Whether sources have names of the user's own.
    pub(super) named: bool,
    /// New configurations, if there may be any.
    pub(super) changes: Option<Receiver<Change>>,
    /// Whether neither the new nor the former configuration could be started.
    pub(super) failed: bool,
    /// Events that went with memory channels that a new configuration has not.
    pub(super) lost: u64,
}

/// What was told of the agent's troubles.
#[derive(Debug, Default)]
struct Troubles {
    sink: Option<String>,
    channel: Option<String>,
    channel_at: Option<Instant>,
}

/// How often the agent is asked for its troubles.
const TICK: Duration = Duration::from_millis(200);
/// How often channels that refuse batches are told of: each time is a little different.
const CHANNEL_PAUSE: Duration = Duration::from_secs(5);

impl Session {
    /// Runs until an interrupt, or until nobody reads standard output.
    pub(super) fn run(
        mut self,
        interrupts: &Interrupts,
        drain_timeout: Duration,
    ) -> Result<Exit, Failure> {
        if !self.tell_addresses()? {
            return Ok(Exit::Unexpected);
        }
        // Until here, so that what logger sinks print comes after the addresses.
        self.agent.resume_sink();
        let mut troubles = Troubles::default();
        while !interrupts.wait(TICK) && !self.stdout.is_gone() && !self.failed {
            troubles.tell(&self.agent);
            let change = self.changes.as_ref().and_then(|it| it.try_recv().ok());
            if let Some(change) = change {
                change.follow(|config| self.reconfigure(config));
            }
        }
        // Who waits for a reload is told that there is none.
        self.changes = None;
        Ok(self.end(drain_timeout))
    }

    /// On standard output and in the ready file. `false`: nobody can be told.
    fn tell_addresses(&self) -> Result<bool, Failure> {
        if let Some(file) = &self.ready_file {
            let written = file.write(&self.addresses("", ""));
            written.map_err(Failure::ReadyFile)?;
        }
        let addresses = self.addresses("(", ")").into_iter();
        let mut lines: Vec<_> = addresses.map(|it| format!("listening on {it}")).collect();
        if lines.is_empty() {
            lines.push("running, and listening nowhere: there is no source".to_owned());
        }
        Ok(lines.iter().all(output::data))
    }

    /// One line each, and what is there between `open` and `close`.
    fn addresses(&self, open: &str, close: &str) -> Vec<String> {
        let source = |(name, url): (String, String)| match self.named {
            true => format!("{url} {open}source {name}{close}"),
            false => url,
        };
        let control = self.agent.control_addr().into_iter();
        let control = control.map(|address| format!("http://{address} {open}control{close}"));
        let sources = self.agent.urls().into_iter().map(source);
        sources.chain(control).collect()
    }

    /// Gives the agent another configuration, and tells where it listens if that is new.
    fn reconfigure(&mut self, config: AgentConfig) -> Outcome {
        let before = self.agent.urls();
        let outcome = match self.agent.reconfigure(config) {
            Ok(done) => self.reloaded(&done),
            Err(error) => {
                self.failed = matches!(error, ReconfigureError::Stopped { .. });
                Err(error.to_string())
            }
        };
        if self.agent.urls() != before
            && let Err(failure) = self.tell_addresses()
        {
            output::note(failure.sentence());
        }
        outcome
    }

    fn reloaded(&mut self, done: &Reconfigured) -> Outcome {
        if !done.changed {
            return Ok("unchanged, nothing was stopped".to_owned());
        }
        let mut text = "reloaded".to_owned();
        for (channel, events) in &done.lost {
            self.lost += *events as u64;
            let events = plural(*events as u64, "event");
            text += &format!("; {events} lost with memory channel {channel}, which is gone");
        }
        Ok(text)
    }

    fn end(&mut self, drain_timeout: Duration) -> Exit {
        let gone = self.stdout.is_gone();
        let waiting = self.agent.stats().channel_size;
        if waiting > 0 && !gone {
            output::note(format_args!(
                "stopping: {} in the channels; sinks have {} to take what is theirs, \
                 a second Ctrl-C ends at once",
                plural(waiting, "event"),
                duration(drain_timeout)
            ));
        }
        let drain_timeout = if gone { Duration::ZERO } else { drain_timeout };
        let left = self.agent.drain(drain_timeout);
        self.sum_up(&left)
    }

    fn sum_up(&self, left: &[Leftover]) -> Exit {
        let stats = self.agent.stats();
        let events = plural(stats.events_accepted, "event");
        let connections = plural(stats.connections_opened, "connection");
        let ending = if self.stdout.is_gone() {
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
                "batches refused: {refused}, as a channel was full, failed, or the batch too large"
            ));
        }
        let mut lost = self.lost > 0;
        for Leftover {
            channel,
            events,
            durable,
            ..
        } in left
        {
            let events = plural(*events as u64, "event");
            if *durable {
                output::detail(format_args!(
                    "{events} pending in file channel {channel}, for the next start"
                ));
            } else {
                lost = true;
                output::detail(format_args!(
                    "{events} lost with memory channel {channel}: no sink had taken them"
                ));
            }
        }
        if lost { Exit::Partial } else { Exit::Complete }.unless(self.failed)
    }
}

impl Troubles {
    /// Says on stderr what is new.
    fn tell(&mut self, agent: &MiniAgent) {
        let sink = agent.sink_error();
        if sink != self.sink {
            sink.iter().for_each(output::note);
            self.sink = sink;
        }
        let paused = self
            .channel_at
            .is_some_and(|at| at.elapsed() < CHANNEL_PAUSE);
        let channel = agent.channel_error();
        if channel != self.channel && !paused {
            channel.iter().for_each(output::note);
            self.channel = channel;
            self.channel_at = Some(Instant::now());
        }
    }
}
