//! [`Merged`]: members of which the last one of a name stands, in the place of the first.

use std::ops::Range;

/// Members by name. Keeps its room when it is cleared.
#[derive(Debug, Default)]
pub(super) struct Merged {
    bytes: Vec<u8>,
    members: Vec<Place>,
}

/// Where in the bytes a member is.
#[derive(Debug)]
struct Place {
    name: Range<usize>,
    text: Range<usize>,
}

impl Merged {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.members.clear();
    }

    /// Lets go of the room if it is more than so many bytes.
    pub(super) fn trim(&mut self, most: usize) {
        if self.bytes.capacity() > most {
            *self = Self::default();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Adds a member whose name is made of these parts.
    pub(super) fn add(&mut self, name: [&str; 3], write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        for part in name {
            self.bytes.extend_from_slice(part.as_bytes());
        }
        let name = start..self.bytes.len();
        write(&mut self.bytes);
        let text = name.end..self.bytes.len();
        let bytes = &self.bytes;
        let is_same = |known: &&mut Place| bytes.get(known.name.clone()) == bytes.get(name.clone());
        match self.members.iter_mut().find(is_same) {
            Some(known) => known.text = text,
            None => self.members.push(Place { name, text }),
        }
    }

    /// Puts them in the order of their names.
    pub(super) fn sort(&mut self) {
        let bytes = &self.bytes;
        let name = |place: &Place| bytes.get(place.name.clone());
        self.members
            .sort_unstable_by(|one, other| name(one).cmp(&name(other)));
    }

    /// Writes all of them, with `between` between them.
    pub(super) fn put(&self, out: &mut Vec<u8>, between: &[u8]) {
        for (index, member) in self.members.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(between);
            }
            out.extend_from_slice(self.bytes.get(member.text.clone()).unwrap_or_default());
        }
    }
}
