//! What becomes of a spool when somebody removes, moves or replaces it, or a file of it, while it
//! is in use.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use flume_client::spool::{Directory, Removed, SpoolError};
use flume_client::{Change, Client, DeliveryError, Event, Reliability};
use flume_tests::wait_until;
use tempfile::TempDir;

use crate::support::{
    Agent, GOOD, PATIENCE, assert_balanced, assert_each_once, client_of, give_up,
};

/// A spool in a directory of its own, and an agent that is away at first.
struct Scene {
    home: TempDir,
    agent: Agent,
    client: Client,
}

impl Scene {
    fn new() -> Self {
        Self::of(Reliability::EndToEnd)
    }

    fn of(level: Reliability) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut agent = Agent::good();
        agent.stop();
        let client = client_with(level, &agent, &home.path().join("parent/spool"));
        Self {
            home,
            agent,
            client,
        }
    }

    fn parent(&self) -> PathBuf {
        self.home.path().join("parent")
    }

    fn spool(&self) -> PathBuf {
        self.parent().join("spool")
    }

    fn moved(&self) -> PathBuf {
        self.parent().join("moved")
    }

    fn place(&self) -> PathBuf {
        self.client.stats().spool.unwrap().directory
    }

    fn store(&self, numbers: std::ops::Range<u64>) {
        let receipts: Vec<_> = numbers
            .map(|number| self.client.append_within(event(number), PATIENCE).unwrap())
            .collect();
        for receipt in receipts {
            let stored = receipt.wait_stored(PATIENCE);
            assert!(stored.is_ok(), "{stored:?}: {:?}", self.client.stats());
        }
    }

    /// The same with a new client, which has no file open but what it reads.
    fn reopened(self) -> Self {
        let on_disk = give_up(&self.client, Duration::ZERO).on_disk;
        let client = client(&self.agent, &self.spool());
        assert_eq!(client.stats().recovered, on_disk);
        Self { client, ..self }
    }

    /// Everything arrives, once.
    fn assert_all_arrive(&mut self, count: u64) {
        self.agent.start_again([GOOD]);
        self.client.flush(PATIENCE).wait().unwrap();
        let stats = self.client.stats();
        assert_balanced(&stats);
        assert_eq!(stats.lost.total(), 0, "{stats:?}");
        assert_each_once(self.agent.stored(), count);
    }
}

fn client(agent: &Agent, path: &Path) -> Client {
    client_with(Reliability::EndToEnd, agent, path)
}

fn client_with(level: Reliability, agent: &Agent, path: &Path) -> Client {
    let client = client_of(&[agent]).spool(path).event_bytes(4096);
    let client = client.reliability(level);
    // Segments of 16 MiB.
    client
        .spool_bytes(64 << 20)
        .spool_free_bytes(0)
        .build()
        .unwrap()
}

fn event(number: u64) -> Event {
    Event::new(format!("event {number} {}", "x".repeat(3000)))
}

fn is_trouble(client: &Client, removed: Removed) -> bool {
    let trouble = client.stats().spool.unwrap().trouble;
    trouble.is_some_and(|it| *it == SpoolError::Removed(removed))
}

fn holder(path: &Path) -> Option<u32> {
    Directory::holder(path).unwrap().and_then(|it| it.process)
}

#[test]
fn a_removed_lock_lets_nobody_in_and_is_made_again_with_the_next_event() {
    check_removed_lock(Reliability::EndToEnd);
}

#[test]
fn a_removed_lock_of_store_on_failure_lets_nobody_in_and_is_made_again() {
    check_removed_lock(Reliability::StoreOnFailure);
}

fn check_removed_lock(level: Reliability) {
    let mut scene = Scene::of(level);
    scene.store(0..100);
    for round in 0..3 {
        fs::remove_file(scene.spool().join("LOCK")).unwrap();
        assert_eq!(holder(&scene.spool()), Some(process::id()));
        let second = client_with(level, &scene.agent, &scene.spool());
        let place = second.stats().spool.unwrap().directory;
        assert_eq!(place, scene.spool().join("process-2"));
        drop(second);
        scene.store(100 + round..101 + round);
        assert!(scene.spool().join("LOCK").exists());
        assert_eq!(holder(&scene.spool()), Some(process::id()));
    }
    assert_eq!(scene.place(), scene.spool());
    scene.assert_all_arrive(103);
}

#[test]
fn a_replaced_lock_is_taken_again_with_the_next_event() {
    let mut scene = Scene::new();
    scene.store(0..10);
    fs::write(scene.spool().join("other"), "").unwrap();
    fs::rename(scene.spool().join("other"), scene.spool().join("LOCK")).unwrap();
    scene.store(10..20);
    let lock = fs::read_to_string(scene.spool().join("LOCK")).unwrap();
    assert_eq!(lock.trim(), process::id().to_string());
    scene.assert_all_arrive(20);
}

#[test]
fn a_removed_directory_is_made_again_and_what_was_open_of_the_old_one_is_delivered() {
    let mut scene = Scene::new();
    scene.store(0..200);
    fs::remove_dir_all(scene.spool()).unwrap();
    scene.store(200..300);
    assert_eq!(scene.place(), scene.spool());
    // On the disk in fact.
    let survey = Directory::look(&scene.spool()).unwrap();
    let survey = flume_client::spool::Survey::take(&survey, |_| Ok(())).unwrap();
    assert_eq!((survey.events(), survey.lost()), (100, 0), "{survey:?}");
    scene.assert_all_arrive(300);
}

#[test]
fn a_directory_that_was_removed_and_made_anew_by_others_is_the_spool_then() {
    let mut scene = Scene::new();
    scene.store(0..100);
    fs::remove_dir_all(scene.spool()).unwrap();
    fs::create_dir(scene.spool()).unwrap();
    scene.store(100..200);
    assert_eq!(holder(&scene.spool()), Some(process::id()));
    scene.assert_all_arrive(200);
}

#[test]
fn a_moved_directory_is_read_where_it_is_and_a_new_one_is_begun() {
    let mut scene = Scene::new();
    // Three segments.
    scene.store(0..12_000);
    scene = scene.reopened();
    fs::rename(scene.spool(), scene.moved()).unwrap();
    scene.store(12_000..12_100);
    assert_eq!(scene.place(), scene.spool());
    // Nobody else delivers what is delivered from here.
    assert_eq!(holder(&scene.moved()), Some(process::id()));
    scene.assert_all_arrive(12_100);
}

#[test]
fn a_directory_that_is_moved_back_is_used_on() {
    let mut scene = Scene::new();
    scene.store(0..10);
    fs::rename(scene.parent(), scene.home.path().join("away")).unwrap();
    let waiting = scene.client.append(event(10)).unwrap();
    let is_told = || is_trouble(&scene.client, Removed::Directory);
    wait_until("the trouble to be told", PATIENCE, is_told).unwrap();
    let told = scene.client.health().to_string();
    assert!(told.contains("removed, moved or replaced"), "{told}");
    fs::rename(scene.home.path().join("away"), scene.parent()).unwrap();
    waiting.wait_stored(PATIENCE).unwrap();
    scene.store(11..20);
    scene.assert_all_arrive(20);
}

#[test]
fn without_its_parent_the_directory_is_not_made_and_nothing_is_called_stored() {
    let mut scene = Scene::new();
    scene.store(0..10);
    fs::remove_dir_all(scene.parent()).unwrap();
    let waiting = scene.client.append(event(10)).unwrap();
    let is_told = || is_trouble(&scene.client, Removed::Directory);
    wait_until("the trouble to be told", PATIENCE, is_told).unwrap();
    assert!(waiting.wait_stored(Duration::ZERO).is_err());
    assert!(!scene.parent().exists());
    fs::create_dir(scene.parent()).unwrap();
    waiting.wait_stored(PATIENCE).unwrap();
    scene.assert_all_arrive(11);
    assert!(scene.client.stats().spool.unwrap().trouble.is_none());
}

#[test]
fn where_another_process_has_begun_a_spool_meanwhile_a_place_beside_it_is_taken() {
    let mut scene = Scene::new();
    scene.store(0..10);
    fs::rename(scene.spool(), scene.moved()).unwrap();
    let mut agent = Agent::good();
    agent.stop();
    let other = client(&agent, &scene.spool());
    let receipt = other.append(event(0)).unwrap();
    receipt.wait_stored(PATIENCE).unwrap();
    scene.store(10..30);
    assert_eq!(scene.place(), scene.spool().join("process-2"));
    assert_eq!(other.stats().spool.unwrap().directory, scene.spool());
    assert!(receipt.wait_stored(PATIENCE).is_ok());
    scene.assert_all_arrive(30);
    agent.start_again([GOOD]);
    other.flush(PATIENCE).wait().unwrap();
    assert_each_once(agent.stored(), 1);
}

#[test]
fn what_was_removed_and_not_open_is_counted_as_lost_and_the_rest_arrives() {
    let mut scene = Scene::new();
    // Three segments.
    scene.store(0..12_000);
    scene = scene.reopened();
    fs::remove_dir_all(scene.spool()).unwrap();
    scene.store(12_000..12_010);
    scene.agent.start_again([GOOD]);
    let client = &scene.client;
    wait_until("the end", PATIENCE, || client.stats().pending == 0).unwrap();
    let stats = client.stats();
    assert_balanced(&stats);
    assert!(
        stats.lost.corrupt > 1000 && stats.delivered > 1000,
        "{stats:?}"
    );
    assert_eq!(stats.lost.corrupt + stats.delivered, 12_010, "{stats:?}");
    let arrived = scene.agent.stored();
    assert!((12_000..12_010).all(|number| arrived.contains(&number)));
    assert_eq!(arrived.len() as u64, stats.delivered);
}

#[test]
fn what_was_removed_is_not_reported_as_on_the_disk() {
    let scene = Scene::new();
    let receipt = scene.client.append(event(0)).unwrap();
    receipt.wait_stored(PATIENCE).unwrap();
    scene.store(1..10);
    fs::remove_dir_all(scene.spool()).unwrap();
    scene.store(10..15);
    let report = give_up(&scene.client, Duration::ZERO);
    assert_eq!((report.on_disk, report.pending), (5, 0), "{report:?}");
    assert_eq!(report.lost.corrupt, 10, "{report:?}");
    assert_balanced(&scene.client.stats());
    assert_eq!(receipt.wait(PATIENCE), Err(DeliveryError::Corrupt));
}

#[test]
fn a_removed_segment_is_delivered_as_far_as_it_is_open_and_the_next_one_is_begun() {
    let mut scene = Scene::new();
    scene.store(0..10);
    for entry in fs::read_dir(scene.spool()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with("seg-") {
            fs::remove_file(&path).unwrap();
        }
    }
    scene.store(10..20);
    scene.assert_all_arrive(20);
}

#[test]
fn a_removed_cursor_is_made_again() {
    let mut scene = Scene::new();
    scene.store(0..10);
    let cursor = scene.spool().join("cursor");
    fs::remove_file(&cursor).unwrap();
    scene.assert_all_arrive(10);
    wait_until("the cursor", PATIENCE, || cursor.exists()).unwrap();
    assert!(scene.client.close(PATIENCE).wait().is_complete());
    let next = client(&scene.agent, &scene.spool());
    assert_eq!(next.stats().recovered, 0);
}

#[test]
fn what_is_noted_of_a_directory_that_is_begun_anew_is_told_as_of_one_that_was_opened() {
    let mut scene = Scene::new();
    let (sender, told) = channel();
    let sender = Mutex::new(sender);
    let client = client_of(&[&scene.agent]).spool_free_bytes(0);
    let client = client.on_change(move |change: &Change| {
        // The test may be over.
        let _ = sender.lock().unwrap().send(change.clone());
    });
    assert!(scene.client.close(Duration::ZERO).wait().is_complete());
    scene.client = client.spool(scene.spool()).build().unwrap();
    scene.store(0..10);
    assert!(scene.client.stats().spool.unwrap().notes.is_empty());
    fs::rename(scene.spool(), scene.moved()).unwrap();
    fs::create_dir(scene.spool()).unwrap();
    fs::set_permissions(scene.spool(), Permissions::from_mode(0o2770)).unwrap();
    scene.store(10..20);
    assert_eq!(scene.place(), scene.spool());
    let noted = loop {
        if let Change::Noted(note) = told.recv_timeout(PATIENCE).unwrap() {
            break note;
        }
    };
    assert!(noted.contains("may be written to by group"), "{noted}");
    assert_eq!(*scene.client.stats().spool.unwrap().notes, [noted]);
    scene.assert_all_arrive(20);
}

#[test]
fn a_loss_of_the_directory_is_noticed_in_each_mode_of_syncing() {
    for mode in [
        flume_client::SyncMode::Os,
        flume_client::SyncMode::Interval(Duration::from_secs(3600)),
    ] {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("spool");
        let mut agent = Agent::good();
        agent.stop();
        let client = client_of(&[&agent])
            .spool(&path)
            .sync(mode)
            .spool_free_bytes(0);
        let client = client.build().unwrap();
        client
            .append(event(0))
            .unwrap()
            .wait_stored(PATIENCE)
            .unwrap();
        fs::remove_dir_all(&path).unwrap();
        client
            .append(event(1))
            .unwrap()
            .wait_stored(PATIENCE)
            .unwrap();
        assert_eq!(holder(&path), Some(process::id()), "{mode:?}");
    }
}
