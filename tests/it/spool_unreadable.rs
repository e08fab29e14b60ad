//! Segments that cannot be read, are of another version, have each other's names or are gone: what
//! is in the others is delivered once, and nothing of theirs is lost that can come back.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use flume_client::stats::{Passed, SpoolStats, UnreadableEvents};
use flume_client::{Client, ClientBuilder, Event, Reliability, Stats, Status};
use flume_tests::spool_sim::of_another_version;
use flume_tests::wait_until;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

use crate::support::{
    Agent, Answer, Other, Port, alone_as_nobody, answers, append_all, assert_each_once, client_at,
    client_of, give_up, tell, wait_for_end,
};

/// How long anything may take on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts of the service before the one that is tested, each with a segment.
const RUNS: u64 = 5;
const EVENTS: u64 = 100;
/// Which start's segment it is about.
const THIRD: usize = 2;

fn spooled(level: Reliability, builder: ClientBuilder, path: &Path) -> Client {
    let builder = builder.spool(path).event_bytes(4096).reliability(level);
    let builder = builder.spool_bytes(8 * 1024 * 1024).spool_free_bytes(0);
    builder.build().unwrap()
}

/// Leaves the events of all those starts, and tells the files of their segments.
fn leave_runs(level: Reliability, path: &Path) -> Vec<PathBuf> {
    for run in 0..RUNS {
        let client = spooled(level, client_at([Port::reserve().url()]), path);
        for receipt in append_all(&client, run * EVENTS..(run + 1) * EVENTS) {
            receipt.wait_stored(PATIENCE).unwrap();
        }
        assert_eq!(give_up(&client, Duration::ZERO).on_disk, (run + 1) * EVENTS);
    }
    let segments = segments(path);
    assert_eq!(segments.len() as u64, RUNS);
    segments
}

fn segments(path: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(path).unwrap();
    let paths = names.map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> = paths
        .filter(|path| path.to_str().unwrap().contains("/seg-"))
        .collect();
    segments.sort_unstable();
    segments
}

fn length(file: &Path) -> u64 {
    fs::metadata(file).unwrap().len()
}

/// A segment has a header, and an event takes at least its end and two counts.
fn can_hold(file: &Path) -> u64 {
    (length(file) - 4096) / 6
}

fn all_but_the_third() -> Vec<u64> {
    let third = THIRD as u64 * EVENTS..(THIRD as u64 + 1) * EVENTS;
    let all = 0..RUNS * EVENTS;
    all.filter(|number| !third.contains(number)).collect()
}

fn spool(stats: &Stats) -> &SpoolStats {
    stats.spool.as_ref().unwrap()
}

#[track_caller]
fn assert_balanced(stats: &Stats) {
    let came = stats.accepted + stats.recovered;
    let is = stats.delivered + stats.pending + stats.lost.total();
    assert_eq!(came, is, "{stats:?}");
}

/// Waits until nothing is left but what cannot be read, and tells of it.
#[track_caller]
fn wait_for_the_others(client: &Client) -> UnreadableEvents {
    let is_left = || {
        let stats = client.stats();
        assert_balanced(&stats);
        stats.pending > 0 && spool(&stats).passed_events() == stats.pending
    };
    wait_until("the others to be delivered", PATIENCE, is_left).unwrap();
    let stats = client.stats();
    assert_eq!(stats.lost.total(), 0, "{stats:?}");
    let [unreadable] = &*spool(&stats).unreadable else {
        unreachable!("{stats:?}");
    };
    unreadable.clone()
}

fn assert_none_set_aside(path: &Path) {
    for entry in fs::read_dir(path).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.starts_with("quarantine-"), "{name}");
    }
}

/// Starts twice with a file that cannot be read, and delivers all others once. Each start takes
/// events of its own, too.
fn deliver_the_others(level: Reliability, path: &Path, file: &Path, why: &str, agent: &Agent) {
    let (bytes, most) = (length(file), can_hold(file));
    for start in 0..2 {
        let client = spooled(level, client_of(&[agent]), path);
        let first = RUNS * EVENTS + start * EVENTS;
        append_all(&client, first..first + EVENTS);
        let unreadable = wait_for_the_others(&client);
        assert_eq!(unreadable.file, file);
        assert_eq!(unreadable.passed, Passed::Yes);
        assert!(unreadable.why.contains(why), "{unreadable:?}");
        let told = unreadable.events_max;
        assert!((EVENTS..=most).contains(&told), "{unreadable:?}");
        let health = client.health();
        assert_eq!(health.status(), Status::Degraded, "{health}");
        let file = file.display().to_string();
        assert!(health.to_string().contains(&file), "{health}");
        let report = give_up(&client, PATIENCE);
        assert_eq!(
            (report.lost.total(), report.on_disk),
            (0, told),
            "{report:?}"
        );
        assert_eq!(length(Path::new(&file)), bytes);
        assert_none_set_aside(path);
    }
    let mut expected = all_but_the_third();
    expected.extend(RUNS * EVENTS..(RUNS + 2) * EVENTS);
    assert_eq!(sorted(agent), expected);
}

fn sorted(agent: &Agent) -> Vec<u64> {
    let mut stored = agent.stored();
    stored.sort_unstable();
    stored
}

#[test]
fn a_segment_without_permission_is_left_alone_and_delivered_once_when_it_can_be_read() {
    let test = "spool_unreadable::a_segment_without_permission_is_left_alone_and_delivered_once_when_it_can_be_read";
    alone_as_nobody(test, || {
        let level = Reliability::EndToEnd;
        let home = TempDir::new().unwrap();
        let path = home.path().join("spool");
        let files = leave_runs(level, &path);
        let file = &files[THIRD];
        fs::set_permissions(file, Permissions::from_mode(0o000)).unwrap();
        let agent = Agent::good();
        deliver_the_others(level, &path, file, "ermission denied", &agent);

        // It can be read again while the client works.
        let client = spooled(level, client_of(&[&agent]), &path);
        wait_for_the_others(&client);
        fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
        let is_over = || client.stats().pending == 0;
        wait_until("the events of the file", PATIENCE, is_over).unwrap();
        let stats = client.stats();
        assert_balanced(&stats);
        assert_eq!((stats.delivered, stats.recovered), (EVENTS, EVENTS));
        assert!(spool(&stats).unreadable.is_empty(), "{stats:?}");
        assert!(client.close(PATIENCE).wait().is_complete());
        assert_each_once(agent.stored(), (RUNS + 2) * EVENTS);
    });
}

#[test]
fn a_cursor_of_another_version_keeps_the_spool_closed_and_is_not_changed() {
    check_cursor_of_another_version(Reliability::EndToEnd);
}

#[test]
fn a_cursor_of_another_version_keeps_the_spool_of_store_on_failure_closed() {
    check_cursor_of_another_version(Reliability::StoreOnFailure);
}

fn check_cursor_of_another_version(level: Reliability) {
    let home = TempDir::new().unwrap();
    let path = home.path().join("spool");
    leave_runs(level, &path);
    let file = path.join("cursor");
    let before = fs::read(&file).unwrap();
    // A later release may have written one slot of the two.
    for slots in [0..2, 0..1, 1..2] {
        let mut cursor = before.clone();
        for slot in cursor.chunks_mut(4096).skip(slots.start).take(slots.len()) {
            slot[8] = 2;
            let sum = crc32fast::hash(&slot[..4092]).to_le_bytes();
            slot[4092..].copy_from_slice(&sum);
        }
        fs::write(&file, &cursor).unwrap();
        let client = client_of(&[&Agent::good()]).spool(&path).event_bytes(4096);
        let client = client
            .reliability(level)
            .spool_bytes(8 * 1024 * 1024)
            .spool_free_bytes(0);
        let told = client.build().unwrap_err().to_string();
        assert!(
            told.contains("its file cursor") && told.contains("format version 2"),
            "{told}"
        );
        assert!(told.contains("with the release that wrote it"), "{told}");
        assert!(fs::read(&file).unwrap() == cursor, "it was changed");
    }
    fs::write(&file, &before).unwrap();
    let agent = Agent::good();
    let client = spooled(level, client_of(&[&agent]), &path);
    assert_eq!(client.stats().recovered, RUNS * EVENTS);
    client.flush(PATIENCE).wait().unwrap();
    assert_each_once(agent.stored(), RUNS * EVENTS);
}

#[test]
fn a_segment_of_another_version_stays_as_it_is_and_is_told_at_each_start() {
    check_segment_of_another_version(Reliability::EndToEnd);
}

#[test]
fn a_segment_of_another_version_is_told_at_each_start_with_store_on_failure() {
    check_segment_of_another_version(Reliability::StoreOnFailure);
}

fn check_segment_of_another_version(level: Reliability) {
    let home = TempDir::new().unwrap();
    let path = home.path().join("spool");
    let files = leave_runs(level, &path);
    let file = &files[THIRD];
    let before = fs::read(file).unwrap();
    let foreign = of_another_version(&before).unwrap();
    fs::write(file, &foreign).unwrap();
    let agent = Agent::good();
    deliver_the_others(level, &path, file, "format version 2", &agent);
    assert!(fs::read(file).unwrap() == foreign, "it was changed");

    // The release that knows the version is there again.
    fs::write(file, before).unwrap();
    let client = spooled(level, client_of(&[&agent]), &path);
    client.flush(PATIENCE).wait().unwrap();
    let stats = client.stats();
    assert_balanced(&stats);
    assert_eq!((stats.delivered, stats.lost.total()), (EVENTS, 0));
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(agent.stored(), (RUNS + 2) * EVENTS);
}

#[test]
fn a_segment_that_something_else_stands_for_is_delivered_once_when_it_is_back() {
    check_replaced_segment(Reliability::EndToEnd);
}

#[test]
fn a_segment_of_store_on_failure_that_something_else_stands_for_is_delivered_once_when_it_is_back()
{
    check_replaced_segment(Reliability::StoreOnFailure);
}

fn check_replaced_segment(level: Reliability) {
    let makers: [fn(&Path, &Path); 3] = [
        |elsewhere, name| symlink(elsewhere, name).unwrap(),
        |_, name| assert!(Command::new("mkfifo").arg(name).status().unwrap().success()),
        |_, name| fs::create_dir(name).unwrap(),
    ];
    for make in makers {
        let home = TempDir::new().unwrap();
        let (path, elsewhere) = (home.path().join("spool"), home.path().join("kept"));
        let file = &leave_runs(level, &path)[THIRD];
        fs::rename(file, &elsewhere).unwrap();
        make(&elsewhere, file);
        let agent = Agent::good();
        let client = spooled(level, client_of(&[&agent]), &path);
        let unreadable = wait_for_the_others(&client);
        assert_eq!(unreadable.file, *file);
        assert!(unreadable.events_max >= EVENTS, "{unreadable:?}");
        assert_eq!(sorted(&agent), all_but_the_third());
        fs::remove_file(file)
            .or_else(|_| fs::remove_dir(file))
            .unwrap();
        fs::rename(&elsewhere, file).unwrap();
        let is_over = || client.stats().pending == 0;
        // It is looked at again after 30 s at the latest.
        let patience = 4 * PATIENCE;
        wait_until("the events of the file", patience, is_over).unwrap();
        assert_eq!(client.stats().lost.total(), 0);
        assert!(client.close(PATIENCE).wait().is_complete());
        assert_each_once(agent.stored(), RUNS * EVENTS);
        assert_none_set_aside(&path);
    }
}

#[test]
fn segments_that_swapped_names_are_delivered_once() {
    check_swapped_names(Reliability::EndToEnd);
}

#[test]
fn segments_of_store_on_failure_that_swapped_names_are_delivered_once() {
    check_swapped_names(Reliability::StoreOnFailure);
}

fn check_swapped_names(level: Reliability) {
    let home = TempDir::new().unwrap();
    let path = home.path().join("spool");
    let files = leave_runs(level, &path);
    let aside = home.path().join("aside");
    for (one, other) in [(1, 3), (0, 4)] {
        fs::rename(&files[one], &aside).unwrap();
        fs::rename(&files[other], &files[one]).unwrap();
        fs::rename(&aside, &files[other]).unwrap();
    }
    let agent = Agent::good();
    let client = spooled(level, client_of(&[&agent]), &path);
    client.flush(PATIENCE).wait().unwrap();
    let stats = client.stats();
    assert_balanced(&stats);
    assert_eq!((stats.delivered, stats.lost.total()), (RUNS * EVENTS, 0));
    assert!(spool(&stats).unreadable.is_empty(), "{stats:?}");
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(agent.stored(), RUNS * EVENTS);
    assert_none_set_aside(&path);
}

#[test]
fn a_segment_that_is_gone_is_lost_as_what_it_could_hold_at_most_and_the_others_arrive() {
    // Without the cursor nothing tells where its numbers ended, nor how many files are missing:
    // some names between the two beside it were those of spares.
    for (has_cursor, files_missing) in [(true, 1), (false, 4)] {
        let level = Reliability::EndToEnd;
        let home = TempDir::new().unwrap();
        let path = home.path().join("spool");
        let files = leave_runs(level, &path);
        // The end of the one before may have been events too, as far as can be told.
        let beside = [&files[THIRD - 1], &files[THIRD + 1]];
        let largest = beside.map(|file| can_hold(file)).into_iter().max().unwrap();
        let most = files_missing * largest + 4096 / 6;
        fs::remove_file(&files[THIRD]).unwrap();
        if !has_cursor {
            fs::remove_file(path.join("cursor")).unwrap();
        }
        let agent = Agent::good();
        let client = spooled(level, client_of(&[&agent]), &path);
        client.flush(PATIENCE).wait().unwrap();
        let stats = client.stats();
        assert_balanced(&stats);
        assert_eq!(stats.delivered, (RUNS - 1) * EVENTS);
        assert!((EVENTS..=most).contains(&stats.lost.corrupt), "{stats:?}");
        assert_eq!(stats.lost.total(), stats.lost.corrupt);
        let report = client.close(PATIENCE).wait();
        assert_eq!(report.on_disk, 0);
        assert_eq!(sorted(&agent), all_but_the_third());
        assert_none_set_aside(&path);
    }
}

/// Lets this process open no more files, or as many as before.
fn limit_descriptors(to: Option<u64>) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = to.or(maximum);
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
}

/// 25 MB: much more than the 8 MiB and a little that are read before an agent has answered, and in
/// more segments than are kept open.
const BACKLOG: u64 = 8_400;
const BACKLOG_SEGMENTS: u64 = 12;

fn of_backlog(url: String, path: &Path) -> Client {
    let client = client_at([url]).buffer_bytes(256 * 1024);
    let client = client.event_bytes(4096).spool(path);
    let client = client.spool_bytes(64 << 20).spool_free_bytes(0);
    client.build().unwrap()
}

fn leave_backlog(path: &Path) {
    let each = BACKLOG / BACKLOG_SEGMENTS;
    let append = |client: &Client, number: u64| {
        let body = format!("event {number} {}", "x".repeat(3000));
        client.append_within(Event::new(body), PATIENCE).unwrap()
    };
    for start in 0..BACKLOG_SEGMENTS {
        let client = of_backlog(Port::reserve().url(), path);
        let numbers = start * each..(start + 1) * each;
        let receipts: Vec<_> = numbers.map(|number| append(&client, number)).collect();
        for receipt in receipts {
            receipt.wait_stored(PATIENCE).unwrap();
        }
        let on_disk = give_up(&client, Duration::ZERO).on_disk;
        assert_eq!(on_disk, (start + 1) * each);
    }
}

#[test]
fn a_backlog_outlasts_a_lack_of_descriptors_while_it_is_read() {
    let test = "spool_unreadable::a_backlog_outlasts_a_lack_of_descriptors_while_it_is_read";
    if let Some(url) = Other::role() {
        let home = TempDir::new().unwrap();
        leave_backlog(home.path());
        let client = of_backlog(url, home.path());
        let is_connected = || client.stats().agents[0].connected && client.stats().batches_sent > 0;
        wait_until("the connection", PATIENCE, is_connected).unwrap();
        limit_descriptors(Some(0));
        // The agent answers from now on.
        tell(1);
        let waits = || {
            let stats = client.stats();
            assert_balanced(&stats);
            assert_eq!(stats.lost.total(), 0, "{stats:?}");
            let mut unreadable = spool(&stats).unreadable.iter();
            unreadable.any(|it| it.passed == Passed::Retried)
        };
        wait_until("the lack to be told", PATIENCE, waits)
            .unwrap_or_else(|error| panic!("{error}: {:?}", client.stats()));
        // Longer than a file is tried again before its other events go first.
        client.flush(Duration::from_secs(5)).wait().unwrap_err();
        assert!(waits(), "{:?}", client.stats());
        let told = client.health().to_string();
        assert!(told.contains("open files"), "{told}");
        limit_descriptors(None);
        client.flush(PATIENCE).wait().unwrap();
        let stats = client.stats();
        assert_balanced(&stats);
        assert_eq!((stats.delivered, stats.lost.total()), (BACKLOG, 0));
        assert!(spool(&stats).unreadable.is_empty(), "{stats:?}");
        assert!(client.close(PATIENCE).wait().is_complete());
        assert_none_set_aside(home.path());
        tell(2);
        return wait_for_end();
    }
    let agent = Agent::scripted([answers(Answer::OkWhenReleased)]);
    let mut client = Other::start(test, &agent.url());
    assert_eq!(client.told(), 1);
    agent.release();
    assert_eq!(client.told(), 2);
    assert_each_once(agent.stored(), BACKLOG);
}
