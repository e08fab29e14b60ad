//! Two real agents of different versions: one takes over from the other, and gives back.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use flume_client::{Backoff, Client, ClientBuilder, Event};
use flume_tests::{Channel, RealFlume, Sink, Version, freeze, wait_until};
use rustix::process::{Pid, Signal, kill_process};

use crate::for_both_versions;

const TIMEOUT: Duration = Duration::from_secs(60);
/// Enough for an agent whose own compiler has much to do.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

fn client_of(preferred: &RealFlume, next: &RealFlume) -> ClientBuilder {
    let backoff = Backoff::default()
        .base(Duration::from_millis(50))
        .cap(Duration::from_millis(200));
    Client::builder()
        .agents([preferred.url(), next.url()])
        .request_timeout(ANSWER_WITHIN)
        .backoff(backoff)
}

/// Who has acknowledged this event.
fn acknowledged_by(client: &Client, number: u64, within: Duration) -> String {
    let receipt = client.append(Event::new(number.to_string())).unwrap();
    receipt.wait(within).unwrap().agent.to_string()
}

fn check(versions: [Version; 2]) {
    let start = |version| {
        let settings = RealFlume::builder(version).channel(Channel::File);
        settings.sink(Sink::FileRoll).start().unwrap()
    };
    let [mut preferred, next] = versions.map(start);
    let client = client_of(&preferred, &next).build().unwrap();
    for number in 0..10 {
        let agent = acknowledged_by(&client, number, TIMEOUT);
        assert_eq!(agent, preferred.url(), "{number}");
    }

    // It stands still: its connection is given up when an answer is late.
    freeze(preferred.pid()).unwrap();
    assert_eq!(acknowledged_by(&client, 10, TIMEOUT), next.url());
    // Who comes now knows nothing of it.
    let newcomer = client_of(&preferred, &next).build().unwrap();
    assert_eq!(acknowledged_by(&newcomer, 11, TIMEOUT), next.url());
    assert!(newcomer.close(TIMEOUT).wait().is_complete());

    let pid = Pid::from_raw(preferred.pid().cast_signed()).unwrap();
    kill_process(pid, Signal::CONT).unwrap();
    let (mut number, started) = (12, Instant::now());
    while acknowledged_by(&client, number, TIMEOUT) != preferred.url() {
        assert!(started.elapsed() < TIMEOUT, "{versions:?}: no fail-back");
        number += 1;
    }

    preferred.kill();
    number += 1;
    assert_eq!(acknowledged_by(&client, number, TIMEOUT), next.url());
    preferred.restart().unwrap();
    let started = Instant::now();
    number += 1;
    while acknowledged_by(&client, number, TIMEOUT) != preferred.url() {
        assert!(started.elapsed() < TIMEOUT, "{versions:?}: no fail-back");
        number += 1;
    }
    assert!(client.close(TIMEOUT).wait().is_complete());
    let all: BTreeSet<_> = (0..=number).map(|it| it.to_string().into_bytes()).collect();
    let written = || {
        let lines = [&preferred, &next].map(|agent| agent.rolled_lines().unwrap());
        let lines: BTreeSet<_> = lines.concat().into_iter().collect();
        all.is_subset(&lines)
    };
    wait_until("the events in the agents' files", TIMEOUT, written).unwrap();
}

#[test]
fn of_1_9_and_1_11_each_takes_over_from_the_other_and_gives_back() {
    for_both_versions(|preferred| {
        let other = |version: &Version| *version != preferred;
        let next = Version::ALL.into_iter().find(other).unwrap();
        check([preferred, next]);
    });
}
