//! [`Entries`]: a text's keys and values with their lines, variables put in; and what is wrong
//! with the text itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::properties::{Properties, Property};
use super::substitute::{Lookup, substitute};
use crate::config::problem::{Finding, Problem, ProblemKind, Severity};

/// Bytes of a text that are read, and of all values once variables are put in. A configuration of
/// a hundred components has about 20 KiB.
const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// What becomes of mistakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strictness {
    Strict,
    Lenient,
}

/// A text's keys and values.
#[derive(Debug)]
pub(super) struct Entries {
    pub(super) file: Arc<str>,
    values: BTreeMap<String, Entry>,
    /// What is wrong with the text itself.
    pub(super) problems: Vec<Problem>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) value: String,
    pub(super) line: u32,
}

impl Entries {
    pub(super) fn read(
        file: Arc<str>,
        text: &str,
        strictness: Strictness,
        lookup: &Lookup<'_>,
    ) -> Self {
        let mut entries = Self {
            file,
            values: BTreeMap::new(),
            problems: Vec::new(),
        };
        if text.len() > TEXT_BYTES_MAX {
            let (bytes, most) = (text.len(), TEXT_BYTES_MAX);
            entries.tell(
                Severity::Error,
                None,
                "",
                ProblemKind::TooLong { bytes, most },
            );
            return entries;
        }
        if is_utf16(text) {
            entries.tell(Severity::Error, None, "", ProblemKind::Utf16);
            return entries;
        }
        let text = entries.behind_mark(text, strictness);
        let (properties, errors) = Properties::parse_all(text);
        for error in errors {
            let mut lines = properties.entries().iter();
            let entry = lines.find(|entry| entry.line == error.line);
            let key = entry.map_or("", |entry| trim(&entry.key));
            let kind = ProblemKind::Escape(error.kind);
            entries.tell(Severity::Error, Some(error.line), key, kind);
        }
        let mut bytes = 0;
        for property in properties.entries() {
            bytes += entries.add(property, lookup);
            if bytes > TEXT_BYTES_MAX {
                let kind = ProblemKind::ValuesTooLong {
                    most: TEXT_BYTES_MAX,
                };
                entries.tell(Severity::Error, Some(property.line), &property.key, kind);
                break;
            }
        }
        entries
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.values.iter().map(|(key, entry)| (key.as_str(), entry))
    }

    pub(super) fn line(&self, key: &str) -> Option<u32> {
        self.values.get(key).map(|entry| entry.line)
    }

    /// Finds the line of a finding: its key's, or else the first one that shares most of the key.
    pub(super) fn locate(&self, finding: Finding) -> Problem {
        let mut key = finding.key.as_str();
        let line = loop {
            if let Some(line) = self.line(key).or_else(|| self.first_line_under(key)) {
                break Some(line);
            }
            match key.rsplit_once('.') {
                Some((parent, _)) => key = parent,
                None => break None,
            }
        };
        Problem {
            severity: finding.severity,
            file: Arc::clone(&self.file),
            line,
            key: finding.key,
            kind: finding.kind,
        }
    }

    /// The text without a byte order mark, of which is told. Lenient, it is read as Flume does:
    /// the mark is a part of the first key.
    fn behind_mark<'t>(&mut self, text: &'t str, strictness: Strictness) -> &'t str {
        let Some(behind) = MARKS.iter().find_map(|mark| text.strip_prefix(mark)) else {
            return text;
        };
        self.tell(Severity::Warning, Some(1), "", ProblemKind::ByteOrderMark);
        match strictness {
            Strictness::Strict => behind,
            Strictness::Lenient => text,
        }
    }

    /// Adds an entry and says how many bytes it takes.
    fn add(&mut self, property: &Property, lookup: &Lookup<'_>) -> usize {
        let (key, value) = (trim(&property.key), trim(&property.value));
        let (line, warn) = (property.line, Severity::Warning);
        if let Some(found) = property.foreign.filter(|_| !starts_with_mark(key)) {
            self.tell(warn, Some(line), key, ProblemKind::NotAscii { found });
        }
        if property.loses_backslash {
            let read = value.to_owned();
            self.tell(warn, Some(line), key, ProblemKind::LostBackslash { read });
        }
        let (value, problems) = substitute(value, lookup, TEXT_BYTES_MAX);
        for kind in problems {
            self.tell(warn, Some(line), key, kind);
        }
        if trim(&value).is_empty() {
            self.tell(warn, Some(line), key, ProblemKind::EmptyValue);
        }
        let value = trim(&value).to_owned();
        let bytes = key.len() + value.len();
        let earlier = self.values.insert(key.to_owned(), Entry { value, line });
        if let Some(Entry { line: first, .. }) = earlier {
            self.tell(warn, Some(line), key, ProblemKind::SetAgain { first });
        }
        bytes
    }

    fn tell(&mut self, severity: Severity, line: Option<u32>, key: &str, kind: ProblemKind) {
        self.problems.push(Problem {
            severity,
            file: Arc::clone(&self.file),
            line,
            key: key.to_owned(),
            kind,
        });
    }

    fn first_line_under(&self, key: &str) -> Option<u32> {
        let prefix = format!("{key}.");
        let from = self.values.range(prefix.clone()..);
        let under = from.take_while(|(key, _)| key.starts_with(&prefix));
        under.map(|(_, entry)| entry.line).min()
    }
}

/// Byte order marks of UTF-8: as one character, and as it is read in ISO-8859-1.
const MARKS: [&str; 2] = ["\u{feff}", "\u{ef}\u{bb}\u{bf}"];

fn starts_with_mark(key: &str) -> bool {
    MARKS.iter().any(|mark| key.starts_with(mark))
}

/// Whether a text was written in UTF-16, by its byte order mark in ISO-8859-1 or its zero bytes.
fn is_utf16(text: &str) -> bool {
    ["\u{ff}\u{fe}", "\u{fe}\u{ff}"]
        .iter()
        .any(|mark| text.starts_with(mark))
        || text.contains('\0')
}

/// Java's `trim`.
fn trim(text: &str) -> &str {
    text.trim_matches(|c| c <= ' ')
}
