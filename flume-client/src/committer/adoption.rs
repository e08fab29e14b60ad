//! [`Adoption`]: events of a dead process are sent from its own directory. The sender's side of it
//! is `Adopted`, a lane.
//!
//! A place that nobody holds is locked and opened like one's own. Its events are read by the sender
//! in a lane of their own: under the numbers and event ids they have, without being written again,
//! so they take nothing of the quota. Here are its cursor and its files: what is retired is written
//! and saved within the same times as in one's own place, and when nothing is left the files are removed.
//!
//! | | when | costs |
//! |---|---|---|
//! | a look for such places | at the start; every 30 s; after each place | a dozen system calls for each place there is, nothing is read of one that is in use |
//! | opening of one that is free and has segments | with such a look, one after the other | its headers, its cursor and its last segment are read |
//! | write of the place's cursor | 100 ms after an event was retired | one small write |
//! | save of it | 1 s after that; instead of the write if a segment has nothing left to send; when it is let go | one small write, one sync |
//!
//! One place at a time is adopted. While something of it cannot be read it is kept, and looked at
//! again as one's own is; if another place waits that can be opened, it is let go when nothing else
//! is left in it. What could not be read there stays told until somebody opens the place again.
//!
//! Places are opened on the thread that reads for the sender: on a failing disk each error may take
//! half a minute. No commit waits for that, but other disk reads do. Beside these times, only what
//! the sender has retired, and a place that was opened, wake the thread.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::cursor_timer::{CursorTimer, Due};
use super::unread_timer::UnreadTimer;
use crate::config::Sizes;
use crate::queue::{BlockingThread, Handover, Intake, OpenedSpool, Retirements, Ticket};
use crate::seq::Seq;
use crate::situations::reached;
use crate::spool::{
    DirectoryError, FileName, Location, Log, Neighbours, Settings, SpoolError, Storage,
    not_taken_over,
};
use crate::stats::{Passed, UnreadableEvents};

/// How often the committer looks for what other processes left behind.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How long a place that could not be emptied is left alone: nothing but a person or the disk
/// changes it, and each look reads its last segment.
const LEAVE_FOR: Duration = Duration::from_secs(600);
/// How long a client that ends waits for a place that is being opened: until then nobody else can
/// adopt it. On a disk that takes longer it is let go when it is open.
const OPENING_TIMEOUT: Duration = Duration::from_secs(1);

/// The places of processes that are gone, for one client.
pub(crate) struct Adoption {
    /// `None`: the client keeps to its own place.
    neighbours: Option<Box<dyn Neighbours>>,
    settings: Settings,
    sizes: Sizes,
    draw: Box<dyn FnMut() -> u64 + Send>,
    /// Where the sender reads.
    reading: BlockingThread,
    /// The client's own place.
    own: PathBuf,
    schedule: Schedule,
    adopted: Option<Adopted>,
    /// Places that this look has not come to.
    places: VecDeque<PathBuf>,
    /// The one that is being opened.
    opening: Option<(PathBuf, Ticket<Opened>)>,
    /// Places that cannot be opened or emptied, and what was told of each.
    told: Vec<(PathBuf, String)>,
}

/// A place for its two sides.
type Opened = Result<(Adopted, OpenedSpool), DirectoryError>;

/// When to look, and where not. Time is an argument.
struct Schedule {
    look: Instant,
    /// Places that could not be emptied, and until when they are left alone.
    left: Vec<(PathBuf, Instant)>,
}

/// A place that is being emptied: its cursor and files. The sender's `Adopted` is the lane that its
/// events are sent in.
struct Adopted {
    directory: Arc<dyn Location>,
    log: Log,
    handover: Arc<Handover>,
    /// Kept for its buffers.
    retired: Retirements,
    cursor: CursorTimer,
    unread: UnreadTimer,
    /// The sender needs it no more.
    is_over: bool,
}

impl Adoption {
    /// For the client whose place is `own`.
    pub(crate) fn new(
        neighbours: Option<Box<dyn Neighbours>>,
        settings: Settings,
        sizes: Sizes,
        draw: Box<dyn FnMut() -> u64 + Send>,
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
            neighbours,
            settings,
            sizes,
            draw,
            reading,
            own,
            schedule: Schedule::new(now),
            adopted: None,
            places: VecDeque::new(),
            opening: None,
            told: Vec::new(),
        }
    }

    /// The client's place is another one now, of which this is noted.
    pub(crate) fn own_place_is(&mut self, own: PathBuf, notes: Arc<[String]>, intake: &Intake) {
        let mut state = intake.lock_soon();
        state.spool_is_at(own.clone(), notes);
        // What holds of other places holds still.
        self.told.iter().for_each(|(_, note)| state.add_note(note));
        self.own = own;
    }

    /// Does what is due. When the client is `finishing`, what was adopted is let go. The `waker` is
    /// woken when something that takes long has come to its end.
    pub(crate) fn work(&mut self, now: Instant, finishing: bool, intake: &Intake, waker: &Waker) {
        if let Some(adopted) = &mut self.adopted {
            adopted.take_retired(now);
            adopted.look_again(&self.reading, now, waker);
            adopted.save(now, finishing);
            if finishing {
                reached!("the client ends with an adopted place");
                adopted.unread.finish(&self.reading);
                self.adopted = None;
            } else if adopted.is_over && !adopted.cursor.is_set() {
                self.let_go(now, intake);
            }
        }
        if finishing {
            self.stop_looking();
            return;
        }
        let Some(neighbours) = self.neighbours.take() else {
            return;
        };
        if self.opening.is_none() && self.schedule.look <= now {
            self.begin_look(neighbours.as_ref(), now, intake);
        }
        self.go_on_looking(neighbours.as_ref(), now, intake, waker);
        self.neighbours = Some(neighbours);
    }

    /// What keeps the cursor of an adopted place from being saved.
    pub(crate) fn trouble(&self) -> Option<&Arc<SpoolError>> {
        self.adopted.as_ref().and_then(|it| it.cursor.trouble())
    }

    /// When there is something to do at the latest, if the sender retires nothing before.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let looks = self.neighbours.is_some() && self.opening.is_none();
        let look = looks.then_some(self.schedule.look);
        match &self.adopted {
            Some(adopted) => {
                let unread = adopted.unread.deadline();
                let cursor = adopted.cursor.deadline();
                [cursor, unread, look].into_iter().flatten().min()
            }
            None => look,
        }
    }

    /// Has the sender wake the thread. `false`: there is something to do.
    pub(crate) fn sleep(&self, waker: &Waker) -> bool {
        let Some(adopted) = &self.adopted else {
            return true;
        };
        // What is retired can wait for the write that is to come.
        let events = if adopted.cursor.is_started() {
            u64::MAX
        } else {
            1
        };
        adopted.is_over || adopted.handover.sleep(waker, events)
    }

    /// Lists the places to look at, and takes back what was told of those that are gone.
    fn begin_look(&mut self, neighbours: &dyn Neighbours, now: Instant, intake: &Intake) {
        self.schedule.looked(now);
        let places = neighbours.places(&self.own);
        let told = self.told.iter().map(|(place, _)| place);
        let gone: Vec<_> = told.filter(|it| !places.contains(it)).cloned().collect();
        for place in gone {
            self.tell(&place, None, intake);
        }
        intake
            .lock_soon()
            .keep_unreadable(|place| places.iter().any(|it| it == place));
        let adopted = self.adopted.as_ref();
        if adopted.is_none_or(|adopted| !adopted.handover.do_others_wait()) {
            self.places = places.into();
        }
    }

    /// Opens one place after the other until there is one with events.
    fn go_on_looking(
        &mut self,
        neighbours: &dyn Neighbours,
        now: Instant,
        intake: &Intake,
        waker: &Waker,
    ) {
        loop {
            if let Some((place, opening)) = &self.opening {
                let Poll::Ready(opened) = opening.poll(&mut Context::from_waker(waker)) else {
                    return;
                };
                let place = place.clone();
                self.opening = None;
                // Reading never panics, whatever the bytes. If it did, flume-read would be dead and
                // we could not go on.
                let opened = opened.done().expect("opening a place does not panic");
                self.on_opened(&place, opened, now, intake);
                continue;
            }
            let Some(place) = self.places.pop_front() else {
                return;
            };
            let is_adopted = |it: &Adopted| it.directory.path() == place;
            if self.adopted.as_ref().is_some_and(is_adopted) {
                continue;
            }
            let is_left = self.schedule.leaves(&place, now);
            match neighbours.take(&place) {
                Err(error) => self.tell_unusable(&place, &error, intake),
                Ok(Some(_)) if is_left => {}
                // Somebody has it, or there is nothing to be adopted.
                Ok(None) => {
                    self.tell(&place, None, intake);
                    intake.lock_soon().keep_unreadable(|it| it != place);
                }
                Ok(Some(directory)) => {
                    let (settings, sizes) = (self.settings, self.sizes);
                    let (seed, reading) = ((self.draw)(), self.reading.clone());
                    let open = move || Adopted::open(directory, settings, sizes, seed, reading);
                    self.opening = Some((place, self.reading.submit(open)));
                }
            }
        }
    }

    /// Adopts a place that was opened, or leaves it to who will.
    fn on_opened(&mut self, place: &Path, opened: Opened, now: Instant, intake: &Intake) {
        let (mut adopted, spool) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.tell_unusable(place, &error, intake),
        };
        let events = adopted.log.backlog();
        if events == 0 {
            return self.empty(adopted, now, intake);
        }
        self.tell(place, None, intake);
        self.places.clear();
        if let Some(before) = &self.adopted {
            reached!("a place is found while another is adopted");
            before.handover.others_wait();
            return;
        }
        intake.lock_soon().keep_unreadable(|it| it != place);
        adopted.unread.begin(&adopted.log, now);
        // If the client is closed, the next one finds it.
        self.adopted = intake.adopt(events, spool).then_some(adopted);
    }

    /// The client ends.
    fn stop_looking(&mut self) {
        self.places.clear();
        if let Some((_, opening)) = self.opening.take() {
            reached!("the client ends while a place is opened");
            self.reading.wait_out(&opening, OPENING_TIMEOUT);
        }
    }

    /// Tells once why a place cannot be opened.
    fn tell_unusable(&mut self, place: &Path, error: &DirectoryError, intake: &Intake) {
        if !error.is_passing() {
            self.tell(place, Some(not_taken_over(error)), intake);
            intake.lock_soon().keep_unreadable(|it| it != place);
        }
    }

    /// Tells this of a place, once, and takes back what was told before.
    fn tell(&mut self, place: &Path, note: Option<String>, intake: &Intake) {
        let known = self.told.iter().position(|(it, _)| it == place);
        let before = known.map(|known| self.told.swap_remove(known).1);
        if before != note {
            let mut state = intake.lock_soon();
            before.iter().for_each(|note| state.forget_note(note));
            note.iter().for_each(|note| state.add_note(note));
        }
        self.told.extend(note.map(|note| (place.to_owned(), note)));
    }

    /// The sender needs the place no more.
    fn let_go(&mut self, now: Instant, intake: &Intake) {
        let Some(adopted) = self.adopted.take() else {
            return;
        };
        reached!("an adopted place is let go");
        let place = adopted.directory.path();
        let unreadable = adopted.handover.unreadable();
        let mut state = intake.lock_soon();
        state.let_go_adopted();
        state.leave_unreadable(place, left_alone(&unreadable));
        drop(state);
        self.empty(adopted, now, intake);
        // There may be more of them.
        self.schedule.look = now;
    }

    /// Removes what is retired. What is left is left alone for a while.
    fn empty(&mut self, adopted: Adopted, now: Instant, intake: &Intake) {
        let place = adopted.directory.path();
        let note = match adopted.empty() {
            Ok(()) => {
                reached!("a place is emptied");
                None
            }
            Err(left) => {
                reached!("a place is left alone");
                self.schedule.leave(place.clone(), now);
                left.map(|why| not_emptied(&place, &why))
            }
        };
        self.tell(&place, note, intake);
    }
}

/// What is told of a place that cannot be emptied, though all events that were read in it are
/// retired.
fn not_emptied(place: &Path, why: &str) -> String {
    let place = place.display();
    format!("what is left in {place} is not removed: {why}")
}

/// Files of a place that gave way to another.
fn left_alone(unreadable: &[UnreadableEvents]) -> Arc<[UnreadableEvents]> {
    let left = unreadable.iter().cloned().map(|it| UnreadableEvents {
        passed: Passed::Left,
        ..it
    });
    left.collect()
}

/// The first file that may not be read.
fn denied(storage: &dyn Storage) -> Option<String> {
    let is_denied = |file: FileName| {
        let read = storage.read(file, 0, &mut [0]);
        read.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    };
    let files = storage.list().ok()?;
    let mut names: Vec<_> = files.into_iter().map(|(file, _)| file).collect();
    names.sort_unstable();
    let denied = names.into_iter().find(|file| is_denied(*file));
    denied.map(|file| file.to_string())
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
    /// Opens a place that is locked.
    fn open(
        directory: Arc<dyn Location>,
        settings: Settings,
        sizes: Sizes,
        seed: u64,
        reading: BlockingThread,
    ) -> Opened {
        let (place, storage) = (directory.path(), Arc::clone(&directory) as Arc<dyn Storage>);
        let opened = Log::open(storage.clone(), settings, seed);
        let (log, opened) = opened.map_err(|error| {
            let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
            let denied = is_denied.then(|| denied(storage.as_ref())).flatten();
            let path = denied.map_or(place.clone(), |it| place.join(it));
            DirectoryError::io("read", &path)(error)
        })?;
        let spool = OpenedSpool::new(reading, storage, &place, &log, &opened, sizes);
        let handover = spool.handover.clone();
        handover.drained();
        let adopted = Self {
            directory,
            log,
            unread: UnreadTimer::default(),
            handover,
            retired: Retirements::default(),
            cursor: CursorTimer::default(),
            is_over: false,
        };
        Ok((adopted, spool))
    }

    /// Takes in what the sender has retired.
    fn take_retired(&mut self, now: Instant) {
        self.retired.clear();
        let is_over = self.handover.take_retired(&mut self.retired);
        for range in &self.retired.ranges {
            self.log.retire(*range);
        }
        for segment in &self.retired.damaged {
            self.log.mark_damaged(*segment);
        }
        if self.retired.events > 0 {
            self.cursor.on_retired(now);
        }
        if is_over && !self.is_over {
            self.is_over = true;
            self.cursor.save_within(Duration::ZERO, now);
        }
    }

    /// Looks from time to time whether segments that could not be read can be now.
    fn look_again(&mut self, reading: &BlockingThread, now: Instant, waker: &Waker) {
        if self.unread.look_again(&mut self.log, reading, now, waker) {
            self.tell_segments();
        }
    }

    /// Writes or saves the cursor if that is due.
    fn save(&mut self, now: Instant, finishing: bool) {
        let due = match finishing && self.cursor.is_set() {
            true => Some(Due::Save),
            false => self.cursor.due(now, &self.log),
        };
        if let Some(due) = due {
            let done = due.work(&mut self.log);
            self.cursor.on_done(due, done, now);
            self.tell_segments();
        }
    }

    fn tell_segments(&self) {
        let segments = Some(self.log.segments());
        self.handover.stored(&mut Vec::new(), Seq::ZERO, segments);
    }

    /// Removes the files of a place that has no more events. An error says why not, except events
    /// that are not retired.
    fn empty(self) -> Result<(), Option<String>> {
        let is_left = self.log.backlog() > 0 || !self.log.unread().is_empty();
        if is_left || self.cursor.is_set() {
            return Err(None);
        }
        let removed = self.remove_files();
        match removed.map_err(|error| Some(format!("its files cannot be removed: {error}")))? {
            None => Ok(()),
            Some(file) => Err(Some(format!(
                "{file} was neither read nor set aside, so nobody has seen its events: move it \
                 elsewhere if they are wanted, remove it if not"
            ))),
        }
    }

    /// Removes none if there is a segment that was not taken in, and whose events nobody has seen:
    /// the one that it returns.
    fn remove_files(&self) -> io::Result<Option<FileName>> {
        let mut files: Vec<_> = self
            .directory
            .list()?
            .into_iter()
            .map(|(it, _)| it)
            .collect();
        files.retain(|file| !matches!(file, FileName::Quarantine(_) | FileName::Cursor));
        let unseen = files.iter().find(|file| !self.log.has_taken_in(**file));
        if unseen.is_some() {
            return Ok(unseen.copied());
        }
        for file in files {
            self.remove(file)?;
        }
        // The cursor goes last: while it is there, what is left counts as retired.
        self.directory.sync_directory()?;
        self.remove(FileName::Cursor)?;
        Ok(None)
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
