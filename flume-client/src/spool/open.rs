//! Opening a spool: what its directory holds becomes [`Segments`], damage is set aside and told.
//!
//! Only the headers and the last segment are read, so opening takes as long for a full spool as
//! for an empty one. Beside files that cannot be read it is up to 64 MiB more, in those segments
//! whose ends nothing else tells, and a file under another one's name is read whole.
//!
//! | found | then |
//! |---|---|
//! | no cursor, or a damaged one | every event in the segments is delivered (again) |
//! | a cursor that cannot be read, or of another version | the opening fails: what is retired is not known |
//! | a segment whose header is damaged, or of another client | set aside as `quarantine-...` |
//! | a segment that cannot be read, or of another version | left alone; its events are not retired |
//! | a link, a pipe or a directory with a segment's name | the same: its file may be put back |
//! | a segment under another one's name | read in its own place |
//! | a file that is being made a segment, without events | it is a spare |
//! | a last segment that ends in an unfinished write | cut after the last whole frame |
//!
//! The last segment is never written again: a new run begins a new one, and its numbers begin with
//! the next multiple of 2^32, so a number that went to an unfinished write is nobody else's. They
//! begin further on if a part of the cursor is lost, which may have told of later runs.
//!
//! Numbers and ids end at 2^63. A spool whose files say that they are used up, which no client
//! writes, gives what is in it and takes nothing new.

use std::io;

use super::candidate::{Candidate, Kind, client, patiently, read_headers};
use super::cursor::{CURSOR_BYTES, Cursor};
use super::error::SpoolError;
use super::header::{IDS_END, SEGMENT_HEADER_BYTES};
use super::missing::{ReadFailure, Readable, SegmentList, Unreadable};
use super::opened::{CursorState, Opened};
use super::segment_end::{SegmentEnd, segment_end, segment_end_within};
use super::segments::Segments;
use super::settings::Settings;
use super::storage::{FileName, Shared, Storage};
use crate::seq::{Seq, SeqRange, SeqSet};

/// Numbers given to events since the spool was opened begin at `first`; those from `skipped_from`
/// to there are nobody's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) skipped_from: Seq,
    pub(super) first: Seq,
    /// The cursor knows of it. Not before are its numbers given to events on the disk.
    pub(super) is_saved: bool,
}

pub(super) struct Found {
    pub(super) segments: Segments,
    pub(super) client: u64,
    pub(super) run: Run,
    pub(super) retired: SeqSet,
    pub(super) generation: u64,
    /// The cursor that was read. If the sync of its slot failed, it is only in memory.
    pub(super) unconfirmed: Option<Cursor>,
    pub(super) opened: Opened,
}

/// How many runs the new one is after the last that is known, if a slot of the cursor is lost: the
/// slot may have told of one more.
const RUNS_OF_A_SLOT: u64 = 2;
/// The same if both slots are lost: of runs whose segments are drained nothing else tells.
const RUNS_OF_A_CURSOR: u64 = 1 << 20;

/// Segments that are read to their ends at an opening, beside files that cannot be read: one for
/// each such file, and one for each run since. Each is read whole. Of more, what
/// [`Log::backlog`](super::Log::backlog) tells is what their bytes can hold.
const ENDS_MAX: usize = 64;
/// Bytes of them that are read at most, as one of them that cannot be is no further.
const ENDS_BYTES_MAX: u64 = 64 * 1024 * 1024;

pub(super) fn open(
    storage: &Shared,
    settings: &Settings,
    random: &mut fastrand::Rng,
) -> io::Result<Found> {
    let mut files = storage.0.list()?;
    files.sort_unstable();
    let mut opened = Opened::default();
    let cursor = read_cursor(storage.0.as_ref(), &mut opened)?;
    let least = settings.segment_bytes;
    let candidates = read_headers(storage.0.as_ref(), &files, least, &mut opened);
    let client = match client(cursor.as_ref(), &candidates) {
        Some(client) => client,
        // Under another client's name nothing of it would be sent when it can be read again.
        None => match candidates.iter().find_map(Candidate::error) {
            Some(error) => return Err(error),
            None => random.u64(..),
        },
    };

    let mut segments = segments_of(storage, settings, &files, &candidates);
    for candidate in candidates {
        take_in(
            storage,
            settings,
            &mut segments,
            &candidate,
            client,
            &mut opened,
        );
    }

    let unconfirmed = cursor.clone();
    let cursor = cursor.unwrap_or_default();
    let mut retired = cursor.retired;
    let fresh = opened.cursor == CursorState::Missing && files.is_empty();
    if unconfirmed.is_none() {
        // What was before the first segment is not known to have been.
        retired.add_below(begins_at(&segments.list()));
    }
    opened.known_durable_upto = cursor.durable_upto;
    let end = settle_last(storage, settings, &mut segments, &mut retired, &mut opened);
    note_ends(storage.0.as_ref(), &mut segments, &retired);
    let last = segments.readable().next_back();
    let last_first = last.map_or(Seq::ZERO, |it| it.header.first);
    // No number may be given twice: an acknowledgement of the first event would retire the second.
    // So the new run begins after all that any file tells to have been given. The numbers before
    // `known` were given for certain.
    let known = retired.watermark().max(last_first);
    let known = known.max(opened.known_durable_upto);
    // Of what is retired ahead of others, some may be after the last event that was stored.
    let told = retired.end().max(cursor.run);
    let given = known.max(end.unwrap_or(known)).max(told);
    let first = next_run(given, fresh, opened.cursor);
    // The numbers from the last event to the new run are nobody's. They count as retired, else a
    // reader would take them for events that are missing. If the end cannot be read now, what is
    // there has a number below the new run's, and none is left out.
    let skipped_from = end.map_or(first, |end| end.max(known));
    retired.add(SeqRange::new(skipped_from, first));
    let named = segments.keep_names(storage).err();
    opened.trouble = named.map(SpoolError::from).or(opened.trouble);
    opened.segments = segments.readable().count();
    Ok(Found {
        segments,
        client,
        run: Run {
            skipped_from,
            first,
            is_saved: false,
        },
        retired,
        generation: cursor.generation,
        unconfirmed,
        opened,
    })
}

/// Where the numbers of a new run begin, if those that are known to be given end with `given`.
fn next_run(given: Seq, fresh: bool, cursor: CursorState) -> Seq {
    let runs = match cursor {
        _ if fresh => 0,
        CursorState::Whole => 1,
        CursorState::Repaired => RUNS_OF_A_SLOT,
        CursorState::Missing | CursorState::Damaged => RUNS_OF_A_CURSOR,
    };
    given.later_run(runs)
}

/// Where the numbers of all the segments begin, if no cursor tells more.
pub(super) fn begins_at(segments: &SegmentList) -> Seq {
    let Some(first) = segments.readable.first() else {
        return Seq::ZERO;
    };
    let mut before = segments.unread_between(None, Some(first.header.id));
    match before.next() {
        Some(_) => Seq::ZERO,
        None => first.header.skipped_from,
    }
}

/// All files but the segments.
fn segments_of(
    storage: &Shared,
    settings: &Settings,
    files: &[(FileName, u64)],
    candidates: &[Candidate],
) -> Segments {
    let ids = files.iter().filter_map(|(file, _)| file.id());
    let ids = ids.chain(candidates.iter().map(Candidate::own_id));
    let ids = ids.filter(|id| *id < IDS_END);
    let cursor_bytes = files
        .iter()
        .find(|(file, _)| *file == FileName::Cursor)
        .map_or(0, |(_, bytes)| (*bytes).max(CURSOR_BYTES as u64));
    let mut segments = Segments::new(ids.max().map_or(0, |id| id + 1), cursor_bytes);
    for (file, bytes) in files {
        match file {
            FileName::Spare(id) if *bytes == settings.segment_bytes => {
                segments.found_spare(*id, *bytes);
            }
            FileName::Spare(_) if storage.0.remove(*file).is_ok() => {}
            FileName::Spare(_) | FileName::Quarantine(_) => segments.found_other(*file, *bytes),
            FileName::Cursor | FileName::Segment(_) => {}
        }
    }
    segments
}

/// Fails if there is a cursor and none of it can be read, or it is of another version.
pub(super) fn read_cursor(
    storage: &dyn Storage,
    opened: &mut Opened,
) -> io::Result<Option<Cursor>> {
    let mut file = vec![0; CURSOR_BYTES];
    let read = match patiently(|| storage.read(FileName::Cursor, 0, &mut file)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if ReadFailure::of(&error) == ReadFailure::Block => {
            read_slots(storage, &mut file).ok_or(error)
        }
        read => read,
    };
    let read =
        read.and_then(
            |read| match Cursor::other_version(file.get(..read).unwrap_or_default()) {
                Some(version) => Err(io::Error::other(
                    Unreadable::OtherVersion(version).to_string(),
                )),
                None => Ok(read),
            },
        );
    let read = read.map_err(|error| {
        let text = format!(
            "its file cursor, which tells what is done with, cannot be read: {error}; without that \
             file, all events that are still there are sent again"
        );
        io::Error::new(error.kind(), text)
    })?;
    let (cursor, damaged) = Cursor::read(file.get(..read).unwrap_or_default());
    opened.cursor = match (&cursor, damaged) {
        (Some(_), false) => CursorState::Whole,
        (Some(_), true) => CursorState::Repaired,
        (None, true) => CursorState::Damaged,
        (None, false) => CursorState::Missing,
    };
    Ok(cursor)
}

/// Reads each slot of the cursor by itself. One that cannot be read counts as damaged; `None` if
/// both cannot.
fn read_slots(storage: &dyn Storage, file: &mut [u8]) -> Option<usize> {
    let bytes = file.len();
    let mut any = false;
    for (index, slot) in file.chunks_mut(CURSOR_BYTES / 2).enumerate() {
        let offset = (index * CURSOR_BYTES / 2) as u64;
        let read = patiently(|| storage.read(FileName::Cursor, offset, slot));
        any |= read.is_ok();
        if read.is_err() {
            slot.fill(u8::MAX);
        }
    }
    any.then_some(bytes)
}

fn take_in(
    storage: &Shared,
    settings: &Settings,
    segments: &mut Segments,
    candidate: &Candidate,
    client: u64,
    opened: &mut Opened,
) {
    let (id, bytes) = (candidate.id, candidate.bytes);
    let file = FileName::Segment(id);
    match candidate.kind(Some(client)) {
        Kind::Readable(readable) if segments.found(readable) => {
            if readable.header.id != id {
                opened.misnamed.push(file);
            }
        }
        Kind::Spare => {
            let spare = FileName::Spare(id);
            let reusable = bytes == settings.segment_bytes;
            if reusable && storage.0.rename(file, spare).is_ok() {
                segments.found_spare(id, bytes);
            } else if storage.0.remove(file).is_err() {
                segments.found_other(file, bytes);
            }
        }
        Kind::Unread(unread) => {
            match unread.why {
                Unreadable::OtherVersion(_) => opened.other_versions.push(file),
                Unreadable::System(_) => opened.unreadable.push(file),
            }
            segments.found_unread(unread);
        }
        Kind::Readable(_) | Kind::Damaged | Kind::OtherClient => {
            let quarantine = FileName::Quarantine(id);
            let takes = segments.quarantine_takes(bytes, settings);
            if takes && storage.0.rename(file, quarantine).is_ok() {
                opened.quarantined.push(quarantine);
                segments.found_other(quarantine, bytes);
            } else {
                opened.unreadable.push(file);
                segments.found_other(file, bytes);
            }
        }
    }
}

/// Beside files that cannot be read, nothing else tells where the numbers in a segment end than its
/// frames: those after the last one may be in such a file, or are nobody's.
fn note_ends(storage: &dyn Storage, segments: &mut Segments, retired: &SeqSet) {
    if segments.unread().is_empty() {
        return;
    }
    let list = segments.list();
    let followings = list.readable.iter().skip(1).map(Some).chain([None]);
    let is_open = |(it, following): &(&Readable, Option<&Readable>)| {
        let (header, following) = (it.header, following.map(|it| it.header));
        let end = following.map_or(Seq::END, |it| it.skipped_from);
        let mut unread = list.unread_between(Some(header.id), following.map(|it| it.id));
        (header.first.run_first() < end.run_first() || unread.next().is_some())
            && retired.open_in(SeqRange::new(header.first, end)) > 0
    };
    let open = list.readable.iter().zip(followings).filter(is_open);
    let mut room = ENDS_BYTES_MAX;
    for (it, _) in open.take(ENDS_MAX) {
        let Some(rest) = room.checked_sub(it.bytes) else {
            return;
        };
        room = rest;
        if let Ok(found) = segment_end_within(storage, it, 0)
            && found.is_read
            && found.is_blank
        {
            segments.ends_at(it.id, found.end);
        }
    }
}

/// Finds where the numbers of the last segment end, and cuts off what is after its last frame.
/// `None` if that cannot be told.
fn settle_last(
    storage: &Shared,
    settings: &Settings,
    segments: &mut Segments,
    retired: &mut SeqSet,
    opened: &mut Opened,
) -> Option<Seq> {
    let Some(last) = segments.readable().next_back() else {
        return segments.unread().is_empty().then_some(Seq::ZERO);
    };
    if !segments.unread().is_empty() {
        // Any of those may be the last one, whatever its name, and hold again what is not whole in
        // this one.
        let found = patiently(|| segment_end(storage.0.as_ref(), &last));
        let told = found.map_or(Seq::ZERO, |end| end.durable_upto);
        // What was read in it will be sent, and may not be on the disk yet.
        let synced = storage.0.sync(last.file());
        opened.trouble = synced.err().map(SpoolError::from);
        opened.known_durable_upto = opened
            .known_durable_upto
            .max(last.header.durable_upto)
            .max(told);
        return None;
    }
    settle(storage, settings, segments, &last, retired, opened)
}

fn settle(
    storage: &Shared,
    settings: &Settings,
    segments: &mut Segments,
    last: &Readable,
    retired: &mut SeqSet,
    opened: &mut Opened,
) -> Option<Seq> {
    let (id, first, file) = (last.id, last.header.first, last.file());
    opened.known_durable_upto = opened.known_durable_upto.max(last.header.durable_upto);
    let found = patiently(|| segment_end(storage.0.as_ref(), last));
    if !found.as_ref().is_ok_and(|end| end.is_read) {
        // What can be read of it will be sent, and may not be on the disk yet.
        let synced = storage.0.sync(file);
        opened.trouble = synced.err().map(SpoolError::from);
    }
    let Ok(SegmentEnd {
        end,
        is_read,
        bytes,
        any,
        durable_upto: told,
        holes,
        ..
    }) = found
    else {
        opened.unreadable.push(file);
        return None;
    };
    opened.known_durable_upto = opened.known_durable_upto.max(told);
    // Parts of an unfinished write that are missing while later ones are there: nobody was told
    // that they are stored.
    for hole in holes {
        retired.add(hole.not_below(opened.known_durable_upto));
    }
    if !is_read {
        opened.unreadable.push(file);
        return None;
    }
    // It holds no frame, and nothing tells that one of it was ever durable: it is room for others.
    if !any && opened.known_durable_upto <= first {
        let spare = FileName::Spare(id);
        if last.bytes == settings.segment_bytes && storage.0.rename(file, spare).is_ok() {
            segments.forget(id);
            segments.found_spare(id, last.bytes);
        } else if storage.0.remove(file).is_ok() {
            segments.forget(id);
        }
        return Some(last.header.skipped_from);
    }
    // What follows the last whole frame is an unfinished write and is cut off, unless events after
    // it were durable once: then it is damage, and stays for a person to look at.
    let cut = bytes.next_multiple_of(SEGMENT_HEADER_BYTES as u64);
    let cuts = opened.known_durable_upto <= end && cut < last.bytes;
    let is_cut = cuts && storage.0.truncate(file, cut).is_ok();
    // What was read may not be on the disk yet, and what was cut may come back.
    if storage.0.sync(file).is_ok() {
        opened.known_durable_upto = opened.known_durable_upto.max(end);
        if is_cut {
            opened.cut_bytes = last.bytes - cut;
            segments.shorten(id, cut);
        }
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::super::{Access, Directory, Level, Log, Operation, Watched};
    use super::*;

    const MIB: u64 = 1024 * 1024;
    const SETTINGS: Settings = Settings {
        segment_bytes: 64 * 1024,
        frame_bytes_max: 4096,
        bytes_max: 1024 * MIB,
        free_bytes_min: 0,
    };

    #[test]
    fn a_file_that_cannot_be_read_does_not_make_the_opening_read_all_the_others() {
        const RUNS: u64 = 12;
        let home = tempfile::TempDir::new().unwrap();
        let directory = Arc::new(Directory::open(home.path(), Access::default()).unwrap());
        for seed in 0..RUNS {
            let (mut log, _) = Log::open(directory.clone(), SETTINGS, seed).unwrap();
            log.push(&[2], b"ab", Level::EndToEnd);
            log.flush(0).unwrap();
        }
        let mut ids: Vec<_> = directory.list().unwrap();
        ids.retain(|(file, _)| matches!(file, FileName::Segment(_)));
        assert_eq!(ids.len() as u64, RUNS);
        let path = |file: FileName| home.path().join(file.to_string());
        for (file, _) in &ids {
            // Room that was never written.
            directory.truncate(*file, 16 * MIB).unwrap();
        }
        drop(directory);
        // What has the name of one of them can be any part of the numbers.
        let (first, _) = *ids.iter().min().unwrap();
        fs::rename(path(first), path(FileName::Segment(0xff))).unwrap();
        fs::create_dir(path(first)).unwrap();
        let directory = Arc::new(Directory::open(home.path(), Access::default()).unwrap());
        let read = Arc::new(AtomicU64::new(0));
        let count = read.clone();
        let disk = Watched::new(directory, move |operation| {
            if let Operation::Read { bytes, .. } = operation {
                count.fetch_add(bytes as u64, Ordering::Relaxed);
            }
            Ok(())
        });
        let (log, _) = Log::open(Arc::new(disk), SETTINGS, RUNS).unwrap();
        assert_eq!(log.unread().len(), 1);
        // Beside the headers: the last one, and the one under another name.
        let most = ENDS_BYTES_MAX + 2 * 16 * MIB + MIB;
        let read = read.load(Ordering::Relaxed);
        assert!((16 * MIB..most).contains(&read), "{} MiB", read / MIB);
    }
}
