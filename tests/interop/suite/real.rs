//! Real Apache Flume as the agent under test.

use std::net::SocketAddr;

use flume_tests::{Clashes, RealFlume, Reload, Version, wait_until};
use serde_json::Value;

use super::agent::{AgentFactory, AgentUnderTest, START_ATTEMPTS, TIMEOUT};
use super::kind::Kind;
use super::setup::Setup;

pub(crate) struct RealFactory(pub(crate) Version);

struct RealAgent {
    flume: RealFlume,
    setup: Setup,
}

impl AgentFactory for RealFactory {
    fn kind(&self) -> Kind {
        Kind::Flume(self.0)
    }

    fn try_start(&self, template: &str) -> Result<Box<dyn AgentUnderTest>, String> {
        self.launch(template, Reload::Never)
    }

    fn start_lenient(&self, template: &str) -> Box<dyn AgentUnderTest> {
        self.try_start(template).unwrap()
    }

    fn start_reloading(&self, template: &str) -> Box<dyn AgentUnderTest> {
        self.launch(template, Reload::OnChange).unwrap()
    }
}

impl RealFactory {
    fn launch(&self, template: &str, reload: Reload) -> Result<Box<dyn AgentUnderTest>, String> {
        for _ in 0..START_ATTEMPTS {
            let setup = Setup::new(template, self.kind());
            let clashes = if setup.has_doubtful_source() {
                Clashes::Wanted
            } else {
                Clashes::Unwanted
            };
            let flume = RealFlume::from_properties(
                self.0,
                &setup.properties,
                setup.sources(),
                (clashes, reload),
            )
            .map_err(|error| error.to_string())?;
            if let Some(flume) = flume {
                return Ok(Box::new(RealAgent { flume, setup }));
            }
        }
        Err("somebody else took the ports".to_owned())
    }
}

impl AgentUnderTest for RealAgent {
    fn kind(&self) -> Kind {
        Kind::Flume(self.flume.version())
    }

    fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Waits for them: a reload starts their server anew.
    fn metrics(&self) -> Value {
        let mut read = Err(String::new());
        let waited = wait_until("the metrics", TIMEOUT, || {
            read = self.flume.metrics().map_err(|error| error.to_string());
            read.is_ok()
        });
        drop(waited);
        read.unwrap().json().clone()
    }

    fn monitoring(&self) -> SocketAddr {
        self.flume.monitoring_addr()
    }

    fn pid(&self) -> u32 {
        self.flume.pid()
    }

    fn log(&self) -> String {
        self.flume.log()
    }

    fn stop(&mut self) {
        self.flume.stop().unwrap();
    }

    fn kill(&mut self) {
        self.flume.kill();
    }

    fn reload(&mut self, template: &str) {
        self.flume.rewrite(&self.setup.filled(template)).unwrap();
    }

    fn restart(&mut self) {
        self.flume.restart().unwrap();
    }
}
