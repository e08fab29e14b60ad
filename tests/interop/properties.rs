//! The syntax of property files, against `java.util.Properties` itself.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use flume_mini_agent::config::{EscapeError, Properties};
use flume_tests::{Version, require_java, run_java_program};

const RANDOM_TEXTS: usize = 50_000;

/// Pieces in which the rules meet.
const PIECES: [&str; 34] = [
    "a",
    "b",
    "key",
    "\\",
    "\\\\",
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    " ",
    "\t",
    "\x0c",
    "=",
    ":",
    "#",
    "!",
    "\\u0041",
    "\\u00e9",
    "\\u00E9",
    "\\ud83d\\ude00",
    "\\u12",
    "\\uxyzw",
    "\\u",
    "\\t",
    "\\n",
    "\\r",
    "\\f",
    "\\x",
    "\\ ",
    "\\=",
    "é",
    "😀",
    "\x0b",
    "\u{a0}",
];

fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// What [`Properties`] makes of a text, as `PropertiesDump.java` prints it.
fn ours(text: &str) -> Result<String, EscapeError> {
    let properties = match Properties::parse(text) {
        Ok(properties) => properties,
        Err(error) => match error.kind() {
            EscapeError::Malformed => return Ok("error".to_owned()),
            other => return Err(other),
        },
    };
    let entries = properties.entries().iter();
    // Java sorts by UTF-16 units; the hexadecimal form of both is compared as a set.
    let by_key: BTreeMap<_, _> = entries.map(|entry| (&entry.key, &entry.value)).collect();
    let entries = by_key
        .iter()
        .map(|(key, value)| format!("{}={}", hex(key), hex(value)));
    let mut entries: Vec<_> = entries.collect();
    entries.sort();
    Ok(entries.join(","))
}

fn check(texts: &[String]) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("texts");
    let lines: String = texts
        .iter()
        .map(|text| format!("{}\n", hex(text)))
        .collect();
    fs::write(&file, lines).unwrap();
    let output = run_java_program(Version::V1_11, "PropertiesDump", [&file]).unwrap();
    let answers: Vec<_> = output.lines().collect();
    assert_eq!(answers.len(), texts.len());
    for (text, java) in texts.iter().zip(answers) {
        let mut entries: Vec<_> = java.split(',').collect();
        entries.sort_unstable();
        // Java keeps half a character, for which a Rust string has no room.
        if let Ok(ours) = ours(text) {
            assert_eq!(ours, entries.join(","), "{text:?}");
        }
    }
}

#[test]
fn every_short_text_means_what_it_means_in_java() {
    if !require_java() {
        return;
    }
    let alphabet = ["a", "=", " ", "\\", "\n", "\r", "#", "\\u"];
    let mut texts = vec![String::new()];
    let mut longest = texts.clone();
    for _ in 0..5 {
        let longer = |text: &String| alphabet.map(|piece| format!("{text}{piece}"));
        longest = longest.iter().flat_map(longer).collect();
        texts.extend(longest.iter().cloned());
    }
    check(&texts);
}

#[test]
fn random_texts_mean_what_they_mean_in_java() {
    if !require_java() {
        return;
    }
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut text = || {
        let pieces = random.usize(1..25);
        (0..pieces)
            .map(|_| *random.choice(&PIECES).unwrap())
            .collect()
    };
    let texts: Vec<String> = (0..RANDOM_TEXTS).map(|_| text()).collect();
    check(&texts);
}
