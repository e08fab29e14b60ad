//! Client SDK for Apache Flume agents.

pub mod event;
pub mod wire;

pub use event::Event;
