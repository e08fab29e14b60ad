//! The agent that takes our events, in a process of its own, so that its work is not counted.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, Stdio};

use flume_mini_agent::{MiniAgent, Sink};

use crate::running::Result;

/// Killed when dropped.
pub(crate) struct Agent {
    pub(crate) url: String,
    child: Child,
    /// It ends when this is closed, also if we are killed.
    _input: Option<ChildStdin>,
}

impl Agent {
    pub(crate) fn start() -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("agent")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("the agent has no output")?;
        let mut url = String::new();
        BufReader::new(output).read_line(&mut url)?;
        let input = child.stdin.take();
        Ok(Self {
            url: url.trim().to_owned(),
            child,
            _input: input,
        })
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It has nothing to lose, and if it is gone already that is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Is the agent, if that is what these arguments ask for.
pub(crate) fn run(args: &[String]) -> Option<Result<()>> {
    (args.first()? == "agent").then(|| {
        let agent = MiniAgent::builder()
            .capacity(1_000_000)
            .transaction_capacity(10_000)
            .sink(Sink::Null)
            .start()?;
        println!("{}", agent.url());
        std::io::stdin().read_to_end(&mut Vec::new())?;
        Ok(())
    })
}
