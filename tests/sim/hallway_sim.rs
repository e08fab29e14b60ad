//! Long runs of the simulator of all that lies between callers and agents.
//!
//! ```text
//! hallway-sim --seeds 1000            so many fresh seeds
//! hallway-sim --seeds 100 --from 0    these seeds
//! hallway-sim --hours 1000            fresh seeds until so many hours are simulated
//! hallway-sim --minutes 10            fresh seeds until so much time has passed
//! hallway-sim --seed 42               one seed again
//! hallway-sim --seed 42 --trace       also, what agents saw, a line each
//! hallway-sim --situations            also, how often each named situation came to pass; an error if
//!                                     one never did. Only if built with `--cfg situations`
//! ```

use std::process::ExitCode;

use flume_tests::hallway_sim::{self, Stats};
use flume_tests::long_run::LongRun;

/// Seeds if nothing else is asked for.
const SEEDS_DEFAULT: u64 = 1_000;

fn main() -> ExitCode {
    let is_known = |word: &str| ["--situations", "--trace"].contains(&word);
    let mut options = match LongRun::parse(std::env::args().skip(1), is_known) {
        Ok(options) => options,
        Err(text) => {
            eprintln!(
                "{text}\nhallway-sim [--seeds N] [--hours H] [--minutes M] [--from N] [--seed N] [--trace] [--situations]"
            );
            return ExitCode::from(2);
        }
    };
    // A panic of the client is reported as a broken promise.
    std::panic::set_hook(Box::new(|_| {}));
    if !options.is_bounded {
        options.seeds = SEEDS_DEFAULT;
    }
    let mut total = Stats::default();
    let mut seed = options.first;
    while options.goes_on(total.seeds, total.hours()) {
        if options.says("--trace")
            && let Ok(lines) = hallway_sim::trace(seed)
        {
            lines.iter().for_each(|line| println!("{line}"));
        }
        match hallway_sim::run(seed) {
            Ok(stats) => total.add(&stats),
            Err(failure) => {
                println!("{total}\n{failure}");
                return ExitCode::FAILURE;
            }
        }
        seed += 1;
    }
    println!("seeds {} to {}", options.first, seed.saturating_sub(1));
    print!("{total}");
    println!("{:.1} s on one core", options.seconds());
    match options.says("--situations") && !situations() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

/// Prints how often each named situation came to pass. `false`: one never did.
#[cfg(situations)]
fn situations() -> bool {
    let reached = flume_client::situations::take();
    let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../flume-client/src");
    let mut named = std::collections::BTreeSet::new();
    names(&sources, &mut named);
    for name in &named {
        let times = reached.get(name.as_str()).copied().unwrap_or(0);
        println!("{times:>10}  {name}");
    }
    let missing = |name: &&String| !reached.contains_key(name.as_str());
    let missing = named.iter().filter(missing).count();
    println!("{} situations, {missing} of them never", named.len());
    missing == 0
}

/// The situations that the files of a folder name.
#[cfg(situations)]
fn names(folder: &std::path::Path, named: &mut std::collections::BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            names(&path, named);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let found = text.split("reached!(\"").skip(1);
        named.extend(found.filter_map(|it| Some(it.split_once('"')?.0.to_owned())));
    }
}

#[cfg(not(situations))]
fn situations() -> bool {
    eprintln!("situations are counted if this is built with RUSTFLAGS='--cfg situations'");
    false
}
