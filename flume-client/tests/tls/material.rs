//! What files TLS is set up from, and what is said of those that are not right.

use std::sync::Arc;

use flume_client::tls::{TlsFile, TlsLayer, TlsMaterial, TlsSettings};
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

use crate::peer::{
    Agent, Authority, Clock, HOST, Made, NOW, connected, file, params, settings, talk, trusting,
    with_client,
};
use crate::stores::{CERTIFICATE, NONE, PASSWORD, PKCS12, THREE, WITH_KEY};

fn error(material: &TlsMaterial) -> String {
    let settings = TlsSettings::of(material, Arc::new(Clock(NOW)));
    let error = settings.expect_err("it cannot be used");
    assert_eq!(format!("{error:?}"), error.to_string());
    error.to_string()
}

#[track_caller]
fn check_ca(bytes: impl AsRef<[u8]>, expected: &str) {
    let material = TlsMaterial {
        ca: Some(file("conf/ca.pem", bytes)),
        ..TlsMaterial::default()
    };
    assert_eq!(
        error(&material),
        format!("cannot take trusted certificates from \"conf/ca.pem\": {expected}")
    );
}

#[track_caller]
fn check_client(certificate: &[u8], key: &[u8], expected: &str) {
    let material = TlsMaterial {
        client: Some((file("client.pem", certificate), file("key.pem", key))),
        ..trusting(&Authority::new("root"))
    };
    assert_eq!(error(&material), expected);
}

fn client() -> Made {
    Authority::new("root").sign(&params("client", &["10.9.9.9"]))
}

/// A section of PEM with these bytes.
fn pem(label: &str, body: &str) -> String {
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

/// A file of trusted certificates that lets a client connect.
#[track_caller]
fn check_trusts(ca: TlsFile, authority: &Authority) {
    let material = TlsMaterial {
        ca: Some(ca),
        ..TlsMaterial::default()
    };
    connected(&settings(&material), &Agent::of(&authority.agent()));
}

#[test]
fn trusted_certificates_are_read_from_pem_der_and_a_java_store() {
    let authority = Authority::new("root");
    let (pem, der) = (authority.certificate.pem(), authority.certificate.der());
    let other = Authority::new("other").certificate.pem();
    check_trusts(file("ca.pem", &pem), &authority);
    check_trusts(file("ca.pem", format!("{other}{pem}")), &authority);
    check_trusts(file("ca.der", der), &authority);
    let windows = format!("\u{feff}{}", pem.replace('\n', "\r\n"));
    check_trusts(file("ca.pem", windows), &authority);
    let indented = format!("what it is:\n{}", pem.replace("\n", "\n    "));
    check_trusts(file("ca.pem", indented.trim_end()), &authority);
    // The layout of a JKS store, whose digest is not checked without a password.
    let length = (der.len() as u32).to_be_bytes();
    let store = [
        &b"\xfe\xed\xfe\xed\0\0\0\x02\0\0\0\x01\0\0\0\x02\0\x01a\0\0\0\0\0\0\0\0\0\x05X.509"[..],
        &length,
        der,
        &[0; 20],
    ]
    .concat();
    check_trusts(file("ca.jks", &store), &authority);
}

#[test]
fn a_java_store_is_checked_with_its_password() {
    let material = |password: &str| TlsMaterial {
        ca: Some(file("conf/ca.jks", THREE)),
        ca_password: Some(password.to_owned()),
        ..TlsMaterial::default()
    };
    settings(&material(PASSWORD));
    assert_eq!(
        error(&material("other")),
        "cannot take certificates from \"conf/ca.jks\": the password is not the store's, or the \
         store is damaged. Give the password it was made with, or none, and it is read without this \
         check"
    );
}

#[test]
fn the_systems_certificates_may_be_trusted_beside_those_of_a_file() {
    let [one, other] = ["one", "other"].map(Authority::new);
    let mut system = rustls::RootCertStore::empty();
    system.add(one.certificate.der().clone()).unwrap();
    let both = TlsMaterial {
        system: Some(Arc::new(system)),
        ..trusting(&other)
    };
    let both = settings(&both);
    for authority in [&one, &other] {
        connected(&both, &Agent::of(&authority.agent()));
    }
    let error = crate::peer::refused(&settings(&trusting(&other)), HOST, &Agent::of(&one.agent()));
    assert!(error.is_lasting());
}

#[test]
fn a_file_that_is_no_certificate_is_told_with_what_it_is() {
    check_ca("", "it is empty. Check what should have written it");
    let made = client();
    check_ca(
        made.key.serialize_pem(),
        "it has no certificate, but a section PRIVATE KEY in line 1. Give the certificates of the \
         authorities that sign the agents'",
    );
    check_ca(
        NONE,
        "the store has no entry. Check what should have written it",
    );
    for (store, words) in [
        (WITH_KEY, "it is a key store: \"agent\" is a private key"),
        (PKCS12, "it is a PKCS12 store, which is not read here"),
        (b"hello", "it is neither PEM nor a Java trust store"),
    ] {
        let material = TlsMaterial {
            ca: Some(file("conf/ca.jks", store)),
            ..TlsMaterial::default()
        };
        let error = error(&material);
        let start = "cannot take certificates from \"conf/ca.jks\": ";
        assert!(error.starts_with(&format!("{start}{words}")), "{error}");
    }
}

#[test]
fn a_damaged_file_is_told_with_the_line() {
    let good = Authority::new("root").certificate.pem();
    let lines = good.lines().count();
    let cut = good.replace("-----END CERTIFICATE-----", "");
    check_ca(
        format!("{good}{cut}"),
        &format!(
            "the section CERTIFICATE that begins in line {} has no end: the file is cut. Copy it again",
            lines + 1
        ),
    );
    check_ca(
        format!("a comment\n{}", pem("CERTIFICATE", "MII*")),
        "the section CERTIFICATE that begins in line 2 is damaged: it is no base64. Copy it again",
    );
    check_ca(
        "-----BEGIN CERTIFICATE----\n",
        "line 1 begins a section and is not as `-----BEGIN CERTIFICATE-----`. Copy it again",
    );
    check_ca(
        format!("{good}{}", pem("CERTIFICATE", "MAA=")),
        &format!(
            "the certificate that begins in line {} cannot be read: it is damaged, or is no \
             certificate. Look at it with `openssl x509 -in conf/ca.pem -noout -text`",
            lines + 1
        ),
    );
    check_ca(
        [&CERTIFICATE[..20], &[0; 20]].concat(),
        "it cannot be read: it is damaged, or is no certificate. Look at it with `openssl x509 -in \
         conf/ca.pem -noout -text`",
    );
}

#[test]
fn nothing_that_is_trusted_is_an_error() {
    assert_eq!(
        error(&TlsMaterial::default()),
        "TLS cannot be set up: no root certificate of the system was found. Install them \
         (ca-certificates), or give a file by ca_file"
    );
}

#[test]
fn keys_of_all_kinds_are_taken_also_from_the_certificates_own_file() {
    let authority = Authority::new("root");
    let agent = Agent {
        clients: Some(authority.certificate.der().clone()),
        ..Agent::of(&authority.agent())
    };
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &PKCS_ECDSA_P384_SHA384,
        &PKCS_ED25519,
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = params("client", &[])
            .signed_by(&key, &authority.issuer)
            .unwrap();
        let both = format!("{}{}", key.serialize_pem(), certificate.pem());
        let material = TlsMaterial {
            client: Some((file("both.pem", &both), file("both.pem", &both))),
            ..trusting(&authority)
        };
        let settings = settings(&material);
        assert_eq!(settings.client_certificate().unwrap().subject, "CN=client");
        let (_, agent) = connected(&settings, &agent);
        assert_eq!(
            agent.peer_certificates().unwrap(),
            [certificate.der().clone()]
        );
    }
}

#[test]
fn a_key_that_is_not_the_certificates_is_told_with_the_lines_that_show_it() {
    let (one, other) = (client(), client());
    check_client(
        one.certificate.pem().as_bytes(),
        other.key.serialize_pem().as_bytes(),
        "cannot take the client's key from \"key.pem\": the key that begins in line 1 is not that of \
         the first certificate in \"client.pem\". Compare `openssl pkey -in key.pem -pubout` with \
         `openssl x509 -in client.pem -noout -pubkey`; the client's own certificate must be the \
         first one",
    );
}

#[test]
fn files_in_the_wrong_place_are_told_with_what_is_in_them() {
    let made = client();
    let (certificate, key) = (made.certificate.pem(), made.key.serialize_pem());
    let (certificate, key) = (certificate.as_bytes(), key.as_bytes());
    let key_error = "cannot take the client's key from \"key.pem\": ";
    let certificate_error = "cannot take the client's certificate from \"client.pem\": ";
    check_client(
        certificate,
        certificate,
        &format!(
            "{key_error}it has no private key, but a section CERTIFICATE in line 1. Give the file \
             that has the key as the second one of client_certificate"
        ),
    );
    check_client(
        key,
        key,
        &format!(
            "{certificate_error}it has no certificate, but a section PRIVATE KEY in line 1. Give the \
             file that has the certificate as the first one of client_certificate"
        ),
    );
    check_client(
        certificate,
        b"",
        &format!("{key_error}it is empty. Check what should have written it"),
    );
    check_client(
        made.certificate.der(),
        key,
        &format!(
            "{certificate_error}it is DER, and PEM is needed. Make PEM of it: `openssl x509 -inform \
             der -in client.pem -out client.pem`"
        ),
    );
    check_client(
        certificate,
        &made.key.serialize_der(),
        &format!(
            "{key_error}it is DER, and PEM is needed. Make PEM of it: `openssl pkey -inform der -in \
             key.pem -out key.pem`"
        ),
    );
    check_client(
        THREE,
        key,
        &format!(
            "{certificate_error}it is a Java trust store, which has no key. Give the client's \
             certificate and its key, both in PEM"
        ),
    );
}

#[test]
fn a_key_that_needs_a_password_or_is_not_alone_or_not_known_is_told() {
    let made = client();
    let certificate = made.certificate.pem();
    let key = made.key.serialize_pem();
    let old = pem(
        "EC PRIVATE KEY",
        "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA",
    );
    for encrypted in [pem("ENCRYPTED PRIVATE KEY", "AAAA"), old] {
        check_client(
            certificate.as_bytes(),
            encrypted.as_bytes(),
            "cannot take the client's key from \"key.pem\": the key that begins in line 1 is \
             encrypted. Decrypt it, for a file that this user alone may read: `openssl pkey -in \
             key.pem -out key.pem`",
        );
    }
    let lines = key.lines().count();
    check_client(
        certificate.as_bytes(),
        format!("{key}{key}").as_bytes(),
        &format!(
            "cannot take the client's key from \"key.pem\": it has two keys, in line 1 and in line \
             {}. Leave one of them out",
            lines + 1
        ),
    );
    check_client(
        certificate.as_bytes(),
        pem("PRIVATE KEY", "MAA=").as_bytes(),
        "cannot take the client's key from \"key.pem\": the key that begins in line 1 is damaged or \
         of a kind that is not known. RSA from 2048 bits on, ECDSA (P-256, P-384) and Ed25519 are \
         known; look at it with `openssl pkey -in key.pem -noout -text`",
    );
}

#[test]
fn files_that_are_what_they_were_change_nothing_and_others_are_checked_first() {
    let authority = Authority::new("root");
    let first = with_client(trusting(&authority), &authority.agent());
    let settings = settings(&first);
    assert!(settings.renewed(&first).unwrap().is_none());

    let other = authority.sign(&params("renewed", &[]));
    let renewed = with_client(trusting(&authority), &other);
    let renewed = settings.renewed(&renewed).unwrap().expect("they changed");
    assert_eq!(renewed.client_certificate().unwrap().subject, "CN=renewed");

    // The certificate is written, and its key not yet.
    let mut half = first.clone();
    half.client.as_mut().unwrap().0.bytes = other.certificate.pem().into_bytes();
    let error = settings.renewed(&half).unwrap_err().to_string();
    assert!(
        error.contains("is not that of the first certificate"),
        "{error}"
    );
    // And bytes that moved from one file to the next are others.
    let mut moved = first.clone();
    let (certificate, key) = moved.client.as_mut().unwrap();
    let byte = certificate.bytes.pop().unwrap();
    key.bytes.insert(0, byte);
    assert!(settings.renewed(&moved).unwrap().is_some());
}

#[test]
fn with_tls_13_only_nothing_older_is_spoken() {
    let authority = Authority::new("root");
    let material = TlsMaterial {
        is_tls13_only: true,
        ..trusting(&authority)
    };
    let agent = Agent {
        versions: crate::peer::ONLY_12,
        ..Agent::of(&authority.agent())
    };
    let error = crate::peer::refused(&settings(&material), HOST, &agent);
    let words = "the agent speaks no version of TLS that this client does, which is 1.3";
    assert!(error.to_string().starts_with(words), "{error}");
}

#[test]
fn nothing_that_prints_settings_shows_a_key_or_a_password() {
    let authority = Authority::new("root");
    let made = authority.agent();
    let material = TlsMaterial {
        ca_password: Some("s3cret".to_owned()),
        ..with_client(trusting(&authority), &made)
    };
    let shown = format!("{material:?} {:?}", settings(&material));
    assert!(!shown.contains("s3cret"), "{shown}");
    assert!(!shown.contains("BEGIN"), "{shown}");
}

#[cfg(feature = "dangerous-trust-any-certificate")]
#[test]
fn any_certificate_is_taken_where_that_was_asked_for() {
    let agent = Agent::of(&Authority::new("other").sign(&params("agent", &["another.example"])));
    let material = TlsMaterial {
        trusts_any: true,
        ..TlsMaterial::default()
    };
    connected(&settings(&material), &agent);
}

#[test]
fn a_session_is_never_resumed() {
    let authority = Authority::new("root");
    let settings = settings(&trusting(&authority));
    let agent = Agent::of(&authority.agent());
    for _ in 0..2 {
        let mut client = TlsLayer::start(&settings, HOST).unwrap();
        let mut agent = agent.start();
        talk(&mut client, &mut agent).unwrap();
        assert_eq!(agent.handshake_kind(), Some(rustls::HandshakeKind::Full));
    }
}
