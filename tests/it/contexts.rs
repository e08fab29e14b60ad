//! Where a client may be built and used: anywhere.

use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use flume_client::Client;

use crate::support::{
    Agent, HOUR, PATIENCE, append_all, assert_each_once, client_of, current_thread, event,
    one_worker, run_in,
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
