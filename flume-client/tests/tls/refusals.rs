//! Handshakes that fail: what is said, and whether a person has to act.

use flume_client::tls::{TlsError, TlsLayer, TlsMaterial};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa};

use crate::peer::{
    Agent, Authority, HOST, Made, NOW, ONLY_12, connected, decode_all, params, refused, sent_by,
    settings, talk, trusting, with_client,
};

/// What is said of an agent with a certificate of these that a client is to trust.
fn of_certificate(change: impl FnOnce(&mut CertificateParams)) -> TlsError {
    let authority = Authority::new("root");
    let mut params = params("agent", &[HOST]);
    change(&mut params);
    let agent = Agent::of(&authority.sign(&params));
    refused(&settings(&trusting(&authority)), HOST, &agent)
}

#[track_caller]
fn check(error: &TlsError, expected: &str) {
    assert_eq!(error.to_string(), expected);
    assert_eq!(format!("{error:?}"), expected);
    assert!(error.is_lasting());
}

#[test]
fn an_expired_certificate_is_told_with_both_times() {
    assert_eq!(NOW, 1_767_225_600);
    check(
        &of_certificate(|it| it.not_after = rcgen::date_time_ymd(2025, 12, 30)),
        "the agent's certificate (CN=agent) expired at 2025-12-30 00:00:00 UTC, and the clock here \
         says 2026-01-01 00:00:00 UTC: renew it, or set the clock",
    );
}

#[test]
fn a_certificate_of_tomorrow_is_told_with_both_times() {
    check(
        &of_certificate(|it| it.not_before = rcgen::date_time_ymd(2026, 1, 2)),
        "the agent's certificate (CN=agent) is not valid before 2026-01-02 00:00:00 UTC, and the \
         clock here says 2026-01-01 00:00:00 UTC: one of the two clocks is wrong",
    );
}

#[test]
fn an_expired_issuer_is_told_as_such() {
    let root = Authority::new("root");
    let key = rcgen::KeyPair::generate().unwrap();
    let mut between = params("between", &[]);
    between.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    between.not_after = rcgen::date_time_ymd(2025, 6, 1);
    let certificate = between.signed_by(&key, &root.issuer).unwrap();
    let issuer = rcgen::Issuer::new(between, key);
    let between = Authority {
        certificate,
        issuer,
    };
    let made = between.agent();
    let agent = Agent {
        chain: vec![made.der(), between.certificate.der().clone()],
        ..Agent::of(&made)
    };
    check(
        &refused(&settings(&trusting(&root)), HOST, &agent),
        "the agent's certificate's issuer (CN=between) expired at 2025-06-01 00:00:00 UTC, and the \
         clock here says 2026-01-01 00:00:00 UTC: renew it, or set the clock",
    );
}

#[test]
fn a_wrong_name_is_told_with_the_names_it_has() {
    let authority = Authority::new("root");
    let agent = Agent::of(&authority.agent());
    check(
        &refused(&settings(&trusting(&authority)), "localhost", &agent),
        "the agent's certificate (CN=agent) is for collector-1.example, 10.1.2.3, not for \
         localhost: use one of these in the agent's address, or give it as server_name",
    );
    let names: Vec<_> = (0..12).map(|number| format!("c{number}.example")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let agent = Agent::of(&authority.sign(&params("agent", &names)));
    let error = refused(&settings(&trusting(&authority)), HOST, &agent).to_string();
    assert!(error.contains("c9.example and 2 more, not for"), "{error}");
}

#[test]
fn a_certificate_without_names_is_told_with_the_option_that_makes_them() {
    let authority = Authority::new("root");
    let agent = Agent::of(&authority.sign(&params(HOST, &[])));
    check(
        &refused(&settings(&trusting(&authority)), HOST, &agent),
        "the agent's certificate (CN=collector-1.example) names no host, and its CN does not count: \
         make one that names collector-1.example, with keytool by `-ext SAN=dns:NAME,ip:ADDRESS`",
    );
}

#[test]
fn an_unknown_issuer_is_told_with_what_is_trusted() {
    let (trusted, other) = (Authority::new("root"), Authority::new("other"));
    let settings = settings(&trusting(&trusted));
    check(
        &refused(&settings, HOST, &Agent::of(&other.agent())),
        "the agent's certificate (CN=agent) is signed by CN=other, which is none of the \
         certificates in \"ca.pem\": give that authority's certificate as CA file, or let the agent \
         send those between",
    );
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params("agent", &[HOST]).self_signed(&key).unwrap();
    check(
        &refused(&settings, HOST, &Agent::of(&Made { certificate, key })),
        "the agent's certificate (CN=agent) is signed by itself, and is not one of the certificates \
         in \"ca.pem\": give it as CA file",
    );
    let below = other.below("between");
    let made = below.agent();
    let agent = Agent {
        chain: vec![made.der(), below.certificate.der().clone()],
        ..Agent::of(&made)
    };
    check(
        &refused(&settings, HOST, &agent),
        "the agent's certificate (CN=agent) is signed by CN=between, and the last of the 2 \
         certificates that it sends by CN=other, which is none of the certificates in \"ca.pem\": \
         give that authority's certificate as CA file",
    );
}

#[test]
fn an_authority_that_was_made_anew_under_its_name_is_told_as_such() {
    let (old, new) = (Authority::new("root"), Authority::new("root"));
    check(
        &refused(&settings(&trusting(&old)), HOST, &Agent::of(&new.agent())),
        "the agent's certificate (CN=agent) is not signed by the CN=root that is trusted, but by \
         another one of that name: give its new certificate as CA file",
    );
}

#[test]
fn a_certificate_that_signs_itself_is_trusted_as_ca_file_unless_it_is_an_authority() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = params("agent", &[HOST]);
    let certificate = params.self_signed(&key).unwrap();
    let trusting = |certificate: &rcgen::Certificate| TlsMaterial {
        ca: Some(crate::peer::file("agent.pem", certificate.pem())),
        ..TlsMaterial::default()
    };
    let settings_of = |certificate: &rcgen::Certificate| settings(&trusting(certificate));
    let made = Made { certificate, key };
    connected(&settings_of(&made.certificate), &Agent::of(&made));

    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&made.key).unwrap();
    let made = Made {
        certificate,
        ..made
    };
    check(
        &refused(&settings_of(&made.certificate), HOST, &Agent::of(&made)),
        "the agent's certificate (CN=agent) is that of an authority (CA:TRUE), as `openssl req \
         -x509` makes it: make one with `-addext basicConstraints=critical,CA:FALSE`, or with \
         keytool",
    );
}

#[test]
fn a_certificate_for_clients_is_told_as_such() {
    check(
        &of_certificate(|it| {
            it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }),
        "the agent's certificate (CN=agent) is not for servers: make one with the extended key usage \
         serverAuth, or with none",
    );
}

/// A client of these settings and an agent that needs certificates of an authority.
fn of_client(material: &TlsMaterial, root: &Authority, clients: &Authority) -> Vec<TlsError> {
    let made = root.agent();
    let agents = [crate::peer::BOTH, ONLY_12].map(|versions| Agent {
        versions,
        clients: Some(clients.certificate.der().clone()),
        ..Agent::of(&made)
    });
    let errors = agents.iter();
    errors
        .map(|agent| refused(&settings(material), HOST, agent))
        .collect()
}

#[test]
fn a_missing_client_certificate_is_told() {
    let root = Authority::new("root");
    let errors = of_client(&trusting(&root), &root, &root);
    check(
        &errors[0],
        "the agent asks for a client certificate, none is set, and it ended TLS with the alert \
         certificate_required (116): give one by client_certificate",
    );
    // With 1.2 the alert is one that means many things; that it asked tells.
    let words = "the agent asks for a client certificate, none is set";
    assert!(errors[1].to_string().starts_with(words), "{}", errors[1]);
}

#[test]
fn a_client_certificate_of_an_older_authority_of_the_same_name_is_told_likewise() {
    let (root, older) = (Authority::new("root"), Authority::new("root"));
    let client = older.sign(&params("client", &["10.9.9.9"]));
    for error in of_client(&with_client(trusting(&root), &client), &root, &root) {
        check(
            &error,
            "the agent asks for a client certificate, got CN=client, signed by CN=root and valid \
             until 2026-12-31 00:00:00 UTC, and ended TLS with the alert decrypt_error (51): its \
             trust store must hold that issuer (of Flume's HTTP source by \
             -Djavax.net.ssl.trustStore)",
        );
    }
}

#[test]
fn a_refused_client_certificate_is_told_with_its_issuer_and_what_jetty_wants() {
    let (root, other) = (Authority::new("root"), Authority::new("other"));
    let client = other.sign(&params("client", &["10.9.9.9"]));
    for error in of_client(&with_client(trusting(&root), &client), &root, &root) {
        check(
            &error,
            "the agent asks for a client certificate, got CN=client, signed by CN=other and valid \
             until 2026-12-31 00:00:00 UTC, and ended TLS with the alert unknown_ca (48): its trust \
             store must hold that issuer (of Flume's HTTP source by -Djavax.net.ssl.trustStore)",
        );
    }
    // What Flume's HTTP source says of a certificate without this host's address.
    let client = root.sign(&params("client", &[]));
    let mut params = params("client", &[]);
    params.not_after = rcgen::date_time_ymd(2025, 12, 1);
    let expired = root.sign(&params);
    for (client, until) in [(&client, "2026-12-31"), (&expired, "2025-12-01")] {
        let settings = settings(&with_client(trusting(&root), client));
        let mut layer = TlsLayer::start(&settings, HOST).unwrap();
        let agent = Agent {
            versions: ONLY_12,
            clients: Some(root.certificate.der().clone()),
            ..Agent::of(&root.agent())
        };
        let mut coded = Vec::new();
        layer.flush(&mut coded).unwrap();
        let mut agent = agent.start();
        crate::peer::heard_by(&mut agent, &coded);
        decode_all(&mut layer, &sent_by(&mut agent)).unwrap();
        let error = decode_all(&mut layer, b"\x15\x03\x03\0\x02\x02\x2e").unwrap_err();
        check(
            &error,
            &format!(
                "the agent asks for a client certificate, got CN=client, signed by CN=root and valid \
                 until {until} 00:00:00 UTC, and ended TLS with the alert certificate_unknown (46): \
                 its trust store must hold that issuer (of Flume's HTTP source by \
                 -Djavax.net.ssl.trustStore); Flume's HTTP source also wants this host's address in \
                 it, and it names none: `keytool -ext SAN=ip:ADDRESS`"
            ),
        );
    }
}

#[test]
fn an_agent_that_closes_after_it_asked_in_vain_is_told_as_such() {
    let root = Authority::new("root");
    let mut client = TlsLayer::start(&settings(&trusting(&root)), HOST).unwrap();
    let agent = Agent {
        clients: Some(root.certificate.der().clone()),
        ..Agent::of(&root.agent())
    };
    let mut coded = Vec::new();
    client.flush(&mut coded).unwrap();
    let mut agent = agent.start();
    crate::peer::heard_by(&mut agent, &coded);
    decode_all(&mut client, &sent_by(&mut agent)).unwrap();
    assert!(!client.is_handshaking());
    check(
        &client.closed().unwrap(),
        "the agent asks for a client certificate, none is set, and it closed the connection: give \
         one by client_certificate",
    );
}

/// What is said of a peer that answers with these bytes.
fn of_bytes(bytes: &[u8]) -> TlsError {
    let root = Authority::new("root");
    let mut client = TlsLayer::start(&settings(&trusting(&root)), HOST).unwrap();
    client.flush(&mut Vec::new()).unwrap();
    let error = decode_all(&mut client, bytes).unwrap_err();
    let mut alert = Vec::new();
    client.flush(&mut alert).unwrap();
    assert!(
        !error.is_not_tls() || alert.is_empty(),
        "it is told nothing"
    );
    error
}

#[test]
fn a_peer_without_tls_is_told_by_its_first_bytes() {
    for (bytes, what) in [
        (
            &b"HTTP/1.1 400 Illegal character CNTL=0x0\r\n"[..],
            "it answers in plain HTTP. If it is Flume's HTTP source, it has ssl = false: use http:// \
             instead of https://, or set ssl = true",
        ),
        (
            b"SSH-2.0-OpenSSH_9.2p1\r\n",
            "it is an SSH server: this is not the port of an agent",
        ),
        (
            b"\0\0\0\0\0\0\0\x01\0\0\0\x01\0",
            "it answers in plain Avro RPC. If it is Flume's Avro source, it has ssl = false: use the \
             address without tls, or set ssl = true",
        ),
        (
            b"\0\0\0\x10\x82\x41\x01\x0bappendBatch",
            "it answers in plain Thrift. If it is Flume's Thrift source, it has ssl = false: use \
             thrift:// instead of thrift+tls://, or set ssl = true",
        ),
        (
            b"\0\0\0\x21\x80\x01\0\x02",
            "it answers in plain Thrift. If it is Flume's Thrift source, it has ssl = false: use \
             thrift:// instead of thrift+tls://, or set ssl = true",
        ),
        (
            b"\x78\x9c\xec\xbd",
            "it answers in compressed bytes: a source with compression-type = deflate compresses \
             outside of TLS from Flume 1.10 on, or has no TLS (ssl = false)",
        ),
        (
            b"220 mail.example ESMTP\r\n",
            "it sent text that begins with \"220 mail\": this is not the port of an agent with TLS",
        ),
        (
            b"\xff\xfb\x01",
            "its first bytes are [ff, fb, 01]. Use the address without tls, or set ssl = true for \
             the agent's source",
        ),
    ] {
        let error = of_bytes(bytes);
        check(&error, &format!("the peer does not speak TLS: {what}"));
        assert!(error.is_not_tls());
    }
}

#[test]
fn a_peer_that_closes_at_once_may_be_one_without_tls_and_may_be_one_that_restarts() {
    let root = Authority::new("root");
    let client = TlsLayer::start(&settings(&trusting(&root)), HOST).unwrap();
    let error = client.closed().unwrap();
    assert_eq!(
        error.to_string(),
        "the peer closed the connection before it answered the TLS handshake: the port may be that \
         of a source without TLS (ssl = false), which needs the address without tls, of one that \
         compresses outside of TLS, or of one whose ipFilter refuses this host"
    );
    assert!(!error.is_lasting());
}

#[test]
fn alerts_are_told_by_name_with_what_they_mean() {
    let alert = |number: u8| of_bytes(&[0x15, 3, 3, 0, 2, 2, number]);
    check(
        &alert(70),
        "the agent speaks no version of TLS that this client does, which is 1.2 and 1.3: let it \
         speak one (include-protocols, exclude-protocols, the JVM's jdk.tls.disabledAlgorithms)",
    );
    for number in [40, 71] {
        check(
            &alert(number),
            "the agent and this client have no cipher suite, group or signature in common: let it \
             have one of TLS 1.3 or with ECDHE and AES-GCM (include-cipher-suites, \
             exclude-cipher-suites), and a certificate with a key of ECDSA or RSA",
        );
    }
    check(
        &alert(112),
        "the agent ended TLS with the alert unrecognized_name (112): it has no certificate for the \
         name that this client asked for; give another one as server_name",
    );
    check(
        &alert(10),
        "the agent ended TLS with the alert unexpected_message (10): its log may tell why",
    );
    check(
        &alert(200),
        "the agent ended TLS with the alert 200: its log may tell why",
    );
    let passing = alert(80);
    assert!(!passing.is_lasting());
    assert_eq!(
        passing.to_string(),
        "the agent ended TLS with the alert internal_error (80): its log tells why, as a rule its \
         keystore or keystore-password"
    );
}

#[test]
fn a_server_of_tls_1_0_is_told() {
    // A server's greeting with version 1.0, 32 random bytes, no session, a cipher, no compression.
    let hello = [
        &b"\x16\x03\x01\0\x2a\x02\0\0\x26\x03\x01"[..],
        &[7; 32],
        b"\0\xc0\x13\0",
    ]
    .concat();
    let error = of_bytes(&hello);
    let words = "the agent speaks no version of TLS that this client does, which is 1.2 and 1.3";
    assert!(error.to_string().starts_with(words), "{error}");
    assert!(error.is_lasting());
}

#[test]
fn the_agent_is_told_why_by_the_alert_that_fits() {
    let (root, other) = (Authority::new("root"), Authority::new("other"));
    let mut client = TlsLayer::start(&settings(&trusting(&root)), HOST).unwrap();
    let mut coded = Vec::new();
    client.flush(&mut coded).unwrap();
    let mut agent = Agent {
        versions: ONLY_12,
        ..Agent::of(&other.agent())
    }
    .start();
    crate::peer::heard_by(&mut agent, &coded);
    decode_all(&mut client, &sent_by(&mut agent)).unwrap_err();
    let mut alert = Vec::new();
    client.flush(&mut alert).unwrap();
    assert_eq!(alert, b"\x15\x03\x03\0\x02\x02\x30", "unknown_ca");
    assert!(talk(&mut client, &mut agent).is_err() || client.closed().is_some());
}
