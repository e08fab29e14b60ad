//! The built command `flume`, run as a user runs it.
#![cfg(test)]

mod agent;
mod bad_input;
mod conf_uri;
mod configured;
mod demo;
#[cfg(target_os = "linux")]
mod disk_full;
mod drain;
mod failures;
mod interrupts;
mod json;
mod kill;
mod ping;
mod reload;
mod send;
mod send_spool;
mod spool_drain;
mod spool_export;
mod spool_hostile;
mod spool_look;
mod spool_prune;
mod spool_unopened;
mod spool_unread;
mod support;
mod usage;
