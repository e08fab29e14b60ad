//! The built command `flume`, run as a user runs it.
#![cfg(test)]

mod agent;
mod conf_uri;
mod configured;
mod demo;
mod drain;
mod failures;
mod interrupts;
mod json;
mod ping;
mod process;
mod reload;
mod send;
mod support;
mod usage;
