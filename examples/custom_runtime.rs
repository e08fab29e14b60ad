//! A service of one thread: the client has none of its own, its driver is a task of the service's
//! runtime.

use std::time::Duration;

use flume_client::{Client, Event};
use flume_mini_agent::MiniAgent;
use tokio::runtime::Builder;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let agent = MiniAgent::builder().start()?;
    let (client, driver) = Client::builder().agent(agent.url()).build_with_driver()?;

    // A driver needs both: IO and time.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let driver = tokio::spawn(driver);
        let receipt = client.append_async(Event::new("order 17 placed")).await?;
        // Await, and never block this thread: the driver has no other one.
        println!("acknowledged by {}", receipt.delivered().await?.agent);

        drop(client.append(Event::new("order 18 placed"))?);
        // At the end: close, and let the driver come to its own end.
        drop(client.close(Duration::from_secs(5)));
        Ok::<_, Box<dyn std::error::Error>>(driver.await?)
    })?;
    println!(
        "{} delivered, {} lost",
        report.delivered,
        report.lost.total()
    );
    assert!(report.is_complete());
    Ok(())
}
