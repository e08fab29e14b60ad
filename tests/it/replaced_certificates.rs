//! Certificates that are replaced while events flow: each new one is used soon, and no connection is
//! cut for it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use flume_client::{Change, Client, TlsOptions};
use flume_mini_agent::config::{Pem, ThriftProtocol, TlsConfig};
use flume_mini_agent::{MiniAgent, MiniAgentBuilder};
use flume_tests::wait_until;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;

use crate::authority::Authority;
use crate::support::{PATIENCE, assert_balanced, client_at, event};

const CHECK_EVERY: Duration = Duration::from_millis(100);
/// An episode ends some seconds after its cause.
const LONG_PATIENCE: Duration = Duration::from_secs(60);

/// The files of both sides. Each renewal has another authority: what was before is trusted a while.
struct Files {
    home: TempDir,
    /// The last, the present one, and the next.
    authorities: [Authority; 3],
}

impl Files {
    fn new() -> Self {
        let files = Self {
            home: tempfile::tempdir().unwrap(),
            authorities: [(); 3].map(|()| Authority::new()),
        };
        files.put_all();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.path(name);
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    /// What is trusted comes before what is shown, and the agent's files before the client's.
    fn put_all(&self) -> Vec<u8> {
        let trusted: String = self.authorities.iter().map(|it| it.pem.as_str()).collect();
        self.put("clients.pem", &trusted);
        self.put("agent.pem", &self.authorities[1].sign("127.0.0.1"));
        self.put("ca.pem", &trusted);
        self.put_client()
    }

    /// Says what the client's certificate is, in DER.
    fn put_client(&self) -> Vec<u8> {
        let own = self.authorities[1].sign("client.example");
        self.put("client.pem", &own);
        CertificateDer::from_pem_slice(own.as_bytes())
            .unwrap()
            .to_vec()
    }

    /// The same by the next authority.
    fn renew(&mut self) -> Vec<u8> {
        self.authorities.rotate_left(1);
        self.authorities[2] = Authority::new();
        self.put_all()
    }

    fn agent(&self, builder: MiniAgentBuilder) -> MiniAgent {
        let mut tls = TlsConfig::new(Pem::File(self.path("agent.pem")));
        tls.client_authorities = Some(Pem::File(self.path("clients.pem")));
        let builder = builder.capacity(50_000).collect_max(20_000_000);
        builder.tls(tls).start().unwrap()
    }

    fn options(&self) -> TlsOptions {
        let own = self.path("client.pem");
        TlsOptions::default()
            .ca_file(self.path("ca.pem"))
            .client_certificate(&own, &own)
            .check_every(CHECK_EVERY)
    }
}

/// Waits until the agent has seen this certificate.
fn wait_for(agent: &MiniAgent, certificate: &[u8]) {
    let is_seen = || {
        let connections = agent.connections();
        let shown = connections
            .iter()
            .rev()
            .find_map(|it| it.client_certificate.as_ref());
        shown.is_some_and(|shown| shown == certificate)
    };
    wait_until("the new certificate", PATIENCE, is_seen).unwrap();
}

/// Appends as fast as the client takes it, until it is told to stop. Says how many events.
fn append_until(client: &Client, is_over: &AtomicBool) -> u64 {
    let mut number = 0;
    while !is_over.load(Ordering::Relaxed) {
        client.append_within(event(number), PATIENCE).unwrap();
        number += 1;
    }
    number
}

/// Replaces the certificates of both sides `times` times under full load.
fn replace_under_load(builder: MiniAgentBuilder, times: u64) {
    let mut files = Files::new();
    let agent = files.agent(builder);
    let client = client_at([agent.url()]).tls(files.options());
    let client = client.buffer_bytes(1 << 20).build().unwrap();
    let is_over = AtomicBool::new(false);
    let sent = thread::scope(|scope| {
        let load = scope.spawn(|| append_until(&client, &is_over));
        for _ in 0..times {
            let shown = files.renew();
            wait_for(&agent, &shown);
        }
        is_over.store(true, Ordering::Relaxed);
        load.join().unwrap()
    });
    client.flush(LONG_PATIENCE).wait().unwrap();
    let stats = client.stats();
    assert_balanced(&stats);
    assert_eq!((stats.delivered, stats.batches_retried), (sent, 0));
    assert_eq!(stats.agents[0].failures, 0, "{stats:?}");
    assert!(stats.connects > times, "{}", stats.connects);
    assert_eq!(agent.stats().connections_opened, stats.connects);
    agent.wait_for(sent as usize, PATIENCE).unwrap();
    let received = agent.received();
    let bodies: BTreeSet<_> = received
        .iter()
        .map(|it| it.event().body().to_vec())
        .collect();
    assert_eq!((received.len() as u64, bodies.len() as u64), (sent, sent));
}

#[test]
fn avro_loses_and_doubles_nothing_while_both_sides_get_new_certificates() {
    replace_under_load(MiniAgent::builder(), 50);
}

#[test]
fn thrift_loses_and_doubles_nothing_while_both_sides_get_new_certificates() {
    replace_under_load(MiniAgent::builder().thrift(ThriftProtocol::Compact), 50);
}

/// Half a file, the key of another certificate, nothing.
fn put_bad(files: &Files, number: usize) {
    let good = fs::read_to_string(files.path("client.pem")).unwrap();
    let (certificate, _) = good.split_at(good.find("-----BEGIN PRIVATE KEY").unwrap());
    let other = files.authorities[1].sign("other.example");
    let (_, other_key) = other.split_at(other.find("-----BEGIN PRIVATE KEY").unwrap());
    match number % 3 {
        0 => files.put("client.pem", &good[..certificate.len() / 2]),
        1 => files.put("client.pem", &(certificate.to_owned() + other_key)),
        _ => files.put("client.pem", ""),
    }
}

fn told_of(client: &Client, path: &Path) -> bool {
    let health = client.health();
    let mut problems = health.problems.iter();
    let found = problems.find(|problem| problem.kind() == "certificates");
    found.is_some_and(|problem| problem.to_string().contains(&path.display().to_string()))
}

#[test]
fn bad_certificates_cut_nothing_and_are_told_until_good_ones_come() {
    let files = Files::new();
    let agent = files.agent(MiniAgent::builder());
    let (sender, changes) = channel();
    let sender = Mutex::new(sender);
    let on_change = move |change: &Change| {
        // The test may be over.
        let _ = sender.lock().unwrap().send(change.to_string());
    };
    let client = client_at([agent.url()]).tls(files.options());
    let client = client.on_change(on_change).build().unwrap();
    let send = |number| {
        client
            .append(event(number))
            .unwrap()
            .wait(PATIENCE)
            .unwrap()
    };
    send(0);
    for number in 0..10 {
        let before = agent.connections().len();
        put_bad(&files, number);
        let is_told = || told_of(&client, &files.path("client.pem"));
        wait_until("a problem", PATIENCE, is_told).unwrap();
        send(1);
        assert_eq!(agent.connections().len(), before, "the old one is used on");
        assert_eq!(agent.stats().connections_open, 1);
        let shown = files.put_client();
        // A connection without events ends, and the next event makes another.
        wait_until("good health", PATIENCE, || client.health().is_good()).unwrap();
        send(2);
        wait_for(&agent, &shown);
    }
    let stats = client.stats();
    assert_eq!((stats.batches_retried, stats.agents[0].failures), (0, 0));
    let next = || changes.recv_timeout(LONG_PATIENCE).unwrap();
    let began = next();
    assert!(
        began.starts_with("the certificates of before stay in use: "),
        "{began}"
    );
    let ended = next();
    assert!(
        ended.starts_with("the files of TLS can be used again, after "),
        "{ended}"
    );
}
