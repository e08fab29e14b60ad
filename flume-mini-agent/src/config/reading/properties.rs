//! [`Properties`]: the syntax of `java.util.Properties`, with line numbers.
//!
//! | text | meaning |
//! |---|---|
//! | `# ...`, `! ...` | a comment; it ends with its line, whatever its last character |
//! | `key = value`, `key : value`, `key value` | one entry; blanks around the separator are dropped |
//! | `value \` | goes on in the next line, whose leading blanks are dropped |
//! | `\t` `\n` `\r` `\f` `\\` `\u0041` | the character; `\` before any other is dropped |
//!
//! Blanks are space, tab and form feed. Trailing blanks belong to the value. Where a key occurs
//! twice the later one counts, and both are kept here to be told of.
//!
//! Not here: characters outside of Unicode (a lone half of a surrogate pair), which Java takes.

use std::fmt;

use crate::config::problem::EscapeError;

/// One `key = value` of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Property {
    /// The key, without its escapes.
    pub key: String,
    /// The value, without its escapes.
    pub value: String,
    /// The line the entry starts in, from 1.
    pub line: u32,
    /// The first character that is written as it is and that Java reads as others.
    pub(super) foreign: Option<char>,
    /// Whether the value has a backslash that was probably meant as one.
    pub(super) loses_backslash: bool,
}

/// What a text in the syntax of `java.util.Properties` says.
///
/// ```
/// use flume_mini_agent::config::Properties;
///
/// let properties = Properties::parse("# an agent\na1.sources = r1 \\\n    r2\n")?;
/// assert_eq!(properties.value("a1.sources"), Some("r1 r2"));
/// assert_eq!(properties.entries()[0].line, 2);
/// # Ok::<(), flume_mini_agent::config::PropertiesError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    entries: Vec<Property>,
}

/// An escape that Java refuses, too.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct PropertiesError {
    pub(super) line: u32,
    pub(super) kind: EscapeError,
}

impl fmt::Debug for PropertiesError {
    /// The message as it is, since tests mostly see it through `unwrap`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Properties {
    /// Reads a text. Memory is bounded by the text's length.
    ///
    /// # Errors
    ///
    /// The first escape that cannot be read.
    pub fn parse(text: &str) -> Result<Self, PropertiesError> {
        let (properties, errors) = Self::parse_all(text);
        errors.first().map_or(Ok(properties), |error| Err(*error))
    }

    /// Reads a text and goes on after errors: a value that has one stays as it is written, an entry
    /// whose key has one is left out.
    pub(super) fn parse_all(text: &str) -> (Self, Vec<PropertiesError>) {
        let mut properties = Self::default();
        let mut errors = Vec::new();
        for (line, logical) in logical_lines(text) {
            let (key, value) = split(&logical);
            let loses = loses_backslash(value);
            let (key, value) = (unescape(key), unescape(value).map_err(|kind| (kind, value)));
            let kinds = [
                key.as_ref().err(),
                value.as_ref().err().map(|(kind, _)| kind),
            ];
            let kinds = kinds.into_iter().flatten();
            errors.extend(kinds.map(|kind| PropertiesError { line, kind: *kind }));
            if let Ok(key) = key {
                properties.entries.push(Property {
                    key,
                    // An error tells of it already.
                    loses_backslash: loses && value.is_ok(),
                    value: value.unwrap_or_else(|(_, raw)| raw.to_owned()),
                    line,
                    foreign: logical.chars().find(|c| !c.is_ascii()),
                });
            }
        }
        (properties, errors)
    }

    /// All entries in the order of the text, also those whose key comes again later.
    #[must_use]
    pub fn entries(&self) -> &[Property] {
        &self.entries
    }

    /// The value of a key: the last one, if it occurs more than once.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        let mut matching = self.entries.iter().filter(|entry| entry.key == key);
        matching.next_back().map(|entry| entry.value.as_str())
    }
}

impl PropertiesError {
    /// The line, from 1.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.line
    }

    /// What is wrong there.
    #[must_use]
    pub fn kind(&self) -> EscapeError {
        self.kind
    }
}

/// The lines that hold an entry: without leading blanks, comments and line continuations.
fn logical_lines(text: &str) -> Vec<(u32, String)> {
    let mut lines = Vec::new();
    let (mut logical, mut start) = (String::new(), 1);
    let mut continued = false;
    let mut terminator = "";
    for natural in (NaturalLines { text, number: 0 }) {
        let content = natural.content.trim_start_matches(is_blank);
        if logical.is_empty() {
            start = natural.number;
            if content.is_empty() || content.starts_with(['#', '!']) {
                continued = false;
                continue;
            }
        }
        let backslashes = content.len() - content.trim_end_matches('\\').len();
        continued = backslashes % 2 == 1;
        terminator = natural.terminator;
        if continued {
            logical.push_str(content.strip_suffix('\\').unwrap_or(content));
        } else {
            logical.push_str(content);
            lines.push((start, std::mem::take(&mut logical)));
        }
    }
    // Java makes an empty entry of a lone backslash at the end, but not if "\r\n" follows it.
    if continued && (!logical.is_empty() || terminator != "\r\n") {
        lines.push((start, logical));
    }
    lines
}

/// A line as an editor shows it.
struct NaturalLine<'t> {
    number: u32,
    content: &'t str,
    terminator: &'static str,
}

struct NaturalLines<'t> {
    text: &'t str,
    number: u32,
}

impl<'t> Iterator for NaturalLines<'t> {
    type Item = NaturalLine<'t>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.text.is_empty() {
            return None;
        }
        let end = self.text.find(['\n', '\r']).unwrap_or(self.text.len());
        let (content, rest) = self.text.split_at(end);
        let terminator = ["\r\n", "\r", "\n"]
            .into_iter()
            .find(|terminator| rest.starts_with(terminator))
            .unwrap_or("");
        self.text = rest.strip_prefix(terminator).unwrap_or(rest);
        self.number = self.number.saturating_add(1);
        Some(NaturalLine {
            number: self.number,
            content,
            terminator,
        })
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0c')
}

/// Splits a logical line at the first separator that no backslash precedes.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|c| {
        let found = !escaped && (is_blank(c) || matches!(c, '=' | ':'));
        escaped = c == '\\' && !escaped;
        found
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(is_blank);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, value.trim_start_matches(is_blank))
}

/// Whether a value has a backslash before a letter or digit that needs none, or begins as a path
/// of Windows does. Such a backslash is dropped, or makes another character.
fn loses_backslash(raw: &str) -> bool {
    let mut rest = raw;
    while let Some((_, escape)) = rest.split_once('\\') {
        let mut after = escape.chars();
        let escaped = after.next();
        let is_needless = |c: char| c.is_ascii_alphanumeric() && !"tnrfu".contains(c);
        if escaped.is_some_and(is_needless) {
            return true;
        }
        rest = after.as_str();
    }
    let mut start = raw.chars();
    let is_drive =
        start.next().is_some_and(|c| c.is_ascii_alphabetic()) && start.next() == Some(':');
    is_drive && start.next() == Some('\\') && start.next() != Some('\\')
}

fn unescape(raw: &str) -> Result<String, EscapeError> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        let mut after = escape.chars();
        match after.next() {
            Some('u') => {
                let (c, behind) = unicode(after.as_str())?;
                text.push(c);
                rest = behind;
                continue;
            }
            Some('t') => text.push('\t'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('f') => text.push('\x0c'),
            Some(other) => text.push(other),
            None => {}
        }
        rest = after.as_str();
    }
    text.push_str(rest);
    Ok(text)
}

/// The character of a `\u`, or of the pair of them, whose digits start `text`; and what follows.
fn unicode(text: &str) -> Result<(char, &str), EscapeError> {
    let (unit, rest) = utf16_unit(text)?;
    if let Some(c) = char::from_u32(u32::from(unit)) {
        return Ok((c, rest));
    }
    let half = EscapeError::HalfCharacter(unit);
    let second = rest.strip_prefix("\\u").ok_or(half)?;
    let (low, rest) = utf16_unit(second)?;
    match char::decode_utf16([unit, low]).next() {
        Some(Ok(c)) => Ok((c, rest)),
        _ => Err(half),
    }
}

fn utf16_unit(text: &str) -> Result<(u16, &str), EscapeError> {
    let (digits, rest) = text.split_at_checked(4).ok_or(EscapeError::Malformed)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(EscapeError::Malformed);
    }
    let unit = u16::from_str_radix(digits, 16).map_err(|_| EscapeError::Malformed)?;
    Ok((unit, rest))
}
