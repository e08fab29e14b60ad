//! Collectors of different kinds behind one client: an Avro source, and a Thrift source that stands by.

use std::error::Error;
use std::time::Duration;

use flume_client::{Client, Event};
use flume_mini_agent::MiniAgent;
use flume_mini_agent::config::ThriftProtocol;

const TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let mut avro = MiniAgent::builder().capacity(10_000).start()?;
    let thrift = MiniAgent::builder()
        .thrift(ThriftProtocol::Binary) // found out at the greeting, before any event is sent
        .capacity(10_000)
        .start()?;
    println!("{}, then {}", avro.url(), thrift.url());
    let client = Client::builder()
        .agent(avro.url())
        .agent(thrift.url())
        .build()?;

    for number in 0..100 {
        client.send(Event::new(format!("order {number} placed")))?;
    }
    client.flush(TIMEOUT).wait()?;
    avro.stop();
    for number in 100..200 {
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
