//! What events are named by, when a spool is copied (an image, a clone of a machine) or taken back
//! to what it was (a back-up).

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;
use flume_client::seq::{Seq, SeqRange, SeqSet};
use flume_client::spool::{Level, Log, Reader, Settings, Step};
use flume_tests::spool_sim::disk::SimDisk;

const SETTINGS: Settings = Settings {
    segment_bytes: 8 * 1024,
    frame_bytes_max: 2 * 1024,
    bytes_max: 1024 * 1024,
    free_bytes_min: 0,
};
const TIME_MS: u64 = 1_700_000_000_000;
const STEPS: u32 = 60;

/// Every name that was ever given, and the event it was given to.
#[derive(Default)]
struct Names(BTreeMap<(u64, Seq), Vec<u8>>);

impl Names {
    /// A run of a client: stores some new events, and is killed or ends.
    fn run(&mut self, disk: &Arc<SimDisk>, random: &mut Rng) {
        // Stands in for the system's randomness.
        let seed = random.u64(..);
        let (mut log, _) = Log::open(Arc::clone(disk) as _, SETTINGS, seed).unwrap();
        for _ in 0..random.u32(0..4) {
            let (mut ends, mut datums) = (Vec::new(), Vec::new());
            for index in 0..random.u64(1..30) {
                let event = format!("event {}", self.0.len()).into_bytes();
                datums.extend(&event);
                ends.push(datums.len() as u32);
                let name = (log.run_id(), log.next().plus(index));
                let earlier = self.0.insert(name, event);
                assert!(earlier.is_none(), "{name:x?} names two events");
            }
            log.push(&ends, &datums, Level::EndToEnd);
            log.flush(TIME_MS).unwrap();
        }
        if random.bool() {
            let upto = log.next().number().saturating_sub(random.u64(0..20));
            log.retire((0..upto).into());
            log.save().unwrap();
        }
        drop(log);
        disk.end_process();
    }

    /// Each event in the spool is in a segment of the run that named it.
    fn check(&self, disk: &Arc<SimDisk>) {
        let (log, opened) = Log::open(Arc::clone(disk) as _, SETTINGS, 1).unwrap();
        let segments = log.segments();
        let mut reader = Reader::new(Seq::ZERO, opened.known_durable_upto);
        let nothing = SeqSet::default();
        loop {
            let step = reader.advance(disk.as_ref(), &segments, &nothing, log.readable_upto());
            match step.unwrap() {
                Step::End => return,
                Step::Gap(_) => continue,
                Step::Frame => {}
            }
            let mut segments = segments.readable.iter().map(|segment| segment.header);
            let header = segments.find(|header| Some(header.id) == reader.segment());
            let run_id = header.unwrap().run_id;
            for (number, datum) in reader.frame().unwrap().events() {
                let named = &self.0[&(run_id, number)];
                assert_eq!(named, datum, "{run_id:x}-{:x}", number.number());
            }
        }
    }
}

fn empty(random: &mut Rng) -> Arc<SimDisk> {
    Arc::new(SimDisk::new(random.u64(..), u64::MAX / 2))
}

fn copy(disk: &SimDisk, random: &mut Rng) -> Arc<SimDisk> {
    let copy = empty(random);
    for (file, _) in disk.files() {
        copy.place(file, disk.content(file));
    }
    copy
}

#[test]
fn a_name_is_given_once_however_often_a_spool_is_copied_or_taken_back() {
    for seed in 0..200 {
        let mut random = Rng::with_seed(seed);
        let mut names = Names::default();
        let mut spools = vec![empty(&mut random)];
        let mut backups = Vec::new();
        for _ in 0..STEPS {
            let chosen = random.usize(0..spools.len());
            match random.u32(0..10) {
                0..6 => names.run(&spools[chosen], &mut random),
                6 => spools.push(copy(&spools[chosen], &mut random)),
                7 => backups.push(copy(&spools[chosen], &mut random)),
                _ if backups.is_empty() => {}
                _ => {
                    let backup: &Arc<SimDisk> = &backups[random.usize(0..backups.len())];
                    spools[chosen] = copy(backup, &mut random);
                }
            }
        }
        for spool in spools.iter().chain(&backups) {
            names.check(spool);
        }
    }
}

#[test]
fn a_segment_names_the_one_that_was_there_before_it() {
    let disk = empty(&mut Rng::with_seed(1));
    let (mut log, _) = Log::open(Arc::clone(&disk) as _, SETTINGS, 1).unwrap();
    let datum = [0; 1500];
    for _ in 0..20 {
        log.push(&[datum.len() as u32], &datum, Level::EndToEnd);
        log.flush(TIME_MS).unwrap();
    }
    let chain = |log: &Log| {
        let headers = log
            .segments()
            .readable
            .into_iter()
            .map(|segment| segment.header);
        headers
            .map(|header| (header.id, header.previous))
            .collect::<Vec<_>>()
    };
    let before = chain(&log);
    assert!(before.len() > 3, "{before:?}");
    assert_eq!(before[0].1, 0);
    for pair in before.windows(2) {
        assert_eq!(pair[1].1, pair[0].0 + 1, "{before:?}");
    }
    // Another run goes on with the chain, and all drained begins another one.
    drop(log);
    let (mut log, _) = Log::open(Arc::clone(&disk) as _, SETTINGS, 2).unwrap();
    log.push(&[5], b"event", Level::EndToEnd);
    log.flush(TIME_MS).unwrap();
    let last = chain(&log).pop().unwrap();
    assert_eq!(last.1, before.last().unwrap().0 + 1);
    drop(log);
    let (mut log, _) = Log::open(Arc::clone(&disk) as _, SETTINGS, 3).unwrap();
    log.retire(SeqRange::new(Seq::ZERO, log.next()));
    log.save().unwrap();
    log.push(&[5], b"event", Level::EndToEnd);
    log.flush(TIME_MS).unwrap();
    let [(_, previous)] = chain(&log)[..] else {
        panic!("{:?}", chain(&log));
    };
    assert_eq!(previous, 0);
}
