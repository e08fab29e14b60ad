//! The bytes of a connection: how fast they go, and how they end.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::carrier::Stream;
use crate::fault::Fault;

/// How a connection ends that the agent ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// FIN.
    Close,
    /// RST.
    Reset,
    /// Not at all: what arrives is dropped until the peer closes.
    Silence,
    /// FIN, and the layers say nothing.
    Cut,
    /// Bytes that no layer knows, then FIN.
    Garbage,
    /// An alert of TLS, then FIN.
    Alert,
    /// Half of what the layers have to say first, then silence.
    HalfHandshake,
}

/// How fast bytes go. Without faults: as they come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    slices: bool,
    read_rate: Option<u32>,
    write_rate: Option<u32>,
}

/// How long a peer may take for a request, from its first byte to its last, and for its answer to
/// be read. Without it a peer that sends a byte now and then keeps its place for ever; Flume has no
/// such bound. An idle connection between two requests may stay.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Least and most bytes read at once. The size grows while reads fill it.
pub(crate) const READ_BYTES_MIN: usize = 8 * 1024;
pub(crate) const READ_BYTES_MAX: usize = 512 * 1024;

/// How long an idle connection keeps the room that a large request took.
pub(crate) const ROOM_KEPT: Duration = Duration::from_secs(1);

/// A paced stream moves in steps of about this length.
const STEPS_PER_SECOND: u32 = 20;

impl End {
    /// How a fault ends a connection, if it does.
    pub(crate) fn of(fault: &Fault) -> Option<Self> {
        match fault {
            Fault::Refuse | Fault::DropBeforeCommit | Fault::CommitThenDrop => Some(Self::Close),
            Fault::CloseMidFrame => Some(Self::Close),
            Fault::Reset | Fault::CommitThenReset => Some(Self::Reset),
            Fault::Hang => Some(Self::Silence),
            Fault::CommitThenCut => Some(Self::Cut),
            Fault::CommitThenGarbage => Some(Self::Garbage),
            Fault::TlsAlert => Some(Self::Alert),
            Fault::HandshakeStops => Some(Self::HalfHandshake),
            _ => None,
        }
    }

    pub(crate) async fn carry_out(self, stream: &mut Stream) -> io::Result<()> {
        match self {
            Self::Close => stream.shutdown().await,
            Self::Reset => stream.socket().set_zero_linger(),
            Self::Silence => silence(stream).await,
            Self::Cut => stream.socket().shutdown().await,
            Self::Garbage => {
                stream.socket().write_all(&[0xff; GARBAGE_BYTES]).await?;
                stream.socket().shutdown().await
            }
            Self::Alert => {
                stream.socket().write_all(&ALERT).await?;
                stream.socket().shutdown().await?;
                // With its bytes unread the peer would be reset, and not see the alert.
                silence(stream).await
            }
            Self::HalfHandshake => {
                stream.say_half().await?;
                silence(stream).await
            }
        }
    }
}

impl Pace {
    /// Slows the stream down if that is the fault.
    pub(crate) fn slow_down(&mut self, fault: &Fault) {
        match fault {
            Fault::OneByteSlices => self.slices = true,
            Fault::SlowReader(rate) => self.read_rate = Some(*rate),
            Fault::Bandwidth(rate) => {
                self.read_rate = Some(*rate);
                self.write_rate = Some(*rate);
            }
            _ => {}
        }
    }

    /// Bytes that may be read at once.
    pub(crate) fn read_bytes_max(&self) -> u64 {
        self.read_rate.map_or(u64::MAX, |rate| step(rate) as u64)
    }

    /// Whether requests take longer than their peer would need.
    pub(crate) fn is_read_slowly(&self) -> bool {
        self.read_rate.is_some()
    }

    /// Waits for as long as the bytes just read take.
    pub(crate) async fn after_read(&self, bytes: usize) {
        if let Some(rate) = self.read_rate {
            tokio::time::sleep(time_for(bytes, rate)).await;
        }
    }

    pub(crate) async fn write(&self, stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
        let size = match (self.slices, self.write_rate) {
            (true, _) => 1,
            (false, Some(rate)) => step(rate),
            (false, None) => return write_all(stream, bytes).await,
        };
        for chunk in bytes.chunks(size) {
            stream.write_all(chunk).await?;
            stream.flush().await?;
            match self.write_rate {
                Some(rate) => tokio::time::sleep(time_for(chunk.len(), rate)).await,
                None => tokio::task::yield_now().await,
            }
        }
        Ok(())
    }
}

/// More than any layer needs to see that they are none of its own.
const GARBAGE_BYTES: usize = 64;

/// A record of TLS 1.2 (RFC 5246, 7.2): fatal, `handshake_failure`.
const ALERT: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 40];

/// Drops what arrives until the peer closes.
async fn silence(stream: &mut Stream) -> io::Result<()> {
    let mut dropped = vec![0; 8 * 1024];
    while stream.socket().read(&mut dropped).await? > 0 {}
    Ok(())
}

/// Writes all of `bytes` to a peer that reads them in time.
pub(crate) async fn write_all(stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
    let written = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    match tokio::time::timeout(REQUEST_TIMEOUT, written).await {
        Ok(written) => written,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

fn step(rate: u32) -> usize {
    (rate / STEPS_PER_SECOND).max(1) as usize
}

fn time_for(bytes: usize, rate: u32) -> Duration {
    Duration::from_secs_f64(bytes as f64 / f64::from(rate.max(1)))
}
