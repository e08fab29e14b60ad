//! What becomes of the events.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flume_mini_agent::{MiniAgent, Sink, StartError};

use crate::support::{APPEND, Client, LIMIT, batch, status};

/// A writer that fails or panics as often as told, then keeps what is written.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    failures: usize,
    panics: usize,
    written: Vec<u8>,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap();
        if state.failures > 0 {
            state.failures -= 1;
            return Err(io::Error::other("no paper"));
        }
        if state.panics > 0 {
            state.panics -= 1;
            drop(state);
            panic!("printer on fire");
        }
        state.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output {
    fn failing(failures: usize, panics: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            failures,
            panics,
            written: Vec::new(),
        })))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().written.clone()).unwrap()
    }
}

/// Sends two events and waits until the sink has them.
fn feed(agent: &MiniAgent) {
    let drained = agent.received_count() + 2;
    let mut client = Client::greeted(agent);
    client.send(&[APPEND, APPEND].concat());
    client.expect(&status(1, "00").repeat(2));
    agent
        .wait_until(LIMIT, |stats| stats.events_drained == drained)
        .unwrap();
}

fn logger(output: &Output) -> MiniAgent {
    let output = Box::new(output.clone());
    MiniAgent::builder()
        .sink(Sink::Logger { output })
        .sink_backoff(Duration::ZERO)
        .start()
        .unwrap()
}

const LINE: &str = "Event: { headers:{k=v} body: 68 69 hi }\n";

#[test]
fn the_logger_writes_a_line_per_event_and_goes_on_after_a_restart() {
    let output = Output::default();
    let mut agent = logger(&output);
    feed(&agent);
    assert_eq!(output.text(), LINE.repeat(2));
    agent.restart().unwrap();
    feed(&agent);
    assert_eq!(output.text(), LINE.repeat(4));
}

#[test]
fn a_batch_the_sink_cannot_write_returns_to_the_channel_and_is_tried_again() {
    let output = Output::failing(3, 0);
    let agent = logger(&output);
    assert_eq!(agent.sink_error(), None);
    feed(&agent);
    assert_eq!(output.text(), LINE.repeat(2));
    assert_eq!(agent.stats().sink_failures, 3);
    let error = agent.sink_error().unwrap();
    assert!(
        error.starts_with("the logger sink could not write "),
        "{error}"
    );
    assert!(error.contains("no paper"), "{error}");
}

#[test]
fn a_sink_that_panics_loses_nothing() {
    let output = Output::failing(0, 1);
    let agent = logger(&output);
    feed(&agent);
    assert_eq!(output.text(), LINE.repeat(2));
    assert!(agent.sink_error().unwrap().contains("it panicked"));
}

#[test]
fn events_wait_in_the_channel_while_the_sink_backs_off() {
    let output = Output::failing(1, 0);
    let agent = MiniAgent::builder()
        .sink(Sink::Logger {
            output: Box::new(output),
        })
        .sink_backoff(LIMIT * 10)
        .start()
        .unwrap();
    Client::greeted(&agent).send(APPEND);
    let stats = agent
        .wait_until(LIMIT, |stats| stats.sink_failures == 1)
        .unwrap();
    assert_eq!((stats.channel_size, stats.events_drained), (1, 0));
}

#[test]
fn the_null_sink_counts_and_keeps_nothing() {
    let agent = MiniAgent::builder().sink(Sink::Null).start().unwrap();
    feed(&agent);
    assert_eq!(agent.received_count(), 2);
    assert!(agent.received().is_empty());
    let error = agent.wait_for(2, LIMIT).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the null sink keeps no events"),
        "{error}"
    );
}

#[test]
fn the_collect_sink_fails_when_it_has_all_it_may_keep() {
    let agent = MiniAgent::builder()
        .collect_max(3)
        .batch_size(2)
        .sink_backoff(LIMIT * 10)
        .start()
        .unwrap();
    let mut client = Client::greeted(&agent);
    client.send_bytes(&batch(3, 5));
    let stats = agent
        .wait_until(LIMIT, |stats| stats.sink_failures == 1)
        .unwrap();
    assert_eq!((stats.events_drained, stats.channel_size), (2, 3));
    assert!(agent.sink_error().unwrap().contains("raise `collect_max`"));
    assert_eq!(agent.received().len(), 2);
}

/// Names and contents of a directory's files, by their names.
fn files(directory: &Path) -> Vec<(String, String)> {
    let read = |path: &Path| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    let entries = fs::read_dir(directory).unwrap();
    let mut files: Vec<_> = entries.map(|entry| read(&entry.unwrap().path())).collect();
    files.sort();
    files
}

#[test]
fn file_roll_writes_bodies_as_lines_to_a_new_file_at_every_start() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Sink::FileRoll {
        directory: directory.path().to_owned(),
    };
    let mut agent = MiniAgent::builder().sink(sink).start().unwrap();
    feed(&agent);
    agent.restart().unwrap();
    feed(&agent);
    let files = files(directory.path());
    let (names, contents): (Vec<_>, Vec<_>) = files.iter().cloned().unzip();
    assert_eq!(contents, ["hi\nhi\n"; 2]);
    let [(first, "1"), (second, counter)] = [0, 1].map(|at| names[at].split_once('-').unwrap())
    else {
        panic!("{names:?}");
    };
    assert_eq!((first.len(), second.len()), (13, 13), "{names:?}");
    // Each start begins a series; two of one millisecond are one.
    let expected = if first == second { "2" } else { "1" };
    assert_eq!(counter, expected, "{names:?}");
}

#[test]
fn file_roll_does_not_start_without_its_directory() {
    let directory = std::env::temp_dir().join("flume-mini-agent-no-such-directory");
    let error = MiniAgent::builder()
        .sink(Sink::FileRoll {
            directory: directory.clone(),
        })
        .start()
        .unwrap_err();
    assert!(matches!(error, StartError::Sink { .. }));
    let start = format!("the file_roll sink cannot start: {}: ", directory.display());
    assert!(error.to_string().starts_with(&start), "{error}");
}
