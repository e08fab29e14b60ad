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
        let segment = disk.segments()[0];
        disk.fail_after(1, Fault::Error);
        let error = commit_puts(&channel, &[3]).await.unwrap_err();
        let expected = format!(
            "the channel is out of order until it is opened again: \
             could not sync {segment}: {NO_SPACE}"
        );
        assert_eq!(error.to_string(), expected);
        let syncs = disk.syncs();
        let mut late = channel.begin();
        let errors = [
            channel.put(&mut early, event(5)).await.unwrap_err(),
            channel.take(&mut late, 1).unwrap_err(),
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
        let large = FileSettings {
            capacity: 10_000,
            ..settings()
        };
        let channel = open_with(&disk, large.clone());
        commit_puts(&channel, &[1, 2]).await.unwrap();
        disk.set_full(true);
        // Into the room that the segment has.
        let mut expected = vec![1, 2];
        let error = loop {
            match commit_puts(&channel, &[3, 4, 5]).await {
                Ok(()) => expected.extend([3, 4, 5]),
                Err(error) => break error,
            }
        };
        let error = error.to_string();
        assert!(error.starts_with("could not write to the log: "), "{error}");
        for _ in 0..20 {
            let error = commit_puts(&channel, &[3, 4, 5]).await.unwrap_err();
            assert!(matches!(error, TransactionError::Write(_)), "{error}");
            // Takes need no room.
            channel.commit(take(&channel, 1)).await.unwrap();
            expected.remove(0);
        }
        let copy = disk.copy();
        assert_eq!(content(&open_with(&copy, large.clone())), expected);
        disk.set_full(false);
        commit_puts(&channel, &[6]).await.unwrap();
        expected.push(6);
        assert_eq!(content(&channel), expected);
        drop(channel);
        disk.lose_power();
        assert_eq!(content(&open_with(&disk, large)), expected);
    });
}

#[test]
fn a_write_that_fails_undoes_its_transaction_whole_be_it_of_puts_or_of_takes() {
    run(async {
        let disk = SimDisk::new(1);
        let channel = open(&disk);
        commit_puts(&channel, &[1, 2]).await.unwrap();
        for _ in 0..20 {
            disk.fail_after(0, Fault::Error);
            let error = commit_puts(&channel, &[3, 4, 5]).await.unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("could not write to the log: {NO_SPACE}")
            );
            commit_puts(&channel, &[6]).await.unwrap();
            disk.fail_after(0, Fault::Error);
            let failed = channel.commit(take(&channel, 1)).await;
            // All of it may have been written before the write failed.
            if failed.is_err() {
                channel.commit(take(&channel, 1)).await.unwrap();
            }
        }
        let copy = disk.copy();
        assert_eq!(content(&open(&copy)), [6, 6]);
        commit_puts(&channel, &[7]).await.unwrap();
        assert_eq!(content(&channel), [6, 6, 7]);
        drop(channel);
        disk.lose_power();
        assert_eq!(content(&open(&disk)), [6, 6, 7]);
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
        // Of a new segment: its header is written, and it is given its name.
        for operation in [1, 3] {
            let disk = SimDisk::new(1);
            let settings = FileSettings {
                capacity: 10_000,
                ..settings()
            };
            let channel = open_with(&disk, settings.clone());
            commit_puts(&channel, &[1, 2, 3, 4, 5]).await.unwrap();
            let mut committed = 5;
            // A frame of 5 events of 10 bytes.
            for _ in 1..(16384 - 4096) / 120 {
                commit_puts(&channel, &[1, 2, 3, 4, 5]).await.unwrap();
                committed += 5;
            }
            assert_eq!(disk.segments().len(), 1);
            disk.fail_after(operation, Fault::Error);
            let error = commit_puts(&channel, &[1, 2, 3, 4, 5]).await.unwrap_err();
            assert!(matches!(error, TransactionError::Write(_)));
            commit_puts(&channel, &[7]).await.unwrap();
            assert_eq!(disk.segments().len(), 2);
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
fn an_emptied_channel_gives_its_room_back_but_for_three_segments() {
    run(async {
        let disk = SimDisk::new(1);
        let large = FileSettings {
            max_file_size: 64 << 20,
            capacity: 2000,
            ..settings()
        };
        let channel = open_with(&disk, large.clone());
        for number in 0..2000 {
            let mut transaction = channel.begin();
            let padded = padded_event(number, 4 << 10);
            channel.put(&mut transaction, padded).await.unwrap();
            channel.commit(transaction).await.unwrap();
        }
        assert!(disk.used_bytes() > 8 << 20);
        while channel.len() > 0 {
            channel.commit(take(&channel, 5)).await.unwrap();
        }
        // The thread has done all it does after a commit.
        drop(channel);
        assert!(disk.used_bytes() < (3 << 20) + (64 << 10));
        assert_eq!(content(&open_with(&disk, large)), [0; 0]);
    });
}

#[test]
fn a_segment_that_would_leave_less_than_the_floor_is_not_begun() {
    run(async {
        let disk = SimDisk::new(1);
        let settings = FileSettings {
            minimum_required_space: 5 << 20,
            capacity: 10_000,
            ..settings()
        };
        let channel = open_with(&disk, settings);
        commit_puts(&channel, &[1]).await.unwrap();
        disk.set_free_bytes((5 << 20) + (20 << 10));
        let error = loop {
            if let Err(error) = commit_puts(&channel, &[2]).await {
                break error;
            }
        };
        assert_eq!(
            error.to_string(),
            "only 5263360 bytes are free on the disk, of which the channel needs 32768 for more \
             events and leaves 5242880 untouched: make room there, or lower minimumRequiredSpace"
        );
        let taken = take(&channel, 1);
        channel.commit(taken).await.unwrap();
        disk.set_free_bytes(6 << 20);
        commit_puts(&channel, &[3]).await.unwrap();
    });
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
        let segment = disk.segments()[0];
        let mut bytes = disk.content(segment);
        bytes[4096 + 55] ^= 4;
        disk.set_content(segment, &bytes);
        let error = refusal(&disk).to_string();
        assert!(
            error.starts_with(&format!("{segment} is damaged at offset 4096: ")),
            "{error}"
        );
        let left = disk.content(segment);
        assert_eq!(left, bytes, "the evidence is left as it is");
    });
}

#[test]
fn a_start_that_fails_says_why_and_the_next_one_may_succeed() {
    let disk = SimDisk::new(1);
    disk.fail_after(0, Fault::Error);
    let error = refusal(&disk).to_string();
    assert_eq!(error, format!("could not read the log: {NO_SPACE}"));
    // Behind the listings and the looks for a cursor: its creation.
    disk.fail_after(5, Fault::Error);
    let error = refusal(&disk).to_string();
    assert_eq!(error, format!("could not make cursor: {NO_SPACE}"));
    assert_eq!(open(&disk).len(), 0);
}

#[test]
fn a_committer_that_dies_takes_the_channel_out_of_order() {
    run(async {
        let disk = SimDisk::new(1);
        let channel = open(&disk);
        commit_puts(&channel, &[1]).await.unwrap();
        disk.fail_after(0, Fault::Panic);
        let error = commit_puts(&channel, &[2]).await.unwrap_err();
        assert!(matches!(error, TransactionError::Poisoned(_)));
        let mut transaction = channel.begin();
        let error = channel.put(&mut transaction, event(3)).await.unwrap_err();
        assert!(matches!(error, TransactionError::Poisoned(_)), "{error}");
    });
}

#[test]
fn segments_that_somebody_removes_do_not_take_the_channel_down_unnoticed() {
    run(async {
        let disk = SimDisk::new(1);
        let channel = open(&disk);
        commit_puts(&channel, &[1]).await.unwrap();
        disk.delete(disk.segments()[0]);
        commit_puts(&channel, &[2]).await.unwrap();
        drop(channel);
        let error = refusal(&disk).to_string();
        assert!(error.contains("the segment is missing"), "{error}");
    });
}
