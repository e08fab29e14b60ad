//! The mini-agent's library as the agent under test: one avro source, one memory channel, at most
//! one sink. A stopgap until the program reads property files; then this file goes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use flume_mini_agent::{MiniAgent, Sink};
use serde_json::{Value, json};

use super::setup::Setup;
use super::{AgentFactory, AgentUnderTest, Kind};

pub(super) struct LibraryFactory;

struct LibraryAgent {
    setup: Setup,
    /// The properties, without `a1.sources.NAME.` and the like: `capacity`, `sink.directory`.
    settings: BTreeMap<String, String>,
    agent: Option<MiniAgent>,
}

impl AgentFactory for LibraryFactory {
    fn kind(&self) -> Kind {
        Kind::Mini
    }

    fn try_start(&self, template: &str) -> Result<Box<dyn AgentUnderTest>, String> {
        let setup = Setup::new(template);
        let lines = setup
            .properties
            .lines()
            .filter_map(|line| line.split_once('='));
        let settings = lines
            .filter_map(|(key, value)| {
                // "a1.channels.m1.capacity": what follows the component's name.
                let setting = key.trim().splitn(4, '.').nth(3)?;
                Some((setting.to_owned(), value.trim().to_owned()))
            })
            .collect();
        let mut agent = LibraryAgent {
            setup,
            settings,
            agent: None,
        };
        agent.launch()?;
        Ok(Box::new(agent))
    }

    fn start_lenient(&self, template: &str) -> Box<dyn AgentUnderTest> {
        panic!("the library reads no properties:\n{template}");
    }
}

impl LibraryAgent {
    fn launch(&mut self) -> Result<(), String> {
        let number = |name: &str, default| {
            let value = self.settings.get(name);
            value.map_or(default, |value| value.parse::<usize>().unwrap())
        };
        let builder = MiniAgent::builder()
            .bind(format!("127.0.0.1:{}", self.settings["port"]))
            .capacity(number("capacity", 100))
            .transaction_capacity(number("transactionCapacity", 100))
            .keep_alive(Duration::from_secs(number("keep-alive", 3) as u64));
        let builder = match self.settings.get("sink.directory") {
            Some(directory) => builder.sink(Sink::FileRoll {
                directory: PathBuf::from(directory),
            }),
            None => builder.sink(Sink::Null).sink_paused(true),
        };
        let agent = builder.start().map_err(|error| error.to_string())?;
        self.agent = Some(agent);
        Ok(())
    }
}

impl AgentUnderTest for LibraryAgent {
    fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The channel's size is all that the library and Flume count alike.
    fn metrics(&self) -> Value {
        let size = self.agent.as_ref().unwrap().stats().channel_size;
        let channels = self.setup.properties.lines().filter_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == "a1.channels").then_some(value.trim())
        });
        let counters = json!({ "ChannelSize": size.to_string() });
        channels
            .map(|name| (format!("CHANNEL.{name}"), counters.clone()))
            .collect()
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
