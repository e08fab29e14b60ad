//! [`Dialect`]: in which of two ways a source speaks its protocol.

use std::fmt;

use super::scheme::{Door, Scheme};
use crate::wire::thrift::Protocol;

/// What follows the `?`. Nothing on the wire tells it; an address that says it spares a client the
/// finding out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// `nesting`, of `avro+tls+deflate`.
    Nesting(Nesting),
    /// `protocol`, of `thrift` and `thrift+tls`: the source's setting of that name.
    Protocol(Protocol),
}

impl Dialect {
    /// All there are.
    pub(super) const ALL: [Self; 4] = [
        Self::Nesting(Nesting::TlsOutside),
        Self::Nesting(Nesting::ZlibOutside),
        Self::Protocol(Protocol::Compact),
        Self::Protocol(Protocol::Binary),
    ];

    /// What stands before the `=`.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Nesting(_) => "nesting",
            Self::Protocol(_) => "protocol",
        }
    }

    /// What stands after the `=`.
    pub(super) fn value(self) -> &'static str {
        match self {
            Self::Nesting(Nesting::TlsOutside) => "tls-outside",
            Self::Nesting(Nesting::ZlibOutside) => "zlib-outside",
            Self::Protocol(Protocol::Compact) => "compact",
            Self::Protocol(Protocol::Binary) => "binary",
        }
    }

    /// As it is called, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.value()
    }

    /// Those that addresses with this scheme can have, the more likely one first.
    pub(super) fn of(scheme: Scheme) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |it| it.is_of(scheme))
    }

    /// Whether addresses with this scheme can have it.
    pub(super) fn is_of(self, scheme: Scheme) -> bool {
        match self {
            Self::Nesting(_) => scheme == Scheme::AvroTlsDeflate,
            Self::Protocol(_) => scheme.door() == Door::Thrift,
        }
    }
}

/// As it stands in an address.
impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "?{}={}", self.key(), self.value())
    }
}

/// Which of TLS and zlib is next to the socket. Flume's versions differ (the order of the handlers
/// in `AvroSource` and `NettyAvroRpcClient`), so its own clients cannot use both between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Nesting {
    /// Compressed bytes are encrypted: Flume up to 1.9.
    TlsOutside,
    /// Encrypted bytes are compressed, to no use: Flume from 1.10 on.
    ZlibOutside,
}
