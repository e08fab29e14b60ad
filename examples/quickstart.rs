//! Send an event and wait until an agent has it. Needs no async runtime.

use std::error::Error;
use std::time::Duration;

use flume_client::{Client, Event};
use flume_mini_agent::MiniAgent;

fn main() -> Result<(), Box<dyn Error>> {
    let agent = MiniAgent::builder().start()?;

    let client = Client::builder().agent(agent.url()).build()?;
    let receipt = client.append(Event::new("hello").header("host", "web-1"))?;
    let ack = receipt.wait(Duration::from_secs(5))?;
    println!("{} has the event", ack.agent);

    let report = client.close(Duration::from_secs(5)).wait();
    println!(
        "{} delivered, {} lost",
        report.delivered,
        report.lost.total()
    );
    Ok(())
}
