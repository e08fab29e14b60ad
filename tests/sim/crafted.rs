//! Files with right checksums that no client writes.

use std::slice::from_ref;

use flume_client::seq::Seq;
use flume_client::spool::{Log, Survey};
use flume_tests::crafted::{Frame, SETTINGS, Segment, Slot, check, disk, open_and_read};

const MAX: u64 = u64::MAX;

/// The numbers that are read of these files, of which everything else must hold, too.
fn read(slots: &[Slot], segments: &[Segment]) -> Vec<u64> {
    let disk = disk(slots, segments);
    check(&disk);
    let disk = self::disk(slots, segments);
    let (log, events) = open_and_read(&disk, 1);
    assert!(log.next() <= Seq::END, "{}", log.next());
    events.into_iter().map(|(number, _)| number).collect()
}

#[test]
fn a_cursor_that_no_client_writes_hides_no_event() {
    let sound = || vec![Segment::of(1, 0, vec![Frame::of(0, 5)])];
    let slot = Slot {
        generation: 2,
        ..Slot::default()
    };
    let of = |change: &dyn Fn(&mut Slot)| {
        let mut slot = slot.clone();
        change(&mut slot);
        slot
    };
    for slot in [
        of(&|slot| slot.watermark = MAX),
        of(&|slot| slot.durable_upto = MAX),
        of(&|slot| slot.run = MAX),
        of(&|slot| slot.generation = MAX),
        of(&|slot| slot.ranges = vec![(MAX - 1, MAX)]),
        of(&|slot| slot.ranges = vec![(1, MAX)]),
        of(&|slot| slot.ranges = vec![(4, 1)]),
        of(&|slot| slot.ranges = vec![(1, 3), (2, 4)]),
        of(&|slot| slot.ranges = vec![(3, 4), (1, 2)]),
        of(&|slot| slot.ranges = vec![(0, 2)]),
        of(&|slot| (slot.ranges, slot.count) = (vec![(1, 2)], Some(MAX))),
    ] {
        assert_eq!(read(from_ref(&slot), &sound()), [0, 1, 2, 3, 4], "{slot:?}");
        assert!(read(&[slot], &[]).is_empty());
    }
    let ahead = of(&|slot| slot.ranges = vec![(5, 1 << 40)]);
    assert_eq!(read(&[ahead], &sound()), [0, 1, 2, 3, 4]);
    let sound_slot = of(&|slot| slot.ranges = vec![(1, 2), (3, 4)]);
    assert_eq!(read(&[sound_slot], &sound()), [0, 2, 4]);
    for near in [1 << 62, (1 << 63) - 1, 1 << 63] {
        let known = of(&|slot| (slot.durable_upto, slot.run) = (near, near));
        assert_eq!(read(&[known], &sound()), [0, 1, 2, 3, 4]);
    }
}

#[test]
fn a_segment_that_no_client_writes_costs_no_other_an_event() {
    let sound = |id, first| Segment::of(id, first, vec![Frame::of(first, 5)]);
    let with = |change: &dyn Fn(&mut Segment)| {
        let mut strange = sound(2, 10);
        change(&mut strange);
        let numbers = read(&[], &[sound(1, 0), strange, sound(3, 20)]);
        let others = numbers.into_iter().filter(|it| !(10..20).contains(it));
        others.collect::<Vec<_>>()
    };
    let others = [0, 1, 2, 3, 4, 20, 21, 22, 23, 24];
    assert_eq!(with(&|_| {}), others);
    assert_eq!(with(&|it| it.first = MAX), others);
    assert_eq!(with(&|it| it.first = MAX - 10), others);
    assert_eq!(with(&|it| it.skipped_from = 11), others);
    assert_eq!(with(&|it| it.skipped_from = MAX), others);
    assert_eq!(with(&|it| it.durable_upto = MAX), others);
    assert_eq!(with(&|it| it.durable_upto = 11), others);
    assert_eq!(with(&|it| it.first = 0), others);
    assert_eq!(with(&|it| it.skipped_from = 0), others);
    assert_eq!(with(&|it| it.skipped_from = 3), others);
    let frame = |change: &dyn Fn(&mut Frame)| with(&|it| it.frames.iter_mut().for_each(change));
    assert_eq!(frame(&|it| it.durable_upto = MAX), others);
    assert_eq!(frame(&|it| it.durable_upto = 11), others);
    assert_eq!(frame(&|it| it.first = MAX - 2), others);
    assert_eq!(frame(&|it| it.first = 1 << 62), others);
    assert_eq!(frame(&|it| it.first = 9), others);
    assert_eq!(frame(&|it| it.events = Some(0)), others);
    assert_eq!(frame(&|it| it.events = Some(u32::MAX)), others);
    assert_eq!(frame(&|it| it.payload_bytes = Some(u32::MAX - 7)), others);
    assert_eq!(frame(&|it| it.ends = Some(vec![35, 28, 21, 14, 7])), others);
    assert_eq!(
        frame(&|it| it.ends = Some(vec![7, 14, 21, 28, u32::MAX])),
        others
    );
}

#[test]
fn numbers_that_two_segments_leave_out_are_left_out_once() {
    let over = |id, first, skipped_from| Segment {
        skipped_from,
        ..Segment::of(id, first, vec![Frame::of(first, 1)])
    };
    let numbers = read(&[], &[over(1, 0, 0), over(2, 10, 0), over(3, 20, 0)]);
    assert_eq!(numbers, [0, 10, 20]);
    let numbers = read(&[], &[over(1, 5, 0), over(2, 10, 5), over(3, 20, 10)]);
    assert_eq!(numbers, [5, 10, 20]);
}

#[test]
fn a_frame_that_says_it_is_larger_than_its_file_hides_none_behind_it() {
    let large = Frame {
        payload_bytes: Some(u32::MAX - 7),
        ..Frame::of(0, 1)
    };
    let segment = Segment::of(1, 0, vec![large, Frame::of(1, 3)]);
    assert_eq!(read(&[], &[segment]), [1, 2, 3]);
}

#[test]
fn frames_that_overlap_give_each_number_once() {
    let frames = vec![
        Frame::of(0, 5),
        Frame::of(2, 5),
        Frame::of(0, 3),
        Frame::of(20, 1),
    ];
    let segment = Segment::of(1, 0, frames);
    assert_eq!(read(&[], &[segment]), [0, 1, 2, 3, 4, 5, 6, 20]);
}

#[test]
fn numbers_far_apart_are_read_and_ids_at_their_end_are_set_aside() {
    for far in [1 << 52, 1 << 62, (1 << 63) - 5] {
        let segments = [
            Segment::of(1, 0, vec![Frame::of(0, 1)]),
            Segment::of(2, far, vec![Frame::of(far, 1)]),
        ];
        let slot = Slot {
            generation: 2,
            durable_upto: 1,
            ..Slot::default()
        };
        assert_eq!(read(&[slot], &segments), [0, far]);
    }
    for id in [1 << 63, MAX - 1, MAX] {
        let segments = [
            Segment::of(1, 0, vec![Frame::of(0, 1)]),
            Segment::of(id, 5, vec![Frame::of(5, 1)]),
        ];
        assert_eq!(read(&[], &segments), [0]);
    }
    let id = (1 << 63) - 1;
    assert_eq!(read(&[], &[Segment::of(id, 5, vec![Frame::of(5, 1)])]), [5]);
}

#[test]
fn numbers_that_a_segment_leaves_out_are_not_lost_though_events_behind_them_are_in_the_one_before()
{
    // As after a failed sync of the first one, of which a part is on the disk all the same.
    let skips = |first| Segment {
        skipped_from: 5,
        durable_upto: 5,
        ..Segment::of(2, first, vec![Frame::of(first, 2)])
    };
    for (behind, first, numbers) in [
        (Frame::of(7, 2), 7, [0, 1, 2, 3, 4, 7, 8].as_slice()),
        (Frame::of(6, 1), 8, &[0, 1, 2, 3, 4, 6, 8, 9]),
    ] {
        let behind = Frame {
            durable_upto: 5,
            ..behind
        };
        let segments = [
            Segment::of(1, 0, vec![Frame::of(0, 5), behind]),
            skips(first),
            Segment {
                durable_upto: first + 2,
                ..Segment::of(3, first + 2, Vec::new())
            },
        ];
        let disk = disk(&[], &segments);
        let survey = Survey::take(disk.as_ref(), |_| Ok(())).unwrap();
        assert_eq!(survey.lost(), 0, "{:?}", survey.gaps);
        assert_eq!(read(&[], &segments), numbers);
    }
}

#[test]
fn numbers_that_a_segment_leaves_out_are_not_lost_when_it_was_used_again_before_the_one_before_it()
{
    let durable = |it: Segment| Segment {
        durable_upto: it.first,
        ..it
    };
    let segments = [
        Segment::of(1, 0, vec![Frame::of(0, 5)]),
        Segment {
            skipped_from: 5,
            durable_upto: 5,
            ..Segment::of(2, 8, vec![Frame::of(8, 2)])
        },
        durable(Segment::of(3, 10, vec![Frame::of(10, 2)])),
        durable(Segment::of(4, 12, vec![Frame::of(12, 1)])),
    ];
    let disk = disk(&[], &segments);
    let (mut log, _) = Log::open(disk.clone(), SETTINGS, 1).unwrap();
    log.retire((8..10).into());
    log.save().unwrap();
    drop(log);
    let survey = Survey::take(disk.as_ref(), |_| Ok(())).unwrap();
    assert_eq!(
        (survey.events(), survey.lost()),
        (8, 0),
        "{:?}",
        survey.gaps
    );
}
