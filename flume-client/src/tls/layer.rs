//! [`TlsLayer`]: the client's side of one TLS connection, over bytes.
//!
//! | comes in | goes out | by |
//! |---|---|---|
//! | what is to be sent | records | [`TlsLayer::encode`] |
//! | | records of the handshake, alerts | [`TlsLayer::flush`] |
//! | records | what they mean | [`TlsLayer::decode`] |
//!
//! Bounds of a connection: 64 KiB wait for the end of the handshake, one handshake message has at
//! most 64 KiB, one record 18 KiB. The TLS library refuses renegotiation, counts warnings and changes
//! of keys, and ends a connection that has too many of them. No session is resumed: connections live
//! for minutes, each one checks the agent's certificate, and nothing is kept for the next.
//!
//! Not here: whether a connection that says nothing is given up, which takes a clock.

use std::fmt;
use std::io::{self, BufRead, Write};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ProtocolVersion};

use super::error::{Kind, TlsError};
use super::settings::TlsSettings;
use super::witness::Witness;

/// Most bytes that wait for the end of the handshake.
pub const EARLY_BYTES_MAX: usize = 64 << 10;

/// Most bytes that a peer may take for its part of the handshake. A chain of certificates has at most
/// 64 KiB, all else some hundred bytes.
pub const HANDSHAKE_BYTES_MAX: usize = 128 << 10;

/// The first byte of each record that there is: a change of ciphers, an alert, a handshake, data.
const RECORD_TYPES: std::ops::RangeInclusive<u8> = 0x14..=0x17;

/// One TLS connection: bytes in, bytes out.
pub struct TlsLayer {
    connection: ClientConnection,
    witness: Arc<Witness>,
    /// Bytes of the peer's part of the handshake.
    handshake_bytes: usize,
    /// The peer has sent data.
    has_data: bool,
    is_ended: bool,
    error: Option<TlsError>,
}

/// What was agreed on with an agent, when the handshake is through.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsFacts<'a> {
    /// `TLS 1.2` or `TLS 1.3`.
    pub version: &'static str,
    /// The cipher suite by its registered name, such as `TLS13_AES_256_GCM_SHA384`.
    pub cipher: &'static str,
    /// The agent's certificates in DER, its own first.
    pub chain: Vec<&'a [u8]>,
}

impl TlsLayer {
    /// Begins a connection to an agent whose certificate has to be for `host`, a name or an address.
    /// What the agent is to get first comes with the next [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// The host is no name that a certificate can have.
    pub fn start(settings: &Arc<TlsSettings>, host: &str) -> Result<Self, TlsError> {
        let name = server_name_of(host)?;
        let witness = Arc::new(Witness::of(settings, host, name.clone()));
        let config = Arc::new(Witness::put_into(&witness, settings));
        let mut connection = ClientConnection::new(config, name)
            .map_err(|error| TlsError::of_rustls(error, &witness))?;
        connection.set_buffer_limit(Some(EARLY_BYTES_MAX));
        Ok(Self {
            connection,
            witness,
            handshake_bytes: 0,
            has_data: false,
            is_ended: false,
            error: None,
        })
    }

    /// Takes all of `plain`, and appends what is to be sent of it, and what else waits. While the
    /// handshake goes on, at most [`EARLY_BYTES_MAX`] are kept.
    ///
    /// # Errors
    ///
    /// There was an error before, or more is given than is kept before the end of the handshake.
    pub fn encode(&mut self, plain: &[u8], coded: &mut Vec<u8>) -> Result<(), TlsError> {
        self.check()?;
        let mut rest = plain;
        while !rest.is_empty() {
            let taken = self.connection.writer().write(rest);
            let taken = taken.map_err(|error| self.failed(Kind::Io(error.to_string())))?;
            self.send(coded)?;
            if taken == 0 {
                return Err(self.failed(Kind::TooEarly));
            }
            rest = rest.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// Appends what waits to be sent: the greeting, the handshake's records, alerts. Also after an
    /// error, of which the peer is told by an alert.
    ///
    /// # Errors
    ///
    /// There is none today; a layer of another kind has some.
    pub fn flush(&mut self, coded: &mut Vec<u8>) -> Result<(), TlsError> {
        self.send(coded)
    }

    /// Takes bytes from the peer, a few KiB at most, appends what they mean, and says how many it
    /// took: the caller comes again with the rest. At most 16 KiB and one record are appended. After it
    /// there may be something to [`flush`](Self::flush). What comes after the peer's end is taken and
    /// means nothing.
    ///
    /// # Errors
    ///
    /// The peer speaks no TLS, or no certificate of it is trusted, or it refused, or it breaks the
    /// protocol or a bound. What is appended to `plain` came before that and is sound. The same error
    /// is given again from then on.
    pub fn decode(&mut self, coded: &[u8], plain: &mut Vec<u8>) -> Result<usize, TlsError> {
        self.check()?;
        if coded.is_empty() || self.is_ended {
            return Ok(coded.len());
        }
        let was_handshaking = self.is_handshaking();
        self.check_beginning(coded)?;
        let taken = match self.connection.read_tls(&mut &*coded) {
            Ok(taken) => taken,
            Err(_full) => return Err(self.failed(Kind::TooLong)),
        };
        if was_handshaking {
            self.handshake_bytes += taken;
        }
        let processed = self.connection.process_new_packets();
        self.take_data(plain)?;
        match processed {
            Ok(state) => self.is_ended = state.peer_has_closed(),
            Err(error) => {
                let error = TlsError::of_rustls(error, &self.witness);
                return Err(self.failed_by(error));
            }
        }
        if self.is_handshaking() && self.handshake_bytes > HANDSHAKE_BYTES_MAX {
            return Err(self.failed(Kind::TooLong));
        }
        Ok(taken)
    }

    /// What it means that the peer has ended the connection below now. `None`: nothing that TLS knows
    /// of, the connection is just closed.
    #[must_use]
    pub fn closed(&self) -> Option<TlsError> {
        if self.error.is_some() || self.is_ended || self.has_data {
            return self.error.clone();
        }
        match (self.is_handshaking(), self.handshake_bytes) {
            (true, 0) => Some(Kind::ClosedAtOnce.into()),
            (true, _) => Some(TlsError::closed_in_handshake(&self.witness)),
            // With TLS 1.3 a client is through before the peer has looked at its certificate.
            (false, _) => self
                .witness
                .was_asked()
                .then(|| TlsError::closed_in_handshake(&self.witness)),
        }
    }

    /// Whether the handshake is not through yet.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether the peer has said that it sends nothing more.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// What was agreed on; `None` before the end of the handshake.
    #[must_use]
    pub fn facts(&self) -> Option<TlsFacts<'_>> {
        if self.is_handshaking() {
            return None;
        }
        let version = match self.connection.protocol_version()? {
            ProtocolVersion::TLSv1_2 => "TLS 1.2",
            _ => "TLS 1.3",
        };
        let cipher = self
            .connection
            .negotiated_cipher_suite()?
            .suite()
            .as_str()?;
        let chain = self.connection.peer_certificates()?;
        Some(TlsFacts {
            version,
            cipher,
            chain: chain.iter().map(|certificate| &**certificate).collect(),
        })
    }

    fn check(&self) -> Result<(), TlsError> {
        self.error.clone().map_or(Ok(()), Err)
    }

    /// Other protocols are found by their first byte. Such a peer is told nothing.
    fn check_beginning(&mut self, coded: &[u8]) -> Result<(), TlsError> {
        let is_record = coded.first().is_some_and(|it| RECORD_TYPES.contains(it));
        if self.handshake_bytes > 0 || is_record {
            return Ok(());
        }
        let beginning = coded.iter().take(8).copied().collect();
        Err(self.failed(Kind::NotTls { beginning }))
    }

    fn take_data(&mut self, plain: &mut Vec<u8>) -> Result<(), TlsError> {
        let mut reader = self.connection.reader();
        loop {
            let length = match reader.fill_buf() {
                Ok(data) => {
                    plain.extend_from_slice(data);
                    data.len()
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => return Err(self.failed(Kind::Io(error.to_string()))),
            };
            if length == 0 {
                return Ok(());
            }
            self.has_data = true;
            reader.consume(length);
        }
    }

    fn send(&mut self, coded: &mut Vec<u8>) -> Result<(), TlsError> {
        while self.connection.wants_write() {
            let written = self.connection.write_tls(coded);
            written.map_err(|error| self.failed(Kind::Io(error.to_string())))?;
        }
        Ok(())
    }

    fn failed(&mut self, kind: Kind) -> TlsError {
        self.failed_by(kind.into())
    }

    fn failed_by(&mut self, error: TlsError) -> TlsError {
        self.error.insert(error).clone()
    }
}

impl fmt::Debug for TlsLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsLayer")
            .field("is_handshaking", &self.is_handshaking())
            .field("is_ended", &self.is_ended)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

/// The same, or why it cannot be.
pub(super) fn server_name_of(host: &str) -> Result<ServerName<'static>, TlsError> {
    server_name(host).ok_or_else(|| TlsError::from(Kind::NoName(host.to_owned())))
}

/// A name or an address as certificates have it: without the dot that marks a name as complete.
pub(crate) fn server_name(host: &str) -> Option<ServerName<'static>> {
    let host = host.strip_suffix('.').unwrap_or(host);
    ServerName::try_from(host.to_owned()).ok()
}
