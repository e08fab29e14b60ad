//! The netcat source: a line of text is an event, answered `OK` or `FAILED: ...`.
//!
//! | | then |
//! |---|---|
//! | a line is stored | `OK`, unless `ack_every_event` is off |
//! | the channel does not take it | `FAILED: ` and the reason, in any case; the connection goes on |
//! | anything else goes wrong | no answer, and none to later lines, as Flume's thread is dead then |
//! | a line is too long | `FAILED: Event exceeds the maximum length (N chars, including newline)`, end |
//! | the bytes are no text | end without an answer |
//! | the stream ends within a line | that line is no event |
//! | a line is not whole after a minute | end without an answer; Flume waits for ever |
//!
//! The body is the line in UTF-8 whatever the encoding, without its line feed; a carriage return
//! stays. Source: Flume's `NetcatSource`. Lines of a connection are worked on one at a time.

mod line;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout_at};

use super::intake::{self, Answer, Intake, Taken};
use super::listen::serve;
use super::stream::{End, REQUEST_TIMEOUT, write_all};
use crate::carrier::{Carrier, Stream};
use crate::channel::StoredEvent;
use crate::config::{Encoding, NetcatSourceConfig};
use crate::log::Answered;
use line::{LineDecoder, Next};

/// The source's type in a Flume configuration.
pub(crate) const NAME: &str = "netcat";

/// Bytes read at once.
const READ_BYTES: usize = 8 * 1024;

/// Lines of any bytes are the same however they are cut, and no more than one is held.
pub(crate) fn check_lines(encoding: Encoding, bytes: &[u8]) {
    const LINE_CHARS_MAX: usize = 16;
    let Some((cut, bytes)) = bytes.split_first() else {
        return;
    };
    let read = |cut: usize| {
        let mut lines = LineDecoder::new(encoding, LINE_CHARS_MAX);
        let mut found = Vec::new();
        for part in bytes.chunks(cut) {
            let buffer = lines.buffer_mut();
            assert!(
                buffer.len() <= 4 * LINE_CHARS_MAX,
                "more than a line is held"
            );
            buffer.extend_from_slice(part);
            loop {
                match lines.next_line() {
                    Next::Line(line) => found.push(line),
                    Next::More => break,
                    Next::TooLong | Next::Malformed => return found,
                }
            }
        }
        found
    };
    assert_eq!(read(usize::from(*cut).max(1)), read(bytes.len().max(1)));
}

/// What connections share.
#[derive(Debug)]
pub(crate) struct NetcatSource {
    intake: Intake,
    settings: NetcatSourceConfig,
}

struct Connection {
    source: Arc<NetcatSource>,
    stream: Stream,
    connection: intake::Connection,
    lines: LineDecoder,
    /// Since when a line is on its way.
    line_since: Option<Instant>,
}

impl NetcatSource {
    pub(crate) fn new(intake: Intake, settings: NetcatSourceConfig) -> Self {
        Self { intake, settings }
    }

    /// Accepts connections until dropped.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener, connections_max: usize) {
        let connect = |stream, peer| Connection::new(Arc::clone(&self), stream, peer).run();
        serve(
            (listener, Carrier::default()),
            connections_max,
            &self.intake.observed,
            connect,
        )
        .await;
    }
}

impl Connection {
    fn new(source: Arc<NetcatSource>, stream: Stream, peer: SocketAddr) -> Self {
        let settings = &source.settings;
        Self {
            connection: source.intake.open(peer),
            lines: LineDecoder::new(settings.encoding, settings.max_line_length),
            line_since: None,
            source,
            stream,
        }
    }

    /// Serves until one side ends the connection.
    async fn run(mut self) {
        let _ = self.stream.socket().set_nodelay(true);
        let end = match self.connection.end {
            Some(end) => end,
            None => match self.serve().await {
                Ok(end) => end,
                Err(_) => return,
            },
        };
        // A peer that is gone already needs no end.
        let _ = end.carry_out(&mut self.stream).await;
    }

    async fn serve(&mut self) -> io::Result<End> {
        loop {
            if let Some(end) = self.take_lines().await? {
                return Ok(end);
            }
            if self.read().await? == 0 {
                return Ok(End::Close);
            }
        }
    }

    /// Reads what comes; the rest of a line within its time.
    async fn read(&mut self) -> io::Result<usize> {
        let line_since = self.line_since;
        let buffer = self.lines.buffer_mut();
        self.line_since = match line_since {
            _ if buffer.is_empty() => None,
            None => Some(Instant::now()),
            since => since,
        };
        buffer.reserve(READ_BYTES);
        let read = self.stream.read_buf(buffer);
        let Some(since) = self.line_since else {
            return read.await;
        };
        match timeout_at(since + REQUEST_TIMEOUT, read).await {
            Ok(read) => read,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Stores the whole lines. How the connection is to end, if it is.
    async fn take_lines(&mut self) -> io::Result<Option<End>> {
        loop {
            match self.lines.next_line() {
                Next::More => return Ok(None),
                Next::Malformed => return Ok(Some(End::Close)),
                Next::TooLong => {
                    let chars = self.source.settings.max_line_length;
                    self.source.intake.counters.read_fails.increment();
                    self.say(&format!(
                        "FAILED: Event exceeds the maximum length ({chars} chars, including newline)\n"
                    ))
                    .await?;
                    return Ok(Some(End::Close));
                }
                Next::Line(line) => {
                    self.line_since = None;
                    if let Some(end) = self.store(&line).await? {
                        return Ok(Some(end));
                    }
                }
            }
        }
    }

    async fn store(&mut self, line: &str) -> io::Result<Option<End>> {
        let source = Arc::clone(&self.source);
        let intake = &source.intake;
        let request = intake.begin(&self.connection, line.len());
        intake.counters.appends_received.increment();
        let event = StoredEvent::from_parts(&[], line.as_bytes());
        let size = (request, line.len());
        let taken = intake.take(&self.connection, size, vec![event]);
        let Taken { answer, .. } = taken.await;
        let answered = match &answer {
            Answer::Ok => source.settings.ack_every_event.then_some(Answered::Ok),
            Answer::Failed(_) => Some(Answered::Failed),
            Answer::Unknown | Answer::Error(_) | Answer::End(_) => None,
        };
        intake.answered(request, &answer, answered, 1);
        Ok(match answer {
            Answer::Ok => {
                intake.counters.appends_accepted.increment();
                if source.settings.ack_every_event {
                    self.say("OK\n").await?;
                }
                None
            }
            Answer::Failed(reason) => {
                self.say(&format!("FAILED: {reason}\n")).await?;
                None
            }
            Answer::Unknown | Answer::Error(_) | Answer::End(None) => Some(End::Silence),
            Answer::End(end) => end,
        })
    }

    async fn say(&mut self, text: &str) -> io::Result<()> {
        let text = self.source.settings.encoding.encode(text);
        write_all(&mut self.stream, &text).await
    }
}
