//! `kill -9` under full load: what was told to be stored is delivered by the next process.

use std::collections::HashSet;
use std::process::Command;
use std::time::{Duration, Instant};

use flume_client::Client;
use flume_tests::scripted::{Agent, GOOD};
use flume_tests::{Child, Heard};

use crate::failure::Failure;
use crate::service::{REPORT, is_error};

const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
struct Told {
    stored: Vec<u64>,
    /// Events that the client had, and the disk had not.
    unstored: u64,
    info: Option<Level>,
    error: Option<Level>,
}

/// Counters of a level.
#[derive(Debug)]
struct Level {
    logged: u64,
    captured: u64,
    handed_on: u64,
    shed: u64,
}

impl Told {
    fn hear(&mut self, line: &str) -> Result<(), Failure> {
        let mut words = line.split(' ');
        let what = words.next().unwrap_or_default();
        let numbers: Vec<u64> = words.map(str::parse).collect::<Result<_, _>>()?;
        match (what, numbers.as_slice()) {
            ("stored", [number]) => self.stored.push(*number),
            ("unstored", [events]) => self.unstored = *events,
            (level, &[logged, captured, handed_on, at_call, at_client]) => {
                let told = Level {
                    logged,
                    captured,
                    handed_on,
                    shed: at_call + at_client,
                };
                let place = match level {
                    "info" => &mut self.info,
                    _ => &mut self.error,
                };
                *place = Some(told);
            }
            _ => return Err(format!("the service said {line:?}").into()),
        }
        Ok(())
    }
}

pub(crate) fn run(time: Duration) -> Result<(), Failure> {
    let home = tempfile::tempdir()?;
    let mut agent = Agent::good();
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["service", &agent.url()]).arg(home.path());
    let mut service = Child::start(&mut command)?;
    let mut told = Told::default();
    let begin = Instant::now();
    let listen = |service: &Child, told: &mut Told, until: Instant| -> Result<(), Failure> {
        loop {
            match service.hear(until) {
                Heard::Line(line) => told.hear(&line.text)?,
                Heard::Nothing => return Ok(()),
                Heard::End => return Err("the service has ended".into()),
            }
        }
    };
    listen(&service, &mut told, begin + time / 3)?;
    agent.stop();
    listen(&service, &mut told, begin + time * 2 / 3)?;
    agent.start_again([GOOD]);
    listen(&service, &mut told, begin + time)?;
    service.say("stats\n")?;
    while told.error.is_none() {
        match service.hear(Instant::now() + PATIENCE) {
            Heard::Line(line) => told.hear(&line.text)?,
            _ => return Err("the service does not tell its counters".into()),
        }
    }
    for line in service.kill()? {
        // The last line may be cut.
        let _ = told.hear(&line.text);
    }
    let next = Client::builder().agent(agent.url()).spool(home.path());
    let next = next.spool_free_bytes(0).build()?;
    next.flush(PATIENCE).wait()?;
    check(&told, agent.stored())
}

fn check(told: &Told, delivered: Vec<u64>) -> Result<(), Failure> {
    let mut delivered = delivered;
    delivered.retain(|number| *number != REPORT);
    let copies = delivered.len();
    let delivered: HashSet<u64> = delivered.into_iter().collect();
    let errors = delivered.iter().filter(|number| is_error(**number)).count() as u64;
    let infos = delivered.len() as u64 - errors;
    let (Some(info), Some(error)) = (&told.info, &told.error) else {
        return Err("the service did not tell its counters".into());
    };
    println!("{} errors were told to be stored", told.stored.len());
    println!("counters just before the kill: INFO {info:?}, ERROR {error:?}");
    println!(
        "delivered: {infos} INFO, {errors} ERROR; {} events came more than once",
        copies - delivered.len()
    );
    let missing = told.stored.iter().filter(|it| !delivered.contains(it));
    let missing: Vec<_> = missing.collect();
    if !missing.is_empty() {
        return Err(format!("stored and not delivered: {missing:?}").into());
    }
    for level in [info, error] {
        let known = level.captured + level.handed_on + level.shed;
        if known != level.logged {
            return Err(format!("{level:?} does not balance").into());
        }
    }
    let handed_on = info.handed_on + error.handed_on;
    if (delivered.len() as u64) + told.unstored < handed_on {
        let unstored = told.unstored;
        return Err(format!("{handed_on} handed on, {unstored} of them not stored").into());
    }
    if told.stored.is_empty() {
        return Err("nothing was told to be stored".into());
    }
    Ok(())
}
