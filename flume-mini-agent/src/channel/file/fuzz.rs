//! What must hold for any bytes in a log, for the crate's fuzz checks.

use std::collections::BTreeMap;
use std::io;
use std::sync::LazyLock;

use super::log::{Change, Log};
use super::record::{Round, SegmentHeader};
use super::replay;
use super::storage::{SpaceProbe, Storage};
use crate::channel::StoredEvent;

/// A disk in memory that neither fails nor forgets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Memory(BTreeMap<u64, Vec<u8>>);

const SEGMENT: u64 = 1;
const SEGMENT_BYTES_MAX: u64 = u64::MAX;

/// Damage to a log is refused and leaves it as it was, or costs its end; what opens once opens
/// again with the same events. The first byte says what the others are: places and masks of bytes
/// to be turned over in a good log, or records with a right checksum and any content.
pub(crate) fn check_log(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    static WRITTEN: LazyLock<(Memory, Vec<Vec<Vec<u8>>>)> = LazyLock::new(written);
    let (disk, rounds) = match kind % 2 {
        0 => (damaged(&WRITTEN.0, rest), Some(&WRITTEN.1)),
        _ => (forged(rest), None),
    };
    let Ok((events, after)) = open(disk.clone()) else {
        return;
    };
    if let Some(rounds) = rounds {
        assert!(rounds.contains(&events), "{events:?} was never committed");
    }
    assert_eq!(open(after.clone()), Ok((events, after)));
}

/// The events in a log, and the disk after it was opened; an error has touched nothing.
fn open(disk: Memory) -> Result<(Vec<Vec<u8>>, Memory), ()> {
    match replay::open(disk, SEGMENT_BYTES_MAX) {
        Ok((log, _)) => Ok((events(&log), log.into_storage())),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            Err(())
        }
    }
}

fn events(log: &Log<Memory>) -> Vec<Vec<u8>> {
    let events = log.ledger().events();
    events.map(|(_, event)| event.datum().to_vec()).collect()
}

/// A good log, and its events after each of its rounds.
fn written() -> (Memory, Vec<Vec<Vec<u8>>>) {
    let (mut log, _) =
        replay::open(Memory::default(), SEGMENT_BYTES_MAX).expect("a disk in memory does not fail");
    let mut rounds = vec![Vec::new()];
    for round in 0..6_u64 {
        let event = StoredEvent::from_parts(&[("k", "v")], &round.to_le_bytes());
        let oldest = log.ledger().events().next().map(|(sequence, _)| sequence);
        let taken = Vec::from_iter(oldest.filter(|_| round % 2 == 1));
        let changes = [Change::Put(&[event.clone(), event]), Change::Take(&taken)];
        // A transaction is one record: a cut may be between the two of a round.
        let mut half = events(&log);
        let committed = log.commit(&changes);
        committed.expect("a disk in memory does not fail");
        rounds.push(events(&log));
        half.extend(events(&log).into_iter().rev().take(2));
        rounds.push(half);
    }
    (log.into_storage(), rounds)
}

/// Turns bytes over: two bytes of place, one of mask each.
fn damaged(disk: &Memory, script: &[u8]) -> Memory {
    let mut disk = disk.clone();
    for step in script.as_chunks::<3>().0 {
        let [low, high, mask] = *step;
        let at = usize::from(u16::from_le_bytes([low, high]));
        for bytes in disk.0.values_mut() {
            let length = bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(at % length) {
                *byte ^= mask;
            }
        }
    }
    disk
}

/// Records of a kind, a length and so many bytes each.
fn forged(mut script: &[u8]) -> Memory {
    let mut numbers = [0; 16];
    for (number, byte) in numbers.iter_mut().zip(script) {
        *number = *byte;
    }
    let [next_sequence, oldest] = [numbers[..8].as_ref(), numbers[8..].as_ref()].map(|half| {
        half.first_chunk()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes))
    });
    script = script.get(16..).unwrap_or_default();
    let header = SegmentHeader {
        number: SEGMENT,
        oldest: oldest % 2,
        next_sequence,
        bytes_before: 0,
    };
    let mut bytes = header.encode();
    let mut round = Round::default();
    round.restart(SEGMENT, bytes.len() as u64);
    while let [kind, length, rest @ ..] = script {
        let (body, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        round.record(kind % 6, |record| record.extend(body));
        script = rest;
    }
    bytes.extend(round.bytes());
    Memory(BTreeMap::from([(SEGMENT, bytes)]))
}

impl Memory {
    fn segment(&mut self, segment: u64) -> io::Result<&mut Vec<u8>> {
        self.0
            .get_mut(&segment)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Storage for Memory {
    fn list(&mut self) -> io::Result<Vec<u64>> {
        Ok(self.0.keys().copied().collect())
    }

    fn read(&mut self, segment: u64) -> io::Result<Vec<u8>> {
        self.segment(segment).cloned()
    }

    fn create(&mut self, segment: u64) -> io::Result<()> {
        self.0.insert(segment, Vec::new());
        Ok(())
    }

    fn publish(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn write(&mut self, segment: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let content = self.segment(segment)?;
        content.truncate(offset as usize);
        content.extend(bytes);
        Ok(())
    }

    fn truncate(&mut self, segment: u64, length: u64) -> io::Result<()> {
        self.segment(segment)?.truncate(length as usize);
        Ok(())
    }

    fn sync(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn remove(&mut self, segment: u64) -> io::Result<()> {
        self.0.remove(&segment);
        Ok(())
    }

    fn name(&self, segment: u64) -> String {
        format!("log-{segment}")
    }

    fn space_probe(&self) -> SpaceProbe {
        Box::new(|| Ok(u64::MAX))
    }
}
