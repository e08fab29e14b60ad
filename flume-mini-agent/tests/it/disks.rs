//! Scripted faults of a file channel's disk, as clients meet them.

use flume_client::{Backoff, Client, Event};
use flume_mini_agent::config::{AgentConfig, AvroSourceConfig, CollectSinkConfig};
use flume_mini_agent::{Answered, Fault, MiniAgent, StartError};

use crate::support::{APPEND, Client as Raw, LIMIT, batch, file, status};

/// An agent with a file channel whose sink is paused, so that it takes puts only.
struct Durable {
    agent: MiniAgent,
    _directory: tempfile::TempDir,
}

impl Durable {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = AgentConfig::builder("a1")
            .channel("c1", file(directory.path()))
            .source("r1", AvroSourceConfig::new("127.0.0.1", 0), ["c1"])
            .sink("k1", CollectSinkConfig::default(), "c1");
        let agent = MiniAgent::configured(config.build().unwrap()).sinks_paused(true);
        Self {
            agent: agent.start().unwrap(),
            _directory: directory,
        }
    }

    fn size(&self) -> usize {
        self.agent.channel_size("c1").unwrap()
    }

    fn client(&self) -> Client {
        let backoff = Backoff::default()
            .base(std::time::Duration::from_millis(1))
            .cap(std::time::Duration::from_millis(10));
        let client = Client::builder().agent(self.agent.url()).backoff(backoff);
        // The length of a frame is counted below.
        client.event_ids(false).build().unwrap()
    }
}

fn event(number: usize) -> Event {
    Event::new("x").header("id", format!("{number:03}"))
}

/// Sends the event and waits for its acknowledgement.
fn deliver(client: &Client, number: usize) {
    client.append(event(number)).unwrap().wait(LIMIT).unwrap();
}

#[test]
fn after_a_failed_sync_a_batch_is_answered_failed_and_an_event_an_error_until_the_next_start() {
    let mut durable = Durable::start();
    let mut client = Raw::greeted(&durable.agent);
    client.send_bytes(&batch(3, 2));
    client.expect(&status(3, "00"));
    let fault = durable.agent.fault(Fault::FsyncError.times(1));
    for serial in 4..7 {
        client.send_bytes(&batch(serial, 2));
        client.expect(&status(serial, "02"));
    }
    assert_eq!(
        fault.hits().len(),
        1,
        "no sync is tried after one that failed"
    );
    client.send(APPEND);
    // Up to the length of the error: what was answered is in the log before it is written.
    client.skip(21);
    let answered = durable.agent.batches().last().unwrap().answered.clone();
    let Answered::Error(text) = answered else {
        panic!("{answered:?}");
    };
    assert!(text.contains("out of order"), "{text}");
    durable.agent.restart().unwrap();
    let mut client = Raw::greeted(&durable.agent);
    client.send(APPEND);
    client.expect(&status(1, "00"));
    assert!(durable.size() >= 3, "what was answered OK");
}

#[test]
fn a_client_loses_nothing_to_a_failed_sync() {
    let mut durable = Durable::start();
    let client = durable.client();
    for number in 0..5 {
        deliver(&client, number);
    }
    let fault = durable.agent.fault(Fault::FsyncError.times(1));
    let refused = client.append(event(5)).unwrap();
    assert!(fault.wait_hits(1, LIMIT));
    durable
        .agent
        .wait_until(LIMIT, |stats| stats.batches_failed > 1)
        .unwrap();
    assert!(
        refused.wait(std::time::Duration::ZERO).is_err(),
        "not acknowledged"
    );
    durable.agent.restart().unwrap();
    refused.wait(LIMIT).unwrap();
    durable.agent.resume_sink();
    durable.agent.wait_for(6, LIMIT).unwrap();
    let sent: Vec<_> = (0..6).map(event).collect();
    durable.agent.ledger("id").assert_no_loss(&sent);
}

#[test]
fn a_start_on_a_disk_that_still_fails_says_so_and_the_next_one_finds_everything() {
    let mut durable = Durable::start();
    deliver(&durable.client(), 0);
    let fault = durable.agent.fault(Fault::FsyncError.times(2));
    let mut client = Raw::greeted(&durable.agent);
    client.send_bytes(&batch(3, 2));
    client.expect(&status(3, "02"));
    let error = durable.agent.restart().unwrap_err();
    assert!(matches!(error, StartError::Channel { .. }), "{error}");
    assert_eq!(durable.size(), 0, "nothing can be taken from a closed log");
    assert_eq!(fault.hits().len(), 2);
    durable.agent.start_again().unwrap();
    assert!(durable.size() >= 1);
}

#[test]
fn a_full_disk_refuses_a_batch_and_the_channel_works_on() {
    let durable = Durable::start();
    let client = durable.client();
    deliver(&client, 0);
    let fault = durable.agent.fault(Fault::DiskFull.times(3));
    deliver(&client, 1);
    assert_eq!(fault.hits().len(), 3);
    let answered: Vec<_> = durable
        .agent
        .batches()
        .into_iter()
        .map(|it| it.answered)
        .collect();
    assert_eq!(
        answered,
        [
            Answered::Ok,
            Answered::Failed,
            Answered::Failed,
            Answered::Failed,
            Answered::Ok
        ]
    );
    assert_eq!(durable.size(), 2, "what was refused is not stored");
    durable.agent.resume_sink();
    durable.agent.wait_for(2, LIMIT).unwrap();
    let ledger = durable.agent.ledger("id");
    ledger.assert_no_loss(&[event(0), event(1)]);
    assert_eq!(ledger.received(), 2);
}

#[test]
fn a_power_loss_with_any_torn_tail_keeps_what_was_acknowledged_and_cuts_the_tail() {
    let mut durable = Durable::start();
    let client = durable.client();
    deliver(&client, 0);
    // 48 bytes of a frame's head, and 4 that say where the event ends.
    let record = 52 + event(0).as_datum().len();
    for torn_bytes in 0..=record {
        let before = durable.size();
        let fault = durable
            .agent
            .fault(Fault::PowerLoss { torn_bytes }.times(1));
        let lost = client.append(event(torn_bytes + 1)).unwrap();
        assert!(fault.wait_hits(1, LIMIT));
        durable.agent.stop();
        let acknowledged = lost.wait(std::time::Duration::ZERO);
        assert!(acknowledged.is_err(), "{torn_bytes} bytes");
        durable.agent.start_again().unwrap();
        lost.wait(LIMIT).unwrap();
        // A record that is whole is not torn, although nobody was told of it.
        let kept = usize::from(torn_bytes == record);
        assert_eq!(durable.size() - before, 1 + kept, "{torn_bytes} bytes");
    }
    let sent: Vec<_> = (0..durable.size() - 1).map(event).collect();
    durable.agent.resume_sink();
    durable.agent.wait_for(sent.len() + 1, LIMIT).unwrap();
    durable.agent.ledger("id").assert_no_loss(&sent);
}
