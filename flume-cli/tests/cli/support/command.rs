//! Runs the command and watches what it prints.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use serde_json::Value;

use super::PATIENCE;

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Checks exit code and words on stderr.
    #[track_caller]
    pub(crate) fn check(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is missing: {self:#?}");
        }
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
    }

    /// The only line on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let line = self
            .stdout
            .strip_suffix('\n')
            .unwrap_or_else(|| panic!("no line: {self:#?}"));
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// The command with these arguments, and nothing from this process's environment for it.
pub(crate) fn command(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flume"));
    command
        .args(args)
        .env_remove("FLUME_AGENT")
        .env_remove("FLUME_TIMEOUT")
        .env("NO_COLOR", "1");
    command
}

/// Runs to the end with an empty standard input.
pub(crate) fn flume(args: &[&str]) -> Run {
    flume_reading(args, b"")
}

/// Runs to the end with this standard input.
pub(crate) fn flume_reading(args: &[&str], input: &[u8]) -> Run {
    let mut running = Running::start(command(args));
    let mut stdin = running.stdin.take().unwrap();
    let input = input.to_vec();
    // A command that does not read must not hold the test up. It may also end without reading.
    thread::spawn(move || stdin.write_all(&input));
    running.finish()
}

/// A run under way.
pub(crate) struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Printed,
    stderr: Printed,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        Self {
            stdin: child.stdin.take(),
            stdout: Printed::by(child.stdout.take().unwrap()),
            stderr: Printed::by(child.stderr.take().unwrap()),
            child,
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits for a line on stdout with this in it, and gives the line.
    pub(crate) fn wait_for_stdout(&mut self, word: &str) -> String {
        self.stdout.wait_for(word)
    }

    /// The same for stderr.
    pub(crate) fn wait_for_stderr(&mut self, word: &str) -> String {
        self.stderr.wait_for(word)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `INT`.
    pub(crate) fn signal(&self, name: &str) {
        // The shell's own `kill`: a small machine has no other.
        let kill = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(status.success());
    }

    /// `kill -9`: the process is gone when this returns.
    pub(crate) fn kill(self) {
        drop(self);
    }

    /// Waits for the end. Standard input stays open if it was not taken.
    pub(crate) fn finish(mut self) -> Run {
        let stdout = self.stdout.rest();
        let stderr = self.stderr.rest();
        if stdout.is_none() || stderr.is_none() {
            self.child.kill().unwrap();
        }
        let code = self.child.wait().unwrap().code();
        let run = Run {
            code,
            stdout: std::mem::take(&mut self.stdout.seen),
            stderr: std::mem::take(&mut self.stderr.seen),
        };
        assert!(
            stdout.is_some() && stderr.is_some(),
            "it does not end: {run:#?}"
        );
        run
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a child prints to one of its streams.
struct Printed {
    lines: Receiver<String>,
    seen: String,
}

impl Printed {
    fn by(stream: impl Read + Send + 'static) -> Self {
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream
                .read_until(b'\n', &mut line)
                .is_ok_and(|read| read > 0)
            {
                let text = String::from_utf8_lossy(&line).into_owned();
                if sender.send(text).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Self {
            lines,
            seen: String::new(),
        }
    }

    #[track_caller]
    fn wait_for(&mut self, word: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("{word:?} does not come: {}", self.seen));
            self.seen.push_str(&line);
            if line.contains(word) {
                return line;
            }
        }
    }

    /// Reads to the end. `None`: it does not come.
    fn rest(&mut self) -> Option<()> {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.seen.push_str(&line),
                Err(mpsc::RecvTimeoutError::Disconnected) => return Some(()),
                Err(mpsc::RecvTimeoutError::Timeout) => return None,
            }
        }
    }
}

/// Whether this process ignores hang-ups, as under `nohup`: then its children do, too.
#[cfg(target_os = "linux")]
pub(crate) fn ignores_hang_ups() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mut lines = status.lines();
    let ignored = lines.find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ignores = u64::from_str_radix(ignored.trim(), 16).unwrap() & 1 == 1;
    if ignores {
        // Not `eprintln!`: the test runner would swallow it, because a skipped test passes.
        let message =
            "SKIPPED: this test is run under `nohup` or the like, which its hang-ups need";
        writeln!(std::io::stderr(), "{message} without").expect("stderr takes a line");
    }
    ignores
}
