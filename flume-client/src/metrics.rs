//! What a client counts, for the crate `metrics`.
//!
//! [`record`] hands the figures of a [`Stats`] to the recorder that is installed: call it as often as
//! they are to be fresh, say before each scrape or every ten seconds. Nothing is recorded in between,
//! so `append` and delivery pay nothing for it; a call costs a copy of the counters and some
//! microseconds.
//!
//! ```no_run
//! use std::time::Duration;
//! use flume_client::{Client, metrics};
//!
//! fn watch(client: Client) {
//!     metrics::describe();
//!     std::thread::spawn(move || {
//!         while !client.stats().closed {
//!             metrics::record("orders", &client.stats());
//!             std::thread::sleep(Duration::from_secs(10));
//!         }
//!     });
//! }
//! ```
//!
//! Install a recorder before, such as `PrometheusBuilder::new().install()` of the crate
//! `metrics-exporter-prometheus`; without one a call does nothing. Each figure has the label `client`
//! with the name that was given, which tells the clients of a process apart.
//!
//! | name | kind | further labels | of |
//! |---|---|---|---|
//! | `flume_client_accepted_events_total` | counter | `level` | events that `append` took |
//! | `flume_client_recovered_events` | gauge | `level` | events that were found in a spool |
//! | `flume_client_delivered_events_total` | counter | `level` | events that an agent acknowledged |
//! | `flume_client_pending_events` | gauge | `level` | events that wait |
//! | `flume_client_lost_events_total` | counter | `level`, `reason` | events that were taken and given up |
//! | `flume_client_refused_events_total` | counter | `reason` | events that were handed back |
//! | `flume_client_buffer_bytes` | gauge | | bytes of events in the buffer |
//! | `flume_client_oldest_pending_seconds` | gauge | | how long the oldest event has waited |
//! | `flume_client_batches_sent_total` | counter | | batches sent, retries included |
//! | `flume_client_batches_retried_total` | counter | | batches sent again |
//! | `flume_client_connects_total` | counter | | connections attempted |
//! | `flume_client_agent_state` | gauge | `agent`, `state` | 1 for the state that it is in, 0 for the others |
//! | `flume_client_agent_connections` | gauge | `agent` | connections that are open |
//! | `flume_client_agent_in_flight_batches` | gauge | `agent` | batches that are not answered |
//! | `flume_client_agent_window_batches` | gauge | `agent` | batches that may be under way at once |
//! | `flume_client_agent_delivered_events_total` | counter | `agent` | events that it acknowledged |
//! | `flume_client_agent_failures_total` | counter | `agent` | connections that failed, batches that it refused |
//! | `flume_client_agent_failing_seconds` | gauge | `agent` | how long it has failed; 0 if it has not |
//! | `flume_client_agent_round_trip_seconds` | gauge | `agent` | how long it takes to answer a batch |
//! | `flume_client_spool_bytes` | gauge | | bytes on the disk |
//! | `flume_client_spool_stored_events_total` | counter | | events that became stored |
//! | `flume_client_spool_commits_total` | counter | | commits, each with a flush of the device |
//! | `flume_client_spool_spilled_events_total` | counter | | events that store-on-failure wrote to the disk |
//! | `flume_client_spool_unreadable_events` | gauge | | events that cannot be read now, at most |
//! | `flume_client_spool_in_trouble` | gauge | | 1 while something keeps events from being stored |

use std::time::Duration;

use metrics::{Label, counter, describe_counter, describe_gauge, gauge};

use crate::reliability::Reliability;
use crate::stats::{AgentState, AgentStats, LevelStats, SpoolStats, Stats};

/// Describes all figures to the recorder that is installed. Once is enough.
pub fn describe() {
    for line in include_str!("metrics.rs").lines() {
        let Some(row) = line.strip_prefix("//! | `") else {
            continue;
        };
        let mut columns = row.split('|').map(str::trim);
        let name = columns.next().unwrap_or_default().trim_end_matches('`');
        let kind = columns.next();
        let of = columns.nth(1).unwrap_or_default();
        match kind {
            Some("counter") => describe_counter!(name, of),
            _ => describe_gauge!(name, of),
        }
    }
}

/// Records the figures of a client that is called so.
pub fn record(client: &str, stats: &Stats) {
    let of = Labels(vec![Label::new("client", client.to_owned())]);
    for level in &stats.levels {
        record_level(&of.with("level", level_name(level.level)), level);
    }
    for (reason, events) in stats.refused.by_reason() {
        of.with("reason", reason)
            .count("flume_client_refused_events_total", events);
    }
    let oldest = stats.timing.oldest_pending;
    of.set("flume_client_buffer_bytes", stats.pending_bytes as f64);
    of.set_seconds("flume_client_oldest_pending_seconds", oldest);
    of.count("flume_client_batches_sent_total", stats.batches_sent);
    of.count("flume_client_batches_retried_total", stats.batches_retried);
    of.count("flume_client_connects_total", stats.connects);
    for agent in &stats.agents {
        record_agent(&of.with("agent", agent.agent.to_string()), agent);
    }
    if let Some(spool) = &stats.spool {
        record_spool(&of, spool, stats.spilled);
    }
}

fn record_level(of: &Labels, level: &LevelStats) {
    of.count("flume_client_accepted_events_total", level.accepted);
    of.set("flume_client_recovered_events", level.recovered as f64);
    of.count("flume_client_delivered_events_total", level.delivered);
    of.set("flume_client_pending_events", level.pending as f64);
    for (reason, events) in level.lost.by_reason() {
        of.with("reason", reason)
            .count("flume_client_lost_events_total", events);
    }
}

fn record_agent(of: &Labels, agent: &AgentStats) {
    for state in AgentState::ALL {
        let is_in = f64::from(u8::from(agent.state == state));
        of.with("state", state.name())
            .set("flume_client_agent_state", is_in);
    }
    let connections = f64::from(agent.connections);
    of.set("flume_client_agent_connections", connections);
    let in_flight = f64::from(agent.in_flight);
    of.set("flume_client_agent_in_flight_batches", in_flight);
    let window = f64::from(agent.window);
    of.set("flume_client_agent_window_batches", window);
    of.count("flume_client_agent_delivered_events_total", agent.delivered);
    of.count("flume_client_agent_failures_total", agent.failures);
    of.set_seconds("flume_client_agent_failing_seconds", agent.failing_for);
    if agent.round_trip.is_some() {
        of.set_seconds("flume_client_agent_round_trip_seconds", agent.round_trip);
    }
}

fn record_spool(of: &Labels, spool: &SpoolStats, spilled: u64) {
    of.set("flume_client_spool_bytes", spool.disk_bytes as f64);
    of.count("flume_client_spool_stored_events_total", spool.stored);
    of.count("flume_client_spool_commits_total", spool.commits);
    of.count("flume_client_spool_spilled_events_total", spilled);
    let unreadable = spool.unreadable_events() as f64;
    of.set("flume_client_spool_unreadable_events", unreadable);
    let in_trouble = f64::from(u8::from(spool.trouble.is_some()));
    of.set("flume_client_spool_in_trouble", in_trouble);
}

fn level_name(level: Reliability) -> &'static str {
    match level {
        Reliability::BestEffort => "best_effort",
        Reliability::InMemory => "in_memory",
        Reliability::StoreOnFailure => "store_on_failure",
        Reliability::EndToEnd => "end_to_end",
    }
}

/// What a figure is of.
struct Labels(Vec<Label>);

impl Labels {
    fn with(&self, key: &'static str, value: impl Into<metrics::SharedString>) -> Self {
        let more = [Label::new(key, value)];
        Self(self.0.iter().cloned().chain(more).collect())
    }

    fn count(&self, name: &'static str, value: u64) {
        counter!(name, self.0.clone()).absolute(value);
    }

    fn set(&self, name: &'static str, value: f64) {
        gauge!(name, self.0.clone()).set(value);
    }

    /// `None` is nothing.
    fn set_seconds(&self, name: &'static str, value: Option<Duration>) {
        self.set(name, value.unwrap_or_default().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex};

    use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, Unit};

    use super::*;
    use crate::delivery::Lost;
    use crate::error::Refusal;

    /// Keeps the last value of each figure: a gauge as its bits.
    #[derive(Default)]
    struct Kept {
        figures: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
        described: Mutex<BTreeMap<String, (&'static str, String)>>,
    }

    impl Kept {
        fn figure(&self, kind: &str, key: &Key) -> Arc<AtomicU64> {
            let labels = key
                .labels()
                .map(|it| format!("{}={}", it.key(), it.value()));
            let labels: Vec<_> = labels.collect();
            let name = format!("{kind} {} {}", key.name(), labels.join(","));
            self.figures
                .lock()
                .unwrap()
                .entry(name)
                .or_default()
                .clone()
        }

        fn describe(&self, kind: &'static str, key: &KeyName, of: metrics::SharedString) {
            let mut described = self.described.lock().unwrap();
            described.insert(key.as_str().to_owned(), (kind, of.into_owned()));
        }
    }

    impl Recorder for Kept {
        fn describe_counter(&self, key: KeyName, _: Option<Unit>, of: metrics::SharedString) {
            self.describe("counter", &key, of);
        }

        fn describe_gauge(&self, key: KeyName, _: Option<Unit>, of: metrics::SharedString) {
            self.describe("gauge", &key, of);
        }

        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: metrics::SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(self.figure("counter", key))
        }

        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(self.figure("gauge", key))
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    /// A figure of each kind.
    fn stats() -> Stats {
        let mut level = LevelStats::new(Reliability::EndToEnd);
        level.accepted = 10;
        level.delivered = 6;
        level.pending = 1;
        level.lost = Lost {
            corrupt: 3,
            ..Lost::default()
        };
        let mut agent = AgentStats::new("avro://collector-1:4141".parse().unwrap());
        agent.connections = 2;
        agent.in_flight = 5;
        agent.delivered = 6;
        agent.on_answer(Duration::from_millis(800));
        agent.on_answer(Duration::from_millis(1600));
        let mut stats = Stats {
            agents: vec![agent],
            spool: Some(SpoolStats {
                stored: 10,
                ..SpoolStats::default()
            }),
            ..Stats::default()
        };
        stats.refuse(&Refusal::Closed, 4);
        stats.add(level);
        stats
    }

    #[test]
    fn what_a_client_counts_is_what_the_recorder_has() {
        let kept = Kept::default();
        metrics::with_local_recorder(&kept, || {
            record("orders", &Stats::default());
            record("orders", &stats());
        });
        let value = |name: &str| kept.figures.lock().unwrap()[name].load(Ordering::Relaxed);
        let gauge = |name: &str| f64::from_bits(value(name));
        let level = "client=orders,level=end_to_end";
        let counters = [
            (format!("flume_client_accepted_events_total {level}"), 10),
            (format!("flume_client_delivered_events_total {level}"), 6),
            (
                format!("flume_client_lost_events_total {level},reason=corrupt"),
                3,
            ),
            (
                format!("flume_client_lost_events_total {level},reason=closed"),
                0,
            ),
            (
                "flume_client_refused_events_total client=orders,reason=closed".into(),
                4,
            ),
            (
                "flume_client_spool_stored_events_total client=orders".into(),
                10,
            ),
        ];
        for (name, expected) in counters {
            assert_eq!(value(&format!("counter {name}")), expected, "{name}");
        }
        let agent = "client=orders,agent=avro://collector-1:4141";
        let gauges = [
            (format!("flume_client_pending_events {level}"), 1.0),
            (format!("flume_client_agent_state {agent},state=idle"), 1.0),
            (format!("flume_client_agent_state {agent},state=ready"), 0.0),
            (format!("flume_client_agent_connections {agent}"), 2.0),
            (format!("flume_client_agent_in_flight_batches {agent}"), 5.0),
            // 7/8 of 800 ms and 1/8 of 1,600 ms.
            (
                format!("flume_client_agent_round_trip_seconds {agent}"),
                0.9,
            ),
            ("flume_client_spool_in_trouble client=orders".into(), 0.0),
        ];
        for (name, expected) in gauges {
            assert_eq!(gauge(&format!("gauge {name}")), expected, "{name}");
        }
    }

    #[test]
    fn each_figure_is_in_the_table_of_the_documentation_with_its_kind_and_no_other_is() {
        let kept = Kept::default();
        metrics::with_local_recorder(&kept, || {
            describe();
            record("orders", &stats());
        });
        let described = kept.described.into_inner().unwrap();
        let described = described.into_iter().map(|(name, (kind, of))| {
            assert!(!of.is_empty(), "{name}");
            format!("{kind} {name}")
        });
        let recorded = kept.figures.into_inner().unwrap().into_keys();
        let recorded = recorded.map(|name| name.rsplit_once(' ').unwrap().0.to_owned());
        let mut recorded: Vec<_> = recorded.collect();
        recorded.sort();
        recorded.dedup();
        let mut described: Vec<_> = described.collect();
        described.sort();
        assert_eq!(recorded, described);
    }
}
