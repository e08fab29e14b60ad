//! [`EnvConfig`]: a program's settings from its environment.

use std::env::{self, VarError};
use std::fmt;
use std::path::PathBuf;

use flume_appender::{BuildError, Builder, Filter, Guard};
use flume_client::{AgentUrl, AgentUrlError, Reliability};
use tracing_core::Dispatch;
use tracing_core::dispatcher::{self, SetGlobalDefaultError};
use tracing_subscriber::layer::SubscriberExt;

use crate::layer::{FlumeLayer, LayerBuilder};

const AGENTS: &str = "FLUME_AGENTS";
const SPOOL: &str = "FLUME_SPOOL";
const RELIABILITY: &str = "FLUME_RELIABILITY";
const LOG: &str = "FLUME_LOG";

/// Sets up everything from the environment and makes it what the program's `tracing` calls go to.
///
/// | variable | holds | default |
/// |---|---|---|
/// | `FLUME_AGENTS` | agents, with commas between them: `avro://a:4141,avro://b:4141`. `avro://` may be left out | none, one is needed |
/// | `FLUME_SPOOL` | the directory that keeps events until agents acknowledge them | none: they are kept in memory |
/// | `FLUME_RELIABILITY` | `end-to-end` or `store-on-failure`, which need a spool, `in-memory` or `best-effort` | `end-to-end` with a spool, else `in-memory` |
/// | `FLUME_LOG` | which records are taken, as in `info,hyper=warn` | all |
///
/// A variable that is empty counts as one that is not there.
///
/// ```no_run
/// let _guard = flume_tracing::init_from_env()?;
/// # Ok::<(), flume_tracing::InitError>(())
/// ```
///
/// # Errors
///
/// If a variable cannot be read, if the client cannot be set up from them, or if the program's calls
/// go elsewhere already.
pub fn init_from_env() -> Result<Guard, InitError> {
    effective_config()?.init()
}

/// What [`init_from_env`] would use, to be printed or changed.
///
/// ```no_run
/// let config = flume_tracing::effective_config()?.spool("/var/spool/orders");
/// println!("{config}");
/// let _guard = config.init()?;
/// # Ok::<(), flume_tracing::InitError>(())
/// ```
///
/// # Errors
///
/// If a variable cannot be read.
pub fn effective_config() -> Result<EnvConfig, InitError> {
    EnvConfig::read(|name| match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(InitError::NotUnicode { name }),
    })
}

/// Settings from the environment. What code says holds before what the environment says, and that
/// before a default. Printed, it says for each one where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvConfig {
    agents: Setting<Vec<String>>,
    spool: Setting<Option<PathBuf>>,
    reliability: Setting<Option<Reliability>>,
    filter: Setting<Option<Filter>>,
}

/// Nothing can be set up from the environment.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// A variable is no UTF-8.
    #[error("the variable {name} is no UTF-8")]
    NotUnicode {
        /// Its name.
        name: &'static str,
    },
    /// There is no agent.
    #[error("no agent is named; set {AGENTS}, as in \"avro://a:4141,avro://b:4141\"")]
    NoAgent,
    /// The filter cannot be read.
    #[error("{LOG} cannot be read: {0}")]
    Filter(#[source] flume_appender::FilterError),
    /// No such reliability.
    #[error(
        "{RELIABILITY} is {value:?}; it may be \"end-to-end\", \"store-on-failure\", \
         \"in-memory\" or \"best-effort\""
    )]
    Reliability {
        /// What it is.
        value: String,
    },
    /// An agent's address cannot be read.
    #[error("{AGENTS} cannot be read: {0}")]
    Agent(#[source] AgentUrlError),
    /// The appender could not be set up.
    #[error("{source}; the settings: {settings}")]
    Build {
        /// All settings, and where each one comes from.
        settings: String,
        /// What is wrong with them.
        source: BuildError,
    },
    /// The program's calls go elsewhere already.
    #[error(
        "another subscriber of `tracing` is installed; add `flume_tracing::layer()` to it instead"
    )]
    Taken(#[source] SetGlobalDefaultError),
}

impl fmt::Debug for InitError {
    /// The message: it is what a `main` that returns the error prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A setting, and who made it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting<T> {
    value: T,
    from: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Code,
    Variable(&'static str),
    Default,
}

impl EnvConfig {
    /// Reads it from variables: tests have none of their own.
    fn read(
        variable: impl Fn(&'static str) -> Result<Option<String>, InitError>,
    ) -> Result<Self, InitError> {
        let get = |name| {
            let value = variable(name)?.filter(|value| !value.trim().is_empty());
            Ok::<_, InitError>(value)
        };
        let parsed = |text: String| text.parse().map_err(InitError::Filter);
        let spool = get(SPOOL)?.map(PathBuf::from);
        let reliability = get(RELIABILITY)?.map(read_reliability).transpose()?;
        let filter = get(LOG)?.map(parsed).transpose()?;
        Ok(Self {
            agents: match get(AGENTS)? {
                Some(agents) => Setting::of(AGENTS, read_agents(&agents)?),
                None => Setting::default_of(Vec::new()),
            },
            spool: Setting::of_optional(SPOOL, spool),
            reliability: Setting::of_optional(RELIABILITY, reliability),
            filter: Setting::of_optional(LOG, filter),
        })
    }

    /// Agents, as `avro://HOST:PORT`, instead of those of the environment.
    #[must_use]
    pub fn agents(mut self, urls: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.agents = Setting::of_code(urls.into_iter().map(Into::into).collect());
        self
    }

    /// The spool's directory, instead of that of the environment.
    #[must_use]
    pub fn spool(mut self, directory: impl Into<PathBuf>) -> Self {
        self.spool = Setting::of_code(Some(directory.into()));
        self
    }

    /// How hard the client tries, instead of what the environment says.
    #[must_use]
    pub fn reliability(mut self, reliability: Reliability) -> Self {
        self.reliability = Setting::of_code(Some(reliability));
        self
    }

    /// Which records are taken, instead of those that the environment says.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = Setting::of_code(Some(filter));
        self
    }

    /// A builder with these settings, for others and for a subscriber of your own.
    pub fn builder(&self) -> Builder<FlumeLayer> {
        let mut builder = crate::layer().agents(self.agents.value.iter().cloned());
        if let Some(directory) = &self.spool.value {
            builder = builder.spool(directory);
        }
        let reliability = self.reliability.value.or(self.default_reliability());
        if let Some(reliability) = reliability {
            builder = builder.client(|client| client.reliability(reliability));
        }
        if let Some(filter) = &self.filter.value {
            builder = builder.filter(&filter.to_string());
        }
        builder
    }

    /// Makes it what the program's `tracing` calls go to.
    ///
    /// # Errors
    ///
    /// If it cannot be set up, or if the calls go elsewhere already.
    pub fn init(&self) -> Result<Guard, InitError> {
        if self.agents.value.is_empty() {
            return Err(InitError::NoAgent);
        }
        let built = self.builder().alone(true).build();
        let (layer, guard) = built.map_err(|source| InitError::Build {
            settings: self.to_string().replace('\n', ", "),
            source,
        })?;
        let registry = tracing_subscriber::registry().with(layer);
        dispatcher::set_global_default(Dispatch::new(registry)).map_err(InitError::Taken)?;
        Ok(guard)
    }

    /// None: what the client itself does without a spool.
    fn default_reliability(&self) -> Option<Reliability> {
        self.spool.value.as_ref().map(|_| Reliability::EndToEnd)
    }
}

impl fmt::Display for EnvConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let agents = self.agents.value.iter().map(|agent| without_secrets(agent));
        let agents = Some(agents.collect::<Vec<_>>().join(",")).filter(|it| !it.is_empty());
        let spool = self.spool.value.as_ref();
        let reliability = self.reliability.value.or(self.default_reliability());
        let rows = [
            ("agents", agents, "none", self.agents.from),
            (
                "spool",
                spool.map(|it| it.display().to_string()),
                "none",
                self.spool.from,
            ),
            (
                "reliability",
                reliability.map(|it| name_of(it).to_owned()),
                "in-memory",
                self.reliability.from,
            ),
            (
                "filter",
                self.filter.value.as_ref().map(ToString::to_string),
                "trace",
                self.filter.from,
            ),
        ];
        for (index, (name, value, default, from)) in rows.into_iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            let value = value.as_deref().unwrap_or(default);
            write!(f, "{end}{name} = {value} ({from})")?;
        }
        Ok(())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Code => "code",
            Self::Variable(name) => name,
            Self::Default => "default",
        })
    }
}

impl<T> Setting<T> {
    fn of(variable: &'static str, value: T) -> Self {
        let from = Origin::Variable(variable);
        Self { value, from }
    }

    fn of_code(value: T) -> Self {
        let from = Origin::Code;
        Self { value, from }
    }

    fn default_of(value: T) -> Self {
        let from = Origin::Default;
        Self { value, from }
    }
}

impl<T> Setting<Option<T>> {
    fn of_optional(variable: &'static str, value: Option<T>) -> Self {
        match value {
            Some(value) => Self::of(variable, Some(value)),
            None => Self::default_of(None),
        }
    }
}

fn read_agents(text: &str) -> Result<Vec<String>, InitError> {
    let agents = text.split(',').map(str::trim).filter(|it| !it.is_empty());
    let read = |agent: &str| {
        let agent = match agent.contains("://") {
            true => without_secrets(agent),
            false => without_secrets(&format!("avro://{agent}")),
        };
        let url: Result<AgentUrl, _> = agent.parse();
        url.map(|_| agent).map_err(InitError::Agent)
    };
    agents.map(read).collect()
}

/// No address of an agent has a name and a password in it, but others have: they are not repeated.
fn without_secrets(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            let (scheme, host) = (url.get(..scheme), url.get(at..));
            format!(
                "{}://***{}",
                scheme.unwrap_or_default(),
                host.unwrap_or_default()
            )
        }
        _ => url.to_owned(),
    }
}

/// The names that Flume's first generation gave them are known as well.
fn read_reliability(text: String) -> Result<Reliability, InitError> {
    match text.trim().to_ascii_lowercase().as_str() {
        "end-to-end" | "e2e" => Ok(Reliability::EndToEnd),
        "store-on-failure" | "dfo" => Ok(Reliability::StoreOnFailure),
        "in-memory" => Ok(Reliability::InMemory),
        "best-effort" | "be" => Ok(Reliability::BestEffort),
        _ => Err(InitError::Reliability { value: text }),
    }
}

fn name_of(reliability: Reliability) -> &'static str {
    match reliability {
        Reliability::EndToEnd => "end-to-end",
        Reliability::StoreOnFailure => "store-on-failure",
        Reliability::BestEffort => "best-effort",
        _ => "in-memory",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<EnvConfig, InitError> {
        EnvConfig::read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            Ok(found.map(|(_, value)| (*value).to_owned()))
        })
    }

    #[test]
    fn code_holds_before_the_environment_and_that_before_a_default() {
        let config = read(&[
            (AGENTS, "a:4141, avro://b:4141,"),
            (SPOOL, "/var/spool/one"),
            (LOG, "info,hyper=warn"),
        ]);
        let config = config.unwrap();
        let expected = "agents = avro://a:4141,avro://b:4141 (FLUME_AGENTS)\n\
                        spool = /var/spool/one (FLUME_SPOOL)\n\
                        reliability = end-to-end (default)\n\
                        filter = info,hyper=warn (FLUME_LOG)";
        assert_eq!(config.to_string(), expected);
        let config = config
            .agents(["avro://c:1"])
            .spool("/two")
            .reliability(Reliability::BestEffort)
            .filter("warn".parse().unwrap());
        let expected = "agents = avro://c:1 (code)\nspool = /two (code)\n\
                        reliability = best-effort (code)\nfilter = warn (code)";
        assert_eq!(config.to_string(), expected);
    }

    #[test]
    fn without_variables_all_is_default_and_an_agent_is_missing() {
        let config = read(&[(SPOOL, " "), (AGENTS, "")]).unwrap();
        let expected = "agents = none (default)\nspool = none (default)\n\
                        reliability = in-memory (default)\nfilter = trace (default)";
        assert_eq!(config.to_string(), expected);
        assert!(matches!(config.init(), Err(InitError::NoAgent)));
    }

    #[test]
    fn a_variable_that_cannot_be_read_is_named_with_its_value() {
        let check = |name: &str, value: &str| {
            let text = read(&[(name, value)]).unwrap_err().to_string();
            assert!(text.contains(name) && text.contains(value), "{text}");
        };
        check(RELIABILITY, "always");
        check(LOG, "hyper=loud");
        check(AGENTS, "ftp://a:4141");
    }

    #[test]
    fn a_password_is_not_repeated() {
        let text = read(&[(AGENTS, "avro://me:open@sesame@a:4141")]).unwrap_err();
        let text = text.to_string();
        assert!(
            text.contains("avro://***@a:4141") && !text.contains("open"),
            "{text}"
        );
        let config = read(&[]).unwrap().agents(["avro://me:open@a:4141"]);
        let text = config.to_string();
        assert!(text.contains("agents = avro://***@a:4141 (code)"), "{text}");
    }
}
