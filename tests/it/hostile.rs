//! A thousand hostile peers at once.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use flume_mini_agent::MiniAgent;
use flume_tests::{hostile, wait_until};

use crate::support::{PATIENCE, alone_under, resident_bytes};

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

#[test]
fn an_idle_connection_gives_back_the_room_that_its_large_request_took() {
    const REQUEST_BYTES: usize = 8 << 20;
    const IDLE: usize = 20;
    // Large blocks that are freed go back to the system at once. By default glibc keeps them as it
    // sees fit once some were freed: with a small block behind them all of an arena stays.
    alone_under(
        "export MALLOC_MMAP_THRESHOLD_=131072",
        "hostile::an_idle_connection_gives_back_the_room_that_its_large_request_took",
        || {
            let agent = MiniAgent::builder().start().unwrap();
            let before = resident_bytes();
            // A handshake as Flume's clients make it; then a call without a name.
            const MD5: u128 = 0x86aa_dae2_c454_74c0_fe93_ffd0_f235_0a65;
            let md5 = MD5.to_be_bytes();
            let greeting = [md5.as_slice(), &[0], &md5, &[0, 0, 0]].concat();
            let greeting = [b"\0\0\0\x09\0\0\0\x01\0\0\0\x24".as_slice(), &greeting].concat();
            let length = u32::try_from(REQUEST_BYTES).unwrap().to_be_bytes();
            let head = [[0, 0, 0, 9, 0, 0, 0, 1].as_slice(), &length].concat();
            let request = [greeting, head, vec![0; REQUEST_BYTES]].concat();
            let ask = |_| {
                let mut socket = TcpStream::connect(agent.addr()).unwrap();
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                socket.write_all(&request).unwrap();
                // The handshake's answer, and that the call's is there.
                socket.read_exact(&mut [0; 17]).unwrap();
                socket
            };
            let idle: Vec<_> = (0..IDLE).map(ask).collect();
            let room = IDLE * REQUEST_BYTES / 4;
            wait_until("the room of large requests", PATIENCE, || {
                resident_bytes() < before + room
            })
            .unwrap();
            assert_eq!(agent.stats().connections_open, idle.len() as u64);
        },
    );
}
