//! Agents in processes that stand still (SIGSTOP): the system still accepts their connections, and
//! nobody answers. And the other ways in which a preferred agent is not there.

use std::time::{Duration, Instant};

use flume_client::{Client, ClientBuilder};
use flume_mini_agent::MiniAgent;
use flume_tests::freeze;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    Agent, HOUR, Other, PATIENCE, Port, append_all, assert_each_once, client_at, event, tell,
    wait_for_end,
};

/// A mini-agent in another process.
struct Elsewhere {
    process: Other,
    url: String,
}

impl Elsewhere {
    /// `test` is the name of the calling test. `None`: this is the other process, and it is over.
    fn start(test: &str) -> Option<Self> {
        if Other::role().is_some() {
            let agent = MiniAgent::builder().start().unwrap();
            let url = agent.url();
            let port = url.rsplit(':').next().unwrap();
            tell(port.parse().unwrap());
            wait_for_end();
            return None;
        }
        let mut process = Other::start(test, "agent");
        let url = format!("avro://127.0.0.1:{}", process.told());
        Some(Self { process, url })
    }

    fn freeze(&self) {
        freeze(self.process.id()).unwrap();
    }

    fn go_on(&self) {
        let pid = Pid::from_raw(self.process.id().cast_signed()).unwrap();
        kill_process(pid, Signal::CONT).unwrap();
    }
}

/// What a user has who sets nothing.
fn default_client(urls: [String; 2]) -> Client {
    let client = Client::builder().agents(urls).event_ids(false);
    client.build().unwrap()
}

fn acknowledged_by(client: &Client, number: u64, within: Duration) -> String {
    let receipt = client.append(event(number)).unwrap();
    receipt.wait(within).unwrap().agent.to_string()
}

#[test]
fn a_preferred_agent_that_stands_still_costs_the_first_event_no_more_than_2_s() {
    let test = "frozen::a_preferred_agent_that_stands_still_costs_the_first_event_no_more_than_2_s";
    let Some(preferred) = Elsewhere::start(test) else {
        return;
    };
    preferred.freeze();
    let next = Agent::good();
    let client = default_client([preferred.url.clone(), next.url()]);
    let agent = acknowledged_by(&client, 0, Duration::from_secs(2));
    assert_eq!(agent, next.url());
}

#[test]
fn an_agent_that_stops_still_in_mid_stream_costs_its_request_time_and_is_used_again_when_it_goes_on()
 {
    let test = "frozen::an_agent_that_stops_still_in_mid_stream_costs_its_request_time_and_is_used_again_when_it_goes_on";
    let Some(preferred) = Elsewhere::start(test) else {
        return;
    };
    let request = Duration::from_secs(2);
    let next = Agent::good();
    let settings = |client: ClientBuilder| client.request_timeout(request).build().unwrap();
    let client = settings(client_at([preferred.url.clone(), next.url()]));
    for number in 0..10 {
        let agent = acknowledged_by(&client, number, PATIENCE);
        assert_eq!(agent, preferred.url, "{number}");
    }
    preferred.freeze();
    let agent = acknowledged_by(&client, 10, request + Duration::from_secs(1));
    assert_eq!(agent, next.url());
    preferred.go_on();
    let started = Instant::now();
    let is_back = |number| acknowledged_by(&client, number, PATIENCE) == preferred.url;
    let back = (11..).find(|number| {
        assert!(started.elapsed() < PATIENCE, "the first agent is not used");
        is_back(*number)
    });
    assert!(back.is_some_and(is_back));
    assert_eq!(client.close(PATIENCE).wait().lost.total(), 0);
}

#[test]
fn an_agent_that_refuses_connections_costs_the_first_event_nothing() {
    // Also on a machine that has much else to do, one of these finds it idle.
    let at_once = (0..5).any(|_| {
        let (refused, next) = (Port::reserve(), Agent::good());
        let client = default_client([refused.url(), next.url()]);
        let receipt = client.append(event(0)).unwrap();
        let acknowledged = receipt.wait(Duration::from_millis(100));
        drop(client.close(HOUR).wait());
        assert_each_once(next.stored(), 1);
        acknowledged.is_ok()
    });
    assert!(at_once, "the next agent is tried late");
}

#[test]
fn an_agent_that_refuses_connections_in_mid_stream_costs_nothing_but_the_attempt() {
    let (mut preferred, next) = (Agent::good(), Agent::good());
    let client = default_client([preferred.url(), next.url()]);
    assert_eq!(acknowledged_by(&client, 0, PATIENCE), preferred.url());
    preferred.stop();
    append_all(&client, 1..100);
    // Far less than any time-out and any rest.
    client.flush(Duration::from_secs(1)).wait().unwrap();
    assert_each_once([preferred.stored(), next.stored()].concat(), 100);
}
