//! Client SDK for Apache Flume agents.

pub mod delivery;
pub mod event;
pub mod reliability;
pub mod wire;

pub use event::Event;
pub use reliability::Reliability;
