//! Two processes: a lock between them, and a process that is killed while it commits.
//!
//! The second process is this test binary again, told by the environment which part to play.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use super::*;

const DIRECTORY: &str = "FLUME_FILE_CHANNEL_DIRECTORY";
const FIRST_NUMBER: &str = "FLUME_FILE_CHANNEL_FIRST_NUMBER";
const ROUNDS: &str = "FLUME_KILL_ROUNDS";

/// Numbers that a writer may use up in one round.
const NUMBERS_PER_WRITER: u64 = 1_000_000;
const WRITERS: u64 = 3;
const BATCH: u64 = 5;
const SINK_BATCH: usize = 7;

/// Starts the test `part` of this binary in a process of its own.
fn spawn(part: &str, directory: &Path, first_number: u64) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg(format!("channel::file::tests::process::{part}"))
        .env(DIRECTORY, directory)
        .env(FIRST_NUMBER, first_number.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The directory, if this process is to play a part.
fn directory() -> Option<PathBuf> {
    env::var_os(DIRECTORY).map(PathBuf::from)
}

fn settings(directory: &Path) -> FileSettings {
    FileSettings {
        capacity: 2000,
        transaction_capacity: 2000,
        keep_alive: LIMIT,
        max_file_size: 16 << 10,
        ..FileSettings::new(directory)
    }
}

fn open(directory: &Path) -> FileChannel {
    FileChannel::open(settings(directory), None).unwrap()
}

#[test]
fn a_directory_in_use_is_refused_to_another_process_with_the_holders_pid() {
    let directory = TestDirectory::new();
    let channel = open(directory.path());
    run(commit_puts(&channel, &[1])).unwrap();
    let child = spawn("second_opener", directory.path(), 0);
    let output = child.wait_with_output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let expected = format!(
        "the directory {} is in use by process {}",
        directory.path().display(),
        std::process::id()
    );
    assert!(output.contains(&expected), "{output}");
    run(commit_puts(&channel, &[2])).unwrap();
    drop(channel);
    assert_eq!(content(&open(directory.path())), [1, 2]);
}

/// The other process of the test before.
#[test]
fn second_opener() {
    if let Some(directory) = directory() {
        let error = FileChannel::open(settings(&directory), None).unwrap_err();
        say(&format!("{error}"));
    }
}

#[test]
fn what_a_killed_process_had_committed_is_there_once() {
    let rounds = env::var(ROUNDS).map_or(20, |rounds| rounds.parse().unwrap());
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let directory = TestDirectory::new();
    let mut ledger = Acknowledged::default();
    for round in 0..rounds {
        let mut child = spawn(
            "worker",
            directory.path(),
            round * WRITERS * NUMBERS_PER_WRITER,
        );
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let said = random.usize(..60);
        ledger.read(&mut lines, said);
        for _ in 0..random.usize(..20_000) {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        ledger.read(&mut lines, usize::MAX);
        child.wait().unwrap();
        ledger.check(&open(directory.path()));
    }
    println!(
        "{rounds} kills, {} events put, {} taken, none lost, none doubled",
        ledger.put_count, ledger.taken_count
    );
    assert!(ledger.put_count > 0);
}

/// The process that is killed: three writers and a sink, each says what was committed.
#[test]
fn worker() {
    let Some(directory) = directory() else {
        return;
    };
    let first: u64 = env::var(FIRST_NUMBER).unwrap().parse().unwrap();
    let channel = Arc::new(open(&directory));
    for writer in 0..WRITERS {
        let channel = Arc::clone(&channel);
        std::thread::spawn(move || {
            for batch in 0.. {
                let first = first + writer * NUMBERS_PER_WRITER + batch * BATCH;
                let numbers: Vec<u64> = (first..first + BATCH).collect();
                run(commit_puts(&channel, &numbers)).unwrap();
                say(&format!("put {first}"));
            }
        });
    }
    loop {
        let transaction = take(&channel, SINK_BATCH);
        if transaction.taken().is_empty() {
            run(channel.arrival());
            continue;
        }
        let taken: Vec<_> = taken(&transaction).iter().map(u64::to_string).collect();
        say(&format!("taking {}", taken.join(" ")));
        run(channel.commit(transaction)).unwrap();
        say(&format!("taken {}", taken.join(" ")));
    }
}

/// One line in one write, so that a kill does not tear it in the middle of a number unseen.
fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    output
        .write_all(format!("say {line}.\n").as_bytes())
        .unwrap();
    output.flush().unwrap();
}

/// What the killed processes had said.
#[derive(Default)]
struct Acknowledged {
    /// Put and not taken, with the writer of the number.
    present: BTreeMap<u64, u64>,
    /// Taken, in this round.
    taken: Vec<u64>,
    /// The last batch that the sink began to commit.
    taking: Vec<u64>,
    /// Taken in any round.
    gone: BTreeSet<u64>,
    put_count: usize,
    taken_count: usize,
}

impl Acknowledged {
    /// Reads up to `count` lines that were said.
    fn read(&mut self, lines: &mut BufReader<ChildStdout>, count: usize) {
        let mut said = 0;
        let mut line = String::new();
        while said < count {
            line.clear();
            if lines.read_line(&mut line).unwrap() == 0 {
                return;
            }
            let Some((_, said_line)) = line.split_once("say ") else {
                continue;
            };
            let Some(whole) = said_line.strip_suffix(".\n") else {
                continue;
            };
            said += 1;
            let (verb, numbers) = whole.split_once(' ').unwrap();
            let numbers = numbers.split(' ').map(|it| it.parse::<u64>().unwrap());
            match verb {
                "put" => {
                    let first = numbers.sum::<u64>();
                    self.present
                        .extend((first..first + BATCH).map(|it| (it, writer(it))));
                    self.put_count += usize::try_from(BATCH).unwrap();
                }
                "taking" => self.taking = numbers.collect(),
                _ => self.taken.extend(numbers),
            }
        }
    }

    /// The channel holds what was put and not taken; each writer may have put one batch more and
    /// the sink may have taken one more before they could say so.
    fn check(&mut self, channel: &FileChannel) {
        // A sink may say that it has taken events before their writer says that they were put.
        self.taken_count += self.taken.len();
        let mut early = Vec::new();
        for number in std::mem::take(&mut self.taken) {
            assert!(self.gone.insert(number), "{number} was taken twice");
            if self.present.remove(&number).is_none() {
                early.push(number);
            }
        }
        let order = content(channel);
        let found: BTreeSet<u64> = order.iter().copied().collect();
        assert_eq!(found.len(), order.len(), "twice in the channel");
        let unsaid: Vec<u64> = found
            .iter()
            .filter(|number| !self.present.contains_key(number))
            .copied()
            .collect();
        let doubled: Vec<_> = unsaid.iter().filter(|it| self.gone.contains(it)).collect();
        assert!(doubled.is_empty(), "taken before: {doubled:?}");
        let batches = usize::try_from(WRITERS * BATCH).unwrap();
        assert!(
            unsaid.len() + early.len() <= batches,
            "{unsaid:?} {early:?}"
        );
        assert!(
            unsaid.iter().all(|it| found.contains(&batch_end(*it))),
            "half a batch: {unsaid:?}"
        );
        let missing: Vec<u64> = self
            .present
            .keys()
            .filter(|number| !found.contains(number))
            .copied()
            .collect();
        if !missing.is_empty() {
            // The sink had no time to say that its last batch is committed; it is so as a whole.
            let lost = missing.iter().find(|it| !self.taking.contains(it));
            assert_eq!(lost, None, "lost of {missing:?}");
            let half = self.taking.iter().find(|it| found.contains(it));
            assert_eq!(half, None, "half a take: {:?}", self.taking);
            self.gone.extend(&self.taking);
        }
        for of_writer in [0, 1, 2] {
            let numbers = order.iter().filter(|it| writer(**it) == of_writer);
            assert!(numbers.is_sorted(), "out of order");
        }
        self.present = found.iter().map(|it| (*it, writer(*it))).collect();
    }
}

fn writer(number: u64) -> u64 {
    number / NUMBERS_PER_WRITER % WRITERS
}

/// The last number of the batch of `number`.
fn batch_end(number: u64) -> u64 {
    number / BATCH * BATCH + BATCH - 1
}
