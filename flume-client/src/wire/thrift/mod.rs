//! Thrift as Flume's Thrift source speaks it: framed, compact or binary, two calls.
//!
//! | layer | file | holds |
//! |---|---|---|
//! | frame | [`frame`] | a length before each message |
//! | connection | [`session`] | both sides of a connection: bytes to replies, bytes to calls |
//! | call | [`call`] | `append`, `appendBatch` |
//! | reply | [`reply`] | status, exception |
//! | event | [`event`] | the event's record, made from Avro datums and into them |
//! | values | `reader`, `writer` | fields, lists, maps, strings and numbers of either protocol |
//! | bytes | `compact`, `binary`, `types`, `input` | how each protocol puts them |
//!
//! Not here: the compiler's definitions of other services. What is spelled out comes from Flume's
//! `flume.thrift` (`ThriftSourceProtocol`, `ThriftFlumeEvent`) and libthrift's `TCompactProtocol`
//! and `TBinaryProtocol`. Every length and count a peer sends is checked against the bytes that are
//! there before anything is kept for it; fields that are not known are passed over, as Flume does.

pub mod call;
pub mod event;
pub mod frame;
pub mod reply;
pub mod session;

mod binary;
mod compact;
mod input;
mod reader;
mod types;
mod writer;

use std::fmt;

/// How Thrift's values are put as bytes. Nothing on the wire negotiates it: a source speaks the one
/// of its setting `protocol`, and closes the connection of a client that speaks the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// `TCompactProtocol`, Flume's default.
    #[default]
    Compact,
    /// `TBinaryProtocol`: written with its version, read with it and without it.
    Binary,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compact => "compact",
            Self::Binary => "binary",
        })
    }
}

/// Why bytes from a peer could not be read.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end inside a value, or a length or count needs more than there are.
    #[error("the bytes end inside {what}")]
    Truncated {
        /// What was being read.
        what: &'static str,
    },
    /// The message does not begin as one of this protocol does.
    #[error("the message does not begin as one of Thrift's {protocol} protocol, version 1")]
    OtherProtocol {
        /// The protocol that was looked for.
        protocol: Protocol,
    },
    /// The message is no call where a call must come, or no reply where a reply must.
    #[error("the message is of the kind {kind}, not a {expected}")]
    OtherMessage {
        /// The number of its kind: call 1, reply 2, exception 3, one-way call 4.
        kind: u8,
        /// What must come.
        expected: &'static str,
    },
    /// A variable-length number takes more bits than its type has.
    #[error("the number for {what} is longer than its type")]
    LongNumber {
        /// What was being read.
        what: &'static str,
    },
    /// A length or count is negative.
    #[error("{what} has the negative length {length}")]
    Negative {
        /// What was being read.
        what: &'static str,
        /// The length found.
        length: i32,
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
    /// Values lie in values that lie in values, deeper than allowed.
    #[error("values lie in each other more than {limit} deep")]
    TooDeep {
        /// The limit.
        limit: u32,
    },
    /// There is no such type.
    #[error("{what} has the type {number}, which Thrift does not have")]
    UnknownType {
        /// What was being read.
        what: &'static str,
        /// The number found.
        number: u8,
    },
    /// A list or map holds values of another type than Flume's.
    #[error("{what} holds values of another type than Flume's")]
    OtherType {
        /// What was being read.
        what: &'static str,
    },
    /// A status that Flume does not have.
    #[error("the status is {number}, which Flume does not have")]
    UnknownStatus {
        /// The number found.
        number: i32,
    },
    /// A field that must come did not, or was of another type.
    #[error("{what} is missing")]
    Missing {
        /// The field.
        what: &'static str,
    },
    /// Bytes are left over after a whole message.
    #[error("{bytes} bytes are left over after the message")]
    LeftOver {
        /// How many.
        bytes: usize,
    },
}
