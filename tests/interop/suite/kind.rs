//! [`Kind`]: the kinds of agents.

use flume_tests::Version;

/// Which agent a scenario runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Flume(Version),
    Mini,
}
