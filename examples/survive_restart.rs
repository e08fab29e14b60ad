//! A service is killed while no agent can be reached; the next start delivers what it had stored.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs, thread};

use flume_client::{Client, Event};
use flume_mini_agent::MiniAgent;

const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().collect();
    if let [_, spool, agent] = arguments.as_slice() {
        return service(Path::new(spool), agent);
    }
    let mut agent = MiniAgent::builder().start()?;
    let url = agent.url();
    agent.stop();
    let spool = env::temp_dir().join(format!("survive_restart-{}", std::process::id()));

    let mut first = Command::new(env::current_exe()?);
    let mut first = first.arg(&spool).arg(&url).stdout(Stdio::piped()).spawn()?;
    let output = first.stdout.take().ok_or("no output")?;
    for line in BufReader::new(output).lines().take(3) {
        println!("first run: {}", line?);
    }
    first.kill()?;
    println!("killed: {}", first.wait()?);

    agent.start_again()?;
    let client = Client::builder().agent(url).spool(&spool).build()?;
    println!("second run: {} events found", client.stats().recovered);
    client.flush(PATIENCE).wait()?;
    for event in agent.wait_for(3, PATIENCE)? {
        println!("delivered: {}", String::from_utf8_lossy(event.body()));
    }
    drop(client);
    Ok(fs::remove_dir_all(spool)?)
}

/// What is killed: stores three events, says so, and goes on.
fn service(spool: &Path, agent: &str) -> Result<(), Box<dyn Error>> {
    let client = Client::builder().agent(agent).spool(spool).build()?;
    for number in 1..=3 {
        let receipt = client.append(Event::new(format!("order {number} placed")))?;
        receipt.wait_stored(PATIENCE)?;
        println!("order {number} is on the disk");
    }
    loop {
        thread::park();
    }
}
