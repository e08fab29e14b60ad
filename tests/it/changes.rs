//! What a client says by itself: once per episode, and never at anybody's cost.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use flume_client::{Change, Client, ClientBuilder};
use flume_tests::wait_until;

use crate::support::{
    Agent, Answer, GOOD, PATIENCE, alone, answers, append_all, client_of, event, give_up,
};

/// An episode ends some seconds after its cause.
const LONG_PATIENCE: Duration = Duration::from_secs(60);

/// A client whose changes arrive here, each with the name of the thread that told it.
fn told_by(builder: ClientBuilder) -> (Client, Receiver<(String, String)>) {
    let (sender, changes) = channel();
    let sender = Mutex::new(sender);
    let on_change = move |change: &Change| {
        let thread = thread::current().name().unwrap_or_default().to_owned();
        let kind = match change {
            Change::Began(problem) => format!("+{}", problem.kind()),
            Change::Ended { problem, .. } => format!("-{}", problem.kind()),
            other => other.to_string(),
        };
        // The test may be over.
        let _ = sender.lock().unwrap().send((kind, thread));
    };
    (builder.on_change(on_change).build().unwrap(), changes)
}

#[test]
fn an_agent_that_goes_and_comes_back_is_told_once_each_however_many_events_wait() {
    let mut agent = Agent::good();
    agent.stop();
    let (client, changes) = told_by(client_of(&[&agent]));
    append_all(&client, 0..1000);
    let next = || changes.recv_timeout(LONG_PATIENCE).unwrap();
    let began = [next(), next()];
    let failures = || client.stats().agents[0].failures;
    wait_until("many failures", PATIENCE, || failures() > 20).unwrap();
    append_all(&client, 1000..2000);
    assert!(changes.try_recv().is_err(), "one episode");
    agent.start_again([GOOD]);
    let ended = [next(), next()];
    let mut kinds = BTreeMap::new();
    for (kind, thread) in began.into_iter().chain(ended) {
        assert_eq!(thread, "flume-changes");
        *kinds.entry(kind).or_insert(0) += 1;
    }
    let once = ["+agent", "+no_agent", "-agent", "-no_agent"].map(|kind| (kind.to_owned(), 1));
    assert_eq!(kinds, BTreeMap::from(once));
    assert!(client.close(PATIENCE).wait().is_complete());
}

#[test]
fn a_listener_that_blocks_holds_up_neither_delivery_nor_the_end() {
    let mut agent = Agent::good();
    agent.stop();
    let (go_on, blocks) = channel::<()>();
    let (sender, is_called) = channel();
    let both = Mutex::new((blocks, sender));
    let builder = client_of(&[&agent]).on_change(move |_| {
        let both = both.lock().unwrap();
        let _ = both.1.send(());
        let _ = both.0.recv();
    });
    let client = builder.build().unwrap();
    let receipts = append_all(&client, 0..100);
    is_called.recv_timeout(PATIENCE).unwrap();
    agent.start_again([GOOD]);
    for receipt in receipts {
        receipt.wait(PATIENCE).unwrap();
    }
    assert!(client.close(PATIENCE).wait().is_complete());
    drop(client);
    drop(go_on);
}

#[test]
fn events_that_find_no_room_are_told_once_and_not_each() {
    let agent = Agent::scripted([answers(Answer::OkWhenReleased)]);
    let builder = client_of(&[&agent]).event_bytes(100).buffer_bytes(100);
    let (client, changes) = told_by(builder);
    append_all(&client, 0..1);
    agent.wait_for_requests(1);
    for number in 0..10_000 {
        drop(client.append(event(number)));
    }
    let (kind, _) = changes.recv_timeout(PATIENCE).unwrap();
    assert_eq!(kind, "+full");
    assert!(changes.try_recv().is_err());
    agent.release();
}

/// Keeps what is logged, and ships it through the client that logs.
struct Shipper {
    lines: Mutex<Vec<(log::Level, String)>>,
    client: OnceLock<Client>,
}

impl log::Log for Shipper {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target() == "flume_client"
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = record.args().to_string();
        self.lines
            .lock()
            .unwrap()
            .push((record.level(), line.clone()));
        if let Some(client) = self.client.get() {
            drop(client.append(flume_client::Event::new(line)));
        }
    }

    fn flush(&self) {}
}

#[test]
fn a_logger_that_ships_through_the_client_that_speaks_makes_no_loop() {
    alone(
        "changes::a_logger_that_ships_through_the_client_that_speaks_makes_no_loop",
        || {
            let shipper: &'static Shipper = Box::leak(Box::new(Shipper {
                lines: Mutex::default(),
                client: OnceLock::new(),
            }));
            log::set_logger(shipper).unwrap();
            log::set_max_level(log::LevelFilter::Info);
            let mut agent = Agent::good();
            agent.stop();
            let builder = client_of(&[&agent]).event_bytes(4096).buffer_bytes(8192);
            let client = builder.build().unwrap();
            shipper.client.set(client.clone()).unwrap();
            while client.append(event(0)).is_ok() {}
            let lines = || shipper.lines.lock().unwrap().clone();
            wait_until("words", PATIENCE, || lines().len() >= 3).unwrap();
            let failures = || client.stats().agents[0].failures;
            let before = failures();
            wait_until("many failures", LONG_PATIENCE, || failures() > before + 100).unwrap();
            let lines = lines();
            assert_eq!(lines.len(), 3, "{lines:?}");
            for (level, line) in &lines {
                assert_eq!(*level, log::Level::Warn, "{line}");
            }
            let has = |words| lines.iter().any(|(_, line)| line.contains(words));
            assert!(has("no agent takes the") && has("connection refused") && has("no room"));
            let _ = give_up(&client, Duration::ZERO);
        },
    );
}

#[test]
fn what_the_end_of_a_client_loses_is_told() {
    let mut agent = Agent::good();
    agent.stop();
    let (client, changes) = told_by(client_of(&[&agent]));
    append_all(&client, 0..5);
    let _ = give_up(&client, Duration::ZERO);
    let mut told = std::iter::from_fn(|| changes.recv_timeout(PATIENCE).ok());
    assert!(told.any(|(kind, _)| kind == "+losing"));
}
