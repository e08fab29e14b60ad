//! Agents with TLS, and what both sides have to show.

use std::fs;

use flume_client::{Client, ClientBuilder, TlsOptions};
use flume_mini_agent::config::{Nesting, Pem, ThriftProtocol, TlsConfig};
use flume_mini_agent::{MiniAgent, MiniAgentBuilder};
use flume_tests::wait_until;

use crate::authority::Authority;
use crate::support::{PATIENCE, assert_balanced, client_at, event, give_up};

fn client_of(agent: &MiniAgent, tls: TlsOptions) -> ClientBuilder {
    client_at([agent.url()]).tls(tls)
}

/// Delivers events, each once.
fn deliver(client: &Client, agent: &MiniAgent) {
    for number in 0..5_000 {
        client.append_within(event(number), PATIENCE).unwrap();
    }
    client.flush(PATIENCE).wait().unwrap();
    let stats = client.stats();
    assert_balanced(&stats);
    assert_eq!((stats.delivered, stats.batches_retried), (5_000, 0));
    assert!(stats.agents[0].last_error.is_none(), "{stats:?}");
    agent.wait_for(5_000, PATIENCE).unwrap();
    assert_eq!(agent.received_count(), 5_000);
}

fn builders() -> [(MiniAgentBuilder, u64); 6] {
    let builder = MiniAgent::builder;
    [
        (builder(), 1),
        (builder().thrift(ThriftProtocol::Compact), 1),
        (builder().thrift(ThriftProtocol::Binary), 2),
        (builder().deflate().nesting(Nesting::TlsOutside), 1),
        (builder().deflate().nesting(Nesting::ZlibOutside), 2),
        (builder().http(), 1),
    ]
}

#[test]
fn each_kind_of_source_takes_all_events_once_over_tls() {
    let authority = Authority::new();
    for (builder, connects) in builders() {
        let agent = authority.agent(builder);
        let client = client_of(&agent, authority.trusted()).build().unwrap();
        deliver(&client, &agent);
        assert_eq!(client.stats().connects, connects, "{}", agent.url());
    }
}

#[test]
fn an_agent_that_asks_for_a_certificate_gets_it() {
    let authority = Authority::new();
    let own = authority.sign_into("client.example", "client.pem");
    for (builder, _) in builders() {
        let agent = authority.asking_agent(builder);
        let tls = authority.trusted().client_certificate(&own, &own);
        deliver(&client_of(&agent, tls).build().unwrap(), &agent);
    }
}

/// What is told of an agent that gets no event.
fn told_of(agent: &MiniAgent, tls: TlsOptions) -> String {
    let client = client_of(agent, tls).build().unwrap();
    client.append(event(1)).unwrap();
    let error = || client.stats().agents[0].last_error.clone();
    wait_until("an error", PATIENCE, || error().is_some()).unwrap();
    let told = error().unwrap().to_string();
    let report = give_up(&client, std::time::Duration::ZERO);
    assert_eq!((report.delivered, report.lost.closed), (0, 1), "{report:?}");
    assert_eq!(agent.received_count(), 0);
    told
}

#[test]
fn without_the_certificate_that_is_asked_for_nothing_is_sent_and_the_reason_is_told() {
    let authority = Authority::new();
    for (builder, _) in builders() {
        let agent = authority.asking_agent(builder);
        let told = told_of(&agent, authority.trusted());
        assert!(told.contains("client certificate"), "{told}");
    }
}

#[test]
fn an_agent_whose_certificate_another_authority_signed_gets_nothing() {
    let (authority, other) = (Authority::new(), Authority::new());
    let told = told_of(&authority.agent(MiniAgent::builder()), other.trusted());
    assert!(told.contains("certificate"), "{told}");
    let named = authority.trusted().server_name("collector.example");
    let told = told_of(&authority.agent(MiniAgent::builder()), named);
    assert!(
        told.contains("collector.example") && told.contains("127.0.0.1"),
        "{told}"
    );
}

#[test]
fn new_certificates_of_both_sides_are_used_by_the_next_connection() {
    let authority = Authority::new();
    let own = authority.sign_into("client.example", "client.pem");
    let of_agent = authority.sign_into("127.0.0.1", "agent.pem");
    let mut tls = TlsConfig::new(Pem::File(of_agent));
    tls.client_authorities = Some(Pem::Bytes(authority.pem.clone().into()));
    let mut agent = MiniAgent::builder().tls(tls).start().unwrap();
    let options = authority.trusted().client_certificate(&own, &own);
    let client = client_of(&agent, options).build().unwrap();
    let send = |number| client.append(event(number)).unwrap().wait(PATIENCE);
    send(0).unwrap();
    // What cannot be used leaves the old ones in use.
    fs::write(&own, "nothing").unwrap();
    agent.restart().unwrap();
    send(1).unwrap();
    authority.sign_into("client.example", "client.pem");
    authority.sign_into("127.0.0.1", "agent.pem");
    agent.restart().unwrap();
    send(2).unwrap();
}

#[test]
fn a_client_that_checks_no_certificate_says_so() {
    let authority = Authority::new();
    let agent = authority.agent(MiniAgent::builder());
    let tls = TlsOptions::default().dangerous_trust_any_certificate();
    let client = client_of(&agent, tls).build().unwrap();
    client.append(event(0)).unwrap().wait(PATIENCE).unwrap();
    let health = client.health();
    assert_eq!(health.status(), flume_client::Status::Degraded);
    assert!(health.to_string().contains("not checked"), "{health}");
}
