//! Killing and restarting an agent, and what it keeps.

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use flume_tests::{Channel, JavaSdk, RealFlume, SdkRun, Sink, resident_bytes, wait_until};

use crate::{for_both_versions, on_both_versions};
use flume_tests::raw::Connection;

const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

#[test]
fn a_file_channel_keeps_its_events_through_a_kill() {
    on_both_versions(
        |settings| settings.channel(Channel::File).sink(Sink::None),
        |mut agent| {
            JavaSdk::run(agent.version(), &SdkRun::to(&[agent.addr()])).unwrap();
            let (addr, pid) = (agent.addr(), agent.pid());
            agent.kill();
            assert!(
                TcpStream::connect(addr).is_err(),
                "nobody listens after a kill"
            );
            assert!(agent.metrics().is_err() && resident_bytes(agent.pid()).is_err());

            agent.restart().unwrap();
            assert_eq!(agent.addr(), addr);
            assert_ne!(agent.pid(), pid);
            let size = agent
                .metrics()
                .unwrap()
                .counter("CHANNEL.c1", "ChannelSize");
            assert_eq!(size, Some(1_000));
            drop(Connection::open_and_greet(addr));
        },
    );
}

#[test]
fn lines_of_both_lives_are_read_in_their_order() {
    on_both_versions(
        |settings| settings.sink(Sink::FileRoll).sink_batch(10),
        |mut agent| {
            let run = SdkRun {
                events: 30,
                body_bytes: 12,
                ..SdkRun::to(&[agent.addr()])
            };
            for _ in 0..2 {
                JavaSdk::run(agent.version(), &run).unwrap();
                agent.wait_for_drained(30, DRAIN_TIMEOUT).unwrap();
                agent.restart().unwrap();
            }
            let life = (0..30).map(|number| format!("{number:012}").into_bytes());
            let lines = life.clone().chain(life).collect::<Vec<_>>();
            assert_eq!(agent.rolled_lines().unwrap(), lines);
        },
    );
}

#[test]
fn a_source_that_never_gets_its_port_is_an_error_instead_of_somebody_elses_port() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for_both_versions(|version| {
        // The harness would pick another port, but this line pins the one that is taken.
        let agent = RealFlume::builder(version)
            .property("a1.sources.r1.port", &port)
            .start();
        assert!(
            agent
                .unwrap_err()
                .to_string()
                .contains("somebody else took the port")
        );
    });
}

#[test]
fn waiting_in_vain_ends_and_names_what_was_awaited() {
    let waited = wait_until("a miracle", Duration::from_millis(1), || false);
    assert!(
        waited
            .unwrap_err()
            .to_string()
            .ends_with("in vain for a miracle")
    );
}
