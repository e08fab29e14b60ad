//! The exit codes. Scripts branch on them: never change the meaning of one.

use std::process::ExitCode;

/// The table as `--help` shows it.
pub(crate) const HELP: &str = "\
Exit codes:
    0  everything was delivered: an agent acknowledged it
    1  something unexpected, such as a file that cannot be read, a spool that cannot be opened or a
       disk without room; what is said tells what was delivered all the same
    2  wrong usage
    3  what was not delivered is on the disk, in the directory of --spool: nothing is lost
    4  nothing was delivered: no agent could be used
    5  a part was delivered, a line was refused, or a file was cut while it was read; the summary
       has the counts
    6  a spool is damaged; what can be read of it was read
    7  a spool is in use by another process
    8  nothing was delivered: an agent's certificate is not to be trusted, or what is there speaks no
       TLS, or it does not take the client's certificate or its token (HTTP 401, 403)
  124  nothing was delivered in time, and an agent still owed an answer
  130  interrupted by Ctrl-C, SIGTERM, or SIGHUP when the terminal goes";

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Complete = 0,
    Unexpected = 1,
    Usage = 2,
    Stored = 3,
    Undelivered = 4,
    Partial = 5,
    Damaged = 6,
    InUse = 7,
    Untrusted = 8,
    TimedOut = 124,
    Interrupted = 130,
}

impl Exit {
    /// This end, unless it is a good one and the command's data could not be written.
    pub(crate) fn unless(self, failed: bool) -> Self {
        match self {
            Self::Complete if failed => Self::Unexpected,
            exit => exit,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
