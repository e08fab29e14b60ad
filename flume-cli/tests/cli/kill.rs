//! `kill -9` of `flume agent`: what its channels keep, and what they lose.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use flume_client::{Client, Event};
use flume_mini_agent::MiniAgent;
use flume_mini_agent::config::AgentConfig;
use flume_tests::Port;

use crate::support::PATIENCE;
use crate::support::configured::{PropertyFile, file_channel};

/// A source `r1` at this port, the channel and no sink.
fn stuck(port: u16, channel: &str) -> String {
    format!(
        "a1.sources = r1\n\
         a1.channels = c1\n\
         a1.sources.r1.type = avro\n\
         a1.sources.r1.bind = 127.0.0.1\n\
         a1.sources.r1.port = {port}\n\
         a1.sources.r1.channels = c1\n\
         {channel}"
    )
}

/// All events of a channel that nobody has open, by their header `id`.
fn ids(properties: &str) -> BTreeSet<String> {
    let sink = "a1.sinks = k1\na1.sinks.k1.type = collect\na1.sinks.k1.channel = c1\n";
    let text = format!("{properties}{sink}");
    let config = AgentConfig::reader("a1").read(&text).unwrap().config;
    let mut agent = MiniAgent::configured(config).start().unwrap();
    assert_eq!(agent.drain(PATIENCE), []);
    let events = agent.received();
    let id = |event: &flume_mini_agent::Received| event.header_value("id").unwrap().to_owned();
    events.iter().map(id).collect()
}

#[test]
fn every_event_acknowledged_under_load_is_there_after_kills() {
    const KILLS: usize = 3;
    let port = Port::reserve();
    let address = port.addr();
    let directory = tempfile::tempdir().unwrap();
    let properties = stuck(address.port(), &file_channel(directory.path()));
    let place = PropertyFile::new(&properties);
    let mut agent = place.start(&["--no-reload-conf"]);
    let client = Client::builder().agent(agent.url("r1")).build().unwrap();
    let stop = AtomicBool::new(false);
    let (acknowledge, acknowledgements) = mpsc::channel();
    let mut acknowledged = BTreeSet::new();
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let (client, stop, acknowledge) = (&client, &stop, acknowledge.clone());
            scope.spawn(move || {
                for batch in (0..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                    let ids = (0..50).map(|at| format!("{writer}-{batch}-{at}"));
                    let append = |id: String| {
                        let event = Event::new("x").header("id", &id);
                        (client.append(event).unwrap(), id)
                    };
                    for (receipt, id) in ids.map(append).collect::<Vec<_>>() {
                        receipt.wait(PATIENCE).unwrap();
                        acknowledge.send(id).unwrap();
                    }
                }
            });
        }
        drop(acknowledge);
        for _ in 0..KILLS {
            let more = acknowledged.len() + 500;
            while acknowledged.len() < more {
                acknowledged.insert(acknowledgements.recv_timeout(PATIENCE).unwrap());
            }
            let pid = agent.running.id();
            agent.running.kill();
            assert!(TcpStream::connect(address).is_err());
            agent = place.start(&["--no-reload-conf"]);
            assert_ne!(agent.running.id(), pid);
            assert_eq!(agent.url("r1"), port.url());
        }
        stop.store(true, Ordering::Relaxed);
        acknowledged.extend(acknowledgements);
        agent.running.kill();
    });
    let stored = ids(&properties);
    let lost: Vec<_> = acknowledged.difference(&stored).collect();
    let all = acknowledged.len();
    assert!(lost.is_empty(), "{} of {all}: {lost:?}", lost.len());
}

#[test]
fn a_memory_channel_loses_what_it_has_with_a_kill() {
    let port = Port::reserve();
    let properties = stuck(port.addr().port(), "a1.channels.c1.type = memory\n");
    let place = PropertyFile::new(&properties);
    let client = Client::builder().agent(port.url()).build().unwrap();
    for _ in 0..2 {
        let agent = place.start(&["--no-reload-conf"]);
        // The default capacity, so this is all that there is room for.
        let events = (0..100).map(|_| Event::new("x")).collect();
        for receipt in client.append_batch(events).unwrap() {
            receipt.wait(PATIENCE).unwrap();
        }
        agent.running.kill();
    }
}
