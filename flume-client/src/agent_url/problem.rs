//! [`AgentUrlError`]: why a text is no address, and how it is written right.

use super::scheme::{Door, Scheme};
use crate::debug::debug_is_the_message;

/// Why a text is no [`AgentUrl`](crate::AgentUrl). The message shows neither what stands before an
/// `@` nor what follows a `?` or a `#`, which may be secret; only the wrong value of an option that
/// there is.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is not the address of an agent: {problem}")]
pub struct AgentUrlError {
    url: String,
    problem: Problem,
}

debug_is_the_message!(AgentUrlError);

impl AgentUrlError {
    pub(super) fn new(text: &str, problem: Problem) -> Self {
        Self {
            url: without_secrets(text),
            problem,
        }
    }
}

/// A password may hold a `/`, and an `@`: all up to the last one is hidden.
fn without_secrets(text: &str) -> String {
    let shown = match text.rsplit_once('@') {
        Some((before, host)) => match before.split_once("://") {
            Some((scheme, _)) if is_scheme(scheme) => format!("{scheme}://***@{host}"),
            _ => format!("***@{host}"),
        },
        None => text.to_owned(),
    };
    match shown.find(['?', '#']) {
        Some(at) => {
            let (shown, hidden) = shown.split_at(at);
            let sign = if hidden.starts_with('?') { '?' } else { '#' };
            format!("{shown}{sign}***")
        }
        None => shown,
    }
}

/// Whether it could stand before `://` (RFC 3986, 3.1).
pub(super) fn is_scheme(text: &str) -> bool {
    let is_sign = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    !text.is_empty() && text.chars().all(is_sign)
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    #[error("the protocol is missing; write it as {0}")]
    NoScheme(&'static str),
    #[error("the protocol {name:?} is not supported; write it as {forms}")]
    UnknownScheme { name: String, forms: &'static str },
    #[error(
        "{scheme} needs flume-client with features = {missing:?}, which this build is without; name them \
         in Cargo.toml"
    )]
    NoFeature {
        scheme: Scheme,
        missing: Vec<&'static str>,
    },
    #[error(
        "+{layer} is not known, only +tls and +deflate are; write it as {form}",
        form = .right.form()
    )]
    UnknownLayer { layer: String, right: Scheme },
    #[error(
        "Flume's {door} source takes nothing compressed; write it as {form}",
        door = .0.door(),
        form = .0.form()
    )]
    NotCompressed(Scheme),
    #[error("HTTP over TLS has a name of its own; write it as {form}", form = Scheme::Https.form())]
    HttpOverTls,
    #[error(
        "+tls and +deflate stand there once, in this order; write it as {form}",
        form = .0.form()
    )]
    Layers(Scheme),
    #[error(
        "the host is missing or malformed; write it as {form}, an IPv6 address in brackets",
        form = .0.form()
    )]
    BadHost(Scheme),
    #[error(
        "the port is missing, and Flume's sources have no default one; write it as {form}",
        form = .0.form()
    )]
    NoPort(Scheme),
    #[error("the port must be a number from 1 to 65535")]
    BadPort,
    #[error(
        "addresses are shown in logs, so they take no user and no password: leave out what is before \
         the @; {way_out}",
        way_out = way_out(.0.door())
    )]
    UserInfo(Scheme),
    #[error("only HTTP has a path; write it as {form}", form = .0.form())]
    NoPaths(Scheme),
    #[error("the path has {0:?} in it: write its bytes in UTF-8 as %XX each")]
    BadPath(char),
    #[error("what follows the # says nothing to an agent; leave it out")]
    Fragment,
    #[error("{0} has no options; leave out the ? and what follows it")]
    NoOptions(Scheme),
    #[error("the option {key} is only for {owners}; leave it out")]
    OptionElsewhere { key: &'static str, owners: String },
    // It is not named: a token may stand there.
    #[error("what follows the ? is no option; write {right}")]
    UnknownOption { right: String },
    #[error("{key} is {value:?}; write {right}")]
    UnknownValue {
        key: String,
        value: String,
        right: String,
    },
    #[error("{0} is the only option; leave out the & and what follows it")]
    OneOption(&'static str),
}

fn way_out(door: Door) -> String {
    match door {
        Door::Avro | Door::Thrift => format!("Flume's {door} source asks for none"),
        Door::Http => {
            "credentials come from a callback, a file or the environment; an @ of the path is written %40"
                .to_owned()
        }
    }
}
