//! Our mini-agent as the agent under test: the program `flume agent`, given the same properties.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use flume_tests::{Metrics, flume_command, free_ports, terminate, wait_until};
use serde_json::Value;
use tempfile::TempDir;

use super::agent::{AgentFactory, AgentUnderTest, START_ATTEMPTS, TIMEOUT};
use super::http::request;
use super::kind::Kind;
use super::setup::Setup;

/// What the agent says of a port that somebody else has.
const BIND_CLASH: &str = "Address already in use";

pub(crate) struct MiniFactory;

struct MiniAgent {
    setup: Setup,
    dir: TempDir,
    control: SocketAddr,
    lenient: bool,
    process: Child,
}

impl AgentFactory for MiniFactory {
    fn kind(&self) -> Kind {
        Kind::Mini
    }

    fn try_start(&self, template: &str) -> Result<Box<dyn AgentUnderTest>, String> {
        MiniAgent::start(template, false)
    }

    fn start_reloading(&self, template: &str) -> Box<dyn AgentUnderTest> {
        self.start(template)
    }

    fn start_lenient(&self, template: &str) -> Box<dyn AgentUnderTest> {
        MiniAgent::start(template, true).unwrap()
    }
}

impl MiniAgent {
    fn start(template: &str, lenient: bool) -> Result<Box<dyn AgentUnderTest>, String> {
        let mut refused = String::new();
        for _ in 0..START_ATTEMPTS {
            let mut agent = Self::spawn(Setup::new(template, Kind::Mini), lenient);
            match agent.wait_until_ready() {
                Ok(()) => return Ok(Box::new(agent)),
                Err(error) => refused = error,
            }
            let lost_a_port = refused.contains(BIND_CLASH) && !agent.setup.has_doubtful_source();
            if !lost_a_port {
                break;
            }
        }
        Err(refused)
    }

    fn spawn(setup: Setup, lenient: bool) -> Self {
        let dir = TempDir::with_prefix("flume-mini-").unwrap();
        let control = (Ipv4Addr::LOCALHOST, free_ports(1).unwrap()[0]).into();
        fs::write(dir.path().join("flume.properties"), &setup.properties).unwrap();
        let process = spawn(&dir, control, lenient);
        Self {
            setup,
            dir,
            control,
            lenient,
            process,
        }
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let mut ended = None;
        let waited = wait_until("the ready file", TIMEOUT, || {
            ended = self.process.try_wait().unwrap();
            ended.is_some() || self.ready_file().exists()
        });
        match (waited, ended) {
            (Ok(()), None) => Ok(()),
            (waited, ended) => Err(format!("{waited:?}, {ended:?}\n{}", self.log())),
        }
    }

    fn ready_file(&self) -> PathBuf {
        self.dir.path().join("ready")
    }
}

impl AgentUnderTest for MiniAgent {
    fn kind(&self) -> Kind {
        Kind::Mini
    }

    fn setup(&self) -> &Setup {
        &self.setup
    }

    fn metrics(&self) -> Value {
        Metrics::read(self.control).unwrap().json().clone()
    }

    fn monitoring(&self) -> SocketAddr {
        self.control
    }

    fn pid(&self) -> u32 {
        self.process.id()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    fn stop(&mut self) {
        terminate(&mut self.process).unwrap();
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn reload(&mut self, template: &str) {
        let properties = self.setup.filled(template);
        fs::write(self.dir.path().join("flume.properties"), properties).unwrap();
        let reloaded = request(self.control, "POST", "/reload", None, "");
        assert_eq!(
            reloaded.status,
            200,
            "{}",
            String::from_utf8_lossy(&reloaded.body)
        );
    }

    fn restart(&mut self) {
        self.kill();
        // A killed agent leaves its ready file.
        drop(fs::remove_file(self.ready_file()));
        self.process = spawn(&self.dir, self.control, self.lenient);
        self.wait_until_ready().unwrap();
    }
}

impl Drop for MiniAgent {
    fn drop(&mut self) {
        // Errors mean that it is gone already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn spawn(dir: &TempDir, control: SocketAddr, lenient: bool) -> Child {
    let log = File::create(dir.path().join("log")).unwrap();
    let mut command = flume_command().unwrap();
    command.args(["agent", "--name", "a1", "--config"]);
    command.arg(dir.path().join("flume.properties"));
    command.arg("--ready-file").arg(dir.path().join("ready"));
    command.args(["--control", &control.to_string()]);
    command.args(lenient.then_some("--lenient"));
    command.stdin(Stdio::null());
    command.stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().unwrap()
}
