//! Avro RPC as Flume's Avro source speaks it: Netty framing, handshake, two calls.
//!
//! | layer | file | holds |
//! |---|---|---|
//! | frame | [`frame`] | serial number and length-prefixed buffers |
//! | handshake | [`handshake`] | protocol identity, the three matches |
//! | call and reply | [`rpc`] | `append`, `appendBatch`, status, system error |
//! | values | [`datum`] | variable-length numbers, strings, maps, the event record |
//! | connection | [`session`] | the client's side of one connection, bytes to replies |
//!
//! Not here: schemas and their resolution. The protocol has not changed since Flume 1.0 and is
//! spelled out in code; sources are Flume's `flume.avdl` and Avro's specification, "Protocol Wire
//! Format". Every length a peer sends is checked against a limit before anything is kept for it.

pub mod datum;
pub mod frame;
pub mod handshake;
pub mod rpc;
pub mod session;

/// Why bytes from a peer could not be read.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end inside a value.
    #[error("the bytes end inside {what}")]
    Truncated {
        /// What was being read.
        what: &'static str,
    },
    /// A variable-length number takes more than ten bytes or 64 bits.
    #[error("the number for {what} takes more than 64 bits")]
    LongVarint {
        /// What was being read.
        what: &'static str,
    },
    /// A length or count is negative.
    #[error("{what} has the negative length {length}")]
    Negative {
        /// What was being read.
        what: &'static str,
        /// The length found.
        length: i64,
    },
    /// A count or length exceeds the limit for it.
    #[error("{what} announces {announced}, more than the {limit} allowed")]
    OverLimit {
        /// What was being read.
        what: &'static str,
        /// The count or length announced.
        announced: u64,
        /// The limit.
        limit: u64,
    },
    /// A string is not UTF-8.
    #[error("{what} is not UTF-8")]
    NotUtf8 {
        /// What was being read.
        what: &'static str,
    },
    /// An enum or union index has no meaning here.
    #[error("{what} has the index {index}, which means nothing here")]
    UnknownIndex {
        /// What was being read.
        what: &'static str,
        /// The index found.
        index: i64,
    },
    /// Bytes are left over after a whole message.
    #[error("{bytes} bytes are left over after the message")]
    LeftOver {
        /// How many.
        bytes: usize,
    },
}
