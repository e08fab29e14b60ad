//! Test a service against an agent that stores a batch and dies before it says so: the events
//! are sent again, arrive twice, and none is lost.

use std::error::Error;
use std::time::Duration;

use flume_client::{Client, Event};
use flume_mini_agent::{Answered, Fault, MiniAgent, Stored};

const LIMIT: Duration = Duration::from_secs(10);

/// The service under test: logs every order it takes.
struct Orders {
    log: Client,
}

impl Orders {
    fn take(&self, number: u32) -> Result<Event, Box<dyn Error>> {
        let event = Event::new("order taken").header("id", format!("order-{number}"));
        drop(self.log.append(event.clone())?);
        Ok(event)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let agent = MiniAgent::builder().capacity(1_000).start()?;
    let lost_answer = agent.fault(Fault::CommitThenDrop.nth_request(3));

    let service = Orders {
        log: Client::builder().agent(agent.url()).build()?,
    };
    let mut sent = Vec::new();
    for number in 0..5 {
        sent.push(service.take(number)?);
        service.log.flush(LIMIT).wait()?;
    }

    // The third batch was committed, but nobody was told:
    assert_eq!(lost_answer.hits().len(), 1);
    let untold = agent.batches().remove(2);
    assert_eq!(
        (untold.answered, untold.stored),
        (Answered::Nothing, Stored::Yes)
    );

    // In async code: agent.wait_for_async(..).await?
    let events = agent.wait_for(sent.len() + 1, LIMIT)?;
    // Equal to what was sent, whatever `guid` it was given.
    assert!(
        events
            .iter()
            .all(|arrived| sent.iter().any(|event| arrived == event))
    );
    let ledger = agent.ledger("id");
    ledger.assert_no_loss(&sent);
    println!("{} events arrived, none is lost", ledger.received());
    for (id, times) in ledger.duplicates() {
        println!("{id} came {times} time(s) too often");
    }
    Ok(())
}
