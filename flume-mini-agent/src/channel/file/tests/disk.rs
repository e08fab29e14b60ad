//! The channel on a real directory.

use std::fs;

use flume_client::spool::frame_bytes;

use super::*;

fn settings(directory: &TestDirectory) -> FileSettings {
    FileSettings {
        capacity: 10_000,
        transaction_capacity: 100,
        max_file_size: 4096,
        ..FileSettings::new(directory.path())
    }
}

fn open(directory: &TestDirectory) -> FileChannel {
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

fn segments(directory: &TestDirectory) -> Vec<String> {
    let mut names = names(directory);
    names.retain(|name| name.starts_with("seg-"));
    names
}

#[test]
fn a_channel_keeps_its_events_in_a_directory_that_it_makes_with_its_parents() {
    run(async {
        let parent = TestDirectory::new();
        let settings = FileSettings::new(parent.path().join("a/b"));
        let channel = FileChannel::open(settings.clone(), None).unwrap();
        assert_eq!(channel.len(), 0);
        commit_puts(&channel, &[1, 2, 3]).await.unwrap();
        let transaction = take(&channel, 1);
        channel.commit(transaction).await.unwrap();
        drop(channel);
        let channel = FileChannel::open(settings, None).unwrap();
        assert_eq!(content(&channel), [2, 3]);
    });
}

#[test]
fn segments_follow_one_another_and_are_used_again_when_they_are_drained() {
    run(async {
        let directory = TestDirectory::new();
        let channel = open(&directory);
        let numbers: Vec<u64> = (0..50).collect();
        for _ in 0..60 {
            commit_puts(&channel, &numbers).await.unwrap();
        }
        let filled = segments(&directory);
        assert!(filled.len() > 3, "{filled:?}");
        while channel.len() > 0 {
            let transaction = take(&channel, 100);
            channel.commit(transaction).await.unwrap();
        }
        drop(channel);
        let left = names(&directory);
        assert_eq!(segments(&directory), filled[filled.len() - 1..]);
        let spares = left.iter().filter(|name| name.starts_with("spare-"));
        assert!(spares.count() <= 2, "{left:?}");
        assert_eq!(open(&directory).len(), 0);
    });
}

#[test]
fn a_torn_tail_is_cut_and_an_unfinished_segment_is_ignored() {
    run(async {
        let directory = TestDirectory::new();
        commit_puts(&open(&directory), &[1, 2]).await.unwrap();
        let segment = directory.path().join(&segments(&directory)[0]);
        let mut whole = fs::read(&segment).unwrap();
        // The header, and a frame of two events.
        whole.truncate(4096 + frame_bytes(2, 2 * event(1).datum().len()));
        fs::write(&segment, [&whole[..], b"torn"].concat()).unwrap();
        let unfinished = directory.path().join("spare-00000000000000ff.flb");
        fs::write(unfinished, b"half a header").unwrap();
        let channel = open(&directory);
        assert_eq!(content(&channel), [1, 2]);
        drop(channel);
        assert!(fs::read(&segment).unwrap().starts_with(&whole));
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
        let channel = FileChannel::open(settings, None).unwrap();
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
        let channel = open(&directory);
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
        assert_eq!(content(&open(&directory)), [1, 2]);
    });
}

#[test]
fn a_closed_channel_lets_go_of_its_directory_though_somebody_has_a_handle() {
    let directory = TestDirectory::new();
    let channel = open(&directory);
    channel.close();
    drop(open(&directory));
    drop(channel);
}

#[test]
fn names_that_are_no_segments_are_left_alone() {
    let directory = TestDirectory::new();
    drop(open(&directory));
    for name in [
        "log-",
        "log-01",
        "log-+2",
        "log-x",
        "log-1.meta",
        "notes",
        "seg-1.flb",
    ] {
        fs::write(directory.path().join(name), name).unwrap();
    }
    let before = names(&directory);
    drop(open(&directory));
    assert_eq!(names(&directory), before);
}

#[test]
fn a_directory_that_flume_or_an_earlier_mini_agent_wrote_is_refused_and_left_alone() {
    let directory = TestDirectory::new();
    fs::create_dir(directory.path()).unwrap();
    let log = directory.path().join("log-17");
    fs::write(&log, "flumelog").unwrap();
    let error = FileChannel::open(settings(&directory), None).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{} is of another format, that of an earlier mini-agent or of Flume itself: give the \
             channel a directory of its own, or let what wrote that one empty it, and move it away",
            log.display()
        )
    );
    assert_eq!(names(&directory), ["log-17"]);
    fs::remove_file(log).unwrap();
    assert_eq!(open(&directory).len(), 0);
}

#[cfg(unix)]
#[test]
fn a_link_in_place_of_a_file_of_the_channel_leads_nowhere() {
    use std::os::unix::fs::symlink;

    run(async {
        let directory = TestDirectory::new();
        commit_puts(&open(&directory), &[1, 2]).await.unwrap();
        let home = TestDirectory::new();
        fs::create_dir(home.path()).unwrap();
        let victim = home.path().join("victim");
        let path = |name: &str| directory.path().join(name);
        for name in ["LOCK", &segments(&directory)[0]] {
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
        // The name that a next segment may have while it has no header.
        symlink(&victim, path("spare-00000000000000ff.flb")).unwrap();
        let channel = open(&directory);
        let numbers: Vec<u64> = (0..50).collect();
        for _ in 0..60 {
            commit_puts(&channel, &numbers).await.unwrap();
        }
        for name in segments(&directory) {
            assert!(path(&name).symlink_metadata().unwrap().is_file(), "{name}");
        }
        assert_eq!(fs::read(&victim).unwrap(), b"somebody's");
    });
}

#[cfg(unix)]
#[test]
fn a_pipe_in_place_of_a_segment_is_told_and_not_waited_for() {
    let directory = TestDirectory::new();
    drop(open(&directory));
    let name = "seg-0000000000000007.flb";
    let mut mkfifo = std::process::Command::new("mkfifo");
    mkfifo.arg(directory.path().join(name));
    assert!(mkfifo.status().unwrap().success());
    let error = FileChannel::open(settings(&directory), None).unwrap_err();
    let told = error.to_string();
    assert!(
        told.contains(name) && told.contains("not a regular file"),
        "{told}"
    );
}
