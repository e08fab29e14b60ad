//! [`AvroSource`]: what the connections of a source share.

use std::sync::Arc;

use flume_client::wire::avro::frame::FrameLimits;
use tokio::sync::Semaphore;

use super::responder::Protocols;
use crate::carrier::Carrier;
use crate::counters::SourceCounters;
use crate::log::Recorder;
use crate::observed::Observed;
use crate::processor::ChannelProcessor;
use crate::source::intake::Intake;

/// Requests of one source that are worked on at once: Flume's Avro server has 16 caller threads,
/// shared by all connections. When all wait for room in the channel, nobody is answered.
pub(crate) const IN_FLIGHT_MAX: usize = 16;

/// The source's type in a Flume configuration.
pub(crate) const NAME: &str = "avro";

/// In which order an Avro source works on the requests of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplyMode {
    /// Each request on its own, as Flume 1.10 and later: a request that waits for room in the
    /// channel does not hold up later ones, and replies come out of order.
    #[default]
    Parallel,
    /// One at a time in the order of arrival, as Flume up to 1.9.
    Sequential,
}

/// What connections share, from one start of the agent to its stop.
#[derive(Debug)]
pub(crate) struct AvroSource {
    pub(super) processor: Arc<ChannelProcessor>,
    pub(super) counters: Arc<SourceCounters>,
    pub(super) observed: Arc<Observed>,
    pub(super) recorder: Arc<Recorder>,
    pub(super) carrier: Carrier,
    pub(super) mode: ReplyMode,
    pub(super) limits: FrameLimits,
    pub(super) in_flight: Arc<Semaphore>,
    pub(super) protocols: Protocols,
}

impl AvroSource {
    /// A source with what `intake` holds: its calls are counted and answered in their own way.
    pub(crate) fn new(
        intake: Intake,
        carrier: Carrier,
        mode: ReplyMode,
        max_frame_bytes: usize,
    ) -> Self {
        // Java's client cuts its payload into buffers of 8 KiB; room for twice as many.
        let buffers_max = FrameLimits::REQUEST.buffers_max.max(max_frame_bytes / 4096);
        Self {
            processor: intake.processor,
            counters: intake.counters,
            observed: intake.observed,
            recorder: intake.recorder,
            carrier,
            mode,
            limits: FrameLimits {
                payload_bytes_max: max_frame_bytes,
                buffers_max,
            },
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
            protocols: Protocols::default(),
        }
    }
}
