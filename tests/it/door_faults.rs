//! Agents of all kinds, each of which fails in each way.

use flume_client::Selection;
use flume_tests::door_faults::{Figures, run};

const EVENTS: u64 = 15_000;

fn check(selection: Selection) {
    let figures = run(selection, EVENTS).unwrap();
    println!("{selection:?}: {figures:?}");
    assert_eq!((figures.lost, figures.unexplained), (0, 0), "{figures:?}");
    assert!(figures.retried > 0, "{figures:?}");
    assert_eq!(figures.events, EVENTS, "{:?}", Figures::default());
}

#[test]
fn under_failover_no_event_is_lost_and_what_is_doubled_was_cut() {
    check(Selection::Failover);
}

#[test]
fn under_balance_no_event_is_lost_and_what_is_doubled_was_cut() {
    check(Selection::RoundRobin);
}
