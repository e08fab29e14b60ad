//! A collector with TLS: the client trusts its certificate, and nothing else is sent to anybody.

use std::error::Error;
use std::fs;
use std::time::Duration;

use flume_client::{Client, Event, TlsOptions};
use flume_mini_agent::MiniAgent;

const TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    // In real life an authority signs it, and the collector has it in its key store.
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let ca_file = std::env::temp_dir().join(format!("collector-{}.pem", std::process::id()));
    fs::write(&ca_file, &certificate)?;
    let collector = MiniAgent::builder()
        .tls((certificate + &key).into_bytes())
        .start()?;

    let client = Client::builder()
        .agent(collector.url())
        .tls(TlsOptions::default().ca_file(&ca_file))
        .build()?;
    let receipt = client.append(Event::new("order 17 placed"))?;
    println!("acknowledged by {}", receipt.wait(TIMEOUT)?.agent);
    let report = client.close(TIMEOUT).wait();
    println!("{} delivered", report.delivered);

    // Without the certificate nothing is sent, and the reason is told.
    let stranger = Client::builder()
        .agent(collector.url())
        .tls(
            TlsOptions::default()
                .ca_file(&ca_file)
                .server_name("elsewhere.example"),
        )
        .build()?;
    let receipt = stranger.append(Event::new("order 18 placed"))?;
    let error = receipt
        .wait(Duration::from_secs(1))
        .expect_err("it is not sent");
    println!("{error}");
    println!("{}", stranger.health());
    let report = stranger.close(Duration::ZERO).wait();
    println!("{} never sent", report.lost.closed);
    fs::remove_file(ca_file)?;
    Ok(())
}
