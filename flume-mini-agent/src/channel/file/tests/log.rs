//! The log over a long time: its size, and which segments are removed.

use super::*;
use crate::channel::file::log::{Change, Log};
use crate::channel::file::replay;

const SEGMENT_BYTES_MAX: u64 = 1000;

fn open_log(disk: &SimDisk) -> Log<SimDisk> {
    replay::open(disk.clone(), SEGMENT_BYTES_MAX).unwrap().0
}

/// Puts `events` events and takes them again, but for the oldest `kept` of the channel.
fn pass(log: &mut Log<SimDisk>, events: u64, kept: usize) {
    for number in 0..events {
        log.commit(&[Change::Put(&[event(number)])]).unwrap();
        let sequences: Vec<u64> = log.ledger().events().map(|it| it.0).collect();
        if let Some(taken) = sequences.get(kept..) {
            log.commit(&[Change::Take(taken)]).unwrap();
        }
        log.tidy();
    }
}

#[test]
fn a_drained_log_keeps_one_segment_however_much_went_through() {
    let disk = SimDisk::new(1);
    let mut log = open_log(&disk);
    pass(&mut log, 1000, 0);
    assert_eq!(disk.segments().len(), 1);
    assert!(disk.segments()[0] > 20);
    assert!(log.ledger().bytes() < 2 * SEGMENT_BYTES_MAX);
}

#[test]
fn an_event_that_stays_does_not_keep_the_segments_after_its_own() {
    let disk = SimDisk::new(1);
    let mut log = open_log(&disk);
    pass(&mut log, 2000, 3);
    assert_eq!(numbers(log.ledger()), [0, 1, 2]);
    assert!(disk.segments().len() <= 6);
    disk.lose_power();
    assert_eq!(numbers(open_log(&disk).ledger()), [0, 1, 2]);
}

#[test]
fn a_removal_that_a_crash_undoes_brings_no_event_back() {
    // Whether each removal is durable is up to the seed.
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        let mut log = open_log(&disk);
        pass(&mut log, 100, 0);
        log.commit(&[Change::Put(&[event(7)])]).unwrap();
        disk.lose_power();
        let log = open_log(&disk);
        assert_eq!(numbers(log.ledger()), [7]);
        assert_eq!(disk.segments().len(), log.ledger().segment_count());
    }
}

#[test]
fn many_opens_and_closes_do_not_make_the_log_longer() {
    let disk = SimDisk::new(1);
    open_log(&disk).commit(&[Change::Put(&[event(1)])]).unwrap();
    let mut lengths = Vec::new();
    for _ in 0..3 {
        open_log(&disk).close().unwrap();
        lengths.push(disk.content(1).len());
    }
    assert_eq!(lengths[0], lengths[2]);
}

#[test]
fn rewritten_events_keep_their_order_and_can_be_taken() {
    let disk = SimDisk::new(1);
    let mut log = open_log(&disk);
    pass(&mut log, 2000, 5);
    disk.kill();
    let mut log = open_log(&disk);
    let sequences: Vec<u64> = log.ledger().events().map(|it| it.0).collect();
    log.commit(&[Change::Take(&sequences[1..4])]).unwrap();
    disk.lose_power();
    assert_eq!(numbers(open_log(&disk).ledger()), [0, 4]);
}
