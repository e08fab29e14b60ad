//! [`Adoption`]: what processes left behind that are gone, sent from where they left it.
//!
//! A place that nobody holds is locked and opened like one's own. Its events are read by the worker
//! in a lane of their own: under the numbers and names they have, without being written again, so
//! they take nothing of the quota. Here are its cursor and its files: what is done with is noted
//! within the same time as in one's own place, and when nothing is left the files are removed.
//!
//! | | when | costs |
//! |---|---|---|
//! | a look for such places | at the start; every 30 s; after each place | a dozen system calls for each place there is, nothing is read of one that is in use |
//! | save of the place's cursor | 100 ms after an event was done with; when it is let go | one small write, one flush |
//!
//! One place at a time is adopted. While segments of it cannot be read it is kept, and looked at
//! again as one's own is; if another place waits, it is let go when nothing else is left in it.
//! Beside these times, only what the worker is done with wakes the
//! thread.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::blocking::BlockingThread;
use crate::config::SpoolConfig;
use crate::handover::{Handover, Retirements, SAVE_AFTER};
use crate::intake::Intake;
use crate::random;
use crate::spool::{
    Directory, DirectoryError, FileName, Log, Settings, Storage, Trouble, not_taken_over, others,
};
use crate::unread_timer::UnreadTimer;
use crate::worker::Backlog;

/// How often the committer looks for what other processes left behind.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How long a place that could not be emptied is left alone: nothing but a person or the disk
/// changes it, and each look reads its last segment.
const LEAVE_FOR: Duration = Duration::from_secs(600);
/// How long after a save that failed the next one is tried.
const SAVE_AGAIN: Duration = Duration::from_secs(2);

/// The places of processes that are gone, for one client.
pub(crate) struct Adoption {
    spool: SpoolConfig,
    settings: Settings,
    /// Where the worker reads.
    reading: BlockingThread,
    /// The client's own place.
    own: PathBuf,
    schedule: Schedule,
    adopted: Option<Adopted>,
    /// Places that cannot be opened, and what was told of each.
    unusable: Vec<(PathBuf, String)>,
    /// Of the last save.
    trouble: Option<Arc<Trouble>>,
}

/// When to look, and where not. Time is an argument.
struct Schedule {
    look: Instant,
    /// Places that could not be emptied, and until when they are left alone.
    left: Vec<(PathBuf, Instant)>,
}

/// A place that is being emptied.
struct Adopted {
    directory: Arc<Directory>,
    log: Log,
    handover: Arc<Handover>,
    /// Kept for its buffers.
    retired: Retirements,
    save: Option<Instant>,
    unread: UnreadTimer,
    /// The worker needs it no more.
    is_over: bool,
}

impl Adoption {
    /// For the client whose place is `own`.
    pub(crate) fn new(
        spool: SpoolConfig,
        settings: Settings,
        reading: BlockingThread,
        own: PathBuf,
        now: Instant,
    ) -> Self {
        let settings = Settings {
            // Nothing is written there, so no room is reserved: there is never this much free.
            free_bytes_min: u64::MAX,
            ..settings
        };
        Self {
            spool,
            settings,
            reading,
            own,
            schedule: Schedule::new(now),
            adopted: None,
            unusable: Vec::new(),
            trouble: None,
        }
    }

    /// The client's place is another one now.
    pub(crate) fn own_place_is(&mut self, own: PathBuf) {
        self.own = own;
    }

    /// Does what is due. When the client is `finishing`, what was adopted is let go.
    pub(crate) fn work(&mut self, now: Instant, finishing: bool, intake: &Intake) {
        if let Some(adopted) = &mut self.adopted {
            adopted.take_retired(now);
            adopted.look_again(now);
            if adopted.save.is_some_and(|at| at <= now || finishing) {
                self.trouble = adopted.save(now).err().map(Arc::new);
            }
            if finishing {
                self.adopted = None;
            } else if adopted.is_over && adopted.save.is_none() {
                self.let_go(now, intake);
            }
        }
        if !self.spool.shared || finishing || self.schedule.look > now {
            return;
        }
        match &self.adopted {
            None => self.find(now, intake),
            Some(adopted) if adopted.log.unread().is_empty() => {}
            Some(adopted) => {
                let handover = adopted.handover.clone();
                if self.others_wait(now) {
                    handover.others_wait();
                }
            }
        }
    }

    /// What keeps the cursor of an adopted place from being saved.
    pub(crate) fn trouble(&self) -> Option<&Arc<Trouble>> {
        self.trouble.as_ref()
    }

    /// When there is something to do at the latest, if the worker is done with nothing before.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.adopted {
            Some(adopted) => {
                let unread = adopted.unread.deadline();
                let look = unread.map(|_| self.schedule.look);
                [adopted.save, unread, look].into_iter().flatten().min()
            }
            None => self.spool.shared.then_some(self.schedule.look),
        }
    }

    /// Has the worker wake the thread. `false`: there is something to do.
    pub(crate) fn sleep(&self, waker: &Waker) -> bool {
        let Some(adopted) = &self.adopted else {
            return true;
        };
        // What is done with can wait for the save that is to come.
        let events = if adopted.save.is_some() { u64::MAX } else { 1 };
        adopted.is_over || adopted.handover.sleep(waker, events)
    }

    /// Adopts the first place that nobody holds and that has events.
    fn find(&mut self, now: Instant, intake: &Intake) {
        self.schedule.looked(now);
        let places = others(&self.spool.directory, &self.own);
        let gone = self
            .unusable
            .extract_if(.., |(place, _)| !places.contains(place));
        gone.for_each(|(_, note)| intake.lock_soon().forget_note(&note));
        for place in places {
            if self.schedule.leaves(&place, now) {
                continue;
            }
            let opened = self.open(&place, now);
            self.tell_unusable(&place, opened.as_ref().err(), intake);
            let Ok(Some((adopted, backlog))) = opened else {
                continue;
            };
            let events = adopted.log.backlog();
            if events > 0 {
                // If the client is closed, the next one finds it.
                self.adopted = intake.adopt(events, backlog).then_some(adopted);
                return;
            }
            if !adopted.empty() {
                self.schedule.leave(place, now);
            }
        }
    }

    /// Opens a place, for its two sides. `None`: there are no events, or somebody has it.
    fn open(
        &self,
        place: &Path,
        now: Instant,
    ) -> Result<Option<(Adopted, Backlog)>, DirectoryError> {
        let directory = Directory::open_if_free(place, self.spool.access)?;
        let directory = directory.map(|it| it.with_flushing(self.spool.flushing()));
        directory.map_or(Ok(None), |directory| {
            Adopted::open(Arc::new(directory), &self.settings, &self.reading, now)
        })
    }

    /// Tells once why a place cannot be opened, and takes it back when it can.
    fn tell_unusable(&mut self, place: &Path, error: Option<&DirectoryError>, intake: &Intake) {
        if error.is_some_and(DirectoryError::is_passing) {
            return;
        }
        let note = error.map(not_taken_over);
        let known = self.unusable.iter().position(|(it, _)| it == place);
        let before = known.map(|known| self.unusable.swap_remove(known).1);
        if before != note {
            let mut state = intake.lock_soon();
            before.iter().for_each(|note| state.forget_note(note));
            note.iter().for_each(|note| state.add_note(note));
        }
        self.unusable
            .extend(note.map(|note| (place.to_owned(), note)));
    }

    /// Whether there is another place that could be adopted.
    fn others_wait(&mut self, now: Instant) -> bool {
        self.schedule.looked(now);
        others(&self.spool.directory, &self.own)
            .into_iter()
            .filter(|place| !self.schedule.leaves(place, now))
            .filter_map(|place| Directory::open_if_free(&place, self.spool.access).ok()?)
            .any(|directory| directory.list().is_ok_and(|files| has_segment(&files)))
    }

    fn let_go(&mut self, now: Instant, intake: &Intake) {
        let Some(adopted) = self.adopted.take() else {
            return;
        };
        let place = adopted.directory.path();
        self.trouble = None;
        intake.lock_soon().let_go_adopted();
        if !adopted.empty() {
            self.schedule.leave(place, now);
        }
        // There may be more of them.
        self.schedule.look = now;
    }
}

/// The first file that may not be read.
fn denied(directory: &Directory, files: &[(FileName, u64)]) -> Option<String> {
    let is_denied = |file: FileName| {
        let read = directory.read(file, 0, &mut [0]);
        read.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    };
    let mut names: Vec<_> = files.iter().map(|(file, _)| *file).collect();
    names.sort_unstable();
    let denied = names.into_iter().find(|file| is_denied(*file));
    denied.map(|file| file.to_string())
}

fn has_segment(files: &[(FileName, u64)]) -> bool {
    let mut names = files.iter().map(|(file, _)| file);
    names.any(|file| matches!(file, FileName::Segment(_)))
}

impl Schedule {
    fn new(now: Instant) -> Self {
        Self {
            look: now,
            left: Vec::new(),
        }
    }

    fn looked(&mut self, now: Instant) {
        self.look = now + LOOK_AGAIN;
    }

    /// A place could not be emptied.
    fn leave(&mut self, place: PathBuf, now: Instant) {
        self.left.push((place, now + LEAVE_FOR));
    }

    /// Whether a place is left alone.
    fn leaves(&mut self, place: &Path, now: Instant) -> bool {
        self.left.retain(|(_, until)| *until > now);
        self.left.iter().any(|(left, _)| left == place)
    }
}

impl Adopted {
    /// Opens a place, for its two sides. `None`: there are no events.
    fn open(
        directory: Arc<Directory>,
        settings: &Settings,
        reading: &BlockingThread,
        now: Instant,
    ) -> Result<Option<(Self, Backlog)>, DirectoryError> {
        let place = directory.path();
        let files = directory.list();
        let files = files.map_err(DirectoryError::io("read the directory", &place))?;
        if !has_segment(&files) {
            return Ok(None);
        }
        let opened = Log::open(directory.clone(), *settings, random::draw());
        let (mut log, opened) = opened.map_err(|error| {
            let path = denied(&directory, &files).map_or(place.clone(), |it| place.join(it));
            DirectoryError::io("read", &path)(error)
        })?;
        let backlog = Backlog::new(reading.clone(), directory.clone(), &place, &log, &opened);
        let handover = backlog.handover.clone();
        handover.drained();
        let mut unread = UnreadTimer::default();
        unread.look_again(&mut log, now);
        let adopted = Self {
            directory,
            log,
            unread,
            handover,
            retired: Retirements::default(),
            save: None,
            is_over: false,
        };
        Ok(Some((adopted, backlog)))
    }

    /// Takes in what the worker is done with.
    fn take_retired(&mut self, now: Instant) {
        self.retired.clear();
        let is_over = self.handover.take_retired(&mut self.retired);
        for (first, end) in &self.retired.ranges {
            self.log.retire(*first, *end);
        }
        for segment in &self.retired.damaged {
            self.log.mark_damaged(*segment);
        }
        if self.retired.events > 0 {
            self.save.get_or_insert(now + SAVE_AFTER);
        }
        if is_over && !self.is_over {
            self.is_over = true;
            self.save = Some(now);
        }
    }

    /// Looks from time to time whether segments that could not be read can be now.
    fn look_again(&mut self, now: Instant) {
        if self.unread.look_again(&mut self.log, now) {
            self.tell_segments();
        }
    }

    fn save(&mut self, now: Instant) -> Result<(), Trouble> {
        let saved = self.log.save();
        self.save = saved.is_err().then_some(now + SAVE_AGAIN);
        self.tell_segments();
        saved
    }

    fn tell_segments(&self) {
        let segments = Some(self.log.segments());
        self.handover.stored(&mut Vec::new(), 0, segments);
    }

    /// Removes the files of a place that has no more events. `false`: it has, or it could not be
    /// done.
    fn empty(self) -> bool {
        let is_left = self.log.backlog() > 0 || !self.log.unread().is_empty();
        !is_left && self.save.is_none() && self.remove_files().unwrap_or(false)
    }

    /// `false`: there is a segment that was not taken in, and whose events nobody has seen.
    fn remove_files(&self) -> io::Result<bool> {
        let mut files: Vec<_> = self
            .directory
            .list()?
            .into_iter()
            .map(|(it, _)| it)
            .collect();
        files.retain(|file| !matches!(file, FileName::Quarantine(_) | FileName::Cursor));
        if !files.iter().all(|file| self.log.has_taken_in(*file)) {
            return Ok(false);
        }
        for file in files {
            self.remove(file)?;
        }
        // The cursor goes last: while it is there, what is left counts as done with.
        self.directory.sync_directory()?;
        self.remove(FileName::Cursor)?;
        Ok(true)
    }

    fn remove(&self, file: FileName) -> io::Result<()> {
        match self.directory.remove(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

#[cfg(test)]
mod tests;
