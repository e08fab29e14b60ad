//! Flume's own Java client against real Flume: the harness's other half.

use std::time::Duration;

use flume_tests::{ClientType, JavaSdk, SdkRun, Sink};

use crate::on_both_versions;

const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

#[test]
fn the_java_client_delivers_every_event_to_the_sink() {
    on_both_versions(
        |settings| settings.sink(Sink::FileRoll),
        |agent| {
            let run = SdkRun {
                threads: 2,
                body_bytes: 20,
                ..SdkRun::to(&[agent.addr()])
            };
            let rounds = JavaSdk::run(agent.version(), &run).unwrap();
            assert_eq!(rounds.len(), 1);
            let round = &rounds[0];
            assert_eq!((round.events, round.threads, round.batch), (1_000, 2, 100));
            assert!(
                round.events_per_second > 0.0 && round.cpu_seconds > 0.0,
                "{round:?}"
            );

            agent.wait_for_drained(1_000, DRAIN_TIMEOUT).unwrap();
            let accepted = agent
                .metrics()
                .unwrap()
                .counter("SOURCE.r1", "EventAcceptedCount");
            assert_eq!(accepted, Some(1_000));
            // Two senders: their batches interleave.
            let mut lines = agent.rolled_lines().unwrap();
            lines.sort();
            let sent: Vec<_> = (0..1_000)
                .map(|n| format!("{n:012}xxxxxxxx").into_bytes())
                .collect();
            assert!(lines == sent, "{} lines", lines.len());
        },
    );
}

#[test]
fn the_java_clients_for_several_hosts_deliver_too() {
    on_both_versions(
        |settings| settings,
        |agent| {
            for client_type in [ClientType::Failover, ClientType::LoadBalance] {
                // They refuse to work with a single host.
                let run = SdkRun {
                    client_type,
                    rounds: 2,
                    ..SdkRun::to(&[agent.addr(), agent.addr()])
                };
                let rounds = JavaSdk::run(agent.version(), &run).unwrap();
                assert_eq!(rounds.len(), 2);
            }
            agent.wait_for_drained(4_000, DRAIN_TIMEOUT).unwrap();
        },
    );
}
