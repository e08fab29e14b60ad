//! Data on stdout, everything else on stderr. A reader that went away is no reason to fail.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;

/// Writes a line for the user. If stderr is gone, nobody is there to be told.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "flume: {text}");
}

/// Writes a line for the user without the command's name, below a [`note`].
pub(crate) fn detail(text: impl Display) {
    let _ = writeln!(io::stderr(), "  {text}");
}

/// Writes data. `false`: it could not be written, and the user was told.
#[must_use]
pub(crate) fn data(text: impl Display) -> bool {
    let mut stdout = io::stdout();
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    match written {
        Ok(()) => true,
        // Whoever reads has what they wanted, as with `head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => true,
        Err(error) => {
            note(format_args!("cannot write to standard output: {error}"));
            false
        }
    }
}

/// Writes one line of JSON.
#[must_use]
pub(crate) fn json(value: &impl Serialize) -> bool {
    let line = serde_json::to_string(value).expect("reports have string keys and finite numbers");
    data(line)
}

/// Version of the JSON lines: raised when a field goes or changes its meaning, not for new ones.
pub(crate) const SCHEMA: u32 = 1;
