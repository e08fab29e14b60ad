//! What one process is told to do, and what it answers: see `child`.

use std::path::Path;
use std::process::Command;

use crate::measure::{Cost, Load};
use crate::running::Result;

/// What one process is to do.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) name: String,
    pub(crate) new_spans: bool,
    pub(crate) load: Load,
}

impl Job {
    /// Has a process do it.
    pub(crate) fn run_by(&self, program: &Path, agent: &str, disk: &Path) -> Result<Cost> {
        let spool = tempfile::tempdir_in(disk)?;
        let load = self.load;
        let output = Command::new(program)
            .args(["job", &self.name, &self.new_spans.to_string()])
            .args([load.threads, load.calls].map(|it| it.to_string()))
            .args([load.is_paced, load.is_timed].map(|it| it.to_string()))
            .arg(agent)
            .arg(spool.path())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{self:?}: {}{why}", output.status).into());
        }
        let mut numbers = text.split_whitespace().map(str::parse::<f64>);
        let mut next = || numbers.next().ok_or("a number is missing");
        Ok(Cost {
            caller_ns: next()??,
            process_ns: next()??,
            caller_allocations: next()??,
            process_allocations: next()??,
            p999_ns: next()??,
        })
    }
}
