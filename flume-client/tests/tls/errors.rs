//! What is no trust store, and the lines that make one of it.

use std::path::Path;

use flume_client::tls::truststore::TrustStore;

use crate::sha1::sha1;
use crate::stores::{NONE, ONE, PASSWORD, PKCS12, SECRET_JCEKS, THREE, WITH_KEY, read};

#[track_caller]
fn check(bytes: &[u8], expected: &str) {
    for password in [Some(PASSWORD), None] {
        let error = read(bytes, password).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot take certificates from \"conf/agents.jks\": {expected}")
        );
        assert!(!error.is_password());
    }
}

#[test]
fn a_key_among_certificates_is_answered_with_the_lines_that_convert_both() {
    check(
        WITH_KEY,
        "it is a key store: \"agent\" is a private key. Make PEM of it: for its certificates \
         `keytool -list -rfc -keystore conf/agents.jks > ca.pem`, for the key `keytool \
         -importkeystore -srckeystore conf/agents.jks -srcalias agent -destkeystore key.p12 \
         -deststoretype PKCS12` and then `openssl pkcs12 -in key.p12 -nodes -out key.pem`",
    );
}

#[test]
fn a_key_in_a_jceks_store_is_converted_by_naming_the_type() {
    let mut store = SECRET_JCEKS.to_vec();
    store[15] = 1;
    check(
        &store,
        "it is a key store: \"secret\" is a private key. Make PEM of it: for its certificates \
         `keytool -list -rfc -storetype JCEKS -keystore conf/agents.jks > ca.pem`, for the key \
         `keytool -importkeystore -srcstoretype JCEKS -srckeystore conf/agents.jks -srcalias \
         secret -destkeystore key.p12 -deststoretype PKCS12` and then `openssl pkcs12 -in key.p12 \
         -nodes -out key.pem`",
    );
}

#[test]
fn a_secret_key_is_no_certificate() {
    check(
        SECRET_JCEKS,
        "it is a key store: \"secret\" is a secret key. If Java can read it, make PEM of it: \
         `keytool -list -rfc -storetype JCEKS -keystore conf/agents.jks > ca.pem`",
    );
}

#[test]
fn pkcs12_is_answered_with_the_lines_that_convert_it() {
    let lines = "it is a PKCS12 store, which is not read here. Make PEM of it: for its certificates \
                 `keytool -list -rfc -keystore conf/agents.jks > ca.pem`, for a key `openssl pkcs12 \
                 -in conf/agents.jks -nodes -out key.pem`";
    check(PKCS12, lines);
    // As some libraries write it: of a length that its end tells.
    check(&[&[0x30, 0x80], &PKCS12[4..]].concat(), lines);
}

#[test]
fn what_is_no_store_at_all_is_told_by_its_first_bytes() {
    let rest = "Give the certificates as PEM or in a JKS store";
    for (bytes, shown) in [
        (&b""[..], "[]"),
        (
            b"PK\x03\x04\x14\x00\x08\x00\x08",
            "[50, 4b, 03, 04, 14, 00, 08, 00]",
        ),
        (b"0", "[30]"),
        (b"\x30\x84\x00", "[30, 84, 00]"),
        // A private key of PKCS8.
        (b"\x30\x81\x87\x02\x01\x00", "[30, 81, 87, 02, 01, 00]"),
    ] {
        check(
            bytes,
            &format!(
                "it is neither PEM nor a Java trust store, its first bytes are {shown}. {rest}"
            ),
        );
    }
}

#[test]
fn another_password_is_told_from_all_other_errors() {
    for (store, password) in [(THREE, "changeitt"), (ONE, PASSWORD), (NONE, "")] {
        let error = read(store, Some(password)).unwrap_err();
        assert!(error.is_password());
        assert_eq!(
            error.to_string(),
            "cannot take certificates from \"conf/agents.jks\": the password is not the store's, or \
             the store is damaged. Give the password it was made with, or none, and it is read \
             without this check"
        );
        assert_eq!(format!("{error:?}"), error.to_string());
    }
}

#[test]
fn a_path_is_put_into_quotes_where_a_shell_would_not_leave_it_alone() {
    for (path, word) in [
        ("/etc/flume/größe.jks", "/etc/flume/größe.jks"),
        ("/etc/my flume/a.jks", "'/etc/my flume/a.jks'"),
        ("it's; $(rm)", r"'it'\''s; $(rm)'"),
        ("", "''"),
    ] {
        let error = TrustStore::read(Path::new(path), PKCS12, None, sha1).unwrap_err();
        let line = format!("`openssl pkcs12 -in {word} -nodes -out key.pem`");
        assert!(error.to_string().ends_with(&line), "{error}");
    }
}
