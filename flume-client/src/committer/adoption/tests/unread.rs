//! Places of which something cannot be read.

use super::*;

/// The segment as another release could have written it: both headers say so.
fn of_another_version(segment: &[u8]) -> Vec<u8> {
    let mut bytes = segment.to_vec();
    for header in bytes[..SEGMENT_HEADER_BYTES].chunks_mut(SEGMENT_HEADER_BYTES / 2) {
        header[8] += 1;
        let (fields, sum) = header.split_last_chunk_mut::<4>().unwrap();
        *sum = crc32fast::hash(fields).to_le_bytes();
    }
    bytes
}

#[test]
fn a_place_that_cannot_be_read_is_looked_at_again_and_gives_way_to_another() {
    let mut scene = Scene::new(&[2]);
    let segment = segment_in(&scene.home.path().join("process-2"));
    let events = fs::read(&segment).unwrap();
    fs::write(&segment, of_another_version(&events)).unwrap();
    let handover = scene.work(Duration::ZERO).unwrap();
    assert_eq!(handover.segments().unread.len(), 1);
    assert_eq!(scene.deadline(), SECOND);
    scene.work(30 * SECOND);
    assert!(!handover.do_others_wait());
    drop(leave(scene.home.path(), scene.adoption.settings, 3));
    scene.work(60 * SECOND);
    assert!(handover.do_others_wait());
    fs::write(&segment, events).unwrap();
    scene.work(90 * SECOND);
    assert!(handover.segments().unread.is_empty());
    assert_eq!(handover.segments().readable.len(), 1);
}

#[test]
fn a_place_that_cannot_be_opened_is_told_until_it_can_be_and_is_adopted_then() {
    let mut scene = Scene::new(&[4]);
    let lock = scene.home.path().join("process-2").join("LOCK");
    fs::remove_file(&lock).unwrap();
    // Nobody can lock this, root neither.
    fs::create_dir(&lock).unwrap();
    assert!(scene.work(Duration::ZERO).is_none());
    let told = scene.notes();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("is not taken over"), "{told:?}");
    assert!(told[0].contains(lock.to_str().unwrap()), "{told:?}");
    assert!(scene.intake.lock().take_news(), "the sender tells it");
    assert!(scene.work(30 * SECOND).is_none());
    assert_eq!(scene.notes(), told);
    assert!(!scene.intake.lock().take_news(), "once");
    fs::remove_dir(&lock).unwrap();
    assert!(scene.work(60 * SECOND).is_some());
    assert!(scene.notes().is_empty());
}

#[test]
fn a_place_is_let_go_for_another_whatever_of_it_cannot_be_read() {
    // Nothing here tells what of the first one cannot be read: that only the sender knows.
    let mut scene = Scene::new(&[4]);
    let second = scene.work(Duration::ZERO).unwrap();
    assert!(second.segments().unread.is_empty());
    assert_eq!(scene.deadline(), LOOK_AGAIN);
    scene.work(LOOK_AGAIN);
    assert!(!second.do_others_wait());
    drop(leave(scene.home.path(), scene.adoption.settings, 3));
    scene.work(2 * LOOK_AGAIN);
    assert!(second.do_others_wait());
    second.finish(Waker::noop());
    assert!(scene.work(2 * LOOK_AGAIN + MS).is_some());
    assert_eq!(scene.counters(), (3, 3));
}

#[test]
fn no_commit_waits_for_a_place_that_is_opened_on_a_disk_that_hangs() {
    let mut scene = Scene::new(&[4]);
    let (begun, begins) = channel();
    let (go_on, goes_on) = channel::<()>();
    let (begun, goes_on) = (Mutex::new(begun), Mutex::new(goes_on));
    scene.put_beside(move |_, _| {
        let _ = begun.lock().unwrap().send(());
        // It goes on when the other side is dropped.
        let _ = goes_on.lock().unwrap().recv();
        Ok(())
    });
    scene.round(Duration::ZERO, false);
    begins.recv_timeout(PATIENCE).unwrap();
    // Rounds end all the same.
    scene.round(LOOK_AGAIN, false);
    assert!(scene.adoption.deadline().is_none(), "it is waited for");
    drop(go_on);
    assert!(scene.work(LOOK_AGAIN).is_some());
}

#[test]
fn no_commit_waits_for_a_look_at_what_cannot_be_read_and_a_slow_one_is_not_soon_repeated() {
    let mut scene = Scene::new(&[4]);
    let hangs = Arc::new(AtomicBool::new(false));
    let (go_on, goes_on) = channel::<()>();
    let (goes_on, does_hang) = (Mutex::new(goes_on), hangs.clone());
    let reads = Arc::new(AtomicU32::new(0));
    let count = reads.clone();
    scene.put_beside(move |_, operation| match operation {
        Operation::Read {
            file: FileName::Segment(_),
            ..
        } => {
            count.fetch_add(1, Ordering::Relaxed);
            if does_hang.load(Ordering::Relaxed) {
                // It goes on when the other side is dropped.
                let _ = goes_on.lock().unwrap().recv();
            }
            Err(Errno::IO.into())
        }
        _ => Ok(()),
    });
    scene.work(Duration::ZERO).unwrap();
    assert_eq!(scene.deadline(), SECOND);
    hangs.store(true, Ordering::Relaxed);
    reads.store(0, Ordering::Relaxed);
    scene.round(SECOND, false);
    // Rounds end all the same.
    scene.round(2 * SECOND, false);
    assert!(scene.is_reading());
    drop(go_on);
    scene.work(11 * SECOND);
    assert_eq!(reads.load(Ordering::Relaxed), 1, "an error is believed");
    let unread = scene.adoption.adopted.as_ref().unwrap();
    let next = unread.unread.deadline().unwrap() - scene.start;
    assert_eq!(next, (11 + 10 * 10) * SECOND);
}

#[test]
fn a_client_that_ends_lets_go_of_a_place_that_is_being_opened() {
    let mut scene = Scene::new(&[4]);
    scene.round(Duration::ZERO, false);
    scene.round(Duration::ZERO, true);
    assert!(scene.adoption.opening.is_none());
    let place = scene.home.path().join("process-2");
    assert!(Directory::holder(&place).unwrap().is_none());
    assert_eq!(scene.counters(), (0, 0));
}

#[test]
fn a_place_is_not_let_go_for_one_that_cannot_be_opened() {
    let mut scene = Scene::new(&[4, 3]);
    let is_broken = scene.break_cursor("process-3");
    let second = scene.work(Duration::ZERO).unwrap();
    for look in 1..4 {
        scene.work(look * LOOK_AGAIN);
        assert!(!second.do_others_wait(), "look {look}");
    }
    let notes = scene.notes();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].contains("process-3"), "{notes:?}");
    is_broken.store(false, Ordering::Relaxed);
    scene.work(4 * LOOK_AGAIN);
    assert!(second.do_others_wait(), "it can be opened now");
    assert!(scene.notes().is_empty());
}

#[test]
fn what_cannot_be_read_in_a_place_that_was_let_go_stays_told_until_it_is_opened_again() {
    let mut scene = Scene::new(&[4, 3]);
    let second = scene.work(Duration::ZERO).unwrap();
    scene.work(LOOK_AGAIN);
    assert!(second.do_others_wait());
    let file = scene.home.path().join("process-2").join("a segment");
    let unreadable = UnreadableEvents {
        file: file.clone(),
        events_max: 4,
        why: "the disk fails".into(),
        passed: Passed::Yes,
    };
    second.leave([unreadable].into());
    second.finish(Waker::noop());
    assert!(scene.work(LOOK_AGAIN).is_some());
    let told = |scene: &Scene| {
        let mut state = scene.intake.lock();
        // As the sender does, which has nothing to tell.
        state.tell_unreadable([].iter());
        state.stats.spool.clone().unwrap()
    };
    let spool = told(&scene);
    let one = &spool.unreadable[..];
    assert!(matches!(one, [it] if it.file == file && it.passed == Passed::Left));
    assert_eq!((spool.unreadable_events(), spool.passed_events()), (0, 0));
    let health = scene.intake.health().to_string();
    assert!(health.contains("a segment cannot be read"), "{health}");
    scene
        .adoption
        .let_go(scene.start + LOOK_AGAIN, &scene.intake);
    assert!(scene.work(LOOK_AGAIN + LEAVE_FOR).is_some());
    assert_eq!(told(&scene).unreadable.len(), 0);
}

#[test]
fn what_cannot_be_read_in_a_place_that_was_let_go_is_told_no_more_when_somebody_has_the_place() {
    let mut scene = Scene::new(&[4]);
    let place = scene.home.path().join("process-2");
    scene.work(Duration::ZERO).unwrap().finish(Waker::noop());
    let unreadable = UnreadableEvents {
        file: place.join("a segment"),
        events_max: 4,
        why: "the disk fails".into(),
        passed: Passed::Left,
    };
    let files = [unreadable].into();
    let mut state = scene.intake.lock();
    state.leave_unreadable(place.clone(), files);
    drop(state);
    let told = |scene: &Scene| {
        let mut state = scene.intake.lock();
        state.tell_unreadable([].iter());
        state.stats.spool.as_ref().unwrap().unreadable.len()
    };
    assert!(scene.work(LOOK_AGAIN).is_none(), "it is left alone");
    assert_eq!(told(&scene), 1);
    let other = Directory::open_if_free(&place, NetworkFileSystem::Refused);
    let other = other.unwrap().unwrap();
    scene.work(2 * LOOK_AGAIN);
    assert_eq!(told(&scene), 0);
    drop(other);
}

#[test]
fn what_is_told_of_other_places_is_told_still_when_the_own_one_is_begun_anew() {
    let mut scene = Scene::new(&[4]);
    scene.break_cursor("process-2");
    assert!(scene.work(Duration::ZERO).is_none());
    let told = scene.notes();
    assert_eq!(told.len(), 1, "{told:?}");
    let own = scene.home.path().join("process-7");
    let notes = ["of the new directory".to_owned()].into();
    scene.adoption.own_place_is(own, notes, &scene.intake);
    scene.work(LOOK_AGAIN);
    let after = scene.notes();
    assert_eq!(
        after[..],
        ["of the new directory".to_owned(), told[0].clone()]
    );
}

#[test]
fn only_what_may_not_be_read_is_named_instead_of_what_cannot_be() {
    for (error, named) in [
        (Errno::IO, "process-2"),
        (Errno::ACCESS, "process-2/cursor"),
    ] {
        let mut scene = Scene::new(&[4]);
        scene.put_beside(move |_, operation| match operation {
            Operation::Read {
                file: FileName::Cursor,
                ..
            } => Err(error.into()),
            // Neither may this be read, but that is not why.
            Operation::Read { .. } => Err(Errno::ACCESS.into()),
            _ => Ok(()),
        });
        assert!(scene.work(Duration::ZERO).is_none());
        let told = scene.notes();
        let named = scene.home.path().join(named);
        let named = format!("cannot read {}", named.display());
        let rest = told[0].split_once(&named).unwrap().1;
        assert!(rest.starts_with([':', ',']), "{told:?}");
        assert!(rest.contains("its file cursor"), "{told:?}");
    }
}
