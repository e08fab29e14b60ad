//! What lies in a directory of spools beside one's own place.

use std::path::{Path, PathBuf};
use std::process;

use flume_client::spool::{Directory, places};

use super::examined::Examined;
use super::source::Spool;

/// Whether this process's client is copying events from another place, which it locks meanwhile.
pub(crate) fn is_taking_over(root: &Path, own: &Path) -> bool {
    others(root, own).any(|place| {
        let holder = Directory::holder(&place).ok().flatten();
        holder.is_some_and(|holder| holder.process == Some(process::id()))
    })
}

/// The other places that nobody has and where events wait, and how many. All of them are read.
pub(crate) fn left_elsewhere(root: &Path, own: &Path) -> Vec<(PathBuf, u64)> {
    let left = others(root, own).filter_map(|place| {
        // What cannot be read is told by `flume spool ls`.
        let spool = Spool::find(&place).ok().flatten()?;
        let examined = Examined::of(&spool, 0).ok()?;
        let events = examined.survey.events();
        (events > 0 && examined.holder.is_none()).then_some((place, events))
    });
    left.collect()
}

fn others(root: &Path, own: &Path) -> impl Iterator<Item = PathBuf> {
    places(root).filter(move |place| place != own && place.is_dir())
}
