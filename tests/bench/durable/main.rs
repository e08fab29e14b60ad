//! Durable appends: the spool beside its peers, on the same disk, in one run, as ratios.
//!
//! ```text
//! cargo bench -p flume-tests --features peers --bench durable                    all tables
//! cargo bench -p flume-tests --features peers --bench durable -- one             one caller
//! cargo bench -p flume-tests --features peers --bench durable -- waiting burst   64 callers
//! ```
//!
//! `--rounds N` (default 5), `--bytes N` of each event (100 to 8000; default 200, for bursts 200,
//! 1000 and 4096 in turn). Each round gives every contender one turn, beginning with another one
//! each time; a ratio is the median of the rounds' ratios. Only storing is measured: nobody reads.
//! Flushes are those of the whole disk, so they tell little while others write to it.
//!
//! Every contender promises the same: when a call has returned, a sync that covers the event has.
//!
//! | contender | settings |
//! |---|---|
//! | ours | the client's defaults with a spool, which add an id of 39 bytes to each event; no agent listens |
//! | the spool's log | driven by the caller's thread, events done with at once, so that segments are used again |
//! | raw | `pwrite` into a file whose blocks were written before, `fdatasync` |
//! | SQLite | bundled; `journal_mode=WAL`, `synchronous=FULL`, prepared `INSERT` |
//! | fjall | `manual_journal_persist`, then `persist(SyncData)`, as its documentation says for durability |
//! | okaywal | an entry of one chunk per event; segments of the spool's size, dropped when they are full |
//!
//! "grouped" is what a careful user writes around a store for one caller: see [`Grouped`].

mod callers;
mod disk;
mod grouped;
mod load;
mod peers;
mod spool;
mod store;
mod table;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use callers::{Burst, Contender, Disk, Waiting, one_caller, one_of_many};
use disk::Flushes;
use grouped::Grouped;
use load::{CALLERS, EVENT_BYTES, Result, SIZES, event_bytes};
use peers::{Fjall, OkayWal, Sqlite};
use spool::{Spool, Spooled, SyncCounts};
use store::Raw;
use table::{By, Table};

/// Rounds of the tables with short turns, for each one that was asked for.
const SHORT_ROUNDS: usize = 5;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<()> {
    let rounds = args.iter().skip_while(|arg| *arg != "--rounds").nth(1);
    let rounds = rounds.map_or(Ok(5), |it| it.parse())?;
    let bytes = args.iter().skip_while(|arg| *arg != "--bytes").nth(1);
    let sizes = match bytes.map(|it| it.parse()).transpose()? {
        None => SIZES.to_vec(),
        Some(bytes @ 100..=8000) => vec![bytes],
        Some(_) => return Err("--bytes takes 100 to 8000".into()),
    };
    let jobs: [(&str, Job, usize); 3] = [
        ("one", one, 1),
        ("waiting", waiting, 1),
        ("burst", burst, SIZES.len()),
    ];
    let named = |name: &str| args.iter().any(|arg| arg == name);
    let all = !jobs.iter().any(|(name, ..)| named(name));
    let target = env!("CARGO_TARGET_TMPDIR");
    for (_, job, most) in jobs.into_iter().filter(|(name, ..)| all || named(name)) {
        for bytes in sizes.iter().take(most) {
            EVENT_BYTES.store(*bytes, Ordering::Relaxed);
            let directory = tempfile::tempdir_in(target)?;
            job(directory.path(), rounds)?;
        }
    }
    Ok(())
}

type Job = fn(&Path, usize) -> Result<()>;

fn one(directory: &Path, rounds: usize) -> Result<()> {
    let bytes = event_bytes();
    let rounds = rounds * SHORT_ROUNDS;
    let syncs = Arc::<SyncCounts>::default();
    let mut contenders = vec![
        one_of_many("ours: the client", Spooled::open(directory)?),
        one_caller("the spool's log alone", Spool::open(directory, &syncs)?),
        one_caller("raw: pwrite, fdatasync", Raw::open(directory)?),
        one_caller("SQLite, a transaction each", Sqlite::open(directory)?),
        one_caller("fjall, insert and persist", Fjall::open(directory)?),
        one_caller("okaywal, an entry each", OkayWal::open(directory)?),
    ];
    let table = Table::measure(&mut contenders, rounds, &Flushes::of(directory)?)?;
    println!("\nOne caller, one event of {bytes} bytes per commit, median of {rounds} rounds");
    table.print(By::Time);
    let slower = 1.0 / table.ratio("raw", By::Time);
    println!("{syncs}\nours takes {slower:.2}x the time of the raw calls");
    Ok(())
}

fn waiting(directory: &Path, rounds: usize) -> Result<()> {
    let bytes = event_bytes();
    let rounds = rounds * SHORT_ROUNDS;
    let syncs = Arc::<SyncCounts>::default();
    let mut contenders = many(directory, &syncs, |name, queue| {
        Box::new(Waiting::new(name, queue))
    })?;
    let table = Table::measure(&mut contenders, rounds, &Flushes::of(directory)?)?;
    println!(
        "\n{CALLERS} callers, each waits until its event of {bytes} bytes is durable, \
         median of {rounds} rounds"
    );
    table.print(By::Rate);
    println!("{syncs}");
    Ok(())
}

fn burst(directory: &Path, rounds: usize) -> Result<()> {
    let bytes = event_bytes();
    let syncs = Arc::<SyncCounts>::default();
    let mut contenders = many(directory, &syncs, |name, queue| {
        Box::new(Burst::new(name, queue))
    })?;
    let table = Table::measure(&mut contenders, rounds, &Flushes::of(directory)?)?;
    println!(
        "\n{CALLERS} callers, each appends {} events of {bytes} bytes and then waits until \
         all are durable,\nmedian of {rounds} rounds",
        callers::burst_events()
    );
    table.print(By::Rate);
    let [rewritten, fresh] = ["disk: 1", "disk: the"].map(|name| table.ratio(name, By::Rate));
    println!(
        "{syncs}\nours stores at {rewritten:.2}x the bandwidth of the disk, {fresh:.2}x of it into \
         new files, which ours are"
    );
    Ok(())
}

/// How callers use a queue.
type Use = fn(&'static str, Arc<dyn callers::DurableQueue>) -> Box<dyn Contender>;

fn many(directory: &Path, syncs: &Arc<SyncCounts>, using: Use) -> Result<Vec<Box<dyn Contender>>> {
    let at = |name: &str| {
        let path = directory.join(name);
        std::fs::create_dir(&path).map(|()| path)
    };
    let grouped = |name, store| using(name, Arc::new(Grouped::new(store)));
    Ok(vec![
        using("ours: the client", Arc::new(Spooled::open(directory)?)),
        grouped(
            "the spool's log alone, grouped",
            Box::new(Spool::open(directory, syncs)?),
        ),
        Box::new(Disk::rewritten(directory)?),
        Box::new(Disk::fresh(directory)?),
        grouped(
            "raw: pwrite, fdatasync, grouped",
            Box::new(Raw::open(directory)?),
        ),
        grouped("SQLite, grouped", Box::new(Sqlite::open(directory)?)),
        grouped("fjall, grouped", Box::new(Fjall::open(&at("grouped")?)?)),
        using("fjall, each persists", Arc::new(Fjall::open(&at("each")?)?)),
        using(
            "okaywal, its own grouping",
            Arc::new(OkayWal::open(directory)?),
        ),
    ])
}
