//! The channel on a real directory.

use std::fs;

use super::*;

fn settings(directory: &TestDirectory) -> FileSettings {
    FileSettings {
        capacity: 1000,
        transaction_capacity: 100,
        max_file_size: 4096,
        ..FileSettings::new(directory.path())
    }
}

fn open(directory: &TestDirectory) -> (FileChannel, Replay) {
    FileChannel::open(settings(directory), None).unwrap()
}

fn names(directory: &TestDirectory) -> Vec<String> {
    let entries = fs::read_dir(directory.path()).unwrap();
    let mut names: Vec<_> = entries
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_channel_keeps_its_events_in_a_directory_that_it_makes_with_its_parents() {
    run(async {
        let parent = TestDirectory::new();
        let settings = FileSettings::new(parent.path().join("a/b"));
        let (channel, replay) = FileChannel::open(settings.clone(), None).unwrap();
        assert_eq!((replay.events, replay.segments), (0, 1));
        commit_puts(&channel, &[1, 2, 3]).await.unwrap();
        let transaction = take(&channel, 1);
        channel.commit(transaction).await.unwrap();
        drop(channel);
        let (channel, replay) = FileChannel::open(settings, None).unwrap();
        assert_eq!(content(&channel), [2, 3]);
        assert_eq!((replay.events, replay.cut, replay.closed), (2, None, true));
    });
}

#[test]
fn segments_follow_one_another_and_are_deleted_when_they_are_drained() {
    run(async {
        let directory = TestDirectory::new();
        let (channel, _) = open(&directory);
        let numbers: Vec<u64> = (0..50).collect();
        for _ in 0..10 {
            commit_puts(&channel, &numbers).await.unwrap();
        }
        assert_eq!(names(&directory), ["in_use.lock", "log-1", "log-2"]);
        while channel.len() > 0 {
            let transaction = take(&channel, 100);
            channel.commit(transaction).await.unwrap();
        }
        drop(channel);
        assert_eq!(names(&directory), ["in_use.lock", "log-2"]);
        assert_eq!(open(&directory).1.events, 0);
    });
}

#[test]
fn a_torn_tail_is_cut_and_reported_and_an_unfinished_segment_is_ignored() {
    run(async {
        let directory = TestDirectory::new();
        commit_puts(&open(&directory).0, &[1, 2]).await.unwrap();
        let log = directory.path().join("log-1");
        let whole = fs::read(&log).unwrap();
        fs::write(&log, [&whole[..], b"torn"].concat()).unwrap();
        fs::write(directory.path().join("log-2.new"), b"half a header").unwrap();
        let (channel, replay) = open(&directory);
        assert_eq!(content(&channel), [1, 2]);
        assert_eq!(replay.cut.unwrap().bytes, 4);
        drop(channel);
        assert!(fs::read(&log).unwrap().starts_with(&whole));
    });
}

#[test]
fn the_free_space_of_the_disk_is_asked_for() {
    run(async {
        let directory = TestDirectory::new();
        let settings = FileSettings {
            minimum_required_space: u64::MAX / 2,
            ..settings(&directory)
        };
        let (channel, _) = FileChannel::open(settings, None).unwrap();
        let mut transaction = channel.begin();
        let error = channel.put(&mut transaction, event(1)).await.unwrap_err();
        let TransactionError::SpaceLow { usable, .. } = error else {
            panic!("{error}");
        };
        assert!(usable > 0);
    });
}

#[test]
fn a_second_channel_on_the_directory_is_refused_and_the_first_is_unharmed() {
    run(async {
        let directory = TestDirectory::new();
        let (channel, _) = open(&directory);
        commit_puts(&channel, &[1]).await.unwrap();
        let error = FileChannel::open(settings(&directory), None).unwrap_err();
        let expected = format!(
            "the directory {} is in use by process {}",
            directory.path().display(),
            std::process::id()
        );
        assert_eq!(error.to_string(), expected);
        commit_puts(&channel, &[2]).await.unwrap();
        drop(channel);
        assert_eq!(content(&open(&directory).0), [1, 2]);
    });
}

#[test]
fn names_that_are_no_segments_are_left_alone() {
    let directory = TestDirectory::new();
    drop(open(&directory));
    for name in ["log-", "log-01", "log-+2", "log-x", "log-1.meta", "notes"] {
        fs::write(directory.path().join(name), name).unwrap();
    }
    let before = names(&directory);
    drop(open(&directory));
    assert_eq!(names(&directory), before);
}

#[cfg(unix)]
#[test]
fn a_link_in_place_of_a_file_of_the_channel_leads_nowhere() {
    use std::os::unix::fs::symlink;

    run(async {
        let directory = TestDirectory::new();
        commit_puts(&open(&directory).0, &[1, 2]).await.unwrap();
        let home = TestDirectory::new();
        fs::create_dir(home.path()).unwrap();
        let victim = home.path().join("victim");
        let path = |name: &str| directory.path().join(name);
        for name in ["in_use.lock", "log-1"] {
            fs::rename(path(name), path("away")).unwrap();
            fs::write(&victim, "somebody's").unwrap();
            symlink(&victim, path(name)).unwrap();
            let error = FileChannel::open(settings(&directory), None).unwrap_err();
            let told = error.to_string();
            assert!(
                told.contains(name) && told.contains("not a regular file"),
                "{told}"
            );
            assert_eq!(fs::read(&victim).unwrap(), b"somebody's", "{name}");
            fs::rename(path("away"), path(name)).unwrap();
        }
        // The name that the next segment has while it has no header.
        symlink(&victim, path("log-2.new")).unwrap();
        let (channel, _) = open(&directory);
        let numbers: Vec<u64> = (0..50).collect();
        for _ in 0..10 {
            commit_puts(&channel, &numbers).await.unwrap();
        }
        assert!(path("log-2").symlink_metadata().unwrap().is_file());
        assert_eq!(fs::read(&victim).unwrap(), b"somebody's");
    });
}

#[cfg(unix)]
#[test]
fn a_pipe_in_place_of_a_segment_is_told_and_not_waited_for() {
    let directory = TestDirectory::new();
    drop(open(&directory));
    let mut mkfifo = std::process::Command::new("mkfifo");
    mkfifo.arg(directory.path().join("log-7"));
    assert!(mkfifo.status().unwrap().success());
    let error = FileChannel::open(settings(&directory), None).unwrap_err();
    let told = error.to_string();
    assert!(
        told.contains("log-7") && told.contains("not a regular file"),
        "{told}"
    );
}
