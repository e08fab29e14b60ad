//! Failures and back-pressure over three hops.

use flume_tests::{Chain, Hop};

#[test]
fn a_chain_that_ends_in_a_full_channel_fills_back_to_the_client_and_drains_without_a_loss() {
    let chain = Chain::of_mini_agents().unwrap();
    chain.tell_of_back_pressure().unwrap();
}

#[test]
fn an_answer_cut_at_any_hop_doubles_exactly_the_batch_it_was_for() {
    for hop in [Hop::ClientToA, Hop::AToB, Hop::BToC] {
        let chain = Chain::of_mini_agents().unwrap();
        chain.tell_of_a_cut_answer(hop).unwrap();
    }
}
