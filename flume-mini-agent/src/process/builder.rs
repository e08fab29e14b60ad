//! [`MiniAgentProcessBuilder`]: which agent, and which program.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::child::AgentChild;
use super::error::ProcessError;
use super::{Directory, Launch, MiniAgentProcess, Program, Source};
use crate::agent::assembly::Plan;
use crate::agent::port::Port;
use crate::agent::source_part;
use crate::config::{AgentConfig, Properties};

/// Settings of a [`MiniAgentProcess`].
#[derive(Clone, Debug)]
#[must_use]
pub struct MiniAgentProcessBuilder {
    agent: String,
    properties: String,
    program: Option<Program>,
    ready_timeout: Duration,
}

const PROGRAM_VARIABLE: &str = "FLUME_PROGRAM";

impl MiniAgentProcessBuilder {
    pub(super) fn new(agent: String, properties: String) -> Self {
        Self {
            agent,
            properties,
            program: None,
            ready_timeout: Duration::from_secs(30),
        }
    }

    /// The command `flume`, by its path. Default: the one in the environment variable
    /// `FLUME_PROGRAM`, or the first one in `PATH`.
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = Some(Program::Command(path.into()));
        self
    }

    /// This test binary, started again for the test of this name, with its modules as in
    /// `module::name`. That test has to call [`MiniAgentProcess::host`].
    pub fn test(mut self, name: impl Into<String>) -> Self {
        self.program = Some(Program::Test(name.into()));
        self
    }

    /// How long the process may take until clients can connect. Default 30 s.
    pub fn ready_timeout(mut self, timeout: Duration) -> Self {
        self.ready_timeout = timeout;
        self
    }

    /// Starts the process. When this returns, clients can connect.
    ///
    /// # Errors
    ///
    /// If the properties make no sense, a port cannot be had, or the process is not ready in
    /// time: with what it wrote to standard error.
    pub fn start(self) -> Result<MiniAgentProcess, ProcessError> {
        let reader = AgentConfig::reader(self.agent.as_str()).file("the properties");
        let reader = reader.env(|name| env::var(name).ok());
        let config = reader.read(&self.properties)?.config;
        let sources = sources(config)?;
        let ports = sources
            .iter()
            .map(|it| (it.name.as_str(), it.port.address().port()));
        let properties = with_ports(&self.properties, &self.agent, ports);
        let written = |source| ProcessError::Properties { source };
        let directory = Directory::create().map_err(written)?;
        fs::write(directory.properties(), properties).map_err(written)?;
        let launch = Launch {
            agent: self.agent,
            program: self.program.unwrap_or_else(|| {
                let named = env::var_os(PROGRAM_VARIABLE);
                Program::Command(named.unwrap_or_else(|| "flume".into()).into())
            }),
            directory,
            ready_timeout: self.ready_timeout,
        };
        let child = AgentChild::start(&launch)?;
        Ok(MiniAgentProcess {
            launch,
            sources,
            child: Some(child),
        })
    }
}

/// Claims the sources' ports, so that nobody is given them by chance while there is no process.
fn sources(config: AgentConfig) -> Result<Vec<Source>, ProcessError> {
    let plan = Plan::of(config);
    let sources = plan.config.sources.iter();
    let sources = sources.map(|source| {
        let address = plan.address_of(source);
        let bound = Port::claim_free(&address);
        let port = bound.map_err(source_part::bind(&address))?;
        let kind = source_part::type_name(&source.kind);
        Ok(Source {
            name: source.name.clone(),
            url: format!("{kind}://{}", port.address()),
            port,
        })
    });
    sources.collect()
}

/// The text with these ports, each where the old one was.
fn with_ports<'a>(text: &str, agent: &str, ports: impl Iterator<Item = (&'a str, u16)>) -> String {
    let Ok(properties) = Properties::parse(text) else {
        return text.to_owned();
    };
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (source, port) in ports {
        let key = format!("{agent}.sources.{source}.port");
        let mut entries = properties.entries().iter();
        let Some(entry) = entries.find(|entry| entry.key == key) else {
            continue;
        };
        let index = (entry.line as usize).saturating_sub(1);
        if let Some(line) = lines.get_mut(index) {
            *line = format!("{key} = {port}");
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_put_where_they_were() {
        let text =
            "# a\na1.sources = r1 r2\n  a1.sources.r1.port: ${env:X:-0}\n\na1.sources.r2.port=0";
        let ports = [("r1", 17), ("r2", 18)];
        let expected =
            "# a\na1.sources = r1 r2\na1.sources.r1.port = 17\n\na1.sources.r2.port = 18\n";
        assert_eq!(with_ports(text, "a1", ports.into_iter()), expected);
    }
}
