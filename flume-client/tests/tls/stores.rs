//! Stores that `keytool` of Java 17 made, and what it and `openssl` say of them.
//!
//! ```text
//! openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout one.key \
//!   -out one.pem -subj /CN=one -days 36500; openssl x509 -in one.pem -outform der -out one.der
//! keytool -importcert -noprompt -storetype jks -keystore one.jks -storepass 'pässwörd 😀' \
//!   -alias one -file one.der
//! ```
//!
//! `three.jks` is made by three such commands, with the aliases `one`, `größe 😀` and `three`,
//! `two.jceks` by two with `-storetype jceks`, `one.p12` with `-storetype pkcs12`, all with the
//! password `changeit`; `none.jks` by an import and `keytool -delete`. `version_1.jks` is
//! `three.jks` with version 1, without the types of the certificates and with its SHA-1 made anew;
//! `keytool -list` reads it and checks the password. `with_key.jks` is `three.jks` after
//! `keytool -genkeypair -alias agent -keyalg EC -dname CN=agent`, `secret.jceks` comes from
//! `keytool -genseckey -storetype jceks -alias secret -keyalg AES -keysize 128`. The keys in them
//! are of no use to anybody.

use std::path::Path;

use flume_client::tls::truststore::{TrustStore, TrustStoreError};

use crate::sha1::sha1;

pub(crate) const NONE: &[u8] = include_bytes!("files/none.jks");
pub(crate) const ONE: &[u8] = include_bytes!("files/one.jks");
pub(crate) const THREE: &[u8] = include_bytes!("files/three.jks");
pub(crate) const VERSION_1: &[u8] = include_bytes!("files/version_1.jks");
pub(crate) const TWO_JCEKS: &[u8] = include_bytes!("files/two.jceks");
pub(crate) const WITH_KEY: &[u8] = include_bytes!("files/with_key.jks");
pub(crate) const SECRET_JCEKS: &[u8] = include_bytes!("files/secret.jceks");
pub(crate) const PKCS12: &[u8] = include_bytes!("files/one.p12");
pub(crate) const CERTIFICATE: &[u8] = include_bytes!("files/one.der");

pub(crate) const PASSWORD: &str = "changeit";
pub(crate) const OTHER_PASSWORD: &str = "pässwörd 😀";

pub(crate) fn read<'a>(
    bytes: &'a [u8],
    password: Option<&str>,
) -> Result<TrustStore<'a>, TrustStoreError> {
    TrustStore::read(Path::new("conf/agents.jks"), bytes, password, sha1)
}

/// Aliases, times and certificates of a store, with and without its password.
#[track_caller]
fn check(bytes: &[u8], password: &str, expected: &[(&str, i64, &[u8])]) {
    for password in [Some(password), None] {
        let TrustStore::Java(found) = read(bytes, password).unwrap() else {
            panic!("no Java trust store");
        };
        let found: Vec<_> = found
            .iter()
            .map(|it| (it.alias.as_str(), it.created_ms, it.der))
            .collect();
        assert_eq!(found, expected);
    }
}

// The times are those of `KeyStore.getCreationDate`, the certificates those of openssl.
const OF_THREE: [(&str, i64, &[u8]); 3] = [
    ("one", 1_795_876_230_209, CERTIFICATE),
    (
        "three",
        1_795_876_231_942,
        include_bytes!("files/three.der"),
    ),
    (
        "größe 😀",
        1_795_876_231_384,
        include_bytes!("files/two.der"),
    ),
];

#[test]
fn the_certificates_of_a_jks_store_are_read() {
    check(NONE, PASSWORD, &[]);
    check(THREE, PASSWORD, &OF_THREE);
}

#[test]
fn a_password_of_any_characters_is_checked_as_java_does() {
    check(
        ONE,
        OTHER_PASSWORD,
        &[("one", 1_795_876_229_612, CERTIFICATE)],
    );
}

#[test]
fn a_jks_store_of_version_1_is_read() {
    check(VERSION_1, PASSWORD, &OF_THREE);
}

#[test]
fn the_certificates_of_a_jceks_store_are_read() {
    let expected: [(&str, i64, &[u8]); 2] = [
        ("two", 1_795_876_234_122, include_bytes!("files/two.der")),
        ("one", 1_795_876_233_490, CERTIFICATE),
    ];
    check(TWO_JCEKS, PASSWORD, &expected);
}

#[test]
fn pem_is_left_to_the_caller_whatever_stands_before_it() {
    let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    for before in [
        "",
        "\u{feff}",
        "Keystore type: JKS\n\n",
        " 0 s:CN = one\n",
        "0 s:CN = one\n",
    ] {
        let file = format!("{before}{certificate}");
        assert_eq!(
            read(file.as_bytes(), Some(PASSWORD)).unwrap(),
            TrustStore::Pem,
            "{before}"
        );
    }
}

#[test]
fn what_is_shown_of_a_certificate_are_its_name_and_size() {
    let TrustStore::Java(found) = read(ONE, None).unwrap() else {
        panic!("no Java trust store");
    };
    let expected =
        r#"TrustedCertificate { alias: "one", created_ms: 1795876229612, der_bytes: 376 }"#;
    assert_eq!(format!("{:?}", found[0]), expected);
}

#[test]
fn a_certificate_in_der_is_told_by_its_first_bytes() {
    assert_eq!(read(CERTIFICATE, None).unwrap(), TrustStore::Der);
}
