//! Spools that somebody has made up: the commands that look at one come to an end, and nothing that
//! is in an event speaks to the terminal.

use std::fs;
use std::path::Path;

use flume_client::Event;
use flume_client::spool::{FileName, SegmentHeader};

use crate::support::command::{Run, flume};
use crate::support::crafted::{Frame, Slot, header, write_cursor, write_segment};

const MAX: u64 = u64::MAX;
/// An event without headers, body `hello`.
const DATUM: &[u8] = b"\0\x0ahello";

/// Every command that only looks, told as much as it can be.
const LOOKS: [&[&str]; 9] = [
    &["ls"],
    &["ls", "--json"],
    &["inspect", "--events", "1000", "--bodies"],
    &["inspect", "--events", "1000", "--bodies", "--json"],
    &["verify"],
    &["verify", "--json"],
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
        assert!(!run.stderr.contains("panicked"), "{look:?}: {run:#?}");
        for text in [&run.stdout, &run.stderr] {
            let loud = text.chars().find(|it| it.is_control() && *it != '\n');
            assert_eq!(loud, None, "{look:?}: {text:?}");
            assert!(!text.contains('\u{fffd}'), "{look:?}: {text:?}");
        }
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

/// A segment like this between two sound ones.
#[track_caller]
fn check_segment(change: impl Fn(&mut SegmentHeader), frames: &[Frame]) {
    check(|dir| {
        for (id, first) in [(1, 0), (3, 20)] {
            write_segment(dir, &header(id, first), &[Frame::of(first, &[DATUM; 5])]);
        }
        let mut header = header(2, 10);
        change(&mut header);
        write_segment(dir, &header, frames);
    });
}

#[test]
fn headers_of_segments_that_no_client_writes_hold_up_no_command() {
    let sound = [Frame::of(10, &[DATUM; 5])];
    let changes: [&dyn Fn(&mut SegmentHeader); 11] = [
        &|_| {},
        &|it| it.first = MAX,
        &|it| it.first = 1 << 62,
        &|it| it.first = 0,
        &|it| it.skipped_from = MAX,
        &|it| it.skipped_from = 0,
        &|it| it.durable_upto = MAX,
        &|it| it.time_ms = MAX,
        &|it| it.client = MAX,
        &|it| it.id = MAX,
        &|it| (it.run_id, it.previous) = (MAX, MAX),
    ];
    for change in changes {
        check_segment(change, &sound);
    }
}

#[test]
fn frames_that_no_client_writes_hold_up_no_command() {
    let of = |change: &dyn Fn(&mut Frame)| {
        let mut frame = Frame::of(10, &[DATUM; 5]);
        change(&mut frame);
        check_segment(|_| {}, &[frame, Frame::of(12, &[DATUM; 5])]);
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
            write_segment(dir, &header(1, 0), &[Frame::of(0, &[DATUM; 5])]);
        });
    }
}

#[test]
fn nothing_that_is_in_an_event_or_a_name_speaks_to_the_terminal() {
    let loud = "\x1b[2J\x1b]0;title\x07\r\u{7f}\u{9b}31m\u{85}\u{202e}";
    let event = |body: &[u8]| Event::new(body).header(loud, loud);
    let [text, bytes] = [loud.as_bytes(), b"\x1b[31m\xff"].map(event);
    let runs = check(|dir| {
        let frame = Frame::of(0, &[text.as_datum(), bytes.as_datum(), DATUM]);
        write_segment(dir, &header(1, 0), std::slice::from_ref(&frame));
        let segment = dir.join(FileName::Segment(1).to_string());
        fs::copy(&segment, dir.join(FileName::Quarantine(9).to_string())).unwrap();
        fs::write(dir.join("notes \x1b[2J\u{9b}31m.txt"), "").unwrap();
        fs::copy(segment, dir.join("copy \x1b[2J.flb")).unwrap();
    });
    // It is all there, and can be read back.
    let export = runs.last().unwrap();
    let first = export.stdout.lines().next().unwrap();
    let first: serde_json::Value = serde_json::from_str(first).unwrap();
    assert_eq!(first["body"], loud);
    assert_eq!(first["headers"][loud], loud);
}
