//! Property files and agents made from them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::command::{Run, Running, command, flume};

/// A directory with a property file in it.
pub(crate) struct PropertyFile {
    directory: TempDir,
}

/// A running agent and where its sources listen, by their names; the control interface is
/// `control`.
pub(crate) struct Agent {
    pub(crate) running: Running,
    urls: BTreeMap<String, String>,
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
        let mut running = Running::start(command(self.args(args)));
        let mut urls = BTreeMap::new();
        let ready = self.dir("ready");
        loop {
            let line = running.wait_for_stdout("listening ");
            let (url, name) = line
                .trim_end()
                .strip_prefix("listening on ")
                .and_then(|rest| rest.split_once(' '))
                .unwrap_or_else(|| panic!("{line}"));
            let name = name.trim_start_matches("(source ").trim_matches(['(', ')']);
            urls.insert(name.to_owned(), url.to_owned());
            // The ready file is written first: it says how many lines there are.
            if fs::read_to_string(&ready).unwrap().lines().count() == urls.len() {
                return Agent { running, urls };
            }
        }
    }

    /// The same where the agent does not start.
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        let args = self.args(args);
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        flume(&args)
    }

    fn args(&self, args: &[&str]) -> Vec<String> {
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
    #[track_caller]
    pub(crate) fn url(&self, source: &str) -> &str {
        &self.urls[source]
    }
}
