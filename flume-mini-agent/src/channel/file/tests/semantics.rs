//! Flume's rules for the file channel, after its own test suites.

use std::sync::Arc;

use super::*;

#[test]
fn a_put_without_commit_is_gone_after_a_crash_and_a_committed_one_is_there() {
    run(async {
        let disk = SimDisk::new(1);
        let channel = open(&disk);
        commit_puts(&channel, &[1, 2]).await.unwrap();
        let open_transaction = put(&channel, &[3]).await;
        drop(channel);
        disk.lose_power();
        assert_eq!(content(&open(&disk)), [1, 2]);
        drop(open_transaction);
    });
}

#[test]
fn events_that_open_transactions_have_taken_are_back_after_a_restart() {
    run(async {
        let disk = SimDisk::new(1);
        let channel = open(&disk);
        commit_puts(&channel, &[1, 2, 3, 4, 5]).await.unwrap();
        let channel = Arc::new(channel);
        let taker = |channel: Arc<FileChannel>| move || take(&channel, 2);
        let threads = [(); 2].map(|()| std::thread::spawn(taker(Arc::clone(&channel))));
        let open_transactions = threads.map(|thread| thread.join().unwrap());
        assert_eq!(channel.len(), 1);
        drop(channel);
        disk.kill();
        assert_eq!(content(&open(&disk)), [1, 2, 3, 4, 5]);
        drop(open_transactions);
    });
}

#[test]
fn a_committed_take_is_not_delivered_again() {
    run(async {
        let disk = SimDisk::new(1);
        let channel = open(&disk);
        commit_puts(&channel, &[1, 2, 3]).await.unwrap();
        let transaction = take(&channel, 2);
        assert_eq!(taken(&transaction), [1, 2]);
        channel.commit(transaction).await.unwrap();
        drop(channel);
        disk.lose_power();
        assert_eq!(content(&open(&disk)), [3]);
    });
}

#[test]
fn a_take_whose_segment_was_followed_before_its_commit_is_not_delivered_again() {
    run(async {
        let disk = SimDisk::new(1);
        let channel = open_with(
            &disk,
            FileSettings {
                capacity: 10_000,
                ..settings()
            },
        );
        commit_puts(&channel, &[1, 2, 3]).await.unwrap();
        let transaction = take(&channel, 2);
        while disk.segments().len() < 3 {
            commit_puts(&channel, &[4, 5, 6, 7, 8]).await.unwrap();
        }
        channel.commit(transaction).await.unwrap();
        drop(channel);
        disk.lose_power();
        let channel = open_with(
            &disk,
            FileSettings {
                capacity: 10_000,
                ..settings()
            },
        );
        assert_eq!(content(&channel)[..2], [3, 4]);
    });
}

#[test]
fn a_rolled_back_put_is_absent_after_a_crash_and_has_left_no_trace() {
    run(async {
        let disk = SimDisk::new(1);
        let channel = open(&disk);
        commit_puts(&channel, &[1]).await.unwrap();
        let before = disk.operations();
        channel.rollback(put(&channel, &[2, 3]).await);
        assert_eq!(disk.operations(), before);
        drop(channel);
        disk.lose_power();
        assert_eq!(content(&open(&disk)), [1]);
    });
}

#[test]
fn a_put_that_waits_on_a_full_channel_goes_through_once_a_take_is_committed_and_keeps_its_turn() {
    run(async {
        let disk = SimDisk::new(1);
        let settings = FileSettings {
            capacity: 5,
            keep_alive: LIMIT,
            ..settings()
        };
        let channel = Arc::new(open_with(&disk, settings.clone()));
        commit_puts(&channel, &[1, 2, 3, 4, 5]).await.unwrap();
        let waiting = Arc::clone(&channel);
        let waiting = tokio::spawn(async move { commit_puts(&waiting, &[6]).await });
        tokio::task::yield_now().await;
        let transaction = take(&channel, 1);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "the slot is still held");
        channel.commit(transaction).await.unwrap();
        waiting.await.unwrap().unwrap();
        drop(channel);
        disk.lose_power();
        assert_eq!(content(&open_with(&disk, settings)), [2, 3, 4, 5, 6]);
    });
}

#[test]
fn a_full_channel_is_still_full_after_a_take_is_rolled_back() {
    run(async {
        let channel = open_with(
            &SimDisk::new(1),
            FileSettings {
                capacity: 5,
                ..settings()
            },
        );
        commit_puts(&channel, &[1, 2, 3, 4, 5]).await.unwrap();
        let transaction = take(&channel, 2);
        channel.rollback(transaction);
        let mut transaction = channel.begin();
        let error = channel.put(&mut transaction, event(6)).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "no room for another event: all 5 slots stayed taken for 0ns"
        );
        assert_eq!(content(&channel), [1, 2, 3, 4, 5]);
    });
}

#[test]
fn a_put_on_a_full_channel_fails_after_keep_alive() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let keep_alive = Duration::from_secs(3);
        let settings = FileSettings {
            capacity: 2,
            transaction_capacity: 2,
            keep_alive,
            ..settings()
        };
        let channel = open_with(&SimDisk::new(1), settings);
        let held = put(&channel, &[1, 2]).await;
        let start = tokio::time::Instant::now();
        let mut transaction = channel.begin();
        let error = channel.put(&mut transaction, event(3)).await.unwrap_err();
        assert!(matches!(error, TransactionError::ChannelFull { .. }));
        assert_eq!(start.elapsed(), keep_alive);
        channel.rollback(held);
        channel.put(&mut transaction, event(3)).await.unwrap();
    });
}

#[test]
fn slots_are_taken_at_the_put_and_free_again_after_a_drop() {
    run(async {
        let channel = open(&SimDisk::new(1));
        let one = put(&channel, &[1, 2, 3, 4, 5]).await;
        let two = put(&channel, &[6, 7, 8, 9, 10]).await;
        let mut three = channel.begin();
        channel.put(&mut three, event(11)).await.unwrap_err();
        drop(one);
        channel.put(&mut three, event(11)).await.unwrap();
        channel.commit(two).await.unwrap();
        channel.commit(three).await.unwrap();
        assert_eq!(content(&channel), [6, 7, 8, 9, 10, 11]);
    });
}

#[test]
fn a_transaction_holds_as_many_events_as_its_capacity_and_fails_beyond_at_once() {
    run(async {
        let channel = open_with(
            &SimDisk::new(1),
            FileSettings {
                keep_alive: LIMIT,
                ..settings()
            },
        );
        let mut transaction = put(&channel, &[1, 2, 3, 4, 5]).await;
        let expected =
            "the transaction holds 5 events, all its channel's transactionCapacity allows";
        let error = channel.put(&mut transaction, event(6)).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
        channel.commit(transaction).await.unwrap();
        commit_puts(&channel, &[6]).await.unwrap();
        let mut transaction = take(&channel, 5);
        let error = channel.take(&mut transaction, 1).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(
            (taken(&transaction), channel.len()),
            (vec![1, 2, 3, 4, 5], 1)
        );
    });
}

#[test]
fn a_transaction_puts_or_takes() {
    run(async {
        let channel = open(&SimDisk::new(1));
        commit_puts(&channel, &[1]).await.unwrap();
        let mut puts = put(&channel, &[2]).await;
        let mut takes = take(&channel, 1);
        let expected = "a transaction of a file channel puts or takes, not both";
        assert_eq!(
            channel.take(&mut puts, 1).unwrap_err().to_string(),
            expected
        );
        let error = channel.put(&mut takes, event(3)).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
    });
}

#[test]
fn a_take_from_an_empty_channel_returns_at_once_and_an_empty_commit_touches_no_disk() {
    run(async {
        let disk = SimDisk::new(1);
        let channel = open_with(
            &disk,
            FileSettings {
                keep_alive: LIMIT,
                ..settings()
            },
        );
        let before = disk.operations();
        let mut transaction = channel.begin();
        assert_eq!(channel.take(&mut transaction, 3).unwrap(), 1);
        assert!(transaction.taken().is_empty());
        channel.commit(transaction).await.unwrap();
        assert_eq!(disk.operations(), before);
    });
}

#[test]
fn rolled_back_takes_are_at_the_head_in_order_before_what_came_since() {
    run(async {
        let channel = open(&SimDisk::new(1));
        commit_puts(&channel, &[1, 2, 3, 4]).await.unwrap();
        let (one, two) = (take(&channel, 2), take(&channel, 1));
        commit_puts(&channel, &[5]).await.unwrap();
        channel.rollback(two);
        channel.rollback(one);
        assert_eq!(content(&channel), [1, 2, 3, 4, 5]);
    });
}

#[test]
fn events_are_visible_after_the_sync_not_before() {
    run(async {
        let disk = SimDisk::new(1);
        let channel = Arc::new(open(&disk));
        disk.hold_syncs();
        let committing = Arc::clone(&channel);
        let commit = tokio::spawn(async move { commit_puts(&committing, &[1]).await });
        tokio::task::yield_now().await;
        disk.wait_for_a_held_sync();
        assert_eq!(channel.len(), 0);
        disk.release_syncs();
        commit.await.unwrap().unwrap();
        assert_eq!(channel.len(), 1);
        channel.arrival().await;
    });
}

#[test]
fn commits_that_come_during_a_sync_share_the_next() {
    run(async {
        let disk = SimDisk::new(1);
        let channel = Arc::new(open(&disk));
        let before = disk.syncs();
        disk.hold_syncs();
        let commit = |number| {
            let channel = Arc::clone(&channel);
            tokio::spawn(async move { commit_puts(&channel, &[number]).await })
        };
        let mut commits = vec![commit(0)];
        tokio::task::yield_now().await;
        disk.wait_for_a_held_sync();
        commits.extend((1..10).map(commit));
        tokio::task::yield_now().await;
        disk.release_syncs();
        for commit in commits {
            commit.await.unwrap().unwrap();
        }
        assert_eq!(disk.syncs() - before, 2);
        disk.lose_power();
        assert_eq!(content(&channel), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    });
}

#[test]
fn a_commit_goes_through_although_its_caller_has_given_up() {
    run(async {
        let disk = SimDisk::new(1);
        let channel = Arc::new(open(&disk));
        disk.hold_syncs();
        let committing = Arc::clone(&channel);
        let commit = tokio::spawn(async move { commit_puts(&committing, &[1, 2]).await });
        tokio::task::yield_now().await;
        disk.wait_for_a_held_sync();
        commit.abort();
        commit.await.unwrap_err();
        disk.release_syncs();
        channel.arrival().await;
        assert_eq!(content(&channel), [1, 2]);
    });
}

#[test]
fn ten_threads_with_batches_of_one_and_of_five_get_every_event_through_once() {
    const EVENTS: u64 = 40;
    let disk = SimDisk::new(1);
    let settings = FileSettings {
        capacity: 50,
        keep_alive: LIMIT,
        ..settings()
    };
    let channel = Arc::new(open_with(&disk, settings.clone()));
    let writer = |channel: Arc<FileChannel>, writer: u64| {
        move || {
            let batch = if writer.is_multiple_of(2) { 1 } else { 5 };
            let all: Vec<u64> = (0..EVENTS).map(|it| writer * EVENTS + it).collect();
            for numbers in all.chunks(batch) {
                run(async { commit_puts(&channel, numbers).await.unwrap() });
            }
        }
    };
    let reader = |channel: Arc<FileChannel>, batch: usize| {
        move || {
            let mut numbers = Vec::new();
            while (numbers.len() as u64) < 5 * EVENTS {
                let room = 5 * usize::try_from(EVENTS).unwrap() - numbers.len();
                let transaction = take(&channel, batch.min(room));
                if transaction.taken().is_empty() {
                    run(channel.arrival());
                    channel.wake_sink();
                    continue;
                }
                numbers.extend(taken(&transaction));
                run(channel.commit(transaction)).unwrap();
            }
            numbers
        }
    };
    let writers: Vec<_> = (0..10)
        .map(|it| std::thread::spawn(writer(Arc::clone(&channel), it)))
        .collect();
    let readers = [1, 5].map(|it| std::thread::spawn(reader(Arc::clone(&channel), it)));
    writers.into_iter().for_each(|it| it.join().unwrap());
    let mut all = readers.map(|it| it.join().unwrap()).concat();
    all.sort_unstable();
    assert_eq!(all, (0..10 * EVENTS).collect::<Vec<_>>());
    drop(channel);
    disk.lose_power();
    assert_eq!(open_with(&disk, settings).len(), 0);
}

#[test]
fn a_log_with_more_events_than_the_capacity_is_refused_and_opens_with_more_room() {
    run(async {
        let disk = SimDisk::new(1);
        commit_puts(&open(&disk), &[1, 2, 3]).await.unwrap();
        let small = FileSettings {
            capacity: 2,
            transaction_capacity: 2,
            ..settings()
        };
        let error = FileChannel::open_on(disk.storage(), None, small).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the log holds 3 events, more than the channel's capacity 2: raise it"
        );
        assert_eq!(content(&open(&disk)), [1, 2, 3]);
    });
}
