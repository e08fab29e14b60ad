//! What users of Flume's own Java client meet when an agent fails: the same exceptions, whether the
//! agent is a Flume or the mini-agent.
//!
//! In each condition six clients make a call each, side by side: plain, failover and load
//! balancing, `append` and `appendBatch`. What they throw, down to the last cause, and whether
//! they then call themselves active, must not tell the agents apart.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;
use std::thread;

use flume_tests::{JavaClients, Port, Version, freeze, require_java};
use serde_json::{Value, json};

use crate::suite::{AgentFactory, AgentUnderTest, Event, Kind, MiniFactory, RealFactory, request};

#[test]
fn the_java_client_of_1_11_meets_the_same_exceptions() {
    same_exceptions(Version::V1_11);
}

#[test]
fn the_java_client_of_1_9_meets_the_same_exceptions() {
    same_exceptions(Version::V1_9);
}

/// `full` has taken its one event, `slow` as well and waits for room as long as it takes.
const SOURCES: &str = "
sources.good: type = avro, port = {good_port}, channels = good
sources.full: type = avro, port = {full_port}, channels = full
sources.slow: type = avro, port = {slow_port}, channels = slow
channels.good: type = memory
channels.full: type = memory, capacity = 1, transactionCapacity = 1, keep-alive = 0
channels.slow: type = memory, capacity = 2, transactionCapacity = 2, keep-alive = 600
";

/// A channel that throws: only real Flume starts with it, the mini-agent refuses to.
const BROKEN: &str = "
sources.broken: type = avro, port = {broken_port}, channels = broken
channels.broken: type = file
  checkpointDir = /dev/null/checkpoint, dataDirs = /dev/null/data
";

/// What 1.11 answers to an `append` into that channel; 1.9 lacks the repetition, and has a colon.
const THROWN: &str = "org.apache.avro.AvroRuntimeException: Unknown datum type \
                      java.lang.IllegalStateException: java.lang.IllegalStateException: \
                      Channel closed [channel=broken]. Due to \
                      java.lang.IllegalArgumentException: \
                      CheckpointDir /dev/null/checkpoint could not be created";
const THROWN_BY_1_9: &str = "org.apache.avro.AvroRuntimeException: Unknown datum type: \
                             java.lang.IllegalStateException: \
                             Channel closed [channel=broken]. Due to \
                             java.lang.IllegalArgumentException: \
                             CheckpointDir /dev/null/checkpoint could not be created";

/// For calls to an agent that hangs, which wait for all of it. The least that the client accepts is a
/// second, but then a busy machine's sound agents are late, too.
const HUNG_TIMEOUT_MS: u32 = 5_000;
/// For all others.
const TIMEOUT_MS: u32 = 60_000;

/// The clients: what `client.type` says.
const TYPES: [&str; 3] = ["default", "default_failover", "default_loadbalance"];

const APPEND: Clients = Clients(&TYPES, &["append"]);
const BATCH: Clients = Clients(&TYPES, &["batch"]);
const ALL: Clients = Clients(&TYPES, &["append", "batch"]);
const SEVERAL_HOSTS: Clients = Clients(
    &["default_failover", "default_loadbalance"],
    &["append", "batch"],
);
/// The others try again on another connection, and 1.9 works on few of them at a time.
const PLAIN: Clients = Clients(&["default"], &["append", "batch"]);

/// What each client met in each condition: `condition/client type/call`.
type Transcript = BTreeMap<String, Value>;

fn same_exceptions(sdk: Version) {
    if !require_java() {
        return;
    }
    // Most of it is waiting, so the agents have their clients side by side.
    let [mini, new, old] = thread::scope(|scope| {
        let factories: [&dyn AgentFactory; 3] = [
            &MiniFactory,
            &RealFactory(Version::V1_11),
            &RealFactory(Version::V1_9),
        ];
        let runs = factories.map(|factory| scope.spawn(move || transcript(sdk, factory)));
        runs.map(|run| run.join().unwrap())
    });
    compare(&new, &mini);
    // The mini-agent throws as 1.11 does.
    let old = old.into_iter().map(|(condition, met)| {
        let met = met.to_string().replace(THROWN_BY_1_9, THROWN);
        (condition, serde_json::from_str(&met).unwrap())
    });
    compare(&old.collect(), &mini);
}

fn compare(flume: &Transcript, mini: &Transcript) {
    let differing: Vec<_> = flume
        .iter()
        .filter(|(condition, met)| mini.get(*condition) != Some(met))
        .map(|(condition, met)| {
            let mini = mini.get(condition);
            format!("{condition}:\n  Flume {met}\n  mini  {}", json!(mini))
        })
        .collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    assert_eq!(flume.len(), mini.len());
}

fn transcript(sdk: Version, factory: &dyn AgentFactory) -> Transcript {
    let agent = match factory.kind() {
        Kind::Flume(_) => factory.start(&format!("{SOURCES}{BROKEN}")),
        Kind::Mini => factory.start(SOURCES),
    };
    let mut run = Run {
        java: JavaClients::start(sdk).unwrap(),
        agent,
        met: Transcript::new(),
    };
    run.all();
    run.met
}

struct Run {
    java: JavaClients,
    agent: Box<dyn AgentUnderTest>,
    met: Transcript,
}

impl Run {
    fn all(&mut self) {
        let (good, full) = (self.agent.addr("good_port"), self.agent.addr("full_port"));
        self.open(ALL, good, TIMEOUT_MS);
        self.call(ALL, "accepted");

        let mut filler = self.agent.client("full_port");
        filler.append(&Event::default());
        self.open(ALL, full, TIMEOUT_MS);
        self.call(ALL, "failed");
        // A plain client is dead after its first failure.
        self.call(ALL, "failed again");

        self.throw();
        self.hang(good);
        self.vanish(good);
    }

    fn throw(&mut self) {
        if let Kind::Flume(_) = self.agent.kind() {
            self.open(ALL, self.agent.addr("broken_port"), TIMEOUT_MS);
            self.call(ALL, "thrown");
            return;
        }
        self.open(ALL, self.agent.addr("good_port"), TIMEOUT_MS);
        let control = self.agent.monitoring();
        for (clients, fault) in [
            (APPEND, json!({"fault": "rpc_error", "text": THROWN})),
            (BATCH, json!({"fault": "failed"})),
        ] {
            let put = request(control, "PUT", "/faults", None, fault.to_string());
            assert_eq!(put.status / 100, 2, "{put:?}");
            self.call(clients, "thrown");
            request(control, "DELETE", "/faults", None, "");
        }
    }

    /// The agent's process is stopped: its system still accepts connections.
    fn hang(&mut self, good: SocketAddr) {
        self.open(ALL, good, HUNG_TIMEOUT_MS);
        self.call(ALL, "before the hang");
        freeze(self.agent.pid()).unwrap();
        self.call(ALL, "hung");
        self.signal("-CONT");
        self.open(ALL, good, HUNG_TIMEOUT_MS);
        freeze(self.agent.pid()).unwrap();
        self.call(ALL, "hung in the handshake");
        self.signal("-CONT");
    }

    fn vanish(&mut self, good: SocketAddr) {
        let slow = self.agent.addr("slow_port");
        let mut filler = self.agent.client("slow_port");
        filler.append_batch(&[Event::default(), Event::default()]);
        self.open(PLAIN, slow, TIMEOUT_MS);
        self.say(PLAIN, "call");
        for counter in ["AppendReceivedCount", "AppendBatchReceivedCount"] {
            let value = if counter == "AppendReceivedCount" {
                "1"
            } else {
                "2"
            };
            self.agent.wait_for_counter("SOURCE.slow", counter, value);
        }
        self.agent.kill();
        self.note(PLAIN, "killed under a call");

        self.agent.restart();
        self.open(ALL, good, TIMEOUT_MS);
        self.call(ALL, "before the stop");
        self.agent.stop();
        self.say(ALL, "settle");
        self.note(ALL, "settled");
        self.call(ALL, "stopped");

        let nobody = Port::reserve();
        self.open(ALL, nobody.addr(), TIMEOUT_MS);
        // A plain client has not even come to be.
        self.call(SEVERAL_HOSTS, "refused");
    }

    /// New clients; what they meet is noted, too.
    fn open(&mut self, clients: Clients, addr: SocketAddr, timeout_ms: u32) {
        let before = self.met.len();
        for (kind, call) in clients.each() {
            let hosts = if kind == "default" { 1 } else { 2 };
            let hosts = vec![addr.to_string(); hosts].join(",");
            let line = format!("open {kind}/{call} {kind} {hosts} {timeout_ms}");
            self.java.say(&line).unwrap();
        }
        self.note(clients, &format!("opened after {before}"));
    }

    fn call(&mut self, clients: Clients, condition: &str) {
        self.say(clients, "call");
        self.note(clients, condition);
    }

    fn say(&mut self, clients: Clients, command: &str) {
        for (kind, call) in clients.each() {
            let line = format!("{command} {kind}/{call} {call}");
            self.java.say(&line).unwrap();
        }
    }

    /// Waits for the answers of all these clients.
    fn note(&mut self, clients: Clients, condition: &str) {
        for _ in clients.each() {
            let (name, met) = self.java.hear().unwrap();
            let met = serde_json::from_str(&nameless(&met)).unwrap();
            let before = self.met.insert(format!("{condition}/{name}"), met);
            assert_eq!(before, None, "{condition}/{name}");
        }
    }

    fn signal(&self, signal: &str) {
        let pid = self.agent.pid().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(sent.unwrap().success());
    }
}

/// Each of these types with each of these calls, a client each.
#[derive(Clone, Copy)]
struct Clients(&'static [&'static str], &'static [&'static str]);

impl Clients {
    fn each(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let calls = move |kind: &'static str| self.1.iter().map(move |call| (kind, *call));
        self.0.iter().flat_map(move |kind| calls(kind))
    }
}

/// Without ports, the addresses of Java objects and the ids of connections.
fn nameless(text: &str) -> String {
    let decimal = |c: char| c.is_ascii_digit();
    let hexadecimal = |c: char| c.is_ascii_hexdigit();
    let text = masked(text, "127.0.0.1:", decimal);
    let text = masked(&text, "port: ", decimal);
    let text = masked(&text, "0x", hexadecimal);
    masked(&text, "@", hexadecimal)
}

/// What follows `prefix` replaced by `?`.
fn masked(text: &str, prefix: &str, belongs: impl Fn(char) -> bool) -> String {
    let mut parts = text.split(prefix);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(&belongs);
        let mask = if rest.len() < part.len() { "?" } else { "" };
        out = [&out, prefix, mask, rest].concat();
    }
    out
}
