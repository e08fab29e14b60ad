//! What a call of `append` costs its caller, beside the least that a queue could do.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use flume_client::{Client, Event};
use flume_tests::median;

use crate::event::event;

/// Events of a burst. It fits into the buffer, so that nobody waits.
const BURST: usize = 20_000;
/// Longer than any measurement.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where nobody listens: nothing but appending is measured.
const NOWHERE: &str = "avro://127.0.0.1:1";

/// Appends bursts to each in turn and prints the table.
pub(crate) fn run(rounds: usize) -> Result<(), Box<dyn std::error::Error>> {
    let home = tempfile::tempdir()?;
    let mut rows: [(&str, Vec<f64>); 5] = [
        ("end to end, with ids", Vec::new()),
        ("in memory, with ids", Vec::new()),
        ("in memory, without ids", Vec::new()),
        ("mutex push of the bytes", Vec::new()),
        ("mutex push of the event", Vec::new()),
    ];
    for round in 0..rounds.max(2) * 4 {
        let spool = home.path().join(round.to_string());
        let spooled = Client::builder().agent(NOWHERE).spool(spool);
        let in_memory = Client::builder().agent(NOWHERE);
        let clients = [
            spooled.spool_free_bytes(0).build()?,
            in_memory.clone().build()?,
            in_memory.event_ids(false).build()?,
        ];
        for (client, (_, times)) in clients.iter().zip(&mut rows) {
            times.push(appended(client)?);
        }
        for ((_, times), push) in rows.iter_mut().skip(3).zip([pushed_bytes, pushed_event]) {
            times.push(push());
        }
    }
    println!(
        "\nOne call of append with an event of 200 bytes and two headers, bursts of {BURST} by one \
         thread,\nnobody waited for, median of the bursts; the other threads of each client work \
         meanwhile"
    );
    println!("{:<26} {:>10} {:>12}", "", "ns/event", "time / push");
    let least = rows.iter_mut().next_back();
    let least = least.map_or(1.0, |(_, times)| median(times));
    for (name, times) in &mut rows {
        let time = median(times);
        println!("{name:<26} {time:>10.1} {:>11.2}x", time / least);
    }
    Ok(())
}

/// Nanoseconds per event of the second of two bursts: the first one lets buffers grow.
fn appended(client: &Client) -> Result<f64, Box<dyn std::error::Error>> {
    let mut time = 0.0;
    for _ in 0..2 {
        let events = events();
        let started = Instant::now();
        let mut last = None;
        for event in events {
            last = Some(client.append(event)?);
        }
        time = nanoseconds(started);
        if let Some(receipt) = last {
            receipt.wait_stored(PATIENCE)?;
        }
    }
    let _ = client.close(Duration::ZERO).wait();
    Ok(time)
}

fn pushed_bytes() -> f64 {
    let events = events();
    let queue = Mutex::new(Vec::with_capacity(BURST * 300));
    let started = Instant::now();
    for event in events {
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.extend_from_slice(event.as_datum());
    }
    nanoseconds(started)
}

fn pushed_event() -> f64 {
    let events = events();
    let queue = Mutex::new(Vec::with_capacity(BURST));
    let started = Instant::now();
    for event in events {
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push(event);
    }
    nanoseconds(started)
}

fn nanoseconds(started: Instant) -> f64 {
    started.elapsed().as_nanos() as f64 / BURST as f64
}

fn events() -> Vec<Event> {
    (0..BURST as u64).map(event).collect()
}
