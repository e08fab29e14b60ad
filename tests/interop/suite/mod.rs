//! One suite of scenarios for every agent: real Flume of each version and our mini-agent.
//!
//! A scenario is a properties file, as Flume reads it, and a check of what can be seen from the
//! outside: answers, files, what arrives at the next hop, and `/metrics`. Where the agents differ,
//! the check says so with a `match` on [`Kind`].
//!
//! To save starts, the flows of one file run side by side in one agent; each has components of its
//! own, named after the scenario. See [`setup`] for the placeholders in the properties.

mod avro_source;
mod configuration;
mod counters;
mod event;
mod http;
mod http_source;
mod memory_channel;
mod memory_flow;
mod mini;
mod netcat;
mod next_hop;
mod peer;
mod processors;
mod real;
mod reload;
mod selectors;
mod setup;
mod traffic;

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use flume_tests::{Version, require_java, rolled_lines, wait_until};
use serde_json::Value;

use self::event::Client;
pub(crate) use self::event::Event;
pub(crate) use self::http::request;
pub(crate) use self::mini::MiniFactory;
use self::peer::Peer;
pub(crate) use self::real::RealFactory;
use self::setup::{Setup, merge};

/// Reached only when a scenario fails: the longest wait of Flume itself is 5 s.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How often to choose other ports when somebody takes one.
const START_ATTEMPTS: usize = 3;

/// Which agent a scenario runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Flume(Version),
    Mini,
}

/// Starts agents of one kind.
pub(crate) trait AgentFactory: Sync {
    fn kind(&self) -> Kind;

    /// An agent `a1` with these properties, up as far as it can be; an error tells why it is not.
    fn try_start(&self, template: &str) -> Result<Box<dyn AgentUnderTest>, String>;

    fn start(&self, template: &str) -> Box<dyn AgentUnderTest> {
        self.try_start(template).unwrap()
    }

    /// As [`start`](Self::start), and the agent can be given other properties.
    fn start_reloading(&self, template: &str) -> Box<dyn AgentUnderTest>;

    /// As [`start`](Self::start), but drops broken components as Flume always does.
    fn start_lenient(&self, template: &str) -> Box<dyn AgentUnderTest>;
}

/// A running agent; it ends when dropped.
pub(crate) trait AgentUnderTest: Sync {
    fn kind(&self) -> Kind;

    fn setup(&self) -> &Setup;

    /// What `GET /metrics` gives.
    fn metrics(&self) -> Value;

    /// Where the metrics are; the mini-agent has its control interface there.
    fn monitoring(&self) -> SocketAddr;

    fn pid(&self) -> u32;

    /// What the agent has logged since its last start.
    fn log(&self) -> String;

    /// Ends the agent as its operator does.
    fn stop(&mut self);

    /// Ends the agent as `kill -9` does.
    fn kill(&mut self);

    /// Gives an agent that was started for it other properties, with the same placeholders. It may
    /// take the agent a while to find them.
    fn reload(&mut self, template: &str);

    /// Starts the agent with the same properties again, after killing it if it runs.
    fn restart(&mut self);
}

impl dyn AgentUnderTest + '_ {
    pub(crate) fn addr(&self, port: &str) -> SocketAddr {
        self.setup().addr(port)
    }

    /// A new connection to the Avro source on this port.
    pub(crate) fn client(&self, port: &str) -> Client {
        Client::connect(self.addr(port))
    }

    pub(crate) fn peer(&self, name: &str) -> &Peer {
        self.setup().peer(name)
    }

    /// A counter as printed, or `None` if the component or the counter is not there.
    pub(crate) fn counter(&self, component: &str, name: &str) -> Option<String> {
        let metrics = self.metrics();
        Some(metrics.get(component)?.get(name)?.as_str()?.to_owned())
    }

    pub(crate) fn wait_for_counter(&self, component: &str, name: &str, value: &str) {
        let mut seen = None;
        let waited = wait_until(&format!("{component} {name} = {value}"), TIMEOUT, || {
            seen = self.counter(component, name);
            seen.as_deref() == Some(value)
        });
        assert!(waited.is_ok(), "{}, saw {seen:?}", waited.unwrap_err());
    }

    /// The lines that the file_roll sink of this directory wrote, once there are `count`.
    pub(crate) fn rolled(&self, dir: &str, count: usize) -> Vec<String> {
        let dir = self.setup().dir(dir);
        let mut lines = Vec::new();
        let waited = wait_until(&format!("{count} lines"), TIMEOUT, || {
            lines = rolled_lines(&dir).unwrap();
            lines.len() >= count
        });
        let texts = lines.iter().map(|line| String::from_utf8_lossy(line));
        let texts: Vec<String> = texts.map(Into::into).collect();
        assert!(waited.is_ok(), "{}, saw {texts:?}", waited.unwrap_err());
        texts
    }
}

/// A sentence that must hold for every agent.
pub(crate) struct Scenario {
    name: &'static str,
    case: Case,
}

enum Case {
    /// Shares its agent with the other flows of its file.
    Flow(&'static str, fn(&dyn AgentUnderTest)),
    /// Starts agents of its own.
    Alone(fn(&dyn AgentFactory)),
}

/// `flow!(PROPERTIES, check)`: a [`Case::Flow`] named as its check.
macro_rules! flow {
    ($properties:expr, $check:ident) => {
        $crate::suite::Scenario {
            name: stringify!($check),
            case: $crate::suite::Case::Flow($properties, $check),
        }
    };
}
use flow;

/// `alone!(check)`: a [`Case::Alone`] named as its check.
macro_rules! alone {
    ($check:ident) => {
        $crate::suite::Scenario {
            name: stringify!($check),
            case: $crate::suite::Case::Alone($check),
        }
    };
}
use alone;

/// `on_every_agent!(SCENARIOS)`: a test of these scenarios for each agent.
macro_rules! on_every_agent {
    ($scenarios:expr) => {
        #[test]
        fn on_the_mini_agent() {
            $crate::suite::run(&$crate::suite::mini::MiniFactory, $scenarios);
        }

        #[test]
        fn on_flume_1_11() {
            $crate::suite::run_on_flume(flume_tests::Version::V1_11, $scenarios);
        }

        #[test]
        fn on_flume_1_9() {
            $crate::suite::run_on_flume(flume_tests::Version::V1_9, $scenarios);
        }
    };
}
use on_every_agent;

fn run_on_flume(version: Version, scenarios: &[Scenario]) {
    if require_java() {
        run(&RealFactory(version), scenarios);
    }
}

/// Runs all scenarios and then fails if one of them did.
fn run(factory: &dyn AgentFactory, scenarios: &[Scenario]) {
    let mut failed = run_flows(factory, scenarios);
    for scenario in scenarios {
        if let Case::Alone(check) = scenario.case {
            let passed = catch_unwind(AssertUnwindSafe(|| check(factory)));
            report(factory.kind(), scenario.name, passed.is_ok(), &mut failed);
        }
    }
    assert!(failed.is_empty(), "{:?}: {failed:#?}", factory.kind());
}

fn run_flows(factory: &dyn AgentFactory, scenarios: &[Scenario]) -> Vec<&'static str> {
    let flows: Vec<_> = scenarios
        .iter()
        .filter_map(|scenario| match scenario.case {
            Case::Flow(properties, check) => Some((scenario.name, properties, check)),
            Case::Alone(_) => None,
        })
        .collect();
    let mut failed = Vec::new();
    if flows.is_empty() {
        return failed;
    }
    // Some flows are of mistakes that Flume overlooks.
    let agent = factory.start_lenient(&merge(flows.iter().map(|(_, properties, _)| *properties)));
    thread::scope(|scope| {
        let running: Vec<_> = flows
            .iter()
            .map(|(name, _, check)| {
                let thread = thread::Builder::new().name(format!("{:?} {name}", factory.kind()));
                let agent = &*agent;
                (
                    *name,
                    thread.spawn_scoped(scope, move || check(agent)).unwrap(),
                )
            })
            .collect();
        for (name, thread) in running {
            report(factory.kind(), name, thread.join().is_ok(), &mut failed);
        }
    });
    if !failed.is_empty() {
        println!("{}", agent.log());
    }
    failed
}

fn report(kind: Kind, name: &'static str, passed: bool, failed: &mut Vec<&'static str>) {
    println!("{kind:?} {name}: {}", if passed { "ok" } else { "FAILED" });
    if !passed {
        failed.push(name);
    }
}
