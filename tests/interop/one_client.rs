//! [`OneClient`]: one of Flume's own clients, told what to do step by step.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use flume_mini_agent::MiniAgent;
use flume_tests::JavaClients;
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A client that is told what to do, and what it met.
pub(crate) struct OneClient<'a> {
    java: &'a mut JavaClients,
    client_type: &'static str,
}

impl<'a> OneClient<'a> {
    pub(crate) fn avro(java: &'a mut JavaClients) -> Self {
        let client_type = "default";
        Self { java, client_type }
    }

    pub(crate) fn thrift(java: &'a mut JavaClients) -> Self {
        let client_type = "thrift";
        Self { java, client_type }
    }

    /// With settings as `key=value`, with spaces between them.
    pub(crate) fn open(&mut self, addr: SocketAddr, timeout_ms: u32, settings: &str) {
        let line = format!("open c {} {addr} {timeout_ms} {settings}", self.client_type);
        assert_eq!(
            self.meet(line.trim()),
            json!({"thrown": [], "active": true})
        );
    }

    pub(crate) fn meet(&mut self, command: &str) -> Value {
        self.java.say(command).unwrap();
        let (_, met) = self.java.hear().unwrap();
        serde_json::from_str(&met).unwrap()
    }

    #[track_caller]
    pub(crate) fn succeed(&mut self, command: &str) {
        assert_eq!(self.meet(command)["thrown"], json!([]), "{command}");
    }

    /// Sends this many events one by one, then a batch of this size, and another: they arrive in their
    /// order at the agent, which has none yet.
    #[track_caller]
    pub(crate) fn deliver_in_order(&mut self, sizes: [u32; 3], agent: &MiniAgent) {
        let [one_by_one, batch, other] = sizes;
        self.succeed(&format!("send c {one_by_one} {batch} {other}"));
        let events = sizes.iter().sum();
        let received = agent.wait_for(events as usize, TIMEOUT).unwrap();
        let bodies = received.iter().map(|event| event.body().to_vec());
        assert!(bodies.eq((0..events).map(|number| number.to_string().into_bytes())));
    }

    /// Sends ten batches of ten events from each of a hundred threads: each event arrives once.
    #[track_caller]
    pub(crate) fn deliver_from_a_hundred_threads(&mut self, agent: &MiniAgent) {
        self.succeed("storm c 100 10 10");
        let events = agent.wait_for(10_000, TIMEOUT).unwrap();
        let different: BTreeSet<_> = events.iter().map(|event| event.body().to_vec()).collect();
        assert_eq!((events.len(), different.len()), (10_000, 10_000));
    }

    /// The classes of what is thrown by it, down to the last cause, and the first one's message.
    pub(crate) fn fail(&mut self, command: &str) -> (Vec<String>, String) {
        let thrown = self.meet(command)["thrown"].take();
        let thrown = thrown.as_array().unwrap();
        let class = |one: &Value| one["class"].as_str().unwrap().to_owned();
        let message = thrown[0]["message"].as_str().unwrap().to_owned();
        (thrown.iter().map(class).collect(), message)
    }
}
