//! The built command `flume`, run as a user runs it.
#![cfg(test)]

mod agent;
mod configured;
mod demo;
mod failures;
mod interrupts;
mod json;
mod ping;
mod send;
mod support;
mod usage;
