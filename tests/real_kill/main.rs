//! Kills a sender with a spool and a real Flume while events go from one to the other, and looks
//! whether every event arrives.
//!
//! ```text
//! flume-kill                                             1,000,000 events, five kills of each
//! flume-kill --events 50000 --agent-kills 2 --sender-kills 2
//! flume-kill --seed 42                                   the same places again
//! ```

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use flume_tests::real_kill::{self, Plan};

const USAGE: &str = "flume-kill [--events N] [--agent-kills N] [--sender-kills N] [--seed N]";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|it| it == real_kill::SENDER).is_some() {
        return exit_code(real_kill::send(arguments));
    }
    let plan = match plan(arguments) {
        Ok(plan) => plan,
        Err(text) => {
            eprintln!("{text}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    println!("{plan:?}");
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("flume-kill"));
    let outcome = real_kill::run(&program, &plan);
    exit_code(outcome.map(|outcome| print!("{outcome}")))
}

fn plan(mut arguments: impl Iterator<Item = String>) -> Result<Plan, String> {
    let mut plan = Plan {
        events: 1_000_000,
        agent_kills: 5,
        sender_kills: 5,
        seed: fastrand::u64(..),
    };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--events" => plan.events = number(arguments.next())?,
            "--agent-kills" => plan.agent_kills = number(arguments.next())?,
            "--sender-kills" => plan.sender_kills = number(arguments.next())?,
            "--seed" => plan.seed = number(arguments.next())?,
            _ => return Err(format!("what is {argument}?")),
        }
    }
    Ok(plan)
}

fn number<T: FromStr>(argument: Option<String>) -> Result<T, String> {
    let argument = argument.ok_or("a number is missing")?;
    argument
        .parse()
        .map_err(|_| format!("{argument} is no number"))
}

fn exit_code(result: flume_tests::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
