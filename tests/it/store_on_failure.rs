//! Store on failure: in memory while agents take events, on the disk while none does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flume_client::spool::{Directory, SpoolError, Survey};
use flume_client::{BuildError, Client, ClientBuilder, DeliveryError, Receipt, Reliability};
use flume_client::{Event, WindowMode};
use flume_tests::wait_until;
use tempfile::TempDir;

use crate::support::{
    Agent, Answer, GOOD, HOUR, PATIENCE, Port, answers, append_all, assert_balanced,
    assert_each_once, client_at, client_of, event, give_up,
};
#[cfg(target_os = "linux")]
use crate::support::{Other, tell, wait_for_end};

const LEVEL: Reliability = Reliability::StoreOnFailure;
const EVENTS: u64 = 250;

fn stored_on_failure(builder: ClientBuilder, directory: &Path) -> Client {
    let builder = builder.spool(directory).spool_free_bytes(0);
    builder.reliability(LEVEL).build().unwrap()
}

/// A client whose agent is not there.
fn without_agent(home: &TempDir) -> (Agent, Client) {
    let mut agent = Agent::good();
    agent.stop();
    let client = stored_on_failure(client_of(&[&agent]), home.path());
    (agent, client)
}

/// Events that a directory holds, for who opens it next.
fn pending_in(directory: &Path) -> u64 {
    let directory = Directory::look(directory).unwrap();
    Survey::take(&directory, |_| Ok(())).unwrap().events()
}

fn wait_until_on_disk(receipts: &[Receipt]) {
    let are_there = || receipts.iter().all(Receipt::is_on_disk);
    wait_until("events to be on the disk", PATIENCE, are_there).unwrap();
}

/// How often the disk was written.
fn commits(client: &Client) -> u64 {
    client.stats().spool.unwrap().commits
}

#[test]
fn while_an_agent_takes_events_nothing_is_written() {
    const COUNT: u64 = 10_000;
    let home = TempDir::new().unwrap();
    let agent = Agent::good();
    let client = stored_on_failure(client_of(&[&agent]), home.path());
    let receipts = append_all(&client, 0..COUNT);
    for receipt in &receipts {
        receipt.wait_stored(PATIENCE).unwrap();
        assert!(!receipt.is_on_disk());
    }
    let stats = client.stats();
    assert_balanced(&stats);
    let spool = stats.spool.as_ref().unwrap();
    assert_eq!((stats.spilled, spool.commits, spool.stored), (0, 0, 0));
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(agent.stored(), COUNT);
    assert_eq!(pending_in(home.path()), 0);
}

#[test]
fn what_no_agent_takes_goes_to_the_disk_and_comes_from_there_and_then_memory_is_used_again() {
    let home = TempDir::new().unwrap();
    let (mut agent, client) = without_agent(&home);
    let receipts = append_all(&client, 0..EVENTS);
    wait_until_on_disk(&receipts);
    // What comes now follows the others there.
    let later = append_all(&client, EVENTS..2 * EVENTS);
    later.last().unwrap().wait_stored(PATIENCE).unwrap();
    let stats = client.stats();
    assert_eq!((stats.spilled, stats.pending), (2 * EVENTS, 2 * EVENTS));
    assert_eq!(stats.pending_bytes, 0, "they take no room in the buffer");
    agent.start_again([GOOD]);
    client.flush(PATIENCE).wait().unwrap();
    assert_each_once(agent.stored(), 2 * EVENTS);
    let before = commits(&client);
    append_all(&client, 2 * EVENTS..3 * EVENTS);
    client.flush(PATIENCE).wait().unwrap();
    assert_eq!(commits(&client), before, "the disk is not needed");
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(agent.stored(), 3 * EVENTS);
    assert_eq!(pending_in(home.path()), 0);
}

#[test]
fn order_is_kept_into_the_disk_and_out_of_it() {
    const COUNT: u64 = 5_000;
    let home = TempDir::new().unwrap();
    let (mut agent, first) = without_agent(&home);
    assert!(first.close(PATIENCE).wait().is_complete());
    let builder = client_of(&[&agent]).window(WindowMode::Ordered);
    let client = stored_on_failure(builder, home.path());
    for round in 0..3 {
        agent.start_again([GOOD]);
        append_all(&client, (2 * round) * COUNT..(2 * round + 1) * COUNT);
        client.flush(PATIENCE).wait().unwrap();
        agent.stop();
        let waiting = append_all(&client, (2 * round + 1) * COUNT..(2 * round + 2) * COUNT);
        wait_until_on_disk(&waiting[COUNT as usize - 1..]);
    }
    agent.start_again([GOOD]);
    assert!(client.close(PATIENCE).wait().is_complete());
    let stored = agent.stored();
    // What was cut off when the agent went comes again, with what follows it.
    let mut news = stored.iter().scan(None, |last: &mut Option<u64>, number| {
        let is_new = last.is_none_or(|last| *number > last);
        if is_new {
            *last = Some(*number);
        }
        Some(is_new.then_some(*number))
    });
    assert!(news.by_ref().flatten().eq(0..6 * COUNT), "{}", stored.len());
}

#[cfg(target_os = "linux")]
#[test]
fn what_was_told_to_be_on_the_disk_outlives_a_kill_and_the_rest_was_the_memory_s() {
    const TEST: &str = "store_on_failure::what_was_told_to_be_on_the_disk_outlives_a_kill_and_the_rest_was_the_memory_s";
    const COUNT: u64 = 200_000;
    if let Some(role) = Other::role() {
        let (url, directory) = role.split_once(' ').unwrap();
        let client = stored_on_failure(client_at([url.to_owned()]), Path::new(directory));
        let receipts: Vec<_> = (0..COUNT)
            .map(|number| client.append_within(event(number), PATIENCE).unwrap())
            .collect();
        wait_until("some to be moved", PATIENCE, || receipts[0].is_on_disk()).unwrap();
        let told = receipts.iter().take_while(|it| it.is_on_disk()).count();
        tell(told as u32);
        wait_for_end();
        return;
    }
    let home = TempDir::new().unwrap();
    let mut agent = Agent::good();
    agent.stop();
    let role = format!("{} {}", agent.url(), home.path().display());
    let mut other = Other::start(TEST, &role);
    let told = u64::from(other.told());
    other.kill();
    assert!(told > 0);
    agent.start_again([GOOD]);
    let client = stored_on_failure(client_of(&[&agent]), home.path());
    let recovered = client.stats().recovered;
    assert!(recovered >= told, "{recovered} of {told}");
    client.flush(PATIENCE).wait().unwrap();
    let is_empty = || client.stats().pending == 0;
    wait_until("all to be delivered", PATIENCE, is_empty).unwrap();
    let stored = agent.stored();
    assert!(
        stored.iter().copied().eq(0..recovered),
        "in order, each once"
    );
    // And then it is in memory again.
    let before = commits(&client);
    append_all(&client, COUNT..COUNT + EVENTS);
    client.flush(PATIENCE).wait().unwrap();
    assert_eq!(commits(&client), before);
    let stats = client.stats();
    assert_eq!(stats.lost.total(), 0);
    assert_balanced(&stats);
}

#[test]
fn what_fills_half_of_its_share_goes_to_the_disk_though_the_agent_has_not_failed_yet() {
    const BUFFER: usize = 400_000;
    let home = TempDir::new().unwrap();
    let agent = Agent::scripted([answers(Answer::Unanswered)]);
    let builder = client_of(&[&agent]).request_timeout(HOUR);
    let builder = builder.event_bytes(1_000).buffer_bytes(BUFFER);
    let client = stored_on_failure(builder, home.path());
    let append = || {
        client
            .append_within(Event::new([0; 900]), PATIENCE)
            .unwrap()
    };
    let receipts: Vec<_> = (0..BUFFER / 900 / 2 - 20).map(|_| append()).collect();
    agent.wait_for_requests(1);
    assert_eq!(client.stats().spilled, 0);
    let receipts: Vec<_> = receipts
        .into_iter()
        .chain((0..2_000).map(|_| append()))
        .collect();
    wait_until_on_disk(&receipts);
    assert_eq!(client.stats().spilled, receipts.len() as u64);
    let report = give_up(&client, Duration::ZERO);
    assert_eq!(
        (report.on_disk, report.lost.total()),
        (receipts.len() as u64, 0)
    );
}

#[test]
fn with_one_agent_gone_the_other_gets_everything_once_from_memory() {
    let home = TempDir::new().unwrap();
    let agent = Agent::good();
    let gone = Port::reserve();
    let client = stored_on_failure(client_at([gone.url(), agent.url()]), home.path());
    append_all(&client, 0..EVENTS);
    client.flush(PATIENCE).wait().unwrap();
    assert_eq!(client.stats().spilled, 0);
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(agent.stored(), EVENTS);
}

#[test]
fn a_full_quota_moves_nothing_more_and_loses_nothing_and_is_told() {
    let home = TempDir::new().unwrap();
    let mut agent = Agent::good();
    agent.stop();
    let builder = client_of(&[&agent]).event_bytes(1_000);
    let builder = builder.spool_bytes(3 * 1024 * 1024).buffer_bytes(1_000_000);
    let client = stored_on_failure(builder, home.path());
    let mut taken = 0;
    let mut fill = || {
        // Each event says its number, and is as large as may be.
        let padded = |number: u64| Event::new(format!("event {number:<900}"));
        while client.append(padded(taken)).is_ok() {
            taken += 1;
        }
        let trouble = client.stats().spool.unwrap().trouble;
        trouble.is_some_and(|it| *it == SpoolError::Quota)
    };
    wait_until("the quota to be used up", PATIENCE, &mut fill).unwrap();
    let stats = client.stats();
    assert!(stats.spilled > 0 && stats.spilled < stats.pending);
    assert!(stats.pending_bytes <= 1_000_000, "the buffer's bound holds");
    assert!(
        client.health().to_string().contains("spool"),
        "{}",
        client.health()
    );
    assert_balanced(&stats);
    agent.start_again([GOOD]);
    client.flush(PATIENCE).wait().unwrap();
    let is_well = || client.stats().spool.unwrap().trouble.is_none();
    wait_until("the trouble to be over", PATIENCE, is_well).unwrap();
    assert_eq!(client.stats().lost.total(), 0);
    assert_eq!(agent.stored().len() as u64, taken);
}

#[test]
fn a_close_puts_on_the_disk_what_no_agent_took_however_short_it_waited() {
    let home = TempDir::new().unwrap();
    let (mut agent, client) = without_agent(&home);
    let receipts = append_all(&client, 0..EVENTS);
    let report = give_up(&client, Duration::ZERO);
    assert_eq!((report.on_disk, report.lost.total()), (EVENTS, 0));
    for receipt in &receipts {
        assert_eq!(receipt.wait(PATIENCE), Err(DeliveryError::InSpool));
        assert!(receipt.is_on_disk());
    }
    drop(client);
    agent.start_again([GOOD]);
    // Also a client of another level delivers it.
    let next = client_of(&[&agent]).spool(home.path()).build().unwrap();
    assert_eq!(next.stats().recovered, EVENTS);
    assert!(next.close(PATIENCE).wait().is_complete());
    assert_each_once(agent.stored(), EVENTS);
}

#[test]
fn without_a_spool_it_is_an_error_that_says_what_is_missing() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).build().unwrap();
    let error = client.at(LEVEL).unwrap_err();
    assert!(matches!(error, BuildError::NoSpool), "{error}");
    let error = client_of(&[&agent]).reliability(LEVEL).build().unwrap_err();
    assert!(matches!(error, BuildError::NoSpool), "{error}");
    assert!(
        error.to_string().contains("spool(\"DIRECTORY\")"),
        "{error}"
    );
}

#[test]
fn beside_end_to_end_it_has_a_place_and_a_thread_of_its_own_once_it_is_used() {
    let home = TempDir::new().unwrap();
    let mut agent = Agent::good();
    agent.stop();
    let client = client_of(&[&agent]).spool(home.path()).build().unwrap();
    let second = home.path().join("process-2");
    assert!(!second.exists());
    let handles = [(); 3].map(|()| client.at(LEVEL).unwrap());
    assert!(second.exists() && !home.path().join("process-3").exists());
    let receipts = append_all(&handles[0], 0..EVENTS);
    let stored = append_all(&client, EVENTS..2 * EVENTS);
    stored[0].wait_stored(PATIENCE).unwrap();
    assert!(stored[0].is_on_disk() && !receipts[0].is_on_disk());
    wait_until_on_disk(&receipts);
    assert_eq!(client.stats().spilled, EVENTS);
    let report = give_up(&client, Duration::ZERO);
    assert_eq!((report.on_disk, report.lost.total()), (2 * EVENTS, 0));
    drop((client, handles));
    assert_eq!(
        (pending_in(home.path()), pending_in(&second)),
        (EVENTS, EVENTS)
    );
    // The next client delivers both, whether it is used at that level or not.
    agent.start_again([GOOD]);
    let next = client_of(&[&agent]).spool(home.path()).build().unwrap();
    let is_all = || next.stats().delivered == 2 * EVENTS;
    wait_until("all to be delivered", PATIENCE, is_all).unwrap();
    assert_each_once(agent.stored(), 2 * EVENTS);
}

#[test]
fn a_handle_of_a_client_that_was_closed_refuses_and_opens_nothing() {
    let home = TempDir::new().unwrap();
    let agent = Agent::good();
    let client = client_of(&[&agent]).spool(home.path()).build().unwrap();
    assert!(client.close(PATIENCE).wait().is_complete());
    let handle = client.at(LEVEL).unwrap();
    assert!(!handle.append(event(0)).unwrap_err().is_retryable());
    assert!(!home.path().join("process-2").exists());
}

/// Leaves events on the disk, each in a frame of its own, whose client has ended.
fn left(home: &Path) {
    let client = stored_on_failure(client_at([Port::reserve().url()]), home);
    // Once the first is there, each that follows goes there at once.
    for number in 0..EVENTS {
        let receipt = client.append(Event::new(format!("event {number} ")));
        receipt.unwrap().wait_stored(PATIENCE).unwrap();
    }
    assert_eq!(give_up(&client, Duration::ZERO).on_disk, EVENTS);
}

fn file_in(directory: &Path, begins: &str) -> PathBuf {
    let names = fs::read_dir(directory).unwrap();
    let mut paths = names.map(|entry| entry.unwrap().path());
    let is_it = |path: &PathBuf| {
        let name = path.file_name().and_then(|it| it.to_str());
        name.is_some_and(|name| name.starts_with(begins))
    };
    paths.find(is_it).unwrap()
}

#[test]
fn what_lies_on_the_disk_meets_damage_as_end_to_end_does() {
    let damage = |home: &Path| {
        let path = file_in(home, "seg-");
        let mut bytes = fs::read(&path).unwrap();
        let needle = b"event 100 ";
        let at = bytes.windows(needle.len()).position(|it| it == needle);
        bytes[at.unwrap()] ^= 1;
        fs::write(&path, bytes).unwrap();
    };
    let no_cursor = |home: &Path| fs::remove_file(file_in(home, "cursor")).unwrap();
    let no_segment = |home: &Path| fs::remove_file(file_in(home, "seg-")).unwrap();
    let one_less: Vec<u64> = (0..EVENTS).filter(|number| *number != 100).collect();
    type Fault<'a> = &'a dyn Fn(&Path);
    let cases: [(Fault<'_>, Vec<u64>); 3] = [
        (&damage, one_less),
        (&no_cursor, (0..EVENTS).collect()),
        (&no_segment, vec![]),
    ];
    for (fault, arrive) in cases {
        let home = TempDir::new().unwrap();
        left(home.path());
        fault(home.path());
        let agent = Agent::good();
        let client = stored_on_failure(client_of(&[&agent]), home.path());
        client.flush(PATIENCE).wait().unwrap();
        assert_eq!(agent.stored(), arrive);
        let stats = client.stats();
        assert_eq!((stats.delivered, stats.pending), (arrive.len() as u64, 0));
        assert_eq!(stats.lost.total(), stats.lost.corrupt);
        assert_balanced(&stats);
    }
}

#[test]
fn a_removed_directory_is_made_again_and_what_waits_goes_there() {
    let home = TempDir::new().unwrap();
    let mut agent = Agent::good();
    agent.stop();
    let spool = home.path().join("spool");
    let client = stored_on_failure(client_of(&[&agent]), &spool);
    wait_until_on_disk(&append_all(&client, 0..EVENTS));
    fs::remove_dir_all(&spool).unwrap();
    let receipts = append_all(&client, EVENTS..2 * EVENTS);
    wait_until_on_disk(&receipts);
    assert_eq!(pending_in(&spool), EVENTS);
    agent.start_again([GOOD]);
    client.flush(PATIENCE).wait().unwrap();
    assert_each_once(agent.stored(), 2 * EVENTS);
}

#[test]
fn what_no_agent_takes_outlives_a_drop() {
    let home = TempDir::new().unwrap();
    let (mut agent, client) = without_agent(&home);
    append_all(&client, 0..EVENTS);
    drop(client);
    agent.start_again([GOOD]);
    let next = stored_on_failure(client_of(&[&agent]), home.path());
    assert_eq!(next.stats().recovered, EVENTS);
    assert!(next.close(PATIENCE).wait().is_complete());
    assert_each_once(agent.stored(), EVENTS);
}

#[test]
fn an_event_that_every_agent_refuses_holds_up_no_other_and_is_on_the_disk_at_the_end() {
    const POISON: u64 = 5;
    let home = TempDir::new().unwrap();
    let agent = Agent::scripted([answers(Answer::FailedWith(POISON))]);
    let builder = client_of(&[&agent]).batch_events(1);
    let client = stored_on_failure(builder, home.path());
    append_all(&client, 0..EVENTS);
    let are_others_delivered = || client.stats().delivered == EVENTS - 1;
    wait_until("the others", PATIENCE * 6, are_others_delivered).unwrap();
    assert_balanced(&client.stats());
    let report = give_up(&client, Duration::ZERO);
    assert_eq!((report.on_disk, report.lost.total()), (1, 0));
}

#[test]
fn names_are_given_once_whatever_went_to_the_disk() {
    let home = TempDir::new().unwrap();
    let mut agent = Agent::good();
    let mut names = BTreeSet::new();
    for run in 0..3 {
        agent.stop();
        let builder = client_of(&[&agent]).event_ids(true);
        let client = stored_on_failure(builder, home.path());
        let receipts = append_all(&client, run * EVENTS..(run + 1) * EVENTS);
        names.extend(receipts.iter().map(|it| it.guid().unwrap()));
        if run == 1 {
            wait_until_on_disk(&receipts);
        }
        agent.start_again([GOOD]);
        assert!(client.close(PATIENCE).wait().is_complete());
    }
    assert_eq!(names.len() as u64, 3 * EVENTS);
    let received = agent.requests().into_iter().flat_map(|it| it.events);
    let received: BTreeSet<String> = received
        .map(|event| {
            let id = event.headers.iter().find(|(key, _)| *key == "guid");
            id.unwrap().1.clone()
        })
        .collect();
    assert_eq!(received, names);
}
