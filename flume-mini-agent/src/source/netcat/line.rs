//! [`LineDecoder`]: lines of text from bytes. No IO.

use crate::config::Encoding;

/// What the bytes so far hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A line, without its line feed.
    Line(String),
    /// No whole line.
    More,
    /// More characters than a line may have.
    TooLong,
    /// Bytes that are no text in this encoding.
    Malformed,
}

/// Cuts bytes into lines. Holds one line of the greatest length and what was pushed behind it.
#[derive(Debug)]
pub(super) struct LineDecoder {
    encoding: Encoding,
    /// Characters of a line, its line feed included, counted as Java counts them.
    line_chars_max: usize,
    buffer: Vec<u8>,
    /// Where the unread part of `buffer` begins.
    start: usize,
}

impl LineDecoder {
    pub(super) fn new(encoding: Encoding, line_chars_max: usize) -> Self {
        Self {
            encoding,
            line_chars_max,
            buffer: Vec::new(),
            start: 0,
        }
    }

    /// The buffer behind the last unread byte. Only append to it.
    pub(super) fn buffer_mut(&mut self) -> &mut Vec<u8> {
        self.buffer.drain(..self.start);
        self.start = 0;
        &mut self.buffer
    }

    pub(super) fn next_line(&mut self) -> Next {
        let unread = self.buffer.get(self.start..).unwrap_or_default();
        let end = unread.iter().position(|byte| *byte == b'\n');
        let bytes = unread.split_at(end.unwrap_or(unread.len())).0;
        let Some(text) = self.encoding.decode(bytes, end.is_some()) else {
            return Next::Malformed;
        };
        // A line feed that is still to come needs room as well.
        if text.encode_utf16().count() >= self.line_chars_max {
            return Next::TooLong;
        }
        match end {
            Some(end) => {
                self.start += end + 1;
                Next::Line(text)
            }
            None => Next::More,
        }
    }
}

impl Encoding {
    /// The text, less a character at its end that is not `whole` yet.
    fn decode(self, bytes: &[u8], whole: bool) -> Option<String> {
        match self {
            Self::Utf8 => match std::str::from_utf8(bytes) {
                Ok(text) => Some(text.to_owned()),
                Err(error) if error.error_len().is_none() && !whole => {
                    let (valid, _) = bytes.split_at(error.valid_up_to());
                    Some(String::from_utf8_lossy(valid).into_owned())
                }
                Err(_) => None,
            },
            Self::Latin1 => Some(bytes.iter().copied().map(char::from).collect()),
            Self::Ascii if bytes.is_ascii() => Some(String::from_utf8_lossy(bytes).into_owned()),
            Self::Ascii => None,
        }
    }

    /// The bytes of a text; what the encoding does not have becomes `?`.
    pub(super) fn encode(self, text: &str) -> Vec<u8> {
        let max = match self {
            Self::Utf8 => return text.as_bytes().to_vec(),
            Self::Latin1 => '\u{ff}',
            Self::Ascii => '\u{7f}',
        };
        let byte = |c: char| u8::try_from(c).ok().filter(|_| c <= max);
        text.chars().map(|c| byte(c).unwrap_or(b'?')).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn check(encoding: Encoding, bytes: &[u8], expected: &[Next]) {
        let mut lines = LineDecoder::new(encoding, 6);
        lines.buffer_mut().extend_from_slice(bytes);
        for next in expected {
            assert_eq!(lines.next_line(), *next, "{bytes:?}");
        }
    }

    fn line(text: &str) -> Next {
        Next::Line(text.to_owned())
    }

    #[test]
    fn lines_end_with_a_line_feed_and_keep_their_carriage_return() {
        let expected = [line("a"), line(""), line("b\r"), Next::More];
        check(Encoding::Utf8, b"a\n\nb\r\nc", &expected);
    }

    #[test]
    fn the_length_counts_characters_as_java_does_and_the_line_feed() {
        check(Encoding::Utf8, b"12345\n", &[line("12345")]);
        check(Encoding::Utf8, b"12345", &[Next::More]);
        check(Encoding::Utf8, b"123456", &[Next::TooLong]);
        check(Encoding::Utf8, b"123456\n", &[Next::TooLong]);
        check(Encoding::Utf8, "ääää5\n".as_bytes(), &[line("ääää5")]);
        // Two of these are four of Java's characters.
        check(Encoding::Utf8, "🦀🦀5\n".as_bytes(), &[line("🦀🦀5")]);
        check(Encoding::Utf8, "🦀🦀🦀".as_bytes(), &[Next::TooLong]);
    }

    #[test]
    fn bytes_that_are_no_text_are_told_from_a_character_still_on_its_way() {
        check(Encoding::Utf8, b"a\xc3", &[Next::More]);
        check(Encoding::Utf8, b"a\xc3\n", &[Next::Malformed]);
        check(Encoding::Utf8, b"a\n\xff", &[line("a"), Next::Malformed]);
        check(Encoding::Latin1, b"\xe4\n", &[line("ä")]);
        check(Encoding::Ascii, b"\xe4\n", &[Next::Malformed]);
    }

    #[test]
    fn answers_are_written_in_the_encoding() {
        assert_eq!(Encoding::Utf8.encode("ä→"), "ä→".as_bytes());
        assert_eq!(Encoding::Latin1.encode("ä→"), b"\xe4?");
        assert_eq!(Encoding::Ascii.encode("ä→"), b"??");
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_the_bytes_are_cut(
            lines in vec("[a-cä🦀]{0,5}", 0..10),
            cut in 1_usize..20,
        ) {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let mut decoder = LineDecoder::new(Encoding::Utf8, 11);
            let mut found = Vec::new();
            for chunk in text.as_bytes().chunks(cut) {
                decoder.buffer_mut().extend_from_slice(chunk);
                while let Next::Line(line) = decoder.next_line() {
                    found.push(line);
                }
                prop_assert_eq!(decoder.next_line(), Next::More);
            }
            prop_assert_eq!(found, lines);
        }
    }
}
