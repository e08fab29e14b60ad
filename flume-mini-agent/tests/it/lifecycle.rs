//! Start, stop, start again.

use std::net::TcpStream;
use std::time::Duration;

use flume_mini_agent::{MiniAgent, StartError};

use crate::support::{APPEND, Client, LIMIT, batch, bodies, status};

#[test]
fn a_stop_closes_connections_and_listener() {
    let mut agent = MiniAgent::builder().start().unwrap();
    let mut client = Client::greeted(&agent);
    agent.stop();
    client.expect_closed();
    assert!(TcpStream::connect(agent.addr()).is_err());
    assert_eq!(agent.stats().connections_open, 0);
    agent.stop();
}

#[test]
fn a_drop_stops_the_agent() {
    let agent = MiniAgent::builder().start().unwrap();
    let address = agent.addr();
    let mut client = Client::greeted(&agent);
    drop(agent);
    client.expect_closed();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_restart_on_the_same_port_keeps_what_was_received() {
    let mut agent = MiniAgent::builder().start().unwrap();
    let address = agent.addr();
    for round in 1..=5 {
        let mut client = Client::greeted(&agent);
        client.send(APPEND);
        client.expect(&status(1, "00"));
        assert_eq!(bodies(&agent, round).len(), round);
        agent.restart().unwrap();
        client.expect_closed();
        assert_eq!(agent.addr(), address);
    }
    assert_eq!(agent.received_count(), 5);
    assert_eq!(agent.stats().connections_opened, 5);
}

#[test]
fn the_channel_keeps_its_events_over_a_stop_and_waiting_batches_are_given_up() {
    let builder = MiniAgent::builder().sink_paused(true).keep_alive(LIMIT);
    let mut agent = builder.start().unwrap();
    let mut client = Client::greeted(&agent);
    client.send_bytes(&batch(3, 100));
    client.expect(&status(3, "00"));
    client.send(APPEND);
    agent
        .wait_until(LIMIT, |stats| stats.batches_waiting == 1)
        .unwrap();
    agent.stop();
    client.expect_closed();
    let stats = agent.stats();
    assert_eq!((stats.channel_size, stats.batches_waiting), (100, 0));
    agent.resume_sink();
    agent.start_again().unwrap();
    assert_eq!(bodies(&agent, 100), ["x"; 100]);
    assert_eq!(agent.received_count(), 100);
}

#[test]
fn a_running_agent_cannot_be_started_again() {
    let mut agent = MiniAgent::builder().start().unwrap();
    assert!(matches!(
        agent.start_again(),
        Err(StartError::Running { .. })
    ));
    Client::greeted(&agent).expect_usable();
}

#[test]
fn a_taken_port_is_an_error_that_names_the_address() {
    let agent = MiniAgent::builder().start().unwrap();
    let error = MiniAgent::builder().bind(agent.addr()).start().unwrap_err();
    let start = format!("cannot listen on {}: ", agent.addr());
    assert!(error.to_string().starts_with(&start), "{error}");
    assert!(
        error.to_string().ends_with("choose a free one or port 0"),
        "{error}"
    );
}

#[test]
fn an_address_that_cannot_be_listened_on_is_an_error_that_names_it_and_the_way_out() {
    let check = |address: &str, way_out: &str| {
        let error = MiniAgent::builder().bind(address).start().unwrap_err();
        let error = error.to_string();
        let start = format!("cannot listen on {address}: ");
        assert!(
            error.starts_with(&start) && error.ends_with(way_out),
            "{error}"
        );
        assert!(!error.contains("another process"), "{error}");
        // The control interface tells the same.
        #[cfg(feature = "control")]
        {
            let builder = MiniAgent::builder()
                .control(address)
                .control_from_anywhere(true);
            assert_eq!(builder.start().unwrap_err().to_string(), error);
        }
    };
    check("nowhere", "; write it as HOST:PORT");
    check("no-such-host.invalid:0", "; check the host's name");
    // An address for documentation, which nobody has.
    check(
        "192.0.2.1:0",
        "such as 127.0.0.1, or 0.0.0.0 for all of them",
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_stopped_agent_keeps_its_port_from_those_who_do_not_ask_for_it() {
    let mut agent = MiniAgent::builder().start().unwrap();
    agent.stop();
    let by_chance = tokio::net::TcpSocket::new_v4().unwrap();
    assert!(by_chance.bind(agent.addr()).is_err());
    agent.start_again().unwrap();
    Client::greeted(&agent).expect_usable();
}

#[test]
fn another_server_may_take_the_place_of_a_stopped_agent() {
    let mut agent = MiniAgent::builder().start().unwrap();
    agent.stop();
    let other = MiniAgent::builder().bind(agent.addr()).start().unwrap();
    assert!(matches!(agent.start_again(), Err(StartError::Bind { .. })));
    drop(other);
    agent.start_again().unwrap();
}

#[test]
fn an_agent_starts_waits_and_stops_inside_of_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut agent = MiniAgent::builder().start().unwrap();
        Client::greeted(&agent).send(APPEND);
        agent.wait_for(1, LIMIT).unwrap();
        agent.restart().unwrap();
        Client::greeted(&agent).expect_usable();
    });
}

#[test]
fn agents_side_by_side_do_not_share_anything() {
    let agents: Vec<_> = (0..8)
        .map(|_| MiniAgent::builder().start().unwrap())
        .collect();
    for (count, agent) in agents.iter().enumerate() {
        let mut client = Client::greeted(agent);
        for _ in 0..count {
            client.send(APPEND);
            client.expect(&status(1, "00"));
        }
    }
    for (count, agent) in agents.iter().enumerate() {
        agent.wait_for(count, LIMIT).unwrap();
        assert_eq!(agent.received().len(), count);
    }
}

#[test]
fn connections_over_the_limit_are_closed_and_places_become_free_again() {
    let agent = MiniAgent::builder().max_connections(2).start().unwrap();
    let first = Client::greeted(&agent);
    let _second = Client::greeted(&agent);
    Client::connect(&agent).expect_closed();
    drop(first);
    let stats = agent
        .wait_until(LIMIT, |stats| stats.connections_open == 1)
        .unwrap();
    assert_eq!(
        (stats.connections_opened, stats.connections_refused),
        (2, 1)
    );
    Client::greeted(&agent).expect_usable();
}

#[test]
fn a_wait_in_vain_tells_what_did_arrive() {
    let agent = MiniAgent::builder().start().unwrap();
    let mut client = Client::greeted(&agent);
    client.send(&[APPEND, APPEND].concat());
    agent.wait_for(2, LIMIT).unwrap();
    let error = agent.wait_for(3, Duration::from_millis(1)).unwrap_err();
    assert_eq!(error.arrived(), 2);
    let start = "2 of 3 events arrived within 1ms, first bodies: \"hi\", \"hi\"; Stats {";
    assert!(error.to_string().starts_with(start), "{error}");
    assert!(format!("{error:?}").starts_with(start));
    let error = agent.wait_until(Duration::ZERO, |_| false).unwrap_err();
    assert!(error.to_string().contains("events_drained: 2"), "{error}");
}
