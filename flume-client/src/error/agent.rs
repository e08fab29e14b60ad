//! [`AgentError`]: why an agent is not used, and what to do about it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

#[cfg(feature = "http")]
use super::http::{HttpOptionsError, HttpRefusal};
use super::peer_text::PeerText;
use crate::agent_url::{AgentUrl, Door, Scheme};
use crate::delivery::Ending;
#[cfg(feature = "tls")]
use crate::tls::TlsError;
use crate::wire::avro::frame::FrameError;
use crate::wire::avro::session::SessionError;
#[cfg(feature = "compression")]
use crate::wire::deflate::DeflateError;
#[cfg(feature = "http")]
use crate::wire::http;
use crate::wire::thrift::event::EncodeError;
use crate::wire::thrift::session as thrift;

/// Why an agent is not used, or was not.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The host name could not be resolved.
    #[error("the host {host:?} cannot be resolved: {}", said(error))]
    Resolve {
        /// The host.
        host: String,
        /// What the resolver said.
        error: io::Error,
    },
    /// The host name was not resolved within the connect timeout: no word from the name server.
    #[error(
        "the host {host:?} was not resolved within {waited:?}: the name server does not answer, \
         which says nothing about the agent"
    )]
    ResolveTimeout {
        /// The host.
        host: String,
        /// The connect timeout.
        waited: Duration,
    },
    /// No address of the host accepted a connection.
    #[error("no connection: {}", tried(.0, None))]
    Connect(Vec<(SocketAddr, io::Error)>),
    /// No connection within the connect timeout, to a host whose address is known.
    #[error("no connection within {0:?}: the host does not answer")]
    ConnectTimeout(Duration),
    /// A connection was accepted, and the handshake was not answered within the request timeout.
    #[error(
        "the agent accepted the connection and did not answer the handshake within {0:?}: it hangs, or \
         {port}",
        port = other_port(None)
    )]
    HandshakeTimeout(Duration),
    /// The peer closed the connection, or reset it, instead of answering the handshake. Flume does
    /// so at each of its ports that is no plain Avro source.
    #[error(
        "the peer closed the connection before it answered the handshake: {}",
        other_port(None)
    )]
    ClosedInHandshake,
    /// A batch was not answered within the request timeout. It may be stored.
    #[error("the agent did not answer a batch within {0:?}")]
    RequestTimeout(Duration),
    /// The peer does not speak Avro RPC as Flume does.
    #[error("{}{}", .0, where_to_look(.0))]
    Protocol(#[from] SessionError),
    /// The peer does not speak Thrift as Flume does.
    #[error("{0}; check that the port belongs to a Thrift source")]
    Thrift(#[from] thrift::SessionError),
    /// What the peer sent is not compressed as it should be.
    #[cfg(feature = "compression")]
    #[error(transparent)]
    Deflate(#[from] DeflateError),
    /// There is no connection with TLS, or it broke.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The peer sent much that is compressed or encrypted, and nothing was in it.
    #[cfg(any(feature = "compression", feature = "tls"))]
    #[error(
        "the peer sent {bytes} bytes in which there was nothing to read, only what belongs to TLS or to \
         compression itself; check what the port belongs to"
    )]
    Fruitless {
        /// Bytes since there was something to read last.
        bytes: usize,
    },
    /// A batch cannot be put as the agent's protocol has it. Nothing of it was sent.
    #[error("a batch cannot be sent to this agent: {0}")]
    Encode(#[from] EncodeError),
    /// Likewise, of an agent that speaks HTTP.
    #[cfg(feature = "http")]
    #[error("a batch cannot be sent to this agent: {0}")]
    EncodeJson(#[from] http::json::EncodeError),
    /// The headers of requests, such as a token, cannot be had.
    #[cfg(feature = "http")]
    #[error(transparent)]
    HttpOptions(#[from] HttpOptionsError),
    /// The peer answered, and that is no HTTP.
    #[cfg(feature = "http")]
    #[error(
        "the peer does not answer in HTTP ({0}): check that the port belongs to an HTTP source; one with \
         TLS (ssl = true) needs https://"
    )]
    NotHttp(PeerText),
    /// The HTTP library cannot be used, or says something else.
    #[cfg(feature = "http")]
    #[error("a request failed: {0}")]
    HttpClient(PeerText),
    /// The agent did not answer with 200.
    #[cfg(feature = "http")]
    #[error(transparent)]
    Http(#[from] HttpRefusal),
    /// The agent answered a call that is not under way.
    #[error(
        "the agent answered call {serial}, which is not under way; check what kind of source the port \
         belongs to"
    )]
    UnexpectedSerial {
        /// The serial number of the reply.
        serial: i32,
    },
    /// The agent closed the connection.
    #[error("the agent closed the connection")]
    ConnectionClosed,
    /// The connection broke.
    #[error("the connection broke: {}", said(.0))]
    Io(#[from] io::Error),
    /// The agent answered FAILED, ERROR or UNKNOWN.
    #[error(
        "the agent refused a batch with {status}: its channel is full, takes no batch of that size \
         (transactionCapacity, 100 by default), or an interceptor failed; its log tells which"
    )]
    Refused {
        /// `FAILED`, `ERROR` or `UNKNOWN`.
        status: &'static str,
    },
    /// The agent answered with an exception.
    #[error("the agent refused a batch with an exception: {0}")]
    Exception(PeerText),
}

impl AgentError {
    /// What it says of an attempt that it ends.
    pub(crate) fn ending(&self) -> Ending {
        match self {
            Self::Protocol(_) => Ending::Foreign,
            // A source closes the connection of who speaks another dialect.
            Self::Thrift(_) | Self::ClosedInHandshake => Ending::Misspoken,
            #[cfg(feature = "compression")]
            Self::Deflate(_) => Ending::Misspoken,
            #[cfg(feature = "tls")]
            Self::Tls(error) if error.is_not_tls() || error.is_closed_at_once() => {
                Ending::Misspoken
            }
            #[cfg(feature = "tls")]
            Self::Tls(error) if error.is_lasting() => Ending::Foreign,
            #[cfg(feature = "http")]
            Self::NotHttp(_) => Ending::Foreign,
            #[cfg(feature = "http")]
            Self::Http(refusal) if refusal.is_lasting() => Ending::Foreign,
            _ => Ending::Broken,
        }
    }

    /// Whether it is nothing that passes by itself: the peer speaks something else.
    pub(crate) fn is_foreign(&self) -> bool {
        self.ending() == Ending::Foreign
    }

    /// The message, to stand after the agent's address: it does not name that once more.
    #[must_use]
    pub fn said_of(&self, agent: &AgentUrl) -> String {
        match self {
            Self::Connect(attempts) => format!("no connection: {}", tried(attempts, Some(agent))),
            Self::HandshakeTimeout(_) | Self::ClosedInHandshake => {
                let scheme = Some(agent.scheme());
                self.to_string()
                    .replace(&other_port(None), &other_port(scheme))
            }
            error => error.to_string(),
        }
    }
}

/// The message, since that is what `main` and `unwrap` print.
impl fmt::Debug for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a port may be that does not answer as an agent with this scheme does.
fn other_port(scheme: Option<Scheme>) -> String {
    let other = |kinds: &str| format!("the port may be that of another kind of source ({kinds})");
    let filter = "or of one whose ipFilter refuses this host";
    let Some(scheme) = scheme else {
        return format!(
            "{}, of one with TLS (ssl = true) or compression (compression-type = deflate) that the \
             address does not say, {filter}",
            other("Avro, Thrift, HTTP, netcat, syslog")
        );
    };
    // With TLS this is said by who speaks it, too.
    let (kinds, may_have_tls, tls) = match scheme.is_tls() {
        true => ("HTTP, syslog", "", "+tls"),
        false => ("HTTP, netcat, syslog", ", of one with TLS (ssl = true)", ""),
    };
    match scheme.door() {
        Door::Thrift => return format!("{}{may_have_tls}", other(&format!("Avro, {kinds}"))),
        Door::Http if scheme.is_tls() => return other("Avro, Thrift, syslog"),
        Door::Http => {
            return format!(
                "{}, or of an HTTP source with TLS (ssl = true), which needs https://",
                other("Avro, Thrift, netcat, syslog")
            );
        }
        Door::Avro => {}
    }
    let other = other(&format!("Thrift, {kinds}"));
    match scheme.is_deflated() {
        true => format!(
            "{other}, of an Avro source without compression-type = deflate (then write avro{tls}://)\
             {may_have_tls}, {filter}"
        ),
        false => format!(
            "{other}, of an Avro source with compression-type = deflate (then write \
             avro{tls}+deflate://){may_have_tls}, {filter}"
        ),
    }
}

/// What is to be done about a peer that does not speak as it should, if it did not say that itself.
fn where_to_look(error: &SessionError) -> &'static str {
    match error {
        SessionError::Frame(FrameError::Foreign(_)) | SessionError::Reply(_) => "",
        _ => "; check that the port belongs to an Avro source",
    }
}

/// What came of each address, named unless it is what the agent was `named` by.
fn tried(attempts: &[(SocketAddr, io::Error)], named: Option<&AgentUrl>) -> String {
    let attempts = attempts.iter().map(|(address, error)| {
        match named.is_some_and(|agent| agent.is_at(*address)) {
            true => said(error),
            false => format!("{address}: {}", said(error)),
        }
    });
    attempts.collect::<Vec<_>>().join("; ")
}

/// What the system said, as a part of a sentence: without its number, which is in the error.
fn said(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn each_address_is_named_with_what_the_system_said_and_without_its_number() {
        let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let refused = || (address, io::Error::from_raw_os_error(111));
        let one = AgentError::Connect(vec![refused()]);
        let expected = "no connection: 127.0.0.1:1: connection refused";
        assert_eq!(one.to_string(), expected);
        let by_address = "avro://127.0.0.1:1".parse().unwrap();
        assert_eq!(
            one.said_of(&by_address),
            "no connection: connection refused"
        );
        let by_name = "avro://localhost:1".parse().unwrap();
        assert_eq!(one.said_of(&by_name), expected);
        let two = AgentError::Connect(vec![refused(), refused()]);
        let expected = format!("{expected}; 127.0.0.1:1: connection refused");
        assert_eq!(two.to_string(), expected);
    }

    #[cfg(all(feature = "compression", feature = "tls"))]
    #[test]
    fn an_address_with_tls_is_not_told_that_tls_may_be_missing_and_keeps_it() {
        for (address, other) in [
            ("avro+tls://a:1", "avro+tls+deflate://"),
            ("avro+tls+deflate://a:1", "avro+tls://"),
            ("thrift+tls://a:1", "(Avro, HTTP, syslog)"),
        ] {
            let said = AgentError::ClosedInHandshake.said_of(&address.parse().unwrap());
            assert!(
                said.contains(other) && !said.contains("ssl = true"),
                "{said}"
            );
        }
        let said = AgentError::ClosedInHandshake.said_of(&"avro://a:1".parse().unwrap());
        assert!(
            said.contains("avro+deflate://") && said.contains("ssl = true"),
            "{said}"
        );
    }
}
