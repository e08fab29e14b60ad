//! A program without a runtime: threads that log through `tracing`, to an agent that is not there at
//! first. Nobody waits for it, and nothing is lost.

use std::error::Error;
use std::time::{Duration, Instant};

use flume_mini_agent::MiniAgent;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

const WORKERS: usize = 4;
const LINES: usize = 250;

fn work(worker: usize) {
    let _span = tracing::info_span!("worker", worker).entered();
    for line in 0..LINES {
        tracing::info!(line, "at work");
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut agent = MiniAgent::builder().capacity(10_000).start()?;
    agent.stop();

    let (layer, guard) = flume_tracing::layer().agent(agent.url()).build()?;
    tracing_subscriber::registry().with(layer).init();
    let started = Instant::now();
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            scope.spawn(move || work(worker));
        }
    });
    let logged = guard.stats().total().logged;
    println!(
        "{logged} lines logged in {:?}, and no agent is there",
        started.elapsed()
    );

    agent.start_again()?;
    let events = agent.wait_for(WORKERS * LINES, Duration::from_secs(10))?;
    println!("the agent is there, and has {}", events.len());
    let lost = guard.stats().total().lost();
    println!("{lost} lost");
    drop(guard);
    Ok(())
}
