//! Where a client may be built and used: anywhere.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use flume_client::{BuildError, Client, ClientBuilder, Overflow, Reliability};

use crate::support::{
    Agent, Answer, HOUR, PATIENCE, answers, append_all, assert_each_once, client_of,
    current_thread, event, one_worker, run_in,
};

#[test]
fn built_and_used_before_any_runtime_and_awaited_inside_one() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).build().unwrap();
    let receipt = client.append(event(0)).unwrap();
    for runtime in [current_thread(), one_worker()] {
        run_in(&runtime, receipt.delivered()).unwrap();
        run_in(&runtime, client.flush(HOUR)).unwrap();
    }
    let report = run_in(&current_thread(), client.close(HOUR));
    assert_eq!(report.delivered, 1);
}

#[test]
fn built_used_and_closed_inside_a_runtime() {
    for runtime in [current_thread(), one_worker()] {
        let agent = Agent::good();
        let report = run_in(&runtime, async {
            let client = client_of(&[&agent]).build().unwrap();
            client.ready(100).await;
            client.append(event(0)).unwrap().delivered().await.unwrap();
            drop(client.append(event(1)).unwrap());
            client.flush(HOUR).await.unwrap();
            drop(client.append(event(2)).unwrap());
            client.close(HOUR).await
        });
        assert_eq!(report.delivered, 3);
        assert_each_once(agent.stored(), 3);
    }
}

#[test]
fn used_by_blocking_waits_inside_a_runtime_of_one_thread() {
    for runtime in [current_thread(), one_worker()] {
        let agent = Agent::good();
        let client = client_of(&[&agent]).build().unwrap();
        let task = async {
            // Not what one should do there, but it must not hang.
            let receipt = client.append_within(event(0), PATIENCE).unwrap();
            receipt.wait(PATIENCE).unwrap();
            client.flush(PATIENCE).wait().unwrap();
            client.close(PATIENCE).wait()
        };
        assert!(run_in(&runtime, task).is_complete());
    }
}

#[test]
fn used_after_the_runtime_in_which_it_was_built_is_gone() {
    for runtime in [current_thread(), one_worker()] {
        let agent = Agent::good();
        let client = run_in(&runtime, async {
            let client = client_of(&[&agent]).build().unwrap();
            drop(client.append(event(0)).unwrap());
            client
        });
        drop(runtime);
        drop(client.append(event(1)).unwrap());
        assert_eq!(client.close(PATIENCE).wait().delivered, 2);
    }
}

static AGENT: LazyLock<Agent> = LazyLock::new(Agent::good);
static CLIENT: LazyLock<Client> = LazyLock::new(|| client_of(&[&AGENT]).build().unwrap());

#[test]
fn used_from_a_static_by_many_threads() {
    thread::scope(|scope| {
        for number in 0..8 {
            scope.spawn(move || {
                CLIENT
                    .append(event(number))
                    .unwrap()
                    .wait(PATIENCE)
                    .unwrap()
            });
        }
    });
    assert_each_once(AGENT.stored(), 8);
}

#[test]
fn a_hundred_runtimes_after_another_each_with_a_client_of_its_own() {
    let agent = Agent::good();
    for number in 0..100 {
        let client = client_of(&[&agent]).build().unwrap();
        run_in(&current_thread(), async {
            client
                .append(event(number))
                .unwrap()
                .delivered()
                .await
                .unwrap();
        });
    }
    assert_each_once(agent.stored(), 100);
}

/// Asks for a flush whenever the last one is through, on whatever thread that is.
struct Nagging {
    client: Mutex<Option<Client>>,
}

impl Nagging {
    fn ask(self: &Arc<Self>) {
        let asked = self.client.lock().unwrap();
        if let Some(client) = &*asked {
            let flush = std::pin::pin!(client.flush(Duration::ZERO));
            let waker = Waker::from(self.clone());
            drop(flush.poll(&mut Context::from_waker(&waker)));
        }
    }
}

impl Wake for Nagging {
    fn wake(self: Arc<Self>) {
        self.ask();
    }
}

#[test]
fn answers_are_taken_in_though_a_caller_never_stops_asking() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).build().unwrap();
    let nagging = Arc::new(Nagging {
        client: Mutex::new(Some(client.clone())),
    });
    nagging.ask();
    let receipts = append_all(&client, 0..300);
    let acknowledged = receipts
        .iter()
        .all(|receipt| receipt.wait(PATIENCE / 5).is_ok());
    drop(nagging.client.lock().unwrap().take());
    assert!(acknowledged);
}

/// Every way in which `build` can fail that a caller can bring about.
fn builders_that_fail() -> Vec<ClientBuilder> {
    let builder = || Client::builder().agent("avro://localhost:1");
    let file = std::env::current_exe().unwrap();
    vec![
        Client::builder(),
        Client::builder().agent("localhost"),
        builder().batch_events(0),
        builder().buffer_bytes(1),
        builder().spool_bytes(1).spool("/tmp/unused"),
        builder().connect_timeout(Duration::ZERO),
        builder().reliability(Reliability::EndToEnd),
        builder()
            .overflow(Overflow::DropOldest)
            .spool("/tmp/unused"),
        builder().spool(file),
        builder().spool("/proc/no-spool-here"),
        builder().spool("/dev/null/below-a-file"),
    ]
}

#[test]
fn a_build_that_fails_in_async_code_returns_its_error() {
    for runtime in [current_thread(), one_worker()] {
        run_in(&runtime, async {
            for builder in builders_that_fail() {
                assert!(builder.clone().build().is_err(), "{builder:?}");
            }
        });
    }
    let task = one_worker();
    let spawned = run_in(&task, async {
        tokio::spawn(async {
            builders_that_fail()
                .into_iter()
                .filter(|it| it.clone().build().is_ok())
                .count()
        })
        .await
    });
    assert_eq!(spawned.unwrap(), 0);
}

#[test]
fn a_spool_that_another_client_has_is_an_error_in_async_code_too() {
    for runtime in [current_thread(), one_worker()] {
        let directory = tempfile::tempdir().unwrap();
        let builder = || {
            let builder = Client::builder().agent("avro://localhost:1");
            builder.spool(directory.path()).spool_shared(false)
        };
        let _holder = builder().build().unwrap();
        run_in(&runtime, async {
            let error = builder().build().unwrap_err();
            assert!(matches!(error, BuildError::Spool(_)), "{error}");
        });
    }
}

/// Foreign code that panics whenever it is called.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        std::panic::resume_unwind(Box::new(PanicsAgain));
    }
}

/// A panic's payload whose end is another panic.
struct PanicsAgain;

impl Drop for PanicsAgain {
    fn drop(&mut self) {
        std::panic::resume_unwind(Box::new("and again"));
    }
}

fn poll_once(future: impl Future) {
    let waker = Waker::from(Arc::new(Panics));
    drop(pin!(future).poll(&mut Context::from_waker(&waker)));
}

#[test]
fn a_waker_that_panics_costs_nobody_else_anything() {
    check_panicking_wakers(Reliability::EndToEnd);
}

#[test]
fn a_waker_that_panics_costs_nobody_else_anything_with_store_on_failure() {
    check_panicking_wakers(Reliability::StoreOnFailure);
}

#[test]
fn a_waker_that_panics_costs_nobody_else_anything_in_memory() {
    check_panicking_wakers(Reliability::InMemory);
}

#[test]
fn a_waker_that_panics_costs_nobody_else_anything_at_best_effort() {
    check_panicking_wakers(Reliability::BestEffort);
}

fn check_panicking_wakers(level: Reliability) {
    let agent = Agent::scripted([answers(Answer::OkWhenReleased)]);
    let directory = tempfile::tempdir().unwrap();
    let client = client_of(&[&agent])
        .spool(directory.path())
        .reliability(level)
        .build()
        .unwrap();
    let receipts = append_all(&client, 0..3);
    // The futures stay where they were polled until the end of the test.
    let (mut stored, mut delivered) = (receipts[0].stored(), receipts[0].delivered());
    let (mut flush, mut ready) = (client.flush(HOUR), client.ready(1));
    let waker = Waker::from(Arc::new(Panics));
    let context = &mut Context::from_waker(&waker);
    drop(Pin::new(&mut stored).poll(context));
    drop(Pin::new(&mut delivered).poll(context));
    drop(Pin::new(&mut flush).poll(context));
    assert!(Pin::new(&mut ready).poll(context).is_ready());
    poll_once(client.flush(HOUR));
    agent.release();
    for receipt in &receipts {
        receipt.wait(PATIENCE).unwrap();
    }
    let later = append_all(&client, 3..300);
    for receipt in &later {
        receipt.wait_stored(PATIENCE).unwrap();
        receipt.wait(PATIENCE).unwrap();
    }
    let mut close = client.close(PATIENCE);
    let _ = Pin::new(&mut close).poll(context);
    let report = client.close(PATIENCE).wait();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.delivered, 300);
}
