//! Every command that has `--json` heeds it and prints what `docs/json.md` says, no more and no
//! less. Commands are found in the help, so a new one must be added here or this fails.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use flume_client::Event;
use flume_client::stats::Lost;
use serde_json::Value;

use crate::support::command::{Run, flume, flume_reading};
use crate::support::spool::{TestSpool, numbered_event};
#[cfg(feature = "tls")]
use crate::support::tls::tls_agent;
use crate::support::{agent, closed_port};

/// Commands without a report: `agent` prints its address and what its sink gets. `spool` has
/// commands of its own.
const WITHOUT_JSON: [&str; 3] = ["agent", "help", "spool"];

fn commands(of: &[&str]) -> Vec<String> {
    let help = flume(&[of, &["--help"]].concat()).stdout;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = listed
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with("    "));
    names
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

/// The fields in each chapter of `docs/json.md`, by its heading.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/json.md");
    let text = fs::read_to_string(path).unwrap();
    let mut chapters = BTreeMap::new();
    let mut heading = String::new();
    for line in text.lines() {
        if let Some(next) = line.strip_prefix("## ") {
            heading = next.trim_matches('`').to_owned();
        }
        let Some((field, rest)) = line
            .strip_prefix("| `")
            .and_then(|it| it.split_once("` | "))
        else {
            continue;
        };
        let cells: Vec<_> = rest
            .trim_end_matches('|')
            .split(" | ")
            .map(str::trim)
            .collect();
        assert_eq!(cells.len(), 2, "{heading}: a unit and a meaning: {line}");
        assert!(
            cells.iter().all(|cell| !cell.is_empty()),
            "{heading}: {line}"
        );
        let fields: &mut BTreeSet<String> = chapters.entry(heading.clone()).or_default();
        assert!(
            fields.insert(field.to_owned()),
            "{heading}: {field} is there twice"
        );
    }
    chapters
}

/// Chapters of what several reports have, by the name of the field that holds it.
const SHARED: [(&str, &str); 5] = [
    ("unreadable", "Unreadable files"),
    ("lost", "Lost events"),
    ("agents", "Agents"),
    ("findings", "Findings"),
    ("events", "Events"),
];

/// The fields that reports were seen to have, by chapter.
#[derive(Default)]
struct Seen(BTreeMap<String, BTreeSet<String>>);

impl Seen {
    /// Notes the fields of every line that a run printed.
    #[track_caller]
    fn add(&mut self, chapter: &str, run: &Run) {
        assert!(
            !run.stdout.is_empty(),
            "{chapter}: nothing is printed: {run:#?}"
        );
        for line in run.stdout.lines() {
            let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
            assert_eq!(value["schema"], 2, "{chapter}: {line}");
            self.note(chapter, "", &value);
        }
    }

    fn note(&mut self, chapter: &str, prefix: &str, value: &Value) {
        for (name, value) in value.as_object().unwrap() {
            let path = format!("{prefix}{name}");
            let fields = self.0.entry(chapter.to_owned()).or_default();
            fields.insert(path.clone());
            let shared = SHARED.iter().find(|(field, _)| field == name);
            let (chapter, path) = match shared {
                Some((_, chapter)) => (*chapter, String::new()),
                None => (chapter, path),
            };
            let inside = |end: &str| match path.is_empty() {
                true => String::new(),
                false => format!("{path}{end}"),
            };
            match value {
                // Its names are the user's.
                Value::Object(_) if name == "headers" => {}
                Value::Object(_) => self.note(chapter, &inside("."), value),
                Value::Array(values) => {
                    let values = values.iter().filter(|value| value.is_object());
                    values.for_each(|value| self.note(chapter, &inside("[]."), value));
                }
                _ => {}
            }
        }
    }
}

/// A spool that has of everything what can be in one.
fn strange_spool() -> TestSpool {
    let spool = TestSpool::new();
    let mut log = spool.log();
    log.write(&[Event::new(b"\xff\xfe".as_slice()), Event::new("text")]);
    log.write_numbered(2..100);
    log.log.retire((20..30).into());
    log.deliver(0..0);
    drop(log);
    spool.damage_text("<event 42>");
    spool
}

#[test]
fn every_report_has_the_fields_that_its_documentation_has_and_no_other() {
    let agent = agent();
    let url = agent.url();
    let nowhere = closed_port();
    let mut seen = Seen::default();
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().display().to_string();
    let send = ["send", "--json", "--agent"];
    let spooled = [
        &send[..],
        &[&nowhere, "--spool", &dir, "--timeout", "500ms"],
    ]
    .concat();
    seen.add("flume send --json", &flume_reading(&spooled, b"a\n"));
    seen.add("flume ping --json", &flume(&["ping", "--json", &url]));
    seen.add("flume ping --json", &flume(&["ping", "--json", &nowhere]));
    #[cfg(feature = "tls")]
    {
        let (with_tls, home) = tls_agent(100);
        let ca = home.path().join("ca.pem").display().to_string();
        let ping = ["ping", "--json", "--ca", &ca, &with_tls.url()];
        seen.add("flume ping --json", &flume(&ping));
    }
    seen.add("flume demo --json", &flume(&["demo", "--json"]));

    let spool = strange_spool();
    let dir = spool.dir();
    let exported = spool.beside("exported").display().to_string();
    let drained = strange_spool();
    let names = drained.content().into_keys();
    let segment = names.filter(|name| name.starts_with("seg-")).max();
    drained.make_foreign(&drained.path().join(segment.unwrap()));
    let foreign = TestSpool::of(1);
    fs::write(foreign.path().join("notes.txt"), "mine").unwrap();
    let runs: [(&str, &[&str]); 5] = [
        ("ls", &[&dir]),
        ("show", &[&dir, "--events", "9", "--bodies"]),
        ("drain", &[&drained.dir(), "--agent", &url]),
        ("export", &[&dir, "--format", "avro", "--output", &exported]),
        ("prune", &[&foreign.dir(), "--foreign"]),
    ];
    for (command, args) in runs {
        let run = flume(&[&["spool", command, "--json"], args].concat());
        seen.add(&format!("flume spool {command} --json"), &run);
    }
    let documented = documented();
    let chapters: Vec<_> = documented.keys().collect();
    assert_eq!(seen.0.keys().collect::<Vec<_>>(), chapters);
    for (chapter, seen) in &seen.0 {
        let known = &documented[chapter];
        let new: Vec<_> = seen.difference(known).collect();
        let gone: Vec<_> = known.difference(seen).collect();
        assert!(
            new.is_empty() && gone.is_empty(),
            "docs/json.md, {chapter}: printed and not there {new:?}, there and not printed {gone:?}"
        );
    }
}

#[test]
fn every_reason_for_a_loss_is_documented() {
    let reasons = Lost::default().by_reason();
    let mut names: BTreeSet<_> = reasons.iter().map(|(name, _)| (*name).to_owned()).collect();
    names.insert("total".to_owned());
    assert_eq!(documented()["Lost events"], names);
}

#[test]
fn no_command_ignores_json() {
    let known = documented();
    let has_chapter = |command: &str| known.contains_key(&format!("flume {command} --json"));
    let commands = commands(&[]);
    assert!(commands.len() > 3, "{commands:?}");
    for command in commands
        .iter()
        .filter(|name| !WITHOUT_JSON.contains(&name.as_str()))
    {
        let help = flume(&[command, "--help"]).stdout;
        assert!(help.contains("--json"), "{command} has no --json: {help}");
        assert!(
            has_chapter(command),
            "docs/json.md has nothing of {command}"
        );
    }
}

#[test]
fn no_command_for_spools_ignores_json() {
    let agent = agent();
    let url = agent.url();
    let commands = commands(&["spool"]);
    assert!(commands.len() > 5, "{commands:?}");
    for command in commands.iter().filter(|name| *name != "help") {
        let spool = TestSpool::new();
        spool.log().write(&[numbered_event(0)]);
        let beside = spool.beside("new").display().to_string();
        let dir = spool.dir();
        let own: &[&str] = match command.as_str() {
            "ls" | "show" | "prune" => &[],
            "drain" => &["--agent", &url],
            "export" => &["--format", "avro", "--output", &beside],
            other => panic!("say here how to run {other} with --json"),
        };
        let run = flume(&[&["spool", command, &dir, "--json"], own].concat());
        run.check(0, &[]);
        assert_eq!(run.json()["schema"], 2, "{command}");
    }
}
