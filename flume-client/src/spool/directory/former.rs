//! [`Former`]: what can still be read of a directory that was removed or moved.
#![expect(
    clippy::disallowed_types,
    reason = "it holds the files of a directory open"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use super::super::handle::Handle;
use super::super::storage::FileName;
use super::place::Place;

/// Former directories that are kept open to be read, two descriptors each.
pub(super) const FORMER_MAX: usize = 4;
/// Segments of former directories that are kept open, a descriptor each. They may be there by that
/// alone: of more, those of the lowest ids are closed, and if their directory was removed, their
/// events are gone.
pub(super) const FORMER_OPEN_MAX: usize = 16;

/// Where files were before the directory was removed or moved.
#[derive(Debug, Default)]
pub(super) struct Former {
    /// Segments of lower ids are there.
    pub(super) below: u64,
    /// The last one comes last.
    pub(super) places: Vec<Arc<Place>>,
    /// Files that were open then. What was removed can be read by these alone.
    pub(super) open: BTreeMap<FileName, Reading>,
}

/// A file that is open for reading at the least.
#[derive(Clone, Debug)]
pub(super) enum Reading {
    Handle(Arc<Handle>),
    File(Arc<File>),
}

impl Former {
    /// Keeps a segment's file open.
    pub(super) fn keep(&mut self, file: FileName, open: Reading) {
        if matches!(file, FileName::Segment(_)) {
            self.open.insert(file, open);
        }
        while self.open.len() > FORMER_OPEN_MAX {
            self.open.pop_first();
        }
    }

    pub(super) fn has(&self, file: FileName) -> bool {
        matches!(file, FileName::Segment(id) if id < self.below)
    }
}
