//! Further places of a spool that cannot be opened: they are named, and the others delivered.

#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use crate::support::agent;
use crate::support::nobody::{NOBODY, as_nobody, command_as_nobody, deny_nothing, finish, is_root};
use crate::support::spool::TestSpool;

/// A spool with events in its own place and two further ones, of which the first is spoiled.
fn with_spoiled(spoil: impl Fn(&Path)) -> (TestSpool, PathBuf) {
    let spool = TestSpool::of(20);
    let places = ["process-2", "process-3"].map(|name| spool.path().join(name));
    for place in &places {
        TestSpool::at(place).write_numbered(0..20);
        TestSpool::at(place).deliver(0..1);
    }
    deny_nothing(&spool);
    places.iter().for_each(|place| give(place));
    let [place, _] = places;
    spoil(&place);
    (spool, place)
}

fn take_rights(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
}

/// Gives all files of a directory to that user.
fn give(dir: &Path) {
    if is_root() {
        for entry in fs::read_dir(dir).unwrap() {
            chown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        chown(dir, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

#[test]
fn drain_delivers_all_others_and_names_a_place_that_cannot_be_opened() {
    let spoiled = [
        with_spoiled(|place| take_rights(&place.join("cursor"))),
        with_spoiled(|place| take_rights(&place.join("LOCK"))),
        with_spoiled(take_rights),
        with_spoiled(|place| {
            fs::remove_file(place.join("cursor")).unwrap();
            fs::create_dir(place.join("cursor")).unwrap();
        }),
    ];
    for (spool, place) in spoiled {
        let agent = agent();
        let (url, dir) = (agent.url(), spool.dir());
        let drain = ["spool", "drain", &dir, "--agent", &url, "--timeout", "10m"];
        let run = as_nobody(&drain);
        run.check(1, &[]);
        let place = place.display().to_string();
        let delivered = "39 events delivered in";
        for words in [
            delivered,
            "all that can be read",
            &place,
            "cannot be read: ",
        ] {
            assert!(run.stdout.contains(words), "{words}: {run:#?}");
        }
        assert_eq!(agent.received_count(), 39);
        let run = as_nobody(&drain);
        let words = "nothing that can be read is left to deliver";
        assert!(run.stdout.contains(words), "{run:#?}");
        let told = as_nobody(&[&drain[..], &["--json"]].concat());
        told.check(1, &[]);
        let told = told.json();
        let file = told["unreadable"][0]["file"].as_str().unwrap();
        assert!(file.starts_with(&place), "{told}");
        assert_eq!(told["pending"], 0);
        assert_eq!(agent.received_count(), 39);
    }
}

#[test]
fn files_are_absolute_in_reports_however_the_spool_was_named() {
    let (spool, place) = with_spoiled(|place| take_rights(&place.join("cursor")));
    let entries = fs::read_dir(spool.path()).unwrap();
    let mut files = entries.map(|entry| entry.unwrap().path());
    let segment = files
        .find(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("seg-")
        })
        .unwrap();
    spool.make_foreign(&segment);
    let agent = agent();
    for command in ["drain", "ls", "show"] {
        let args: &[&str] = match command {
            "drain" => &["--agent", &agent.url()],
            _ => &[],
        };
        let mut command =
            command_as_nobody(&[&["spool", command, "orders", "--json"], args].concat());
        command.current_dir(spool.home());
        let told = finish(command).json();
        let own = match told["spools"][0]["unreadable"].is_array() {
            true => &told["spools"][0]["unreadable"],
            false => &told["unreadable"],
        };
        let files: Vec<_> = own
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["file"].as_str().unwrap())
            .collect();
        assert!(files.contains(&segment.to_str().unwrap()), "{told}");
        assert!(
            files
                .iter()
                .all(|it| Path::new(it).starts_with(spool.home())),
            "{told}"
        );
        let cursor = place.join("cursor").display().to_string();
        assert_eq!(files.contains(&cursor.as_str()), !args.is_empty(), "{told}");
    }
}

#[test]
fn send_names_a_place_of_another_run_that_cannot_be_opened() {
    let spoiled = [
        with_spoiled(|place| take_rights(&place.join("cursor"))),
        with_spoiled(|place| take_rights(&place.join("LOCK"))),
        with_spoiled(take_rights),
    ];
    for (spool, place) in spoiled {
        let agent = agent();
        let (url, dir) = (agent.url(), spool.dir());
        let place = place.display().to_string();
        let run = as_nobody(&["send", "--agent", &url, "--spool", &dir, "--json"]);
        run.check(1, &[&place, "cannot be read: "]);
        let told = run.json();
        let unreadable = told["spool"]["unreadable"].as_array().unwrap();
        assert_eq!(unreadable.len(), 1, "{told}");
        let file = unreadable[0]["file"].as_str().unwrap();
        assert!(file.starts_with(&place), "{told}");
        // What is in the third place is delivered, or told if the command ended before.
        let events = [&told["delivered"], &told["spool"]["pending_elsewhere"]];
        assert_eq!(
            events.map(|it| it.as_u64().unwrap()).iter().sum::<u64>(),
            39
        );
    }
}
