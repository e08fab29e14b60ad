//! [`Edits`]: what the user's own look at a record changes in it.

/// What becomes of a record that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is delivered, with its edits.
    Keep,
    /// It is dropped, and counted in [`LevelStats::dropped`](crate::LevelStats::dropped).
    Drop,
}

/// What is changed in a record before it is written, in the body and in promoted headers alike.
///
/// A field is meant by its name, wherever it stands: in the record or in a span around it.
#[derive(Debug, Default)]
pub struct Edits {
    message: Option<String>,
    fields: Vec<(String, Option<String>)>,
}

impl Edits {
    /// Puts another message in the place of the record's, if it had one or not.
    pub fn set_message(&mut self, message: impl Into<String>) {
        self.message = Some(message.into());
    }

    /// Puts a text in the place of the values of all fields of this name. Also of those that would be
    /// hidden by [`Builder::redact`](crate::Builder::redact).
    pub fn replace(&mut self, name: &str, text: impl Into<String>) {
        self.edit(name, Some(text.into()));
    }

    /// Leaves all fields of this name out.
    pub fn remove(&mut self, name: &str) {
        self.edit(name, None);
    }

    fn edit(&mut self, name: &str, text: Option<String>) {
        match self.fields.iter_mut().find(|(known, _)| known == name) {
            Some(known) => known.1 = text,
            None => self.fields.push((name.to_owned(), text)),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.message.is_none() && self.fields.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.message = None;
        self.fields.clear();
    }

    pub(super) fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// Of a field: `None` if it is as it was, else its new text, or none if it is left out.
    pub(super) fn of(&self, name: &str) -> Option<Option<&str>> {
        let edit = self.fields.iter().find(|(known, _)| known == name);
        edit.map(|(_, text)| text.as_deref())
    }
}
