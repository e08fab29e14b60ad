//! The mini-agent's file channel on a disk of a few megabytes, which is full.

use std::fs;
use std::net::TcpStream;
use std::path::Path;

use flume_client::Event;
use flume_mini_agent::config::{
    AgentConfig, AgentConfigBuilder, AvroSourceConfig, CollectSinkConfig, FileChannelConfig,
};
use flume_mini_agent::{Answered, MiniAgent};
use flume_tests::raw::{Connection, FAILED, OK, avro_long, hex};

use crate::support::{PATIENCE, on_small_disk, stuff};

const BODY_BYTES: usize = 100_000;

fn config(disk: &Path) -> AgentConfigBuilder {
    let data = disk.join("channel");
    let mut channel = FileChannelConfig::new(&data, &data);
    channel.minimum_required_space = 1 << 20;
    AgentConfig::builder("a1").channel("c1", channel).source(
        "r1",
        AvroSourceConfig::new("127.0.0.1", 0),
        ["c1"],
    )
}

fn start(config: AgentConfigBuilder) -> MiniAgent {
    MiniAgent::configured(config.build().unwrap())
        .start()
        .unwrap()
}

fn size(agent: &MiniAgent) -> usize {
    agent.channel_size("c1").unwrap()
}

/// What `append` of an event without headers, and with a body of [`BODY_BYTES`], is answered.
fn append(client: &mut Connection) -> Vec<String> {
    let body = hex(&[b'x'; BODY_BYTES]);
    client.call(&format!(
        "00 0c617070656e64 00 {}{body}",
        avro_long(BODY_BYTES as u64)
    ))
}

/// Sends events until one is answered FAILED; how many were answered OK.
fn fill(agent: &MiniAgent) -> usize {
    let mut client = Connection::open_and_greet(agent.addr());
    let is_refused = |_: &usize| {
        let answer = append(&mut client);
        assert!(answer == OK || answer == FAILED, "{answer:?}");
        answer == FAILED
    };
    (0..100)
        .find(is_refused)
        .expect("the disk is full before that")
}

fn put_ok(agent: &MiniAgent) {
    let mut client = Connection::open_and_greet(agent.addr());
    assert_eq!(append(&mut client), OK);
}

#[test]
fn puts_are_answered_failed_and_all_that_was_committed_stays() {
    let test = "channel_disk_full::puts_are_answered_failed_and_all_that_was_committed_stays";
    on_small_disk(test, 6, |disk| {
        let agent = start(config(disk));
        let stored = fill(&agent);
        assert!((20..60).contains(&stored), "{stored}");
        let error = agent.channel_error().unwrap();
        assert!(
            error.starts_with("channel c1 did not take the batch: only "),
            "{error}"
        );
        assert!(
            error.contains("make room there, or lower minimumRequiredSpace"),
            "{error}"
        );
        assert_eq!(agent.batches().last().unwrap().answered, Answered::Failed);
        assert_eq!(size(&agent), stored);
        drop(agent);
        let again = start(config(disk));
        assert_eq!(size(&again), stored);
        let mut collect = CollectSinkConfig::default();
        collect.batch_size = 1;
        let draining = config(disk).sink("k1", collect, "c1");
        again.reconfigure(draining.build().unwrap()).unwrap();
        again
            .wait_until(PATIENCE, |stats| stats.events_drained == stored as u64)
            .unwrap();
        assert!(
            again
                .received()
                .iter()
                .all(|event| event.body() == [b'x'; BODY_BYTES])
        );
        // The segments of the log go with their events, soon after, and puts are taken again.
        let client = again.client().build().unwrap();
        let large = Event::new([b'x'; BODY_BYTES]);
        client.append(large).unwrap().wait(PATIENCE).unwrap();
    });
}

#[test]
fn on_a_disk_that_others_filled_nothing_is_lost_and_all_goes_on_when_there_is_room() {
    let test = "channel_disk_full::on_a_disk_that_others_filled_nothing_is_lost_and_all_goes_on_when_there_is_room";
    on_small_disk(test, 6, |disk| {
        let collect = CollectSinkConfig::default();
        let config = || config(disk).sink("k1", collect.clone(), "c1");
        let builder = MiniAgent::configured(config().build().unwrap());
        let agent = builder
            .sinks_paused(true)
            .sink_backoff(std::time::Duration::from_millis(10))
            .start()
            .unwrap();
        for _ in 0..10 {
            put_ok(&agent);
        }
        let stuffing = stuff(disk);
        let mut client = Connection::open_and_greet(agent.addr());
        assert_eq!(append(&mut client), FAILED);
        assert_eq!(size(&agent), 10);
        fs::remove_file(&stuffing).unwrap();
        put_ok(&agent);
        let stuffing = stuff(disk);
        drop(agent);
        // What is there can be opened without any room; a new channel cannot be made.
        let builder = MiniAgent::configured(config().build().unwrap()).sinks_paused(true);
        let on_full_disk = builder.start().unwrap();
        assert_eq!(size(&on_full_disk), 11);
        drop(on_full_disk);
        let data = disk.join("another");
        let another = AgentConfig::builder("a1")
            .channel("c1", FileChannelConfig::new(&data, &data))
            .sink("k1", collect.clone(), "c1");
        let error = MiniAgent::configured(another.build().unwrap()).start();
        let error = error.unwrap_err().to_string();
        assert!(
            error.starts_with("channel c1 cannot start: could not "),
            "{error}"
        );
        assert!(error.contains("No space left on device"), "{error}");
        fs::remove_file(&stuffing).unwrap();
        let agent = start(config());
        agent
            .wait_until(PATIENCE, |stats| stats.events_drained == 11)
            .unwrap();
        put_ok(&agent);
        let client = agent.client().build().unwrap();
        client
            .append(Event::new("small"))
            .unwrap()
            .wait(PATIENCE)
            .unwrap();
        drop(TcpStream::connect(agent.addr()).unwrap());
    });
}
