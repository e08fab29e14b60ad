//! What lies in a directory of spools beside one's own place.

use std::path::{Path, PathBuf};
use std::process;

use flume_client::spool::{Directory, places};

use super::examined::Examined;
use super::problem::Problem;
use super::source::Spool;
use crate::unread::UnreadableLine;

/// What is in the places that nobody has.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere {
    /// Where events wait that can be read, and how many.
    pub(crate) pending: Vec<(PathBuf, u64)>,
    /// Places and files that cannot be read.
    pub(crate) unreadable: Vec<UnreadableLine>,
}

/// Whether this process's client delivers what is in another place, which it locks meanwhile.
pub(crate) fn is_taking_over(root: &Path, own: &Path) -> bool {
    others(root, own).into_iter().any(|place| {
        let holder = Directory::holder(&place).ok().flatten();
        holder.is_some_and(|holder| holder.process == Some(process::id()))
    })
}

impl Elsewhere {
    /// What is there now. All of these places are read.
    pub(crate) fn look(root: &Path, own: &Path) -> Self {
        let mut found = Self::default();
        for place in others(root, own) {
            match examine(&place) {
                Ok(Some(it)) if it.holder.is_none() => {
                    let events = it.survey.events();
                    found.unreadable.extend(it.unreadable(&place));
                    if events > 0 {
                        found.pending.push((place, events));
                    }
                }
                Ok(_) => {}
                // Another user's is delivered by that user, and the client tells of it.
                Err(problem) if is_same_owners(&place, own) => {
                    found.unreadable.push(problem.unreadable(&place));
                }
                Err(_) => {}
            }
        }
        found
    }
}

/// `None`: there is no spool, or somebody has it.
fn examine(place: &Path) -> Result<Option<Examined>, Problem> {
    if Directory::holder(place)?.is_some() {
        return Ok(None);
    }
    let spool = Spool::find(place)?;
    spool.map(|spool| Examined::of(&spool, 0)).transpose()
}

fn others(root: &Path, own: &Path) -> Vec<PathBuf> {
    // The client's place is absolute, whatever its directory was called.
    let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    let others = places(&root).filter(|place| place != own && place.is_dir());
    others.collect()
}

#[cfg(unix)]
fn is_same_owners(place: &Path, own: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let owner = |path: &Path| path.metadata().ok().map(|found| found.uid());
    owner(place) == owner(own)
}

#[cfg(not(unix))]
fn is_same_owners(_: &Path, _: &Path) -> bool {
    true
}
