//! Counts what one event costs its caller in instructions, which a busy machine does not change.
//!
//! ```text
//! cargo bench -p flume-tests --bench instructions
//! ```
//!
//! Needs valgrind. The program runs itself under callgrind twice for each way to append, with fewer
//! and with more events, and divides the difference of the caller's thread: start and end fall out.

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use flume_client::{Client, Event};

/// Events of the two runs. The larger one fits into the buffer, so that nobody waits.
const EVENTS: [u64; 2] = [10_000, 30_000];
const BODY_BYTES: usize = 200;
const HEADERS: [(&str, &str); 2] = [("host", "web-1"), ("timestamp", "1700000000000")];
/// Where nobody listens: nothing but appending is counted.
const NOWHERE: &str = "avro://127.0.0.1:1";

/// A way to make events or to append them, by its name.
type Way = (&'static str, fn(u64));

const WAYS: [Way; 7] = [
    ("Event::new, header, header", |events| {
        (0..events).for_each(|number| drop(black_box(set_one_by_one(number))));
    }),
    ("Event::with_headers", |events| {
        (0..events).for_each(|number| drop(black_box(made_at_once(number))));
    }),
    ("Event::new, header, header, append", |events| {
        append(events, |client, number| {
            client.append(set_one_by_one(number)).is_ok()
        });
    }),
    ("Event::with_headers, append", |events| {
        append(events, |client, number| {
            client.append(made_at_once(number)).is_ok()
        });
    }),
    ("Event::with_headers, send", |events| {
        append(events, |client, number| {
            client.send(made_at_once(number)).is_ok()
        });
    }),
    ("append_parts", |events| {
        append(events, |client, number| {
            client.append_parts(&HEADERS, &body(number)).is_ok()
        });
    }),
    ("send_parts", |events| {
        append(events, |client, number| {
            client.send_parts(&HEADERS, &body(number)).is_ok()
        });
    }),
];

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let done = match (args.next(), args.next()) {
        (Some(name), Some(events)) => events.parse().map_err(Into::into).map(|events| {
            let way = WAYS.iter().find(|(known, _)| *known == name);
            way.into_iter().for_each(|(_, work)| work(events));
        }),
        _ => table(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn table() -> Result<(), Box<dyn Error>> {
    println!("An event of {BODY_BYTES} bytes and two headers: instructions of the caller's thread");
    for (name, _) in WAYS {
        let [few, many] = EVENTS;
        let more = counted(name, many)? - counted(name, few)?;
        println!("{name:<40} {:>8.0}", more as f64 / (many - few) as f64);
    }
    Ok(())
}

/// Instructions of the first thread of a run of its own.
fn counted(name: &str, events: u64) -> Result<u64, Box<dyn Error>> {
    let home = tempfile::tempdir()?;
    let out = home.path().join("out");
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--separate-threads=yes", "--quiet"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe()?)
        .args([name, &events.to_string()])
        .stderr(Stdio::null())
        .status()
        .map_err(|error| format!("starting valgrind: {error}; install it"))?;
    if !status.success() {
        return Err(format!("{name} ended with {status} under valgrind").into());
    }
    // The first thread's.
    total(&home.path().join("out-01"))
}

fn total(out: &Path) -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string(out)?;
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let totals = totals.ok_or_else(|| format!("no totals in {}", out.display()))?;
    Ok(totals.trim().parse()?)
}

fn append(events: u64, appended: impl Fn(&Client, u64) -> bool) {
    let client = Client::builder().agent(NOWHERE).build();
    let client = client.expect("the address is sound");
    let taken = (0..events).filter(|number| appended(&client, *number));
    assert_eq!(taken.count() as u64, events, "there was no room");
    let _ = client.close(Duration::ZERO).wait();
}

fn set_one_by_one(number: u64) -> Event {
    let [(host, name), (timestamp, time)] = HEADERS;
    Event::new(body(number))
        .header(host, name)
        .header(timestamp, time)
}

fn made_at_once(number: u64) -> Event {
    Event::with_headers(body(number), HEADERS)
}

/// The same for every number but the first bytes.
fn body(number: u64) -> [u8; BODY_BYTES] {
    let mut body = [b'x'; BODY_BYTES];
    let (digits, _) = body.split_at_mut(8);
    digits.copy_from_slice(&number.to_be_bytes());
    body
}
