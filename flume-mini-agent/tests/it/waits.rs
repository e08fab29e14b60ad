//! Waits of tests, in threads and in async code, and what they tell when they are in vain.

use std::time::{Duration, Instant};

use flume_client::{Client, Event};
use flume_mini_agent::MiniAgent;

use crate::support::LIMIT;

/// A runtime of one thread, as `#[tokio::test]` has it.
fn one_thread() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

/// The code under test: a task that sends events, each when it has its turn.
fn spawn_service(client: &Client, events: u64) {
    let client = client.clone();
    tokio::spawn(async move {
        for number in 0..events {
            tokio::task::yield_now().await;
            let event = Event::new("hi").header("n", number.to_string());
            client.append(event).unwrap().delivered().await.unwrap();
        }
    });
}

#[test]
fn an_async_wait_lets_the_code_under_test_run_on_the_only_thread() {
    let agent = MiniAgent::builder().start().unwrap();
    let client = agent.client().build().unwrap();
    one_thread().block_on(async {
        spawn_service(&client, 3);
        let events = agent.wait_for_async(3, LIMIT).await.unwrap();
        let expected = |number: u64| Event::new("hi").header("n", number.to_string());
        assert_eq!(events, [0, 1, 2].map(expected));
        spawn_service(&client, 2);
        let reached = agent.wait_until_async(LIMIT, |stats| stats.events_accepted == 5);
        assert_eq!(reached.await.unwrap().events_accepted, 5);
    });
}

#[test]
fn an_async_wait_does_not_take_a_paused_clock_for_its_time() {
    let agent = MiniAgent::builder().start().unwrap();
    let client = agent.client().build().unwrap();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        spawn_service(&client, 3);
        assert_eq!(agent.wait_for_async(3, LIMIT).await.unwrap().len(), 3);
    });
}

#[test]
fn an_async_wait_for_each_of_several_agents_is_over_when_its_events_are_there() {
    let agents = [(); 2].map(|()| MiniAgent::builder().start().unwrap());
    one_thread().block_on(async {
        for agent in &agents {
            spawn_service(&agent.client().build().unwrap(), 3);
        }
        for agent in &agents {
            assert_eq!(agent.wait_for_async(3, LIMIT).await.unwrap().len(), 3);
            let more = agent.wait_for_async(4, Duration::from_millis(20));
            assert_eq!(more.await.unwrap_err().arrived(), 3);
        }
    });
}

#[test]
fn a_wait_that_starves_its_own_runtime_says_so() {
    let agent = MiniAgent::builder().start().unwrap();
    let client = agent.client().build().unwrap();
    let timeout = Duration::from_millis(20);
    let cause = "this wait blocks the only thread of a tokio runtime, so that nothing else on it \
                 could run: use `wait_for_async` or `wait_until_async`";
    one_thread().block_on(async {
        spawn_service(&client, 1);
        let error = agent.wait_for(1, timeout).unwrap_err();
        assert!(error.to_string().contains(cause), "{error}");
        let error = agent.wait_until(timeout, |stats| stats.events_accepted == 1);
        assert!(error.unwrap_err().to_string().contains(cause));
        agent.wait_for_async(1, LIMIT).await.unwrap();
    });
    let error = agent.wait_for(2, timeout).unwrap_err().to_string();
    assert!(
        !error.contains("runtime") && !error.contains("no client"),
        "{error}"
    );
}

#[test]
fn a_wait_without_a_client_says_that_none_has_connected() {
    let agent = MiniAgent::builder().start().unwrap();
    let timeout = Duration::from_millis(20);
    let error = agent.wait_for(1, timeout).unwrap_err().to_string();
    assert!(
        error.contains("within 20ms; no client has connected"),
        "{error}"
    );
    let began = Instant::now();
    let error = one_thread().block_on(agent.wait_for_async(1, timeout));
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("within 20ms; no client has connected"),
        "{error}"
    );
    assert!(began.elapsed() >= timeout);
}

#[test]
fn an_async_wait_needs_no_runtime() {
    let agent = MiniAgent::builder().start().unwrap();
    let client = agent.client().build().unwrap();
    drop(client.append(Event::new("hi")).unwrap());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut wait = Box::pin(agent.wait_for_async(2, Duration::from_secs(3_600)));
    assert!(wait.as_mut().poll(&mut context).is_pending());
    agent.wait_for(1, LIMIT).unwrap();
    assert!(wait.as_mut().poll(&mut context).is_pending());
    drop(client.append(Event::new("ho")).unwrap());
    agent.wait_for(2, LIMIT).unwrap();
    assert!(wait.as_mut().poll(&mut context).is_ready());
}
