//! What goes wrong with agents that speak HTTP: [`HttpOptionsError`] here, [`HttpRefusal`] there.

use super::peer_text::PeerText;
use crate::agent_url::AgentUrl;
use crate::debug::debug_is_the_message;
use crate::wire::http::answer::Answer;

/// What requests need beside events cannot be used.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpOptionsError {
    /// A header cannot have this name.
    #[error("{name:?} is no name of an HTTP header: it is made of letters, digits and -")]
    Name {
        /// The name given.
        name: String,
    },
    /// A header that the client writes itself.
    #[error("the HTTP header {name} is the client's own: leave it out")]
    Own {
        /// The name given.
        name: String,
    },
    /// A value could not be read.
    #[error("the value of the HTTP header {name} cannot be read {origin}: {error}")]
    Unread {
        /// The header.
        name: String,
        /// Where its value comes from.
        origin: String,
        /// What went wrong.
        error: String,
    },
    /// A value was read, and is none.
    #[error("the HTTP header {name} cannot have the value that was read {origin}: {fault}")]
    Value {
        /// The header.
        name: String,
        /// Where its value comes from.
        origin: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// The values were not there in time.
    #[error("the values of HTTP headers were not read in time: a callback or a disk blocks")]
    Blocked,
    /// A callback panicked.
    #[error("the callback for the value of an HTTP header panicked")]
    Panicked,
    /// An agent's address is none for HTTP.
    #[error("requests cannot be sent to {agent}: {error}; write its host in another form")]
    Address {
        /// The agent.
        agent: AgentUrl,
        /// What is wrong with it.
        error: String,
    },
}

debug_is_the_message!(HttpOptionsError);

/// An agent that speaks HTTP, or what stands before it, answered with another status than 200.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("the agent answered HTTP {status}{}: {hint}", said_by(.said.as_ref()))]
#[non_exhaustive]
pub struct HttpRefusal {
    /// The status.
    pub status: u16,
    /// What the page that came with it is called, if there was one.
    pub said: Option<PeerText>,
    hint: String,
}

debug_is_the_message!(HttpRefusal);

impl HttpRefusal {
    /// `location`: where it says that the source is.
    pub(crate) fn new(status: u16, said: Option<PeerText>, location: Option<&str>) -> Self {
        let hint = match (status, location) {
            (300..400, Some(location)) => format!(
                "it wants the events to go to {}, where nobody told this client to send them; give that \
                 as the agent's address if it is right",
                PeerText::from(location)
            ),
            _ => hint(status).to_owned(),
        };
        Self { status, said, hint }
    }

    /// Whether it lasts until a person changes something, of an agent that was asked to take nothing.
    pub(crate) fn is_lasting(&self) -> bool {
        match Answer::of(self.status, None, 0) {
            Answer::Committed | Answer::Refused { .. } => false,
            Answer::Unacceptable | Answer::Blocked => true,
        }
    }

    /// Whether the agent wants other credentials than it got.
    #[must_use]
    pub fn is_about_credentials(&self) -> bool {
        matches!(self.status, 401 | 403 | 407)
    }
}

fn said_by(said: Option<&PeerText>) -> String {
    said.map_or_else(String::new, |said| format!(" ({said})"))
}

/// What an HTTP status means of a source, and what to do.
fn hint(status: u16) -> &'static str {
    match status {
        503 => {
            "its channel is full, or takes no batch of that size (transactionCapacity, 100 by default); its \
             log tells which"
        }
        500 => {
            "an interceptor or its handler failed, or its channel did, or it cannot make anything of an \
             event; its log tells which"
        }
        408 | 429 | 500..600 => "it, or what stands before it, cannot take events now",
        400 | 415 | 422 => {
            "its handler does not take this JSON; Flume's default one, JSONHandler, does"
        }
        413 => "the request is too large for what stands before it: lower batch_bytes",
        401 | 407 => {
            "it wants other credentials: give a token or a header by http(HttpOptions), or new ones"
        }
        403 => {
            "it does not let this client in: check its credentials, and whether the path is right"
        }
        404 | 405 => "there is no HTTP source at this path: check the address",
        300..400 => "it is elsewhere, and does not say where: check the address",
        _ => "no HTTP source of Flume answers so: check the address",
    }
}
