//! Clients of Flume that are told line by line what to do: `interop/java/Exceptions.java`.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::java_program::java_program;
use crate::{Child, HarnessError, Heard, Result, Version};

/// Longer than any time-out a client is given.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// A JVM with clients of one version; it ends when dropped.
#[derive(Debug)]
pub struct JavaClients {
    java: Child,
}

impl JavaClients {
    /// Starts the JVM; it has no clients yet.
    ///
    /// # Errors
    ///
    /// When the program does not compile or start.
    pub fn start(version: Version) -> Result<Self> {
        let mut program = java_program(version, "Exceptions")?;
        let java = Child::start(program.stderr(Stdio::null()))?;
        Ok(Self { java })
    }

    /// Gives a command: see the program for what it knows.
    ///
    /// # Errors
    ///
    /// When the program is gone.
    pub fn say(&mut self, command: &str) -> Result<()> {
        self.java.say(format!("{command}\n"))
    }

    /// The next answer: which client, and what it met, in JSON.
    ///
    /// # Errors
    ///
    /// When none comes within two minutes.
    pub fn hear(&self) -> Result<(String, String)> {
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        loop {
            let heard = self.java.hear(deadline);
            let Heard::Line(line) = heard else {
                return Err(HarnessError::new(format!(
                    "no answer of the Java clients: {heard:?}"
                )));
            };
            if let Some(answer) = line.text.strip_prefix("RESULT ") {
                let (name, met) = answer.split_once(' ').unwrap_or((answer, ""));
                return Ok((name.to_owned(), met.to_owned()));
            }
        }
    }
}
