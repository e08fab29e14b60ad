//! The lines the demo sends.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use crate::lines::{Line, Lines};
use crate::text;

/// Two minutes of an invented web shop.
const SHOP: &[u8] = include_bytes!("../../assets/shop.log");
/// Most lines and bytes that are used of a file: the agents keep everything in memory.
pub(super) const LINES_MAX: usize = 100_000;
const BYTES_MAX: u64 = 64 * 1024 * 1024;
const LINE_BYTES_MAX: usize = 512 * 1024;

#[derive(Debug)]
pub(super) struct Log {
    pub(super) name: String,
    pub(super) lines: Vec<Vec<u8>>,
    /// The file goes on, or has lines that are too long.
    pub(super) shortened: bool,
}

impl Log {
    pub(super) fn shop() -> Self {
        let lines = SHOP
            .strip_suffix(b"\n")
            .unwrap_or(SHOP)
            .split(|byte| *byte == b'\n');
        Self {
            name: "an invented web shop".to_owned(),
            lines: lines.map(<[u8]>::to_vec).collect(),
            shortened: false,
        }
    }

    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let mut reader = Lines::new(BufReader::new(File::open(path)?), LINE_BYTES_MAX);
        let mut log = Self {
            name: text::path(path),
            lines: Vec::new(),
            shortened: false,
        };
        loop {
            let is_full = log.lines.len() == LINES_MAX || reader.consumed() > BYTES_MAX;
            match reader.next()? {
                None => return Ok(log),
                Some(Line::TooLong) => log.shortened = true,
                Some(Line::Whole(_)) if is_full => {
                    log.shortened = true;
                    return Ok(log);
                }
                Some(Line::Whole(line) | Line::Unended(line)) => log.lines.push(line.to_vec()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_that_ships_is_about_three_thousand_lines() {
        let log = Log::shop();
        assert_eq!(log.lines.len(), 3_024);
        assert!(
            log.lines
                .iter()
                .all(|line| !line.is_empty() && std::str::from_utf8(line).is_ok())
        );
    }
}
