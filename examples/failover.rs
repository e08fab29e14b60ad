//! The preferred agent goes away and comes back; nothing is lost and nobody waits for it.

use std::error::Error;
use std::time::Duration;

use flume_client::{Client, Event};
use flume_mini_agent::MiniAgent;

fn main() -> Result<(), Box<dyn Error>> {
    let mut first = MiniAgent::builder().capacity(10_000).start()?;
    let second = MiniAgent::builder().capacity(10_000).start()?;
    let client = Client::builder()
        .agent(first.url())
        .agent(second.url())
        .build()?;
    let send =
        |count| (0..count).try_for_each(|n| client.append(Event::new(format!("{n}"))).map(drop));

    send(1_000)?;
    client.flush(Duration::from_secs(5)).wait()?;
    first.stop();
    send(1_000)?;
    client.flush(Duration::from_secs(5)).wait()?;
    first.start_again()?;
    // The first agent rests after its failure and takes over when it is tried again.
    loop {
        let receipt = client.append(Event::new("is the first one back?"))?;
        if receipt.wait(Duration::from_secs(5))?.agent.to_string() == first.url() {
            break;
        }
    }

    let report = client.close(Duration::from_secs(5)).wait();
    for agent in client.stats().agents {
        println!(
            "{}: {} events, {} failures",
            agent.agent, agent.delivered, agent.failures
        );
    }
    println!(
        "{} delivered, {} lost",
        report.delivered,
        report.lost.total()
    );
    Ok(())
}
