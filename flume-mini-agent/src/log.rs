//! What clients did: connections and requests, each with what was answered and what was stored.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::carrier::Stream;
use crate::fault::guard::FaultBoard;

/// A request as the agent saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestRecord {
    /// Its number among all requests of the agent, from 1 on.
    pub number: u64,
    /// The number of its connection, see [`ConnectionRecord::number`].
    pub connection: u64,
    /// The type of the source it came to, such as `avro`.
    pub source: &'static str,
    /// Bytes it took, without framing.
    pub bytes: usize,
    /// Events it brought, as far as they could be read.
    pub events: usize,
    /// What the agent answered.
    pub answered: Answered,
    /// What really became of the events.
    pub stored: Stored,
    /// When it had arrived, counted from the agent's making.
    pub at: Duration,
    /// How long it took until the answer. `None` if there was none.
    pub took: Option<Duration>,
}

/// What was answered to a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answered {
    /// Nothing, or nothing yet: the connection was closed first, or the request waits.
    #[default]
    Nothing,
    /// The answer to a handshake without a call.
    Handshake,
    /// Stored.
    Ok,
    /// Not stored.
    Failed,
    /// Flume's status UNKNOWN.
    Unknown,
    /// An error with this text.
    Error(String),
    /// This HTTP status.
    Status(u16),
    /// Bytes that are no answer, by way of a fault.
    Broken,
}

/// What became of a request's events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stored {
    /// They are in no channel, or not yet. Also where there were none. Of a source with several
    /// required channels the first ones may have them if a later one failed by itself.
    #[default]
    No,
    /// They are in some of the required channels.
    Partly,
    /// They are committed to all required channels.
    Yes,
}

/// A connection as the agent saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionRecord {
    /// Its number among all connections of the agent, from 1 on.
    pub number: u64,
    /// The type of the source it came to, such as `avro`.
    pub source: &'static str,
    /// Where it came from.
    pub peer: Option<SocketAddr>,
    /// The certificate that the peer showed in the handshake of TLS, in DER, if it was asked for one.
    pub client_certificate: Option<Vec<u8>>,
    /// Requests it brought.
    pub requests: u64,
    /// When it came, counted from the agent's making.
    pub opened: Duration,
    /// When it was closed. `None` while it is open.
    pub closed: Option<Duration>,
}

/// Requests and connections kept, the latest of each; a few hundred bytes each, and the certificate
/// that a connection's peer showed.
const RECORDS_MAX: usize = 10_000;

/// What an agent's sources share beside channels and counters: where to note what happens, and
/// whom to ask what is to go wrong.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) log: RequestLog,
    pub(crate) faults: Arc<FaultBoard>,
}

/// A connection that is noted as open, until dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection {
    recorder: Arc<Recorder>,
    number: u64,
    is_identified: bool,
}

/// The log of one agent.
#[derive(Debug)]
pub(crate) struct RequestLog {
    records: Mutex<Records>,
    start: Instant,
}

#[derive(Debug, Default)]
struct Records {
    requests: Numbered<RequestRecord>,
    connections: Numbered<ConnectionRecord>,
}

/// The latest of many records, found by their numbers, which count from 1.
#[derive(Debug)]
struct Numbered<T> {
    kept: VecDeque<T>,
    dropped: u64,
}

impl Recorder {
    pub(crate) fn new(fault_seed: u64) -> Self {
        let start = Instant::now();
        Self {
            log: RequestLog::new(start),
            faults: Arc::new(FaultBoard::new(fault_seed, start)),
        }
    }

    /// Notes a connection.
    pub(crate) fn open(
        self: &Arc<Self>,
        source: &'static str,
        peer: Option<SocketAddr>,
    ) -> OpenConnection {
        OpenConnection {
            number: self.log.open(source, peer),
            recorder: Arc::clone(self),
            is_identified: false,
        }
    }
}

impl OpenConnection {
    /// Notes the certificate that its peer showed, once.
    pub(crate) fn identify(&mut self, stream: &Stream) {
        if !self.is_identified
            && let Some(certificate) = stream.client_certificate()
        {
            self.is_identified = true;
            self.recorder.log.identify(self.number, certificate);
        }
    }

    /// Its number.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.recorder.log.close(self.number);
    }
}

impl RequestLog {
    pub(crate) fn new(start: Instant) -> Self {
        Self {
            records: Mutex::default(),
            start,
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn open(&self, source: &'static str, peer: Option<SocketAddr>) -> u64 {
        let opened = self.now();
        self.records().connections.push(|number| ConnectionRecord {
            number,
            source,
            peer,
            client_certificate: None,
            requests: 0,
            opened,
            closed: None,
        })
    }

    fn identify(&self, connection: u64, certificate: &[u8]) {
        if let Some(record) = self.records().connections.at(connection) {
            record.client_certificate = Some(certificate.to_vec());
        }
    }

    fn close(&self, connection: u64) {
        let closed = self.now();
        if let Some(record) = self.records().connections.at(connection) {
            record.closed = Some(closed);
        }
    }

    /// Notes a request and gives it its number.
    pub(crate) fn begin(&self, source: &'static str, connection: u64, bytes: usize) -> u64 {
        let at = self.now();
        let mut records = self.records();
        if let Some(connection) = records.connections.at(connection) {
            connection.requests += 1;
        }
        records.requests.push(|number| RequestRecord {
            number,
            connection,
            source,
            bytes,
            events: 0,
            answered: Answered::Nothing,
            stored: Stored::No,
            at,
            took: None,
        })
    }

    /// Notes how many events a request brought, and what became of them.
    pub(crate) fn stored(&self, request: u64, events: usize, stored: Stored) {
        if let Some(record) = self.records().requests.at(request) {
            record.events = events;
            record.stored = stored;
        }
    }

    /// Notes what was answered.
    pub(crate) fn answered(&self, request: u64, answered: Answered) {
        let now = self.now();
        if let Some(record) = self.records().requests.at(request) {
            record.answered = answered;
            record.took = Some(now.saturating_sub(record.at));
        }
    }

    pub(crate) fn requests(&self) -> Vec<RequestRecord> {
        self.records().requests.kept.iter().cloned().collect()
    }

    pub(crate) fn connections(&self) -> Vec<ConnectionRecord> {
        self.records().connections.kept.iter().cloned().collect()
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self {
            kept: VecDeque::new(),
            dropped: 0,
        }
    }
}

impl<T> Numbered<T> {
    fn push(&mut self, record: impl FnOnce(u64) -> T) -> u64 {
        if self.kept.len() == RECORDS_MAX {
            self.kept.pop_front();
            self.dropped += 1;
        }
        let number = self.dropped + self.kept.len() as u64 + 1;
        self.kept.push_back(record(number));
        number
    }

    fn at(&mut self, number: u64) -> Option<&mut T> {
        let index = number.checked_sub(self.dropped + 1)?;
        self.kept.get_mut(usize::try_from(index).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_records_are_kept_and_found_by_their_numbers() {
        let log = RequestLog::new(Instant::now());
        let connection = log.open("avro", None);
        for number in 1..=RECORDS_MAX as u64 + 2 {
            assert_eq!(log.begin("avro", connection, 10), number);
        }
        log.answered(2, Answered::Ok);
        log.answered(3, Answered::Failed);
        log.stored(RECORDS_MAX as u64 + 2, 5, Stored::Yes);
        let requests = log.requests();
        assert_eq!(requests.len(), RECORDS_MAX);
        let first = requests.first().unwrap();
        assert_eq!((first.number, &first.answered), (3, &Answered::Failed));
        let last = requests.last().unwrap();
        assert_eq!((last.number, last.events), (RECORDS_MAX as u64 + 2, 5));
        assert_eq!(last.took, None);
        let connections = log.connections();
        assert_eq!(connections[0].requests, RECORDS_MAX as u64 + 2);
    }
}
