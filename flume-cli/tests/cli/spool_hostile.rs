//! Spools that somebody has made up: the commands that look at one come to an end, and nothing that
//! is in an event speaks to the terminal.

use std::fs;
use std::path::Path;

use flume_client::Event;
use flume_client::spool::FileName;
use flume_tests::crafted::{DATUM, Frame, Segment, Slot};

use crate::support::command::{Run, flume};
#[cfg(unix)]
use crate::support::{agent, closed_port, send, spool::TestSpool};

const MAX: u64 = u64::MAX;

/// Every command that only looks, told as much as it can be.
const LOOKS: [&[&str]; 9] = [
    &["ls"],
    &["ls", "--json"],
    &["show"],
    &["show", "--json"],
    &["show", "--events", "1000", "--bodies"],
    &["show", "--events", "1000", "--bodies", "--json"],
    &["prune", "--foreign"],
    &["prune", "--foreign", "--json"],
    &["export", "--format", "jsonl", "--output", "-"],
];

/// Runs each of them on files that `make` makes. A run that does not end fails by itself.
#[track_caller]
fn check(make: impl Fn(&Path)) -> Vec<Run> {
    let home = tempfile::tempdir().unwrap();
    make(home.path());
    let dir = home.path().display().to_string();
    let runs = LOOKS.map(|look| {
        let run = flume(&[&["spool"], look, &[&dir]].concat());
        assert!(matches!(run.code, Some(0 | 1 | 6)), "{look:?}: {run:#?}");
        check_quiet(&run);
        run
    });
    let out = home.path().with_extension("avro");
    let avro = ["spool", "export", "--format", "avro", "--output"];
    let run = flume(&[&avro[..], &[&out.display().to_string(), &dir]].concat());
    assert!(matches!(run.code, Some(0 | 1 | 6)), "{run:#?}");
    assert!(!run.stderr.contains("panicked"), "{run:#?}");
    fs::remove_file(out).unwrap();
    runs.into()
}

#[track_caller]
fn check_quiet(run: &Run) {
    assert!(!run.stderr.contains("panicked"), "{run:#?}");
    for text in [&run.stdout, &run.stderr] {
        let loud = text.chars().find(|it| it.is_control() && *it != '\n');
        assert_eq!(loud, None, "{text:?}");
        assert!(!text.contains('\u{fffd}'), "{text:?}");
        // Of a name with a line feed in it.
        assert!(
            !text.lines().any(|line| line.starts_with("forged")),
            "{text:?}"
        );
    }
}

/// Writes a segment under the name that it bears.
fn write_segment(dir: &Path, segment: &Segment) {
    let name = FileName::Segment(segment.id).to_string();
    fs::write(dir.join(name), segment.to_bytes()).unwrap();
}

/// A sound one of five events.
fn five(id: u64, first: u64) -> Segment {
    Segment::of(id, first, vec![Frame::of(first, 5)])
}

/// Writes a cursor of one slot.
fn write_cursor(dir: &Path, slot: &Slot) {
    let slot = slot.to_bytes();
    let other = vec![0; slot.len()];
    let name = FileName::Cursor.to_string();
    fs::write(dir.join(name), [slot, other].concat()).unwrap();
}

/// A segment like this between two sound ones.
#[track_caller]
fn check_segment(segment: &Segment) {
    check(|dir| {
        write_segment(dir, &five(1, 0));
        write_segment(dir, segment);
        write_segment(dir, &five(3, 20));
    });
}

#[test]
fn headers_of_segments_that_no_client_writes_hold_up_no_command() {
    let changes: [&dyn Fn(&mut Segment); 11] = [
        &|_| {},
        &|it| it.first = MAX,
        &|it| it.first = 1 << 62,
        &|it| it.first = 0,
        &|it| it.skipped_from = MAX,
        &|it| it.skipped_from = 0,
        &|it| it.durable_upto = MAX,
        &|it| it.time_ms = Some(MAX),
        &|it| it.client = Some(MAX),
        &|it| it.id = MAX,
        &|it| (it.run_id, it.previous) = (MAX, MAX),
    ];
    for change in changes {
        let mut segment = five(2, 10);
        change(&mut segment);
        check_segment(&segment);
    }
}

#[test]
fn frames_that_no_client_writes_hold_up_no_command() {
    let of = |change: &dyn Fn(&mut Frame)| {
        let mut frame = Frame::of(10, 5);
        change(&mut frame);
        check_segment(&Segment::of(2, 10, vec![frame, Frame::of(12, 5)]));
    };
    of(&|it| it.first = MAX - 2);
    of(&|it| it.first = 1 << 62);
    of(&|it| it.durable_upto = MAX);
    of(&|it| it.events = Some(u32::MAX));
    of(&|it| it.events = Some(0));
    of(&|it| (it.events, it.payload_bytes) = (Some(0x3fff_ffff), Some(u32::MAX - 7)));
    of(&|it| it.payload_bytes = Some(u32::MAX - 7));
    of(&|it| it.ends = Some(vec![35, 28, 21, 14, 7]));
    of(&|it| it.ends = Some(vec![7, 14, 21, 28, u32::MAX]));
    of(&|it| it.datums = vec![Vec::new(); 100]);
    // What is no event: lengths beyond all bounds, and the largest number of headers.
    let nothing: [&[u8]; 5] = [
        &[0xff; 9],
        &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        b"\0\xff\xff\xff\xff\x0f",
        b"\x02\xff\xff\xff\xff\x0f",
        b"",
    ];
    of(&|it| it.datums = nothing.iter().map(|it| it.to_vec()).collect());
}

#[test]
fn a_cursor_that_no_client_writes_holds_up_no_command() {
    let slots = [
        Slot {
            watermark: MAX,
            ..Slot::default()
        },
        Slot {
            durable_upto: MAX,
            ..Slot::default()
        },
        Slot {
            run: MAX,
            ..Slot::default()
        },
        Slot {
            ranges: vec![(1, MAX)],
            ..Slot::default()
        },
        Slot {
            ranges: vec![(1 << 40, (1 << 63) - 1)],
            ..Slot::default()
        },
        Slot {
            ranges: (0..250)
                .map(|it| ((it + 1) << 54, (it + 1) << 54 | 1 << 50))
                .collect(),
            run: 1 << 62,
            ..Slot::default()
        },
        Slot {
            ranges: vec![(4, 1)],
            ..Slot::default()
        },
    ];
    for slot in slots {
        let slot = Slot {
            generation: 2,
            ..slot
        };
        check(|dir| write_cursor(dir, &slot));
        check(|dir| {
            write_cursor(dir, &slot);
            write_segment(dir, &five(1, 0));
        });
    }
}

#[test]
fn nothing_that_is_in_an_event_or_a_name_speaks_to_the_terminal() {
    let loud = "\x1b[2J\x1b]0;title\x07\r\u{7f}\u{9b}31m\u{85}\u{202e}";
    let event = |body: &[u8]| Event::new(body).header(loud, loud);
    let [text, bytes] = [loud.as_bytes(), b"\x1b[31m\xff"].map(event);
    let runs = check(|dir| {
        let datums = [text.as_datum(), bytes.as_datum(), DATUM];
        let frame = Frame {
            datums: datums.map(<[u8]>::to_vec).into(),
            ..Frame::default()
        };
        write_segment(dir, &Segment::of(1, 0, vec![frame]));
        let segment = dir.join(FileName::Segment(1).to_string());
        fs::copy(&segment, dir.join(FileName::Quarantine(9).to_string())).unwrap();
        fs::write(dir.join("notes \x1b[2J\u{9b}31m.txt"), "").unwrap();
        fs::copy(&segment, dir.join("copy \x1b[2J.flb")).unwrap();
        // A spool in it, which `ls` finds.
        let below = dir.join("below \x1b[2J\u{9b}31m");
        fs::create_dir(&below).unwrap();
        let name = FileName::Segment(1).to_string();
        fs::copy(segment, below.join(name)).unwrap();
    });
    // It is all there, and can be read back.
    let export = runs.last().unwrap();
    let first = export.stdout.lines().next().unwrap();
    let first: serde_json::Value = serde_json::from_str(first).unwrap();
    assert_eq!(first["body"], loud);
    assert_eq!(first["headers"][loud], loud);
}

/// A directory whose name speaks to a terminal and forges a line, with a spool in it and a further
/// one in that.
#[cfg(unix)]
fn loud_spools(home: &Path) -> [String; 2] {
    let loud = "x\x1b[2J\x1b]0;title\x07\r\u{7f}\u{9b}31m\u{85}\nforged";
    ["", "process-2"].map(|place| {
        let dir = home.join(loud).join(place);
        fs::create_dir_all(&dir).unwrap();
        write_segment(&dir, &five(1, 0));
        write_segment(&dir, &five(2, 9));
        let aside = dir.join(FileName::Quarantine(9).to_string());
        fs::copy(dir.join(FileName::Segment(1).to_string()), aside).unwrap();
        dir.to_str().unwrap().trim_end_matches('/').to_owned()
    })
}

#[cfg(unix)]
#[test]
fn nothing_that_is_in_the_name_of_a_directory_speaks_to_the_terminal() {
    let home = tempfile::tempdir().unwrap();
    let [dir, second] = loud_spools(home.path());
    let [missing, inside] = ["missing", "inside"].map(|name| format!("{dir}/{name}"));
    let home = home.path().to_str().unwrap();
    for look in LOOKS {
        for dir in [home, &dir, &second, &missing] {
            check_quiet(&flume(&[&["spool"], look, &[dir]].concat()));
        }
    }
    let avro = format!("{dir} avro");
    let lines: [(&[&str], &[&str]); 4] = [
        (&["spool", "prune", &second, "--yes"], &[]),
        (
            &["spool", "export", &dir, "--format", "avro", "--output"],
            &[&avro, &avro, &inside],
        ),
        (&["demo", "--file"], &[&missing]),
        (&["agent", "--name", "a1", "--config"], &[&missing]),
    ];
    for (args, last) in lines {
        for last in last {
            check_quiet(&flume(&[args, &[*last]].concat()));
        }
    }
}

#[cfg(unix)]
#[test]
fn nothing_that_is_in_the_name_of_a_directory_speaks_to_the_terminal_in_a_delivery() {
    let home = tempfile::tempdir().unwrap();
    let [dir, second] = loud_spools(home.path());
    let agent = agent();
    let (url, nowhere) = (agent.url(), closed_port());
    let drain = |url: &str| flume(&["spool", "drain", &dir, "--agent", url, "--timeout", "300ms"]);
    let log = format!("{dir}.log");
    fs::write(&log, "a line\n").unwrap();
    let missing = format!("{dir}/missing");
    let held = TestSpool::at(Path::new(&second));
    check_quiet(&drain(&url));
    check_quiet(&flume(&["spool", "ls", &dir]));
    check_quiet(&flume(&["spool", "prune", &second, "--yes"]));
    drop(held);
    check_quiet(&drain(&nowhere));
    for url in [&nowhere, &url] {
        let send = send(url, &dir, "300ms");
        check_quiet(&flume(&[&send[..], &[&missing, &log]].concat()));
        check_quiet(&flume(&[&send[..], &["--json", &log]].concat()));
    }
    check_quiet(&drain(&url));
    assert!(agent.received_count() > 10);
}
