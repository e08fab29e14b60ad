//! [`Lines`]: a stream cut at its line feeds, and nothing else done to it.

use std::io::{self, BufRead, Read};

/// Reads lines of any bytes. A line over the limit is passed over, never held.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: R,
    bytes_max: usize,
    line: Vec<u8>,
    consumed: u64,
    /// Why the stream ended, to be told after the line that it left unended.
    failed: Option<io::Error>,
}

/// What stood between two line feeds, or after the last one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// The line without its line feed.
    Whole(&'a [u8]),
    /// What stood after the last line feed where the stream ends or fails: a line without line
    /// feed, or the beginning of one.
    Unended(&'a [u8]),
    /// A line of more than the most bytes allowed.
    TooLong,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R, bytes_max: usize) -> Self {
        Self {
            input,
            bytes_max,
            line: Vec::new(),
            consumed: 0,
            failed: None,
        }
    }

    /// The next line, or `None` at the end. An error is told after what was read before it.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.line.clear();
        let room = self.bytes_max as u64 + 1;
        let mut input = self.input.by_ref().take(room);
        self.failed = input.read_until(b'\n', &mut self.line).err();
        self.consumed += self.line.len() as u64;
        if self.line.is_empty() {
            return self.failed.take().map_or(Ok(None), Err);
        }
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
            return Ok(Some(Line::Whole(&self.line)));
        }
        if self.line.len() <= self.bytes_max {
            return Ok(Some(Line::Unended(&self.line)));
        }
        match self.input.skip_until(b'\n') {
            Ok(skipped) => self.consumed += skipped as u64,
            Err(error) => self.failed = Some(error),
        }
        Ok(Some(Line::TooLong))
    }

    /// Bytes taken from the stream so far.
    pub(crate) fn consumed(&self) -> u64 {
        self.consumed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[u8], expected: &[Line<'_>]) {
        for capacity in [1, 2, 3, 64] {
            let reader = io::BufReader::with_capacity(capacity, input);
            let mut lines = Lines::new(reader, 5);
            for line in expected {
                assert_eq!(
                    lines.next().unwrap().as_ref(),
                    Some(line),
                    "reads of {capacity}"
                );
            }
            assert_eq!(lines.next().unwrap(), None, "reads of {capacity}");
            assert_eq!(lines.consumed(), input.len() as u64);
        }
    }

    #[test]
    fn nothing_is_no_line() {
        check(b"", &[]);
    }

    #[test]
    fn lines_end_at_line_feeds_only_and_keep_every_other_byte() {
        check(
            b"a\r\n\n\xff\xfe\0\rb\nc",
            &[
                Line::Whole(b"a\r"),
                Line::Whole(b""),
                Line::Whole(b"\xff\xfe\0\rb"),
                Line::Unended(b"c"),
            ],
        );
    }

    #[test]
    fn a_line_at_the_limit_is_whole() {
        check(
            b"12345\n54321",
            &[Line::Whole(b"12345"), Line::Unended(b"54321")],
        );
    }

    #[test]
    fn a_line_over_the_limit_is_passed_over_and_the_next_one_read() {
        check(
            b"1\n123456\n2\n",
            &[Line::Whole(b"1"), Line::TooLong, Line::Whole(b"2")],
        );
        check(b"1234567890123\n", &[Line::TooLong]);
        check(b"1234567890123", &[Line::TooLong]);
    }

    #[test]
    fn what_was_read_before_an_error_comes_before_it() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let broken = |input: &'static [u8]| Lines::new(io::BufReader::new(input.chain(Broken)), 5);
        let mut lines = broken(b"1\n2");
        assert_eq!(lines.next().unwrap(), Some(Line::Whole(b"1")));
        assert_eq!(lines.next().unwrap(), Some(Line::Unended(b"2")));
        assert_eq!(lines.next().unwrap_err().to_string(), "broken");
        assert_eq!(lines.consumed(), 3);
        let mut lines = broken(b"1234567");
        assert_eq!(lines.next().unwrap(), Some(Line::TooLong));
        assert_eq!(lines.next().unwrap_err().to_string(), "broken");
        assert_eq!(broken(b"").next().unwrap_err().to_string(), "broken");
    }
}
