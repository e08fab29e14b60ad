//! [`AgentChild`]: the process, and what it prints.

use std::collections::VecDeque;
use std::env;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::error::ProcessError;
use super::{Launch, Program, host};

/// A process that is killed when dropped.
pub(super) struct AgentChild {
    child: Child,
    /// Of a test binary; closed, it ends.
    stdin: Option<ChildStdin>,
    stdout: Receiver<Printed>,
    stderr: Arc<Mutex<VecDeque<u8>>>,
    /// Disconnected when standard error has ended.
    stderr_end: Receiver<()>,
}

/// What there is to know of standard output.
enum Printed {
    Ready,
    /// The process has ended, or will not print any more.
    End,
}

/// Bytes of standard error that are kept, the last ones.
const STDERR_BYTES_MAX: usize = 16 * 1024;

/// Bytes of one line of standard output that are looked at.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// How long an error waits for the rest of standard error.
const STDERR_TIMEOUT: Duration = Duration::from_secs(1);

/// What the command and [`host`] print when clients can connect.
pub(super) const READY: [&str; 2] = ["listening on ", "running, and listening nowhere"];

impl AgentChild {
    /// Starts the process and waits until clients can connect.
    pub(super) fn start(launch: &Launch) -> Result<Self, ProcessError> {
        let mut started = Self::spawn(launch)?;
        match started.stdout.recv_timeout(launch.ready_timeout) {
            Ok(Printed::Ready) => Ok(started),
            Err(RecvTimeoutError::Timeout) => {
                let stderr = started.stderr();
                Err(ProcessError::NotReady {
                    waited: launch.ready_timeout,
                    stderr,
                })
            }
            Ok(Printed::End) | Err(RecvTimeoutError::Disconnected) => {
                // It may have closed its output only.
                let _ = started.child.kill();
                let status = started.wait()?;
                let stderr = started.stderr_to_its_end();
                Err(ProcessError::Ended { status, stderr })
            }
        }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn is_running(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_none())
    }

    pub(super) fn stderr(&self) -> String {
        let mut kept = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(kept.make_contiguous())
            .trim_end()
            .to_owned()
    }

    /// Asks the process to end, and waits until it has.
    pub(super) fn terminate(mut self, timeout: Duration) -> Result<ExitStatus, ProcessError> {
        let asked = match self.stdin.take() {
            Some(stdin) => {
                drop(stdin);
                Ok(())
            }
            None => self.signal(),
        };
        asked.map_err(|source| ProcessError::Io { source })?;
        let start = Instant::now();
        loop {
            let left = timeout.saturating_sub(start.elapsed());
            match self.stdout.recv_timeout(left) {
                Ok(Printed::Ready) => {}
                Ok(Printed::End) | Err(RecvTimeoutError::Disconnected) => return self.wait(),
                Err(RecvTimeoutError::Timeout) => {
                    return Err(ProcessError::NotEnded {
                        waited: timeout,
                        stderr: self.stderr(),
                    });
                }
            }
        }
    }

    fn spawn(launch: &Launch) -> Result<Self, ProcessError> {
        let mut command = command(launch).map_err(|source| ProcessError::Io { source })?;
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let hosted = matches!(launch.program, Program::Test(_));
        command.stdin(if hosted {
            Stdio::piped()
        } else {
            Stdio::null()
        });
        let spawned = command.spawn();
        let mut child = spawned.map_err(|source| ProcessError::Spawn {
            program: command.get_program().into(),
            source,
        })?;
        let (printed, stdout) = mpsc::sync_channel(2);
        let stderr = Arc::new(Mutex::new(VecDeque::new()));
        let (stderr_open, stderr_end) = mpsc::channel();
        if let Some(output) = child.stdout.take() {
            thread::spawn(move || watch(output, &printed));
        }
        if let Some(output) = child.stderr.take() {
            let kept = Arc::clone(&stderr);
            thread::spawn(move || keep(output, &kept, stderr_open));
        }
        Ok(Self {
            stdin: child.stdin.take(),
            child,
            stdout,
            stderr,
            stderr_end,
        })
    }

    #[cfg(unix)]
    fn signal(&mut self) -> io::Result<()> {
        let raw = i32::try_from(self.child.id()).ok();
        let pid = raw.and_then(rustix::process::Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("its number makes no sense"))?;
        // It has not been waited for, so the number is still its own.
        Ok(rustix::process::kill_process(
            pid,
            rustix::process::Signal::TERM,
        )?)
    }

    #[cfg(not(unix))]
    fn signal(&mut self) -> io::Result<()> {
        self.child.kill()
    }

    fn wait(&mut self) -> Result<ExitStatus, ProcessError> {
        let waited = self.child.wait();
        waited.map_err(|source| ProcessError::Io { source })
    }

    fn stderr_to_its_end(&self) -> String {
        let _ = self.stderr_end.recv_timeout(STDERR_TIMEOUT);
        self.stderr()
    }
}

impl Drop for AgentChild {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(launch: &Launch) -> io::Result<Command> {
    let properties = launch.directory.properties();
    let command = match &launch.program {
        Program::Command(program) => {
            let mut command = Command::new(program);
            command.args(["agent", "--no-reload-conf", "--name", &launch.agent]);
            command.arg("--config").arg(properties);
            command
        }
        Program::Test(test) => {
            let mut command = Command::new(env::current_exe()?);
            command.args([test, "--exact", "--nocapture"]);
            command.env(host::AGENT, &launch.agent);
            command.env(host::PROPERTIES, properties);
            command
        }
    };
    Ok(command)
}

/// Tells of the first line that says that the agent is ready, and of the end.
fn watch(output: impl Read, printed: &SyncSender<Printed>) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    let mut ready = false;
    loop {
        line.clear();
        let read = output
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line);
        if !read.is_ok_and(|bytes| bytes > 0) {
            break;
        }
        let text = String::from_utf8_lossy(&line);
        if !ready && READY.iter().any(|word| text.contains(word)) {
            ready = true;
            let _ = printed.send(Printed::Ready);
        }
    }
    // The process may be dropped already.
    let _ = printed.send(Printed::End);
}

/// Keeps the last bytes, and `open` until the end.
fn keep(mut output: impl Read, kept: &Mutex<VecDeque<u8>>, open: mpsc::Sender<()>) {
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = output.read(&mut bytes) {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(bytes.iter().take(read));
        let surplus = kept.len().saturating_sub(STDERR_BYTES_MAX);
        kept.drain(..surplus);
    }
    drop(open);
}
