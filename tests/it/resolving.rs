//! Agents by names that the system's name server never answers for.

use std::time::Duration;

use flume_client::{Client, ClientBuilder, Event};
use flume_tests::wait_until;

use crate::support::{Agent, assert_each_once, client_at, give_up, with_silent_name_server};

/// Less than one look-up takes, and enough for a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(60);
const EVENTS: u64 = 2000;

/// More names than a client has threads for, and the agent behind them.
fn agents(agent: &Agent) -> Vec<String> {
    let names = (1..=3).map(|number| format!("avro://silent-{number}.test:4141"));
    names.chain([agent.url()]).collect()
}

fn settings(agent: &Agent) -> ClientBuilder {
    let client = client_at(agents(agent)).event_bytes(4096);
    client.connect_timeout(Duration::from_millis(200))
}

fn event(number: u64) -> Event {
    Event::new(format!("event {number} {}", "x".repeat(3000)))
}

fn append(client: &Client, numbers: std::ops::Range<u64>) {
    for number in numbers {
        drop(client.append_within(event(number), PATIENCE).unwrap());
    }
}

/// Each agent by a name was tried, and says whose fault it was.
#[track_caller]
fn assert_told(client: &Client) {
    let told = |name: &str| {
        let words = format!("the host {name:?} was not resolved within 200ms: the name server");
        client.health().to_string().contains(&words)
    };
    let all = || (1..=3).all(|number| told(&format!("silent-{number}.test")));
    let waited = wait_until("a word of each name", PATIENCE, all);
    assert!(waited.is_ok(), "{}", client.health());
}

#[test]
fn a_silent_name_server_holds_up_neither_other_agents_nor_the_disk() {
    let test = "resolving::a_silent_name_server_holds_up_neither_other_agents_nor_the_disk";
    with_silent_name_server(test, 64, |disk| {
        let agent = Agent::good();
        let spool = disk.join("spool");
        let spooled = |urls: ClientBuilder| {
            let client = urls.spool(&spool).spool_bytes(32 << 20);
            client.spool_free_bytes(0).build().unwrap()
        };
        // Nobody takes what these leave on the disk, more than a client holds in memory.
        let names = agents(&agent)[..3].to_vec();
        let client = spooled(client_at(names).event_bytes(4096));
        append(&client, 0..EVENTS);
        let last = client.append(event(EVENTS)).unwrap();
        last.wait_stored(PATIENCE).unwrap();
        assert_eq!(give_up(&client, Duration::ZERO).on_disk, EVENTS + 1);
        drop(client);

        let client = spooled(settings(&agent));
        append(&client, EVENTS + 1..2 * EVENTS);
        client.flush(PATIENCE).wait().unwrap();
        assert_each_once(agent.stored(), 2 * EVENTS);
        assert_told(&client);
        // It ends though its names are being looked up.
        assert!(client.close(PATIENCE).wait().is_complete());
    });
}

#[test]
fn a_silent_name_server_holds_up_no_other_agent_of_a_client_without_a_spool() {
    let test =
        "resolving::a_silent_name_server_holds_up_no_other_agent_of_a_client_without_a_spool";
    with_silent_name_server(test, 4, |_| {
        let agent = Agent::good();
        let client = settings(&agent).build().unwrap();
        append(&client, 0..EVENTS);
        client.flush(PATIENCE).wait().unwrap();
        assert_each_once(agent.stored(), EVENTS);
        assert_told(&client);
        assert!(client.close(PATIENCE).wait().is_complete());
    });
}

#[test]
fn three_names_that_nobody_answers_for_cost_the_first_event_no_more_than_4_s() {
    let test =
        "resolving::three_names_that_nobody_answers_for_cost_the_first_event_no_more_than_4_s";
    with_silent_name_server(test, 4, |_| {
        let agent = Agent::good();
        // What a user has who sets nothing.
        let client = Client::builder().agents(agents(&agent)).event_ids(false);
        let client = client.build().unwrap();
        let first = client.append(event(0)).unwrap();
        let ack = first.wait(Duration::from_secs(4)).unwrap();
        assert_eq!(ack.agent.to_string(), agent.url());
        assert!(client.close(PATIENCE).wait().is_complete());
    });
}
