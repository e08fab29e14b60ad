//! What TLS needs, as pure functions over bytes. No transport uses it yet.
//!
//! | file | holds |
//! |---|---|
//! | [`truststore`] | the certificates in a Java trust store |
//!
//! Not here: sockets, files, handshakes, and what a certificate says: the TLS library reads that.
//!
//! This module is public with the feature `internals`; it may change in any release.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod truststore;
