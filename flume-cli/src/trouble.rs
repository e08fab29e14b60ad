//! An agent's error in one plain sentence, and what to do about it.

use std::io;
use std::net::SocketAddr;

use flume_client::AgentError;

use crate::text;

/// The error as a sentence for someone at a terminal.
pub(crate) fn sentence(error: &AgentError) -> String {
    match error {
        AgentError::Resolve { host, error } => {
            format!("unknown host {host:?}: {}", reason(error))
        }
        AgentError::Connect(attempts) => connect_failures(attempts),
        AgentError::ConnectTimeout(waited) => {
            format!(
                "no connection within {}: the host does not answer",
                text::duration(*waited)
            )
        }
        AgentError::ResolveTimeout { host, waited } => format!(
            "the name server did not answer within {} for the host {host:?}",
            text::duration(*waited)
        ),
        AgentError::HandshakeTimeout(waited) => format!(
            "the connection was accepted, but nothing was answered within {}",
            text::duration(*waited)
        ),
        AgentError::RequestTimeout(waited) => {
            format!(
                "a batch was not answered within {}",
                text::duration(*waited)
            )
        }
        AgentError::Io(error) => format!("the connection broke: {}", reason(error)),
        other => other.to_string(),
    }
}

/// What the user can check, where there is something.
pub(crate) fn advice(error: &AgentError) -> Option<&'static str> {
    match error {
        AgentError::Resolve { .. } => Some("check the host name"),
        AgentError::Connect(_) | AgentError::ConnectTimeout(_) => {
            Some("check host and port, and that the agent runs with an Avro source there")
        }
        AgentError::ResolveTimeout { .. } => Some("check the name servers of this host"),
        AgentError::HandshakeTimeout(_) => Some(
            "check that the port belongs to an Avro source; other sources speak other protocols",
        ),
        AgentError::UnexpectedSerial { .. } => {
            Some("check that the port belongs to an Avro source, and not to something else")
        }
        AgentError::Refused { .. } => {
            Some("see why the agent's sink is slow, or send smaller batches with --batch")
        }
        _ => None,
    }
}

/// Whether the agent accepted a connection and then owed an answer for too long.
pub(crate) fn is_silence(error: &AgentError) -> bool {
    matches!(
        error,
        AgentError::HandshakeTimeout(_) | AgentError::RequestTimeout(_)
    )
}

fn connect_failures(attempts: &[(SocketAddr, io::Error)]) -> String {
    match attempts {
        [(_, error)] => reason(error),
        several => {
            let each = several
                .iter()
                .map(|(address, error)| format!("{address}: {}", reason(error)));
            each.collect::<Vec<_>>().join("; ")
        }
    }
}

/// An input/output error without its number.
pub(crate) fn reason(error: &io::Error) -> String {
    plain(&error.to_string())
}

/// The same of one that is text already.
pub(crate) fn plain(text: &str) -> String {
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> io::Error {
        io::Error::from_raw_os_error(111)
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn one_address_needs_no_naming_and_several_do() {
        let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let one = AgentError::Connect(vec![(address, refused())]);
        assert_eq!(sentence(&one), "connection refused");
        let two = AgentError::Connect(vec![(address, refused()), (address, refused())]);
        let expected = "127.0.0.1:1: connection refused; 127.0.0.1:1: connection refused";
        assert_eq!(sentence(&two), expected);
    }

    #[test]
    fn silence_is_told_from_absence() {
        let waited = std::time::Duration::from_secs(1);
        assert!(is_silence(&AgentError::HandshakeTimeout(waited)));
        assert!(is_silence(&AgentError::RequestTimeout(waited)));
        assert!(!is_silence(&AgentError::ConnectTimeout(waited)));
        assert!(!is_silence(&AgentError::ConnectionClosed));
    }
}
