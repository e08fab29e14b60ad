//! Where lines come from: files and standard input, one after the other.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::path::PathBuf;

/// A file, or standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Stdin,
    File(PathBuf),
}

/// Bytes read from a file at once.
const READ_BYTES: usize = 64 * 1024;

impl Input {
    /// The inputs a command line names: `-`, or nothing at all, is standard input.
    pub(super) fn all(named: &[PathBuf]) -> Vec<Self> {
        if named.is_empty() {
            return vec![Self::Stdin];
        }
        let input = |path: &PathBuf| match path.as_os_str() == "-" {
            true => Self::Stdin,
            false => Self::File(path.clone()),
        };
        named.iter().map(input).collect()
    }

    pub(super) fn open(&self) -> io::Result<Box<dyn BufRead>> {
        Ok(match self {
            Self::Stdin => Box::new(io::stdin().lock()),
            Self::File(path) => Box::new(BufReader::with_capacity(READ_BYTES, File::open(path)?)),
        })
    }

    /// Its size, if it is known beforehand.
    pub(super) fn size(&self) -> Option<u64> {
        match self {
            Self::Stdin => None,
            Self::File(path) => {
                let metadata = path.metadata().ok()?;
                metadata.is_file().then_some(metadata.len())
            }
        }
    }

    pub(super) fn is_terminal(&self) -> bool {
        *self == Self::Stdin && io::stdin().is_terminal()
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_and_a_dash_are_standard_input() {
        assert_eq!(Input::all(&[]), [Input::Stdin]);
        let named = [PathBuf::from("a.log"), PathBuf::from("-")];
        assert_eq!(
            Input::all(&named),
            [Input::File("a.log".into()), Input::Stdin]
        );
    }
}
