//! The last of three agents takes no more: they fill back to the service, and drain without a loss.

use std::{error::Error, time::Duration};

use flume_client::{Client, Event};
use flume_mini_agent::MiniAgent;
use flume_mini_agent::config::AgentConfig;

const LIMIT: Duration = Duration::from_secs(20);

/// An agent whose channel holds ten events.
fn agent(sink: &str) -> Result<MiniAgent, Box<dyn Error>> {
    let properties = "a1.sources = r1\na1.channels = c1\na1.sinks = k1\na1.sources.r1.type = avro
        a1.sources.r1.bind = 127.0.0.1\na1.sources.r1.port = 0\na1.sources.r1.channels = c1
        a1.channels.c1.type = memory\na1.channels.c1.capacity = 10\na1.channels.c1.keep-alive = 0
        a1.channels.c1.transactionCapacity = 1\na1.sinks.k1.channel = c1\na1.sinks.k1.type = ";
    let loaded = AgentConfig::reader("a1").read(&format!("{properties}{sink}"))?;
    let agent = MiniAgent::configured(loaded.config);
    Ok(agent.sink_backoff(Duration::from_millis(20)).start()?)
}

fn agent_before(next: &MiniAgent) -> Result<MiniAgent, Box<dyn Error>> {
    let sink = "avro\na1.sinks.k1.batch-size = 1\na1.sinks.k1.hostname = 127.0.0.1";
    let port = next.addr().port();
    agent(&format!("{sink}\na1.sinks.k1.port = {port}"))
}

fn main() -> Result<(), Box<dyn Error>> {
    let c = agent("collect\na1.sinks.k1.batchSize = 1")?;
    let b = agent_before(&c)?;
    let a = agent_before(&b)?;
    let service = Client::builder().agent(a.url()).batch_events(1);
    let service = service.event_bytes(100).event_ids(false);
    let service = service.buffer_bytes(1_000).build()?;
    c.pause_sink();
    let event = |number| Event::new([b'x'; 89]).header("id", format!("{number:02}"));
    for number in 1..=40_u64 {
        let receipt = service.append(event(number))?;
        if number <= 30 {
            receipt.wait(LIMIT)?;
        }
        for (agent, before) in [(&c, 0), (&b, 10), (&a, 20)] {
            let size = number.saturating_sub(before).min(10);
            agent.wait_until(LIMIT, |stats| stats.channel_size == size)?;
        }
        if number % 10 == 0 {
            let held = service.stats().pending;
            let [a, b, c] = [&a, &b, &c].map(|agent| agent.stats().channel_size);
            println!("{number} sent: service {held}, A {a}, B {b}, C {c}");
        }
    }
    let refused = service.append(event(41)).expect_err("its buffer is full");
    println!("the next one comes back: {refused}");
    c.resume_sink();
    drop(service.append_within(refused.into_event(), LIMIT)?);
    c.wait_for(41, LIMIT)?;
    assert_eq!(c.ledger("id").unique(), 41);
    println!("C takes again, and all 41 events arrive");
    Ok(())
}
