//! A source's TLS from its keys, and a sink's.

use std::path::PathBuf;

use super::section::Section;
use crate::config::problem::bad_value;
use crate::config::tls::{Nesting, Pem, SinkTlsConfig, SinkTrust, TlsConfig};

/// How a source is told to ask for clients' certificates.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    /// By a setting of Jetty, in an HTTP source.
    Jettys,
    /// No Flume does: by a key of ours.
    OurKey,
}

const LISTS: [&str; 4] = [
    "include-protocols",
    "exclude-protocols",
    "include-cipher-suites",
    "exclude-cipher-suites",
];

/// Old HTTP sources have keys of their own.
pub(super) fn read(section: &mut Section<'_>, asks: Asks) -> Option<TlsConfig> {
    let is_old = asks == Asks::Jettys && section.flag("enableSSL", false);
    let is_on = section.flag("ssl", false) || is_old;
    let need = match asks {
        Asks::Jettys => "SslContextFactory.needClientAuth",
        Asks::OurKey => "need-client-auth",
    };
    if !is_on {
        let off = "ssl is not on";
        section.no_effect(&LISTS, off);
        section.no_effect(&["keystore", "keystore-password", "keystore-type"], off);
        section.no_effect(&["truststore", need], off);
        if asks == Asks::Jettys {
            section.no_effect(&["keystorePassword", "excludeProtocols"], off);
        }
        return None;
    }
    let no_password = "the key store is a PEM file";
    section.no_effect(&["keystore-password", "keystore-type"], no_password);
    let mut config = TlsConfig::new(PathBuf::from(section.required("keystore")));
    let [included, excluded, included_suites, excluded_suites] =
        LISTS.map(|key| words(section, key));
    config.include_protocols = included;
    config.exclude_protocols = excluded;
    config.include_cipher_suites = included_suites;
    config.exclude_cipher_suites = excluded_suites;
    if asks == Asks::Jettys {
        section.no_effect(&["keystorePassword"], no_password);
        config
            .exclude_protocols
            .extend(words(section, "excludeProtocols"));
    }
    if section.flag(need, false) {
        let authorities = PathBuf::from(section.required("truststore"));
        config.client_authorities = Some(Pem::File(authorities));
    } else {
        section.no_effect(&["truststore"], "no client certificate is asked for");
    }
    Some(config)
}

/// What the next agent has to be is said by `truststore` or `trust-all-certs`.
pub(super) fn read_of_sink(section: &mut Section<'_>) -> Option<SinkTlsConfig> {
    const STORE: [&str; 3] = ["truststore", "truststore-password", "truststore-type"];
    if !section.flag("ssl", false) {
        let off = "ssl is not on";
        section.no_effect(&LISTS, off);
        section.no_effect(&STORE, off);
        section.no_effect(&["trust-all-certs"], off);
        return None;
    }
    let trust = if section.flag("trust-all-certs", false) {
        section.no_effect(&STORE, "all certificates are trusted");
        SinkTrust::Any
    } else {
        section.no_effect(&["truststore-type"], "the file's first bytes tell its type");
        SinkTrust::Store {
            truststore: Pem::File(PathBuf::from(section.required("truststore"))),
            password: section.text("truststore-password").map(str::to_owned),
        }
    };
    let [included, excluded, included_suites, excluded_suites] = LISTS;
    section.no_effect(
        &[included, included_suites, excluded_suites],
        "a sink offers what there is less exclude-protocols",
    );
    Some(SinkTlsConfig {
        trust,
        exclude_protocols: words(section, excluded),
    })
}

/// Which of compression and TLS is next to the socket.
pub(super) fn read_nesting(section: &mut Section<'_>) -> Nesting {
    let value = section.text_or("nesting", "zlib-outside");
    match value.as_str() {
        "zlib-outside" => Nesting::ZlibOutside,
        "tls-outside" => Nesting::TlsOutside,
        _ => {
            section.error("nesting", bad_value(&value, "zlib-outside or tls-outside"));
            Nesting::ZlibOutside
        }
    }
}

/// Words with blanks between them, as Flume splits these lists.
fn words(section: &mut Section<'_>, key: &'static str) -> Vec<String> {
    let list = section.text(key).unwrap_or_default();
    list.split_ascii_whitespace().map(str::to_owned).collect()
}
