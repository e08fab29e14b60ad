//! [`AgentUrl`]: the value, which `read` makes from a text.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::dialect::Dialect;
use super::scheme::Scheme;

/// The address of an agent's source: `avro://HOST:PORT`.
///
/// `HOST` is a name, an IPv4 address or an IPv6 address in brackets. Names are resolved at each
/// connection, unless that was done less than 5 s before; each connection begins with another one of
/// the addresses. There is no default port: Flume's Avro
/// source has none.
///
/// ```
/// use flume_client::AgentUrl;
///
/// let url: AgentUrl = "avro://[::1]:4141".parse()?;
/// assert_eq!((url.host(), url.port()), ("::1", 4141));
/// assert_eq!(url.to_string(), "avro://[::1]:4141");
/// # Ok::<(), flume_client::AgentUrlError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AgentUrl {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) scheme: Scheme,
    /// Empty for `/`, as for what has no paths.
    pub(super) path: String,
    pub(super) dialect: Option<Dialect>,
}

impl AgentUrl {
    /// Host name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether the host has to be looked up.
    pub(crate) fn is_name(&self) -> bool {
        self.host.parse::<IpAddr>().is_err()
    }

    /// Whether its host is this address, and not a name that was looked up.
    pub(crate) fn is_at(&self, address: SocketAddr) -> bool {
        self.host.parse() == Ok(address.ip()) && self.port == address.port()
    }

    /// Whether both are the same host, however it is written, the same port, protocol and path. One
    /// port is not both with and without TLS, so that makes no difference; behind a proxy each path
    /// may be another agent.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let addresses = [self, other].map(|url| url.host.parse::<IpAddr>());
        let is_same_host = match addresses {
            [Ok(one), Ok(other)] => one == other,
            _ => bare(&self.host).eq_ignore_ascii_case(bare(&other.host)),
        };
        is_same_host
            && self.port == other.port
            && self.scheme.door() == other.scheme.door()
            && self.path == other.path
    }

    /// TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What is spoken, and what is around it. Its type is public with the feature `internals`, and may
    /// change in any release.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The path of an HTTP source, `/` if none was written, and for all others.
    #[must_use]
    pub fn path(&self) -> &str {
        match self.path.as_str() {
            "" => "/",
            path => path,
        }
    }

    /// The dialects that are to be tried, in this order. None: there is one way to speak its protocol.
    pub(crate) fn dialects(&self) -> Vec<Dialect> {
        match self.dialect {
            Some(dialect) => vec![dialect],
            None => Dialect::of(self.scheme).collect(),
        }
    }

    /// The dialect, if the address says it. Its type is public with the feature `internals`, and may
    /// change in any release.
    #[must_use]
    pub fn dialect(&self) -> Option<Dialect> {
        self.dialect
    }
}

/// A name without the dot that marks it as complete.
fn bare(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

impl fmt::Display for AgentUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = match self.host.contains(':') {
            true => ("[", "]"),
            false => ("", ""),
        };
        let Self {
            host, port, path, ..
        } = self;
        write!(f, "{}://{open}{host}{close}:{port}{path}", self.scheme)?;
        self.dialect.map_or(Ok(()), |dialect| dialect.fmt(f))
    }
}
