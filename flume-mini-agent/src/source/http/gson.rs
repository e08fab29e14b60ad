//! JSON as leniently as Gson's reader takes it for Flume's handler, as far as clients rely on it. No
//! IO.
//!
//! Beyond JSON it knows names and texts without quotes or in single ones, and elements left out of
//! arrays, which are null. Values nest [`DEPTH_MAX`] deep at most; Gson has no such bound in what it
//! skips. Not here: comments, `;` for `,`, `=` and `=>` for `:`, and the prefix `)]}'`; they are bad
//! syntax.

use std::iter::Peekable;
use std::str::Chars;

/// Deeper values are bad syntax: a request is no way to our stack's end.
const DEPTH_MAX: usize = 128;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    /// A text, or a number or a boolean as a text.
    Text(String),
    Array(Vec<Self>),
    /// The members in their order.
    Object(Vec<(String, Self)>),
}

/// The text is no such JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
}

/// Reads the one value of a text. An empty text is null.
pub(super) fn read(text: &str) -> Result<Value, Malformed> {
    let mut reader = Reader {
        rest: text.chars().peekable(),
    };
    if reader.skip_blanks().is_none() {
        return Ok(Value::Null);
    }
    let value = reader.value(0)?;
    match reader.skip_blanks() {
        None => Ok(value),
        Some(_) => Err(Malformed),
    }
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, Malformed> {
        if depth > DEPTH_MAX {
            return Err(Malformed);
        }
        match self.skip_blanks() {
            Some('[') => self.array(depth),
            Some('{') => self.object(depth),
            Some(quote @ ('"' | '\'')) => self.quoted(quote).map(Value::Text),
            _ => self.unquoted().map(literal),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, Malformed> {
        self.rest.next();
        let mut elements = Vec::new();
        if self.skip_blanks() == Some(']') {
            self.rest.next();
            return Ok(Value::Array(elements));
        }
        loop {
            let element = match self.skip_blanks() {
                Some(',' | ']') => Value::Null,
                _ => self.value(depth + 1)?,
            };
            elements.push(element);
            if self.ends(']')? {
                return Ok(Value::Array(elements));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, Malformed> {
        self.rest.next();
        let mut members = Vec::new();
        if self.skip_blanks() == Some('}') {
            self.rest.next();
            return Ok(Value::Object(members));
        }
        loop {
            let name = match self.skip_blanks() {
                Some(quote @ ('"' | '\'')) => self.quoted(quote)?,
                _ => self.unquoted()?,
            };
            if self.next_after_blanks() != Some(':') {
                return Err(Malformed);
            }
            members.push((name, self.value(depth + 1)?));
            if self.ends('}')? {
                return Ok(Value::Object(members));
            }
        }
    }

    /// Whether the list ends here; if not, another element follows.
    fn ends(&mut self, end: char) -> Result<bool, Malformed> {
        match self.next_after_blanks() {
            Some(found) if found == end => Ok(true),
            Some(',') => Ok(false),
            _ => Err(Malformed),
        }
    }

    /// As Java keeps text, in units of UTF-16; half a pair is written as a question mark.
    fn quoted(&mut self, quote: char) -> Result<String, Malformed> {
        self.rest.next();
        let mut units: Vec<u16> = Vec::new();
        loop {
            let mut next = self.rest.next().ok_or(Malformed)?;
            if next == quote {
                let text = char::decode_utf16(units);
                return Ok(text.map(|decoded| decoded.unwrap_or('?')).collect());
            }
            if next == '\\' {
                if self.rest.next_if_eq(&'u').is_some() {
                    units.push(self.unicode_escape()?);
                    continue;
                }
                next = self.escape()?;
            }
            units.extend_from_slice(next.encode_utf16(&mut [0; 2]));
        }
    }

    /// The number behind a `\u`.
    fn unicode_escape(&mut self) -> Result<u16, Malformed> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.rest.next().and_then(|digit| digit.to_digit(16));
            unit = unit * 16 + digit.ok_or(Malformed)?;
        }
        u16::try_from(unit).map_err(|_| Malformed)
    }

    /// What a backslash makes of the next character.
    fn escape(&mut self) -> Result<char, Malformed> {
        match self.rest.next() {
            Some('t') => Ok('\t'),
            Some('b') => Ok('\u{8}'),
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('f') => Ok('\u{c}'),
            Some(same @ ('\n' | '\'' | '"' | '\\' | '/')) => Ok(same),
            _ => Err(Malformed),
        }
    }

    fn unquoted(&mut self) -> Result<String, Malformed> {
        let mut text = String::new();
        while let Some(next) = self.rest.next_if(|next| is_literal(*next)) {
            text.push(next);
        }
        match text.is_empty() {
            true => Err(Malformed),
            false => Ok(text),
        }
    }

    fn next_after_blanks(&mut self) -> Option<char> {
        self.skip_blanks();
        self.rest.next()
    }

    /// Skips blanks; the character after them is next.
    fn skip_blanks(&mut self) -> Option<char> {
        while self.rest.next_if(|next| is_blank(*next)).is_some() {}
        self.rest.peek().copied()
    }
}

/// A number's text stays as it is; the three words are known in any case.
fn literal(text: String) -> Value {
    match text.to_ascii_lowercase().as_str() {
        "null" => Value::Null,
        word @ ("true" | "false") => Value::Text(word.to_owned()),
        _ => Value::Text(text),
    }
}

fn is_blank(character: char) -> bool {
    matches!(character, '\n' | ' ' | '\r' | '\t')
}

/// Whether it can be part of a text without quotes.
fn is_literal(character: char) -> bool {
    !is_blank(character)
        && !matches!(
            character,
            '/' | '\\' | ';' | '#' | '=' | '{' | '}' | '[' | ']' | ':' | ',' | '\u{c}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(lenient: &str, strict: &str) {
        let (lenient, strict) = (read(lenient), read(strict));
        assert_eq!(lenient, strict);
        assert!(strict.is_ok());
    }

    #[test]
    fn what_gson_adds_to_json_is_read_as_the_same_in_json() {
        check("[{body: 'x'}]", r#"[{"body":"x"}]"#);
        check("{'a' : 1, b:two}", r#"{"a":"1","b":"two"}"#);
        check("[1,,]", "[1,null,null]");
        check("[,]", "[null,null]");
        check("[,1]", "[null,1]");
        check(
            "[TRUE, False, NULL, 01, nulls]",
            r#"["true","false",null,"01","nulls"]"#,
        );
        check(r#""\ud83d\ude00\n\/""#, "\"\u{1f600}\n/\"");
        check(r#""\ud83dx\ude00\ud83d\ud83d\ude00""#, "\"?x??\u{1f600}\"");
        check("  ", "null");
    }

    #[test]
    fn what_gson_cannot_read_or_is_not_here_is_malformed() {
        for text in [
            "[",
            "]",
            "{",
            "{a}",
            "{a:}",
            "{,}",
            r#"{"a":1,}"#,
            "[1 2]",
            "[=]",
            "[\\]",
            "'x",
            r#""\x""#,
            r#""\u12g4""#,
            "/x",
            "[] x",
            "[] []",
            "[1; 2]",
            "{a = 1}",
            "[1 /* x */]",
            "[] #x",
            ")]}'\n[]",
        ] {
            assert_eq!(read(text), Err(Malformed), "{text}");
        }
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(read(&nested(DEPTH_MAX)).is_ok());
        assert_eq!(read(&nested(100_000)), Err(Malformed));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in r#"[\[\]{}:,;='"\\/*#ux0-9a-f \n]*"#) {
            let _ = read(&text);
        }

        #[test]
        fn what_serde_writes_is_read(texts in prop::collection::vec(any::<String>(), 0..4)) {
            let json = serde_json::to_string(&texts).unwrap();
            let expected = texts.into_iter().map(Value::Text).collect();
            prop_assert_eq!(read(&json), Ok(Value::Array(expected)));
        }
    }
}
