//! One client, four levels: an audit trail that outlives the process, bills that go to the disk only
//! when no agent takes them, events that wait in memory, and metrics that nobody has to take.

use std::error::Error;
use std::time::Duration;
use std::{env, fs};

use flume_client::{Client, Event, Reliability};
use flume_mini_agent::MiniAgent;

const TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let spool = env::temp_dir().join(format!("levels-{}", std::process::id()));
    let agent = MiniAgent::builder().start()?;
    let audit = Client::builder()
        .agent(agent.url())
        .spool(&spool) // end to end is this client's own level
        .build()?;
    // The same agents, connections and buffer. Cheap: make them once and keep them.
    let bills = audit.at(Reliability::StoreOnFailure)?;
    let orders = audit.at(Reliability::InMemory)?;
    let metrics = audit.at(Reliability::BestEffort)?;

    for number in 0..100 {
        metrics.send(Event::new(format!("queue length {number}")))?;
    }
    orders.send(Event::new("order 17 placed"))?;
    bills.send(Event::new("order 17 billed"))?;
    let signed = audit.append(Event::new("order 17 signed"))?;
    signed.wait_stored(TIMEOUT)?; // on the disk, whether or not an agent is there
    let ack = signed.wait(TIMEOUT)?; // waits for no timer
    println!("the signature is with {}", ack.agent);

    audit.flush(TIMEOUT).wait()?;
    for level in audit.stats().levels {
        let (delivered, lost) = (level.delivered, level.lost.total());
        println!("{:?}: {delivered} delivered, {lost} lost", level.level);
    }
    println!("{} events arrived", agent.wait_for(103, TIMEOUT)?.len());
    drop((audit, bills, orders, metrics));
    Ok(fs::remove_dir_all(spool)?)
}
