//! [`Entries`]: a text's keys and values with their lines, variables put in; and what is wrong
//! with the text itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::problem::{Finding, Problem, ProblemKind, Severity};
use super::properties::{Properties, Property};
use super::substitute::{Lookup, substitute};

/// Bytes of a text that are read, and of all values once variables are put in. A configuration of
/// a hundred components has about 20 KiB.
const TEXT_BYTES_MAX: usize = 1024 * 1024;

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
    pub(super) fn read(file: Arc<str>, text: &str, lookup: &Lookup<'_>) -> Self {
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
        let (properties, errors) = Properties::parse_all(text);
        for error in errors {
            let kind = ProblemKind::Escape(error.kind);
            entries.tell(Severity::Error, Some(error.line), "", kind);
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

    /// Adds an entry and says how many bytes it takes.
    fn add(&mut self, property: &Property, lookup: &Lookup<'_>) -> usize {
        let (key, value) = (trim(&property.key), trim(&property.value));
        let (line, warn) = (property.line, Severity::Warning);
        if let Some(found) = property.foreign {
            self.tell(warn, Some(line), key, ProblemKind::NotAscii { found });
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

/// Java's `trim`.
fn trim(text: &str) -> &str {
    text.trim_matches(|c| c <= ' ')
}
