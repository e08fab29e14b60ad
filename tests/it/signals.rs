//! Signals that the host never asked for.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flume_client::Event;
use signal_hook::consts::SIGPIPE;

use crate::support::{Agent, GOOD, Greeting, PATIENCE, alone, client_of, greets};

#[test]
fn an_agent_that_closes_during_a_large_write_raises_no_signal() {
    let test = "signals::an_agent_that_closes_during_a_large_write_raises_no_signal";
    alone(test, || {
        let raised = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGPIPE, raised.clone()).unwrap();
        let mut scripts = vec![greets(Greeting::ThenClosed); 40];
        scripts.push(GOOD);
        let agent = Agent::scripted(scripts);
        let client = client_of(&[&agent]).linger(Duration::ZERO).build().unwrap();
        let bodies = (0..16).map(|_| vec![b'x'; 512 * 1024]);
        let receipts: Vec<_> = bodies
            .map(|body| client.append(Event::new(body)).unwrap())
            .collect();
        for receipt in receipts {
            receipt.wait(PATIENCE).unwrap();
        }
        assert!(client.stats().agents[0].failures >= 40);
        assert!(!raised.load(Ordering::Relaxed), "SIGPIPE");
        // It would have been noticed.
        let (reader, mut writer) = io::pipe().unwrap();
        drop(reader);
        writer.write_all(b"x").unwrap_err();
        assert!(raised.load(Ordering::Relaxed), "no SIGPIPE at all");
    });
}
