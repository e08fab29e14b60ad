//! [`Failure`]: why there is no agent, or none any more.

use std::io;

use flume_mini_agent::StartError;

use super::document::DocumentError;
use super::ready_file::ReadyFileError;
use crate::exit::Exit;
use crate::text::{self, reason};

#[derive(Debug)]
pub(super) enum Failure {
    Document(DocumentError),
    Start(StartError),
    Io(io::Error),
    ReadyFile(ReadyFileError),
}

impl Failure {
    pub(super) fn sentence(&self) -> String {
        match self {
            Self::Document(error) => error.to_string(),
            Self::Start(error @ StartError::ControlReachable { .. }) => error
                .to_string()
                .replace("say control_from_anywhere", "say --control-from-anywhere"),
            Self::Start(error) => error.to_string(),
            Self::Io(error) => format!("cannot run the agent: {}", reason(error)),
            Self::ReadyFile(ReadyFileError { path, source }) => {
                format!("cannot write {}: {}", text::path(path), reason(source))
            }
        }
    }

    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Document(DocumentError::Wrong(_)) => Exit::Usage,
            Self::Start(
                StartError::Bind { .. }
                | StartError::Channel { .. }
                | StartError::Sink { .. }
                | StartError::Thread { .. },
            ) => Exit::Unexpected,
            Self::Start(_) => Exit::Usage,
            Self::Document(_) | Self::Io(_) | Self::ReadyFile(_) => Exit::Unexpected,
        }
    }
}
