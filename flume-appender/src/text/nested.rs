//! JSON that somebody else wrote, to stand within ours.

use super::escape;

/// Deepest nesting of arrays and objects.
const DEPTH_MAX: usize = 64;

/// Writes a JSON value without the blanks and line breaks between its parts. `false`: it is none, or
/// nested deeper than 64, and nothing is written.
pub(crate) fn put(out: &mut Vec<u8>, text: &str) -> bool {
    let start = out.len();
    let mut input = Input {
        rest: text.as_bytes(),
        out,
    };
    let is_value = input.value(0).is_some();
    input.skip_blanks();
    let is_all = is_value && input.rest.is_empty();
    if !is_all {
        out.truncate(start);
    }
    is_all
}

struct Input<'a> {
    rest: &'a [u8],
    out: &'a mut Vec<u8>,
}

impl Input<'_> {
    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.skip_blanks();
        match self.rest.first()? {
            b'{' => self.list(b'{', b'}', |input| {
                input.string()?;
                input.skip_blanks();
                input.take(b':')?;
                input.value(depth + 1)
            }),
            b'[' => self.list(b'[', b']', |input| input.value(depth + 1)),
            b'"' => self.string(),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn list(
        &mut self,
        open: u8,
        close: u8,
        mut part: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.take(open)?;
        self.skip_blanks();
        if self.take(close).is_some() {
            return Some(());
        }
        loop {
            self.skip_blanks();
            part(self)?;
            self.skip_blanks();
            if self.take(close).is_some() {
                return Some(());
            }
            self.take(b',')?;
        }
    }

    fn string(&mut self) -> Option<()> {
        self.take(b'"')?;
        loop {
            match self.any()? {
                b'"' => return Some(()),
                0..0x20 => return None,
                // Allowed as they are, but control characters all the same.
                0x7f => self.escape(1, "\u{7f}"),
                0xc2 => {
                    if let byte @ 0x80..=0x9f = self.any()? {
                        self.escape(2, char::from(byte).encode_utf8(&mut [0; 2]));
                    }
                }
                b'\\' => match self.any()? {
                    b'u' => self.hex()?,
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                    _ => return None,
                },
                _ => {}
            }
        }
    }

    /// Writes a letter as an escape in the place of its bytes.
    fn escape(&mut self, bytes: usize, letter: &str) {
        self.out.truncate(self.out.len() - bytes);
        escape::put_escaped(self.out, letter);
    }

    /// Half of a pair of surrogates alone is no letter, and some readers refuse it.
    fn hex(&mut self) -> Option<()> {
        match self.four_digits()? {
            0xd800..=0xdbff => {
                self.take(b'\\')?;
                self.take(b'u')?;
                let low = self.four_digits()?;
                (0xdc00..=0xdfff).contains(&low).then_some(())
            }
            0xdc00..=0xdfff => None,
            _ => Some(()),
        }
    }

    fn four_digits(&mut self) -> Option<u32> {
        let mut value = 0;
        for _ in 0..4 {
            value = value * 16 + char::from(self.any()?).to_digit(16)?;
        }
        Some(value)
    }

    fn number(&mut self) -> Option<()> {
        let _ = self.take(b'-');
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if self.take(b'e').or_else(|| self.take(b'E')).is_some() {
            let _ = self.take(b'+').or_else(|| self.take(b'-'));
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let is_digit = |input: &Self| input.rest.first().is_some_and(u8::is_ascii_digit);
        if !is_digit(self) {
            return None;
        }
        while is_digit(self) {
            self.any()?;
        }
        Some(())
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        word.iter().try_for_each(|byte| self.take(*byte))
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        if self.rest.first() != Some(&byte) {
            return None;
        }
        self.any().map(|_| ())
    }

    fn any(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        self.out.push(*first);
        Some(*first)
    }

    fn skip_blanks(&mut self) {
        let is_blank = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        let blanks = self.rest.iter().take_while(is_blank).count();
        self.rest = self.rest.get(blanks..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn check(text: &str) {
        let mut out = b"kept".to_vec();
        let is_json = put(&mut out, text);
        let expected = serde_json::from_str::<Value>(text);
        let written = out.strip_prefix(b"kept").unwrap();
        match expected {
            Ok(expected) => {
                assert!(is_json, "{text:?}");
                let told = std::str::from_utf8(written).unwrap();
                assert!(!told.contains(char::is_control), "{text:?}");
                assert_eq!(serde_json::from_slice::<Value>(written).unwrap(), expected);
            }
            // A number that is too large for serde_json is one all the same.
            Err(error) if error.to_string().contains("out of range") => {}
            Err(error) => {
                assert!(!is_json, "{text:?}: {error}");
                assert!(written.is_empty());
            }
        }
    }

    #[test]
    fn what_serde_json_reads_stands_as_it_is_and_nothing_else_does() {
        for text in [
            "",
            " ",
            "{}",
            "[ ]",
            "{\n  \"a b\": [1, -0.5e+7, true, false, null],\n  \"\\u00fc\\n\": {\"x\": \"\"}\n}",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{\"a\":1,}",
            "{a:1}",
            "01",
            "1.",
            ".5",
            "-",
            "1e",
            "nul",
            "true false",
            "\"a\nb\"",
            "\"\\x\"",
            "\"\\ud83d\\ude00\"",
            "\"\\ud83d\"",
            "\"\\ude00\"",
            "\"\u{7f}ü\u{9b}\u{a0}°\"",
            "[1] \n",
            "NaN",
        ] {
            check(text);
        }
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        check(&deep(60));
        assert!(!put(&mut Vec::new(), &deep(100)));
    }

    #[test]
    fn texts_of_json_s_own_letters_are_told_apart_as_serde_json_does() {
        const PARTS: [&str; 20] = [
            "{", "}", "[", "]", ",", ":", "\"", "\"a\"", "1", "0", "-", ".", "e", "true", "null",
            " ", "\n", "\\", "u00e4", "\"b\":2",
        ];
        let mut seed = fastrand::Rng::with_seed(7);
        for _ in 0..200_000 {
            let parts = (0..seed.usize(..8)).map(|_| PARTS[seed.usize(..PARTS.len())]);
            check(&parts.collect::<String>());
        }
    }
}
