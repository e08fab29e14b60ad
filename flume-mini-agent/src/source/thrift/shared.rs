//! [`ThriftSource`]: what the connections of a source share.

use flume_client::wire::thrift::Protocol;
use tokio::sync::Semaphore;

use crate::carrier::Carrier;
use crate::config::{ThriftProtocol, ThriftSourceConfig};
use crate::source::intake::Intake;

/// The source's type in a Flume configuration.
pub(crate) const NAME: &str = "thrift";

/// What connections share, from one start of the agent to its stop.
#[derive(Debug)]
pub(crate) struct ThriftSource {
    pub(super) intake: Intake,
    pub(super) carrier: Carrier,
    pub(super) protocol: Protocol,
    pub(super) message_bytes_max: usize,
    /// As many as there are threads, if there is a bound.
    pub(super) threads: Option<Semaphore>,
}

impl ThriftSource {
    pub(crate) fn new(
        intake: Intake,
        carrier: Carrier,
        settings: &ThriftSourceConfig,
        message_bytes_max: usize,
    ) -> Self {
        let protocol = match settings.protocol {
            ThriftProtocol::Compact => Protocol::Compact,
            ThriftProtocol::Binary => Protocol::Binary,
        };
        let threads = settings.threads.min(Semaphore::MAX_PERMITS);
        Self {
            intake,
            carrier,
            protocol,
            message_bytes_max,
            threads: (threads > 0).then(|| Semaphore::new(threads)),
        }
    }
}
