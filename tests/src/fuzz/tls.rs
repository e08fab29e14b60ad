//! The checks of what TLS reads: certificates, trust stores, files, and records of a peer.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use flume_client::tls::certificate::{Certificate, NAMES_MAX, moment};
use flume_client::tls::truststore::TrustStore;
use flume_client::tls::{TlsFile, TlsLayer, TlsMaterial, TlsSettings};
use rustls::time_provider::DefaultTimeProvider;

/// What a certificate says is short and fit for logs.
pub fn certificate(bytes: &[u8]) {
    let Some(read) = Certificate::read(bytes) else {
        return;
    };
    assert!(read.names.len() <= NAMES_MAX);
    for text in [&read.subject, &read.issuer].into_iter().chain(&read.names) {
        assert!(!text.contains(char::is_control), "{text:?}");
    }
    assert!(moment(read.not_before).ends_with(" UTC"));
    assert!(moment(read.not_after).ends_with(" UTC"));
}

/// A store's certificates lie within it, and an error fits into a line.
pub fn trust_store(bytes: &[u8]) {
    for password in [None, Some("changeit")] {
        match TrustStore::read(Path::new("ca"), bytes, password, |_| [0; 20]) {
            Ok(TrustStore::Java(certificates)) => {
                let lengths = certificates.iter().map(|certificate| certificate.der.len());
                assert!(lengths.sum::<usize>() <= bytes.len());
            }
            Ok(_) => {}
            Err(error) => assert!(!error.to_string().contains(char::is_control), "{error}"),
        }
    }
}

/// A file in any role can be used, or the error fits into a line.
pub fn tls_files(bytes: &[u8]) {
    let file = || TlsFile {
        path: "file".into(),
        bytes: bytes.to_vec(),
    };
    let trusting = TlsMaterial {
        ca: Some(file()),
        ..TlsMaterial::default()
    };
    let with_client = TlsMaterial {
        client: Some((file(), file())),
        ..trusted()
    };
    for material in [trusting, with_client] {
        if let Err(error) = TlsSettings::of(&material, Arc::new(DefaultTimeProvider)) {
            assert!(!error.to_string().contains(char::is_control), "{error}");
        }
    }
}

fn trusted() -> TlsMaterial {
    let certificate = include_bytes!("../../../flume-client/tests/tls/files/one.der");
    let ca = TlsFile {
        path: "ca".into(),
        bytes: certificate.to_vec(),
    };
    TlsMaterial {
        ca: Some(ca),
        ..TlsMaterial::default()
    }
}

/// A peer that says anything is taken to its end or to an error, the same from then on, and means
/// nothing: nobody has shown a certificate.
pub fn tls_peer(bytes: &[u8]) {
    static SETTINGS: LazyLock<Arc<TlsSettings>> = LazyLock::new(|| {
        let settings = TlsSettings::of(&trusted(), Arc::new(DefaultTimeProvider));
        Arc::new(settings.expect("the certificate is sound"))
    });
    let mut client = TlsLayer::start(&SETTINGS, "agent").expect("it is a name");
    let (mut plain, mut coded, mut rest) = (Vec::new(), Vec::new(), bytes);
    while !rest.is_empty() {
        match client.decode(rest, &mut plain) {
            Ok(taken) => {
                assert!(taken > 0);
                rest = rest.get(taken..).unwrap_or_default();
            }
            Err(error) => {
                assert!(!error.to_string().contains(char::is_control), "{error}");
                assert_eq!(client.encode(b"x", &mut coded), Err(error.clone()));
                assert_eq!(client.closed(), Some(error));
                break;
            }
        }
    }
    client.flush(&mut coded).expect("it can always be told");
    assert!(plain.is_empty());
    assert!(client.is_handshaking());
}
