//! Another configuration for a running agent: what stays, what goes, and what a bad one leaves.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use flume_client::Event;
use flume_mini_agent::config::{
    AgentConfig, AgentConfigBuilder, AvroSourceConfig, ChannelKind, CollectSinkConfig,
    FileRollSinkConfig, NullSinkConfig,
};
use flume_mini_agent::{Fault, MiniAgent, ReconfigureError, Reconfigured};
use tokio::net::TcpSocket;

use crate::support::{Client, LIMIT, batch, bodies, file, memory, put, status};

fn file_roll(directory: impl Into<std::path::PathBuf>) -> FileRollSinkConfig {
    let mut config = FileRollSinkConfig::new(directory);
    config.batch_size = 1;
    config
}

/// A source `r1` on a free port and a channel `c1`, and nothing that empties it.
fn stuck(channel: impl Into<ChannelKind>) -> AgentConfigBuilder {
    AgentConfig::builder("a1").channel("c1", channel).source(
        "r1",
        AvroSourceConfig::new("127.0.0.1", 0),
        ["c1"],
    )
}

/// The same with a collect sink.
fn flowing(channel: impl Into<ChannelKind>) -> AgentConfigBuilder {
    let mut collect = CollectSinkConfig::default();
    collect.batch_size = 1;
    stuck(channel).sink("k1", collect, "c1")
}

fn start(config: AgentConfigBuilder) -> MiniAgent {
    MiniAgent::configured(config.build().unwrap())
        .start()
        .unwrap()
}

fn reload(agent: &MiniAgent, config: AgentConfigBuilder) -> Reconfigured {
    agent.reconfigure(config.build().unwrap()).unwrap()
}

#[test]
fn a_memory_channel_of_the_same_name_keeps_its_events_and_its_source_its_free_port() {
    let agent = start(stuck(memory(10)));
    let address = agent.addr();
    put(address, 3);
    let done = reload(&agent, flowing(memory(20)));
    assert!(done.changed && done.lost.is_empty(), "{done:?}");
    assert_eq!(bodies(&agent, 3), ["x"; 3]);
    assert_eq!(agent.addr(), address);
    put(address, 1);
    assert_eq!(bodies(&agent, 4).len(), 4);
}

#[test]
fn a_memory_channel_that_was_removed_and_is_added_again_is_empty_and_the_loss_is_told() {
    let agent = start(stuck(memory(10)));
    put(agent.addr(), 3);
    let other = AgentConfig::builder("a1").channel("c2", memory(10)).source(
        "r1",
        AvroSourceConfig::new("127.0.0.1", 0),
        ["c2"],
    );
    let done = reload(&agent, other);
    assert_eq!(done.lost, [("c1".to_owned(), 3)]);
    reload(&agent, stuck(memory(10)));
    assert_eq!(agent.channel_size("c1"), Some(0));
    assert_eq!(agent.channel_size("c2"), None);
}

#[test]
fn a_channel_of_another_type_starts_empty_whatever_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let agent = start(stuck(memory(10)));
    put(agent.addr(), 3);
    let done = reload(&agent, stuck(file(directory.path())));
    assert_eq!(done.lost, [("c1".to_owned(), 3)]);
    assert_eq!(agent.channel_size("c1"), Some(0));
}

#[test]
fn a_smaller_capacity_counts_only_if_the_events_fit() {
    let agent = start(stuck(memory(10)));
    put(agent.addr(), 6);
    reload(&agent, stuck(memory(5)));
    assert_eq!(agent.channel_size("c1"), Some(6));
    let capacity = |capacity: usize| {
        let expected = format!("\"ChannelCapacity\":\"{capacity}\"");
        agent.metrics_json().contains(&expected)
    };
    assert!(capacity(10), "{}", agent.metrics_json());
    reload(&agent, stuck(memory(8)));
    assert!(capacity(8), "{}", agent.metrics_json());
    reload(&agent, stuck(memory(12)));
    assert!(capacity(12), "{}", agent.metrics_json());
    put(agent.addr(), 6);
    assert_eq!(agent.channel_size("c1"), Some(12));
}

#[test]
fn a_file_channel_is_closed_and_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let agent = start(stuck(file(directory.path())));
    put(agent.addr(), 3);
    reload(&agent, flowing(file(directory.path())));
    assert_eq!(bodies(&agent, 3), ["x"; 3]);
    drop(agent);
    let again = start(stuck(file(directory.path())));
    assert_eq!(again.channel_size("c1"), Some(0));
}

#[test]
fn connections_are_closed_and_what_was_received_faults_and_requests_stay() {
    let agent = start(flowing(memory(10)));
    put(agent.addr(), 2);
    agent.wait_for(2, LIMIT).unwrap();
    let _guard = agent.fault(Fault::Failed);
    let mut client = Client::greeted(&agent);
    reload(&agent, flowing(memory(11)));
    client.expect_closed();
    assert_eq!(agent.received().len(), 2);
    let mut client = Client::greeted(&agent);
    client.send_bytes(&batch(1, 1));
    client.expect(&status(1, "02"));
    assert_eq!(agent.batches().len(), 2);
}

/// Two writers send for as long as the agent changes between two capacities.
fn check_nothing_acknowledged_is_lost(channel: impl Fn(usize) -> ChannelKind) {
    const RELOADS: usize = 8;
    let agent = start(flowing(channel(1_000)));
    let client = agent.client().build().unwrap();
    let stop = AtomicBool::new(false);
    let (acknowledge, acknowledgements) = mpsc::channel();
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let (client, stop, acknowledge) = (&client, &stop, acknowledge.clone());
            scope.spawn(move || {
                for number in (0..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                    let event = Event::new("x").header("id", format!("{writer}-{number}"));
                    client.append(event.clone()).unwrap().wait(LIMIT).unwrap();
                    acknowledge.send(event).unwrap();
                }
            });
        }
        drop(acknowledge);
        let mut acknowledged = Vec::new();
        for round in 0..RELOADS {
            for _ in 0..20 {
                acknowledged.push(acknowledgements.recv_timeout(LIMIT).unwrap());
            }
            let capacity = 1_000 + (round + 1) % 2;
            assert!(reload(&agent, flowing(channel(capacity))).changed);
        }
        stop.store(true, Ordering::Relaxed);
        acknowledged.extend(acknowledgements);
        agent
            .wait_until(LIMIT, |stats| stats.channel_size == 0)
            .unwrap();
        agent.pause_sink();
        agent.ledger("id").assert_no_loss(&acknowledged);
    });
}

#[test]
fn reloads_under_load_lose_nothing_that_was_acknowledged() {
    check_nothing_acknowledged_is_lost(|capacity| memory(capacity).into());
    let directory = tempfile::tempdir().unwrap();
    check_nothing_acknowledged_is_lost(|capacity| {
        let mut config = file(directory.path());
        config.capacity = capacity;
        config.transaction_capacity = 100;
        config.into()
    });
}

#[test]
fn an_equal_configuration_changes_nothing() {
    let agent = start(flowing(memory(10)));
    let mut client = Client::greeted(&agent);
    assert_eq!(reload(&agent, flowing(memory(10))), Reconfigured::default());
    client.expect_usable();
}

#[test]
fn a_port_of_its_own_under_another_name_is_not_taken() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let at = |host: &str| {
        AgentConfig::builder("a1").channel("c1", memory(10)).source(
            "r1",
            AvroSourceConfig::new(host, port),
            ["c1"],
        )
    };
    let agent = start(at("127.0.0.1"));
    put(agent.addr(), 3);
    reload(&agent, at("0.0.0.0"));
    assert_eq!(agent.addr().to_string(), format!("0.0.0.0:{port}"));
    put(SocketAddr::from(([127, 0, 0, 1], port)), 1);
    reload(&agent, at("127.0.0.1"));
    assert_eq!(agent.channel_size("c1"), Some(4));
}

#[test]
fn a_taken_port_is_told_before_anything_is_stopped() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    let agent = start(stuck(memory(10)));
    let mut client = Client::greeted(&agent);
    put(agent.addr(), 3);
    let config = stuck(memory(10)).source(
        "r2",
        AvroSourceConfig::new("127.0.0.1", taken.port()),
        ["c1"],
    );
    let error = agent.reconfigure(config.build().unwrap()).unwrap_err();
    assert!(matches!(error, ReconfigureError::Refused { .. }));
    let text = error.to_string();
    assert!(
        text.contains(&format!("cannot listen on {taken}")),
        "{text}"
    );
    assert!(
        text.ends_with("the agent goes on with the configuration it had"),
        "{text}"
    );
    client.expect_usable();
    assert_eq!(agent.channel_size("c1"), Some(3));
}

#[test]
fn after_parts_that_cannot_start_the_former_ones_run_again_with_their_events() {
    let directory = tempfile::tempdir().unwrap();
    // Bound, so that no other process gets it, and nobody listens.
    let kept = TcpSocket::new_v4().unwrap();
    kept.set_reuseaddr(true).unwrap();
    kept.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let free = kept.local_addr().unwrap();
    let two = |builder: AgentConfigBuilder| builder.channel("c2", file(directory.path()));
    let agent =
        start(two(stuck(memory(10))).source("r2", AvroSourceConfig::new("127.0.0.1", 0), ["c2"]));
    let (first, second) = (agent.addr(), agent.addr_of("r2").unwrap());
    put(first, 3);
    put(second, 4);
    let nowhere = file_roll("/nowhere/events");
    let bad = stuck(memory(10))
        .source(
            "r2",
            AvroSourceConfig::new("127.0.0.1", free.port()),
            ["c1"],
        )
        .sink("k1", nowhere, "c1");
    let error = agent.reconfigure(bad.build().unwrap()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("sink k1 cannot start: /nowhere/events"),
        "{error}"
    );
    assert_eq!((agent.addr(), agent.addr_of("r2")), (first, Some(second)));
    assert_eq!(agent.channel_size("c1"), Some(3));
    assert_eq!(agent.channel_size("c2"), Some(4));
    put(first, 1);
    put(second, 1);
    assert!(
        TcpStream::connect(free).is_err(),
        "the new port is let go of"
    );
}

#[test]
fn an_agent_that_cannot_go_back_is_stopped_and_starts_when_it_can() {
    let held = tempfile::tempdir().unwrap();
    let roll = tempfile::tempdir().unwrap();
    let roll_sink = || file_roll(roll.path());
    let config = stuck(memory(10))
        .channel("c2", file(held.path()))
        .sink("k2", roll_sink(), "c2");
    let mut agent = start(config);
    put(agent.addr(), 3);
    // Neither the new nor the former sink has its directory now.
    std::fs::remove_dir_all(roll.path()).unwrap();
    let bad = stuck(memory(10)).sink("k1", roll_sink(), "c1");
    let error = agent.reconfigure(bad.build().unwrap()).unwrap_err();
    assert!(matches!(error, ReconfigureError::Stopped { .. }), "{error}");
    assert!(
        error.to_string().ends_with("the agent is stopped"),
        "{error}"
    );
    assert!(TcpStream::connect(agent.addr()).is_err());
    // Nobody has the channel's directory either.
    drop(start(stuck(file(held.path()))));
    std::fs::create_dir(roll.path()).unwrap();
    agent.start_again().unwrap();
    assert_eq!(agent.channel_size("c1"), Some(3));
    put(agent.addr(), 1);
}

#[test]
fn paused_sinks_stay_paused_and_a_stopped_agent_stays_stopped() {
    let mut agent = start(flowing(memory(10)));
    agent.pause_sink();
    put(agent.addr(), 2);
    reload(&agent, flowing(memory(11)));
    put(agent.addr(), 2);
    assert_eq!(agent.channel_size("c1"), Some(4));
    agent.stop();
    reload(&agent, flowing(memory(12)));
    assert!(TcpStream::connect(agent.addr()).is_err());
    agent.start_again().unwrap();
    assert_eq!(agent.channel_size("c1"), Some(4));
    agent.resume_sink();
    assert_eq!(bodies(&agent, 4).len(), 4);
}

#[test]
fn an_agent_built_without_a_configuration_can_get_one_and_goes_back_if_it_is_bad() {
    let agent = MiniAgent::builder().sink_paused(true).start().unwrap();
    put(agent.addr(), 3);
    let bad = stuck(memory(10)).sink("k1", file_roll("/nowhere/events"), "c1");
    agent.reconfigure(bad.build().unwrap()).unwrap_err();
    put(agent.addr(), 1);
    let mut null = NullSinkConfig::default();
    null.batch_size = 1;
    reload(&agent, stuck(memory(10)).sink("k1", null, "c1"));
    assert_eq!(agent.channel_size("c1"), Some(4));
    agent.resume_sink();
    agent
        .wait_until(LIMIT, |stats| stats.events_drained == 4)
        .unwrap();
}
