//! Events of several levels by one client.

use std::collections::BTreeMap;
use std::time::Duration;

use flume_client::{AppendError, BuildError, Client, Event, Reliability, WindowMode};
use flume_tests::wait_until;
use tempfile::TempDir;

use crate::support::{
    Agent, GOOD, HOUR, PATIENCE, append_all, assert_balanced, client_of, event, give_up, number_of,
};

const LEVELS: [Reliability; 3] = [
    Reliability::BestEffort,
    Reliability::InMemory,
    Reliability::EndToEnd,
];

/// Sends events of which one in `share` is of another level, and looks at what the agent got.
fn check_mixed(other: Reliability, share: u64) {
    // As many of each level as fill their batches: nothing but a full batch leaves.
    const COUNT: u64 = 30_000;
    let directory = tempfile::tempdir().unwrap();
    let agent = Agent::good();
    let client = client_of(&[&agent]).spool(directory.path()).linger(HOUR);
    let client = client.window(WindowMode::Ordered).build().unwrap();
    let beside = client.at(other).unwrap();
    let is_beside = |number: u64| number.is_multiple_of(share);
    for number in 0..COUNT {
        let by = if is_beside(number) { &beside } else { &client };
        by.append_within(event(number), PATIENCE).unwrap();
    }
    let is_delivered = || client.stats().delivered == COUNT;
    wait_until("all to be delivered", PATIENCE, is_delivered).unwrap();
    let requests = agent.requests();
    let (of_beside, of_client): (Vec<_>, Vec<_>) = requests.iter().partition(|request| {
        let levels = request.events.iter().map(|it| is_beside(number_of(it)));
        let levels: Vec<bool> = levels.collect();
        assert!(
            levels.iter().all(|it| *it == levels[0]),
            "a batch mixes levels"
        );
        levels[0]
    });
    for (all, wanted) in [(of_beside, true), (of_client, false)] {
        let got = all.iter().flat_map(|it| it.events.iter().map(number_of));
        let sent = (0..COUNT).filter(|it| is_beside(*it) == wanted);
        assert!(got.eq(sent.clone()), "each once, in order");
        assert!(all.iter().all(|it| it.events.len() == 100));
    }
    let stats = client.stats();
    let levels: BTreeMap<String, u64> = stats
        .levels
        .iter()
        .map(|it| (format!("{:?}", it.level), it.delivered))
        .collect();
    let beside = COUNT.div_ceil(share);
    let told = BTreeMap::from([
        (format!("{other:?}"), beside),
        ("EndToEnd".into(), COUNT - beside),
    ]);
    assert_eq!(levels, told);
}

#[test]
fn one_event_in_a_hundred_of_another_level_leaves_batches_full_and_in_order() {
    check_mixed(Reliability::BestEffort, 100);
    check_mixed(Reliability::InMemory, 100);
}

#[test]
fn every_other_event_of_another_level_leaves_batches_full_and_in_order() {
    check_mixed(Reliability::BestEffort, 2);
    check_mixed(Reliability::InMemory, 2);
}

#[test]
fn end_to_end_beside_a_client_without_a_spool_is_an_error_that_says_what_is_missing() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).build().unwrap();
    let error = client.at(Reliability::EndToEnd).unwrap_err();
    assert!(matches!(error, BuildError::NoSpool), "{error}");
    assert!(error.to_string().contains("spool(\"DIRECTORY\")"));
    assert_eq!(client.reliability(), Reliability::InMemory);
    let other = client.at(Reliability::BestEffort).unwrap();
    assert_eq!(other.reliability(), Reliability::BestEffort);
}

#[test]
fn what_keeps_less_gives_way_first_when_the_buffer_fills() {
    const BUFFER: usize = 400_000;
    let mut agent = Agent::good();
    agent.stop();
    let builder = client_of(&[&agent]).event_bytes(1_000);
    let client = builder.buffer_bytes(BUFFER).build().unwrap();
    let beside = client.at(Reliability::BestEffort).unwrap();
    let append = |to: &Client| to.append(Event::new([0; 900]));
    let is_full = |error: &AppendError| error.is_retryable();
    while client.fill().percent() < 49 {
        append(&client).unwrap();
    }
    assert!(beside.fill().percent() >= 97);
    assert!(
        !beside.ready(100_000).wait(Duration::ZERO),
        "there is no room for it"
    );
    while client.fill().percent() < 51 {
        append(&client).unwrap();
    }
    assert!(is_full(&append(&beside).unwrap_err()));
    assert_eq!(beside.fill().percent(), 100);
    append(&client).unwrap();
    while append(&client).is_ok() {}
    assert!(client.fill().percent() >= 99);
    assert_balanced(&client.stats());
    agent.start_again([GOOD]);
    assert!(beside.ready(10_000).wait(PATIENCE), "there is room again");
    assert!(client.close(PATIENCE).wait().is_complete());
}

/// A client with a spool, whose agent is not there yet.
fn without_agent() -> (TempDir, Agent, Client) {
    let directory = tempfile::tempdir().unwrap();
    let mut agent = Agent::good();
    agent.stop();
    let client = client_of(&[&agent]).spool(directory.path()).build();
    (directory, agent, client.unwrap())
}

#[test]
fn what_best_effort_loses_costs_no_other_level_an_event() {
    let (_directory, mut agent, client) = without_agent();
    let handles = LEVELS.map(|level| client.at(level).unwrap());
    let receipts = handles
        .iter()
        .zip(0..)
        .map(|(handle, thousand)| append_all(handle, thousand * 1_000..thousand * 1_000 + 10));
    let receipts: Vec<_> = receipts.collect();
    for receipt in &receipts[0] {
        receipt.wait(PATIENCE).unwrap_err();
    }
    agent.start_again([GOOD]);
    for receipt in receipts[1..].iter().flatten() {
        receipt.wait(PATIENCE).unwrap();
    }
    let stats = client.stats();
    let lost = LEVELS.map(|level| stats.level(level).lost.unreachable);
    let delivered = LEVELS.map(|level| stats.level(level).delivered);
    assert_eq!((lost, delivered), ([10, 0, 0], [0, 10, 10]));
    assert_balanced(&stats);
}

#[test]
fn at_the_end_what_is_in_memory_is_given_up_and_the_disk_keeps_its_own() {
    let (directory, mut agent, client) = without_agent();
    let memory = client.at(Reliability::InMemory).unwrap();
    append_all(&client, 0..10);
    let in_memory = append_all(&memory, 100..120);
    let report = give_up(&client, Duration::ZERO);
    assert_eq!(
        (report.on_disk, report.lost.total(), report.pending),
        (10, 20, 0)
    );
    for receipt in in_memory {
        receipt.wait(PATIENCE).unwrap_err();
    }
    agent.start_again([GOOD]);
    let next = client_of(&[&agent])
        .spool(directory.path())
        .build()
        .unwrap();
    assert!(next.close(PATIENCE).wait().is_complete());
    assert_eq!(agent.stored(), (0..10).collect::<Vec<_>>());
}

#[test]
fn events_of_a_backlog_hold_up_no_live_event_of_another_level() {
    let (directory, mut agent, first) = without_agent();
    append_all(&first, 0..20_000);
    let report = give_up(&first, Duration::ZERO);
    assert_eq!(report.on_disk, 20_000);
    agent.start_again([GOOD]);
    let builder = client_of(&[&agent]).spool(directory.path());
    let next = builder.window(WindowMode::Ordered).build().unwrap();
    let live = next.at(Reliability::InMemory).unwrap();
    live.append(event(1_000_000))
        .unwrap()
        .wait(PATIENCE)
        .unwrap();
    assert!(next.close(PATIENCE).wait().is_complete());
    let stored = agent.stored();
    let place = stored.iter().position(|it| *it == 1_000_000).unwrap();
    assert!(place < 10_000, "it came after {place} others");
}

#[test]
fn events_of_all_levels_have_names_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let agent = Agent::good();
    let builder = client_of(&[&agent]).spool(directory.path()).event_ids(true);
    let client = builder.build().unwrap();
    let mut names = Vec::new();
    for level in LEVELS {
        for receipt in append_all(&client.at(level).unwrap(), 0..10) {
            names.push(receipt.guid().unwrap());
        }
    }
    assert!(client.close(PATIENCE).wait().is_complete());
    let requests = agent.requests();
    let events = requests.iter().flat_map(|request| &request.events);
    let got = events.map(|event| {
        let [(key, name)] = &event.headers[..] else {
            unreachable!("one header: {event:?}");
        };
        assert_eq!(key, "guid");
        name.clone()
    });
    let mut got: Vec<String> = got.collect();
    names.sort();
    got.sort();
    assert_eq!(got, names);
    got.dedup();
    assert_eq!(got.len(), 30, "no name is given twice");
}
