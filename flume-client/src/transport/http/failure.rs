//! [`Failure`]: what an error of the HTTP library means.
//!
//! The library tells it by a chain of errors, each the source of the one before, of several crates.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::error::AgentError;
use crate::spool::is_short_of_descriptors;
#[cfg(feature = "tls")]
use crate::tls::LentTls;

/// A request came to nothing.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: AgentError,
    /// It was begun to be sent: the agent may have it.
    pub(super) is_sent: bool,
}

/// The agent's host was not found.
#[derive(Debug)]
pub(super) struct Unresolved {
    pub(super) host: String,
    pub(super) error: io::Error,
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the host {:?} cannot be resolved", self.host)
    }
}

impl Error for Unresolved {}

impl Failure {
    /// `address`: the last that was tried, if there was one. `limit`: the time for connecting.
    pub(super) fn of(error: &reqwest::Error, address: Option<SocketAddr>, limit: Duration) -> Self {
        let is_sent = !error.is_connect();
        let error = match (said_by_system(error), find::<hyper::Error>(error)) {
            _ if find::<Unresolved>(error).is_some() => unresolved(error),
            _ if !is_sent && error.is_timeout() => AgentError::ConnectTimeout(limit),
            (Some(io), _) if !is_sent => AgentError::Connect(
                address
                    .map(|address| (address, copy(io)))
                    .into_iter()
                    .collect(),
            ),
            (_, Some(hyper)) if hyper.is_incomplete_message() || hyper.is_closed() => {
                AgentError::ConnectionClosed
            }
            (Some(io), _) => AgentError::Io(copy(io)),
            // It cannot be read, or came unasked.
            (None, Some(_)) => AgentError::NotHttp(innermost(error).as_str().into()),
            (None, _) => AgentError::HttpClient(innermost(error).as_str().into()),
        };
        Self { error, is_sent }
    }

    /// The same, of an agent with TLS.
    #[cfg(feature = "tls")]
    pub(super) fn over_tls(self, error: &reqwest::Error, tls: Option<&LentTls>) -> Self {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        let Some(tls) = tls else {
            return self;
        };
        let is_sent = self.is_sent;
        let error = match (find_tls(error), said_by_system(error).map(io::Error::kind)) {
            (Some(error), _) => tls.failed(error).into(),
            // To connect never fails so.
            (None, Some(UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe))
                if !is_sent =>
            {
                tls.closed().into()
            }
            _ if matches!(self.error, AgentError::ConnectionClosed | AgentError::Io(_)) => {
                tls.closed_unanswered().map_or(self.error, AgentError::Tls)
            }
            _ => self.error,
        };
        Self { error, is_sent }
    }

    /// What it is called if it is the greeting that was not answered.
    pub(super) fn in_greeting(self) -> AgentError {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
        match self.error {
            AgentError::ConnectionClosed => AgentError::ClosedInHandshake,
            AgentError::Io(error)
                if matches!(
                    error.kind(),
                    BrokenPipe | ConnectionAborted | ConnectionReset
                ) =>
            {
                AgentError::ClosedInHandshake
            }
            error => error,
        }
    }

    /// Whether nothing else is missing than a file descriptor.
    pub(super) fn is_short_of_descriptors(&self) -> bool {
        let AgentError::Connect(attempts) = &self.error else {
            return false;
        };
        attempts
            .iter()
            .any(|(_, error)| is_short_of_descriptors(error))
    }
}

fn unresolved(error: &reqwest::Error) -> AgentError {
    match find::<Unresolved>(error) {
        Some(Unresolved { host, error }) => AgentError::Resolve {
            host: host.clone(),
            error: copy(error),
        },
        None => AgentError::HttpClient(innermost(error).as_str().into()),
    }
}

/// An error and those that it comes from.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        let inside = error.downcast_ref::<io::Error>();
        // What is wrapped as an error of the system is not its source, but its source's.
        match inside.and_then(io::Error::get_ref) {
            Some(inside) => Some(inside as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

fn find<T: Error + 'static>(error: &reqwest::Error) -> Option<&T> {
    chain(error).find_map(|error| error.downcast_ref::<T>())
}

/// The last word of the system, without what is only wrapped as one.
fn said_by_system(error: &reqwest::Error) -> Option<&io::Error> {
    let errors = chain(error).filter_map(|error| error.downcast_ref::<io::Error>());
    errors.last()
}

#[cfg(feature = "tls")]
fn find_tls(error: &reqwest::Error) -> Option<&rustls::Error> {
    find::<rustls::Error>(error)
}

fn innermost(error: &reqwest::Error) -> String {
    chain(error)
        .last()
        .map_or_else(String::new, ToString::to_string)
}

fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
