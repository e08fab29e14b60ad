//! A thousand hostile peers at once.

use std::path::Path;

use flume_tests::hostile;

fn check(source: &str) {
    let program = Path::new(env!("CARGO_BIN_EXE_hostile"));
    let mut kinds = 0;
    for peer in hostile::peers() {
        if peer.source != source {
            continue;
        }
        // The good client was served, or it is an error.
        let figures = hostile::measure(program, &peer).unwrap();
        let cost = figures.bytes_per_connection();
        assert!(
            cost <= hostile::BYTES_PER_CONNECTION_MAX,
            "{peer}: {cost} bytes a connection, {figures:?}"
        );
        kinds += 1;
    }
    assert!(kinds > 0, "{source}");
}

#[test]
fn a_thousand_hostile_avro_peers_cost_little_and_do_not_keep_a_good_client_waiting() {
    check("avro");
}

#[test]
fn a_thousand_hostile_http_peers_cost_little_and_do_not_keep_a_good_client_waiting() {
    check("http");
}

#[test]
fn a_thousand_hostile_netcat_peers_cost_little_and_do_not_keep_a_good_client_waiting() {
    check("netcat");
}
