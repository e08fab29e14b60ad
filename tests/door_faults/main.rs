//! Sends events to agents of all kinds while each fails in each way: `door-faults [EVENTS]`, a million by
//! default. Prints what was lost and doubled, and why.

use std::process::ExitCode;

use flume_client::Selection;
use flume_tests::door_faults::run;

fn main() -> ExitCode {
    let events = std::env::args().nth(1);
    let events = events.and_then(|events| events.parse().ok());
    let events: u64 = events.unwrap_or(1_000_000);
    let mut is_sound = true;
    for selection in [Selection::Failover, Selection::RoundRobin] {
        match run(selection, events) {
            Ok(figures) => {
                println!("{selection:?}: {figures:?}");
                is_sound &= (figures.lost, figures.unexplained) == (0, 0);
            }
            Err(error) => {
                println!("{selection:?}: {error}");
                is_sound = false;
            }
        }
    }
    match is_sound {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
