//! Clients of Flume that are told line by line what to do: `interop/java/Exceptions.java`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use crate::java_program::java_program;
use crate::{HarnessError, Result, Version};

/// Longer than any time-out a client is given.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// A JVM with clients of one version; it ends when dropped.
#[derive(Debug)]
pub struct JavaClients {
    process: Child,
    commands: ChildStdin,
    answers: Receiver<String>,
}

impl JavaClients {
    /// Starts the JVM; it has no clients yet.
    ///
    /// # Errors
    ///
    /// When the program does not compile or start.
    pub fn start(version: Version) -> Result<Self> {
        let doing = |e| HarnessError::doing("starting the Java clients", e);
        let mut process = java_program(version, "Exceptions")?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(doing)?;
        let piped = "a child has the pipes it was given";
        let commands = process.stdin.take().expect(piped);
        let output = BufReader::new(process.stdout.take().expect(piped));
        let (sender, answers) = channel();
        // Ends with the process.
        thread::spawn(move || {
            let lines = output.lines().map_while(std::result::Result::ok);
            for line in lines {
                if let Some(answer) = line.strip_prefix("RESULT ") {
                    // Nobody listens any more: the process is about to be killed.
                    drop(sender.send(answer.to_owned()));
                }
            }
        });
        Ok(Self {
            process,
            commands,
            answers,
        })
    }

    /// Gives a command: see the program for what it knows.
    ///
    /// # Errors
    ///
    /// When the program is gone.
    pub fn say(&mut self, command: &str) -> Result<()> {
        writeln!(self.commands, "{command}").map_err(|e| HarnessError::doing(command, e))
    }

    /// The next answer: which client, and what it met, in JSON.
    ///
    /// # Errors
    ///
    /// When none comes within two minutes.
    pub fn hear(&self) -> Result<(String, String)> {
        let answer = self.answers.recv_timeout(ANSWER_TIMEOUT);
        let answer = answer.map_err(|e| HarnessError::doing("an answer of the Java clients", e))?;
        let (name, met) = answer.split_once(' ').unwrap_or((&answer, ""));
        Ok((name.to_owned(), met.to_owned()))
    }
}

impl Drop for JavaClients {
    fn drop(&mut self) {
        // Errors mean that it is gone already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
