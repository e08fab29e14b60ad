//! The stories of three hops with a real agent in the middle.

use flume_tests::{Chain, Hop, Version, require_java};

#[test]
fn a_full_channel_behind_a_real_flume_fills_back_to_the_client_and_drains_without_a_loss() {
    if require_java() {
        let chain = Chain::through_real_flume(Version::V1_11).unwrap();
        chain.tell_of_back_pressure().unwrap();
    }
}

#[test]
fn an_answer_cut_before_or_behind_a_real_flume_doubles_exactly_the_batch_it_was_for() {
    if require_java() {
        for hop in [Hop::ClientToA, Hop::BToC] {
            let chain = Chain::through_real_flume(Version::V1_11).unwrap();
            chain.tell_of_a_cut_answer(hop).unwrap();
        }
    }
}
