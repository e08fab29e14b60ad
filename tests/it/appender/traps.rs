//! What users of other appenders complain of, and what becomes of it here, with each front end.

use std::collections::HashSet;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flume_appender::{Appender, HeaderProfile, Json, Layout, LayoutError, Level, Record};
use flume_client::WindowMode;
use flume_mini_agent::{Fault, FaultRule, MiniAgent};
use serde_json::Value;

use super::front_ends::FRONT_ENDS;
use super::{at, log};
use crate::support::PATIENCE;

#[test]
fn a_guard_that_gives_up_reports_with_numbers_and_lost_and_delivered_are_the_100_000_lines_logged()
{
    const LINES: u64 = 100_000;
    for (name, front_end) in FRONT_ENDS {
        let agent = MiniAgent::builder().start().unwrap();
        let (appender, guard) = at(agent.url()).build().unwrap();
        let call = front_end(&appender);
        let stats = || appender.client().stats();
        (0..LINES / 2).for_each(|number| call(Level::Info, number));
        guard.flush(PATIENCE).wait().unwrap();
        let slow = Fault::AnswerLate(Duration::from_secs(60));
        agent.fault(FaultRule::new(slow)).keep();
        let before = stats().accepted;
        (LINES / 2..LINES).for_each(|number| call(Level::Info, number));
        // Batches that come from now on are not answered in time.
        while stats().accepted == before {
            thread::yield_now();
        }
        let report = guard.close(Duration::from_millis(1)).wait();
        let records = report.records.total();
        let events = &report.events;
        assert_eq!(records.logged, LINES, "{name}");
        let lost_records = records.lost() + records.captured;
        let lost_events = events.lost.total() + events.pending;
        assert!(
            events.delivered > 0 && lost_events > 0,
            "{name}: {report:?}"
        );
        assert_eq!(
            lost_records + lost_events + events.delivered,
            LINES + report.records.reports,
            "{name}: {report:?}"
        );
        let text = report.into_result().unwrap_err().to_string();
        assert!(text.contains(&format!("{lost_events} events")), "{text}");
    }
}

/// Tells when it is asked for the first body, and writes it only when it may.
#[derive(Debug)]
struct Gate {
    asked: mpsc::Sender<()>,
    may_write: mpsc::Receiver<()>,
    json: Json,
}

impl Layout for Gate {
    fn render(&mut self, record: &Record<'_>, out: &mut Vec<u8>) -> Result<(), LayoutError> {
        let _ = self.asked.send(());
        // Once its other end is gone it lets everything through.
        let _ = self.may_write.recv();
        self.json.render(record, out)
    }
}

#[test]
fn an_overflow_clears_no_batch_it_sheds_the_lesser_levels_first_and_errors_last() {
    let ladder = [Level::Debug, Level::Info, Level::Warn, Level::Error];
    for (name, front_end) in FRONT_ENDS {
        let agent = MiniAgent::builder().start().unwrap();
        let (asked, is_asked) = mpsc::channel();
        let (let_write, may_write) = mpsc::channel();
        let json = Json::new();
        let gate = Gate {
            asked,
            may_write,
            json,
        };
        let builder = at(agent.url()).layout(gate).capture_bytes(512 << 10);
        let (appender, guard) = builder.build().unwrap();
        let call = front_end(&appender);
        let shed = |level| guard.stats().of_level(level).shed_at_call;
        call(Level::Error, 0);
        is_asked.recv().unwrap();
        // The renderer is busy with it, and what comes now has to wait for room or be shed.
        let mut number = 0;
        let mut taken = vec![0];
        for (index, level) in ladder.into_iter().enumerate() {
            while shed(level) == 0 {
                number += 1;
                call(level, number);
                taken.push(number);
            }
            // The last one found no room.
            taken.pop();
            assert!(
                taken.ends_with(&[number - 1]),
                "{name}: no {level} was taken"
            );
            for lesser in &ladder[..index] {
                let before = shed(*lesser);
                call(*lesser, 0);
                assert_eq!(shed(*lesser), before + 1, "{name}: {lesser}");
            }
        }
        drop(let_write);
        guard.flush(PATIENCE).wait().unwrap();
        // Batches may pass each other on their way.
        let mut arrived = numbers(&agent, taken.len());
        arrived.sort_unstable();
        assert!(arrived == taken, "{name}: what was taken is not cleared");
    }
}

/// The numbers of the events that an agent has, once it has so many.
fn numbers(agent: &MiniAgent, events: usize) -> Vec<u64> {
    let arrived = bodies(agent, events).into_iter();
    let number = |body: Value| body["msg"].as_str()?.strip_prefix("event ")?.parse().ok();
    arrived.filter_map(number).collect()
}

fn bodies(agent: &MiniAgent, events: usize) -> Vec<Value> {
    let events = agent.wait_for(events, PATIENCE).unwrap();
    let bodies = events
        .iter()
        .map(|event| serde_json::from_slice(event.body()));
    bodies.map(Result::unwrap).collect()
}

#[test]
fn the_order_of_a_thread_is_not_lost_its_times_are_in_ns_and_rise_and_the_header_is_in_ms() {
    const THREADS: u64 = 4;
    const LINES: u64 = 1000;
    for (name, front_end) in FRONT_ENDS {
        let agent = MiniAgent::builder().start().unwrap();
        // Batches that pass each other are not what this is about.
        let ordered = at(agent.url()).client(|client| client.window(WindowMode::Ordered));
        let (appender, guard) = ordered.build().unwrap();
        let call = front_end(&appender);
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let call = &call;
                scope.spawn(move || {
                    (0..LINES).for_each(|line| call(Level::Info, thread * LINES + line));
                });
            }
        });
        guard.flush(PATIENCE).wait().unwrap();
        let events = agent
            .wait_for((THREADS * LINES) as usize, PATIENCE)
            .unwrap();
        let mut of_threads = vec![Vec::new(); THREADS as usize];
        let mut ms = HashSet::new();
        for event in &events {
            let body: Value = serde_json::from_slice(event.body()).unwrap();
            let time = body["ts"].as_str().unwrap().to_owned();
            assert_eq!(time.len(), "2026-11-27T17:04:05.123456789Z".len(), "{time}");
            let stamp = event.header_value("timestamp").unwrap();
            assert_eq!(time[20..23], stamp[stamp.len() - 3..], "{time}");
            ms.insert(stamp.to_owned());
            let text = body["msg"].as_str().unwrap();
            let number: u64 = text.strip_prefix("event ").unwrap().parse().unwrap();
            of_threads[(number / LINES) as usize].push((time, number));
        }
        let mut times = HashSet::new();
        for of_thread in of_threads {
            assert_eq!(of_thread.len() as u64, LINES, "{name}");
            assert!(of_thread.is_sorted_by_key(|(_, number)| number), "{name}");
            assert!(of_thread.is_sorted_by_key(|(time, _)| time), "{name}");
            times.extend(of_thread.into_iter().map(|(time, _)| time));
        }
        assert!(times.len() > ms.len(), "{name}: they are no finer than ms");
    }
}

#[test]
fn an_hdfs_sink_that_expects_a_timestamp_finds_one_in_each_event_whatever_the_other_headers() {
    use HeaderProfile as Profile;
    let profiles = [
        Profile::BARE,
        Profile::NATIVE,
        Profile::LOG4J1,
        Profile::LOG4J2,
    ];
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis()
    };
    for profile in profiles {
        let agent = MiniAgent::builder().start().unwrap();
        let begin = now();
        let builder = at(agent.url()).headers(profile);
        // A service's own field does not stand in its place.
        let builder = builder.promote("timestamp");
        let (appender, guard) = builder.build().unwrap();
        for (_, front_end) in FRONT_ENDS {
            front_end(&appender)(Level::Info, 0);
        }
        log_with_timestamp(&appender);
        guard.flush(PATIENCE).wait().unwrap();
        let end = now();
        for event in agent.wait_for(4, PATIENCE).unwrap() {
            let stamp = event.header_value("timestamp").unwrap();
            let stamp: u128 = stamp.parse().unwrap();
            assert!((begin..=end).contains(&stamp), "{profile:?}: {stamp}");
        }
    }
}

/// Logs a record with a field of that name.
fn log_with_timestamp(appender: &Appender) {
    let dispatch = tracing::Dispatch::new(tracing_subscriber::layer::SubscriberExt::with(
        tracing_subscriber::registry(),
        flume_tracing::FlumeLayer::new(appender),
    ));
    tracing::dispatcher::with_default(&dispatch, || tracing::info!(timestamp = "never", "own"));
}

#[test]
#[cfg(target_os = "linux")]
fn the_memory_does_not_grow_beyond_its_bound_when_no_agent_is_there_nor_is_it_taken_up_front() {
    use crate::support::{Port, alone, resident_bytes};
    const CAPTURE_BYTES: usize = 1 << 20;
    const BUFFER_BYTES: usize = 4 << 20;
    const LARGE_BYTES: usize = 64 << 20;
    let test = "appender::traps::the_memory_does_not_grow_beyond_its_bound_when_no_agent_is_there_nor_is_it_taken_up_front";
    alone(test, || {
        let port = Port::reserve();
        let before = resident_bytes();
        let (appender, guard) = at(port.url())
            .capture_bytes(LARGE_BYTES)
            .client(|client| client.buffer_bytes(LARGE_BYTES))
            .build()
            .unwrap();
        log(&appender, Level::Info, [0]);
        let grown = resident_bytes().saturating_sub(before);
        assert!(grown < LARGE_BYTES / 4, "{grown} bytes up front");
        drop(guard.close(Duration::ZERO));
        let before = resident_bytes();
        let (appender, guard) = at(port.url())
            .capture_bytes(CAPTURE_BYTES)
            .client(|client| client.buffer_bytes(BUFFER_BYTES))
            .linger(Duration::from_millis(1))
            .build()
            .unwrap();
        // Short texts: most of it is heads of records and headers of events.
        log(&appender, Level::Info, 0..300_000);
        let total = guard.stats().total();
        assert!(total.lost() > 200_000, "{total:?}");
        let most = CAPTURE_BYTES + BUFFER_BYTES + (16 << 20);
        let grown = resident_bytes().saturating_sub(before);
        assert!(grown <= most, "{grown} bytes, {most} allowed");
        // Nobody takes them.
        drop(guard.close(Duration::ZERO));
    });
}
