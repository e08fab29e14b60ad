//! Our client at each kind of source that real agents have.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use flume_client::{Client, ClientBuilder, Event, Receipt, TlsOptions};
use flume_tests::{RealFlume, RealFlumeBuilder, Version, require_java, wait_until};
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use crate::on_both_versions;

const TIMEOUT: Duration = Duration::from_secs(30);
const EVENTS: u64 = 10_000;

fn source(settings: RealFlumeBuilder, lines: &[(&str, &str)]) -> RealFlumeBuilder {
    lines.iter().fold(settings, |settings, (key, value)| {
        settings.property(format!("a1.sources.r1.{key}"), *value)
    })
}

fn accepted(agent: &RealFlume) -> Option<u64> {
    let metrics = agent.metrics().unwrap();
    metrics.counter("SOURCE.r1", "EventAcceptedCount")
}

fn url(agent: &RealFlume, scheme: &str, option: &str) -> String {
    format!("{scheme}://{}{option}", agent.addr())
}

/// A client of an agent, as this address says it.
fn client(url: &str) -> ClientBuilder {
    Client::builder().agent(url).linger(Duration::ZERO)
}

/// Delivers events, once each, after so many connections, with bodies and headers of every kind.
fn check(agent: &RealFlume, scheme: &str, connects: u64) {
    check_with(agent, client(&url(agent, scheme, "")), scheme, connects);
}

fn check_with(agent: &RealFlume, client: ClientBuilder, scheme: &str, connects: u64) {
    let body = |number: u64| (0..number % 300).map(|byte| byte as u8).collect();
    check_bodies(agent, client, scheme, connects, body);
}

/// Likewise, with these bodies.
fn check_bodies(
    agent: &RealFlume,
    client: ClientBuilder,
    scheme: &str,
    connects: u64,
    body: impl Fn(u64) -> Vec<u8>,
) {
    let client = client.build().unwrap();
    let version = agent.version();
    let started = Instant::now();
    let first: Receipt = client
        .append(Event::new("first").header("größe", "ü"))
        .unwrap();
    first.wait(TIMEOUT).unwrap();
    let took = started.elapsed();
    println!("{scheme} of {version}: found out and acknowledged after {took:?}");
    let events =
        (1..EVENTS).map(|number| Event::new(body(number)).header("number", number.to_string()));
    drop(client.append_batch(events.collect()).unwrap());
    client.flush(TIMEOUT).wait().unwrap();
    let stats = client.stats();
    assert_eq!(
        (stats.delivered, stats.batches_retried),
        (EVENTS, 0),
        "{stats:?}"
    );
    assert_eq!(
        (stats.connects, stats.agents[0].failures),
        (connects, 0),
        "{stats:?}"
    );
    assert!(client.close(TIMEOUT).wait().is_complete());
    assert_eq!(accepted(agent), Some(EVENTS), "{scheme} of {version}");
}

#[test]
fn a_source_with_deflate_takes_all_events_once() {
    on_both_versions(
        |settings| source(settings, &[("compression-type", "deflate")]),
        |agent| check(&agent, "avro+deflate", 1),
    );
}

#[test]
fn a_thrift_source_takes_all_events_once() {
    on_both_versions(
        |settings| source(settings, &[("type", "thrift")]),
        |agent| check(&agent, "thrift", 1),
    );
}

#[test]
fn a_binary_thrift_source_is_found_out_with_a_second_connection_and_no_rest() {
    on_both_versions(
        |settings| source(settings, &[("type", "thrift"), ("protocol", "binary")]),
        |agent| check(&agent, "thrift", 2),
    );
}

/// Text of all planes of Unicode.
fn text(number: u64) -> Vec<u8> {
    let letters = (0..number % 100).map(|at| number * 7919 + at * 131);
    let letters = letters.filter_map(|code| char::from_u32((code % 0x11_0000) as u32));
    letters.collect::<String>().into_bytes()
}

#[test]
fn an_http_source_takes_all_events_once() {
    on_both_versions(
        |settings| source(settings, &[("type", "http")]),
        |agent| {
            let client = client(&url(&agent, "http", "/any/path"));
            check_bodies(&agent, client, "http", 1, text);
        },
    );
}

/// What is told of an agent whose address says another kind of source, after an event that is kept.
fn refusal(agent: &RealFlume, scheme: &str) -> String {
    told_of(agent, client(&url(agent, scheme, "")), scheme)
}

fn told_of(agent: &RealFlume, client: ClientBuilder, scheme: &str) -> String {
    let client = client.build().unwrap();
    let receipt = client.append(Event::new("kept")).unwrap();
    let told = || {
        let agent = client.stats().agents.swap_remove(0);
        let error = agent.last_error.as_ref();
        error.map(|error| error.said_of(&agent.agent))
    };
    wait_until("a word about the agent", TIMEOUT, || told().is_some()).unwrap();
    assert!(receipt.wait(Duration::ZERO).is_err());
    let report = client.close(Duration::ZERO).wait();
    // It was not sent.
    assert_eq!((report.lost.closed, report.lost.unknown), (1, 0));
    let metrics = agent.metrics().unwrap();
    let received = metrics.counter("SOURCE.r1", "EventReceivedCount");
    assert_eq!(received, Some(0), "{scheme} of {}", agent.version());
    told().unwrap()
}

#[test]
fn at_another_kind_of_source_nothing_is_sent_and_the_reason_is_told() {
    type Lines = &'static [(&'static str, &'static str)];
    let cases: [(Lines, &[&str], &str); 4] = [
        (&[], &["thrift", "avro+deflate", "http"], "source"),
        (
            &[("type", "thrift")],
            &["avro", "avro+deflate", "http"],
            "source",
        ),
        (
            &[("compression-type", "deflate")],
            &["avro", "thrift", "http"],
            "source",
        ),
        (
            &[("type", "http")],
            &["avro", "thrift", "avro+deflate"],
            "source",
        ),
    ];
    for (lines, schemes, word) in cases {
        on_both_versions(
            |settings| source(settings, lines),
            |agent| {
                for scheme in schemes {
                    // Flume 1.9 takes the first word of a request for the length of a frame, has no 1.3 GiB
                    // for it, and its source ends: nothing that a client could help.
                    let is_thrift = lines.contains(&("type", "thrift"));
                    if *scheme == "http" && is_thrift && agent.version() == Version::V1_9 {
                        continue;
                    }
                    let told = refusal(&agent, scheme);
                    println!("{scheme} at {lines:?} of {}: {told}", agent.version());
                    assert!(told.contains(word), "{told}");
                }
            },
        );
    }
}

/// The key stores of agents, made by Java's own tool, and what clients are to trust.
struct Keys {
    home: TempDir,
}

const PASSWORD: &str = "changeit";

impl Keys {
    /// The only ones: making them takes Java a while.
    fn get() -> &'static Self {
        static KEYS: OnceLock<Keys> = OnceLock::new();
        KEYS.get_or_init(|| {
            let keys = Self {
                home: tempfile::tempdir().unwrap(),
            };
            keys.make(
                "agent",
                "SAN=ip:127.0.0.1,dns:localhost",
                &["-validity", "30"],
            );
            keys.make("other", "SAN=dns:other.example", &["-validity", "30"]);
            let expired = ["-startdate", "-10d", "-validity", "5"];
            keys.make("expired", "SAN=ip:127.0.0.1", &expired);
            keys.make_client();
            keys
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A key that signs itself, in `NAME.jks`, and its certificate in `NAME.pem`.
    fn make(&self, name: &str, names: &str, validity: &[&str]) {
        let (store, pem) = (format!("{name}.jks"), format!("{name}.pem"));
        let store = ["-keystore", &store, "-storepass", PASSWORD, "-alias", name];
        let pair = [
            "-genkeypair",
            "-keyalg",
            "EC",
            "-storetype",
            "JKS",
            "-ext",
            names,
        ];
        let subject = format!("CN={name}");
        let rest = ["-dname", &subject, "-keypass", PASSWORD];
        self.keytool(&[&pair[..], &store, validity, &rest].concat());
        self.keytool(&[&["-exportcert", "-rfc", "-file", &pem][..], &store].concat());
    }

    /// A client's certificate and its key, and `trusted.jks`, which trusts it. Flume's HTTP source wants the
    /// client's address in it.
    fn make_client(&self) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(self.pem("client"), certificate.pem()).unwrap();
        fs::write(self.pem("client-key"), key.serialize_pem()).unwrap();
        let from = ["-importcert", "-noprompt", "-file", "client.pem"];
        let into = ["-keystore", "trusted.jks", "-storetype", "JKS"];
        let names = ["-alias", "client", "-storepass", PASSWORD];
        self.keytool(&[from, into, names].concat());
    }

    fn keytool(&self, arguments: &[&str]) {
        let mut keytool = Command::new("keytool");
        let output = keytool
            .args(arguments)
            .current_dir(self.home.path())
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }

    fn jks(&self, name: &str) -> String {
        self.path(&format!("{name}.jks")).display().to_string()
    }

    fn pem(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}.pem"))
    }
}

/// A source with the key store of this name.
fn with_tls(settings: RealFlumeBuilder, name: &str) -> RealFlumeBuilder {
    let store = Keys::get().jks(name);
    let lines = [
        ("ssl", "true"),
        ("keystore", &store),
        ("keystore-password", PASSWORD),
        ("keystore-type", "JKS"),
    ];
    source(settings, &lines)
}

fn trusting(ca: &Path) -> TlsOptions {
    TlsOptions::default().ca_file(ca)
}

/// A client that trusts the certificate of this name.
fn tls_client(url: &str, name: &str) -> ClientBuilder {
    client(url).tls(trusting(&Keys::get().pem(name)))
}

/// Sources with TLS and these lines take all events, in how many connections for each version.
fn check_tls(lines: &[(&str, &str)], scheme: &str, connects: impl Fn(&RealFlume) -> u64 + Sync) {
    if !require_java() {
        return;
    }
    on_both_versions(
        |settings| source(with_tls(settings, "agent"), lines),
        |agent| {
            let client = tls_client(&url(&agent, scheme, ""), "agent");
            check_with(&agent, client, scheme, connects(&agent));
        },
    );
}

#[test]
fn an_avro_source_with_tls_takes_all_events_once() {
    check_tls(&[], "avro+tls", |_| 1);
}

#[test]
fn a_thrift_source_with_tls_takes_all_events_once_in_either_protocol() {
    check_tls(&[("type", "thrift")], "thrift+tls", |_| 1);
    let binary = [("type", "thrift"), ("protocol", "binary")];
    check_tls(&binary, "thrift+tls", |_| 2);
}

/// An HTTP source with the key store of this name, which may ask for a client's certificate.
fn https(settings: RealFlumeBuilder, name: &str, asks: bool) -> RealFlumeBuilder {
    let settings = source(with_tls(settings, name), &[("type", "http")]);
    if !asks {
        return settings;
    }
    let settings = source(settings, &[("SslContextFactory.needClientAuth", "true")]);
    let store = Keys::get().jks("trusted");
    settings
        .jvm_option(format!("-Djavax.net.ssl.trustStore={store}"))
        .jvm_option(format!("-Djavax.net.ssl.trustStorePassword={PASSWORD}"))
}

#[test]
fn an_https_source_takes_all_events_once() {
    if !require_java() {
        return;
    }
    on_both_versions(
        |settings| https(settings, "agent", false),
        |agent| {
            let client = tls_client(&url(&agent, "https", "/"), "agent");
            check_bodies(&agent, client, "https", 1, text);
        },
    );
}

#[test]
fn an_https_source_that_asks_for_a_certificate_takes_all_events_of_who_has_it() {
    if !require_java() {
        return;
    }
    on_both_versions(
        |settings| https(settings, "agent", true),
        |agent| {
            let keys = Keys::get();
            let url = url(&agent, "https", "/");
            let told = told_of(&agent, tls_client(&url, "agent"), "https");
            println!("without a certificate at {}: {told}", agent.version());
            assert!(told.contains("client certificate"), "{told}");
            let own = trusting(&keys.pem("agent"));
            let own = own.client_certificate(keys.pem("client"), keys.pem("client-key"));
            check_bodies(&agent, client(&url).tls(own), "https", 1, text);
        },
    );
}

#[test]
fn the_nesting_of_tls_and_compression_is_found_out() {
    let deflate = [("compression-type", "deflate")];
    check_tls(&deflate, "avro+tls+deflate", |agent| {
        match agent.version() {
            Version::V1_9 => 1,
            _ => 2,
        }
    });
}

#[test]
fn certificates_that_are_not_to_be_trusted_are_told_and_nothing_is_sent() {
    if !require_java() {
        return;
    }
    for (name, trusted, word) in [
        ("agent", "other", "signed by itself"),
        ("other", "other", "other.example"),
        ("expired", "expired", "expired"),
    ] {
        on_both_versions(
            |settings| with_tls(settings, name),
            |agent| {
                let client = tls_client(&url(&agent, "avro+tls", ""), trusted);
                let told = told_of(&agent, client, "avro+tls");
                println!(
                    "{name} of {}, trusted is {trusted}: {told}",
                    agent.version()
                );
                assert!(told.contains(word), "{told}");
            },
        );
    }
}
