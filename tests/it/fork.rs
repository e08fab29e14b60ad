//! A service that forks: what its client is in the child, and what of the parent the child keeps.

use std::fs::{self, File};
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use flume_client::error::Refusal;
use flume_client::spool::{Directory, DirectoryError, NetworkFileSystem};
use flume_client::{Client, DeliveryError, Event, Problem, Receipt, Reliability, StoreError};
use rustix::io::{FdFlags, fcntl_setfd};
use tempfile::TempDir;

use crate::support::{
    Agent, HOUR, Other, PATIENCE, Port, alone, append_all, client_at, client_of, event, in_child,
    tell, wait_for_end,
};

fn spooled(agent: &Agent, directory: &Path) -> Client {
    let client = client_of(&[agent]).spool(directory).spool_free_bytes(0);
    client.build().unwrap()
}

/// Everything that a child can ask of its parent's client and of a receipt of it.
fn check_in_child(parent: u32, client: Client, waiting: &Receipt) {
    let forked = |refusal: &Refusal| *refusal == Refusal::Forked { process: parent };
    for number in 0..3 {
        let error = client.append(event(number)).unwrap_err();
        assert!(forked(error.refusal()), "{error}");
    }
    let error = client.append_within(event(3), HOUR).unwrap_err();
    assert!(forked(error.refusal()), "{error}");
    let error = client.append_batch(vec![event(4), event(5)]).unwrap_err();
    assert!(forked(error.refusal()), "{error}");
    let stats = client.stats();
    assert_eq!((stats.accepted, stats.refused.forked), (0, 6), "{stats:?}");
    let health = client.health();
    assert!(
        matches!(health.problems[..], [Problem::Forked { process }] if process == parent),
        "{health}"
    );
    assert!(client.ready(1).wait(HOUR));
    let error = client.flush(HOUR).wait().unwrap_err();
    assert_eq!(error.forked_from, Some(parent));
    let process = parent;
    assert_eq!(waiting.wait(HOUR), Err(DeliveryError::Forked { process }));
    assert_eq!(
        waiting.wait_stored(HOUR),
        Err(StoreError::Forked { process })
    );
    let report = client.close(HOUR).wait();
    assert_eq!((report.delivered, report.pending), (0, 0));
    drop(client);
}

#[test]
fn children_that_are_forked_under_load_take_nothing_and_hang_nowhere() {
    let test = "fork::children_that_are_forked_under_load_take_nothing_and_hang_nowhere";
    check_forked_under_load(test, [Reliability::InMemory, Reliability::EndToEnd]);
}

#[test]
fn children_that_are_forked_at_the_levels_between_take_nothing_and_hang_nowhere() {
    let test = "fork::children_that_are_forked_at_the_levels_between_take_nothing_and_hang_nowhere";
    let levels = [Reliability::BestEffort, Reliability::StoreOnFailure];
    check_forked_under_load(test, levels);
}

/// `test` is the name of the calling test.
fn check_forked_under_load(test: &str, levels: [Reliability; 2]) {
    alone(test, || {
        let home = TempDir::new().unwrap();
        let agent = Agent::good();
        let clients = levels.map(|level| {
            let client = client_of(&[&agent]).spool(home.path()).spool_free_bytes(0);
            client.reliability(level).build().unwrap()
        });
        // Taken, and not to be delivered nor stored while this runs.
        let waits = client_at([Port::reserve().url()]).build().unwrap();
        let waiting = append_all(&waits, 0..1).remove(0);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for client in &clients {
                for _ in 0..2 {
                    scope.spawn(|| {
                        while !is_over.load(Ordering::Relaxed) {
                            let _ = client.append(Event::new([b'x'; 100]));
                        }
                    });
                }
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        let _ = (client.stats(), client.ready(1).wait(Duration::ZERO));
                    }
                });
            }
            let parent = std::process::id();
            for round in 0..40 {
                let client = &clients[round % 2];
                let mut last = None;
                while last.is_none() {
                    last = client.append(Event::new([b'y'; 100])).ok();
                }
                let last = last.unwrap();
                let child = in_child(|| {
                    // It may be stored already, but not acknowledged that anybody here could know.
                    let outcome = last.wait(HOUR);
                    let process = parent;
                    assert_eq!(outcome, Err(DeliveryError::Forked { process }));
                    // A copy that the parent's threads hold keeps the drop from being the last.
                    check_in_child_of_memory(parent, client, &waiting);
                });
                child.wait();
            }
            is_over.store(true, Ordering::Relaxed);
        });
        for client in clients {
            let stats = client.stats();
            assert_eq!(stats.refused.forked, 0);
            // As much as four threads could append all that time.
            let report = client.close(PATIENCE * 12).wait();
            assert!(report.is_complete(), "{report:?}");
        }
        drop(waits.close(Duration::ZERO));
    });
}

/// The same with a receipt of a client without a spool, whose events are stored when they are taken.
fn check_in_child_of_memory(parent: u32, client: &Client, waiting: &Receipt) {
    let process = parent;
    assert_eq!(waiting.wait(HOUR), Err(DeliveryError::Forked { process }));
    assert_eq!(waiting.wait_stored(HOUR), Ok(()));
    let error = client.append(event(0)).unwrap_err();
    assert_eq!(*error.refusal(), Refusal::Forked { process });
    assert_eq!(client.stats().accepted, 0);
    assert!(client.ready(1).wait(HOUR));
    assert_eq!(
        client.flush(HOUR).wait().unwrap_err().forked_from,
        Some(parent)
    );
    let _ = client.close(HOUR).wait();
}

#[test]
fn in_a_child_every_call_and_every_wait_says_whose_client_it_is() {
    let test = "fork::in_a_child_every_call_and_every_wait_says_whose_client_it_is";
    alone(test, || {
        let home = TempDir::new().unwrap();
        let waits = client_at([Port::reserve().url()])
            .spool(home.path())
            .spool_free_bytes(1 << 50)
            .build()
            .unwrap();
        let waiting = append_all(&waits, 0..1).remove(0);
        let parent = std::process::id();
        // Waits that were begun before the fork.
        let mut delivered = pin!(waiting.delivered());
        let mut stored = pin!(waiting.stored());
        let mut flush = pin!(waits.flush(HOUR));
        let mut ready = pin!(waits.ready(40 * 1024 * 1024));
        let mut context = Context::from_waker(Waker::noop());
        assert!(delivered.as_mut().poll(&mut context).is_pending());
        assert!(stored.as_mut().poll(&mut context).is_pending());
        assert!(flush.as_mut().poll(&mut context).is_pending());
        let _ = ready.as_mut().poll(&mut context);
        let child = in_child(|| {
            let process = parent;
            let outcome = delivered.as_mut().poll(&mut context);
            assert_eq!(outcome, Poll::Ready(Err(DeliveryError::Forked { process })));
            let outcome = stored.as_mut().poll(&mut context);
            assert_eq!(outcome, Poll::Ready(Err(StoreError::Forked { process })));
            let Poll::Ready(Err(error)) = flush.as_mut().poll(&mut context) else {
                unreachable!("a flush that pends or is done");
            };
            assert_eq!(error.forked_from, Some(parent));
            assert!(ready.as_mut().poll(&mut context).is_ready());
            check_in_child(parent, waits.clone(), &waiting);
        });
        child.wait();
        let stats = waits.stats();
        assert_eq!((stats.accepted, stats.pending), (1, 1), "{stats:?}");
        drop(waits.close(Duration::ZERO));
    });
}

#[test]
fn a_child_that_builds_a_client_of_its_own_has_it_beside_its_parent_s() {
    let test = "fork::a_child_that_builds_a_client_of_its_own_has_it_beside_its_parent_s";
    alone(test, || {
        let home = TempDir::new().unwrap();
        let agent = Agent::good();
        let ours = spooled(&agent, home.path());
        append_all(&ours, 0..1)[0].wait(PATIENCE).unwrap();
        let child = in_child(|| {
            let own = spooled(&agent, home.path());
            append_all(&own, 1..2)[0].wait(PATIENCE).unwrap();
            // And a child of the child.
            let grandchild = in_child(|| {
                assert!(own.append(event(9)).is_err());
                assert!(ours.append(event(9)).is_err());
                let own = spooled(&agent, home.path());
                append_all(&own, 2..3)[0].wait(PATIENCE).unwrap();
                assert!(own.close(PATIENCE).wait().is_complete());
            });
            grandchild.wait();
            assert!(own.close(PATIENCE).wait().is_complete());
        });
        child.wait();
        append_all(&ours, 3..4)[0].wait(PATIENCE).unwrap();
        assert!(ours.close(PATIENCE).wait().is_complete());
        let mut stored = agent.stored();
        stored.sort_unstable();
        assert_eq!(stored, [0, 1, 2, 3]);
    });
}

#[test]
fn the_spool_of_a_dead_parent_is_free_while_its_child_lives() {
    let test = "fork::the_spool_of_a_dead_parent_is_free_while_its_child_lives";
    if let Some(directory) = Other::role() {
        let nobody = client_at([Port::reserve().url()]).spool(directory);
        let client = nobody.spool_free_bytes(0).build().unwrap();
        let receipt = append_all(&client, 0..1).remove(0);
        receipt.wait_stored(PATIENCE).unwrap();
        let _child = in_child(|| {
            // Not the parent: the child lets go as soon as it runs.
            tell(std::process::id());
            wait_for_end();
        });
        return wait_for_end();
    }
    let home = TempDir::new().unwrap();
    let mut parent = Other::start(test, home.path().to_str().unwrap());
    let child = parent.told();
    let open = || Directory::open(home.path(), NetworkFileSystem::Refused);
    assert!(
        matches!(open(), Err(DirectoryError::Locked { .. })),
        "it lives"
    );
    parent.kill();
    let agent = Agent::good();
    let client = client_of(&[&agent]).spool(home.path()).spool_shared(false);
    let client = client.spool_free_bytes(0).build().unwrap();
    assert!(client.flush(PATIENCE).wait().is_ok());
    assert_eq!(agent.stored(), [0]);
    assert!(Path::new(&format!("/proc/{child}")).exists(), "it lives");
}

#[test]
fn a_connection_ends_with_the_parent_while_its_child_lives() {
    let test = "fork::a_connection_ends_with_the_parent_while_its_child_lives";
    if let Some(url) = Other::role() {
        let client = client_at([url]).build().unwrap();
        drop(append_all(&client, 0..1));
        // The agent has the first bytes when it says so.
        std::io::stdin().read_exact(&mut [0]).unwrap();
        let _child = in_child(|| {
            // Not the parent: the child lets go as soon as it runs.
            tell(std::process::id());
            wait_for_end();
        });
        return wait_for_end();
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("avro://{}", listener.local_addr().unwrap());
    let mut parent = Other::start(test, &url);
    let (mut connection, _) = listener.accept().unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection.read_exact(&mut [0]).unwrap();
    parent.say(b"!");
    let child = parent.told();
    parent.kill();
    let rest = std::io::copy(&mut connection, &mut std::io::sink());
    let has_ended = rest.map_or_else(
        |error| error.kind() == std::io::ErrorKind::ConnectionReset,
        |_| true,
    );
    assert!(has_ended, "the child keeps it open");
    assert!(Path::new(&format!("/proc/{child}")).exists(), "it lives");
}

#[test]
fn whoever_holds_the_lock_of_a_dead_process_is_named() {
    let home = TempDir::new().unwrap();
    let open = || Directory::open(home.path(), NetworkFileSystem::Refused);
    drop(open().unwrap());
    let mut dead = Command::new("true").spawn().unwrap();
    let taker = dead.id();
    dead.wait().unwrap();
    // Taken as a client does, and handed on past our knowledge.
    let path = home.path().join("LOCK");
    fs::write(&path, format!("{taker}\n")).unwrap();
    let lock = File::options().write(true).open(&path).unwrap();
    lock.try_lock().unwrap();
    fcntl_setfd(&lock, FdFlags::empty()).unwrap();
    let mut heir = Command::new("cat");
    let mut heir = heir.stdin(Stdio::piped()).spawn().unwrap();
    drop(lock);
    let error = open().unwrap_err();
    let told = error.to_string();
    let DirectoryError::Locked { holder, .. } = error else {
        unreachable!("{told}");
    };
    assert_eq!(holder.process, Some(heir.id()), "{told}");
    assert_eq!(holder.forked_from, Some(taker), "{told}");
    assert_eq!(Directory::holder(home.path()).unwrap(), Some(holder));
    for process in [heir.id(), taker] {
        assert!(told.contains(&format!("process {process}")), "{told}");
    }
    drop(heir.stdin.take());
    heir.wait().unwrap();
    drop(open().unwrap());
}
