//! [`Pattern`]: the regular expression of a regex_filter.
//!
//! Java's syntax for the most part; where it differs:
//!
//! | in Java | here |
//! |---|---|
//! | look-around, back references, possessive quantifiers, `\Q..\E`, `[a&&b]` | an error at the start |
//! | `\p{Alpha}` and other classes by property | an error at the start |
//! | `.` stops at `\r`, U+0085, U+2028 and U+2029, too | it stops at `\n` only |
//! | `$` matches before a last line end, too | it matches at the end only |
//!
//! As in Java, `\d`, `\w`, `\s` and `(?i)` know ASCII only, and bytes that are not UTF-8 are U+FFFD.

use regex_lite::Regex;

/// A regular expression, compiled.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(Regex);

/// Why a regular expression cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the regular expression {regex:?} cannot be used here: {reason}")]
pub(crate) struct BadPattern {
    regex: String,
    reason: String,
}

impl Pattern {
    pub(crate) fn new(regex: &str) -> Result<Self, BadPattern> {
        let bad = |reason: String| BadPattern {
            regex: regex.to_owned(),
            reason,
        };
        if let Some(what) = misread(regex) {
            return Err(bad(format!("{what} are not supported")));
        }
        let compiled = Regex::new(regex).map_err(|error| bad(error.to_string()))?;
        Ok(Self(compiled))
    }

    /// Whether it matches somewhere in `body`.
    pub(super) fn finds(&self, body: &[u8]) -> bool {
        self.0.is_match(&String::from_utf8_lossy(body))
    }
}

/// What is in `regex` that would silently mean something else than in Java.
fn misread(regex: &str) -> Option<&'static str> {
    let mut characters = regex.chars().peekable();
    let (mut in_class, mut in_count) = (false, false);
    let mut previous = '(';
    while let Some(character) = characters.next() {
        let mut is_quantifier = false;
        match character {
            '\\' => _ = characters.next(),
            ']' => in_class = false,
            '[' if in_class => return Some("classes within classes"),
            '&' if in_class && characters.peek() == Some(&'&') => {
                return Some("intersections of classes");
            }
            _ if in_class => {}
            '[' => in_class = true,
            '{' => in_count = true,
            '}' if in_count => {
                in_count = false;
                is_quantifier = true;
            }
            '*' | '+' => is_quantifier = true,
            '?' => is_quantifier = previous != '(',
            _ => {}
        }
        if is_quantifier && characters.peek() == Some(&'+') {
            return Some("possessive quantifiers");
        }
        previous = character;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_java_has_and_we_have_not_is_an_error_that_names_the_expression() {
        for regex in [
            "(?=a)",
            r"(a)\1",
            "a++",
            r"\Qa\E",
            "[a-z&&[^b]]",
            r"\p{Alpha}",
            "(",
        ] {
            let error = Pattern::new(regex).unwrap_err().to_string();
            assert!(error.starts_with("the regular expression \""), "{error}");
        }
    }

    #[test]
    fn quantifiers_and_classes_that_only_look_possessive_or_nested_are_taken() {
        for regex in [r"\++", "[+*]+", r"[\[&]+", "(?:a)+?", "a+b+"] {
            assert_eq!(Pattern::new(regex).err(), None, "{regex}");
        }
    }

    #[test]
    fn classes_and_case_know_ascii_only_as_in_java() {
        let finds = |regex: &str, body: &str| Pattern::new(regex).unwrap().finds(body.as_bytes());
        assert!(finds(r"^\w+\d$", "abc7"));
        assert!(!finds(r"\w", "\u{e4}"));
        assert!(finds("(?i)k", "K"));
        assert!(!finds("(?i)\u{e4}", "\u{c4}"));
    }

    #[test]
    fn a_body_that_is_no_text_is_searched_all_the_same() {
        assert!(Pattern::new("b$").unwrap().finds(b"\xffb"));
    }
}
