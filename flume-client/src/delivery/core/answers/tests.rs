use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::Reliability;
use crate::delivery::{
    AgentId, AgentState, Answer, Backoff, Batch, CallId, Core, Ending, Epoch, Input, Loss, Outcome,
    Output, Rank, Selection, Settings, Time, WindowMode,
};
use crate::seq::SeqRange;

const LEVEL: Reliability = Reliability::InMemory;
const FIRST: AgentId = AgentId::new(0);
const SECOND: AgentId = AgentId::new(1);

#[derive(Clone, Copy, Debug)]
struct Sent {
    agent: AgentId,
    epoch: Epoch,
    call: CallId,
    batch: Batch,
}

/// A core and what it did. Agents greet at once, unless they are to misspeak.
struct Talk {
    core: Core,
    now: Time,
    misspoken: u32,
    epochs: BTreeMap<Epoch, AgentId>,
    dialects: Vec<u32>,
    sent: VecDeque<Sent>,
    retired: Vec<(SeqRange, Outcome)>,
}

impl Talk {
    fn with(agents: usize, dialects: u32) -> Self {
        let mut agents = Rank::in_order(agents);
        agents.iter_mut().for_each(|rank| rank.dialects = dialects);
        let settings = Settings {
            agents,
            selection: Selection::Failover,
            connections: 1,
            batch_events_max: 4,
            batch_bytes_max: 1000,
            linger: Duration::ZERO,
            window: WindowMode::Ordered,
            connect_timeout: Duration::from_secs(5),
            greeting_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(20),
            backoff: Backoff::default(),
        };
        Self {
            core: Core::new(settings, 1),
            now: Time::ZERO,
            misspoken: 0,
            epochs: BTreeMap::new(),
            dialects: Vec::new(),
            sent: VecDeque::new(),
            retired: Vec::new(),
        }
    }

    fn step(&mut self, input: Input<'_>) {
        self.core.step(self.now, input);
        while let Some(output) = self.core.next_output() {
            match output {
                Output::Connect {
                    agent,
                    epoch,
                    dialect,
                } => {
                    self.epochs.insert(epoch, agent);
                    self.dialects.push(dialect);
                    self.core.step(self.now, Input::Connected { epoch });
                    let greeted = match self.misspoken.checked_sub(1) {
                        Some(left) => {
                            self.misspoken = left;
                            ended(epoch, Ending::Misspoken)
                        }
                        None => Input::Opened { epoch },
                    };
                    self.core.step(self.now, greeted);
                }
                Output::Send { epoch, call, batch } => self.sent.push_back(Sent {
                    agent: self.epochs[&epoch],
                    epoch,
                    call,
                    batch,
                }),
                Output::Retire { range, outcome, .. } => self.retired.push((range, outcome)),
                Output::Disconnect { .. } | Output::Drain { .. } => {}
            }
        }
    }

    /// Appends events of ten bytes, and says what is sent of them first.
    fn append(&mut self, level: Reliability, events: u32) -> Sent {
        let ends: Vec<u32> = (1..=events).map(|event| 10 * event).collect();
        self.step(Input::Append { level, ends: &ends });
        self.next().expect("it is sent at once")
    }

    fn next(&mut self) -> Option<Sent> {
        self.sent.pop_front()
    }

    fn answer(&mut self, sent: Sent, answer: Answer) {
        let Sent { epoch, call, .. } = sent;
        self.step(Input::Replied {
            epoch,
            call,
            answer,
        });
    }

    fn find_unacceptable(&mut self, sent: Sent) {
        let half_bytes = 10 * sent.batch.half();
        self.answer(sent, Answer::Unacceptable { half_bytes });
    }

    /// Lets time pass until something is sent.
    fn wait(&mut self) -> (Sent, Time) {
        let began = self.now;
        loop {
            if let Some(sent) = self.next() {
                return (sent, self.now - began);
            }
            self.now = self.core.deadline().expect("something waits");
            self.step(Input::Tick);
        }
    }

    fn state(&self, agent: AgentId) -> AgentState {
        self.core.state_of(agent, self.now)
    }
}

fn ended(epoch: Epoch, ending: Ending) -> Input<'static> {
    Input::Closed {
        epoch,
        unsent_from: None,
        ending,
    }
}

fn range(first: u64, end: u64) -> SeqRange {
    SeqRange::from(first..end)
}

#[test]
fn an_unacceptable_batch_goes_to_another_agent_and_is_halved_when_none_is_left() {
    let mut talk = Talk::with(2, 1);
    let whole = talk.append(LEVEL, 4);
    assert_eq!((whole.agent, whole.batch.range()), (FIRST, range(0, 4)));
    talk.find_unacceptable(whole);
    let again = talk.next().expect("another agent is asked at once");
    assert_eq!(
        (again.agent, again.batch),
        (
            SECOND,
            Batch {
                unfit: again.batch.unfit,
                half_bytes: 20,
                ..whole.batch
            }
        )
    );
    talk.find_unacceptable(again);
    let half = talk.next().expect("nobody rests");
    assert_eq!(
        (half.agent, half.batch.range(), half.batch.bytes),
        (FIRST, range(0, 2), 20)
    );
    talk.answer(half, Answer::Committed);
    let other = talk.next().expect("the other half");
    assert_eq!(
        (other.agent, other.batch.range(), other.batch.bytes),
        (FIRST, range(2, 4), 20)
    );
}

#[test]
fn a_single_event_that_every_agent_finds_unacceptable_is_lost_and_none_before() {
    let mut talk = Talk::with(2, 1);
    let first = talk.append(LEVEL, 1);
    talk.find_unacceptable(first);
    assert_eq!(talk.retired, []);
    let second = talk.next().expect("another agent is asked at once");
    talk.find_unacceptable(second);
    assert_eq!(talk.retired, [(range(0, 1), Outcome::Lost(Loss::Rejected))]);
    assert_eq!(talk.state(FIRST), AgentState::Ready);
}

#[test]
fn a_single_event_waits_for_an_agent_that_rests_but_not_at_best_effort() {
    for (level, outcome) in [
        (LEVEL, Outcome::Delivered { agent: SECOND }),
        (Reliability::BestEffort, Outcome::Lost(Loss::Rejected)),
    ] {
        let mut talk = Talk::with(2, 1);
        let sent = talk.append(level, 1);
        talk.find_unacceptable(sent);
        let other = talk.next().expect("another agent is asked at once");
        // It is not sent at all, and its agent rests.
        let (epoch, call) = (other.epoch, other.call);
        talk.step(Input::Failed {
            epoch,
            call,
            is_sent: false,
        });
        if level == LEVEL {
            let (again, _) = talk.wait();
            assert_eq!((again.agent, again.batch.attempts), (SECOND, 1));
            talk.answer(again, Answer::Committed);
        }
        assert_eq!(talk.retired, [(range(0, 1), outcome)]);
    }
}

#[test]
fn a_refusal_that_asks_for_a_time_is_kept_to_and_no_longer_than_five_minutes_and_a_fifth() {
    let minute = Duration::from_secs(60);
    for (asked, least) in [(minute, minute), (60 * minute, 5 * minute)] {
        let mut talk = Talk::with(1, 1);
        let sent = talk.append(LEVEL, 1);
        talk.answer(sent, Answer::Refused { after: asked });
        // What becomes of its connection meanwhile is no reason to try it sooner.
        talk.step(ended(sent.epoch, Ending::Broken));
        let (again, waited) = talk.wait();
        assert_eq!(again.batch.attempts, 2);
        assert!(waited >= least && waited <= least * 6 / 5, "{waited:?}");
    }
}

#[test]
fn a_blocked_agent_rests_for_minutes_also_when_its_connection_ends() {
    let mut talk = Talk::with(1, 1);
    let sent = talk.append(LEVEL, 1);
    talk.answer(sent, Answer::Blocked);
    talk.step(ended(sent.epoch, Ending::Broken));
    assert_eq!(talk.state(FIRST), AgentState::Blocked);
    let (again, waited) = talk.wait();
    assert_eq!(again.batch.attempts, 1, "it has nothing of it");
    assert!((48..=72).contains(&waited.as_secs()), "{waited:?}");
    talk.answer(again, Answer::Committed);
    let next = talk.append(LEVEL, 1);
    talk.answer(next, Answer::REFUSED);
    assert_eq!(talk.state(FIRST), AgentState::Resting, "it was mended");
}

#[test]
fn calls_that_were_in_flight_together_block_an_agent_once() {
    let mut talk = Talk::with(1, 1);
    let level = Reliability::EndToEnd;
    let calls = [talk.append(LEVEL, 1), talk.append(level, 1)];
    talk.now = Duration::from_millis(1);
    for sent in calls {
        talk.answer(sent, Answer::Blocked);
    }
    let (_, waited) = talk.wait();
    assert!((48..=72).contains(&waited.as_secs()), "{waited:?}");
}

#[test]
fn a_failed_call_counts_as_sent_if_it_was_begun_and_its_connection_gets_no_more() {
    for is_sent in [true, false] {
        let mut talk = Talk::with(1, 1);
        let other = talk.append(Reliability::EndToEnd, 1);
        let sent = talk.append(LEVEL, 1);
        let (epoch, call) = (sent.epoch, sent.call);
        talk.step(Input::Failed {
            epoch,
            call,
            is_sent,
        });
        // The others on it are answered as before.
        talk.answer(other, Answer::Committed);
        assert_eq!(
            talk.retired,
            [(range(0, 1), Outcome::Delivered { agent: FIRST })]
        );
        let (again, _) = talk.wait();
        assert!(again.epoch > epoch);
        assert_eq!(again.batch.attempts, 1 + u32::from(is_sent));
    }
}

#[test]
fn the_dialects_are_tried_in_turn_without_a_rest_and_the_one_that_worked_is_remembered() {
    let mut talk = Talk::with(1, 3);
    talk.misspoken = 2;
    let sent = talk.append(LEVEL, 1);
    assert_eq!(
        (talk.dialects.as_slice(), talk.now),
        (&[0, 1, 2][..], Time::ZERO)
    );
    talk.step(ended(sent.epoch, Ending::Broken));
    // From now on none works for a round: after it comes a rest.
    talk.misspoken = 3;
    while talk.dialects.len() < 6 {
        talk.now = talk.core.deadline().expect("something waits");
        talk.step(Input::Tick);
    }
    assert_eq!(talk.dialects[3..], [2, 0, 1]);
    assert_eq!(talk.state(FIRST), AgentState::Resting);
    talk.wait();
    assert_eq!(talk.dialects[6..], [2]);
}

#[test]
fn after_a_silence_the_next_dialect_is_tried_when_the_agent_has_rested() {
    let mut core = Talk::with(1, 2).core;
    let mut now = Time::ZERO;
    let (level, ends) = (LEVEL, &[10][..]);
    core.step(now, Input::Append { level, ends });
    let mut dialects = Vec::new();
    while dialects.len() < 4 {
        match core.next_output() {
            Some(Output::Connect { epoch, dialect, .. }) => {
                dialects.push((dialect, now));
                core.step(now, Input::Connected { epoch });
            }
            Some(_) => {}
            None => {
                now = core.deadline().expect("it is tried again");
                core.step(now, Input::Tick);
            }
        }
    }
    let spoken = dialects.iter().map(|(dialect, _)| *dialect);
    assert_eq!(spoken.collect::<Vec<_>>(), [0, 1, 0, 1]);
    let between = dialects.windows(2).map(|pair| pair[1].1 - pair[0].1);
    assert!(between.into_iter().all(|it| it > Duration::from_secs(5)));
}
