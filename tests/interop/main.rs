//! Tests against real Apache Flume agents.
//!
//! They check that real Flume answers the bytes our codec is built on, that our client and command
//! deliver into it, that our mini-agent behaves as it does ([`suite`]) and reads configurations as it
//! does, and the harness itself.
//! Needs Java 17 and Maven; see [`flume_tests::require_java`].

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy.toml allows them in #[test] functions; their helpers are tests too"
)]

mod appender;
mod bad_doors;
mod chain;
mod config;
mod deliver;
mod doors;
mod exceptions;
mod handshake;
mod hop;
mod java_client;
mod keys;
mod kill;
mod layers;
mod lifecycle;
mod mini_agent;
mod one_client;
mod pair;
mod properties;
mod replies;
mod send;
mod suite;
mod thrift;
mod words;

use std::thread;

use flume_tests::{RealFlume, RealFlumeBuilder, Version, require_java};

/// Runs `check` on an agent of each version, both at once; the settings are the same.
fn on_both_versions(
    settings: impl Fn(RealFlumeBuilder) -> RealFlumeBuilder + Sync,
    check: impl Fn(RealFlume) + Sync,
) {
    for_both_versions(|version| check(settings(RealFlume::builder(version)).start().unwrap()));
}

/// Runs `check` for each version, both at once, in threads that bear the version's name.
fn for_both_versions(check: impl Fn(Version) + Sync) {
    if !require_java() {
        return;
    }
    let check = &check;
    thread::scope(|scope| {
        for version in Version::ALL {
            let thread = thread::Builder::new().name(format!("flume-{version}"));
            thread.spawn_scoped(scope, move || check(version)).unwrap();
        }
    });
}
