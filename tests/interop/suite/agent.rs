//! What the suite asks of an agent, whichever it is.

use std::net::SocketAddr;
use std::time::Duration;

use flume_tests::{rolled_lines, wait_until};
use serde_json::Value;

use super::event::Client;
use super::kind::Kind;
use super::peer::Peer;
use super::setup::Setup;

/// Reached only when a scenario fails: the longest wait of Flume itself is 5 s.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);

/// How often to choose other ports when somebody takes one.
pub(super) const START_ATTEMPTS: usize = 3;

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
        let mut seen = Value::Null;
        let waited = wait_until(&format!("{component} {name} = {value}"), TIMEOUT, || {
            seen = self.metrics()[component].take();
            seen[name] == *value
        });
        assert!(waited.is_ok(), "{}, saw {seen}", waited.unwrap_err());
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
