//! A real Apache Flume agent in a process of its own, with everything it writes in one temporary
//! directory.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::real_flume_builder::{HEAP_MB, Sink, WAKEFUL_NULL_SINK, rolled_dir};
use crate::{
    Clashes, HarnessError, Metrics, RealFlumeBuilder, Reload, Result, Version, free_ports, java,
    rolled_files, rolled_lines, terminate, wait_until,
};

/// An agent is up after 2 s; a minute allows for a machine under load.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const START_ATTEMPTS: usize = 3;
const LOG_TAIL_LINES: usize = 40;
/// What Flume 1.11, Flume 1.9 and their monitoring log when somebody else has the port.
const BIND_CLASHES: [&str; 3] = [
    "Address already in use",
    "Failed to bind to",
    "Error starting Jetty",
];

/// A running agent `a1` with source `r1`, channel `c1` and sink `k1`; dropping it kills it and
/// removes its files.
///
/// ```no_run
/// use flume_tests::{RealFlume, Version};
///
/// let agent = RealFlume::builder(Version::V1_11).transaction_capacity(1_000).start()?;
/// println!("{} has accepted {:?}", agent.url(),
///     agent.metrics()?.counter("SOURCE.r1", "EventAcceptedCount"));
/// # Ok::<(), flume_tests::HarnessError>(())
/// ```
#[derive(Debug)]
pub struct RealFlume {
    version: Version,
    process: Child,
    launch: Launch,
}

/// What a restart needs again.
#[derive(Debug)]
struct Launch {
    dir: TempDir,
    jars: PathBuf,
    heap_mb: usize,
    jvm_options: Vec<String>,
    /// The sources that must be up: name and port.
    sources: Vec<(String, u16)>,
    monitoring_port: u16,
    clashes: Clashes,
    reload: Reload,
}

impl RealFlume {
    /// Settings of an agent of this version: memory channel, null sink.
    pub fn builder(version: Version) -> RealFlumeBuilder {
        RealFlumeBuilder::new(version)
    }

    /// Starts an agent `a1` that is described by a whole properties file, and waits until
    /// `sources` (name and port of each) are up. `None` when a port was lost: choose others.
    ///
    /// # Errors
    ///
    /// As [`RealFlumeBuilder::start`].
    pub fn from_properties(
        version: Version,
        properties: &str,
        sources: Vec<(String, u16)>,
        (clashes, reload): (Clashes, Reload),
    ) -> Result<Option<Self>> {
        let monitoring_port = free_ports(1)?.remove(0);
        let launch = Launch {
            dir: new_dir()?,
            jars: java::jars(version)?,
            heap_mb: HEAP_MB,
            jvm_options: Vec::new(),
            sources,
            monitoring_port,
            clashes,
            reload,
        };
        launch.write_files(properties)?;
        Self::launch(version, launch)
    }

    /// The release this agent runs.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Where the avro source listens; the first one, of an agent with several.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        let port = self.launch.sources.first().map_or(0, |(_, port)| *port);
        (Ipv4Addr::LOCALHOST, port).into()
    }

    /// The avro source as our client takes it: `avro://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("avro://{}", self.addr())
    }

    /// Reads the counters. They start at zero after a restart.
    ///
    /// # Errors
    ///
    /// When the agent does not answer.
    pub fn metrics(&self) -> Result<Metrics> {
        Metrics::read(self.launch.monitoring_addr())
    }

    /// Waits until the sink has delivered at least `events` since the last (re)start.
    ///
    /// A null sink does not count, so its channel's `EventTakeSuccessCount` stands in.
    ///
    /// # Errors
    ///
    /// When `timeout` is over; says how far the sink got.
    pub fn wait_for_drained(&self, events: u64, timeout: Duration) -> Result<()> {
        let mut drained = None;
        wait_until(&format!("{events} drained events"), timeout, || {
            drained = self.metrics().ok().and_then(|metrics| {
                metrics
                    .counter("SINK.k1", "EventDrainSuccessCount")
                    .or_else(|| metrics.counter("CHANNEL.c1", "EventTakeSuccessCount"))
            });
            drained >= Some(events)
        })
        .map_err(|e| HarnessError::new(format!("{e}, saw {drained:?}\n{}", self.log_tail())))
    }

    /// Kills the agent as `kill -9` does and waits for its end. Killing it again does nothing.
    pub fn kill(&mut self) {
        self.process.kill().expect("our own child can be killed");
        self.process
            .wait()
            .expect("our own child can be waited for");
    }

    /// Asks the agent to stop, as `kill` does, and waits for its end.
    ///
    /// # Errors
    ///
    /// When it does not end in time.
    pub fn stop(&mut self) -> Result<()> {
        terminate(&mut self.process)
    }

    /// Kills the agent if it runs and starts it on the same ports and directories.
    ///
    /// # Errors
    ///
    /// As for the first start.
    pub fn restart(&mut self) -> Result<()> {
        self.kill();
        self.process = self.launch.spawn(self.version)?;
        if self.launch.wait_until_up(&mut self.process)? {
            return Ok(());
        }
        let log = self.log_tail();
        Err(HarnessError::new(format!(
            "somebody else took the killed agent's port\n{log}"
        )))
    }

    /// Gives the agent other properties, which it finds when it looks, see [`Reload`].
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    pub fn rewrite(&self, properties: &str) -> Result<()> {
        self.launch.write_properties(properties)
    }

    /// Every line in the file_roll sink's files; see [`rolled_lines`].
    ///
    /// # Errors
    ///
    /// When the files cannot be read.
    pub fn rolled_lines(&self) -> Result<Vec<Vec<u8>>> {
        rolled_lines(Path::new(&rolled_dir(self.launch.dir.path())))
    }

    /// The file_roll sink's files; see [`rolled_files`].
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn rolled_files(&self) -> Result<Vec<PathBuf>> {
        rolled_files(Path::new(&rolled_dir(self.launch.dir.path())))
    }

    /// Where `/metrics` is.
    #[must_use]
    pub fn monitoring_addr(&self) -> SocketAddr {
        self.launch.monitoring_addr()
    }

    /// The process id of the JVM.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Everything the agent logged since its last (re)start.
    #[must_use]
    pub fn log(&self) -> String {
        self.launch.log()
    }

    /// The last lines the agent logged.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.launch.log_tail()
    }

    fn start(settings: &RealFlumeBuilder) -> Result<Self> {
        let jars = match settings.sink {
            Sink::WakefulNull => {
                let source = format!("{WAKEFUL_NULL_SINK}.java");
                java::compile(settings.version, &source)?.into()
            }
            _ => java::jars(settings.version)?,
        };
        for _ in 0..START_ATTEMPTS {
            if let Some(agent) = Self::try_start(settings, jars.clone())? {
                return Ok(agent);
            }
        }
        Err(HarnessError::new(format!(
            "{START_ATTEMPTS} times somebody else took the port"
        )))
    }

    /// `None` when a port was taken between our look and the agent's bind.
    fn try_start(settings: &RealFlumeBuilder, jars: PathBuf) -> Result<Option<Self>> {
        let mut ports = free_ports(2)?;
        let (port, monitoring_port) = (ports.remove(0), ports.remove(0));
        let launch = Launch {
            dir: new_dir()?,
            jars,
            heap_mb: settings.heap_mb,
            jvm_options: settings.jvm_options.clone(),
            sources: vec![("r1".to_owned(), port)],
            monitoring_port,
            clashes: Clashes::Unwanted,
            reload: Reload::Never,
        };
        launch.write_files(&settings.properties(port, launch.dir.path()))?;
        Self::launch(settings.version, launch)
    }

    fn launch(version: Version, launch: Launch) -> Result<Option<Self>> {
        let process = launch.spawn(version)?;
        // From here on `Drop` ends the process, whatever happens.
        let mut agent = Self {
            version,
            process,
            launch,
        };
        let up = agent.launch.wait_until_up(&mut agent.process)?;
        Ok(up.then_some(agent))
    }
}

impl RealFlumeBuilder {
    /// Starts the agent and waits until it accepts connections and shows its counters.
    ///
    /// # Errors
    ///
    /// When Java or the jars are missing, or the agent is not up within a minute; then the error
    /// ends with the tail of the agent's log.
    pub fn start(self) -> Result<RealFlume> {
        RealFlume::start(&self)
    }
}

impl Drop for RealFlume {
    fn drop(&mut self) {
        // Errors mean that it is gone already. Waiting lets the directory's files come to rest.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Launch {
    fn write_files(&self, properties: &str) -> Result<()> {
        let dir = self.dir.path();
        // The file_roll sink refuses to start without its directory.
        fs::create_dir(rolled_dir(dir))
            .and_then(|()| fs::create_dir(dir.join("tmp")))
            .map_err(|e| HarnessError::doing(format!("writing to {}", dir.display()), e))?;
        self.write_properties(properties)
    }

    /// In one step: a running agent may read at any time.
    fn write_properties(&self, properties: &str) -> Result<()> {
        let path = self.dir.path().join("flume.properties");
        let new = path.with_extension("new");
        fs::write(&new, properties)
            .and_then(|()| fs::rename(&new, &path))
            .map_err(|e| HarnessError::doing(path.display(), e))
    }

    /// The log starts anew, so that an old bind clash is not taken for a new one.
    fn spawn(&self, version: Version) -> Result<Child> {
        let dir = self.dir.path();
        let doing = |e: std::io::Error| HarnessError::doing("starting java", e);
        let log = File::create(dir.join("log")).map_err(doing)?;
        Command::new("java")
            .arg(format!("-Xmx{}m", self.heap_mb))
            .args(&self.jvm_options)
            .arg(format!("-Djava.io.tmpdir={}", dir.join("tmp").display()))
            .args(["-Dflume.monitoring.type=http"])
            .arg(format!("-Dflume.monitoring.port={}", self.monitoring_port))
            .arg("-cp")
            .arg(&self.jars)
            .args(["org.apache.flume.node.Application", "-n", "a1"])
            .args(self.reload.arguments(version))
            .arg("-f")
            .arg(dir.join("flume.properties"))
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(doing)?)
            .stderr(log)
            .spawn()
            .map_err(doing)
    }

    /// Waits until source and monitoring are up; false when one of them lost its port.
    fn wait_until_up(&self, process: &mut Child) -> Result<bool> {
        let mut clash = false;
        let mut ended = None;
        let up = wait_until("the agent to be up", START_TIMEOUT, || {
            ended = process.try_wait().ok().flatten();
            clash = self.port_clash();
            ended.is_some() || clash || self.is_up()
        });
        let failure = match (up, ended) {
            (Err(e), _) => e.to_string(),
            (Ok(()), Some(status)) => format!("the agent ended with {status}"),
            (Ok(()), None) => return Ok(!clash),
        };
        Err(HarnessError::new(format!(
            "{failure}; its log ends with\n{}",
            self.log_tail()
        )))
    }

    /// A source's start time says that this agent's own bind succeeded: the port alone could be
    /// somebody else's.
    fn is_up(&self) -> bool {
        let Ok(metrics) = Metrics::read(self.monitoring_addr()) else {
            return false;
        };
        self.sources.iter().all(|(source, port)| {
            metrics.counter(&format!("SOURCE.{source}"), "StartTime") > Some(0)
                && TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_ok()
        })
    }

    fn port_clash(&self) -> bool {
        if self.clashes == Clashes::Wanted {
            return false;
        }
        let log = self.log();
        BIND_CLASHES.iter().any(|message| log.contains(message))
    }

    fn monitoring_addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.monitoring_port).into()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        let tail = lines.len().saturating_sub(LOG_TAIL_LINES);
        lines.get(tail..).unwrap_or_default().join("\n")
    }

    fn log(&self) -> String {
        let log = fs::read(self.dir.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }
}

fn new_dir() -> Result<TempDir> {
    TempDir::with_prefix("flume-").map_err(|e| HarnessError::doing("temp dir", e))
}
