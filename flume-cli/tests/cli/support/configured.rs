//! Property files and agents made from them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::command::{Run, Running, command, flume, flume_reading};
use super::web::ask;

/// A directory with a property file in it.
pub(crate) struct PropertyFile {
    directory: TempDir,
}

/// A running agent and where its sources listen, by their names; the control interface is
/// `control`.
pub(crate) struct Agent {
    pub(crate) running: Running,
    ready: PathBuf,
    urls: BTreeMap<String, String>,
}

/// The channel `c1` of the agent `a1`, on the disk.
pub(crate) fn file_channel(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "a1.channels.c1.type = file\n\
         a1.channels.c1.dataDirs = {directory}\n\
         a1.channels.c1.checkpointDir = {directory}\n\
         a1.channels.c1.minimumRequiredSpace = 1048576\n"
    )
}

impl PropertyFile {
    pub(crate) fn new(text: &str) -> Self {
        let directory = TempDir::with_prefix("flume-agent-").unwrap();
        let file = Self { directory };
        file.write(text);
        file
    }

    pub(crate) fn write(&self, text: &str) {
        // All at once, for an agent that looks at it.
        let new = self.dir("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.path()).unwrap();
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir("flume.properties")
    }

    /// A path beside the file.
    pub(crate) fn dir(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The agent `a1` of this file, once it can be reached.
    pub(crate) fn start(&self, args: &[&str]) -> Agent {
        self.start_with(command(self.args(args)))
    }

    /// The same as this command says, which has to write the ready file.
    pub(crate) fn start_with(&self, command: Command) -> Agent {
        let mut agent = Agent {
            running: Running::start(command),
            ready: self.dir("ready"),
            urls: BTreeMap::new(),
        };
        agent.wait_for_addresses();
        agent
    }

    /// The same where the agent does not start.
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        let args = self.args(args);
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        flume(&args)
    }

    pub(crate) fn args(&self, args: &[&str]) -> Vec<String> {
        let path = self.path().display().to_string();
        let ready = self.dir("ready").display().to_string();
        let own = [
            "agent",
            "--name",
            "a1",
            "--config",
            &path,
            "--ready-file",
            &ready,
        ];
        own.iter()
            .chain(args)
            .map(|arg| (*arg).to_owned())
            .collect()
    }
}

impl Agent {
    /// Waits until it has told where it listens, at its start and after a reload that changes it.
    pub(crate) fn wait_for_addresses(&mut self) {
        self.urls.clear();
        loop {
            let line = self.running.wait_for_stdout("listening ");
            let (url, name) = line
                .trim_end()
                .strip_prefix("listening on ")
                .and_then(|rest| rest.split_once(' '))
                .unwrap_or_else(|| panic!("{line}"));
            let name = name.trim_start_matches("(source ").trim_matches(['(', ')']);
            self.urls.insert(name.to_owned(), url.to_owned());
            // The ready file is written first: it says how many lines there are.
            let ready = fs::read_to_string(&self.ready).unwrap();
            if ready.lines().count() == self.urls.len() {
                return;
            }
        }
    }

    /// Has lines delivered to a source.
    #[track_caller]
    pub(crate) fn send(&self, source: &str, lines: &str) {
        flume_reading(&["send", "--agent", self.url(source)], lines.as_bytes()).check(0, &[]);
    }

    /// `POST /reload`.
    pub(crate) fn reload(&self) -> (u16, String) {
        ask(self.url("control"), "POST /reload")
    }

    /// A counter of a channel, as the control interface tells it.
    #[track_caller]
    pub(crate) fn channel_size(&self, channel: &str) -> Option<usize> {
        let (_, metrics) = ask(self.url("control"), "GET /metrics");
        let metrics: Value = serde_json::from_str(&metrics).unwrap();
        let size = metrics.get(format!("CHANNEL.{channel}"))?["ChannelSize"].as_str();
        Some(size.unwrap().parse().unwrap())
    }

    #[track_caller]
    pub(crate) fn stop(self) -> Run {
        self.running.signal("TERM");
        self.running.finish()
    }

    #[track_caller]
    pub(crate) fn url(&self, source: &str) -> &str {
        &self.urls[source]
    }
}
