//! What our client says of real agents that take nothing.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use flume_client::health::Status;
use flume_client::{Client, Event};
use flume_tests::{Clashes, RealFlume, Reload, Version, free_ports, require_java, wait_until};

use crate::for_both_versions;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A real agent with these sources, each `NAME TYPE [KEY=VALUE ...]`, before a channel of one event
/// that nobody empties.
fn agent(version: Version, sources: &[String]) -> (RealFlume, Vec<u16>) {
    for _ in 0..5 {
        let ports = free_ports(sources.len()).unwrap();
        let (mut all, mut names) = (Vec::new(), Vec::new());
        let mut lines = String::from("a1.channels = c\na1.channels.c.type = memory\n");
        lines += "a1.channels.c.capacity = 1\na1.channels.c.transactionCapacity = 1\n";
        lines += "a1.channels.c.keep-alive = 0\n";
        for (source, port) in sources.iter().zip(&ports) {
            let mut words = source.split(' ');
            let (name, kind) = (words.next().unwrap(), words.next().unwrap());
            let start = format!("a1.sources.{name}");
            lines += &format!("{start}.type = {kind}\n{start}.channels = c\n");
            lines += &format!("{start}.bind = 127.0.0.1\n{start}.port = {port}\n");
            for setting in words {
                let (key, value) = setting.split_once('=').unwrap();
                lines += &format!("{start}.{key} = {value}\n");
            }
            all.push(name);
            // It has no counters that tell when it is up.
            if kind != "netcat" {
                names.push((name.to_owned(), *port));
            }
        }
        lines += &format!("a1.sources = {}\n", all.join(" "));
        let modes = (Clashes::Unwanted, Reload::Never);
        let started = RealFlume::from_properties(version, &lines, names, modes).unwrap();
        if let Some(agent) = started {
            return (agent, ports);
        }
    }
    panic!("somebody else took the ports, five times");
}

#[test]
fn a_real_agent_with_a_full_channel_is_not_good_though_it_is_connected() {
    for_both_versions(|version| {
        let (agent, _) = agent(version, &["r1 avro".to_owned()]);
        let builder = Client::builder().agent(agent.url()).batch_events(1);
        let client = builder.build().unwrap();
        drop(client.append(Event::new("fits")).unwrap());
        client.flush(TIMEOUT).wait().unwrap();
        assert!(client.health().is_good(), "{}", client.health());
        drop(client.append(Event::new("does not")).unwrap());
        let is_told = || client.health().status() == Status::Failing;
        wait_until("failing health", TIMEOUT, is_told).unwrap();
        let health = client.health().to_string();
        assert!(health.contains("no agent takes the 1 events"), "{health}");
        assert!(health.contains("FAILED: its channel is full"), "{health}");
        assert!(client.stats().agents[0].connected, "{health}");
        assert!(client.close(Duration::ZERO).wait().last_error.is_some());
    });
}

#[test]
fn each_port_of_a_real_agent_that_is_no_plain_avro_source_is_told_with_what_it_may_be() {
    if !require_java() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("keys.p12");
    let mut keytool = Command::new("keytool");
    keytool.args([
        "-genkeypair",
        "-alias",
        "k",
        "-keyalg",
        "RSA",
        "-storetype",
        "PKCS12",
    ]);
    keytool.args([
        "-storepass",
        "secret1",
        "-dname",
        "CN=localhost",
        "-keystore",
    ]);
    let made = keytool.arg(&store).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let store = store.display();
    let sources = [
        "thrift thrift".to_owned(),
        "netcat netcat".to_owned(),
        format!(
            "tls avro ssl=true keystore={store} keystore-password=secret1 keystore-type=PKCS12"
        ),
        "deflate avro compression-type=deflate".to_owned(),
        "filtered avro ipFilter=true ipFilterRules=deny:ip:127.*".to_owned(),
    ];
    let (_agent, ports) = agent(Version::V1_11, &sources);
    for (source, port) in sources.iter().zip(ports) {
        let is_up = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        wait_until(source, TIMEOUT, is_up).unwrap();
        let builder = Client::builder().agent(format!("avro://127.0.0.1:{port}"));
        let client = builder
            .request_timeout(Duration::from_secs(5))
            .build()
            .unwrap();
        let receipt = client.append(Event::new("nothing for you")).unwrap();
        let has_failed = || client.stats().agents[0].failures > 0;
        wait_until("a failure", TIMEOUT, has_failed).unwrap();
        let error = receipt.wait(Duration::from_millis(1)).unwrap_err();
        let told = error.cause().expect("a cause").to_string();
        let advice = [
            "another kind of source",
            "not that of an Avro source",
            "not the port of an",
        ];
        assert!(
            advice.iter().any(|words| told.contains(words)),
            "{source}: {told}"
        );
        assert!(!told.contains("frame of"), "{source}: {told}");
        drop(client.close(Duration::ZERO));
    }
}
