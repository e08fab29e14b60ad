use std::time::Duration;

use super::*;
use crate::delivery::{Answer, Backoff, Rank, Selection, WindowMode};

const LEVEL: Reliability = Reliability::InMemory;

/// One that has one agent, and sends each event by itself.
fn core(window: WindowMode) -> Core {
    let settings = Settings {
        agents: Rank::in_order(1),
        selection: Selection::Failover,
        connections: 1,
        batch_events_max: 1,
        batch_bytes_max: 1000,
        linger: Duration::ZERO,
        window,
        connect_timeout: Duration::from_secs(5),
        greeting_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(20),
        backoff: Backoff::default(),
    };
    Core::new(settings, 1)
}

/// Sends a hundred batches to an agent that refuses the first one, for ten minutes. Says how
/// many are acknowledged.
fn acknowledged(window: WindowMode) -> u64 {
    let mut core = core(window);
    let mut now = Duration::ZERO;
    let ends: Vec<u32> = (1..=100).collect();
    let append = Input::Append {
        level: LEVEL,
        ends: &ends,
    };
    core.step(now, append);
    while now < Duration::from_secs(600) {
        match core.next_output() {
            Some(Output::Connect { epoch, .. }) => {
                core.step(now, Input::Connected { epoch });
                core.step(now, Input::Opened { epoch });
            }
            Some(Output::Send { epoch, call, batch }) => {
                now += Duration::from_millis(1);
                let answer = match batch.first > Seq::ZERO {
                    true => Answer::Committed,
                    false => Answer::REFUSED,
                };
                let replied = Input::Replied {
                    epoch,
                    call,
                    answer,
                };
                core.step(now, replied);
            }
            Some(_) => {}
            None => {
                now = core.deadline().expect("it rests, and tries again");
                core.step(now, Input::Tick);
            }
        }
    }
    core.counters().retired()
}

#[test]
fn a_batch_that_is_always_refused_holds_up_others_only_if_the_order_is_kept() {
    assert_eq!(acknowledged(WindowMode::ADAPTIVE), 99);
    assert_eq!(acknowledged(WindowMode::Ordered), 0);
}

#[test]
fn a_connection_in_use_gives_way_to_a_new_one_when_it_is_old_and_ends_with_its_last_answer() {
    let mut core = core(WindowMode::ADAPTIVE);
    let (mut opened, mut drained, mut aged) = (Vec::new(), Vec::new(), Vec::new());
    let mut unanswered = VecDeque::new();
    for second in 0..800 {
        let now = Duration::from_secs(second);
        let (level, ends) = (LEVEL, &[1][..]);
        core.step(now, Input::Append { level, ends });
        while let Some(output) = core.next_output() {
            match output {
                Output::Connect { epoch, .. } => {
                    opened.push((epoch, second));
                    core.step(now, Input::Connected { epoch });
                    core.step(now, Input::Opened { epoch });
                }
                Output::Send { epoch, call, .. } => {
                    assert!(!drained.contains(&epoch), "no new calls");
                    unanswered.push_back((epoch, call, second));
                }
                Output::Drain { epoch } => drained.push(epoch),
                Output::Disconnect { epoch, cause, .. } => {
                    assert_eq!(cause, Disconnect::Aged);
                    assert!(unanswered.iter().all(|(of, ..)| *of != epoch));
                    aged.push(epoch);
                }
                Output::Retire { .. } => {}
            }
        }
        // Each is answered when the next one waits.
        let is_old = unanswered.front().is_some_and(|(.., sent)| *sent < second);
        if is_old && let Some((epoch, call, _)) = unanswered.pop_front() {
            let answer = Answer::Committed;
            let replied = Input::Replied {
                epoch,
                call,
                answer,
            };
            core.step(now, replied);
        }
    }
    let [(first, 0), (_, renewed)] = opened[..] else {
        panic!("{opened:?}");
    };
    assert!((480..=720).contains(&renewed), "{renewed}");
    assert_eq!((drained, aged), (vec![first], vec![first]));
    assert_eq!(core.counters().lost.total(), 0);
}

#[test]
fn the_end_of_a_connection_that_drains_makes_place_for_a_further_one_at_once() {
    let mut core = core(WindowMode::Adaptive { max: 3 });
    core.settings.connections = 2;
    let append = Input::Append {
        level: LEVEL,
        ends: &[1],
    };
    let replied = |(epoch, call)| Input::Replied {
        epoch,
        call,
        answer: Answer::Committed,
    };
    let mut second = 0;
    let (now, old_call) = loop {
        let now = Duration::from_secs(second);
        second += 10;
        core.step(now, append);
        let (mut sent, mut opened) = (None, None);
        while let Some(output) = core.next_output() {
            match output {
                Output::Connect { epoch, .. } => {
                    opened = Some(epoch);
                    core.step(now, Input::Connected { epoch });
                    core.step(now, Input::Opened { epoch });
                }
                Output::Send { epoch, call, .. } => sent = Some((epoch, call)),
                _ => {}
            }
        }
        let sent = sent.expect("each event is sent at once");
        if opened.is_some_and(|opened| opened > sent.0) {
            break (now, sent);
        }
        core.step(now, replied(sent));
    };
    // One is taken by the successor, and the other one has no place.
    core.step(now, append);
    core.step(now, append);
    core.step(now, replied(old_call));
    let connects = |output: &Output| matches!(output, Output::Connect { .. });
    assert!(std::iter::from_fn(|| core.next_output()).any(|it| connects(&it)));
}

#[test]
fn what_is_renewed_gives_way_to_a_new_connection_and_ends_with_its_last_answer() {
    let mut core = core(WindowMode::ADAPTIVE);
    let now = Duration::from_secs(1);
    let step = |core: &mut Core, input| {
        core.step(now, input);
        std::iter::from_fn(|| core.next_output()).collect::<Vec<_>>()
    };
    let open = |core: &mut Core, epoch| {
        step(core, Input::Connected { epoch });
        step(core, Input::Opened { epoch })
    };
    let epochs = |core: &Core| core.links().map(|link| link.epoch).collect::<Vec<_>>();
    let (level, ends) = (LEVEL, &[1, 2][..]);
    step(&mut core, Input::Append { level, ends });
    open(&mut core, 1);
    let agents = AgentSet::default().with(AgentId::new(0));
    let renewed = step(&mut core, Input::Renew { agents });
    assert!(matches!(renewed[..], [Output::Connect { epoch: 2, .. }]));
    let opened = open(&mut core, 2);
    let expected = [Output::Drain { epoch: 1 }];
    assert_eq!(opened[..1], expected, "the call that is under way goes on");
    assert!(matches!(opened[1..], [Output::Send { epoch: 2, .. }]));
    assert_eq!(epochs(&core), [1, 2]);
    let answer = Answer::Committed;
    let (epoch, call) = (1, CallId::FIRST);
    step(
        &mut core,
        Input::Replied {
            epoch,
            call,
            answer,
        },
    );
    assert_eq!((epochs(&core), core.counters().retries), (vec![2], 0));
}
