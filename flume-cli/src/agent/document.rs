//! The property file an agent is made from.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use flume_mini_agent::config::{AgentConfig, ConfigError, Loaded};

use crate::output;
use crate::trouble::reason;

/// Which file, and how to take its mistakes.
#[derive(Debug, Args)]
#[command(next_help_heading = "An agent from a Flume property file")]
pub(super) struct DocumentArgs {
    /// The agent's name in the file, as in `a1.sources = r1`
    #[arg(long, short, value_name = "NAME", requires = "config")]
    name: Option<String>,

    /// Flume property file with the agent's sources, channels and sinks
    #[arg(
        long,
        short = 'f',
        alias = "conf-file",
        value_name = "FILE",
        requires = "name"
    )]
    config: Option<PathBuf>,

    /// Leave out what cannot run, as Flume does, and say so. Without it any mistake is an error
    #[arg(long, requires = "config")]
    lenient: bool,
}

/// An agent's configuration, to be read once or many times.
#[derive(Debug)]
pub(super) struct Document {
    agent: String,
    path: PathBuf,
    lenient: bool,
}

/// Why there is no configuration.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DocumentError {
    /// It could not be got.
    Unreadable(String),
    /// It makes no sense.
    Wrong(ConfigError),
}

/// Bytes of a document that are read: more than the configuration's own limit, so that its error
/// is told for a file that is too long.
const BYTES_MAX: u64 = 2 * 1024 * 1024;

impl DocumentArgs {
    /// `None`: the agent is not made from a document.
    pub(super) fn document(&self) -> Option<Document> {
        Some(Document {
            agent: self.name.clone()?,
            path: self.config.clone()?,
            lenient: self.lenient,
        })
    }
}

impl Document {
    /// Reads the document and says on stderr what is worth knowing about it.
    pub(super) fn load(&self) -> Result<AgentConfig, DocumentError> {
        let text = read(&self.path).map_err(|error| {
            let path = self.path.display();
            DocumentError::Unreadable(format!("cannot read {path}: {}", reason(&error)))
        })?;
        let reader = AgentConfig::reader(self.agent.as_str())
            .file(self.path.to_string_lossy())
            .env(|name| std::env::var(name).ok());
        let reader = if self.lenient {
            reader.lenient()
        } else {
            reader
        };
        let loaded = reader.read(&text).map_err(DocumentError::Wrong)?;
        tell(&loaded);
        Ok(loaded.config)
    }
}

impl Display for DocumentError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable(error) => f.write_str(error),
            Self::Wrong(error) => write!(f, "{error}"),
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(text(bytes))
}

/// Flume reads ISO-8859-1; the reader points at characters for which that makes a difference.
fn text(bytes: Vec<u8>) -> String {
    let latin = |error: std::string::FromUtf8Error| {
        let bytes = error.into_bytes();
        bytes.into_iter().map(char::from).collect()
    };
    String::from_utf8(bytes).unwrap_or_else(latin)
}

fn tell(loaded: &Loaded) {
    for dropped in &loaded.dropped {
        output::note(dropped);
    }
    for problem in &loaded.notes {
        output::note(problem);
    }
}
