//! A service that sends everything there is at the level TRACE, with the logging of all dependencies
//! of its delivery on, while its agent is restarted again and again: what the delivery itself says
//! must not be delivered, or each event would bring on others.
//!
//! Of these dependencies only mio logs, through `log`, with its feature of that name; tokio has words
//! for `tracing` in builds with `tokio_unstable` alone. The client says what it has to say through
//! `log` as well, which the bridge of `tracing-log` hands to `tracing`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use flume_appender::Overflow;
use flume_mini_agent::MiniAgent;
use flume_tests::{Child, Heard};
use tracing::{Event, Subscriber};
use tracing_log::{LogTracer, NormalizeEvent};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::prelude::*;

use crate::failure::Failure;

const RESTARTS: u32 = 10;
/// The target of what the service itself logs.
const SERVICE: &str = "service";
/// Between two turns of the service, each of which logs a line of every level.
const TURN: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(60);

/// A layer beside ours. Counts by target what it sees that the service did not log.
#[derive(Clone, Debug, Default)]
struct Witness(Arc<Mutex<BTreeMap<String, u64>>>);

impl<S: Subscriber> Layer<S> for Witness {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let bridged = event.normalized_metadata();
        let target = match &bridged {
            Some(bridged) => bridged.target(),
            None => event.metadata().target(),
        };
        if target != SERVICE {
            let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *seen.entry(target.to_owned()).or_default() += 1;
        }
    }
}

/// The service. Tells what the witness saw, and how many lines it logged.
pub(crate) fn service(agent: &str, time: Duration) -> Result<(), Failure> {
    // Nothing of its own is to be lost: its calls wait for room instead.
    let builder = flume_tracing::layer().agent(agent);
    let builder = builder.filter("trace").overflow(Overflow::Block(PATIENCE));
    let (layer, guard) = builder.build()?;
    let witness = Witness::default();
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::set_global_default(subscriber.with(witness.clone()))?;
    LogTracer::init()?;
    let until = Instant::now() + time;
    let mut lines = 0_u64;
    while Instant::now() < until {
        tracing::error!(target: SERVICE, "{lines}");
        tracing::warn!(target: SERVICE, "{}", lines + 1);
        tracing::info!(target: SERVICE, "{}", lines + 2);
        tracing::debug!(target: SERVICE, "{}", lines + 3);
        tracing::trace!(target: SERVICE, "{}", lines + 4);
        lines += 5;
        thread::park_timeout(TURN);
    }
    guard.flush(PATIENCE).wait()?;
    let seen = witness.0.lock().unwrap_or_else(PoisonError::into_inner);
    for (target, events) in &*seen {
        println!("seen {events} {target}");
    }
    drop(seen);
    println!("lines {lines}");
    Ok(())
}

/// What the service told.
#[derive(Debug, Default)]
struct Told {
    /// By target.
    seen: BTreeMap<String, u64>,
    lines: Option<u64>,
}

impl Told {
    /// Listens until then. Says whether the service has ended.
    fn listen(&mut self, service: &Child, until: Instant) -> Result<bool, Failure> {
        loop {
            let line = match service.hear(until) {
                Heard::Line(line) => line.text,
                Heard::Nothing => return Ok(false),
                Heard::End => return Ok(true),
            };
            match line.split(' ').collect::<Vec<_>>().as_slice() {
                ["seen", events, target] => {
                    self.seen.insert((*target).to_owned(), events.parse()?);
                }
                ["lines", lines] => self.lines = Some(lines.parse()?),
                _ => return Err(format!("the service said {line:?}").into()),
            }
        }
    }
}

pub(crate) fn run(time: Duration) -> Result<(), Failure> {
    let mut agent = MiniAgent::builder().start()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["feedback-service", &agent.url()]);
    command.arg(time.as_secs_f64().to_string());
    let service = Child::start(&mut command)?;
    let mut told = Told::default();
    let begin = Instant::now();
    for restart in 1..=RESTARTS {
        // As long up as down, and up at the end.
        let down = begin + time * (2 * restart - 1) / (2 * RESTARTS + 1);
        let up = begin + time * (2 * restart) / (2 * RESTARTS + 1);
        let mut is_over = told.listen(&service, down)?;
        agent.stop();
        is_over |= told.listen(&service, up)?;
        agent.start_again()?;
        if is_over {
            return Err("the service has ended before its time".into());
        }
    }
    if !told.listen(&service, begin + time + PATIENCE)? {
        return Err("the service does not end".into());
    }
    check(&told, &agent)
}

fn check(told: &Told, agent: &MiniAgent) -> Result<(), Failure> {
    let lines = told.lines.ok_or("the service did not deliver everything")?;
    let mut own = BTreeSet::new();
    let mut others: BTreeMap<String, u64> = BTreeMap::new();
    let events = agent.received();
    for event in &events {
        let target = event.header_value("target").unwrap_or_default();
        if target != SERVICE {
            *others.entry(target.to_owned()).or_default() += 1;
            continue;
        }
        let body: serde_json::Value = serde_json::from_slice(event.body())?;
        let number = body.get("msg").and_then(serde_json::Value::as_str);
        own.insert(number.ok_or("a line without a message")?.parse::<u64>()?);
    }
    println!(
        "{lines} lines of the service, {} of them arrived, {} of them more than once; {RESTARTS} \
         restarts; beside ours a layer saw {:?}, and the agent got {others:?}",
        own.len(),
        events.len() - own.len(),
        told.seen
    );
    if !others.is_empty() {
        return Err(format!("the delivery delivers what it says itself: {others:?}").into());
    }
    if own.len() as u64 != lines {
        return Err(format!("{} of {lines} lines arrived", own.len()).into());
    }
    let of = |name: &str| {
        let events = told
            .seen
            .iter()
            .filter(|(target, _)| target.starts_with(name));
        events.map(|(_, events)| events).sum::<u64>()
    };
    for name in ["mio", "flume_client"] {
        if of(name) == 0 {
            return Err(format!("{name} said nothing: {:?}", told.seen).into());
        }
    }
    Ok(())
}
