//! The log over a long time: its size, and which segments are removed.

use super::*;

/// Puts `events` events and takes them again, but for the oldest `kept` of the channel.
fn pass(log: &mut Booked, events: u64, kept: usize) {
    for number in 0..events {
        log.put([number]);
        log.take(kept, usize::MAX);
    }
}

#[test]
fn a_drained_log_keeps_one_segment_however_much_went_through() {
    let disk = SimDisk::new(1);
    let mut log = Booked::open(&disk).unwrap();
    pass(&mut log, 1000, 0);
    assert_eq!(disk.segments().len(), 1);
    assert!(disk.segments()[0] > FileName::Segment(5));
    // Two spares and the cursor beside it.
    assert!(disk.used_bytes() <= 4 * (16 << 10));
}

#[test]
fn an_event_that_stays_does_not_keep_the_segments_after_its_own() {
    let disk = SimDisk::new(1);
    let mut log = Booked::open(&disk).unwrap();
    pass(&mut log, 2000, 3);
    assert_eq!(log.numbers(), [0, 1, 2]);
    assert!(disk.segments().len() <= 2);
    disk.lose_power();
    assert_eq!(Booked::open(&disk).unwrap().numbers(), [0, 1, 2]);
}

#[test]
fn a_removal_that_a_crash_undoes_brings_no_event_back() {
    // Whether each removal is durable is up to the seed.
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        let mut log = Booked::open(&disk).unwrap();
        pass(&mut log, 300, 0);
        log.put([7]);
        disk.lose_power();
        assert_eq!(Booked::open(&disk).unwrap().numbers(), [7]);
        assert!(disk.segments().len() <= 2);
    }
}

#[test]
fn many_opens_and_closes_do_not_make_the_log_longer() {
    let disk = SimDisk::new(1);
    Booked::open(&disk).unwrap().put([1]);
    let mut lengths = Vec::new();
    for _ in 0..3 {
        Booked::open(&disk).unwrap().log.close().unwrap();
        lengths.push(disk.used_bytes());
    }
    assert_eq!(lengths[0], lengths[2]);
}

#[test]
fn events_that_stay_keep_their_order_and_can_be_taken() {
    let disk = SimDisk::new(1);
    let mut log = Booked::open(&disk).unwrap();
    pass(&mut log, 2000, 5);
    disk.kill();
    let mut log = Booked::open(&disk).unwrap();
    log.commit(&[Step::Take(vec![1, 2, 3])]).unwrap();
    disk.lose_power();
    assert_eq!(Booked::open(&disk).unwrap().numbers(), [0, 4]);
}

#[test]
fn a_transaction_of_any_size_is_one_and_small_ones_go_on_after_it() {
    run(async {
        let disk = SimDisk::new(1);
        let channel = open(&disk);
        commit_puts(&channel, &[1]).await.unwrap();
        for number in [2, 3] {
            let mut transaction = channel.begin();
            for part in 0..3 {
                let large = padded_event(10 * number + part, 8000);
                channel.put(&mut transaction, large).await.unwrap();
            }
            channel.commit(transaction).await.unwrap();
        }
        commit_puts(&channel, &[4]).await.unwrap();
        drop(channel);
        disk.lose_power();
        let channel = open(&disk);
        assert_eq!(content(&channel), [1, 20, 21, 22, 30, 31, 32, 4]);
        drop(channel);
        // The first opening cut the last segment, but kept none for it.
        assert!(disk.used_bytes() < 4 * (64 << 10));
    });
}
