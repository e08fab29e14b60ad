//! An agent in a process of its own: killed, terminated, started again.

use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use flume_client::Event;
use flume_mini_agent::config::AgentConfig;
use flume_mini_agent::{MiniAgent, MiniAgentProcess, MiniAgentProcessBuilder, ProcessError};

use crate::support::LIMIT;

/// The other process of the tests here.
#[test]
fn mini_agent() {
    MiniAgentProcess::host();
}

fn properties(channel: &str) -> String {
    format!(
        "a1.sources = r1\n\
         a1.channels = c1\n\
         a1.sources.r1.type = avro\n\
         a1.sources.r1.bind = 127.0.0.1\n\
         a1.sources.r1.port = 0\n\
         a1.sources.r1.channels = c1\n{channel}"
    )
}

fn file(directory: &Path) -> String {
    let directory = directory.display();
    properties(&format!(
        "a1.channels.c1.type = file\n\
         a1.channels.c1.dataDirs = {directory}\n\
         a1.channels.c1.checkpointDir = {directory}\n\
         a1.channels.c1.minimumRequiredSpace = 1048576\n"
    ))
}

fn builder(properties: impl Into<String>) -> MiniAgentProcessBuilder {
    MiniAgentProcess::builder("a1", properties).test("process::mini_agent")
}

/// All events of a channel that nobody has open, by their header `id`.
fn ids(properties: &str) -> BTreeSet<String> {
    let sink = "a1.sinks = k1\na1.sinks.k1.type = collect\na1.sinks.k1.channel = c1\n";
    let text = format!("{properties}{sink}");
    let config = AgentConfig::reader("a1").read(&text).unwrap().config;
    let mut agent = MiniAgent::configured(config).start().unwrap();
    agent
        .wait_until(LIMIT, |stats| stats.channel_size == 0)
        .unwrap();
    agent.drain(LIMIT);
    let events = agent.received();
    events
        .iter()
        .map(|event| event.header_value("id").unwrap().to_owned())
        .collect()
}

#[test]
fn every_event_acknowledged_under_load_is_there_after_kills() {
    const KILLS: usize = 3;
    let directory = tempfile::tempdir().unwrap();
    let properties = file(directory.path());
    let mut agent = builder(properties.as_str()).start().unwrap();
    let (url, address) = (agent.url(), agent.addr());
    let client = agent.client().build().unwrap();
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
                        receipt.wait(LIMIT).unwrap();
                        acknowledge.send(id).unwrap();
                    }
                }
            });
        }
        drop(acknowledge);
        for _ in 0..KILLS {
            let more = acknowledged.len() + 500;
            while acknowledged.len() < more {
                acknowledged.insert(acknowledgements.recv_timeout(LIMIT).unwrap());
            }
            let pid = agent.id().unwrap();
            agent.kill();
            assert_eq!(agent.id(), None);
            assert!(TcpStream::connect(address).is_err());
            agent.start_again().unwrap();
            assert_ne!(agent.id(), Some(pid));
            assert_eq!((agent.url(), agent.addr()), (url.clone(), address));
        }
        stop.store(true, Ordering::Relaxed);
        acknowledged.extend(acknowledgements);
    });
    agent.kill();
    let stored = ids(&properties);
    let lost: Vec<_> = acknowledged.difference(&stored).collect();
    let all = acknowledged.len();
    assert!(lost.is_empty(), "{} of {all}: {lost:?}", lost.len());
}

#[test]
fn a_memory_channel_loses_what_it_has_with_a_kill() {
    let properties = properties("a1.channels.c1.type = memory\n");
    let mut agent = builder(properties).start().unwrap();
    let client = agent.client().build().unwrap();
    // The default capacity.
    let fill = || {
        let events = (0..100).map(|_| Event::new("x")).collect();
        let receipts = client.append_batch(events).unwrap();
        receipts
            .iter()
            .for_each(|receipt| drop(receipt.wait(LIMIT).unwrap()));
    };
    fill();
    agent.kill();
    agent.start_again().unwrap();
    fill();
}

#[test]
fn a_termination_is_an_end_in_good_order() {
    let far = MiniAgent::builder().start().unwrap();
    let sink = format!(
        "a1.channels.c1.type = memory\n\
         a1.sinks = k1\n\
         a1.sinks.k1.type = avro\n\
         a1.sinks.k1.channel = c1\n\
         a1.sinks.k1.hostname = 127.0.0.1\n\
         a1.sinks.k1.port = {}\n",
        far.addr().port()
    );
    let mut agent = builder(properties(&sink)).start().unwrap();
    assert!(matches!(agent.start_again(), Err(ProcessError::Running)));
    let client = agent.client().build().unwrap();
    for number in 0..100 {
        let receipt = client.append(Event::new(format!("{number}")));
        drop(receipt.unwrap());
    }
    assert!(client.flush(LIMIT).wait().is_ok());
    assert!(agent.terminate().unwrap().success());
    assert!(matches!(agent.terminate(), Err(ProcessError::NotRunning)));
    assert_eq!(far.wait_for(100, LIMIT).unwrap().len(), 100);
}

#[test]
fn a_drop_kills_the_process() {
    let agent = builder(properties("a1.channels.c1.type = memory\n"))
        .start()
        .unwrap();
    let address = agent.addr();
    assert_eq!(agent.addr_of("r1"), Some(address));
    drop(TcpStream::connect(address).unwrap());
    drop(agent);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_process_that_cannot_start_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let holder = builder(file(directory.path())).start().unwrap();
    let error = builder(file(directory.path())).start().unwrap_err();
    assert!(matches!(error, ProcessError::Ended { .. }));
    let held = format!(
        "channel c1 cannot start: the directory {} is in use by process {}",
        directory.path().display(),
        holder.id().unwrap()
    );
    assert!(error.to_string().contains(&held), "{error}");
}

#[test]
fn wrong_properties_and_a_taken_port_are_told_without_a_process() {
    let error = builder(properties("a1.channels.c1.type = memroy\n")).start();
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("the properties:7: a1.channels.c1.type"),
        "{error}"
    );
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let properties = properties("a1.channels.c1.type = memory\n");
    let properties = properties.replace("port = 0", &format!("port = {port}"));
    let error = builder(properties).start().unwrap_err().to_string();
    assert!(
        error.contains(&format!("cannot listen on 127.0.0.1:{port}")),
        "{error}"
    );
}

#[test]
fn a_program_that_is_missing_or_is_never_ready_is_told() {
    let memory = || properties("a1.channels.c1.type = memory\n");
    let missing = MiniAgentProcess::builder("a1", memory()).program("/nowhere/flume");
    let error = missing.start().unwrap_err().to_string();
    assert!(
        error.starts_with("cannot start /nowhere/flume: "),
        "{error}"
    );
    assert!(error.contains("FLUME_PROGRAM"), "{error}");
    // A test that is no host: it ends without being an agent.
    let wrong = MiniAgentProcess::builder("a1", memory()).test("process::no_such_test");
    let error = wrong.start().unwrap_err();
    assert!(matches!(error, ProcessError::Ended { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("has to call MiniAgentProcess::host"),
        "{error}"
    );
    let hanging = MiniAgentProcess::builder("a1", memory())
        .test("process::silent")
        .ready_timeout(Duration::from_millis(500));
    let error = hanging.start().unwrap_err();
    assert!(matches!(error, ProcessError::NotReady { .. }), "{error}");
    assert!(error.to_string().contains("I am busy"), "{error}");
}

/// A process that is never ready; without the other test it ends at once.
#[test]
fn silent() {
    if std::env::var_os("FLUME_MINI_AGENT_PROCESS_AGENT").is_some() {
        eprintln!("I am busy");
        let _ = std::io::stdin().lines().count();
    }
}
