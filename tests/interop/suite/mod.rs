//! One suite of scenarios for every agent: real Flume of each version and our mini-agent.
//!
//! A scenario is a properties file, as Flume reads it, and a check of what can be seen from the
//! outside: answers, files, what arrives at the next hop, and `/metrics`. Where the agents differ,
//! the check says so with a `match` on [`Kind`].
//!
//! Each file has a test for each agent. To save starts, the flows of one file run side by side in
//! one agent; each has components of its own, named after the scenario. See [`setup`] for the
//! placeholders in the properties.

mod agent;
mod avro_source;
mod configuration;
mod counters;
mod event;
mod http;
mod http_source;
mod interceptors;
mod kind;
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
mod thrift_source;
mod tls;
mod traffic;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use flume_tests::{Version, require_java};

use self::agent::TIMEOUT;
pub(crate) use self::agent::{AgentFactory, AgentUnderTest};
pub(crate) use self::event::Event;
pub(crate) use self::http::request;
pub(crate) use self::kind::Kind;
pub(crate) use self::mini::MiniFactory;
pub(crate) use self::real::RealFactory;
use self::setup::merge;

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
