//! Room for new events that old ones make, whoever has a turn when.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use fastrand::Rng;
use flume_client::delivery::{AgentId, Batch, CallId, Rank, Selection, Settings, WindowMode};
use flume_client::hallway::{Agents, Clock, Hallway, Plan, Said, Step, Waiting};
use flume_client::{Backoff, Event, Overflow, Reliability};

const SECOND: Duration = Duration::from_secs(1);
const BUFFER_BYTES: usize = 4000;

/// An agent that takes one batch, and never answers.
#[derive(Default)]
struct Silent {
    said: usize,
    is_asked: bool,
}

impl Agents for Silent {
    fn connect(&mut self, _: AgentId, _: u64) {}

    fn close(&mut self, _: u64) {}

    fn takes_bytes(&mut self, _: u64, _: &Waker) -> bool {
        true
    }

    fn receive(&mut self, _: u64, _: CallId, _: Batch, _: Vec<u8>) {
        self.is_asked = true;
    }

    fn poll(&mut self, _: u64, _: &Waker) -> Option<Said> {
        let said = [Said::Connected, Said::Opened].get(self.said).copied();
        self.said += 1;
        said
    }
}

/// Time that stands still: nobody is woken by it.
#[derive(Debug)]
struct Still(Instant);

impl Clock for Still {
    fn now(&self) -> Instant {
        self.0
    }

    fn unix_ms(&self) -> u64 {
        0
    }
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn open(agents: Arc<Mutex<Silent>>) -> Hallway {
    let plan = Plan {
        delivery: Settings {
            agents: Rank::in_order(1),
            selection: Selection::Failover,
            connections: 1,
            batch_events_max: 1,
            batch_bytes_max: 1000,
            linger: Duration::ZERO,
            window: WindowMode::Ordered,
            connect_timeout: SECOND,
            greeting_timeout: SECOND,
            request_timeout: SECOND,
            backoff: Backoff::default(),
        },
        reliability: Reliability::InMemory,
        buffer_bytes: BUFFER_BYTES,
        event_bytes: 1000,
        overflow: Overflow::DropOldest,
        spool: None,
        chunk_bytes: 2048,
        clock: Arc::new(Still(Instant::now())),
        seed: 1,
    };
    Hallway::open(plan, agents).unwrap()
}

/// Appends some events. `Some`: there is no room for the last of them.
fn append(hallway: &Hallway, events: usize) -> Option<Waiting<()>> {
    let event = Event::new("x".repeat(90));
    let refused = (0..events).any(|_| hallway.callers.append(&event).is_err());
    refused.then(|| hallway.callers.ready(&event))
}

#[test]
fn who_waits_for_room_that_old_events_make_has_it_when_the_sender_has_nothing_more_to_do() {
    for seed in 0..300 {
        let mut random = Rng::with_seed(seed);
        let agents = Arc::<Mutex<Silent>>::default();
        let mut hallway = open(agents.clone());
        let flag = Arc::<Flag>::default();
        let waker = Waker::from(flag.clone());
        append(&hallway, 1);
        while !agents.lock().unwrap().is_asked {
            hallway.sender.turn(&waker);
        }
        for _ in 0..30 {
            let mut waiting = append(&hallway, random.usize(0..60));
            // Others are never in the way of who waits, since there is only one.
            while hallway.sender.turn(&waker) == Step::Again {
                waiting = waiting.or_else(|| append(&hallway, random.usize(0..8)));
            }
            // The sender sleeps, unless somebody woke it since.
            while flag.0.swap(false, Ordering::Relaxed) {
                while hallway.sender.turn(&waker) == Step::Again {}
            }
            let has_room = waiting.is_none_or(|it| it.poll(Waker::noop()).is_some());
            let stats = hallway.callers.stats();
            assert!(has_room, "seed {seed}: {stats:?}");
        }
    }
}
