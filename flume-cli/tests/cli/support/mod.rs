//! The command as a child process, agents that work, and servers that do not.

pub(crate) mod bad_server;
pub(crate) mod command;
pub(crate) mod configured;
#[cfg(unix)]
pub(crate) mod nobody;
pub(crate) mod spool;
#[cfg(feature = "tls")]
pub(crate) mod tls;
pub(crate) mod web;

use std::time::Duration;

use flume_mini_agent::{MiniAgent, Received};
use flume_tests::Port;

pub(crate) use flume_tests::NO_HOST;

/// Longer than anything here takes on a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn agent() -> MiniAgent {
    MiniAgent::builder().capacity(1_000_000).start().unwrap()
}

/// An address nobody listens on.
pub(crate) fn closed_port() -> String {
    Port::reserve().url()
}

/// The arguments that send to an agent through a spool, and give up after this time.
pub(crate) fn send<'a>(url: &'a str, dir: &'a str, timeout: &'a str) -> [&'a str; 7] {
    ["send", "--agent", url, "--spool", dir, "--timeout", timeout]
}

/// The bodies an agent has, in the order in which it got them.
pub(crate) fn bodies(events: &[Received]) -> Vec<Vec<u8>> {
    events.iter().map(|event| event.body().to_vec()).collect()
}

/// `count` numbered lines.
pub(crate) fn numbered(count: usize) -> Vec<u8> {
    (0..count)
        .map(|number| format!("line {number}\n"))
        .collect::<String>()
        .into_bytes()
}

/// The numbered lines an agent has, each once and sorted.
pub(crate) fn distinct(events: &[Received]) -> usize {
    let mut found = bodies(events);
    found.sort();
    found.dedup();
    found.len()
}
