//! The mini-agent's library as the agent under test, given the same properties. A stopgap until the
//! program reads property files; then this file goes.

use flume_mini_agent::MiniAgent;
use flume_mini_agent::config::AgentConfig;
use serde_json::Value;

use super::setup::Setup;
use super::{AgentFactory, AgentUnderTest, Kind};

pub(super) struct LibraryFactory;

struct LibraryAgent {
    setup: Setup,
    lenient: bool,
    agent: Option<MiniAgent>,
}

impl AgentFactory for LibraryFactory {
    fn kind(&self) -> Kind {
        Kind::Mini
    }

    fn try_start(&self, template: &str) -> Result<Box<dyn AgentUnderTest>, String> {
        LibraryAgent::start(template, false)
    }

    fn start_lenient(&self, template: &str) -> Box<dyn AgentUnderTest> {
        LibraryAgent::start(template, true).unwrap()
    }
}

impl LibraryAgent {
    fn start(template: &str, lenient: bool) -> Result<Box<dyn AgentUnderTest>, String> {
        let setup = Setup::new(template);
        let mut agent = Self {
            setup,
            lenient,
            agent: None,
        };
        agent.launch()?;
        Ok(Box::new(agent))
    }

    fn launch(&mut self) -> Result<(), String> {
        let reader = AgentConfig::reader("a1");
        let reader = if self.lenient {
            reader.lenient()
        } else {
            reader
        };
        let loaded = reader.read(&self.setup.properties);
        let config = loaded.map_err(|error| error.to_string())?.config;
        let agent = MiniAgent::configured(config).start();
        self.agent = Some(agent.map_err(|error| error.to_string())?);
        Ok(())
    }
}

impl AgentUnderTest for LibraryAgent {
    fn kind(&self) -> Kind {
        Kind::Mini
    }

    fn setup(&self) -> &Setup {
        &self.setup
    }

    fn metrics(&self) -> Value {
        serde_json::from_str(&self.agent.as_ref().unwrap().metrics_json()).unwrap()
    }

    fn log(&self) -> String {
        String::new()
    }

    fn stop(&mut self) {
        self.agent = None;
    }

    fn kill(&mut self) {
        self.agent = None;
    }

    fn restart(&mut self) {
        self.agent = None;
        self.launch().unwrap();
    }
}
