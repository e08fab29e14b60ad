//! No agent can be reached and the buffer fills: events come back instead of blocking the service.

use std::error::Error;
use std::time::Duration;

use flume_client::{Client, Event};
use flume_mini_agent::MiniAgent;

fn main() -> Result<(), Box<dyn Error>> {
    let mut agent = MiniAgent::builder().capacity(10_000).start()?;
    agent.stop();

    let client = Client::builder()
        .agent(agent.url())
        .buffer_bytes(64 * 1024)
        .event_bytes(1024)
        .build()?;
    let mut taken = 0;
    let event = loop {
        match client.append(Event::new([b'x'; 500])) {
            Ok(_receipt) => taken += 1,
            Err(error) => {
                println!("after {taken} events: {error}");
                break error.into_event();
            }
        }
    };

    agent.start_again()?;
    let receipt = client.append_within(event, Duration::from_secs(10))?;
    receipt.wait(Duration::from_secs(10))?;
    client.flush(Duration::from_secs(10)).wait()?;
    println!(
        "the agent is back and has {} events",
        agent.received_count()
    );
    Ok(())
}
