//! [`ComponentKind`]: the kinds of components.

/// The kinds of components.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ComponentKind {
    /// Under `channels`.
    Channel,
    /// Under `sources`.
    Source,
    /// Under `sinks`.
    Sink,
    /// Under `sinkgroups`.
    SinkGroup,
}

impl ComponentKind {
    /// The key of their list, and of their settings.
    pub(super) fn list(self) -> &'static str {
        match self {
            Self::Channel => "channels",
            Self::Source => "sources",
            Self::Sink => "sinks",
            Self::SinkGroup => "sinkgroups",
        }
    }
}
