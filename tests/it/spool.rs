//! End to end: the real client with a spool on a real disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use flume_client::error::{AppendError, Refusal};
use flume_client::spool::{Directory, DirectoryError, Survey};
use flume_client::{
    BuildError, Client, ClientBuilder, DeliveryError, Event, Overflow, SyncMode, WindowMode,
};
use flume_tests::wait_until;
use tempfile::TempDir;

use crate::support::{
    Agent, Answer, GOOD, PATIENCE, Port, Received, answers, append_all, assert_balanced,
    assert_each_once, block_on, client_at, client_of, event, give_up, number_of,
};

/// A client with a spool of little segments.
fn spooled(builder: ClientBuilder, directory: &Path) -> Client {
    try_spooled(builder, directory).unwrap()
}

fn try_spooled(builder: ClientBuilder, directory: &Path) -> Result<Client, BuildError> {
    builder
        .spool(directory)
        .event_ids(true)
        .event_bytes(4096)
        .spool_bytes(8 * 1024 * 1024)
        .spool_free_bytes(0)
        .build()
}

fn nowhere() -> ClientBuilder {
    client_at([Port::reserve().url()])
}

/// Events that wait in a spool that nobody uses.
fn left_in(directory: &Path) -> u64 {
    let directory = Directory::look(directory).unwrap();
    let survey = Survey::take(&directory, |_| Ok(())).unwrap();
    assert!(survey.is_sound(), "{survey:?}");
    survey.events()
}

fn header(event: &Received, key: &str) -> String {
    let mut headers = event.headers.iter();
    headers.find(|(known, _)| known == key).unwrap().1.clone()
}

#[test]
fn events_are_stored_and_then_delivered_and_then_forgotten() {
    let home = TempDir::new().unwrap();
    let agent = Agent::good();
    let client = spooled(client_of(&[&agent]), home.path());
    let receipts = append_all(&client, 0..1000);
    for receipt in &receipts {
        receipt.wait_stored(PATIENCE).unwrap();
        block_on(receipt.stored()).unwrap();
        receipt.wait(PATIENCE).unwrap();
    }
    let stats = client.stats();
    assert_eq!(
        (stats.accepted, stats.delivered, stats.pending),
        (1000, 1000, 0)
    );
    assert_eq!(stats.pending_bytes, 0);
    let spool = stats.spool.unwrap();
    assert_eq!((spool.stored, spool.unstored), (1000, 0));
    assert!(
        spool.commits <= 1000 && spool.trouble.is_none(),
        "{spool:?}"
    );
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(agent.stored(), 1000);
    assert_eq!(left_in(home.path()), 0);
}

#[test]
fn what_one_client_stored_the_next_one_delivers_first() {
    let home = TempDir::new().unwrap();
    let client = spooled(nowhere(), home.path());
    let receipts = append_all(&client, 0..500);
    receipts.last().unwrap().wait_stored(PATIENCE).unwrap();
    let report = give_up(&client, Duration::ZERO);
    assert_eq!(
        (report.on_disk, report.lost.total(), report.pending),
        (500, 0, 0)
    );
    assert_eq!(receipts[0].wait(PATIENCE), Err(DeliveryError::InSpool));
    assert!(DeliveryError::InSpool.is_possibly_stored());
    drop(client);
    assert_eq!(left_in(home.path()), 500);

    let agent = Agent::good();
    let client = spooled(client_of(&[&agent]), home.path());
    assert_eq!(
        (client.stats().recovered, client.stats().pending),
        (500, 500)
    );
    assert_balanced(&client.stats());
    append_all(&client, 500..600);
    client.flush(PATIENCE).wait().unwrap();
    assert_balanced(&client.stats());
    let in_order: Vec<u64> = (0..600).collect();
    assert_eq!(agent.stored(), in_order);
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_eq!(left_in(home.path()), 0);
}

#[test]
fn a_client_goes_on_where_the_last_one_left_a_spool_that_is_drained_wholly_or_in_part() {
    let home = TempDir::new().unwrap();
    let agent = Agent::good();
    drop(spooled(client_of(&[&agent]), home.path()));
    for run in 0..3 {
        // All of it is delivered, and the next client finds nothing.
        let client = spooled(client_of(&[&agent]), home.path());
        assert_eq!(client.stats().recovered, 0);
        append_all(&client, run * 200..run * 200 + 100);
        client.flush(PATIENCE).wait().unwrap();
        assert!(client.close(PATIENCE).wait().is_complete());
        // Nothing of it is, and the next client finds all but what was delivered before.
        let client = spooled(nowhere(), home.path());
        assert_eq!(client.stats().recovered, 0);
        append_all(&client, run * 200 + 100..run * 200 + 200);
        assert_eq!(give_up(&client, Duration::ZERO).on_disk, 100);
        drop(client);
        let client = spooled(client_of(&[&agent]), home.path());
        assert_eq!(client.stats().recovered, 100);
        assert!(client.close(PATIENCE).wait().is_complete());
        assert_balanced(&client.stats());
    }
    let in_order: Vec<u64> = (0..600).collect();
    assert_eq!(agent.stored(), in_order);
}

#[test]
fn a_third_client_finds_what_the_second_did_not_deliver_either() {
    let home = TempDir::new().unwrap();
    for run in 0..3 {
        let client = spooled(nowhere(), home.path());
        assert_eq!(client.stats().recovered, run * 100);
        append_all(&client, run * 100..(run + 1) * 100);
        assert_eq!(give_up(&client, Duration::ZERO).on_disk, (run + 1) * 100);
    }
    let agent = Agent::good();
    let client = spooled(client_of(&[&agent]), home.path());
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(agent.stored(), 300);
}

#[test]
fn a_backlog_larger_than_memory_allows_is_delivered_from_the_disk_in_order() {
    let home = TempDir::new().unwrap();
    let port = Port::reserve();
    let client = try_spooled(client_at([port.url()]).buffer_bytes(64 * 1024), home.path());
    let client = client.unwrap();
    let body = [b'x'; 3000];
    let (mut count, mut waits) = (0, 0);
    loop {
        let event = Event::new(body).header("n", count.to_string());
        match client.append_within(event, Duration::from_millis(300)) {
            Ok(_) => count += 1,
            Err(error) if error.to_string().contains("spool is full") => break,
            // A busy disk takes longer than that.
            Err(error) => {
                waits += 1;
                assert!(error.is_retryable() && waits < 200, "{error}");
            }
        }
    }
    assert!(count > 1500, "{count} events in 8 MiB");
    assert!(client.stats().spool.unwrap().disk_bytes <= 8 * 1024 * 1024);
    assert_eq!(give_up(&client, Duration::ZERO).on_disk, count);
    assert_eq!(left_in(home.path()), count);

    let agent = Agent::good();
    let client = spooled(
        client_of(&[&agent]).window(WindowMode::Ordered),
        home.path(),
    );
    client.flush(PATIENCE).wait().unwrap();
    assert_balanced(&client.stats());
    let delivered = agent
        .requests()
        .into_iter()
        .flat_map(|request| request.events);
    let numbers = delivered.map(|event| header(&event, "n").parse::<u64>().unwrap());
    assert!(numbers.eq(0..count), "in order, each once");
    append_all(&client, 0..1);
    assert!(client.close(PATIENCE).wait().is_complete());
}

#[test]
fn an_event_that_is_delivered_is_forgotten_on_the_disk_before_a_second_has_passed() {
    let home = TempDir::new().unwrap();
    let agent = Agent::good();
    let is_forgotten_soon = |number| {
        let client = spooled(client_of(&[&agent]), home.path());
        let receipts = append_all(&client, number..number + 1);
        receipts[0].wait(PATIENCE).unwrap();
        let limit = Duration::from_millis(500);
        wait_until("an empty spool", limit, || left_in(home.path()) == 0).is_ok()
    };
    // On a busy machine not each time.
    assert!((0..5).any(is_forgotten_soon));
}

#[test]
fn an_event_keeps_its_name_however_often_it_is_sent() {
    let home = TempDir::new().unwrap();
    let client = spooled(nowhere(), home.path());
    append_all(&client, 0..1);
    let _ = give_up(&client, Duration::ZERO);

    let agent = Agent::scripted([answers(Answer::StoredThenClosed)]);
    let client = spooled(client_of(&[&agent]), home.path());
    agent.wait_for_requests(1);
    let _ = give_up(&client, Duration::ZERO);
    let first = header(&agent.requests()[0].events[0], "guid");

    let agent = Agent::good();
    let client = spooled(client_of(&[&agent]), home.path());
    append_all(&client, 1..2);
    assert!(client.close(PATIENCE).wait().is_complete());
    let events: Vec<_> = agent
        .requests()
        .into_iter()
        .flat_map(|it| it.events)
        .collect();
    assert_eq!(header(&events[0], "guid"), first);
    assert_ne!(header(&events[1], "guid"), first);
}

/// Copies what is in a spool that nobody uses.
fn copy_spool(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn events_after_a_copy_or_a_restore_of_a_spool_have_names_of_their_own_and_those_in_it_keep_theirs()
{
    let home = TempDir::new().unwrap();
    let place = |name: &str| home.path().join(name);
    let backup = place("backup");
    let client = spooled(nowhere(), &place("prod"));
    append_all(&client, 0..3);
    assert_eq!(give_up(&client, Duration::ZERO).on_disk, 3);
    drop(client);
    copy_spool(&place("prod"), &backup);
    copy_spool(&backup, &place("clone"));

    let agent = Agent::good();
    let deliver = |name: &str, numbers| {
        let client = spooled(client_of(&[&agent]), &place(name));
        append_all(&client, numbers);
        assert!(client.close(PATIENCE).wait().is_complete());
    };
    deliver("prod", 10..13);
    deliver("clone", 20..23);
    copy_spool(&backup, &place("prod"));
    deliver("prod", 30..33);

    let mut names = BTreeMap::<String, BTreeSet<u64>>::new();
    let events = agent.requests().into_iter().flat_map(|it| it.events);
    for event in events {
        let name = names.entry(header(&event, "guid")).or_default();
        name.insert(number_of(&event));
    }
    assert_eq!(names.len(), 12, "{names:?}");
    let mut named: Vec<u64> = names.into_values().flatten().collect();
    named.sort_unstable();
    assert_eq!(named, [0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32]);
}

#[test]
fn clients_that_share_a_directory_have_places_of_their_own_and_the_next_one_inherits_them() {
    let home = TempDir::new().unwrap();
    let clients: Vec<Client> = (0..3).map(|_| spooled(nowhere(), home.path())).collect();
    for (client, number) in clients.iter().zip(0..) {
        append_all(client, number * 100..(number + 1) * 100);
        assert_eq!(client.stats().recovered, 0);
    }
    // Not always `process-3`: another client may be looking whether somebody left that behind.
    let third = clients[2].stats().spool.unwrap().directory;
    for client in &clients {
        // One that looks late may already have inherited what an earlier one left.
        let inherited = give_up(client, Duration::ZERO).on_disk - 100;
        assert_eq!(inherited, client.stats().recovered);
    }
    drop(clients);
    assert_eq!((left_in(home.path()), left_in(&third)), (100, 100));

    let agent = Agent::good();
    let client = spooled(client_of(&[&agent]), home.path());
    agent.wait_for("all events", |agent| {
        (agent.stored().len() >= 300).then_some(())
    });
    client.flush(PATIENCE).wait().unwrap();
    assert_eq!(client.stats().recovered, 300);
    assert_balanced(&client.stats());
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(agent.stored(), 300);
    assert_eq!((left_in(home.path()), left_in(&third)), (0, 0));
    let events = agent.requests().into_iter().flat_map(|it| it.events);
    let owners: BTreeSet<String> = events
        .map(|event| header(&event, "guid")[..16].to_owned())
        .collect();
    assert_eq!(owners.len(), 3, "each event keeps the name it had");
}

#[test]
fn a_spool_that_is_not_shared_is_the_directory_itself_or_nothing() {
    let home = TempDir::new().unwrap();
    let clients: Vec<Client> = (0..2).map(|_| spooled(nowhere(), home.path())).collect();
    for client in &clients {
        append_all(client, 0..100);
    }
    let second = clients[1].stats().spool.unwrap().directory;
    let agent = Agent::good();
    let alone = || client_of(&[&agent]).spool_shared(false);
    let refused = try_spooled(alone(), home.path()).unwrap_err();
    let holder = DirectoryError::Locked {
        directory: home.path().to_owned(),
        holder: Directory::holder(home.path()).unwrap().unwrap(),
    };
    assert_eq!(refused.to_string(), holder.to_string());
    for client in clients {
        assert_eq!(give_up(&client, Duration::ZERO).on_disk, 100);
    }

    let client = spooled(alone(), home.path());
    // Whoever takes over begins to before the first commit.
    let receipt = client.append(event(100)).unwrap();
    receipt.wait_stored(PATIENCE).unwrap();
    assert_eq!(client.stats().recovered, 100);
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(agent.stored(), 101);
    assert_eq!((left_in(home.path()), left_in(&second)), (0, 100));
}

#[test]
fn health_tells_that_no_agent_takes_what_waits_and_that_one_does_again() {
    let home = TempDir::new().unwrap();
    let mut agent = Agent::good();
    agent.stop();
    let client = spooled(client_of(&[&agent]), home.path());
    assert!(client.health().is_good());
    let receipt = client.append(event(0)).unwrap();
    wait_until("a problem", PATIENCE, || !client.health().is_good()).unwrap();
    let told = client.health().to_string();
    assert!(told.contains("no agent takes the 1 events"), "{told}");
    assert!(told.contains("refused"), "{told}");
    agent.start_again([GOOD]);
    receipt.wait(PATIENCE).unwrap();
    assert_eq!(client.health().to_string(), "good");
}

#[test]
fn an_append_that_may_block_waits_for_room_in_the_spool() {
    let home = TempDir::new().unwrap();
    let agent = Agent::good();
    let builder = client_of(&[&agent]).overflow(Overflow::Block(PATIENCE));
    let client = spooled(builder, home.path());
    for _ in 0..5_000 {
        drop(client.append(Event::new([b'x'; 3000])).unwrap());
    }
    let report = client.close(PATIENCE).wait();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.delivered, 5_000);
}

#[test]
fn who_waits_for_room_in_the_spool_sleeps_even_if_the_event_is_as_large_as_the_buffer() {
    let home = TempDir::new().unwrap();
    let builder = nowhere().buffer_bytes(4096).sync(SyncMode::Os);
    let client = spooled(builder, home.path());
    let is_full = |error: &AppendError| matches!(error.refusal(), Refusal::SpoolFull { .. });
    let mut event = Event::new([b'x'; 4050]);
    loop {
        match client.append(event) {
            Ok(_) => event = Event::new([b'x'; 4050]),
            Err(error) if is_full(&error) => break event = error.into_event(),
            Err(error) => {
                assert!(error.is_retryable(), "{error}");
                // The buffer has room soon; if that is not it, the next refusal tells.
                client.ready(4096).wait(Duration::from_millis(300));
                event = error.into_event();
            }
        }
    }
    let before = client.stats().refused.spool_full;
    let error = client.append_within(event, Duration::from_millis(100));
    assert!(is_full(&error.unwrap_err()));
    let offered = client.stats().refused.spool_full - before;
    assert!(offered < 10, "offered {offered} times");
}

#[test]
fn larger_events_than_a_client_takes_are_adopted_all_the_same() {
    let home = TempDir::new().unwrap();
    let wide = nowhere().spool(home.path()).event_bytes(512 * 1024);
    let clients = [
        spooled(nowhere(), home.path()),
        wide.spool_bytes(16 << 20)
            .spool_free_bytes(0)
            .build()
            .unwrap(),
        spooled(nowhere(), home.path()),
    ];
    let places = clients
        .each_ref()
        .map(|client| client.stats().spool.unwrap().directory);
    append_all(&clients[0], 0..1);
    // More than the next client takes.
    drop(clients[1].append(Event::new([b'x'; 400 * 1024])).unwrap());
    append_all(&clients[2], 1..2);
    for client in &clients {
        assert_eq!(give_up(client, Duration::ZERO).on_disk, 1);
    }
    drop(clients);

    let agent = Agent::good();
    let client = spooled(client_of(&[&agent]), home.path());
    let done = || client.stats().recovered == 3 && client.stats().pending == 0;
    wait_until("all events", PATIENCE, done).unwrap();
    assert!(client.close(PATIENCE).wait().is_complete());
    let sizes = agent.requests().into_iter().flat_map(|it| it.events);
    let large = sizes.filter(|event| event.body.len() == 400 * 1024);
    assert_eq!(large.count(), 1);
    assert_eq!(places.map(|place| left_in(&place)), [0, 0, 0]);
}

#[test]
fn an_interval_without_end_between_syncs_is_taken_as_no_limit() {
    let agent = Agent::good();
    let directory = tempfile::tempdir().unwrap();
    let client = client_of(&[&agent]).spool(directory.path());
    let client = client.sync(SyncMode::Interval(Duration::MAX)).build();
    let client = client.unwrap();
    for numbers in [0..3, 3..6] {
        for receipt in append_all(&client, numbers) {
            receipt.wait_stored(PATIENCE).unwrap();
            receipt.wait(PATIENCE).unwrap();
        }
    }
    let stats = client.stats();
    assert_eq!(stats.failed, None);
    assert!(client.close(PATIENCE).wait().is_complete());
}
