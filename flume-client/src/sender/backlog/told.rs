//! [`ToldFiles`]: what is said of files that cannot be read.

use std::path::PathBuf;
use std::sync::Arc;

use super::super::reading::LeftOut;
use crate::spool::{Told, Unread};
use crate::stats::{Passed, UnreadableEvents};

/// Files that cannot be read, each once, by the id in its name.
#[derive(Default)]
pub(super) struct ToldFiles {
    pub(super) files: Vec<(Option<u64>, UnreadableEvents)>,
    pub(super) told: Told,
}

impl ToldFiles {
    pub(super) fn add(
        &mut self,
        segment: Option<u64>,
        events_max: u64,
        why: &Arc<str>,
        passed: Passed,
    ) {
        match self.files.iter_mut().find(|(id, _)| *id == segment) {
            Some((_, it)) => it.events_max += events_max,
            None => {
                let it = UnreadableEvents {
                    file: PathBuf::new(),
                    events_max,
                    why: why.clone(),
                    passed,
                };
                self.files.push((segment, it));
            }
        }
    }

    /// They are in the file that is named, and as many as it cannot hold in those after it.
    pub(super) fn add_left_out(&mut self, it: &LeftOut, unread: &[Unread]) {
        let mut rest = it.events;
        let files = unread.iter().skip_while(|file| Some(file.id) != it.segment);
        for file in files {
            let here = self.told.tell([file], rest);
            if here > 0 {
                let why = file.why.to_string().into();
                self.add(Some(file.id), here, &why, Passed::Yes);
            }
            rest -= here;
        }
        if rest > 0 || it.events == 0 {
            self.add(it.segment, rest, &it.why, Passed::Yes);
        }
    }
}
