//! The writing process as its parent sees it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::writer::{Job, Word};
use crate::{HarnessError, Result};

/// How long a killed process may take to be gone, and what it told to be read.
const END_TIMEOUT: Duration = Duration::from_secs(30);

/// Killed when dropped.
pub(super) struct Process {
    child: Child,
    words: Receiver<Result<Heard>>,
}

/// What came of listening.
pub(super) enum Heard {
    /// A word, and when it came.
    Word(Word, Instant),
    Nothing,
    /// It has ended, and everything it told was heard.
    End,
}

impl Process {
    pub(super) fn start(program: &Path, job: &Job) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg("write").args(job.args());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let child = command.spawn();
        let mut child = child.map_err(|e| HarnessError::doing(program.display(), e))?;
        let (sender, words) = mpsc::channel();
        if let Some(output) = child.stdout.take() {
            thread::spawn(move || hear(output, &sender));
        }
        Ok(Self { child, words })
    }

    /// What it tells next, if it does so before `deadline`.
    pub(super) fn hear(&self, deadline: Instant) -> Result<Heard> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.words.recv_timeout(left) {
            Ok(heard) => heard,
            Err(RecvTimeoutError::Timeout) => Ok(Heard::Nothing),
            Err(RecvTimeoutError::Disconnected) => Ok(Heard::End),
        }
    }

    /// Ends it as `kill -9` does, without waiting for that.
    pub(super) fn strike(&mut self) -> Result<()> {
        let struck = self.child.kill();
        struck.map_err(|e| HarnessError::doing("kill -9", e))
    }

    /// The same, and returns what it had told by then.
    pub(super) fn kill(&mut self) -> Result<Vec<(Word, Instant)>> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map_err(|e| HarnessError::doing("kill -9", e))?;
        let deadline = Instant::now() + END_TIMEOUT;
        let mut told = Vec::new();
        loop {
            match self.hear(deadline)? {
                Heard::Word(word, at) => told.push((word, at)),
                Heard::End => return Ok(told),
                Heard::Nothing => {
                    let text = format!("a killed process kept its pipe for {END_TIMEOUT:?}");
                    return Err(HarnessError::new(text));
                }
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Errors mean that it is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Reads until the pipe has no writer, or nobody listens.
fn hear(output: ChildStdout, sender: &Sender<Result<Heard>>) {
    for line in BufReader::new(output).lines() {
        let line = line.map_err(|e| HarnessError::doing("reading what a process tells", e));
        let word = line.and_then(|line| line.parse());
        let heard = word.map(|word| Heard::Word(word, Instant::now()));
        if sender.send(heard).is_err() {
            return;
        }
    }
}
