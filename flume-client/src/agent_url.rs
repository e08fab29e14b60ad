//! [`AgentUrl`]: where an agent listens and what it speaks.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

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
    host: String,
    port: u16,
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

    /// Whether both are the same host, however it is written, and the same port.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let addresses = [self, other].map(|url| url.host.parse::<IpAddr>());
        let is_same_host = match addresses {
            [Ok(one), Ok(other)] => one == other,
            _ => bare(&self.host).eq_ignore_ascii_case(bare(&other.host)),
        };
        is_same_host && self.port == other.port
    }

    /// TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// A name without the dot that marks it as complete.
fn bare(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

impl FromStr for AgentUrl {
    type Err = AgentUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |problem| AgentUrlError {
            url: text.to_owned(),
            problem,
        };
        let (scheme, authority) = text
            .split_once("://")
            .ok_or_else(|| error(Problem::NoScheme))?;
        if scheme != "avro" {
            return Err(error(Problem::UnknownScheme(scheme.to_owned())));
        }
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => rest
                .split_once(']')
                .ok_or_else(|| error(Problem::BadHost))?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let is_host = |c: char| !c.is_whitespace() && !matches!(c, '/' | '@' | '?' | '#' | '[');
        if host.is_empty() || !host.chars().all(is_host) {
            return Err(error(Problem::BadHost));
        }
        let port = port
            .strip_prefix(':')
            .ok_or_else(|| error(Problem::NoPort))?;
        let port = port.parse().ok().filter(|port| *port != 0);
        let port = port.ok_or_else(|| error(Problem::BadPort))?;
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for AgentUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "avro://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "avro://{}:{}", self.host, self.port)
        }
    }
}

/// Why a text is no [`AgentUrl`].
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is not the address of an agent: {problem}")]
pub struct AgentUrlError {
    url: String,
    problem: Problem,
}

/// The message, since that is what `main` and `unwrap` print.
impl fmt::Debug for AgentUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("write it as avro://HOST:PORT")]
    NoScheme,
    #[error("the protocol {0:?} is not supported; write it as avro://HOST:PORT")]
    UnknownScheme(String),
    #[error(
        "the host is missing or malformed; write it as avro://HOST:PORT, an IPv6 address in brackets"
    )]
    BadHost,
    #[error(
        "the port is missing, and Flume's sources have no default one; write it as avro://HOST:PORT"
    )]
    NoPort,
    #[error("the port must be a number from 1 to 65535")]
    BadPort,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back_as_they_were_written() {
        for text in [
            "avro://web-1:4141",
            "avro://10.0.0.1:1",
            "avro://[fe80::1%eth0]:65535",
        ] {
            assert_eq!(text.parse::<AgentUrl>().unwrap().to_string(), text);
        }
        assert_eq!(
            "avro://a:1/".parse::<AgentUrl>().unwrap().to_string(),
            "avro://a:1"
        );
    }

    #[test]
    fn each_mistake_is_named() {
        let cases = [
            ("web-1:4141", Problem::NoScheme),
            ("http://web-1:80", Problem::UnknownScheme("http".into())),
            ("avro://:4141", Problem::BadHost),
            ("avro://user@web-1:4141", Problem::BadHost),
            ("avro://[::1:4141", Problem::BadHost),
            ("avro://web-1", Problem::NoPort),
            ("avro://[::1]", Problem::NoPort),
            ("avro://web-1:", Problem::BadPort),
            ("avro://web-1:0", Problem::BadPort),
            ("avro://web-1:65536", Problem::BadPort),
            ("avro://::1:4141", Problem::BadHost),
        ];
        for (text, problem) in cases {
            let error = text.parse::<AgentUrl>().unwrap_err();
            assert_eq!(
                error,
                AgentUrlError {
                    url: text.into(),
                    problem
                },
                "{text}"
            );
        }
    }
}
