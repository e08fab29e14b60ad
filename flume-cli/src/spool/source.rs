//! [`Spool`]: a spool that is looked at. Nothing can be written to it from here.

use std::io;
use std::path::{Path, PathBuf};

use flume_client::spool::{
    Access, CURSOR_BYTES, Cursor, CursorState, Directory, FileName, ForeignOwner, HeaderBlock,
    Holder, NetworkFileSystem, SEGMENT_HEADER_BYTES, Storage, StoredEvent, Survey, places,
};

use super::problem::Problem;
use super::progress::Progress;
use crate::output;
use crate::text;

#[derive(Debug)]
pub(super) struct Spool {
    path: PathBuf,
    storage: ReadOnly,
}

/// Whose spools are looked after: anybody's, wherever they are. Only root gets at those of others.
pub(super) const ANY: Access = Access {
    network: NetworkFileSystem::Allowed,
    owner: ForeignOwner::AllowedToRoot,
};

/// How often a directory is listed of which another process renames files meanwhile. Each try is a
/// few system calls, and a service under load can be in the way of some of them.
const TRIES: u32 = 30;

impl Spool {
    /// Fails if there is no spool, or it cannot be read.
    pub(super) fn look(path: &Path) -> Result<Self, Problem> {
        Self::find(path)?.ok_or_else(|| Problem::NoSpool(path.to_owned()))
    }

    /// `None`: the directory is no spool.
    pub(super) fn find(path: &Path) -> Result<Option<Self>, Problem> {
        let mut storage = ReadOnly {
            directory: Directory::look(path)?,
            progress: Progress::default(),
            aside: None,
        };
        let files = storage.list();
        let files = files.map_err(Problem::io("read the directory", path))?;
        let is_spool = |(file, bytes): &(FileName, u64)| match file {
            FileName::Cursor => *bytes == CURSOR_BYTES as u64,
            _ => true,
        };
        if !files.iter().any(is_spool) {
            return Ok(None);
        }
        // A file that may not be read, or is of another version, is no damaged one.
        let mut cursor = vec![0; CURSOR_BYTES];
        let read = storage.read(FileName::Cursor, 0, &mut cursor);
        let read = read.and_then(|read| {
            match Cursor::other_version(cursor.get(..read).unwrap_or_default()) {
                Some(version) => Err(io::Error::other(other_version(version))),
                None => Ok(()),
            }
        });
        match read {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Problem::Io("read", path.join("cursor"), error));
            }
            _ => {}
        }
        let segments = files
            .iter()
            .filter(|(file, _)| matches!(file, FileName::Segment(_)));
        let bytes = segments.map(|(_, bytes)| bytes).sum();
        storage.progress = Progress::of(bytes, format!("reading {}", text::path(path)));
        let path = path.to_owned();
        Ok(Some(Self { path, storage }))
    }

    /// The spools of further processes in the directory, which are looked at by their own names.
    pub(super) fn note_other_places(&self) {
        let others = places(&self.path).skip(1);
        let others =
            others.filter(|place| place.is_dir() && matches!(Self::find(place), Ok(Some(_))));
        let others: Vec<_> = others.map(|place| text::path(&place)).collect();
        if !others.is_empty() {
            output::note(format_args!(
                "further processes have spools of their own in it, which are not looked at here: {}",
                others.join(", ")
            ));
        }
    }

    /// A segment that was set aside, as if it were all of the spool. What of it is done with is
    /// told by the spool's cursor, or by none.
    pub(super) fn aside(&self, id: u64, has_cursor: bool) -> Result<Self, Problem> {
        let storage = ReadOnly {
            directory: Directory::look(&self.path)?,
            progress: Progress::default(),
            aside: Some(Aside { id, has_cursor }),
        };
        let path = self.path.clone();
        Ok(Self { path, storage })
    }

    /// The files that a spool makes, and their bytes.
    pub(super) fn files(&self) -> Result<Vec<(FileName, u64)>, Problem> {
        let files = self.storage.list();
        let mut files = files.map_err(Problem::io("read the directory", &self.path))?;
        files.sort_unstable();
        Ok(files)
    }

    /// Which events are done with by now.
    pub(super) fn cursor(&self) -> Option<Cursor> {
        let mut file = vec![0; CURSOR_BYTES];
        let read = self.storage.read(FileName::Cursor, 0, &mut file).ok()?;
        Cursor::read(file.get(..read)?).0
    }

    /// How its cursor is, as whoever opens it finds it.
    pub(super) fn cursor_state(&self) -> CursorState {
        let mut file = vec![0; CURSOR_BYTES];
        let (cursor, is_damaged) = match self.storage.read(FileName::Cursor, 0, &mut file) {
            Ok(read) => Cursor::read(file.get(..read).unwrap_or_default()),
            Err(error) => (None, error.kind() != io::ErrorKind::NotFound),
        };
        match (cursor.is_some(), is_damaged) {
            (true, false) => CursorState::Whole,
            (true, true) => CursorState::Repaired,
            (false, true) => CursorState::Damaged,
            (false, false) => CursorState::Missing,
        }
    }

    /// Whether some segment cannot be read now, as far as its header tells.
    pub(super) fn is_any_unread(&self) -> bool {
        let files = self.storage.list().unwrap_or_default().into_iter();
        let mut segments = files.filter(|(file, _)| matches!(file, FileName::Segment(_)));
        segments.any(|(file, _)| {
            let mut block = vec![0; SEGMENT_HEADER_BYTES];
            let read = self.storage.read(file, 0, &mut block);
            let block = read.ok().and_then(|read| block.get(..read));
            block.is_none_or(|block| {
                matches!(HeaderBlock::read(block), HeaderBlock::OtherVersion { .. })
            })
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Which other process has it at this moment.
    pub(super) fn holder(&self) -> Result<Option<Holder>, Problem> {
        let holder = Directory::holder(&self.path)?;
        Ok(holder.filter(|holder| holder.process != Some(std::process::id())))
    }

    /// Reads all of it, until `on_event` fails.
    pub(super) fn read(
        &self,
        mut on_event: impl FnMut(StoredEvent<'_>) -> Result<(), Problem>,
    ) -> Result<Survey, Problem> {
        let mut stopped = None;
        self.storage.progress.restart();
        let survey = Survey::take(&self.storage, |event| {
            on_event(event).map_err(|problem| {
                stopped = Some(problem);
                io::ErrorKind::Interrupted.into()
            })
        });
        self.storage.progress.clear();
        survey.map_err(|error| {
            let listing = || Problem::io("read the directory", &self.path)(error);
            stopped.unwrap_or_else(listing)
        })
    }
}

/// How a cursor is, in a word.
pub(super) fn cursor_word(cursor: CursorState) -> &'static str {
    match cursor {
        CursorState::Missing => "missing",
        CursorState::Damaged => "damaged",
        CursorState::Repaired => "one slot damaged",
        CursorState::Whole => "whole",
    }
}

/// A directory, and an error for whoever tries to change it.
#[derive(Debug)]
struct ReadOnly {
    directory: Directory,
    progress: Progress,
    aside: Option<Aside>,
}

/// Which segment that was set aside is shown as the only one.
#[derive(Clone, Copy, Debug)]
struct Aside {
    id: u64,
    has_cursor: bool,
}

impl Aside {
    /// The file's name in its role.
    fn shown_as(self, file: FileName) -> Option<FileName> {
        match file {
            FileName::Cursor if self.has_cursor => Some(file),
            FileName::Quarantine(id) if id == self.id => Some(FileName::Segment(id)),
            _ => None,
        }
    }
}

fn refused() -> io::Error {
    io::Error::new(
        io::ErrorKind::ReadOnlyFilesystem,
        "a spool is only read here",
    )
}

impl Storage for ReadOnly {
    fn list(&self) -> io::Result<Vec<(FileName, u64)>> {
        let mut tries = 1;
        let files = loop {
            match self.directory.list() {
                // One was renamed while they were listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound && tries < TRIES => {
                    tries += 1;
                }
                listed => break listed?,
            }
        };
        let Some(aside) = self.aside else {
            return Ok(files);
        };
        let shown = |(file, bytes)| Some((aside.shown_as(file)?, bytes));
        Ok(files.into_iter().filter_map(shown).collect())
    }

    fn read(&self, file: FileName, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let file = match (self.aside, file) {
            (Some(_), FileName::Segment(id)) => FileName::Quarantine(id),
            (Some(Aside { has_cursor, .. }), FileName::Cursor) if !has_cursor => {
                return Err(io::ErrorKind::NotFound.into());
            }
            _ => file,
        };
        let read = self.directory.read(file, offset, bytes)?;
        self.progress.add(read);
        Ok(read)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.directory.free_bytes()
    }

    fn create(&self, _: FileName, _: u64) -> io::Result<()> {
        Err(refused())
    }

    fn write(&self, _: FileName, _: u64, _: &[u8]) -> io::Result<()> {
        Err(refused())
    }

    fn truncate(&self, _: FileName, _: u64) -> io::Result<()> {
        Err(refused())
    }

    fn sync(&self, _: FileName) -> io::Result<()> {
        Err(refused())
    }

    fn rename(&self, _: FileName, _: FileName) -> io::Result<()> {
        Err(refused())
    }

    fn remove(&self, _: FileName) -> io::Result<()> {
        Err(refused())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Err(refused())
    }
}

/// Why a segment of another version of the format is not read.
pub(super) fn other_version(version: u16) -> String {
    format!(
        "it is of format version {version}, which this command does not know, and is left alone; \
         read it with the release that wrote it"
    )
}
