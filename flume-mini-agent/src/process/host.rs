//! The agent inside of a test binary that was started again.

use std::env;
use std::error::Error;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process;
use std::time::Duration;

use super::child::READY;
use crate::agent::MiniAgent;
use crate::config::AgentConfig;

/// Name of the agent, and the file with its properties.
pub(super) const AGENT: &str = "FLUME_MINI_AGENT_PROCESS_AGENT";
pub(super) const PROPERTIES: &str = "FLUME_MINI_AGENT_PROCESS_PROPERTIES";

/// How long sinks may still take events at the end, as with the command.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs the agent until standard input ends, which it does when the starter is gone, too.
pub(super) fn host() {
    let (Ok(agent), Some(properties)) = (env::var(AGENT), env::var_os(PROPERTIES)) else {
        return;
    };
    let code = match serve(&agent, properties.as_ref()) {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            1
        }
    };
    process::exit(code);
}

fn serve(agent: &str, properties: &Path) -> Result<(), Box<dyn Error>> {
    let text = fs::read_to_string(properties)?;
    let reader = AgentConfig::reader(agent).file(properties.to_string_lossy());
    let loaded = reader.env(|name| env::var(name).ok()).read(&text)?;
    let mut agent = MiniAgent::configured(loaded.config).start()?;
    let [ready, nowhere] = READY;
    let urls = agent.urls();
    let mut stdout = io::stdout();
    for (_, url) in &urls {
        writeln!(stdout, "{ready}{url}")?;
    }
    if urls.is_empty() {
        writeln!(stdout, "{nowhere}")?;
    }
    stdout.flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    agent.drain(DRAIN_TIMEOUT);
    Ok(())
}
