//! What a hundred connections at once to servers that mean no good cost a client in memory, in a
//! process of its own: four clients with 25 agents each.

use std::time::Duration;

use flume_client::{Selection, TlsOptions};
use flume_tests::hostile_servers::{ATTACKS, At, Attack, DOORS, Door, How, Server};
use flume_tests::{resident_bytes, resident_bytes_max};

use crate::hostile_servers::{Shown, seldom};
use crate::support::{Other, PATIENCE, append_all, client_at, give_up, tell, wait_for_end};

const CLIENTS: usize = 4;
const AGENTS: usize = 25;
const CONNECTIONS: usize = CLIENTS * AGENTS;
/// More than all connections of a client may have under way.
const EVENTS: u64 = 400;
/// What a connection may cost, and what zlib's tables take beside it: at level 6 the compressor has
/// two windows of 32 KiB, two tables of as many numbers of 16 bits, and room for what it writes
/// (zlib's manual: 268 KiB); the decompressor has a window and 7 KiB.
const BYTES_MAX: u64 = 256 * 1024;
const ZLIB_BYTES: u64 = (268 + 39) * 1024;

/// Those that make a client keep something, or try to.
fn attacks(door: &Door) -> impl Iterator<Item = Attack> {
    let is_wanted = |attack: &&Attack| match attack.how {
        How::EndlessAnswer | How::TwoGibibytes | How::ZipBomb | How::EmptyBlocks | How::Header => {
            attack.at == At::Call
        }
        // They do not compress, and a zlib that no compiler made fast takes a minute for all of them.
        How::Tickets => attack.at == At::Call && !door.has_deflate(),
        How::Trickle | How::ManyCertificates => attack.at == At::Handshake,
        _ => false,
    };
    let fits = |attack: &&Attack| attack.fits(door);
    ATTACKS.iter().filter(is_wanted).filter(fits).copied()
}

/// The process that is measured: its clients come to the agents that it is told.
fn attacked() {
    tell(0);
    let line = std::io::stdin().lines().next().unwrap().unwrap();
    let (ca, urls) = line.split_once(' ').unwrap();
    let client = |_| {
        let builder = client_at(urls.split(' ').map(str::to_owned))
            .backoff(seldom())
            .selection(Selection::RoundRobin)
            .batch_events(1);
        let builder = match urls.contains("+tls") || urls.contains("https:") {
            // All agents are at addresses of this host; the certificate is for one of them.
            true => builder.tls(TlsOptions::default().ca_file(ca).server_name("127.0.0.1")),
            false => builder,
        };
        let client = builder.build().unwrap();
        append_all(&client, 0..EVENTS);
        client
    };
    let clients: Vec<_> = (0..CLIENTS).map(client).collect();
    wait_for_end();
    clients
        .iter()
        .for_each(|it| drop(give_up(it, Duration::ZERO)));
}

/// Bytes that each connection costs the clients in a process of their own.
fn cost(test: &str, shown: &Shown, door: &'static Door, attack: Attack) -> u64 {
    let tls = door.has_tls().then(|| shown.tls_of(attack));
    let server = Server::start(door, attack, tls, CONNECTIONS);
    let mut other = Other::start(test, "attacked");
    assert_eq!(other.told(), 0);
    let before = resident_bytes(other.id()).unwrap();
    let port = server.address().port();
    let urls = (1..=AGENTS).map(|host| door.url(format!("127.0.0.{host}:{port}")));
    let urls: Vec<_> = urls.collect();
    let line = format!("{} {}\n", shown.ca_file().display(), urls.join(" "));
    other.say(line.as_bytes());
    // All are open when the first one is attacked.
    let what = format!("{CONNECTIONS} connections of {door}, {attack:?}");
    server.wait_for(&what, PATIENCE * 3, |state| state.attacked >= CONNECTIONS);
    // These go on as long as the client waits.
    if !attack.is_slow(door) {
        server.wait_for("their ends", PATIENCE * 3, |state| {
            state.ended >= CONNECTIONS
        });
    }
    let most = resident_bytes_max(other.id()).unwrap();
    other.kill();
    (most - before) / CONNECTIONS as u64
}

fn check(test: &str, doors: impl Fn(&Door) -> bool) {
    if Other::role().is_some() {
        return attacked();
    }
    let shown = Shown::new();
    for door in DOORS.iter().filter(|door| doors(door)) {
        for attack in attacks(door) {
            let cost = cost(test, &shown, door, attack);
            println!("{:>4} KiB a connection: {door}, {attack:?}", cost / 1024);
            let tables = if door.has_deflate() { ZLIB_BYTES } else { 0 };
            assert!(
                cost <= BYTES_MAX + tables,
                "{cost} bytes: {door}, {attack:?}"
            );
        }
    }
}

#[test]
fn a_hundred_hostile_sources_without_tls_cost_a_client_little_memory() {
    let test = "hostile_memory::a_hundred_hostile_sources_without_tls_cost_a_client_little_memory";
    check(test, |door| !door.has_tls());
}

#[test]
fn a_hundred_hostile_sources_with_tls_cost_a_client_little_memory() {
    let test = "hostile_memory::a_hundred_hostile_sources_with_tls_cost_a_client_little_memory";
    check(test, Door::has_tls);
}
