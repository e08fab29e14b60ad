//! Processes that are forked from the test's own, or from another one of it.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, exit};
use std::time::{Duration, Instant};

use ::fork::{Fork, waitpid, waitpid_nohang};
use flume_tests::{Child, Heard, wait_until};
use rustix::process::{Pid, Signal, kill_process};

/// How long a child may take to end, on a machine that has much else to do.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// A forked child. It is killed if nobody waits for its end.
pub(crate) struct Forked {
    pid: i32,
    has_ended: bool,
}

/// Forks this process, and runs `body` in the child.
pub(crate) fn in_child(body: impl FnOnce()) -> Forked {
    match ::fork::fork().unwrap() {
        Fork::Parent(pid) => Forked {
            pid,
            has_ended: false,
        },
        Fork::Child => {
            let outcome = catch_unwind(AssertUnwindSafe(body));
            exit(i32::from(outcome.is_err()));
        }
    }
}

impl Forked {
    /// Waits for its end, which must be a good one.
    #[track_caller]
    pub(crate) fn wait(mut self) {
        let mut status = None;
        let ends = || {
            status = waitpid_nohang(self.pid).unwrap();
            status.is_some()
        };
        let waited = wait_until("the end of a forked child, which hangs", HANGS_AFTER, ends);
        self.has_ended = status.is_some();
        waited.unwrap();
        assert_eq!(status, Some(0), "the child failed, see above");
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        if !self.has_ended {
            let pid = Pid::from_raw(self.pid).unwrap();
            let _ = kill_process(pid, Signal::KILL);
            let _ = waitpid(self.pid);
        }
    }
}

/// The environment variable that tells a test that it is the other process, and what with.
const ROLE: &str = "FLUME_TEST_FORK";

/// This test in a process of its own, to be killed. It ends when its input does.
pub(crate) struct Other(Child);

impl Other {
    /// What the other process was started with, if this is it.
    pub(crate) fn role() -> Option<String> {
        std::env::var(ROLE).ok()
    }

    /// Starts it. `test` is the name of the calling test.
    pub(crate) fn start(test: &str, role: &str) -> Self {
        Self::start_as(test, role, |_| ())
    }

    /// The same, started as `how` says.
    pub(crate) fn start_as(test: &str, role: &str, how: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        how(&mut command);
        Self::start_by(command, test, role)
    }

    /// The same by this command, which runs this program with more arguments.
    pub(crate) fn start_by(mut command: Command, test: &str, role: &str) -> Self {
        command.args(["--exact", test, "--nocapture"]);
        command.env(ROLE, role);
        Self(Child::start(&mut command).unwrap())
    }

    /// The number that it printed with [`tell`].
    #[track_caller]
    pub(crate) fn told(&mut self) -> u32 {
        let deadline = Instant::now() + HANGS_AFTER;
        loop {
            let heard = self.0.hear(deadline);
            let Heard::Line(line) = heard else {
                unreachable!("it told nothing: {heard:?}");
            };
            if let Some((_, number)) = line.text.split_once("told: ") {
                return number.trim().parse().unwrap();
            }
        }
    }

    /// Its id.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Gives it these bytes to read.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        self.0.say(bytes).unwrap();
    }

    /// Sends it SIGTERM, and waits for its end.
    pub(crate) fn terminate(&mut self) {
        let pid = Pid::from_raw(self.id().cast_signed()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        self.wait();
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) {
        self.0.wait().unwrap();
    }

    /// Kills it, and nobody that was forked from it.
    pub(crate) fn kill(&mut self) {
        self.0.strike().unwrap();
        self.0.wait().unwrap();
    }
}

/// In the other process: tells a number to the one that started it.
pub(crate) fn tell(number: u32) {
    // Not through the test runner, which holds lines back.
    let mut out = std::io::stdout();
    writeln!(out, "\ntold: {number}").unwrap();
    out.flush().unwrap();
}

/// In the other process, or one forked from it: waits until the test is over.
pub(crate) fn wait_for_end() {
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
}
