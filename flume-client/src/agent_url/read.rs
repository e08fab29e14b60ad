//! From a text to an [`AgentUrl`], with a reason if it is none.

use std::net::Ipv6Addr;
use std::str::FromStr;

use super::dialect::Dialect;
use super::problem::{AgentUrlError, Problem, is_scheme};
use super::scheme::{Door, Feature, Scheme};
use super::url::AgentUrl;

/// How addresses are written.
const FORMS: &str = "avro://HOST:PORT, thrift://HOST:PORT or http://HOST:PORT/PATH";

/// What of this crate's features is compiled in.
const COMPILED: &[Feature] = &[
    #[cfg(feature = "compression")]
    Feature::Compression,
    #[cfg(feature = "http")]
    Feature::Http,
    #[cfg(feature = "tls")]
    Feature::Tls,
];

impl FromStr for AgentUrl {
    type Err = AgentUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let url = read(text)?;
            refuse_missing(url.scheme(), COMPILED)?;
            Ok(url)
        };
        read().map_err(|problem| AgentUrlError::new(text, problem))
    }
}

#[cfg(test)]
impl AgentUrl {
    /// An address, whether or not a transport speaks it and this build can.
    pub(crate) fn of_any(text: &str) -> Self {
        read(text).expect("a test knows what it writes")
    }
}

/// Refuses what this build is without.
fn refuse_missing(scheme: Scheme, compiled: &[Feature]) -> Result<(), Problem> {
    let missing = scheme
        .needs()
        .iter()
        .filter(|feature| !compiled.contains(feature));
    let missing: Vec<_> = missing.map(|feature| feature.name()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Problem::NoFeature { scheme, missing })
}

/// Reads every address there is, whatever this build can do with it.
fn read(text: &str) -> Result<AgentUrl, Problem> {
    let (name, rest) = text
        .split_once("://")
        .filter(|(name, _)| is_scheme(name))
        .ok_or(Problem::NoScheme(FORMS))?;
    let scheme = read_scheme(name)?;
    if rest.contains('@') {
        return Err(Problem::UserInfo(scheme));
    }
    if rest.contains('#') {
        return Err(Problem::Fragment);
    }
    let (rest, option) = match rest.split_once('?') {
        Some((rest, option)) => (rest, Some(option)),
        None => (rest, None),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (host, port) = read_authority(authority, scheme)?;
    Ok(AgentUrl {
        host: host.to_owned(),
        port,
        scheme,
        path: read_path(path, scheme)?.to_owned(),
        dialect: option
            .map(|options| read_dialect(options, scheme))
            .transpose()?,
    })
}

fn read_scheme(name: &str) -> Result<Scheme, Problem> {
    let known = Scheme::ALL.into_iter().find(|scheme| scheme.name() == name);
    known.ok_or_else(|| misread(name))
}

/// What is wrong with a scheme that there is not.
fn misread(name: &str) -> Problem {
    let mut parts = name.split('+');
    let first = parts.next().unwrap_or_default();
    let layers: Vec<_> = parts.collect();
    let Some(door) = door_of(first) else {
        return Problem::UnknownScheme {
            name: name.to_owned(),
            forms: FORMS,
        };
    };
    let is_tls = layers.contains(&"tls") || first == "https";
    let is_deflated = layers.contains(&"deflate");
    let right = Scheme::of(door, is_tls, is_deflated);
    let unknown = layers
        .iter()
        .find(|layer| !matches!(**layer, "tls" | "deflate"));
    match (unknown, door) {
        (Some(layer), _) => Problem::UnknownLayer {
            layer: (*layer).to_owned(),
            right,
        },
        (None, Door::Thrift | Door::Http) if is_deflated => Problem::NotCompressed(right),
        (None, Door::Http) => Problem::HttpOverTls,
        (None, Door::Avro | Door::Thrift) => Problem::Layers(right),
    }
}

/// The protocol that begins a scheme.
fn door_of(name: &str) -> Option<Door> {
    match name {
        "avro" => Some(Door::Avro),
        "thrift" => Some(Door::Thrift),
        "http" | "https" => Some(Door::Http),
        _ => None,
    }
}

fn read_authority(authority: &str, scheme: Scheme) -> Result<(&str, u16), Problem> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest
            .split_once(']')
            .filter(|(host, _)| is_ipv6(host))
            .ok_or(Problem::BadHost(scheme))?,
        None => {
            let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            // Another colon is one of an IPv6 address without brackets.
            if !is_name(host) || port.matches(':').count() > 1 {
                return Err(Problem::BadHost(scheme));
            }
            (host, port)
        }
    };
    let port = port.strip_prefix(':').ok_or(Problem::NoPort(scheme))?;
    // `parse` alone would take a sign.
    let is_number = port.bytes().all(|digit| digit.is_ascii_digit());
    let port = port.parse().ok().filter(|port| is_number && *port != 0);
    Ok((host, port.ok_or(Problem::BadPort)?))
}

/// Whether it can be a name or an IPv4 address; what no resolver knows shows when it is looked up.
fn is_name(host: &str) -> bool {
    let is_sign = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    !host.is_empty() && host.chars().all(is_sign)
}

/// With a zone or without one, as `fe80::1%eth0`.
fn is_ipv6(host: &str) -> bool {
    let (address, zone) = match host.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (host, None),
    };
    address.parse::<Ipv6Addr>().is_ok() && zone.is_none_or(is_name)
}

/// The path, empty for `/`, which each address may end with.
fn read_path(path: &str, scheme: Scheme) -> Result<&str, Problem> {
    if matches!(path, "" | "/") {
        return Ok("");
    }
    if scheme.door() != Door::Http {
        return Err(Problem::NoPaths(scheme));
    }
    // RFC 3986, 3.3, but for the `@`.
    let is_sign = |c: char| c.is_ascii_alphanumeric() || "/-._~!$&'()*+,;=:%".contains(c);
    if let Some(sign) = path.chars().find(|c| !is_sign(*c)) {
        return Err(Problem::BadPath(sign));
    }
    let mut escapes = path.split('%').skip(1);
    let is_escape = |text: &str| {
        let digits = text.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    match escapes.all(is_escape) {
        true => Ok(path),
        false => Err(Problem::BadPath('%')),
    }
}

fn read_dialect(options: &str, scheme: Scheme) -> Result<Dialect, Problem> {
    let (option, more) = match options.split_once('&') {
        Some((option, more)) => (option, Some(more)),
        None => (options, None),
    };
    let (key, value) = option.split_once('=').unwrap_or((option, ""));
    let mut of_key = Dialect::ALL.into_iter().filter(|it| it.key() == key);
    let Some(first) = of_key.clone().next() else {
        return Err(match written(scheme) {
            Some(right) => Problem::UnknownOption { right },
            None => Problem::NoOptions(scheme),
        });
    };
    let Some(right) = written(scheme).filter(|_| first.is_of(scheme)) else {
        return Err(elsewhere(first));
    };
    let dialect = of_key.find(|it| it.value() == value);
    let dialect = dialect.ok_or_else(|| Problem::UnknownValue {
        key: key.to_owned(),
        value: value.to_owned(),
        right,
    })?;
    match more {
        Some(_) => Err(Problem::OneOption(dialect.key())),
        None => Ok(dialect),
    }
}

/// An option that addresses of another scheme have.
fn elsewhere(dialect: Dialect) -> Problem {
    let owners = Scheme::ALL
        .into_iter()
        .filter(|scheme| dialect.is_of(*scheme));
    let owners: Vec<_> = owners.map(Scheme::name).collect();
    Problem::OptionElsewhere {
        key: dialect.key(),
        owners: owners.join(" and "),
    }
}

/// What addresses of a scheme can have, as `?protocol=compact or ?protocol=binary`.
fn written(scheme: Scheme) -> Option<String> {
    let own: Vec<_> = Dialect::of(scheme).map(|it| it.to_string()).collect();
    (!own.is_empty()).then(|| own.join(" or "))
}

#[cfg(test)]
mod tests;
