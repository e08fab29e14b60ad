//! Disks that are full, fail or are damaged, as the channel's users meet them.

use std::sync::Arc;

use super::sim::Fault;
use super::*;

/// The error that a failed `write` or `sync` of the simulated disk gives.
const NO_SPACE: &str = "no storage space";

#[test]
fn after_a_failed_sync_nothing_goes_any_more_until_the_channel_is_opened_again() {
    run(async {
        let disk = SimDisk::new(1);
        let channel = open(&disk);
        commit_puts(&channel, &[1, 2]).await.unwrap();
        let mut early = put(&channel, &[4]).await;
        disk.fail_after(1, Fault::Error);
        let error = commit_puts(&channel, &[3]).await.unwrap_err();
        let expected = format!(
            "the channel is out of order until it is opened again: \
             could not sync log-1: {NO_SPACE}"
        );
        assert_eq!(error.to_string(), expected);
        let syncs = disk.syncs();
        let mut late = channel.begin();
        let errors = [
            channel.put(&mut early, event(5)).await.unwrap_err(),
            channel.take(&mut late).unwrap_err(),
            channel.commit(early).await.unwrap_err(),
            channel.commit(late).await.unwrap_err(),
        ];
        errors
            .iter()
            .for_each(|it| assert_eq!(it.to_string(), expected));
        drop(channel);
        assert_eq!(disk.syncs(), syncs, "a failed sync must not be tried again");
        disk.lose_power();
        let channel = open(&disk);
        let found = content(&channel);
        assert!(found == [1, 2] || found == [1, 2, 3]);
        commit_puts(&channel, &[4]).await.unwrap();
    });
}

#[test]
fn all_commits_of_a_round_whose_sync_fails_are_told_so() {
    run(async {
        let disk = SimDisk::new(1);
        let channel = Arc::new(open(&disk));
        disk.hold_syncs();
        let commit = |number| {
            let channel = Arc::clone(&channel);
            tokio::spawn(async move { commit_puts(&channel, &[number]).await })
        };
        let first = commit(1);
        tokio::task::yield_now().await;
        disk.wait_for_a_held_sync();
        let others = [2, 3, 4].map(commit);
        tokio::task::yield_now().await;
        disk.fail_after(1, Fault::Error);
        disk.release_syncs();
        first.await.unwrap().unwrap();
        for other in others {
            let error = other.await.unwrap().unwrap_err();
            assert!(matches!(error, TransactionError::Poisoned(_)));
        }
        assert_eq!(channel.len(), 1);
    });
}

#[test]
fn on_a_full_disk_a_transaction_fails_whole_and_the_channel_works_on() {
    run(async {
        let disk = SimDisk::new(1);
        let channel = open(&disk);
        commit_puts(&channel, &[1, 2]).await.unwrap();
        disk.set_full(true);
        for _ in 0..20 {
            let error = commit_puts(&channel, &[3, 4, 5]).await.unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("could not write to the log: {NO_SPACE}")
            );
            let transaction = take(&channel, 1);
            channel.commit(transaction).await.unwrap_err();
        }
        let copy = disk.copy();
        assert_eq!(content(&open(&copy)), [1, 2]);
        disk.set_full(false);
        commit_puts(&channel, &[6]).await.unwrap();
        assert_eq!(content(&channel), [1, 2, 6]);
        drop(channel);
        disk.lose_power();
        assert_eq!(content(&open(&disk)), [1, 2, 6]);
    });
}

#[test]
fn of_commits_that_are_too_much_for_the_disk_together_those_that_fit_go_through() {
    run(async {
        let disk = SimDisk::new(1);
        let channel = Arc::new(open(&disk));
        disk.hold_syncs();
        let commit = |number| {
            let channel = Arc::clone(&channel);
            tokio::spawn(async move { commit_puts(&channel, &[number]).await })
        };
        let mut commits = vec![commit(1)];
        tokio::task::yield_now().await;
        disk.wait_for_a_held_sync();
        commits.extend([2, 3].map(commit));
        tokio::task::yield_now().await;
        disk.fail_after(0, Fault::Error);
        disk.release_syncs();
        for commit in commits {
            commit.await.unwrap().unwrap();
        }
        assert!(disk.has_failed());
        assert_eq!(content(&channel), [1, 2, 3]);
    });
}

#[test]
fn a_new_segment_that_cannot_be_made_fails_the_transaction_only() {
    run(async {
        // The operations of a rotation that are no sync: create, write, publish.
        for operation in [0, 1, 3] {
            let disk = SimDisk::new(1);
            let settings = FileSettings {
                capacity: 1000,
                ..settings()
            };
            let channel = open_with(&disk, settings.clone());
            let mut committed = 0;
            while disk.content(1).len() < 4096 {
                commit_puts(&channel, &[1, 2, 3, 4, 5]).await.unwrap();
                committed += 5;
            }
            disk.fail_after(operation, Fault::Error);
            let error = commit_puts(&channel, &[6]).await.unwrap_err();
            assert!(matches!(error, TransactionError::Write(_)));
            commit_puts(&channel, &[7]).await.unwrap();
            assert_eq!(disk.segments(), [1, 2]);
            drop(channel);
            disk.lose_power();
            assert_eq!(open_with(&disk, settings).len(), committed + 1);
        }
    });
}

#[test]
fn below_the_floor_of_free_space_puts_are_refused_and_takes_are_not_until_space_returns() {
    run(async {
        let disk = SimDisk::new(1);
        let floor = FileSettings {
            minimum_required_space: 5 << 20,
            ..settings()
        };
        let channel = open_with(&disk, floor);
        commit_puts(&channel, &[1]).await.unwrap();
        disk.set_free_bytes(5 << 20);
        let mut transaction = channel.begin();
        let error = channel.put(&mut transaction, event(2)).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "only 5242880 bytes are free on the disk and the channel leaves 5242880 untouched: \
             make room there, or lower minimumRequiredSpace"
        );
        let taken = take(&channel, 1);
        channel.commit(taken).await.unwrap();
        disk.set_free_bytes(6 << 20);
        commit_puts(&channel, &[2]).await.unwrap();
        assert_eq!(content(&channel), [2]);
    });
}

#[test]
fn on_a_scarce_disk_an_emptied_channel_gives_its_dead_bytes_back() {
    for (free_bytes, segments) in [(20 << 20, vec![1]), (6 << 20, vec![2])] {
        run(async {
            let disk = SimDisk::new(1);
            let large = FileSettings {
                minimum_required_space: 5 << 20,
                max_file_size: 64 << 20,
                capacity: 20,
                ..settings()
            };
            let channel = open_with(&disk, large.clone());
            for number in 0..20 {
                let mut transaction = channel.begin();
                let padded = padded_event(number, 4 << 10);
                channel.put(&mut transaction, padded).await.unwrap();
                channel.commit(transaction).await.unwrap();
            }
            disk.set_free_bytes(free_bytes);
            for _ in 0..20 {
                channel.commit(take(&channel, 1)).await.unwrap();
            }
            // The thread has done all it does after a commit.
            drop(channel);
            assert_eq!(disk.segments(), segments, "{free_bytes}");
            assert_eq!(content(&open_with(&disk, large)), [0; 0]);
        });
    }
}

#[test]
fn a_transaction_does_not_put_more_than_there_was_above_the_floor() {
    run(async {
        let disk = SimDisk::new(1);
        let channel = open_with(
            &disk,
            FileSettings {
                minimum_required_space: 0,
                ..settings()
            },
        );
        // A floor of no space is the least of one MiB; an event has 10 bytes.
        disk.set_free_bytes((1 << 20) + 25);
        let mut transaction = put(&channel, &[1, 2]).await;
        let error = channel.put(&mut transaction, event(3)).await.unwrap_err();
        assert!(matches!(error, TransactionError::SpaceLow { .. }));
    });
}

#[test]
fn a_flipped_byte_of_an_event_keeps_the_channel_from_opening_and_the_error_says_where() {
    run(async {
        let disk = SimDisk::new(1);
        let channel = open(&disk);
        commit_puts(&channel, &[1]).await.unwrap();
        commit_puts(&channel, &[2]).await.unwrap();
        drop(channel);
        let mut bytes = disk.content(1);
        bytes[80] ^= 4;
        disk.set_content(1, &bytes);
        let error = refusal(&disk).to_string();
        assert!(
            error.starts_with("log-1 is damaged at offset 48: "),
            "{error}"
        );
        assert_eq!(disk.content(1), bytes, "the evidence is left as it is");
    });
}

#[test]
fn a_start_that_fails_says_why_and_the_next_one_may_succeed() {
    let disk = SimDisk::new(1);
    disk.fail_after(0, Fault::Error);
    let error = refusal(&disk).to_string();
    assert_eq!(
        error,
        format!("could not list the segments of the log: {NO_SPACE}")
    );
    disk.fail_after(2, Fault::Error);
    let error = refusal(&disk).to_string();
    assert_eq!(error, format!("could not make log-1: {NO_SPACE}"));
    assert_eq!(open(&disk).len(), 0);
}

#[test]
fn a_committer_that_dies_takes_the_channel_out_of_order() {
    run(async {
        let disk = SimDisk::new(1);
        let channel = open(&disk);
        commit_puts(&channel, &[1]).await.unwrap();
        disk.delete(1);
        let error = commit_puts(&channel, &[2]).await.unwrap_err();
        assert!(matches!(error, TransactionError::Poisoned(_)));
        let mut transaction = channel.begin();
        let error = channel.put(&mut transaction, event(3)).await.unwrap_err();
        assert!(matches!(error, TransactionError::Poisoned(_)), "{error}");
    });
}
