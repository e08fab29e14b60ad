//! What a spool's directory may be like, and what its files may be: owners, modes, links, pipes.

use std::env;
use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use flume_client::spool::{
    Access, Directory, DirectoryError, FileName, ForeignOwner, Storage, User, open_first_free,
};
use flume_client::{BuildError, Change, Client, ClientBuilder, Reliability};
use rustix::process::geteuid;
use tempfile::TempDir;

use crate::support::{
    Agent, PATIENCE, Port, alone, alone_as_nobody, append_all, client_at, client_of, event, give_up,
};

fn open(path: &Path) -> Result<Directory, DirectoryError> {
    Directory::open(path, Access::default())
}

fn spooled(agent: &Agent, path: &Path) -> Result<Client, BuildError> {
    builder_of(agent, path).build()
}

fn builder_of(agent: &Agent, path: &Path) -> ClientBuilder {
    let client = client_of(&[agent]).spool(path).event_bytes(4096);
    client.spool_bytes(4 << 20).spool_free_bytes(0)
}

/// Leaves so many events in a spool.
fn leave(path: &Path, count: u64) {
    let client = client_at([Port::reserve().url()])
        .spool(path)
        .event_bytes(4096);
    let client = client
        .spool_bytes(4 << 20)
        .spool_free_bytes(0)
        .build()
        .unwrap();
    for receipt in append_all(&client, 0..count) {
        receipt.wait_stored(PATIENCE).unwrap();
    }
    assert_eq!(give_up(&client, std::time::Duration::ZERO).on_disk, count);
}

/// Delivers what is in a spool, and so many more events.
fn assert_works(path: &Path, left: u64, more: u64) {
    let agent = Agent::good();
    let client = spooled(&agent, path).unwrap();
    assert_eq!(client.stats().recovered, left);
    append_all(&client, left..left + more);
    client.flush(PATIENCE).wait().unwrap();
    let stats = client.stats();
    assert_eq!((stats.delivered, stats.lost.total()), (left + more, 0));
    let trouble = stats.spool.unwrap().trouble;
    assert!(trouble.is_none(), "{trouble:?}");
    assert!(client.close(PATIENCE).wait().is_complete());
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Whether this is root, who can be everybody. A skip is told.
fn is_root() -> bool {
    let home = tempfile::tempdir().unwrap();
    let is_root = fs::metadata(home.path()).unwrap().uid() == 0;
    if !is_root {
        // Not `eprintln!`: the test runner would swallow it, because a skipped test passes.
        let skip = "SKIPPED: this test needs root, to give files away";
        writeln!(io::stderr(), "{skip}").expect("stderr takes a line");
    }
    is_root
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

#[test]
fn a_link_in_place_of_the_lock_leads_nowhere_and_is_told() {
    let home = tempfile::tempdir().unwrap();
    let (path, secret) = (home.path().join("spool"), home.path().join("secret"));
    fs::create_dir(&path).unwrap();
    fs::write(&secret, "a key that is longer than a process id").unwrap();
    symlink(&secret, path.join("LOCK")).unwrap();
    let told = open(&path).unwrap_err().to_string();
    assert!(told.contains("LOCK: it is a symbolic link"), "{told}");
    assert!(told.contains("move it away"), "{told}");
    let told = Directory::holder(&path).unwrap_err().to_string();
    assert!(told.contains("LOCK: it is a symbolic link"), "{told}");
    let kept = fs::read_to_string(&secret).unwrap();
    assert_eq!(kept, "a key that is longer than a process id");
}

#[test]
fn a_lock_that_is_another_file_by_a_second_name_is_not_written_to() {
    let home = tempfile::tempdir().unwrap();
    let (path, secret) = (home.path().join("spool"), home.path().join("secret"));
    fs::create_dir(&path).unwrap();
    fs::write(&secret, "a key").unwrap();
    fs::hard_link(&secret, path.join("LOCK")).unwrap();
    drop(open(&path).unwrap());
    assert_eq!(fs::read_to_string(&secret).unwrap(), "a key");
}

#[test]
fn a_cursor_that_is_a_link_is_set_aside_and_what_it_leads_to_is_not_touched() {
    let home = tempfile::tempdir().unwrap();
    let (path, secret) = (home.path().join("spool"), home.path().join("secret"));
    leave(&path, 3);
    fs::remove_file(path.join("cursor")).unwrap();
    fs::write(&secret, "a key").unwrap();
    symlink(&secret, path.join("cursor")).unwrap();
    assert_works(&path, 3, 2);
    assert_eq!(fs::read_to_string(&secret).unwrap(), "a key");
    let aside = fs::read_link(path.join("cursor-set-aside-1")).unwrap();
    assert_eq!(aside, secret);
}

#[test]
fn a_cursor_that_is_a_directory_a_pipe_or_a_socket_is_set_aside_and_the_spool_opens() {
    let makers: [fn(&Path); 3] = [
        |path| fs::create_dir(path).unwrap(),
        make_pipe,
        |path| drop(UnixListener::bind(path).unwrap()),
    ];
    for make in makers {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("spool");
        let cursor = path.join("cursor");
        leave(&path, 4);
        fs::remove_file(&cursor).unwrap();
        make(&cursor);
        assert_works(&path, 4, 1);
        assert!(cursor.metadata().unwrap().is_file());
        let names = names(&path);
        assert!(
            names.contains(&"cursor-set-aside-1".to_owned()),
            "{names:?}"
        );
    }
}

#[test]
fn a_lock_that_is_a_directory_or_a_pipe_is_told_without_waiting() {
    let home = tempfile::tempdir().unwrap();
    let lock = home.path().join("LOCK");
    fs::create_dir(&lock).unwrap();
    let told = open(home.path()).unwrap_err().to_string();
    assert!(
        told.contains("LOCK: it is a directory, not a regular file"),
        "{told}"
    );
    fs::remove_dir(&lock).unwrap();
    make_pipe(&lock);
    for told in [
        open(home.path()).unwrap_err(),
        Directory::holder(home.path()).unwrap_err(),
    ] {
        let told = told.to_string();
        assert!(
            told.contains("LOCK: it is a pipe, a socket or a device"),
            "{told}"
        );
    }
}

#[test]
fn segments_and_spares_that_are_no_files_are_neither_read_nor_deleted_nor_waited_for() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path();
    let secret = path.join("secret");
    fs::write(&secret, vec![7; 1 << 20]).unwrap();
    let name = |file: FileName| path.join(file.to_string());
    make_pipe(&name(FileName::Segment(7)));
    symlink(&secret, name(FileName::Segment(8))).unwrap();
    fs::create_dir(name(FileName::Segment(9))).unwrap();
    fs::create_dir(name(FileName::Spare(10))).unwrap();
    let directory = open(path).unwrap();
    for (id, told) in [(7, "a pipe"), (8, "a symbolic link"), (9, "a directory")] {
        let read = directory.read(FileName::Segment(id), 0, &mut [0; 10]);
        let error = read.unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
        let written = directory.write(FileName::Segment(id), 0, b"x");
        assert!(written.unwrap_err().to_string().contains(told));
    }
    drop(directory);
    // What they may stand for is awaited, and what comes is delivered meanwhile.
    let agent = Agent::good();
    let client = spooled(&agent, path).unwrap();
    for receipt in append_all(&client, 0..5) {
        receipt.wait(PATIENCE).unwrap();
    }
    let stats = client.stats();
    assert_eq!((stats.delivered, stats.lost.total()), (5, 0));
    assert_eq!(stats.spool.unwrap().unreadable.len(), 3);
    drop(give_up(&client, PATIENCE));
    for file in [
        FileName::Segment(7),
        FileName::Segment(8),
        FileName::Segment(9),
        FileName::Spare(10),
    ] {
        assert!(name(file).symlink_metadata().is_ok(), "{file} is gone");
    }
    assert_eq!(fs::read(&secret).unwrap(), vec![7; 1 << 20]);
}

#[test]
fn a_new_file_never_overwrites_what_a_link_of_its_name_leads_to() {
    let home = tempfile::tempdir().unwrap();
    let (path, secret) = (home.path().join("spool"), home.path().join("secret"));
    fs::write(&secret, "a key").unwrap();
    let directory = open(&path).unwrap();
    for file in [FileName::Spare(0), FileName::Cursor] {
        symlink(&secret, path.join(file.to_string())).unwrap();
        directory.create(file, 8192).unwrap();
        directory.write(file, 0, b"mine").unwrap();
        directory.sync(file).unwrap();
    }
    assert_eq!(fs::read_to_string(&secret).unwrap(), "a key");
}

#[test]
fn a_directory_that_every_user_may_write_to_is_refused_with_the_way_out() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("spool");
    fs::create_dir(&path).unwrap();
    // As a temporary directory is, and the volume of a container.
    for mode in [0o777, 0o1777, 0o702] {
        set_mode(&path, mode);
        let error = spooled(&Agent::good(), &path).unwrap_err();
        let told = error.to_string();
        assert!(told.contains(&format!("(mode {mode:04o})")), "{told}");
        assert!(
            told.contains("name a new directory in it") && told.contains("chmod o-w"),
            "{told}"
        );
        assert_eq!(names(&path), [""; 0], "nothing is written there");
    }
    assert_works(&path.join("own"), 0, 3);
    // A link to a directory is judged as what it leads to.
    let link = home.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(matches!(
        open(&link),
        Err(DirectoryError::WritableByAll { .. })
    ));
    set_mode(&path, 0o700);
    assert_works(&link, 0, 3);
}

#[test]
fn a_directory_that_a_group_may_write_to_is_used_and_told_of() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("spool");
    fs::create_dir(&path).unwrap();
    set_mode(&path, 0o2770);
    let client = spooled(&Agent::good(), &path).unwrap();
    let notes = client.stats().spool.unwrap().notes;
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0].contains("(mode 2770)") && notes[0].contains("chmod g-w"),
        "{notes:?}"
    );
    drop(client);
    set_mode(&path, 0o700);
    let client = spooled(&Agent::good(), &path).unwrap();
    assert!(client.stats().spool.unwrap().notes.is_empty());
}

/// Keeps what is logged.
struct Lines(Mutex<Vec<(log::Level, String)>>);

impl log::Log for Lines {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target() == "flume_client"
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = (record.level(), record.args().to_string());
            self.0.lock().unwrap().push(line);
        }
    }

    fn flush(&self) {}
}

#[test]
fn what_is_noted_of_a_spool_is_told_once_to_the_log_and_to_whoever_listens() {
    let test =
        "spool_access::what_is_noted_of_a_spool_is_told_once_to_the_log_and_to_whoever_listens";
    alone(test, || {
        static LINES: Lines = Lines(Mutex::new(Vec::new()));
        log::set_logger(&LINES).unwrap();
        log::set_max_level(log::LevelFilter::Info);
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("spool");
        fs::create_dir(&path).unwrap();
        set_mode(&path, 0o2770);
        let (sender, told) = channel();
        let sender = Mutex::new(sender);
        let agent = Agent::good();
        let client = client_of(&[&agent]).spool(&path).spool_free_bytes(0);
        let client = client.on_change(move |change: &Change| {
            // The test may be over.
            let _ = sender.lock().unwrap().send(change.clone());
        });
        let client = client.build().unwrap();
        let notes = client.stats().spool.unwrap().notes;
        let first = told.recv_timeout(PATIENCE).unwrap();
        assert!(
            matches!(&first, Change::Noted(note) if *note == notes[0]),
            "{first}"
        );
        client.append(event(0)).unwrap().wait(PATIENCE).unwrap();
        assert!(client.close(PATIENCE).wait().is_complete());
        drop(client);
        // The sender went with the client: nothing more was told.
        assert!(told.recv_timeout(PATIENCE).is_err());
        let lines = LINES.0.lock().unwrap().clone();
        assert_eq!(lines, [(log::Level::Warn, notes[0].clone())]);
    });
}

const SOMEBODY: u32 = 12_345;

/// The path, in a process of somebody's.
const AS_SOMEBODY: &str = "FLUME_TEST_AS_SOMEBODY";

/// What this test prints in a process of somebody else.
fn as_somebody(test: &str, path: &Path) -> String {
    let program = somebodys();
    set_mode(program.path(), 0o755);
    // A copy by another process: one that is written here could be open in the child of another
    // test, which keeps it from being run.
    let copy = program.path().join("test");
    let mut copied = Command::new("cp");
    copied.arg(env::current_exe().unwrap()).arg(&copy);
    assert!(copied.status().unwrap().success());
    let mut command = Command::new(copy);
    command.args(["--exact", test, "--nocapture"]);
    command.env(AS_SOMEBODY, path).uid(SOMEBODY).gid(SOMEBODY);
    let output = command.output().unwrap();
    let shown = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&shown).into_owned()
}

/// A directory of somebody else.
fn somebodys() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    chown(home.path(), Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    home
}

#[test]
fn a_directory_of_another_user_is_refused_with_both_names() {
    if !is_root() {
        return;
    }
    let home = somebodys();
    let error = spooled(&Agent::good(), home.path()).unwrap_err();
    let told = error.to_string();
    assert!(
        told.contains("belongs to user 12345") && told.contains("chown"),
        "{told}"
    );
    let BuildError::Spool(DirectoryError::ForeignOwner { owner, user, .. }) = error else {
        unreachable!("{told}");
    };
    assert_eq!((owner, user), (User(SOMEBODY), User(0)));
    assert_eq!(names(home.path()), [""; 0]);
}

#[test]
fn what_root_makes_in_the_spool_of_another_user_belongs_to_that_user() {
    if !is_root() {
        return;
    }
    let home = somebodys();
    let access = Access {
        owner: ForeignOwner::AllowedToRoot,
        ..Access::default()
    };
    let first = open_first_free(home.path(), access).unwrap();
    first.create(FileName::Cursor, 8192).unwrap();
    first.create(FileName::Spare(0), 8192).unwrap();
    let second = open_first_free(home.path(), access).unwrap();
    assert_eq!(second.path(), home.path().join("process-2"));
    for path in [
        "LOCK",
        "cursor",
        "spare-0000000000000000.flb",
        "process-2",
        "process-2/LOCK",
    ] {
        let metadata = home.path().join(path).metadata().unwrap();
        assert_eq!(
            (metadata.uid(), metadata.gid()),
            (SOMEBODY, SOMEBODY),
            "{path}"
        );
    }
}

#[test]
fn a_file_that_another_user_made_is_named_with_its_owner() {
    if let Some(path) = env::var_os(AS_SOMEBODY) {
        println!("told: {}", open(Path::new(&path)).unwrap_err());
        return;
    }
    if !is_root() {
        return;
    }
    // As a service meets what root left. Root itself is never kept out, so it is a process of
    // another user that opens the spool.
    let home = somebodys();
    set_mode(home.path(), 0o700);
    drop(fs::File::create(home.path().join("LOCK")).unwrap());
    set_mode(&home.path().join("LOCK"), 0o600);
    let test = "spool_access::a_file_that_another_user_made_is_named_with_its_owner";
    let told = as_somebody(test, home.path());
    assert!(
        told.contains("LOCK, which belongs to root and has the mode 0600"),
        "{told}"
    );
    assert!(
        told.contains("Permission denied") && told.contains("chown"),
        "{told}"
    );
}

#[test]
fn a_place_of_another_user_is_passed_over_and_told_of() {
    if !is_root() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let other = home.path().join("process-2");
    fs::create_dir(&other).unwrap();
    chown(&other, Some(SOMEBODY), None).unwrap();
    let first = spooled(&Agent::good(), home.path()).unwrap();
    let notes = first.stats().spool.unwrap().notes;
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0].contains("process-2 belongs to user 12345"),
        "{notes:?}"
    );
    assert!(notes[0].contains("not taken over"), "{notes:?}");
    let second = spooled(&Agent::good(), home.path()).unwrap();
    let spool = second.stats().spool.unwrap();
    assert_eq!(spool.directory, home.path().join("process-3"));
    assert_eq!(names(&other), [""; 0]);
}

#[test]
fn what_lies_behind_a_gap_in_the_places_is_delivered() {
    let home = tempfile::tempdir().unwrap();
    leave(&home.path().join("process-3"), 5);
    leave(&home.path().join("process-64"), 2);
    // No place of a spool.
    leave(&home.path().join("process-65"), 1);
    let agent = Agent::good();
    let client = spooled(&agent, home.path()).unwrap();
    let delivered = || client.stats().delivered == 7;
    flume_tests::wait_until("both places to be taken over", PATIENCE, delivered).unwrap();
}

#[test]
fn a_place_whose_mode_keeps_its_owner_out_is_passed_over_and_told_of() {
    let test = "spool_access::a_place_whose_mode_keeps_its_owner_out_is_passed_over_and_told_of";
    alone_as_nobody(test, || {
        for mode in [0o600, 0o400, 0o200, 0o000, 0o500] {
            let home = tempfile::tempdir().unwrap();
            let second = home.path().join("process-2");
            fs::create_dir(&second).unwrap();
            set_mode(&second, mode);
            let agent = Agent::good();
            let first = spooled(&agent, home.path()).unwrap();
            // It looks when it starts at what others have left.
            let told = || first.stats().spool.unwrap().notes;
            let is_told = || told().iter().any(|it| it.contains("`chmod u+rwX`"));
            flume_tests::wait_until("a note", PATIENCE, is_told)
                .unwrap_or_else(|error| panic!("{mode:o}: {error:?}: {:?}", told()));
            let next = spooled(&agent, home.path());
            let next = next.unwrap_or_else(|error| panic!("{mode:o}: {error}"));
            let spool = next.stats().spool.unwrap();
            assert_eq!(spool.directory, home.path().join("process-3"), "{mode:o}");
            set_mode(&second, 0o700);
        }
    });
}

#[test]
fn a_directory_whose_mode_keeps_its_owner_out_is_told_with_the_cure() {
    let test = "spool_access::a_directory_whose_mode_keeps_its_owner_out_is_told_with_the_cure";
    alone_as_nobody(test, || {
        for mode in [0o600, 0o400, 0o200, 0o000, 0o500] {
            let home = tempfile::tempdir().unwrap();
            let path = home.path().join("spool");
            fs::create_dir(&path).unwrap();
            set_mode(&path, mode);
            let told = spooled(&Agent::good(), &path).unwrap_err().to_string();
            let words = format!(
                "{}, which belongs to user {} and has the mode {mode:04o}",
                path.display(),
                geteuid().as_raw()
            );
            assert!(told.contains(&words), "{told}");
            assert!(told.contains("`chmod u+rwX`"), "{told}");
            set_mode(&path, 0o700);
            assert_works(&path, 0, 1);
        }
    });
}

#[test]
fn what_keeps_store_on_failure_from_its_spool_is_told_by_the_call_that_opens_it() {
    let test = "spool_access::what_keeps_store_on_failure_from_its_spool_is_told_by_the_call_that_opens_it";
    alone_as_nobody(test, || {
        let level = Reliability::StoreOnFailure;
        let home = tempfile::tempdir().unwrap();
        let (path, agent) = (home.path().join("spool"), Agent::good());
        leave(&path, 3);
        for file in ["cursor", "LOCK"] {
            set_mode(&path.join(file), 0o000);
            let builder = || builder_of(&agent, &path).reliability(level);
            let told = builder().build().unwrap_err().to_string();
            assert!(told.contains(file), "{told}");
            assert!(told.contains("ermission denied"), "{told}");
            set_mode(&path.join(file), 0o600);
            drop(builder().build().unwrap());
        }
        // Beside another level it has a place of its own, opened when it is first used.
        let client = spooled(&agent, &path).unwrap();
        set_mode(&path, 0o500);
        let told = client.at(level).unwrap_err().to_string();
        assert!(told.contains("process-2 in "), "{told}");
        set_mode(&path, 0o700);
        drop(client.at(level).unwrap());
    });
}

#[test]
fn a_directory_that_may_not_be_made_is_told_with_what_keeps_it_from_being_made() {
    let test =
        "spool_access::a_directory_that_may_not_be_made_is_told_with_what_keeps_it_from_being_made";
    alone_as_nobody(test, || {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("some/spool");
        set_mode(home.path(), 0o500);
        let told = spooled(&Agent::good(), &path).unwrap_err().to_string();
        let words = format!(
            "cannot make the directory {} in {}, which belongs to",
            path.display(),
            home.path().display()
        );
        assert!(told.contains(&words), "{told}");
        assert!(told.contains("`chmod u+rwX`"), "{told}");
        set_mode(home.path(), 0o700);
        // A second place that may not be made is no reason to look for a third.
        drop(spooled(&Agent::good(), &path).unwrap());
        let first = open(&path).unwrap();
        set_mode(&path, 0o500);
        let told = spooled(&Agent::good(), &path).unwrap_err().to_string();
        assert!(told.contains("process-2 in "), "{told}");
        set_mode(&path, 0o700);
        drop(first);
    });
}
