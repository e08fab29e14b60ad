//! Scenarios of the real client: its thread, real sockets and real time.
//!
//! Most run against a [scripted agent](flume_tests::scripted). Nothing here waits for time to pass:
//! tests wait for receipts and for what agents have seen.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "clippy.toml allows them in #[test] functions; their helpers are tests too"
)]

mod adoption;
mod appender;
mod authority;
mod awaited;
mod balance;
mod batches;
#[cfg(target_os = "linux")]
mod black_hole;
mod buffer;
mod chain;
mod changes;
#[cfg(target_os = "linux")]
mod channel_disk_full;
mod close;
mod connections;
mod contexts;
mod cost;
mod counters;
mod delivery;
#[cfg(target_os = "linux")]
mod disk_full;
mod door_faults;
mod doors;
mod doors_http;
mod doors_tls;
mod driver;
mod drops;
mod encoded;
#[cfg(target_os = "linux")]
mod ends;
mod errors;
mod failover;
mod faults;
#[cfg(unix)]
mod faulty_network;
#[cfg(target_os = "linux")]
mod fork;
#[cfg(target_os = "linux")]
mod frozen;
mod guarantees;
mod health;
#[cfg(target_os = "linux")]
mod hostile;
mod levels;
mod poison;
mod receipts;
mod replaced_certificates;
#[cfg(target_os = "linux")]
mod resolving;
mod settings;
#[cfg(target_os = "linux")]
mod shortage;
#[cfg(unix)]
mod signals;
mod spool;
#[cfg(target_os = "linux")]
mod spool_access;
mod spool_faults;
#[cfg(target_os = "linux")]
mod spool_limits;
#[cfg(target_os = "linux")]
mod spool_removed;
#[cfg(target_os = "linux")]
mod spool_unreadable;
mod store_on_failure;
mod support;
