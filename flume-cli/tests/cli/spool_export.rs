//! `flume spool export`: files that others can read.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;

use apache_avro::Reader;
use apache_avro::types::Value;
use flume_client::Event;
use flume_client::spool::Settings;
use serde_json::json;

use crate::support::command::{Run, flume};
use crate::support::spool::{SETTINGS, TIME_MS, TestSpool, Writer, datums, numbered_event};

fn export(spool: &TestSpool, format: &str, file: &str, args: &[&str]) -> Run {
    let output = match file {
        "-" => "-".to_owned(),
        file => spool.beside(file).display().to_string(),
    };
    let own = [
        "spool",
        "export",
        &spool.dir(),
        "--format",
        format,
        "--output",
        &output,
    ];
    flume(&[&own[..], args].concat())
}

/// Headers and body of each record, as Avro's own library reads them.
fn read_avro(spool: &TestSpool, file: &str) -> Vec<(BTreeMap<String, String>, Vec<u8>)> {
    let reader = Reader::new(File::open(spool.beside(file)).unwrap()).unwrap();
    let name = reader.writer_schema().name().unwrap().to_string();
    assert_eq!(name, "org.apache.flume.source.avro.AvroFlumeEvent");
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => panic!("{other:?}"),
    };
    reader
        .map(|record| match record.unwrap() {
            Value::Record(fields) => match <[_; 2]>::try_from(fields).unwrap() {
                [(headers, Value::Map(map)), (body, Value::Bytes(bytes))] => {
                    assert_eq!((headers.as_str(), body.as_str()), ("headers", "body"));
                    (
                        map.into_iter()
                            .map(|(key, value)| (key, text(value)))
                            .collect(),
                        bytes,
                    )
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        })
        .collect()
}

fn parts(event: &Event) -> (BTreeMap<String, String>, Vec<u8>) {
    let headers = event
        .headers()
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
    (headers.collect(), event.body().to_vec())
}

#[test]
fn an_avro_file_holds_the_pending_events_in_order_for_any_reader() {
    let spool = TestSpool::new();
    let mut log = spool.log();
    // More than one block of the file.
    log.write_numbered(0..2_000);
    let last = [
        Event::new(""),
        Event::new(b"\x00\xff").header("", "").header("ü", "ß"),
    ];
    log.write(&last);
    log.deliver(0..5);
    drop(log);
    let run = export(&spool, "avro", "events.avro", &["--json"]);
    run.check(0, &["1,997 events written to"]);
    let told = run.json();
    assert_eq!(
        (&told["events"], &told["lost"]["total"]),
        (&json!(1_997), &json!(0))
    );
    let expected = (5..2_000).map(numbered_event).chain(last);
    let expected: Vec<_> = expected.map(|event| parts(&event)).collect();
    assert!(read_avro(&spool, "events.avro") == expected);
}

#[test]
fn an_avro_file_of_no_events_is_an_avro_file() {
    let spool = TestSpool::of(0);
    export(&spool, "avro", "events.avro", &[]).check(0, &["0 events written"]);
    assert_eq!(read_avro(&spool, "events.avro"), []);
}

#[test]
fn json_lines_hold_numbers_headers_and_bodies_of_any_bytes() {
    let spool = TestSpool::new();
    let mut log = spool.log();
    log.write(&[Event::new("done with")]);
    let text = Event::new("text \"ü\"\n").header("b", "2").header("a", "1");
    log.write(&[text, Event::new([0xff; 4]), Event::new("")]);
    log.deliver(0..1);
    drop(log);
    let run = export(&spool, "jsonl", "-", &[]);
    run.check(0, &["3 events written to standard output"]);
    let lines = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<serde_json::Value> = lines.collect();
    let stored = TIME_MS + 1_000;
    assert_eq!(
        lines,
        [
            json!({"number": 1, "stored_ms": stored, "headers": {"a": "1", "b": "2"},
                "body_bytes": 10, "body": "text \"ü\"\n"}),
            json!({"number": 2, "stored_ms": stored, "headers": {}, "body_bytes": 4,
                "body_base64": "/////w=="}),
            json!({"number": 3, "stored_ms": stored, "headers": {}, "body_bytes": 0, "body": ""}),
        ]
    );
}

#[test]
fn a_file_that_is_there_is_replaced_only_by_force() {
    let spool = TestSpool::of(10);
    let file = spool.beside("events.jsonl");
    fs::write(&file, "mine").unwrap();
    let run = export(&spool, "jsonl", "events.jsonl", &[]);
    run.check(2, &["events.jsonl is there already; say --force"]);
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    export(&spool, "jsonl", "events.jsonl", &["--force"]).check(0, &[]);
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 10);
    let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "events are nobody else's business");
    let names = fs::read_dir(spool.home()).unwrap().count();
    assert_eq!(names, 2, "the spool and the file, and no temporary one");
}

#[test]
fn a_directory_is_not_replaced_even_by_force() {
    let spool = TestSpool::of(10);
    fs::create_dir(spool.beside("d")).unwrap();
    export(&spool, "jsonl", "d", &["--force"]).check(2, &["is no ordinary file"]);
}

#[test]
fn nothing_is_exported_into_the_spool_itself() {
    let spool = TestSpool::of(10);
    let before = spool.content();
    for file in [
        "orders/events.avro",
        "orders/../orders/seg-0000000000000001.flb",
    ] {
        export(&spool, "avro", file, &["--force"]).check(2, &["is in the spool itself"]);
    }
    assert!(spool.content() == before);
}

#[test]
fn of_a_damaged_spool_the_rest_is_exported_and_the_loss_is_told() {
    let spool = TestSpool::of(50);
    spool.damage_text("<event 33>");
    spool
        .log()
        .write_datums(&[b"no event", numbered_event(50).as_datum()]);
    for (format, file) in [("avro", "a"), ("jsonl", "j")] {
        let run = export(&spool, format, file, &["--json"]);
        run.check(
            6,
            &[
                "41 events written to",
                "events 30 to 39 (10 events) are lost",
                "11 lost",
            ],
        );
        let told = run.json();
        assert_eq!(
            (&told["lost"]["total"], &told["skipped"]),
            (&json!(10), &json!(1))
        );
    }
    let expected = (0..30)
        .chain(40..51)
        .map(|number| parts(&numbered_event(number)));
    assert_eq!(read_avro(&spool, "a"), expected.collect::<Vec<_>>());
    let lines = fs::read_to_string(spool.beside("j")).unwrap();
    assert_eq!(lines.lines().count(), 41);
}

#[test]
fn all_that_can_be_read_is_exported_and_the_spool_is_as_it_was() {
    let (spool, gone) = TestSpool::damaged();
    let before = spool.content();
    let saved = datums(&spool.path());
    assert!(saved.len() > 150, "{}", saved.len());
    let run = export(&spool, "avro", "saved", &[]);
    let written = format!("{} events written to", saved.len());
    let header = format!("{gone}: both copies of its header are damaged");
    let frame = "events 150 to 159 (10 events) are lost";
    run.check(6, &[&written, &header, frame]);
    let expected = (0..400).map(numbered_event);
    let expected = expected.filter(|event| saved.iter().any(|it| it == event.as_datum()));
    let expected: Vec<_> = expected.map(|event| parts(&event)).collect();
    assert_eq!(expected.len(), saved.len());
    assert!(read_avro(&spool, "saved") == expected);
    assert!(spool.content() == before);
    let names = fs::read_dir(spool.home()).unwrap().count();
    assert_eq!(names, 2, "nothing else is left");
}

#[test]
fn an_event_larger_than_the_blocks_of_others_is_exported() {
    let spool = TestSpool::new();
    let settings = Settings {
        segment_bytes: 8 << 20,
        frame_bytes_max: 2 << 20,
        bytes_max: 64 << 20,
        ..SETTINGS
    };
    let mut log = Writer::open(&spool.path(), settings);
    let large = Event::new(vec![b'x'; 1 << 20]);
    log.write(std::slice::from_ref(&large));
    log.write_numbered(1..11);
    log.write(std::slice::from_ref(&large));
    drop(log);
    export(&spool, "avro", "a", &[]).check(0, &[]);
    let numbered = (1..11).map(numbered_event);
    let expected = [large.clone()].into_iter().chain(numbered).chain([large]);
    let expected: Vec<_> = expected.map(|event| parts(&event)).collect();
    assert!(read_avro(&spool, "a") == expected);
}

#[test]
fn where_there_is_no_spool_nothing_is_made() {
    let spool = TestSpool::of(10);
    let home = spool.home().display().to_string();
    let output = spool.beside("a").display().to_string();
    let args = ["--format", "avro", "--output", &output];
    let run = flume(&[&["spool", "export", &home], &args[..]].concat());
    run.check(1, &["there is no spool in"]);
    let names = fs::read_dir(spool.home()).unwrap().count();
    assert_eq!(names, 1, "neither a file nor a lock");
}

#[test]
fn a_file_that_cannot_be_made_is_told_by_its_name() {
    let spool = TestSpool::of(10);
    let run = export(&spool, "avro", "missing/events.avro", &[]);
    let words = format!(
        "cannot make {}: no such",
        spool.beside("missing/events.avro").display()
    );
    run.check(1, &[&words]);
    export(&spool, "avro", "-", &["--json"]).check(2, &["give --output a file"]);
}
