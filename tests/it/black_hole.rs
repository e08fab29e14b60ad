//! Agents behind a black hole: packets to them leave, and nothing ever comes back, no answer and no
//! refusal. The black hole is a network namespace whose way back is closed.

use std::env;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use flume_client::Client;
use flume_mini_agent::MiniAgent;
use rustix::process::geteuid;

use crate::support::{Agent, Other, PATIENCE, client_at, event, tell, wait_for_end};

/// The hardware address of the other end: told to this one, which could not ask for it.
const HARDWARE: &str = "02:00:00:00:00:01";
/// Where nothing listens in the namespace, unless a test starts something there.
const PORT: u16 = 4141;

/// A host of its own, at the other end of a wire. It is gone when this is dropped.
struct Hole {
    namespace: String,
    wire: String,
    /// The first address of its network is this host's, the second the other one's.
    network: u32,
}

impl Hole {
    /// `None`: it cannot be made here, which is told, and is a failure where it must be possible.
    fn dig() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        // For measurements between networks, so in use nowhere. Four addresses for each test.
        let block = (process.wrapping_mul(4).wrapping_add(number)) % (1 << 15);
        let hole = Self {
            namespace: format!("flume-{process}-{number}"),
            wire: format!("fl{process}-{number}"),
            network: u32::from(Ipv4Addr::new(198, 18, 0, 0)) + block * 4,
        };
        if let Err(error) = hole.make() {
            let message = format!("this test needs root and `ip netns`: {error}");
            let is_forbidden = message.contains("not permitted");
            let must_run = env::var_os("CI").is_some_and(|ci| ci == "true") && geteuid().is_root();
            let must_run = must_run && !is_forbidden;
            assert!(!must_run, "{message}");
            // Not `eprintln!`: the test runner would swallow it, because a skipped test passes.
            writeln!(io::stderr(), "SKIPPED: {message}").expect("stderr takes a line");
            return None;
        }
        Some(hole)
    }

    fn make(&self) -> io::Result<()> {
        let (here, there) = (self.here(), self.there());
        let Self {
            namespace, wire, ..
        } = self;
        for words in [
            format!("netns add {namespace}"),
            format!(
                "link add {wire} type veth peer name inside address {HARDWARE} netns {namespace}"
            ),
            format!("addr add {here}/30 dev {wire}"),
            format!("link set {wire} up"),
            format!("-n {namespace} addr add {there}/30 dev inside"),
            format!("-n {namespace} link set inside up"),
            // Else this host would say after 3 s that there is no such neighbour.
            format!("neigh replace {there} lladdr {HARDWARE} dev {wire} nud permanent"),
        ] {
            ip(&words)?;
        }
        Ok(())
    }

    fn here(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.network + 1)
    }

    fn there(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.network + 2)
    }

    fn url(&self, port: u16) -> String {
        format!("avro://{}:{port}", self.there())
    }

    /// From now on nothing comes back.
    fn close(&self) {
        self.way_back("add");
    }

    fn open(&self) {
        self.way_back("del");
    }

    fn way_back(&self, verb: &str) {
        let (namespace, here) = (&self.namespace, self.here());
        ip(&format!("-n {namespace} route {verb} blackhole {here}/32")).unwrap();
    }

    /// Starts this test once more, inside.
    fn start(&self, test: &str) -> Other {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]);
        command.arg(env::current_exe().unwrap());
        let address = self.there().to_string();
        Other::start_by(command, test, &address)
    }
}

impl Drop for Hole {
    fn drop(&mut self) {
        // The wire also goes by itself, but only when the last process inside has ended.
        for words in [
            format!("link del {}", self.wire),
            format!("netns del {}", self.namespace),
        ] {
            // Where it could not be made there is nothing to take away.
            let _ = ip(&words);
        }
    }
}

/// Calls the command `ip` with these words.
fn ip(words: &str) -> io::Result<()> {
    let output = Command::new("ip").args(words.split(' ')).output()?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let told = String::from_utf8_lossy(&output.stderr);
            Err(io::Error::other(format!("ip {words}: {}", told.trim())))
        }
    }
}

fn acknowledged_by(client: &Client, number: u64, within: Duration) -> String {
    let receipt = client.append(event(number)).unwrap();
    receipt.wait(within).unwrap().agent.to_string()
}

#[test]
fn a_preferred_agent_behind_a_black_hole_costs_the_first_event_no_more_than_2_s() {
    let Some(hole) = Hole::dig() else {
        return;
    };
    hole.close();
    // Also on a machine that has much else to do, one of these finds it idle.
    let in_time = (0..3).any(|_| {
        let next = Agent::good();
        // What a user has who sets nothing.
        let client = Client::builder().agents([hole.url(PORT), next.url()]);
        let client = client.event_ids(false).build().unwrap();
        let started = Instant::now();
        assert_eq!(acknowledged_by(&client, 0, PATIENCE), next.url());
        let took = started.elapsed();
        println!("the next agent's acknowledgement came after {took:?}");
        // It is still waited for, so the next one was tried beside it, and not after it.
        let is_waited_for = client.stats().agents[0].failures == 0;
        assert_eq!(client.close(PATIENCE).wait().lost.total(), 0);
        is_waited_for && took <= Duration::from_secs(2)
    });
    assert!(in_time, "the next agent is tried late");
}

#[test]
fn an_agent_behind_a_black_hole_in_mid_stream_costs_its_request_time_and_is_used_again_after_it() {
    let test = "black_hole::an_agent_behind_a_black_hole_in_mid_stream_costs_its_request_time_and_is_used_again_after_it";
    if let Some(address) = Other::role() {
        let agent = MiniAgent::builder().bind(format!("{address}:0"));
        let agent = agent.start().unwrap();
        let url = agent.url();
        let port = url.rsplit(':').next().unwrap();
        tell(port.parse().unwrap());
        return wait_for_end();
    }
    let Some(hole) = Hole::dig() else {
        return;
    };
    let mut inside = hole.start(test);
    let port = u16::try_from(inside.told()).unwrap();
    let (preferred, next) = (hole.url(port), Agent::good());
    let request = Duration::from_secs(2);
    let client = client_at([preferred.clone(), next.url()]);
    let client = client.request_timeout(request).build().unwrap();
    let mut events = 0;
    let mut acknowledged = || {
        events += 1;
        acknowledged_by(&client, events - 1, PATIENCE)
    };
    assert_eq!(acknowledged(), preferred);
    // Also on a machine that has much else to do, one of these finds it idle.
    let in_time = (0..3).any(|_| {
        hole.close();
        let started = Instant::now();
        assert_eq!(acknowledged(), next.url());
        let took = started.elapsed();
        println!("the next agent's acknowledgement came after {took:?}");
        hole.open();
        let started = Instant::now();
        while acknowledged() != preferred {
            assert!(started.elapsed() < PATIENCE, "the first agent is not used");
        }
        took <= request + Duration::from_secs(1)
    });
    assert!(in_time, "the next agent is used late");
    let report = client.close(PATIENCE).wait();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.delivered, events);
}
