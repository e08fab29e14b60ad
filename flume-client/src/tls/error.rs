//! [`TlsError`]: what went wrong in a TLS connection, and what to do about it.

use std::fmt;

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use super::certificate::{Certificate, moment};
use super::witness::Witness;

/// What an agent does that says nothing of why.
const CLOSED: &str = "closed the connection";
/// Most names of a certificate that an error shows.
const NAMES_SHOWN: usize = 10;

/// A connection with TLS was not made, or broke.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsError(Box<Kind>);

impl TlsError {
    /// Whether it lasts until a person changes something, at the agent or here: a certificate is not
    /// trusted or was refused, the peer speaks no TLS, there is no version or cipher in common. Others
    /// may pass: the peer closed the connection, or has a fault of its own.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        match &*self.0 {
            Kind::NoName(_)
            | Kind::NotTls { .. }
            | Kind::TooLong
            | Kind::Certificate { .. }
            | Kind::Version { .. }
            | Kind::Cipher
            | Kind::Incompatible { .. }
            | Kind::NoClientCertificate { .. }
            | Kind::ClientCertificate { .. } => true,
            #[cfg(feature = "http")]
            Kind::NotHttps => true,
            Kind::Alert { description } => !matches!(
                *description,
                AlertDescription::InternalError
                    | AlertDescription::BadRecordMac
                    | AlertDescription::UserCanceled
            ),
            Kind::Protocol { is_tls, .. } => !is_tls,
            Kind::TooEarly | Kind::ClosedAtOnce | Kind::ClosedInHandshake | Kind::Io(_) => false,
        }
    }

    /// Whether the peer answered with something that is no TLS: another nesting of TLS and compression
    /// may be the right one.
    #[must_use]
    pub fn is_not_tls(&self) -> bool {
        #[cfg(feature = "http")]
        if matches!(*self.0, Kind::NotHttps) {
            return true;
        }
        matches!(*self.0, Kind::NotTls { .. })
    }

    /// Whether the peer closed the connection and said nothing: likewise, and it may speak another
    /// protocol inside of TLS.
    #[must_use]
    pub fn is_closed_at_once(&self) -> bool {
        matches!(
            *self.0,
            Kind::ClosedAtOnce
                | Kind::NoClientCertificate {
                    is_closed: true,
                    ..
                }
                | Kind::ClientCertificate {
                    is_closed: true,
                    ..
                }
        )
    }

    pub(super) fn of_rustls(error: Error, witness: &Witness) -> Self {
        let kind = match error {
            Error::InvalidCertificate(refused) => Kind::Certificate {
                text: refusal(&refused, witness),
            },
            Error::NoCertificatesPresented => Kind::Certificate {
                text:
                    "the agent has no certificate; set keystore and keystore-password of its source"
                        .to_owned(),
            },
            Error::AlertReceived(description) => alert(description, witness),
            Error::PeerIncompatible(incompatible) => incompatibility(incompatible),
            error => Kind::Protocol {
                text: error.to_string(),
                is_tls: !witness.presented().is_empty(),
            },
        };
        kind.into()
    }

    /// The peer closed the connection with the handshake begun.
    pub(super) fn closed_in_handshake(witness: &Witness) -> Self {
        match witness.was_asked() {
            true => client_certificate(CLOSED, false, witness).into(),
            false => Kind::ClosedInHandshake.into(),
        }
    }
}

impl std::error::Error for TlsError {}

crate::debug::debug_is_the_message!(TlsError);

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Kind> for TlsError {
    fn from(kind: Kind) -> Self {
        Self(Box::new(kind))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Kind {
    #[error(
        "{0:?} is no name that a certificate can be for: give the name that the agent's certificate \
         has by server_name"
    )]
    NoName(String),
    #[error("{}", foreign(beginning))]
    NotTls { beginning: Vec<u8> },
    #[cfg(feature = "http")]
    #[error(
        "the peer does not speak TLS. If it is Flume's HTTP source, it has ssl = false: use http:// \
         instead of https://, or set ssl = true"
    )]
    NotHttps,
    #[error(
        "the peer closed the connection before it answered the TLS handshake: the port may be that \
         of a source without TLS (ssl = false), which needs the address without tls, of one that \
         compresses outside of TLS, or of one whose ipFilter refuses this host"
    )]
    ClosedAtOnce,
    #[error(
        "the peer closed the connection inside the TLS handshake and did not say why; its log may"
    )]
    ClosedInHandshake,
    #[error(
        "the peer's part of the TLS handshake is longer than any agent's: check that the port \
         belongs to an agent"
    )]
    TooLong,
    #[error("more bytes were given than are kept until the end of the TLS handshake")]
    TooEarly,
    #[error("{text}")]
    Certificate { text: String },
    #[error(
        "the agent speaks no version of TLS that this client does, which is {ours}: let it speak \
         one (include-protocols, exclude-protocols, the JVM's jdk.tls.disabledAlgorithms)"
    )]
    Version { ours: &'static str },
    #[error(
        "the agent and this client have no cipher suite, group or signature in common: let it have \
         one of TLS 1.3 or with ECDHE and AES-GCM (include-cipher-suites, exclude-cipher-suites), \
         and a certificate with a key of ECDSA or RSA"
    )]
    Cipher,
    #[error("the agent and this client cannot agree on how to speak TLS: {text}")]
    Incompatible { text: String },
    #[error(
        "the agent asks for a client certificate, none is set, and it {how}: give one by \
         client_certificate"
    )]
    NoClientCertificate { how: String, is_closed: bool },
    #[error("{text}")]
    ClientCertificate { text: String, is_closed: bool },
    #[error("the agent ended TLS with the alert {}{}", alert_name(*.description), alert_hint(*.description))]
    Alert { description: AlertDescription },
    #[error("the peer breaks the TLS protocol: {text}{}", if *.is_tls { "" } else {
        "; check that the port belongs to an agent with TLS"
    })]
    Protocol {
        text: String,
        /// It speaks TLS as far as that: its certificates came before.
        is_tls: bool,
    },
    #[error("TLS failed: {0}")]
    Io(String),
}

/// What begins with these bytes, and what to do.
fn foreign(beginning: &[u8]) -> String {
    let is_text = |bytes: &[u8]| bytes.iter().all(|it| matches!(it, b' '..=b'~'));
    let what = match beginning {
        [b'H', b'T', b'T', b'P', ..] => {
            "it answers in plain HTTP. If it is Flume's HTTP source, it has ssl = false: use http:// \
             instead of https://, or set ssl = true"
                .to_owned()
        }
        [b'S', b'S', b'H', b'-', ..] => {
            "it is an SSH server: this is not the port of an agent".to_owned()
        }
        // A frame of Netty's transport: a serial number, and a few buffers.
        [_, _, _, _, 0, 0, 0, 1..=16] => {
            "it answers in plain Avro RPC. If it is Flume's Avro source, it has ssl = false: use the \
             address without tls, or set ssl = true"
                .to_owned()
        }
        // A frame of Thrift's: a length, and a message of the compact or the binary protocol.
        [0, _, _, _, 0x82, ..] | [0, _, _, _, 0x80, 1, ..] => {
            "it answers in plain Thrift. If it is Flume's Thrift source, it has ssl = false: use \
             thrift:// instead of thrift+tls://, or set ssl = true"
                .to_owned()
        }
        // The header of a zlib stream, which is divisible by 31.
        &[method @ 0x78, level, ..] if (u32::from(method) << 8 | u32::from(level)) % 31 == 0 => {
            "it answers in compressed bytes: a source with compression-type = deflate compresses \
             outside of TLS from Flume 1.10 on, or has no TLS (ssl = false)"
                .to_owned()
        }
        text if text.len() >= 4 && is_text(text) => format!(
            "it sent text that begins with {:?}: this is not the port of an agent with TLS",
            String::from_utf8_lossy(text)
        ),
        bytes => format!(
            "its first bytes are {bytes:02x?}. Use the address without tls, or set ssl = true for \
             the agent's source"
        ),
    };
    format!("the peer does not speak TLS: {what}")
}

/// What is said of an agent's certificates that are not trusted.
fn refusal(refused: &CertificateError, witness: &Witness) -> String {
    let presented: Vec<_> = witness.presented().iter().map(read).collect();
    let unknown = Certificate::default();
    let own = presented.first().unwrap_or(&unknown);
    let subject = &own.subject;
    match refused {
        CertificateError::ExpiredContext { time, not_after } => {
            let which = at_that_time(&presented, |it| it.not_after == seconds(*not_after));
            format!(
                "the agent's certificate{which} expired at {}, and the clock here says {}: renew it, \
                 or set the clock",
                moment(seconds(*not_after)),
                moment(seconds(*time)),
            )
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            let which = at_that_time(&presented, |it| it.not_before == seconds(*not_before));
            format!(
                "the agent's certificate{which} is not valid before {}, and the clock here says {}: \
                 one of the two clocks is wrong",
                moment(seconds(*not_before)),
                moment(seconds(*time)),
            )
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            wrong_name(own, witness.host())
        }
        CertificateError::UnknownIssuer => unknown_issuer(&presented, witness),
        CertificateError::BadSignature => format!(
            "the agent's certificate ({subject}) is not signed by the {} that is trusted, but by \
             another one of that name: give its new certificate as CA file",
            own.issuer
        ),
        CertificateError::InvalidPurposeContext { .. } | CertificateError::InvalidPurpose => {
            format!(
                "the agent's certificate ({subject}) is not for servers: make one with the extended key \
             usage serverAuth, or with none"
            )
        }
        CertificateError::Revoked => {
            format!("the agent's certificate ({subject}) is revoked: renew it")
        }
        // The library gives no other sign of it.
        CertificateError::Other(other) if other.0.to_string() == "CaUsedAsEndEntity" => format!(
            "the agent's certificate ({subject}) is that of an authority (CA:TRUE), as `openssl req \
             -x509` makes it: make one with `-addext basicConstraints=critical,CA:FALSE`, or with \
             keytool"
        ),
        CertificateError::Other(other) => {
            format!(
                "the agent's certificate ({subject}) is not accepted: {}",
                other.0
            )
        }
        CertificateError::BadEncoding => {
            format!("the agent's certificate ({subject}) is damaged, or is no certificate")
        }
        other => format!("the agent's certificate ({subject}) is not accepted: {other}"),
    }
}

fn read(der: &CertificateDer<'_>) -> Certificate {
    Certificate::read(der).unwrap_or_default()
}

fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

/// Names the certificate of a chain that has this time, as part of a sentence.
fn at_that_time(presented: &[Certificate], has: impl Fn(&Certificate) -> bool) -> String {
    match presented.iter().position(has) {
        Some(0) | None => {
            let own = presented.first().map(|it| format!(" ({})", it.subject));
            own.unwrap_or_default()
        }
        Some(at) => {
            let subject = presented.get(at).map(|it| it.subject.as_str());
            format!("'s issuer ({})", subject.unwrap_or_default())
        }
    }
}

fn wrong_name(own: &Certificate, host: &str) -> String {
    let subject = &own.subject;
    if own.names.is_empty() {
        return format!(
            "the agent's certificate ({subject}) names no host, and its CN does not count: make one \
             that names {host}, with keytool by `-ext SAN=dns:NAME,ip:ADDRESS`"
        );
    }
    let shown = own.names.iter().take(NAMES_SHOWN);
    let shown = shown.map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = match own.names.len().saturating_sub(NAMES_SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "the agent's certificate ({subject}) is for {shown}{more}, not for {host}: use one of these \
         in the agent's address, or give it as server_name"
    )
}

fn unknown_issuer(presented: &[Certificate], witness: &Witness) -> String {
    let trusted = witness.settings().trusted();
    let [own, above @ ..] = presented else {
        return format!("the agent's certificate is not signed by any of {trusted}");
    };
    let subject = &own.subject;
    match above.last() {
        None if own.is_self_signed() => format!(
            "the agent's certificate ({subject}) is signed by itself, and is not one of {trusted}: \
             give it as CA file"
        ),
        None => format!(
            "the agent's certificate ({subject}) is signed by {}, which is none of {trusted}: give \
             that authority's certificate as CA file, or let the agent send those between",
            own.issuer
        ),
        Some(last) => format!(
            "the agent's certificate ({subject}) is signed by {}, and the last of the {} \
             certificates that it sends by {}, which is none of {trusted}: give that authority's \
             certificate as CA file",
            own.issuer,
            presented.len(),
            last.issuer
        ),
    }
}

fn incompatibility(incompatible: PeerIncompatible) -> Kind {
    match incompatible {
        PeerIncompatible::ServerDoesNotSupportTls12Or13 => Kind::Version {
            ours: "1.2 and 1.3",
        },
        PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::Tls12NotOffered => Kind::Version { ours: "1.3" },
        PeerIncompatible::NoCipherSuitesInCommon
        | PeerIncompatible::NoKxGroupsInCommon
        | PeerIncompatible::NoSignatureSchemesInCommon => Kind::Cipher,
        other => Kind::Incompatible {
            text: Error::PeerIncompatible(other).to_string(),
        },
    }
}

fn alert(description: AlertDescription, witness: &Witness) -> Kind {
    use AlertDescription as Alert;
    let how = format!("ended TLS with the alert {}", alert_name(description));
    match description {
        Alert::CertificateRequired => client_certificate(&how, true, witness),
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied
            if witness.was_asked() =>
        {
            let is_trusted = !matches!(description, Alert::UnknownCA);
            client_certificate(&how, is_trusted, witness)
        }
        // Its trust store has another issuer of that name, such as an older one.
        Alert::DecryptError if witness.was_asked() => client_certificate(&how, false, witness),
        Alert::HandshakeFailure if witness.was_asked() => client_certificate(&how, true, witness),
        Alert::HandshakeFailure | Alert::InsufficientSecurity => Kind::Cipher,
        Alert::ProtocolVersion => Kind::Version {
            ours: witness.settings().versions(),
        },
        _ => Kind::Alert { description },
    }
}

/// An agent that asked for a certificate of ours ended the connection.
fn client_certificate(how: &str, is_trusted: bool, witness: &Witness) -> Kind {
    let is_closed = how == CLOSED;
    let how = how.to_owned();
    let Some(own) = witness.settings().client_certificate() else {
        return Kind::NoClientCertificate { how, is_closed };
    };
    let Certificate {
        subject, issuer, ..
    } = own;
    let until = moment(own.not_after);
    let names = match (is_trusted, own.names.as_slice()) {
        (false, _) => String::new(),
        (true, []) => {
            "; Flume's HTTP source also wants this host's address in it, and it names none: \
                       `keytool -ext SAN=ip:ADDRESS`"
                .to_owned()
        }
        (true, names) => {
            let shown = names.iter().take(NAMES_SHOWN);
            let shown = shown.map(String::as_str).collect::<Vec<_>>().join(", ");
            format!(
                "; Flume's HTTP source also wants this host's address in it as SAN, and it names {shown}"
            )
        }
    };
    Kind::ClientCertificate {
        text: format!(
            "the agent asks for a client certificate, got {subject}, signed by {issuer} and valid \
             until {until}, and {how}: its trust store must hold that issuer (of Flume's HTTP source \
             by -Djavax.net.ssl.trustStore){names}"
        ),
        is_closed,
    }
}

/// An alert as RFC 8446 has it.
fn alert_name(description: AlertDescription) -> String {
    let number = u8::from(description);
    let name = match description {
        AlertDescription::UnexpectedMessage => "unexpected_message",
        AlertDescription::BadRecordMac => "bad_record_mac",
        AlertDescription::RecordOverflow => "record_overflow",
        AlertDescription::HandshakeFailure => "handshake_failure",
        AlertDescription::BadCertificate => "bad_certificate",
        AlertDescription::UnsupportedCertificate => "unsupported_certificate",
        AlertDescription::CertificateRevoked => "certificate_revoked",
        AlertDescription::CertificateExpired => "certificate_expired",
        AlertDescription::CertificateUnknown => "certificate_unknown",
        AlertDescription::IllegalParameter => "illegal_parameter",
        AlertDescription::UnknownCA => "unknown_ca",
        AlertDescription::AccessDenied => "access_denied",
        AlertDescription::DecodeError => "decode_error",
        AlertDescription::DecryptError => "decrypt_error",
        AlertDescription::ProtocolVersion => "protocol_version",
        AlertDescription::InsufficientSecurity => "insufficient_security",
        AlertDescription::InternalError => "internal_error",
        AlertDescription::UserCanceled => "user_canceled",
        AlertDescription::UnrecognisedName => "unrecognized_name",
        AlertDescription::CertificateRequired => "certificate_required",
        _ => return format!("{number}"),
    };
    format!("{name} ({number})")
}

fn alert_hint(description: AlertDescription) -> &'static str {
    match description {
        AlertDescription::UnrecognisedName => {
            ": it has no certificate for the name that this client asked for; give another one as \
             server_name"
        }
        AlertDescription::InternalError => {
            ": its log tells why, as a rule its keystore or keystore-password"
        }
        _ => ": its log may tell why",
    }
}
