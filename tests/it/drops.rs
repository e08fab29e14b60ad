//! A client that is dropped without a close.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use flume_client::{Client, DeliveryError, Receipt, Reliability};
use tempfile::TempDir;

use crate::support::{
    Agent, Answer, HOUR, PATIENCE, Port, answers, append_all, assert_each_once, client_at,
    client_of, current_thread, event, give_up, one_worker, run_in,
};

#[test]
fn on_a_plain_thread_the_drop_sends_what_is_there() {
    check_drop_sends(Reliability::InMemory);
}

#[test]
fn at_best_effort_too_the_drop_sends_what_is_there() {
    check_drop_sends(Reliability::BestEffort);
}

fn check_drop_sends(level: Reliability) {
    let agent = Agent::good();
    let client = client_of(&[&agent]).linger(HOUR).reliability(level);
    let client = client.build().unwrap();
    append_all(&client, 0..250);
    drop(client);
    assert_each_once(agent.stored(), 250);
}

#[test]
fn on_a_plain_thread_the_drop_gives_up_after_a_second() {
    let client = client_at([Port::reserve().url()]).build().unwrap();
    let receipt = client.append(event(0)).unwrap();
    drop(client);
    assert_eq!(
        receipt.wait(PATIENCE),
        Err(DeliveryError::Closed { cause: None })
    );
}

#[test]
fn only_the_last_clone_closes() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).build().unwrap();
    drop(client.clone());
    let receipt = client.append(event(0)).unwrap();
    receipt.wait(PATIENCE).unwrap();
}

/// An agent that never answers, and a client with one event under way to it.
fn waiting_client() -> (Agent, Client, Receipt) {
    let agent = Agent::scripted([answers(Answer::Unanswered)]);
    let client = client_of(&[&agent]).build().unwrap();
    let receipt = client.append(event(0)).unwrap();
    agent.wait_for_requests(1);
    (agent, client, receipt)
}

/// The agent answers nothing, so what became of the event is known only after the drop's second.
#[track_caller]
fn assert_drop_waited(receipt: &Receipt) {
    let known = receipt.wait(Duration::ZERO);
    assert_eq!(
        known,
        Err(DeliveryError::Unknown { cause: None }),
        "the drop has waited"
    );
}

#[test]
fn inside_a_current_thread_runtime_the_drop_waits_its_second() {
    let (_agent, client, receipt) = waiting_client();
    current_thread().block_on(async move { drop(client) });
    assert_drop_waited(&receipt);
}

#[test]
fn inside_a_task_of_a_runtime_with_one_worker_the_drop_waits_its_second() {
    let runtime = one_worker();
    let (_agent, client, receipt) = waiting_client();
    let dropped = run_in(&runtime, async {
        tokio::spawn(async move { drop(client) }).await
    });
    dropped.unwrap();
    assert_drop_waited(&receipt);
}

#[test]
fn with_the_runtime_that_owns_it_the_drop_sends_what_is_there_and_does_not_panic() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).linger(HOUR).build().unwrap();
    append_all(&client, 0..250);
    let runtime = one_worker();
    runtime.spawn(async move {
        std::future::pending::<()>().await;
        drop(client);
    });
    drop(runtime);
    assert_each_once(agent.stored(), 250);
}

#[test]
fn during_a_panic_the_drop_sends_what_is_there() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).linger(HOUR).build().unwrap();
    append_all(&client, 0..250);
    let panicked = catch_unwind(AssertUnwindSafe(move || {
        let _client = client;
        std::panic::resume_unwind(Box::new("a caller's panic"));
    }));
    panicked.unwrap_err();
    assert_each_once(agent.stored(), 250);
}

/// Runs `test` once more, in a process where `FLUME_TEST_DROPS` is `value`, and returns what that
/// process wrote to stderr.
fn child(test: &str, value: &str) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]);
    let output = command.env(CHILD, value).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}");
    String::from_utf8(output.stderr).unwrap()
}

const CHILD: &str = "FLUME_TEST_DROPS";

/// What the client itself says in such a process.
fn words_of_the_client(stderr: &str) -> Vec<&str> {
    let lines = stderr.lines();
    lines
        .filter(|line| line.starts_with("flume-client: "))
        .collect()
}

#[test]
fn a_program_of_one_async_main_without_a_close_loses_nothing() {
    let test = "drops::a_program_of_one_async_main_without_a_close_loses_nothing";
    if let Ok(url) = std::env::var(CHILD) {
        return current_thread().block_on(async move {
            let client = client_at([url]).build().unwrap();
            append_all(&client, 0..1000);
        });
    }
    let agent = Agent::good();
    let stderr = child(test, &agent.url());
    assert_each_once(agent.stored(), 1000);
    assert!(words_of_the_client(&stderr).is_empty(), "{stderr}");
}

#[test]
fn what_is_lost_by_a_drop_is_told_in_one_line() {
    let test = "drops::what_is_lost_by_a_drop_is_told_in_one_line";
    if let Ok(url) = std::env::var(CHILD) {
        let client = client_at([url]).build().unwrap();
        append_all(&client, 0..7);
        return;
    }
    let stderr = child(test, &Port::reserve().url());
    let words = words_of_the_client(&stderr);
    assert_eq!(words.len(), 1, "{stderr}");
    assert!(words[0].contains("7 events"), "{stderr}");
    assert!(words[0].contains("close"), "what to do: {stderr}");
}

#[test]
fn what_is_stored_outlives_a_drop_and_the_next_client_delivers_it() {
    let home = TempDir::new().unwrap();
    let spooled = |url: String| {
        client_at([url])
            .spool(home.path())
            .spool_free_bytes(0)
            .build()
    };
    let client = spooled(Port::reserve().url()).unwrap();
    let receipts = append_all(&client, 0..7);
    receipts.last().unwrap().wait_stored(PATIENCE).unwrap();
    drop(client);
    assert_eq!(receipts[0].wait(PATIENCE), Err(DeliveryError::InSpool));
    let agent = Agent::good();
    let client = spooled(agent.url()).unwrap();
    assert_eq!(client.stats().recovered, 7);
    client.flush(PATIENCE).wait().unwrap();
    assert_each_once(agent.stored(), 7);
}

#[test]
fn a_drop_after_a_close_that_lost_events_says_nothing() {
    let test = "drops::a_drop_after_a_close_that_lost_events_says_nothing";
    if let Ok(url) = std::env::var(CHILD) {
        let client = client_at([url]).build().unwrap();
        append_all(&client, 0..7);
        assert_eq!(give_up(&client, Duration::ZERO).lost.closed, 7);
        return;
    }
    let stderr = child(test, &Port::reserve().url());
    assert!(words_of_the_client(&stderr).is_empty(), "{stderr}");
}

static CLIENT: OnceLock<Client> = OnceLock::new();

#[test]
fn a_guard_in_main_sends_what_a_client_in_a_static_has() {
    let test = "drops::a_guard_in_main_sends_what_a_client_in_a_static_has";
    check_guard_in_main(test, Reliability::InMemory);
}

#[test]
fn a_guard_in_main_sends_what_a_client_in_a_static_has_end_to_end() {
    let test = "drops::a_guard_in_main_sends_what_a_client_in_a_static_has_end_to_end";
    check_guard_in_main(test, Reliability::EndToEnd);
}

#[test]
fn a_guard_in_main_sends_what_a_client_in_a_static_has_with_store_on_failure() {
    let test = "drops::a_guard_in_main_sends_what_a_client_in_a_static_has_with_store_on_failure";
    check_guard_in_main(test, Reliability::StoreOnFailure);
}

#[test]
fn a_guard_in_main_sends_what_a_client_in_a_static_has_at_best_effort() {
    let test = "drops::a_guard_in_main_sends_what_a_client_in_a_static_has_at_best_effort";
    check_guard_in_main(test, Reliability::BestEffort);
}

/// `test` is the name of the calling test.
fn check_guard_in_main(test: &str, level: Reliability) {
    if let Ok(role) = std::env::var(CHILD) {
        let (url, directory) = role.split_once(' ').unwrap();
        let client = CLIENT.get_or_init(|| {
            let client = client_at([url.to_owned()]).linger(HOUR).spool(directory);
            client
                .spool_free_bytes(0)
                .reliability(level)
                .build()
                .unwrap()
        });
        let guard = client.close_on_drop(PATIENCE);
        append_all(client, 0..1000);
        drop(guard);
        assert!(client.append(event(1000)).is_err(), "it is closed");
        // Runs no destructors.
        std::process::exit(0);
    }
    let (agent, home) = (Agent::good(), TempDir::new().unwrap());
    let stderr = child(test, &format!("{} {}", agent.url(), home.path().display()));
    assert_each_once(agent.stored(), 1000);
    assert!(words_of_the_client(&stderr).is_empty(), "{stderr}");
}

/// Drops a client when it is woken, on whatever thread that is.
struct DropsClient(Mutex<Option<Client>>);

impl Wake for DropsClient {
    fn wake(self: Arc<Self>) {
        drop(self.0.lock().unwrap().take());
    }
}

#[test]
fn the_clients_own_thread_does_not_wait_for_itself_when_it_drops_the_last_clone() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).build().unwrap();
    let receipt = client.append(event(0)).unwrap();
    let waker = Arc::new(DropsClient(Mutex::new(None)));
    let mut delivered = pin!(receipt.delivered());
    let later = client.append(event(1)).unwrap();
    *waker.0.lock().unwrap() = Some(client);
    let waker = Waker::from(waker);
    if delivered
        .as_mut()
        .poll(&mut Context::from_waker(&waker))
        .is_ready()
    {
        // It was acknowledged first: the drop is on this thread.
        waker.wake();
    }
    // A thread that waited for itself would be given up as lost after a second.
    later.wait(PATIENCE).unwrap();
}
