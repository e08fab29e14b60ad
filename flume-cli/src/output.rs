//! Data on stdout, everything else on stderr. A reader that went away is no reason to fail.
//!
//! Whatever is written here may have been named by somebody else and be read by root: of control
//! characters only the line feed goes out as it is. [`text::path`](crate::text::path) escapes that
//! as well, in a path.

use std::fmt::Display;
use std::io::{self, Write};

use flume_client::stats::Lost;
use serde::{Serialize, Serializer};
use serde_json::ser::Formatter;

use crate::text::quiet_lines;

/// Writes a line for the user. If stderr is gone, nobody is there to be told.
pub(crate) fn note(text: impl Display) {
    let text = quiet_lines(&text.to_string());
    let _ = writeln!(io::stderr(), "flume: {text}");
}

/// Writes a line for the user without the command's name, below a [`note`].
pub(crate) fn detail(text: impl Display) {
    let text = quiet_lines(&text.to_string());
    let _ = writeln!(io::stderr(), "  {text}");
}

/// Writes data. `false`: it could not be written, and the user was told.
#[must_use]
pub(crate) fn data(text: impl Display) -> bool {
    let text = quiet_lines(&text.to_string());
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
    let mut line = Vec::new();
    write_json(&mut line, value).expect("reports have string keys and finite numbers");
    data(String::from_utf8_lossy(&line))
}

/// Writes JSON that a terminal can be given: no control character is in it as it is, whatever an
/// event has.
pub(crate) fn write_json(out: impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(out, Quiet);
    Ok(value.serialize(&mut serializer)?)
}

/// Escapes the control characters that JSON does not ask for: U+007F to U+009F.
struct Quiet;

impl Formatter for Quiet {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        mut fragment: &str,
    ) -> io::Result<()> {
        while let Some((at, letter)) = fragment.char_indices().find(|(_, it)| it.is_control()) {
            let (before, rest) = fragment.split_at(at);
            write!(out, "{before}\\u{:04x}", u32::from(letter))?;
            fragment = rest.get(letter.len_utf8()..).unwrap_or_default();
        }
        out.write_all(fragment.as_bytes())
    }
}

/// Version of the JSON lines: raised when a field goes or changes its meaning, not for new ones.
/// `docs/json.md` has them all.
pub(crate) const SCHEMA: u32 = 2;

/// Lost events for scripts: `total`, and each reason by its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LostLine(pub(crate) Lost);

impl LostLine {
    /// Of events that cannot be read from the disk any more.
    pub(crate) fn corrupt(events: u64) -> Self {
        let mut lost = Lost::default();
        lost.corrupt = events;
        Self(lost)
    }
}

impl Serialize for LostLine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let total = [("total", self.0.total())];
        serializer.collect_map(total.into_iter().chain(self.0.by_reason()))
    }
}
