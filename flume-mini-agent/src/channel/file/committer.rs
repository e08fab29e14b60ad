//! The committer: the thread that owns the log. Commits that wait while it syncs share the next
//! sync.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use flume_client::seq::Seq;
use tokio::sync::{mpsc, oneshot};

use super::error::TransactionError;
use super::log::{Change, Log};
use super::transaction::{Queue, Transaction};

/// Commits that wait for the thread; further callers wait for a place.
const COMMITS_MAX: usize = 64;

/// Bytes after which a round takes no further transaction.
const ROUND_BYTES_MAX: usize = 4 << 20;

/// A transaction on its way to the log. It is settled even if nobody waits for the reply.
#[derive(Debug)]
pub(super) struct Commit {
    pub(super) transaction: Transaction,
    pub(super) reply: oneshot::Sender<Result<(), TransactionError>>,
}

/// Starts the thread. It ends when the sender is dropped, after the commits that are waiting.
pub(super) fn start(
    log: Log,
    queue: Arc<Queue>,
) -> io::Result<(mpsc::Sender<Commit>, JoinHandle<()>)> {
    let (sender, commits) = mpsc::channel(COMMITS_MAX);
    let thread = std::thread::Builder::new().name("flume-file-channel".to_owned());
    let thread = thread.spawn(move || run(log, &queue, commits))?;
    Ok((sender, thread))
}

fn run(mut log: Log, queue: &Queue, mut commits: mpsc::Receiver<Commit>) {
    while let Some(first) = commits.blocking_recv() {
        let mut bytes = first.transaction.put_bytes();
        let mut round = vec![first];
        while bytes < ROUND_BYTES_MAX
            && round.len() < COMMITS_MAX
            && let Ok(next) = commits.try_recv()
        {
            bytes += next.transaction.put_bytes();
            round.push(next);
        }
        commit(&mut log, queue, round);
        report_poison(&log, queue);
    }
    // Nobody is left to tell of an error, and what the cursor says then is a help for the next open
    // only.
    let _ = log.close();
}

fn commit(log: &mut Log, queue: &Queue, round: Vec<Commit>) {
    let changes: Vec<_> = round.iter().map(|it| change(&it.transaction)).collect();
    match log.commit(&changes) {
        Ok(first) => publish(queue, round, first),
        // What is too much for the disk together may fit one by one; takes are small.
        Err(TransactionError::Write(_) | TransactionError::SegmentSpace { .. })
            if round.len() > 1 =>
        {
            for single in round {
                commit(log, queue, vec![single]);
            }
        }
        Err(error) => {
            report_poison(log, queue);
            for Commit { transaction, reply } in round {
                drop(transaction);
                // A caller that has gone needs no answer.
                let _ = reply.send(Err(error.clone()));
            }
        }
    }
}

fn publish(queue: &Queue, round: Vec<Commit>, first: Seq) {
    let mut sequence = first;
    for Commit { transaction, reply } in round {
        let puts = transaction.put_count() as u64;
        queue.publish(transaction, sequence);
        sequence = sequence.plus(puts);
        let _ = reply.send(Ok(()));
    }
}

fn change(transaction: &Transaction) -> Change<'_> {
    if transaction.taken().is_empty() {
        Change::Put(transaction.puts())
    } else {
        Change::Take(transaction.taken_sequences())
    }
}

fn report_poison(log: &Log, queue: &Queue) {
    if let Some(reason) = log.poisoned() {
        queue.poison(Arc::clone(reason));
    }
}
