//! A client that is dropped without a close.

use std::panic::{AssertUnwindSafe, catch_unwind};

use flume_client::{Client, DeliveryError, Receipt};

use crate::support::{
    Agent, Answer, HOUR, PATIENCE, Port, answers, append_all, assert_each_once, client_at,
    client_of, current_thread, event, one_worker, run_in,
};

#[test]
fn on_a_plain_thread_the_drop_sends_what_is_there() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).linger(HOUR).build().unwrap();
    append_all(&client, 0..250);
    drop(client);
    assert_each_once(agent.stored(), 250);
}

#[test]
fn on_a_plain_thread_the_drop_gives_up_after_a_second() {
    let client = client_at([Port::reserve().url()]).build().unwrap();
    let receipt = client.append(event(0)).unwrap();
    drop(client);
    assert_eq!(receipt.wait(PATIENCE), Err(DeliveryError::Closed));
}

#[test]
fn only_the_last_clone_closes() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).build().unwrap();
    drop(client.clone());
    let receipt = client.append(event(0)).unwrap();
    receipt.wait(PATIENCE).unwrap();
}

/// An agent that answers when it is told to, and a client with one event under way to it.
fn waiting_client() -> (Agent, Client, Receipt) {
    let agent = Agent::scripted([answers(Answer::OkWhenReleased)]);
    let client = client_of(&[&agent]).build().unwrap();
    let receipt = client.append(event(0)).unwrap();
    agent.wait_for_requests(1);
    (agent, client, receipt)
}

/// The agent answers only now, when the drop has returned. A drop that had waited would have
/// given the event up.
fn assert_drop_did_not_wait(agent: &Agent, receipt: &Receipt) {
    agent.release();
    receipt.wait(PATIENCE).expect("the drop did not wait");
}

#[test]
fn inside_a_current_thread_runtime_the_drop_does_not_wait_and_the_event_arrives() {
    let runtime = current_thread();
    let (agent, client, receipt) = waiting_client();
    run_in(&runtime, async { drop(client) });
    assert_drop_did_not_wait(&agent, &receipt);
}

#[test]
fn inside_a_task_of_a_runtime_with_one_worker_the_drop_does_not_wait_and_the_event_arrives() {
    let runtime = one_worker();
    let (agent, client, receipt) = waiting_client();
    let dropped = run_in(&runtime, async {
        tokio::spawn(async move { drop(client) }).await
    });
    dropped.unwrap();
    assert_drop_did_not_wait(&agent, &receipt);
}

#[test]
fn with_the_runtime_that_owns_it_the_drop_does_not_wait_and_does_not_panic() {
    let runtime = one_worker();
    let (agent, client, receipt) = waiting_client();
    runtime.spawn(async move {
        std::future::pending::<()>().await;
        drop(client);
    });
    runtime.shutdown_background();
    assert_drop_did_not_wait(&agent, &receipt);
}

#[test]
fn during_a_panic_the_drop_does_not_wait_and_the_event_arrives() {
    let (agent, client, receipt) = waiting_client();
    let panicked = catch_unwind(AssertUnwindSafe(move || {
        let _client = client;
        std::panic::resume_unwind(Box::new("a caller's panic"));
    }));
    panicked.unwrap_err();
    assert_drop_did_not_wait(&agent, &receipt);
}
