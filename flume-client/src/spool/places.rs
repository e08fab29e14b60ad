//! One directory for several processes: each has a place of its own in it.
//!
//! | place | directory |
//! |---|---|
//! | the first | the directory itself |
//! | the others | `process-2` and so on in it, made when they are needed |
//!
//! The kernel's lock decides who has a place. A process takes the first free one, and with it what
//! the last one there left; it delivers what lies in the other free ones from where it is. A place is
//! never deleted: a process that comes at that moment would lock something that is gone. One that
//! somebody removed all the same leaves a gap.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::access::{Access, judge};
use super::directory_error::DirectoryError;
use super::folder::Folder;

/// Most processes that share a directory.
const PLACES_MAX: usize = 64;
const PREFIX: &str = "process-";

/// Every place of a directory, whether it is there or not.
pub fn places(root: &Path) -> impl Iterator<Item = PathBuf> + use<'_> {
    let others = (2..=PLACES_MAX).map(|number| root.join(format!("{PREFIX}{number}")));
    std::iter::once(root.to_owned()).chain(others)
}

/// Makes a place if need be. One beside the directory itself gets the directory's owner, if it is
/// made by root.
pub(super) fn make(root: &Path, place: &Path) -> Result<(), DirectoryError> {
    let name = place.strip_prefix(root).ok().and_then(Path::to_str);
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Folder::make(place).map_err(DirectoryError::io("make the directory", place));
    };
    let made = Folder::open(root).and_then(|root| match root.make_directory(name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    });
    made.map_err(DirectoryError::io("make the directory", place))
}

/// The places that are there, except `own`.
pub(crate) fn others(root: &Path, own: &Path) -> Vec<PathBuf> {
    let numbers = numbers(root).into_iter();
    let others = numbers.map(|number| root.join(format!("{PREFIX}{number}")));
    let all = std::iter::once(root.to_owned()).chain(others);
    all.filter(|place| place != own && place.is_dir()).collect()
}

/// Why what lies in other places is not taken over when their processes are gone.
pub(super) fn unusable(root: &Path, own: &Path, access: Access) -> Vec<String> {
    let others = others(root, own).into_iter();
    let judged = others.map(|place| {
        let folder = Folder::open(&place).map_err(DirectoryError::io("open", &place))?;
        judge(&folder, access)
    });
    let told = judged.filter_map(Result::err);
    told.map(|error| not_taken_over(&error)).collect()
}

/// What is told of a place that cannot be used.
pub(crate) fn not_taken_over(error: &DirectoryError) -> String {
    format!("what is left in this place is not taken over: {error}")
}

/// The numbers of the places that are there, in order. One system call or two, however many could
/// be there.
fn numbers(root: &Path) -> Vec<usize> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let number = |name: String| {
        let number = name.strip_prefix(PREFIX)?.parse().ok()?;
        let is_place = (2..=PLACES_MAX).contains(&number) && name == format!("{PREFIX}{number}");
        is_place.then_some(number)
    };
    let mut numbers: Vec<_> = names.filter_map(number).collect();
    numbers.sort_unstable();
    numbers
}
