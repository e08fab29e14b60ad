//! Small Java programs of ours, run to their end: the sources are in `interop/java/`.

use std::ffi::OsStr;
use std::process::Command;
use std::time::Duration;

use crate::java::{compile, run};
use crate::{Result, Version};

/// They read files and print; more than this is a hang.
const RUN_TIMEOUT: Duration = Duration::from_secs(120);

/// Compiles `<class>.java` against the jars of a Flume version if need be, runs it with these
/// arguments and returns what it prints.
///
/// # Errors
///
/// When it does not compile or does not end well; with all it printed.
pub fn run_java_program<S: AsRef<OsStr>>(
    version: Version,
    class: &str,
    arguments: impl IntoIterator<Item = S>,
) -> Result<String> {
    run(java_program(version, class)?.args(arguments), RUN_TIMEOUT)
}

/// The command that runs `<class>.java`, without arguments yet.
pub(crate) fn java_program(version: Version, class: &str) -> Result<Command> {
    let class_path = compile(version, &format!("{class}.java"))?;
    let mut java = Command::new("java");
    java.arg("-cp").arg(class_path).arg(class);
    Ok(java)
}
