//! The document an agent is made from: a property file, or the same at a URL.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use flume_mini_agent::config::{AgentConfig, ConfigError, Loaded};

use super::http::{BYTES_MAX, Credentials, Fetched, HttpDocument};
use super::uri::Origin;
use crate::output;
use crate::text::reason;

/// Which document, and how to take its mistakes.
#[derive(Debug, Args)]
#[command(next_help_heading = "An agent from a Flume property file")]
pub(super) struct DocumentArgs {
    /// The agent's name in the file, as in `a1.sources = r1`
    #[arg(long, short, value_name = "NAME", requires = "document")]
    name: Option<String>,

    /// Flume property file with the agent's sources, channels and sinks
    #[arg(
        long,
        short = 'f',
        alias = "conf-file",
        value_name = "FILE",
        group = "document",
        requires = "name"
    )]
    config: Option<PathBuf>,

    /// The same at file://PATH or http://HOST:PORT/PATH
    #[arg(long, value_name = "URL", group = "document", requires = "name")]
    conf_uri: Option<Origin>,

    /// User for --conf-uri, as HTTP basic authentication
    #[arg(long, value_name = "USER", env = "FLUME_CONF_USER")]
    conf_user: Option<String>,

    /// Password for --conf-uri; better given in the environment, as others can see command lines
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "FLUME_CONF_PASSWORD",
        hide_env_values = true
    )]
    conf_password: Option<String>,

    /// Leave out what cannot run, as Flume does, and say so. Without it any mistake is an error
    #[arg(long, requires = "document")]
    lenient: bool,

    /// How often to look whether the document has changed [default: 30, for http 300]
    #[arg(
        long,
        value_name = "SECONDS",
        requires = "document",
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    poll_interval: Option<u64>,

    /// Never look; `POST /reload` of the control interface still does
    #[arg(long, requires = "document", conflicts_with = "poll_interval")]
    no_reload_conf: bool,
}

/// An agent's configuration, read once or again and again.
#[derive(Debug)]
pub(super) struct Document {
    agent: String,
    place: Place,
    lenient: bool,
    /// The text that was read last, good or bad.
    seen: Option<String>,
}

#[derive(Debug)]
enum Place {
    File(PathBuf),
    Http(Box<HttpDocument>),
}

/// Why there is no configuration.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DocumentError {
    /// It could not be got.
    Unreadable(String),
    /// It makes no sense.
    Wrong(ConfigError),
}

/// As in Flume.
const POLL_INTERVAL_FILE: Duration = Duration::from_secs(30);
const POLL_INTERVAL_HTTP: Duration = Duration::from_secs(300);

impl DocumentArgs {
    /// Whether the agent is made from a document at all.
    pub(super) fn are_given(&self) -> bool {
        self.name.is_some()
    }

    /// `None`: the agent is not made from a document.
    pub(super) fn document(&self) -> Option<Document> {
        let origin = match (&self.config, &self.conf_uri) {
            (Some(path), _) => Origin::File(path.clone()),
            (None, uri) => uri.clone()?,
        };
        let place = match origin {
            Origin::File(path) => Place::File(path),
            Origin::Http(url) => {
                let document = HttpDocument::new(url, self.credentials());
                Place::Http(Box::new(document))
            }
        };
        Some(Document {
            agent: self.name.clone()?,
            place,
            lenient: self.lenient,
            seen: None,
        })
    }

    /// `None`: never by itself.
    pub(super) fn poll_interval(&self) -> Option<Duration> {
        let default = match &self.conf_uri {
            Some(Origin::Http(_)) => POLL_INTERVAL_HTTP,
            _ => POLL_INTERVAL_FILE,
        };
        let interval = self.poll_interval.map_or(default, Duration::from_secs);
        (!self.no_reload_conf).then_some(interval)
    }

    fn credentials(&self) -> Option<Credentials> {
        Some(Credentials {
            user: self.conf_user.clone()?,
            password: self.conf_password.clone().unwrap_or_default(),
        })
    }
}

impl Document {
    /// Reads the document and says on stderr what is worth knowing about it. `None`: it is the
    /// one that was read last.
    pub(super) fn read_if_changed(&mut self) -> Result<Option<AgentConfig>, DocumentError> {
        let text = match &mut self.place {
            Place::File(path) => read(path).map(Some).map_err(|error| {
                format!(
                    "cannot read {}: {}",
                    crate::text::path(path),
                    reason(&error)
                )
            }),
            Place::Http(document) => document.fetch().map(|fetched| match fetched {
                Fetched::Unchanged => None,
                Fetched::Bytes(bytes) => Some(text(bytes)),
            }),
        };
        let text = text.map_err(DocumentError::Unreadable)?;
        let Some(text) = text.filter(|text| self.seen.as_ref() != Some(text)) else {
            return Ok(None);
        };
        let loaded = self.parse(&text);
        self.seen = Some(text);
        loaded.map(Some)
    }

    /// The same, whatever was read last.
    pub(super) fn read(&mut self) -> Result<AgentConfig, DocumentError> {
        self.seen = None;
        if let Place::Http(document) = &mut self.place {
            document.forget();
        }
        let read = self.read_if_changed()?;
        read.ok_or_else(|| {
            let error = format!("{} is said to be unchanged before it was read", self.name());
            DocumentError::Unreadable(error)
        })
    }

    /// As in messages.
    pub(super) fn name(&self) -> String {
        match &self.place {
            Place::File(path) => crate::text::path(path),
            Place::Http(document) => document.name(),
        }
    }

    fn parse(&self, text: &str) -> Result<AgentConfig, DocumentError> {
        let reader = AgentConfig::reader(self.agent.as_str())
            .file(self.name())
            .env(|name| std::env::var(name).ok());
        let reader = if self.lenient {
            reader.lenient()
        } else {
            reader
        };
        let loaded = reader.read(text).map_err(DocumentError::Wrong)?;
        tell(&loaded);
        Ok(loaded.config)
    }
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => f.write_str(error),
            Self::Wrong(error) => write!(f, "{error}"),
        }
    }
}

/// What is longer is cut, and so still too long for the configuration, which says so.
fn read(path: &PathBuf) -> io::Result<String> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(BYTES_MAX as u64).read_to_end(&mut bytes)?;
    Ok(text(bytes))
}

/// Flume reads ISO-8859-1; the reader points at characters for which that makes a difference.
fn text(bytes: impl Into<Vec<u8>>) -> String {
    let latin = |error: std::string::FromUtf8Error| {
        let bytes = error.into_bytes();
        bytes.into_iter().map(char::from).collect()
    };
    String::from_utf8(bytes.into()).unwrap_or_else(latin)
}

fn tell(loaded: &Loaded) {
    for dropped in &loaded.dropped {
        output::note(dropped);
    }
    for problem in &loaded.notes {
        output::note(problem);
    }
}
