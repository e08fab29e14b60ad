//! The wire protocols of Flume's sources, as pure functions over bytes, in both directions.
//!
//! Here: bytes in, typed values or typed errors out, and back. Not here: sockets, clocks, retries.
//! Client and mini-agent share this code; what it must agree with comes from bytes recorded from
//! real Flume and from the `apache-avro` crate, never from itself alone.
//!
//! This module is public with the feature `internals`; it may change in any release.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod avro;
#[cfg(feature = "compression")]
pub mod deflate;
pub mod http;
#[cfg(any(feature = "compression", feature = "tls"))]
pub mod layers;
pub mod thrift;
mod unread;
