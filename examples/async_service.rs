//! An async service awaits its receipts; the client's own thread does the sending.

use std::error::Error;
use std::time::Duration;

use flume_client::{Client, Event};
use flume_mini_agent::MiniAgent;

async fn handle_order(client: &Client, number: u32) -> Result<(), Box<dyn Error>> {
    let event = Event::new(format!("order {number} placed")).header("service", "orders");
    let receipt = client.append(event)?;
    let ack = receipt.delivered().await?;
    println!("order {number}: recorded by {}", ack.agent);
    Ok(())
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let agent = MiniAgent::builder().start()?;
    let client = Client::builder().agent(agent.url()).build()?;
    for number in 1..=3 {
        handle_order(&client, number).await?;
    }
    let report = client.close(Duration::from_secs(5)).await;
    println!(
        "{} delivered, {} lost",
        report.delivered,
        report.lost.total()
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(serve())
}
