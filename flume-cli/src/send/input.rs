//! Where lines come from: files and standard input, one after the other.
//!
//! A file may be cut while it is read, as log rotation by `copytruncate` does. What stood behind
//! the place that was read last is gone then, and reading on would give lines of another place. So
//! its size is looked at with each piece of 64 KiB, and a file that has less than it had is an
//! error. What is not seen: a file that was cut and has grown beyond its former size between two
//! looks.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::PathBuf;

use crate::text;

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
            Self::File(path) => {
                let file = Watched::new(File::open(path)?);
                Box::new(BufReader::with_capacity(READ_BYTES, file))
            }
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
            Self::File(path) => f.write_str(&text::path(path)),
        }
    }
}

/// A file was cut while it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// The most bytes that it was seen to have.
    pub(super) had: u64,
    /// How many it has now.
    pub(super) has: u64,
}

impl Cut {
    /// Whether that is what this error says.
    pub(super) fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it was cut while it was read")
    }
}

impl std::error::Error for Cut {}

/// A file whose size is looked at while it is read.
#[derive(Debug)]
struct Watched {
    file: File,
    had: u64,
}

impl Watched {
    fn new(file: File) -> Self {
        Self { file, had: 0 }
    }

    /// An error if the file has less than it had.
    fn look(&mut self) -> io::Result<()> {
        let metadata = self.file.metadata()?;
        let has = metadata.len();
        if metadata.is_file() && has < self.had {
            let had = self.had;
            return Err(io::Error::other(Cut { had, has }));
        }
        self.had = has;
        Ok(())
    }
}

impl Read for Watched {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.look()?;
        let read = self.file.read(bytes)?;
        if read == 0 {
            // The end, or a cut since the last look.
            self.look()?;
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Reads eight bytes of ten, has something done to the file, and reads on.
    #[track_caller]
    fn check(change: impl FnOnce(&File), expected: Result<&[u8], Cut>) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        io::Seek::rewind(&mut file).unwrap();
        let mut watched = Watched::new(file.try_clone().unwrap());
        watched.read_exact(&mut [0; 8]).unwrap();
        change(&file);
        let mut rest = Vec::new();
        let read = watched.read_to_end(&mut rest);
        let found = read
            .map(|_| rest.as_slice())
            .map_err(|error| Cut::of(&error).unwrap());
        assert_eq!(found, expected);
    }

    fn write_at(file: &File, place: u64, bytes: &[u8]) {
        let mut file = file.try_clone().unwrap();
        let before = io::Seek::stream_position(&mut file).unwrap();
        io::Seek::seek(&mut file, io::SeekFrom::Start(place)).unwrap();
        file.write_all(bytes).unwrap();
        io::Seek::seek(&mut file, io::SeekFrom::Start(before)).unwrap();
    }

    #[test]
    fn a_file_that_is_cut_while_it_is_read_is_an_error_wherever_it_is_cut() {
        for has in 0..10 {
            check(|file| file.set_len(has).unwrap(), Err(Cut { had: 10, has }));
        }
        let refill = |file: &File| {
            file.set_len(0).unwrap();
            write_at(file, 0, b"abcdefghi");
        };
        check(refill, Err(Cut { had: 10, has: 9 }));
    }

    #[test]
    fn a_file_that_stays_or_grows_while_it_is_read_is_read_to_its_end() {
        check(|_| {}, Ok(b"89"));
        check(|file| write_at(file, 10, b"abc"), Ok(b"89abc"));
    }

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
