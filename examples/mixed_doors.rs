//! Collectors of different kinds behind one client: an Avro source, and a Thrift and an HTTP source that
//! stand by.

use std::error::Error;
use std::ops::Range;
use std::time::Duration;

use flume_client::{Client, Event};
use flume_mini_agent::MiniAgent;
use flume_mini_agent::config::ThriftProtocol;

const TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let mut avro = MiniAgent::builder().capacity(10_000).start()?;
    let mut thrift = MiniAgent::builder()
        .thrift(ThriftProtocol::Binary) // found out at the greeting, before any event is sent
        .capacity(10_000)
        .start()?;
    let http = MiniAgent::builder().http().capacity(10_000).start()?;
    let client = Client::builder()
        .agent(avro.url())
        .agent(thrift.url())
        .agent(http.url())
        .build()?;
    let send = |orders: Range<u32>| -> Result<(), Box<dyn Error>> {
        for number in orders {
            client.send(Event::new(format!("order {number} placed")))?;
        }
        Ok(client.flush(TIMEOUT).wait()?)
    };

    send(0..100)?;
    avro.stop();
    send(100..200)?;
    thrift.stop();
    send(200..300)?;

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
