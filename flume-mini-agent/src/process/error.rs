//! What goes wrong with an agent in a process of its own.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use crate::agent::error::StartError;
use crate::config::ConfigError;

/// Why an agent's process is not there, or not gone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// The properties make no sense.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// A port cannot be had.
    #[error("{0}")]
    Port(#[from] StartError),
    /// The properties cannot be written for the process to read.
    #[error("cannot write the properties below {}: {source}", std::env::temp_dir().display())]
    Properties {
        /// The cause.
        source: io::Error,
    },
    /// The program cannot be started.
    #[error(
        "cannot start {}: {source}; name the command flume with `program` or FLUME_PROGRAM, or \
         this test binary with `test`", program.display()
    )]
    Spawn {
        /// The program.
        program: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The process ended before clients could connect.
    #[error("the agent's process ended before it was ready, with {status}{}", told(.stderr))]
    Ended {
        /// How.
        status: ExitStatus,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// The process was not ready in time, and was killed.
    #[error("the agent's process was not ready within {waited:?} and was killed{}", told(.stderr))]
    NotReady {
        /// The time.
        waited: Duration,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// The process did not end in time, and was killed.
    #[error("the agent's process did not end within {waited:?} and was killed{}", told(.stderr))]
    NotEnded {
        /// The time.
        waited: Duration,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// The process cannot be asked or waited for.
    #[error("cannot handle the agent's process: {source}")]
    Io {
        /// The cause.
        source: io::Error,
    },
    /// There is a process already.
    #[error("the agent's process runs already: kill or terminate it first")]
    Running,
    /// There is no process.
    #[error("the agent's process does not run")]
    NotRunning,
}

fn told(stderr: &str) -> String {
    if stderr.is_empty() {
        return "; it wrote nothing to standard error. A test that is named with `test` has to \
                call MiniAgentProcess::host"
            .to_owned();
    }
    format!(": {stderr}")
}
