//! Why an agent did not start, or did not get what was waited for.

use std::fmt::{self, Write};
use std::io;
use std::time::Duration;

use crate::channel::StoredEvent;
use crate::observed::{ObservedState, Stats};

/// Why an agent did not start.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting that must be at least 1 is 0.
    #[error("{setting} is 0: set it to at least 1")]
    Zero {
        /// The builder's method.
        setting: &'static str,
    },
    /// `transaction_capacity` is more than `capacity`.
    #[error(
        "transaction_capacity {transaction_capacity} is more than the channel's capacity \
         {capacity}: lower the one or raise the other"
    )]
    TransactionOverCapacity {
        /// Events a transaction may hold.
        transaction_capacity: usize,
        /// Events the channel may hold.
        capacity: usize,
    },
    /// `batch_size` is more than `transaction_capacity`.
    #[error(
        "the sink's batch_size {batch_size} is more than the channel's transaction_capacity \
         {transaction_capacity}: lower the one or raise the other"
    )]
    BatchOverTransaction {
        /// Events the sink takes at once.
        batch_size: usize,
        /// Events a transaction may hold.
        transaction_capacity: usize,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}{}", bind_advice(source))]
    Bind {
        /// The address.
        address: String,
        /// The cause.
        source: io::Error,
    },
    /// The control interface would be open to others.
    #[error(
        "the control interface on {address} could be reached from elsewhere, and would do what \
         anyone asks: use a loopback address, or say control_from_anywhere"
    )]
    ControlReachable {
        /// The address.
        address: String,
    },
    /// A sink cannot work.
    #[error("{sink} cannot start: {source}")]
    Sink {
        /// Which one, as in "the logger sink" or "sink k1".
        sink: String,
        /// The cause.
        source: io::Error,
    },
    /// A channel cannot be opened.
    #[error("channel {channel} cannot start: {reason}")]
    Channel {
        /// Its name.
        channel: String,
        /// What is wrong.
        reason: String,
    },
    /// An interceptor cannot work.
    #[error("an interceptor of source {source_name} cannot start: {reason}")]
    Interceptor {
        /// The source's name.
        source_name: String,
        /// What is wrong.
        reason: String,
    },
    /// A component cannot speak TLS.
    #[error("{component} cannot speak TLS: {reason}")]
    Tls {
        /// Which component, as in "source r1".
        component: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A component needs a feature of this crate that was not compiled in.
    #[error("{component} needs the feature `{feature}` of flume-mini-agent")]
    Feature {
        /// Which component, as in "source r1".
        component: String,
        /// The feature.
        feature: &'static str,
    },
    /// The agent's thread or its runtime cannot be started.
    #[error("cannot start the agent's thread: {source}")]
    Thread {
        /// The cause.
        source: io::Error,
    },
    /// The agent runs already.
    #[error("the agent on {address} runs already: stop it first")]
    Running {
        /// Its address.
        address: String,
    },
}

/// Why an agent did not get another configuration.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ReconfigureError {
    /// It cannot start; the agent goes on as it was.
    #[error("{reason}; the agent goes on with the configuration it had")]
    Refused {
        /// What cannot start.
        reason: StartError,
    },
    /// Neither it nor the former one can start: the agent is stopped. Memory channels keep their
    /// events for [`MiniAgent::start_again`](crate::MiniAgent::start_again).
    #[error(
        "{reason}; nor could the configuration it had be started again: {former}; the agent is stopped"
    )]
    Stopped {
        /// What cannot start.
        reason: StartError,
        /// What cannot start of the former configuration.
        former: StartError,
    },
}

impl fmt::Debug for StartError {
    /// The message as it is, since tests mostly see it through `unwrap`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for ReconfigureError {
    /// The message as it is, since tests mostly see it through `unwrap`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The way out, where the system's word for it does not show one.
fn bind_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another process has the port: stop it, or choose a free one or port 0"
        }
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 are for those who may use them: choose one above"
        }
        io::ErrorKind::AddrNotAvailable => {
            "; this machine does not have that address: choose one of its own, such as \
             127.0.0.1, or 0.0.0.0 for all of them"
        }
        io::ErrorKind::NotFound => "; check the host's name",
        io::ErrorKind::InvalidInput => "; write it as HOST:PORT",
        _ => "",
    }
}

/// What to make of an address that cannot be listened on.
pub(crate) fn bind(address: &str) -> impl FnOnce(io::Error) -> StartError {
    let address = address.to_owned();
    move |source| StartError::Bind { address, source }
}

/// What was waited for did not happen in time. Tells what did.
#[derive(Clone, thiserror::Error)]
#[error("{message}")]
pub struct WaitError {
    message: String,
    arrived: usize,
}

/// Bodies shown, and bytes shown of each.
const BODIES_SHOWN: usize = 5;
const BODY_BYTES_SHOWN: usize = 64;

impl WaitError {
    pub(super) fn too_few(
        wanted: usize,
        timeout: Duration,
        starving: bool,
        (state, stats): (&ObservedState, &Stats),
    ) -> Self {
        let arrived = state.collected.len();
        let mut message = format!("{arrived} of {wanted} events arrived within {timeout:?}");
        let mut separator = ", first bodies: ";
        for event in state.collected.iter().take(BODIES_SHOWN) {
            let _ = write!(message, "{separator}{}", shown(event));
            separator = ", ";
        }
        Self::with_state(message, starving, (state, stats))
    }

    pub(super) fn not_reached(
        timeout: Duration,
        starving: bool,
        state: (&ObservedState, &Stats),
    ) -> Self {
        let message = format!("the agent did not get there within {timeout:?}");
        Self::with_state(message, starving, state)
    }

    pub(super) fn nothing_kept(sink: &str) -> Self {
        Self {
            message: format!(
                "the {sink} sink keeps no events: use the collect sink, or `wait_until` and the counters"
            ),
            arrived: 0,
        }
    }

    /// Events that had arrived when the wait was over.
    #[must_use]
    pub fn arrived(&self) -> usize {
        self.arrived
    }

    /// `starving`: the wait may have kept the client itself from working.
    fn with_state(
        mut message: String,
        starving: bool,
        (state, stats): (&ObservedState, &Stats),
    ) -> Self {
        if starving {
            message.push_str(
                "; this wait blocks the only thread of a tokio runtime, so that nothing else \
                 on it could run: use `wait_for_async` or `wait_until_async`",
            );
        } else if stats.connections_opened == 0 {
            message.push_str("; no client has connected");
        }
        let _ = write!(message, "; {stats:?}");
        for error in state.sink_error.iter().chain(&state.channel_error) {
            let _ = write!(message, "; {error}");
        }
        let arrived = state.collected.len();
        Self { message, arrived }
    }
}

impl fmt::Debug for WaitError {
    /// The message as it is, since tests mostly see it through `unwrap`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

fn shown(event: &StoredEvent) -> String {
    let event = event.view();
    let (head, more) = match event.body().split_at_checked(BODY_BYTES_SHOWN) {
        Some((head, rest)) if !rest.is_empty() => (head, "..."),
        _ => (event.body(), ""),
    };
    format!("{:?}{more}", String::from_utf8_lossy(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_port_that_is_taken_is_said_to_be_taken() {
        let told = |kind| bind_advice(&io::Error::from(kind));
        assert!(told(io::ErrorKind::AddrInUse).contains("another process has the port"));
        assert!(told(io::ErrorKind::PermissionDenied).contains("below 1024"));
        assert!(told(io::ErrorKind::AddrNotAvailable).contains("does not have that address"));
        assert!(told(io::ErrorKind::NotFound).contains("host's name"));
        assert!(told(io::ErrorKind::InvalidInput).contains("HOST:PORT"));
        assert_eq!(told(io::ErrorKind::Other), "");
    }
}
