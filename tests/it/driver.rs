//! Clients whose sender is a future of the service's, and no thread.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use flume_client::error::Refusal;
use flume_client::{Backoff, Client, DeliveryError, Driver, Event, Reliability, Report};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use crate::support::{
    Agent, Answer, HOUR, PATIENCE, Port, alone, answers, append_all, assert_balanced,
    assert_each_once, block_on, client_at, client_of, event, give_up, run_in, threads,
};

/// A service of one thread.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// The same, in which time passes when there is nothing to do.
fn runtime_without_time() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
}

/// A client of an agent that is not there.
fn unheard() -> (Client, Driver) {
    let client = client_at([Port::reserve().url()]).backoff(Backoff::default());
    client.build_with_driver().unwrap()
}

fn poll(driver: &mut Driver) -> Poll<Report> {
    Pin::new(driver).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn on_the_only_thread_of_a_service_it_delivers_and_tells_what_became_of_all_events() {
    let test =
        "driver::on_the_only_thread_of_a_service_it_delivers_and_tells_what_became_of_all_events";
    alone(test, || {
        let agent = Agent::good();
        let before = threads();
        let (client, driver) = client_of(&[&agent]).build_with_driver().unwrap();
        assert_eq!(threads(), before, "no thread is started");
        let report = run_in(&runtime(), async {
            let driver = tokio::spawn(driver);
            for number in 0..10 {
                let receipt = client.append_async(event(number)).await.unwrap();
                receipt.delivered().await.unwrap();
            }
            append_all(&client, 10..1000);
            client.flush(PATIENCE).await.unwrap();
            let report = client.close(PATIENCE).await;
            assert_eq!(driver.await.unwrap(), report);
            report
        });
        assert!(report.is_complete(), "{report:?}");
        assert_each_once(agent.stored(), 1000);
    });
}

#[test]
fn a_driver_may_be_polled_by_one_task_after_another() {
    let agent = Agent::good();
    let (client, mut driver) = client_of(&[&agent]).build_with_driver().unwrap();
    append_all(&client, 0..100);
    let receipt = client.append(event(100)).unwrap();
    // Its connection belongs to this runtime; the task that polls it may be any.
    let runtime = runtime();
    let mut delivered = pin!(receipt.delivered());
    let either = poll_fn(|context| {
        assert!(Pin::new(&mut driver).poll(context).is_pending());
        delivered.as_mut().poll(context)
    });
    run_in(&runtime, either).unwrap();
    drop(client);
    assert!(run_in(&runtime, driver).is_complete());
    assert_each_once(agent.stored(), 101);
}

#[test]
fn time_is_the_runtimes_so_an_hour_without_an_agent_passes_at_once() {
    let (client, driver) = unheard();
    let receipts = append_all(&client, 0..10);
    let runtime = runtime_without_time();
    let report = runtime.block_on(async {
        let started = Instant::now();
        let driver = tokio::spawn(driver);
        let report = client.close(HOUR).await;
        let took = started.elapsed();
        assert!(
            took >= HOUR && took < HOUR + Duration::from_secs(1),
            "{took:?}"
        );
        assert_eq!(driver.await.unwrap(), report);
        report
    });
    assert_eq!((report.lost.closed, report.pending), (10, 0));
    // It rests for 30 s at the most.
    assert!(client.stats().connects > 3600 / 30, "{:?}", client.stats());
    for receipt in receipts {
        let lost = receipt.wait(Duration::ZERO).unwrap_err();
        assert!(matches!(lost, DeliveryError::Closed { .. }), "{lost}");
    }
}

#[test]
fn a_driver_that_is_never_polled_lets_nobody_wait_longer_than_was_said_and_no_buffer_grow() {
    let client = client_at([Port::reserve().url()]).buffer_bytes(64 * 1024);
    let (client, driver) = client.event_bytes(4096).build_with_driver().unwrap();
    let taken = (0..).take_while(|number| match client.append(event(*number)) {
        Ok(_) => true,
        Err(error) => {
            assert!(matches!(error.refusal(), Refusal::Full { .. }), "{error}");
            false
        }
    });
    let taken = taken.count() as u64;
    assert!(taken > 100);
    assert!(!client.ready(4096).wait(Duration::from_millis(1)));
    let error = block_on(client.flush(Duration::ZERO)).unwrap_err();
    assert_eq!(error.pending, taken);
    let report = block_on(client.close(Duration::ZERO));
    assert_eq!((report.pending, report.lost.total()), (taken, 0));
    let error = client.append(event(0)).unwrap_err();
    assert_eq!(*error.refusal(), Refusal::Closed);
    // It would have done what was asked in the end.
    drop(client);
    let report = run_in(&runtime(), driver);
    assert_eq!((report.pending, report.lost.closed), (0, taken));
}

#[test]
fn a_driver_that_is_dropped_closes_its_client_and_tells_everybody() {
    check_dropped_driver(Reliability::InMemory);
}

#[test]
fn a_driver_that_is_dropped_tells_everybody_at_best_effort_too() {
    check_dropped_driver(Reliability::BestEffort);
}

fn check_dropped_driver(level: Reliability) {
    let agent = Agent::scripted([answers(Answer::Unanswered)]);
    let client = client_of(&[&agent]).linger(HOUR).reliability(level);
    let (client, driver) = client.build_with_driver().unwrap();
    let sent = append_all(&client, 0..100);
    let runtime = runtime();
    let driving = runtime.spawn(driver);
    run_in(&runtime, async {
        while agent.requests().is_empty() {
            tokio::task::yield_now().await;
        }
    });
    let unsent = append_all(&client, 100..150);
    let (flush, close) = (client.flush(HOUR), client.close(HOUR));
    // With the task of the driver in it.
    drop(runtime);
    drop(driving);
    for receipt in sent {
        let lost = receipt.wait(Duration::ZERO).unwrap_err();
        assert!(matches!(lost, DeliveryError::Unknown { .. }), "{lost}");
    }
    for receipt in unsent {
        let lost = receipt.wait(Duration::ZERO).unwrap_err();
        assert!(matches!(lost, DeliveryError::Closed { .. }), "{lost}");
    }
    flush.wait().unwrap();
    let report = close.wait();
    let lost = (report.lost.unknown, report.lost.closed);
    assert_eq!((lost, report.pending), ((100, 50), 0));
    let refused = client.append(event(150)).unwrap_err();
    assert_eq!(*refused.refusal(), Refusal::Closed);
    assert!(client.ready(1).wait(HOUR));
    assert_balanced(&client.stats());
}

#[test]
fn a_driver_that_is_dropped_before_its_first_poll_leaves_what_is_stored_to_the_next_client() {
    check_driver_dropped_before_its_first_poll(Reliability::EndToEnd);
}

#[test]
fn a_driver_that_is_dropped_puts_on_the_disk_what_store_on_failure_has_in_memory() {
    check_driver_dropped_before_its_first_poll(Reliability::StoreOnFailure);
}

fn check_driver_dropped_before_its_first_poll(level: Reliability) {
    let directory = tempfile::tempdir().unwrap();
    let agent = Agent::good();
    let spooled = || {
        let client = client_of(&[&agent]).spool(directory.path());
        client.spool_free_bytes(0).reliability(level)
    };
    let (client, driver) = spooled().build_with_driver().unwrap();
    let receipts = append_all(&client, 0..100);
    if level == Reliability::EndToEnd {
        for receipt in &receipts {
            receipt.wait_stored(PATIENCE).unwrap();
        }
    }
    drop(driver);
    let report = give_up(&client, PATIENCE);
    assert_eq!((report.on_disk, report.lost.total()), (100, 0));
    for receipt in receipts {
        assert_eq!(receipt.wait(PATIENCE), Err(DeliveryError::InSpool));
    }
    drop(client);
    let (client, driver) = spooled().build_with_driver().unwrap();
    assert_eq!(client.stats().recovered, 100);
    drop(client.close(PATIENCE));
    assert_eq!(run_in(&runtime(), driver).delivered, 100);
    assert_each_once(agent.stored(), 100);
}

#[test]
fn dropping_the_last_clone_on_the_thread_that_drives_waits_for_nothing_and_gives_a_second() {
    let (client, driver) = unheard();
    append_all(&client, 0..10);
    let report = runtime_without_time().block_on(async {
        let started = Instant::now();
        let driver = tokio::spawn(driver);
        tokio::task::yield_now().await;
        drop(client);
        assert_eq!(started.elapsed(), Duration::ZERO);
        let report = driver.await.unwrap();
        let took = started.elapsed();
        let second = Duration::from_secs(1);
        assert!(took >= second && took < 2 * second, "{took:?}");
        report
    });
    assert_eq!(report.lost.closed, 10);
}

#[test]
fn code_of_the_service_on_the_drivers_thread_is_the_services() {
    let agent = Agent::good();
    let (client, driver) = client_of(&[&agent]).build_with_driver().unwrap();
    run_in(&runtime(), async {
        let driver = tokio::spawn(driver);
        let receipt = client.append(Event::new("event 0")).unwrap();
        receipt.delivered().await.unwrap();
        assert!(!flume_client::is_own_thread());
        drop(client);
        assert!(driver.await.unwrap().is_complete());
        assert!(!flume_client::is_own_thread());
    });
}

#[test]
fn a_driver_that_is_polled_where_no_runtime_is_says_so_and_costs_no_event() {
    let agent = Agent::good();
    let (client, mut driver) = client_of(&[&agent]).build_with_driver().unwrap();
    append_all(&client, 0..10);
    let polled = catch_unwind(AssertUnwindSafe(|| poll(&mut driver)));
    let panic = polled.unwrap_err();
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or(panic.downcast_ref::<&str>().copied()).unwrap();
    assert!(words.contains("Tokio 1.x runtime"), "{words}");
    drop(client.close(PATIENCE));
    assert!(run_in(&runtime(), driver).is_complete());
    assert_each_once(agent.stored(), 10);
}

#[cfg(target_os = "linux")]
#[test]
fn in_a_forked_child_a_driver_ends_at_once_and_the_parents_goes_on() {
    let test = "driver::in_a_forked_child_a_driver_ends_at_once_and_the_parents_goes_on";
    alone(test, || {
        let agent = Agent::good();
        let (client, driver) = client_of(&[&agent]).build_with_driver().unwrap();
        let (runtime, mut driver) = (runtime(), Some(driver));
        append_all(&client, 0..100);
        run_in(&runtime, async {
            while agent.stored().is_empty() {
                let mut driver = driver.as_mut().unwrap();
                let _ = poll_fn(|context| Poll::Ready(Pin::new(&mut driver).poll(context))).await;
                tokio::task::yield_now().await;
            }
        });
        append_all(&client, 100..200);
        let child = crate::support::in_child(|| {
            let mut inherited = driver.take().unwrap();
            let Poll::Ready(report) = poll(&mut inherited) else {
                unreachable!("it goes on in the child");
            };
            assert_eq!((report.delivered, report.pending), (0, 0));
            drop(inherited);
            drop(block_on(client.close(HOUR)));
        });
        child.wait();
        drop(client.close(PATIENCE));
        let report = run_in(&runtime, driver.take().unwrap());
        assert!(report.is_complete(), "{report:?}");
        assert_each_once(agent.stored(), 200);
    });
}
