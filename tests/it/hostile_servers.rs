//! Servers that mean no good, at each door: the client ends such connections by itself, says what is
//! wrong, and loses nothing.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use flume_client::{Backoff, ClientBuilder, TlsOptions};
use flume_tests::hostile_servers::{ATTACKS, At, Attack, DOORS, Door, How, Server, tls};
use flume_tests::wait_until;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use tempfile::TempDir;

use crate::support::{Agent, HOUR, PATIENCE, assert_balanced, client_at, event};

/// Of the client, to connect and for an answer. More than the time between two bytes that trickle.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Attacks at once.
const AT_ONCE: usize = 6;
/// Certificates that pass what a message of the handshake may hold, which is 64 KiB.
const MANY: usize = 200;
/// Certificates that do not.
const FEWER: usize = 120;

/// What a server shows, and the file of whom the client trusts.
pub(crate) struct Shown {
    home: TempDir,
    key: KeyPair,
    /// The server's certificate, and the one that signed it.
    chain: [CertificateDer<'static>; 2],
}

impl Shown {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let (params, authority) = (authority(), KeyPair::generate().unwrap());
        let signer = params.self_signed(&authority).unwrap();
        fs::write(home.path().join("ca.pem"), signer.pem()).unwrap();
        let issuer = Issuer::new(params, authority);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let own = params.signed_by(&key, &issuer).unwrap();
        Self {
            home,
            key,
            chain: [own.into(), signer.into()],
        }
    }

    pub(crate) fn tls_of(&self, attack: Attack) -> Arc<ServerConfig> {
        let of_others = |count| {
            let other = |_| {
                let key = KeyPair::generate().unwrap();
                authority().self_signed(&key).unwrap().into()
            };
            let own = self.chain.first().cloned().into_iter();
            own.chain((1..count).map(other)).collect()
        };
        let chain = match attack.how {
            How::ManyCertificates => of_others(MANY),
            How::LikelyIssuers => of_others(FEWER),
            _ => self.chain.to_vec(),
        };
        let version = match attack.wants_tls12() {
            true => &TLS12,
            false => &TLS13,
        };
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        tls(version, chain, key)
    }

    /// Whom the client is to trust.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.home.path().join("ca.pem")
    }
}

/// An authority that has the name of all the others.
fn authority() -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "a");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// Rests that leave the machine time for others: each attempt is attacked at full speed.
pub(crate) fn seldom() -> Backoff {
    let rest = Duration::from_secs(1);
    Backoff::default().base(rest).cap(rest)
}

/// A client that does not wait for long.
fn client_of(urls: Vec<String>, shown: &Shown, timeout: Duration) -> ClientBuilder {
    let has_tls = urls
        .iter()
        .any(|url| url.contains("+tls") || url.contains("https:"));
    let builder = client_at(urls)
        .backoff(seldom())
        .connect_timeout(timeout)
        .request_timeout(timeout);
    match has_tls {
        true => builder.tls(TlsOptions::default().ca_file(shown.ca_file())),
        false => builder,
    }
}

/// What the client is to say of such a server. `None`: nothing, it is used.
fn words(door: &Door, Attack { how, at }: Attack) -> Option<&'static str> {
    Some(match (how, at) {
        (How::EndlessAnswer | How::TwoGibibytes | How::ZipBomb, _) if door.is_http() => "503",
        (How::Tickets, _) if door.is_http() => "did not answer a batch within 1s",
        // There TLS is a part of connecting.
        (How::Trickle | How::Silence, At::Handshake) if door.is_http() && door.has_tls() => {
            "no connection within 1s"
        }
        (How::Header, _) => "message head is too large",
        (How::EndlessAnswer, _) => "cannot be read: ",
        (How::TwoGibibytes, _) => "a frame of 2147483647 bytes, more than the 65536 allowed",
        (How::ZipBomb, _) => "without buffers",
        (How::EmptyBlocks | How::Tickets, _) => "in which there was nothing to read",
        (How::Trickle | How::Silence, At::Call) => "did not answer a batch within 1s",
        (How::Trickle | How::Silence, _) => "did not answer the handshake within 1s",
        (How::ManyCertificates, _) => "HandshakePayloadTooLarge",
        (How::LikelyIssuers, _) => "the chain has 120 certificates, more than the 32 allowed",
        (How::Garbage, _) => "the peer breaks the TLS protocol",
        (How::Renegotiations, _) => "TooManyRenegotiationRequests",
        (How::OtherCall, _) => "answered call 1001, which is not under way",
        (How::Hasty, _) => "answered call 1, which is not under way",
        (How::Renegotiation, _) => return None,
    })
}

/// A client comes to such a server first, and to a good agent when that fails.
fn check(door: &'static Door, attack: Attack, shown: &Shown) {
    let tls = door.has_tls().then(|| shown.tls_of(attack));
    let server = Server::start(door, attack, tls, 1);
    let good = Agent::good();
    let urls = vec![door.url(server.address()), good.url()];
    let timeout = match attack.is_slow(door) {
        true => TIMEOUT,
        false => HOUR,
    };
    let client = client_of(urls, shown, timeout).build().unwrap();
    let ack = client.append(event(0)).unwrap().wait(PATIENCE);
    let ack = ack.unwrap_or_else(|error| unreachable!("{door}, {attack:?}: {error}"));
    let said = || {
        let agents = client.stats().agents;
        agents[0].last_error.as_ref().map(ToString::to_string)
    };
    if let Some(words) = words(door, attack) {
        let what = format!("{words:?} of {door}, {attack:?}");
        let is_said = || said().is_some_and(|said| said.contains(words));
        wait_until(&what, PATIENCE * 3, is_said)
            .unwrap_or_else(|error| unreachable!("{error}: {:?}", said()));
        server.wait_for("the connection's end", PATIENCE, |state| state.ended > 0);
    } else {
        assert_eq!(said(), None, "{door}, {attack:?}");
    }
    let is_answered = attack.at == At::Idle || words(door, attack).is_none();
    let (by_good, stored) = match is_answered {
        true => (false, vec![]),
        false => (true, vec![0]),
    };
    assert_eq!(
        ack.agent.to_string() == good.url(),
        by_good,
        "{door}, {attack:?}"
    );
    assert_eq!(good.stored(), stored, "{door}, {attack:?}");
    let stats = client.stats();
    assert_balanced(&stats);
    assert_eq!((stats.delivered, stats.pending), (1, 0), "{stats:?}");
}

/// Makes all attacks at these doors, a few at a time.
fn check_all(doors: impl Fn(&Door) -> bool) {
    let shown = &Shown::new();
    for door in DOORS.iter().filter(|door| doors(door)) {
        let fitting: Vec<_> = ATTACKS.iter().filter(|attack| attack.fits(door)).collect();
        for together in fitting.chunks(AT_ONCE) {
            thread::scope(|scope| {
                for attack in together {
                    scope.spawn(move || check(door, **attack, shown));
                }
            });
        }
    }
}

#[test]
fn a_hostile_avro_source_costs_a_connection_and_no_event() {
    check_all(|door| door.is_avro() && !door.has_tls());
}

#[test]
fn a_hostile_avro_source_with_tls_costs_a_connection_and_no_event() {
    check_all(|door| door.is_avro() && door.has_tls());
}

#[test]
fn a_hostile_thrift_source_costs_a_connection_and_no_event() {
    check_all(|door| !door.is_avro() && !door.is_http());
}

#[test]
fn a_hostile_http_source_costs_a_connection_and_no_event() {
    check_all(Door::is_http);
}
