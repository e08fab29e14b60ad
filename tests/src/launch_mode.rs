//! What is special about the start of a real agent.

use crate::Version;

/// What it means when the log of a starting agent tells that it did not get a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clashes {
    /// Somebody took a port between our look and the agent's bind: try again with others.
    Unwanted,
    /// The properties name a port that is taken, on purpose.
    Wanted,
}

/// Whether an agent looks at its properties file again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// Never: its first configuration is its last.
    Never,
    /// When the file changes: 1.9 looks every 30 s, later versions every second here.
    OnChange,
}

impl Reload {
    /// What the command line says of it.
    pub(crate) fn arguments(self, version: Version) -> &'static [&'static str] {
        match (self, version) {
            (Self::Never, _) => &["--no-reload-conf"],
            (Self::OnChange, Version::V1_9) => &[],
            (Self::OnChange, _) => &["--poll-interval", "1"],
        }
    }
}
