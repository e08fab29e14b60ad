//! [`Play`]: two agents, one client, one failure.

use std::path::Path;
use std::time::{Duration, Instant};

use flume_client::{Backoff, Client, Event};
use flume_mini_agent::MiniAgent;

use super::log::Log;
use super::proof::{LINE_HEADER, Proof};
use super::story::Story;
use crate::exit::Exit;
use crate::interrupts::Interrupts;
use crate::text::{self, count, duration, plural};

/// How long the sending takes, whatever the size of the log.
const SENDING: Duration = Duration::from_secs(4);
/// How often lines are sent and counters looked at.
const TICK: Duration = Duration::from_millis(10);
/// When the first agent stops and when it comes back, in parts of the sending.
const STOP_AT: f64 = 0.35;
const RETURN_AT: f64 = 0.65;
/// Part of the log sent in one go before the stop, so that batches are on their way.
const BURST: f64 = 0.1;
/// Part of the log that is sent right after that.
const AFTER_STOP: f64 = 0.02;
/// How long the story waits for the failover before it goes on.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the last lines may take, and the agents to store them.
const END_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) struct Play<'a> {
    story: &'a Story,
    interrupts: &'a Interrupts,
    log: &'a Log,
    client: Client,
    first: MiniAgent,
    second: MiniAgent,
    started: Instant,
    sent: usize,
}

/// How it went.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) proof: Proof,
    pub(super) batches_retried: u64,
    pub(super) elapsed: Duration,
    /// Address and number of events of each agent.
    pub(super) held: Vec<(String, u64)>,
}

/// Why there is no outcome.
#[derive(Debug)]
pub(super) enum Stop {
    Interrupted,
    Failed(String),
}

type Result<T> = std::result::Result<T, Stop>;

impl<'a> Play<'a> {
    pub(super) fn new(story: &'a Story, interrupts: &'a Interrupts, log: &'a Log) -> Result<Self> {
        let agent = || {
            let agent = MiniAgent::builder()
                .capacity(1_000_000)
                .transaction_capacity(100);
            agent
                .start()
                .map_err(|error| Stop::Failed(error.to_string()))
        };
        let (first, second) = (agent()?, agent()?);
        let client = Client::builder()
            .agent(first.url())
            .agent(second.url())
            .backoff(
                Backoff::default()
                    .base(Duration::from_millis(50))
                    .cap(Duration::from_millis(300)),
            )
            .build()
            .map_err(|error| Stop::Failed(error.to_string()))?;
        Ok(Self {
            story,
            interrupts,
            log,
            client,
            first,
            second,
            started: Instant::now(),
            sent: 0,
        })
    }

    pub(super) fn urls(&self) -> [String; 2] {
        [self.first.url(), self.second.url()]
    }

    pub(super) fn run(mut self) -> Result<Outcome> {
        self.started = Instant::now();
        let per_second = self.log.lines.len() as f64 / SENDING.as_secs_f64();
        self.story.event(&format!(
            "sending begins, about {} lines a second",
            count(per_second as u64)
        ));
        self.send_until(STOP_AT - BURST, |_| {})?;
        self.stop_first()?;
        self.return_first()?;
        self.finish()
    }

    /// The first agent goes while batches are on their way to it.
    fn stop_first(&mut self) -> Result<()> {
        self.send_lines(STOP_AT)?;
        self.first.stop();
        let stopped = Instant::now();
        let held = self.first.stats().events_accepted;
        let sent = self.sent as u64;
        let what = self.story.style.bold("agent A is stopped");
        self.story
            .event(&format!("{what}, in the middle of a burst of lines"));
        self.story.more(&format!(
            "of {} sent so far A holds {}; the other {} are still with the client",
            plural(sent, "line"),
            count(held),
            count(sent.saturating_sub(held))
        ));
        // Something to fail over with, if A had all the lines.
        self.send_lines(STOP_AT + AFTER_STOP)?;
        let arrived = self
            .second
            .wait_until(NOTICE_TIMEOUT, |stats| stats.events_accepted > 0);
        self.story.event(&match arrived {
            Ok(_) => {
                let after = duration(stopped.elapsed());
                format!(
                    "the client has failed over: B has its first events, {after} after the stop"
                )
            }
            Err(_) => "the client has not failed over yet".to_owned(),
        });
        self.send_until(RETURN_AT, |_| {})?;
        self.story.more(&match self.client.stats().batches_retried {
            0 => "no batch was on its way to A at that moment".to_owned(),
            1 => "1 batch was on its way to A, not answered: the client sent it again, to B".to_owned(),
            several => format!(
                "{several} batches were on their way to A, not answered: the client sent them again, to B"
            ),
        });
        Ok(())
    }

    /// The first agent comes back, and the client to it.
    fn return_first(&mut self) -> Result<()> {
        let before = self.first.stats().events_accepted;
        self.first
            .start_again()
            .map_err(|error| Stop::Failed(error.to_string()))?;
        let returned = Instant::now();
        let same_port = self.story.style.bold("agent A is started again");
        self.story.event(&format!("{same_port}, on the same port"));
        let mut is_back = false;
        self.send_until(1.0, |play| {
            if !is_back && play.first.stats().events_accepted > before {
                is_back = true;
                let after = duration(returned.elapsed());
                play.story
                    .event(&format!("the client is back at A, {after} later"));
            }
        })
    }

    fn finish(self) -> Result<Outcome> {
        let flushed = self.client.flush(END_TIMEOUT).wait();
        match flushed {
            Ok(()) => self.story.event("the last line is acknowledged"),
            Err(error) => self.story.event(&format!("gave up: {error}")),
        }
        let elapsed = self.started.elapsed();
        let batches_retried = self.client.stats().batches_retried;
        let report = self.client.close(END_TIMEOUT).wait();
        if !report.is_complete() {
            self.story.more(&format!(
                "the client gave up on {}",
                plural(report.lost.total(), "event")
            ));
        }
        let mut events: Vec<Event> = Vec::new();
        let mut held = Vec::new();
        for agent in [&self.first, &self.second] {
            let stored = agent.wait_until(END_TIMEOUT, |stats| {
                stats.events_drained >= stats.events_accepted
            });
            stored.map_err(|error| Stop::Failed(error.to_string()))?;
            let received = agent.received();
            held.push((agent.url(), received.len() as u64));
            events.extend(received.into_iter().map(Event::from));
        }
        let proof = Proof::of(&self.log.lines, events.iter());
        Ok(Outcome {
            proof,
            batches_retried,
            elapsed,
            held,
        })
    }

    /// Sends in step with the clock up to this part of the log, and looks around at every tick.
    fn send_until(&mut self, part: f64, mut look: impl FnMut(&Self)) -> Result<()> {
        loop {
            let now = self.started.elapsed().as_secs_f64() / SENDING.as_secs_f64();
            self.send_lines(now.min(part))?;
            look(self);
            if now >= part {
                return Ok(());
            }
            if self.interrupts.wait(TICK) {
                return Err(Stop::Interrupted);
            }
        }
    }

    /// Sends the lines up to this part of the log.
    fn send_lines(&mut self, part: f64) -> Result<()> {
        let upto = (self.log.lines.len() as f64 * part).round() as usize;
        while self.sent < upto
            && let Some(line) = self.log.lines.get(self.sent)
        {
            let event = Event::new(line).header(LINE_HEADER, (self.sent + 1).to_string());
            let taken = self.client.append_within(event, END_TIMEOUT);
            drop(taken.map_err(|error| Stop::Failed(error.to_string()))?);
            self.sent += 1;
        }
        Ok(())
    }
}

impl Stop {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Interrupted => Exit::Interrupted,
            Self::Failed(_) => Exit::Unexpected,
        }
    }
}

/// Reads the log the user wants.
pub(super) fn log(file: Option<&Path>) -> Result<Log> {
    let Some(path) = file else {
        return Ok(Log::shop());
    };
    let log = Log::of(path).map_err(|error| {
        Stop::Failed(format!(
            "cannot read {}: {}",
            text::path(path),
            text::reason(&error)
        ))
    })?;
    match log.lines.is_empty() {
        true => Err(Stop::Failed(format!(
            "{} has no lines to send",
            text::path(path)
        ))),
        false => Ok(log),
    }
}
