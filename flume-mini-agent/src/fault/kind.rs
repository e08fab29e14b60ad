//! [`Fault`]: what can go wrong.

use std::time::Duration;

/// What goes wrong.
///
/// By itself a fault strikes whenever it can; conditions narrow that, see
/// [`FaultRule`](crate::FaultRule). Each kind has its place: a connection as it comes, a handshake,
/// a call, before or after its events are committed, or the disk of a file channel. That place
/// makes the difference between *lost* and *sent twice*, and so is part of the name where both
/// exist.
///
/// | kind | strikes | events stored | the peer sees |
/// |---|---|---|---|
/// | `Refuse` | connection | no | the end of the stream at once |
/// | `Reset` | connection or call | no | a reset (RST) |
/// | `Hang` | connection or call | no | silence |
/// | `TlsAlert` | connection | no | a fatal alert of TLS, the end of the stream |
/// | `HandshakeStops` | connection | no | half of TLS's first answer, silence |
/// | `OneByteSlices`, `SlowReader`, `Bandwidth` | connection or call | yes | a slow stream |
/// | `HandshakeNone` | handshake | no | NONE, with the server's protocol |
/// | `HandshakeClient` | handshake | yes | CLIENT, with the server's protocol |
/// | `Failed`, `Unknown`, `RpcError` | call | no | that answer |
/// | `ChannelFull` | call | no | FAILED after the channel's keep-alive |
/// | `DropBeforeCommit` | call | no | the end of the stream |
/// | `CommitThenDrop`, `CommitThenReset` | call | yes | the end of the stream, a reset |
/// | `CommitThenCut` | call | yes | the end of the stream, of which TLS is not told |
/// | `CommitThenGarbage` | call | yes | bytes that mean nothing to TLS or zlib, the end of the stream |
/// | `PartialCommit` | call | in some channels | FAILED |
/// | `AnswerLate` | call | yes | the answer, late |
/// | `CloseMidFrame` | call | yes | half of the answer, the end of the stream |
/// | `FlipByte`, `WrongSerial`, `EmptyFrame`, `HugeFrame` | call | yes | a broken answer |
/// | `FsyncError` | sync of a file channel | unknown | FAILED, as from then on; an RPC error for a single event |
/// | `DiskFull` | write of a file channel | no | FAILED |
/// | `PowerLoss` | write of a file channel | no | as after `FsyncError` |
///
/// The faults of streams, handshakes and frames (slow, `Handshake...`, `CloseMidFrame` to
/// `HugeFrame`) and those after so many bytes strike at the Avro and the Thrift source only, those
/// of handshakes at the Avro source, the others at every source. The Thrift source says an RPC error
/// as `TApplicationException` 6; the HTTP source says FAILED as 503, UNKNOWN and an RPC error as
/// 500; a netcat connection says FAILED as such and falls silent on the other two. A netcat or Thrift
/// connection falls silent after a call that hangs.
///
/// The faults of disks strike every file channel of the agent, whatever it writes: puts and takes,
/// also while it opens and closes. The agent's next start opens it again.
///
/// Stored means as without the fault: a full channel still answers `FAILED`. A connection that a
/// fault has slowed or silenced stays so until it is closed, even if the rule goes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The connection is accepted and closed, nothing read. For a port where nobody listens, stop
    /// the agent.
    Refuse,
    /// The connection is reset (RST, not FIN): as it comes, after some bytes, or at a call, whose
    /// events are then not stored.
    Reset,
    /// Silence. On a connection: what arrives is read and dropped. At a call: that one is never
    /// answered nor stored, later ones are, but of a Thrift or netcat connection. For a silence after the commit see
    /// [`AnswerLate`](Self::AnswerLate).
    Hang,
    /// Answers are written a byte at a time.
    OneByteSlices,
    /// Requests are read at no more than these bytes per second.
    SlowReader(u32),
    /// Requests are read and answers written at no more than these bytes per second.
    Bandwidth(u32),
    /// The handshake is answered NONE, its call not executed: the client must send the text of
    /// its protocol.
    HandshakeNone,
    /// The handshake is answered CLIENT, its call executed: the client had another idea of the
    /// server's protocol.
    HandshakeClient,
    /// Status FAILED, nothing stored.
    Failed,
    /// Status UNKNOWN, nothing stored.
    Unknown,
    /// An RPC error with this text, nothing stored.
    RpcError(String),
    /// As if the channel were full: FAILED after keep-alive, nothing stored.
    ChannelFull,
    /// The connection is closed before the call's events are stored: sent again, they arrive once.
    DropBeforeCommit,
    /// The call's events are stored, then the connection is closed without an answer: sent again,
    /// they arrive twice.
    CommitThenDrop,
    /// As [`CommitThenDrop`](Self::CommitThenDrop), with a reset (RST).
    CommitThenReset,
    /// As [`CommitThenDrop`](Self::CommitThenDrop), without TLS's `close_notify` before the end.
    CommitThenCut,
    /// The call's events are stored, then bytes 0xff come beneath compression and TLS, in place of an
    /// answer, and the stream ends.
    CommitThenGarbage,
    /// The connection is answered with a fatal alert of TLS (`handshake_failure`) and closed, nothing
    /// read, whether its source speaks TLS or not.
    TlsAlert,
    /// TLS's handshake stops: of the source's first answer in it half is sent, and nothing after that.
    /// A source without TLS is silent.
    HandshakeStops,
    /// The events are stored in the first so many of the source's required channels, and the
    /// answer is FAILED: sent again, they are twice in those.
    PartialCommit(usize),
    /// The answer comes this much later, the events are stored in time.
    /// [`Duration::MAX`] is never.
    AnswerLate(Duration),
    /// The connection is closed in the middle of the answer.
    CloseMidFrame,
    /// All bits of one byte of the answer's frame are turned over: the byte at this index, counted
    /// around if the frame is shorter. 3 is the serial number's last byte; the frame's last is the
    /// status.
    FlipByte(usize),
    /// The answer carries a serial number (of Thrift: a sequence id) that nobody sent: all bits of the
    /// right one turned over.
    WrongSerial,
    /// The answer is a frame of no buffers, of Thrift of no bytes.
    EmptyFrame,
    /// The answer's frame claims a buffer of 2 GiB, of Thrift a message, of which nothing comes.
    HugeFrame,
    /// A sync fails: the kernel may have dropped what it could not write. The file channel is out
    /// of order until the agent is started again, and nothing is acknowledged that may be gone.
    FsyncError,
    /// A write fails half-way as on a full disk. Its transaction is undone, the channel works on.
    DiskFull,
    /// The power goes in the middle of a write: what was synced stays, of the record that is
    /// written so many bytes, a torn tail. The file channel is out of order until the agent is
    /// started again.
    PowerLoss {
        /// Bytes of the unsynced record that reach the disk; the whole record if it has fewer.
        torn_bytes: usize,
    },
}

impl Fault {
    /// The names of all kinds, as rules in JSON have them.
    pub const NAMES: [&str; 29] = [
        "refuse",
        "reset",
        "hang",
        "one_byte_slices",
        "slow_reader",
        "bandwidth",
        "handshake_none",
        "handshake_client",
        "failed",
        "unknown",
        "rpc_error",
        "channel_full",
        "drop_before_commit",
        "commit_then_drop",
        "commit_then_reset",
        "commit_then_cut",
        "commit_then_garbage",
        "tls_alert",
        "handshake_stops",
        "partial_commit",
        "answer_late",
        "close_mid_frame",
        "flip_byte",
        "wrong_serial",
        "empty_frame",
        "huge_frame",
        "fsync_error",
        "disk_full",
        "power_loss",
    ];

    /// Whether it is the answer to a call that goes wrong, once it is written.
    pub(crate) fn breaks_answer(&self) -> bool {
        matches!(
            self,
            Self::CloseMidFrame
                | Self::FlipByte(_)
                | Self::WrongSerial
                | Self::EmptyFrame
                | Self::HugeFrame
        )
    }

    /// Whether the connection ends in place of the answer to what is stored.
    pub(crate) fn takes_answer(&self) -> bool {
        matches!(
            self,
            Self::CommitThenDrop
                | Self::CommitThenReset
                | Self::CommitThenCut
                | Self::CommitThenGarbage
        )
    }

    /// Whether it slows a stream down.
    pub(crate) fn slows_stream(&self) -> bool {
        matches!(
            self,
            Self::OneByteSlices | Self::SlowReader(_) | Self::Bandwidth(_)
        )
    }
}
