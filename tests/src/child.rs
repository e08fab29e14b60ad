//! A process that tells lines on its standard output, and is killed again and again.

use std::io::{BufRead, BufReader, Write};
use std::process::{self, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::{HarnessError, Result};

/// How long a killed process may take to be gone, and what it told to be read.
const END_TIMEOUT: Duration = Duration::from_secs(30);

/// Killed when dropped.
#[derive(Debug)]
pub struct Child {
    process: process::Child,
    /// `None` once it is closed.
    input: Option<ChildStdin>,
    lines: Receiver<Line>,
}

/// What a process told, and when it came.
#[derive(Clone, Debug)]
pub struct Line {
    /// Without the line feed.
    pub text: String,
    /// When it was read.
    pub at: Instant,
}

/// What came of listening.
#[derive(Clone, Debug)]
pub enum Heard {
    /// A line.
    Line(Line),
    /// Not a line in time.
    Nothing,
    /// The process has ended, and everything it told was heard.
    End,
}

impl Child {
    /// Starts it. Its standard input stays open until [`close_input`](Self::close_input).
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn start(command: &mut Command) -> Result<Self> {
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = started.map_err(|e| HarnessError::doing(format!("{command:?}"), e))?;
        let (sender, lines) = mpsc::channel();
        let output = process.stdout.take().expect("it is piped");
        thread::spawn(move || listen(output, &sender));
        Ok(Self {
            input: process.stdin.take(),
            process,
            lines,
        })
    }

    /// The process's number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it tells next, if it does so before `deadline`.
    #[must_use]
    pub fn hear(&self, deadline: Instant) -> Heard {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => Heard::Line(line),
            Err(RecvTimeoutError::Timeout) => Heard::Nothing,
            Err(RecvTimeoutError::Disconnected) => Heard::End,
        }
    }

    /// Gives it these bytes to read.
    ///
    /// # Errors
    ///
    /// When it is gone, or its input is closed.
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        let input = self.input.as_mut();
        let input = input.ok_or_else(|| HarnessError::new("its input is closed"))?;
        let said = input.write_all(bytes.as_ref());
        said.map_err(|e| HarnessError::doing("writing to a process", e))
    }

    /// Ends its standard input.
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// Ends it as `kill -9` does, without waiting for that.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn strike(&mut self) -> Result<()> {
        let struck = self.process.kill();
        struck.map_err(|e| HarnessError::doing("kill -9", e))
    }

    /// Waits until it is gone, whoever else has its pipes.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let ended = self.process.wait();
        ended.map_err(|e| HarnessError::doing("the end of a process", e))
    }

    /// Ends it as `kill -9` does, and returns what it had told by then and was not heard yet.
    ///
    /// # Errors
    ///
    /// When its pipe is not closed within half a minute.
    pub fn kill(&mut self) -> Result<Vec<Line>> {
        self.strike()?;
        self.wait()?;
        self.rest()
    }

    /// Waits for the end of what it tells, and returns what of it was not heard yet.
    ///
    /// # Errors
    ///
    /// When that does not come within half a minute.
    pub fn rest(&mut self) -> Result<Vec<Line>> {
        let deadline = Instant::now() + END_TIMEOUT;
        let mut told = Vec::new();
        loop {
            match self.hear(deadline) {
                Heard::Line(line) => told.push(line),
                Heard::End => return Ok(told),
                Heard::Nothing => {
                    let text = format!("a process kept its pipe for {END_TIMEOUT:?}");
                    return Err(HarnessError::new(text));
                }
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Errors mean that it is gone already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Reads until the pipe has no writer, or nobody listens.
fn listen(output: ChildStdout, sender: &Sender<Line>) {
    let mut output = BufReader::new(output);
    let mut line = String::new();
    // A kill may cut off the last line.
    while output.read_line(&mut line).is_ok() && line.ends_with('\n') {
        let text = line.trim_end_matches('\n').to_owned();
        let at = Instant::now();
        if sender.send(Line { text, at }).is_err() {
            return;
        }
        line.clear();
    }
}
