//! What a log call costs its thread and the process, ours beside its peers, in one run.
//!
//! ```text
//! cargo bench -p flume-tests --features peers --bench appender             all tables
//! cargo bench -p flume-tests --features peers --bench appender -- tracing  one front end: tracing, log, slog
//! ```
//!
//! `--rounds N` (default 3), `--calls N` of each measurement, flat out (default 200,000).
//!
//! A call is `info!` with four fields, shown by `Display` and `Debug`, an `i64` and a `&str`; of
//! `tracing` in a span of two, of `slog` by a logger of two. Every measurement is a process of its
//! own; each round gives every contender one turn, beginning with another one each time. A figure is
//! the median of the rounds, a ratio the median of the rounds' ratios. Figures depend on the machine
//! and on what else it does; the ratios are what to read.
//!
//! | column | is |
//! |---|---|
//! | call | CPU time of the calling threads for a call, by their own clocks |
//! | process | CPU time of the whole process for a call, until all that was logged is through; what callers that are paced spend on their pauses is left out |
//! | allocs | allocations for a call, by the callers and by the whole process, counted in a run of their own, flat out |
//! | p99.9 | time of a call on the clock, in a run of its own, since reading the clock takes time as well |
//!
//! Nobody loses an event; that is checked.
//!
//! | contender | settings |
//! |---|---|
//! | ours-rendered | rendered into batches of events, which are thrown away; `Overflow::Block` |
//! | ours-delivered | acknowledged by a mini-agent in another process, which drops them; `Overflow::Block`, 512 MiB of buffer |
//! | ours-durable | the same with a spool: flushed to the disk before it is sent |
//! | fmt-json | `fmt().json()` with `tracing_appender::non_blocking`, `lossy(false)`, to `/dev/null` |
//! | otel | OpenTelemetry's bridge, with span attributes, its batch processor with a queue of 1 Mi records, and an exporter that counts |
//! | log4rs-json | `JsonEncoder` with key-values, `FileAppender` on `/dev/null`: all in the call |
//! | logforth-json | `Async`, blocking, 1 Mi records, `JsonLayout`, written to `/dev/null` |
//! | inqjet, inqjet-own | fields in the message, since it drops key-values; by the macros of `log`, or its own; 4 MiB, to `/dev/null` |
//! | async-json | `slog-async`, blocking, 1 Mi records, with `slog-json`, to `/dev/null` through a buffer of 64 KiB, since it writes in small pieces |

mod agent;
mod child;
mod contenders;
mod event;
mod job;
mod measure;
mod ours;
mod running;
mod sinks;
mod table;

use std::path::Path;
use std::process::ExitCode;

use agent::Agent;
use running::Result;
use table::{Goal, Shape, Table};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = child::run(&args)
        .or_else(|| agent::run(&args))
        .unwrap_or_else(|| run(&args));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Rows of the front ends, and what is asked of ours.
const TABLES: [Table; 3] = [
    Table {
        front_end: "tracing",
        rows: &[
            "tracing/empty",
            "tracing/fmt-json",
            "tracing/otel",
            "tracing/ours-rendered",
            "tracing/ours-delivered",
            "tracing/ours-durable",
        ],
        has_spans: true,
        goals: &[
            Goal::process("ours-rendered", "fmt-json", 0.125, Some(0.25)),
            Goal::process("ours-rendered", "otel", 0.45, Some(0.5)),
            Goal::process("ours-delivered", "otel", 0.7, None),
            Goal::process("ours-durable", "otel", 1.0, None),
        ],
    },
    Table {
        front_end: "log",
        rows: &[
            "log/log4rs-json",
            "log/logforth-json",
            "log/otel",
            "log/inqjet",
            "log/inqjet-own",
            "log/ours-rendered",
            "log/ours-delivered",
        ],
        has_spans: false,
        goals: &[
            Goal::process("ours-rendered", "log4rs-json", 0.333, None),
            Goal::process("ours-rendered", "logforth-json", 0.333, None),
            Goal::process("ours-rendered", "otel", 0.333, None),
            Goal::process("ours-rendered", "inqjet", 1.0, None).paced_too(),
            Goal::call("ours-rendered", "inqjet", 1.0).paced_too(),
            Goal::process("ours-rendered", "inqjet-own", 1.0, None).paced_too(),
            Goal::call("ours-rendered", "inqjet-own", 1.0).paced_too(),
        ],
    },
    Table {
        front_end: "slog",
        rows: &[
            "slog/async-json",
            "slog/ours-rendered",
            "slog/ours-delivered",
        ],
        has_spans: false,
        goals: &[Goal::process("ours-rendered", "async-json", 0.25, None)],
    },
];

fn run(args: &[String]) -> Result<()> {
    let number = |name: &str, default: u64| -> Result<u64> {
        let value = args.iter().skip_while(|arg| *arg != name).nth(1);
        Ok(value.map_or(Ok(default), |it| it.parse())?)
    };
    let (rounds, calls) = (number("--rounds", 3)?, number("--calls", 200_000)?);
    let named = |table: &Table| args.iter().any(|arg| arg == table.front_end);
    let all = !TABLES.iter().any(named);
    let agent = Agent::start()?;
    let counted = Path::new(env!("CARGO_BIN_EXE_log-calls"));
    let disk = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for table in TABLES.iter().filter(|table| all || named(table)) {
        for shape in Shape::of(table.has_spans) {
            table.measure(shape, rounds, calls, (counted, disk), &agent.url)?;
        }
    }
    Ok(())
}
