//! Agents that share the batches, as the cases of Flume's `TestLoadBalancingRpcClient` have it.
//!
//! | case of Flume | here |
//! |---|---|
//! | one host is an error | differs on purpose: a list of agents that shrinks to one still works |
//! | a host that fails costs its caller an error, or is skipped if back-off is on | differs on purpose: its batch goes to another one, it rests, and no caller hears of it |
//! | with all hosts in back-off `append` fails | differs on purpose: the event waits for the first rest that ends |
//! | a host's rest: 2 s, doubled | [`Backoff::flume`](flume_client::Backoff), tested where it is |

use std::time::Duration;

use flume_client::error::Refusal;
use flume_client::{AgentOptions, Backoff, Client, ClientBuilder, Selection};
use flume_tests::wait_until;

use crate::support::{
    Agent, Answer, GOOD, HOUR, PATIENCE, answers, append_all, assert_each_once, client_at,
    client_of, event, first_answers,
};

fn good<const N: usize>() -> [Agent; N] {
    [(); N].map(|()| Agent::good())
}

fn sharing(agents: &[Agent], selection: Selection) -> ClientBuilder {
    client_of(&agents.iter().collect::<Vec<_>>()).selection(selection)
}

/// Built, with a connection to each agent. The first event, number 0, is delivered.
fn warm(builder: ClientBuilder) -> Client {
    let client = builder.build().unwrap();
    client.append(event(0)).unwrap().wait(PATIENCE).unwrap();
    let is_connected = || client.stats().agents.iter().all(|agent| agent.connected);
    wait_until("a connection to each agent", PATIENCE, is_connected).unwrap();
    client
}

/// How many of these events each agent acknowledges, if one is sent after the other.
fn takers(client: &Client, numbers: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let agents = client.stats().agents;
    let mut takers = vec![0; agents.len()];
    for number in numbers {
        let ack = client.append(event(number)).unwrap().wait(PATIENCE);
        let by = ack.unwrap().agent;
        let index = agents.iter().position(|agent| agent.agent == by);
        takers[index.unwrap()] += 1;
    }
    takers
}

fn all_stored(agents: &[Agent]) -> Vec<u64> {
    agents.iter().flat_map(Agent::stored).collect()
}

#[test]
fn case_38_one_agent_that_shares_with_nobody_gets_everything() {
    let agents = good::<1>();
    let client = warm(sharing(&agents, Selection::RoundRobin));
    assert_eq!(takers(&client, 1..10), [9]);
}

#[test]
fn cases_39_40_and_42_what_an_agent_refuses_goes_to_the_other_and_no_caller_hears_of_it() {
    const REFUSES_FIVE: &[Answer] = &[
        Answer::Ok,
        Answer::Ok,
        Answer::Failed,
        Answer::Failed,
        Answer::Failed,
        Answer::Failed,
        Answer::Failed,
    ];
    let agents = [
        Agent::good(),
        Agent::scripted([first_answers(REFUSES_FIVE)]),
    ];
    let client = warm(sharing(&agents, Selection::RoundRobin));
    let taken = takers(&client, 1..101);
    // Flume's client asks it once for each of its turns, and it rests for none: 60 to 40 there.
    assert!(taken[0] > 50, "{taken:?}");
    append_all(&client, 101..1000);
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(all_stored(&agents), 1000);
    let refused = client.append(event(1000)).unwrap_err();
    assert!(matches!(refused.refusal(), Refusal::Closed));
}

#[test]
fn case_41_an_agent_that_cannot_be_reached_costs_nothing() {
    let mut agents = good::<2>();
    agents[1].stop();
    let client = sharing(&agents, Selection::RoundRobin).build().unwrap();
    assert_eq!(takers(&client, 0..20), [20, 0]);
    append_all(&client, 20..1000);
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(agents[0].stored(), 1000);
}

#[test]
fn cases_43_44_47_and_48_in_turn_the_shares_are_equal() {
    let two = good::<2>();
    let client = warm(sharing(&two, Selection::RoundRobin));
    assert_eq!(takers(&client, 1..101), [50, 50]);
    let ten = good::<10>();
    let client = warm(sharing(&ten, Selection::RoundRobin));
    assert_eq!(takers(&client, 1..101), [10; 10]);
}

#[test]
fn cases_45_and_46_by_chance_each_agent_gets_some() {
    let agents = good::<10>();
    let client = warm(sharing(&agents, Selection::Random));
    let mut taken = takers(&client, 1..501);
    taken.sort_unstable();
    assert!(taken[0] > 0, "{taken:?}");
    taken.dedup();
    assert!(taken.len() > 2, "{taken:?}");
    append_all(&client, 501..2000);
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(all_stored(&agents), 2000);
}

#[test]
fn case_49_with_only_one_agent_that_takes_events_it_gets_all_and_its_failure_is_no_error() {
    let failing = || Agent::scripted([answers(Answer::Failed)]);
    let mut agents = [failing(), Agent::good(), failing()];
    let client = sharing(&agents, Selection::Random).build().unwrap();
    assert_eq!(takers(&client, 0..50), [0, 50, 0]);
    agents[0].stop();
    agents[1].stop();
    agents[0].start_again([GOOD]);
    agents[1].start_again([answers(Answer::Failed)]);
    // Here Flume's client fails, as the agent that works is still in back-off.
    assert_eq!(takers(&client, 50..100), [50, 0, 0]);
}

#[test]
fn case_50_the_others_share_the_turns_of_an_agent_that_rests() {
    const SECOND_CALL_FAILS: &[Answer] = &[Answer::Ok, Answer::Failed];
    let agents = [
        Agent::good(),
        Agent::scripted([first_answers(SECOND_CALL_FAILS)]),
        Agent::good(),
    ];
    let long = Backoff::default().base(HOUR).cap(HOUR).floor(HOUR);
    let builder = sharing(&agents, Selection::RoundRobin).backoff(long);
    let client = warm(builder);
    let mut next = 1;
    while agents[1].requests().len() < 2 {
        takers(&client, [next]);
        next += 1;
    }
    let taken = takers(&client, next..next + 60);
    assert_eq!(taken, [30, 0, 30]);
    assert_eq!(agents[1].stored().len(), 1);
}

#[test]
fn cases_51_and_52_an_agent_that_is_well_again_takes_its_share() {
    const FAILS_ONCE: &[Answer] = &[Answer::Failed];
    let agents = [
        Agent::good(),
        Agent::scripted([first_answers(FAILS_ONCE)]),
        Agent::good(),
    ];
    let client = warm(sharing(&agents, Selection::RoundRobin));
    let mut next = 1;
    while agents[1].stored().is_empty() {
        takers(&client, [next]);
        next += 1;
    }
    assert_eq!(takers(&client, next..next + 60), [20, 20, 20]);
}

#[test]
fn shares_follow_the_weights() {
    let agents = good::<3>();
    let mut builder = client_at([]).selection(Selection::RoundRobin);
    for (agent, weight) in agents.iter().zip([1, 2, 5]) {
        builder = builder.agent_with(agent.url(), AgentOptions::default().weight(weight));
    }
    let client = warm(builder);
    assert_eq!(takers(&client, 1..801), [100, 200, 500]);
}

#[test]
fn an_agent_of_lower_priority_is_used_while_none_of_the_others_can_be() {
    let mut agents = good::<3>();
    let far = AgentOptions::default().priority(-1);
    let builder = client_at([agents[0].url(), agents[1].url()]).agent_with(agents[2].url(), far);
    let client = builder.selection(Selection::RoundRobin).build().unwrap();
    takers(&client, 0..20);
    assert_eq!(agents[2].connections(), 0);
    agents[0].stop();
    agents[1].stop();
    assert_eq!(takers(&client, 20..40), [0, 0, 20]);
    agents[0].start_again([GOOD]);
    let mut next = 40;
    while takers(&client, [next])[0] == 0 {
        next += 1;
    }
    assert_eq!(takers(&client, next + 1..next + 21), [20, 0, 0]);
}

#[test]
fn a_slow_agent_holds_up_nobody() {
    let agents = [
        Agent::scripted([answers(Answer::OkWhenReleased)]),
        Agent::good(),
    ];
    let builder = sharing(&agents, Selection::RoundRobin).batch_events(10);
    let client = builder.request_timeout(HOUR).build().unwrap();
    append_all(&client, 0..10_000);
    // It has as many batches as its window allows, and the other one all the rest.
    agents[1].wait_for("all but the slow one's", |state| {
        (state.stored().len() >= 9_840).then_some(())
    });
    agents[0].release();
    assert!(client.close(Duration::from_secs(10)).wait().is_complete());
    assert_each_once(all_stored(&agents), 10_000);
}
