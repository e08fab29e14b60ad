//! Three collectors share the load, the large one gets twice as much; what one refuses goes to another.

use std::error::Error;
use std::time::Duration;

use flume_client::{AgentOptions, Client, Event, Selection};
use flume_mini_agent::MiniAgent;

const TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let small = MiniAgent::builder().capacity(10_000).start()?;
    let mut flaky = MiniAgent::builder().capacity(10_000).start()?;
    let large = MiniAgent::builder().capacity(10_000).start()?;
    let client = Client::builder()
        .selection(Selection::RoundRobin)
        .agent(small.url())
        .agent(flaky.url())
        .agent_with(large.url(), AgentOptions::default().weight(2))
        .build()?;

    for number in 0..400 {
        let receipt = client.append(Event::new(format!("order {number} placed")))?;
        receipt.wait(TIMEOUT)?;
    }
    flaky.stop(); // the others share its turns, until it is back
    for number in 400..800 {
        client.send(Event::new(format!("order {number} placed")))?;
    }
    client.flush(TIMEOUT).wait()?;

    for agent in client.stats().agents {
        println!("{}: {} events", agent.agent, agent.delivered);
    }
    let report = client.close(TIMEOUT).wait();
    println!(
        "{} delivered, {} lost",
        report.delivered,
        report.lost.total()
    );
    Ok(())
}
