//! [`MiniAgentProcess`]: an agent in a process of its own, which can really be killed.
//!
//! | file | holds |
//! |---|---|
//! | here | the handle |
//! | `builder` | which agent, and which program |
//! | `child` | the process and what it prints |
//! | `host` | the agent inside of a test binary that was started again |
//! | `error` | what goes wrong |

pub(crate) mod builder;
mod child;
pub(crate) mod error;
mod host;

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use flume_client::{Client, ClientBuilder};

use crate::agent::port::Port;
use builder::MiniAgentProcessBuilder;
use child::AgentChild;
use error::ProcessError;

/// A Flume agent in a process of its own: what `kill -9` does to it is what it does in production.
///
/// The other process is one of three programs:
///
/// | | |
/// |---|---|
/// | [`program`](MiniAgentProcessBuilder::program) | this one, which has to be the command `flume` |
/// | [`test`](MiniAgentProcessBuilder::test) | this test binary, started again for one test in which [`MiniAgentProcess::host`] is called |
/// | neither | the path in the environment variable `FLUME_PROGRAM`, or `flume` |
///
/// The second needs no other program, so it is the one for most tests:
///
/// ```no_run
/// use std::time::Duration;
///
/// use flume_client::Event;
/// use flume_mini_agent::MiniAgentProcess;
///
/// // #[test]
/// fn mini_agent() {
///     MiniAgentProcess::host(); // does nothing unless started by the test below
/// }
///
/// // #[test]
/// fn what_was_acknowledged_survives_a_kill() -> Result<(), Box<dyn std::error::Error>> {
///     let properties = "
///         a1.sources = r1
///         a1.channels = c1
///         a1.sources.r1.type = avro
///         a1.sources.r1.bind = 127.0.0.1
///         a1.sources.r1.port = 0
///         a1.sources.r1.channels = c1
///         a1.channels.c1.type = file
///         a1.channels.c1.dataDirs = target/my-test/data
///         a1.channels.c1.checkpointDir = target/my-test/data
///     ";
///     let mut agent = MiniAgentProcess::builder("a1", properties).test("mini_agent").start()?;
///     let client = agent.client().build()?;
///     client.append(Event::new("hi"))?.wait(Duration::from_secs(5))?;
///     agent.kill();
///     agent.start_again()?; // at the same port, with the event in its channel
///     Ok(())
/// }
/// ```
///
/// It is killed when it is dropped.
pub struct MiniAgentProcess {
    launch: Launch,
    sources: Vec<Source>,
    child: Option<AgentChild>,
}

/// How the process is started, the first time and again.
#[derive(Debug)]
struct Launch {
    agent: String,
    program: Program,
    directory: Directory,
    ready_timeout: Duration,
}

#[derive(Clone, Debug)]
enum Program {
    Command(PathBuf),
    /// This binary, and the name of the test.
    Test(String),
}

#[derive(Debug)]
struct Source {
    name: String,
    url: String,
    /// Claimed for as long as the handle lives.
    port: Port,
}

/// A directory of its own for the properties, removed when dropped.
#[derive(Debug)]
struct Directory(PathBuf);

/// How long [`MiniAgentProcess::terminate`] waits: longer than the agent drains its channels.
const TERMINATE_TIMEOUT: Duration = Duration::from_secs(30);

impl MiniAgentProcess {
    /// An agent of this name, as the text of a property file describes it. Sources with port 0
    /// are given free ports, which they keep over all starts.
    pub fn builder(
        agent: impl Into<String>,
        properties: impl Into<String>,
    ) -> MiniAgentProcessBuilder {
        MiniAgentProcessBuilder::new(agent.into(), properties.into())
    }

    /// Is the agent if this process was started to be one, and then never returns. Otherwise it
    /// does nothing. To be called in the test that [`test`](MiniAgentProcessBuilder::test) names.
    pub fn host() {
        host::host();
    }

    /// The address of the first source; `0.0.0.0:0` if there is none.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        let first = self.sources.first();
        first.map_or(SocketAddr::from(([0, 0, 0, 0], 0)), |source| {
            source.port.address()
        })
    }

    /// The address of the source of this name.
    #[must_use]
    pub fn addr_of(&self, source: &str) -> Option<SocketAddr> {
        let mut sources = self.sources.iter();
        let found = sources.find(|candidate| candidate.name == source);
        found.map(|source| source.port.address())
    }

    /// The first source's address as clients take it, such as `avro://127.0.0.1:4141`.
    #[must_use]
    pub fn url(&self) -> String {
        let first = self.sources.first();
        first.map_or_else(|| format!("avro://{}", self.addr()), |it| it.url.clone())
    }

    /// Settings of a client of this agent.
    pub fn client(&self) -> ClientBuilder {
        Client::builder().agent(self.url())
    }

    /// The number of the process, while there is one.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(AgentChild::id)
    }

    /// What the process has written to standard error since its last start: the end of it.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.child
            .as_ref()
            .map(AgentChild::stderr)
            .unwrap_or_default()
    }

    /// `kill -9`: the process has no time for anything. It is gone when this returns.
    pub fn kill(&mut self) {
        // Dropped, it is killed and waited for.
        self.child = None;
    }

    /// Asks the process to end in good order and waits up to 30 s for that. The command is sent
    /// SIGTERM, elsewhere than on Unix it is killed.
    ///
    /// # Errors
    ///
    /// If it does not end in time; it is killed then.
    pub fn terminate(&mut self) -> Result<ExitStatus, ProcessError> {
        let child = self.child.take().ok_or(ProcessError::NotRunning)?;
        child.terminate(TERMINATE_TIMEOUT)
    }

    /// Starts the process again after [`kill`](Self::kill) or [`terminate`](Self::terminate), at
    /// the same ports. When this returns, clients can connect.
    ///
    /// # Errors
    ///
    /// If it runs already, or is not ready in time.
    pub fn start_again(&mut self) -> Result<(), ProcessError> {
        if self.child.as_mut().is_some_and(AgentChild::is_running) {
            return Err(ProcessError::Running);
        }
        self.child = None;
        self.child = Some(AgentChild::start(&self.launch)?);
        Ok(())
    }
}

impl fmt::Debug for MiniAgentProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MiniAgentProcess")
            .field("url", &self.url())
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

impl Directory {
    /// A new one, which only this user can look into.
    fn create() -> std::io::Result<Self> {
        let name = format!("flume-mini-agent-{:016x}", fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut fs::DirBuilder::new(), 0o700).create(&path)?;
        // The directory for temporary files is each user's own here.
        #[cfg(not(unix))]
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    fn properties(&self) -> PathBuf {
        self.0.join("flume.properties")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed stays in the directory for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}
