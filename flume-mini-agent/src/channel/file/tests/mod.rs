//! Tests of the file channel, on a simulated disk and on the real one.
//!
//! A folder of its own although it is one deeper than elsewhere: the simulated disk and the
//! process tests are no part of the channel.

mod booked;
mod crash;
mod damage;
mod disk;
mod faults;
mod log;
mod process;
mod semantics;
mod sim;

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flume_client::spool::FileName;

use super::*;
use booked::{Booked, Step};
use sim::SimDisk;

/// Far beyond what any wait takes.
const LIMIT: Duration = Duration::from_secs(60);

/// An event whose body is `number` and `padding` more bytes.
fn padded_event(number: u64, padding: usize) -> StoredEvent {
    let length = 2 * (8 + padding);
    let mut datum = vec![0];
    if length < 128 {
        datum.push(u8::try_from(length).unwrap());
    } else {
        datum.push(u8::try_from(length % 128).unwrap() | 128);
        datum.push(u8::try_from(length / 128).unwrap());
    }
    datum.extend(number.to_le_bytes());
    datum.resize(datum.len() + padding, 0x55);
    StoredEvent::from_checked(Bytes::from(datum))
}

fn event(number: u64) -> StoredEvent {
    padded_event(number, 0)
}

/// The number in an event's body.
fn number(event: &StoredEvent) -> u64 {
    u64::from_le_bytes(*event.view().body().first_chunk().unwrap())
}

/// Ten slots, five events a transaction; a full channel is told at once.
fn settings() -> FileSettings {
    FileSettings {
        capacity: 10,
        transaction_capacity: 5,
        keep_alive: Duration::ZERO,
        max_file_size: 4096,
        ..FileSettings::new("simulated")
    }
}

fn open(disk: &SimDisk) -> FileChannel {
    open_with(disk, settings())
}

fn open_with(disk: &SimDisk, settings: FileSettings) -> FileChannel {
    FileChannel::open_on(disk.storage(), None, settings).unwrap()
}

fn refusal(disk: &SimDisk) -> OpenError {
    FileChannel::open_on(disk.storage(), None, settings()).unwrap_err()
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().build().unwrap().block_on(test)
}

/// A transaction with `numbers` put into it.
async fn put(channel: &FileChannel, numbers: &[u64]) -> Transaction {
    let mut transaction = channel.begin();
    for number in numbers {
        channel.put(&mut transaction, event(*number)).await.unwrap();
    }
    transaction
}

async fn commit_puts(channel: &FileChannel, numbers: &[u64]) -> Result<(), TransactionError> {
    channel.commit(put(channel, numbers).await).await
}

/// A transaction that has taken up to `count` events.
fn take(channel: &FileChannel, count: usize) -> Transaction {
    let mut transaction = channel.begin();
    channel.take(&mut transaction, count).unwrap();
    transaction
}

fn taken(transaction: &Transaction) -> Vec<u64> {
    transaction.taken().iter().map(number).collect()
}

/// All events that can be taken; they stay in the channel.
fn content(channel: &FileChannel) -> Vec<u64> {
    let mut all = Vec::new();
    let mut held = Vec::new();
    while channel.len() > 0 {
        let transaction = take(channel, channel.settings.transaction_capacity);
        all.extend(taken(&transaction));
        held.push(transaction);
    }
    all
}

/// A directory that is gone after the test.
struct TestDirectory(PathBuf);

impl TestDirectory {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("flume-file-channel-{}-{count}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TestDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
