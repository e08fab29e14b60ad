//! One directory for several processes: each has a place of its own in it.
//!
//! | place | directory |
//! |---|---|
//! | the first | the directory itself |
//! | the others | `process-2` and so on in it, made when they are needed |
//!
//! The kernel's lock decides who has a place. A process takes the first free one, and with it what
//! the last one there left; it delivers what lies in the other free ones from where it is. A place is never deleted: whoever comes at that moment would lock
//! something that is gone.

use std::path::{Path, PathBuf};

use super::directory::{Directory, DirectoryError, NetworkFileSystem};

/// Most processes that share a directory.
const PLACES_MAX: usize = 64;

/// Every place of a directory, whether it is there or not.
pub fn places(root: &Path) -> impl Iterator<Item = PathBuf> + use<'_> {
    let others = (2..=PLACES_MAX).map(|number| root.join(format!("process-{number}")));
    std::iter::once(root.to_owned()).chain(others)
}

/// Locks the first place that nobody has. An error names the holder of the directory itself.
pub fn open_first_free(
    root: &Path,
    network: NetworkFileSystem,
) -> Result<Directory, DirectoryError> {
    let mut all_locked = None;
    for place in places(root) {
        match Directory::open(&place, network) {
            Err(error @ DirectoryError::Locked { .. }) => {
                all_locked.get_or_insert(error);
            }
            opened => return opened,
        }
    }
    Err(all_locked.expect("there is at least one place"))
}

/// Locks the places that nobody has, but for `own`, one after the other.
pub fn abandoned<'a>(
    root: &'a Path,
    own: &'a Path,
    network: NetworkFileSystem,
) -> impl Iterator<Item = Directory> + 'a {
    places(root)
        .take_while(|place| place.is_dir())
        .filter(move |place| place != own)
        .filter_map(move |place| Directory::open(&place, network).ok())
}
