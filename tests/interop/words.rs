//! What our client says of real agents that take nothing.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use flume_client::health::Status;
use flume_client::{Client, Event};
use flume_tests::{Version, require_java, wait_until};

use crate::for_both_versions;
use crate::suite::{AgentFactory, RealFactory};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A channel of one event that nobody empties.
const CHANNEL: &str = "
channels.c: type = memory, capacity = 1, transactionCapacity = 1, keep-alive = 0
";

#[test]
fn a_real_agent_with_a_full_channel_is_not_good_though_it_is_connected() {
    for_both_versions(|version| {
        let source = "sources.r1: type = avro, port = {r1_port}, channels = c";
        let agent = RealFactory(version).start(&format!("{CHANNEL}{source}"));
        let url = format!("avro://{}", agent.addr("r1_port"));
        let builder = Client::builder().agent(url).batch_events(1);
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

/// A key in a store whose password is `secret1`.
fn make_key(store: &Path) {
    let mut keytool = Command::new("keytool");
    keytool.args(["-genkeypair", "-alias", "k", "-keyalg", "RSA"]);
    keytool.args(["-storetype", "PKCS12", "-storepass", "secret1"]);
    keytool.args(["-dname", "CN=localhost", "-keystore"]);
    let made = keytool.arg(store).output().unwrap();
    assert!(made.status.success(), "{made:?}");
}

#[test]
fn each_port_of_a_real_agent_that_is_no_plain_avro_source_is_told_with_what_it_may_be() {
    if !require_java() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("keys.p12");
    make_key(&store);
    let store = store.display();
    let sources = format!(
        "
sources.thrift: type = thrift, port = {{thrift_port}}, channels = c
sources.netcat: type = netcat, port = {{netcat_port}}, channels = c
sources.tls: type = avro, port = {{tls_port}}, channels = c, ssl = true
  keystore = {store}, keystore-password = secret1, keystore-type = PKCS12
sources.deflate: type = avro, port = {{deflate_port}}, channels = c, compression-type = deflate
sources.filtered: type = avro, port = {{filtered_port}}, channels = c
  ipFilter = true, ipFilterRules = deny:ip:127.*
"
    );
    let agent = RealFactory(Version::V1_11).start(&format!("{CHANNEL}{sources}"));
    for source in ["thrift", "netcat", "tls", "deflate", "filtered"] {
        let addr = agent.addr(&format!("{source}_port"));
        let is_up = || TcpStream::connect(addr).is_ok();
        wait_until(source, TIMEOUT, is_up).unwrap();
        let builder = Client::builder().agent(format!("avro://{addr}"));
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
