//! TLS as pure functions over bytes: one connection's records, the settings of all, and what went
//! wrong.
//!
//! | file | holds |
//! |---|---|
//! | [`layer`] | [`TlsLayer`]: the client's side of one connection |
//! | `lent` | the same for a library that makes its own connections |
//! | [`settings`] | [`TlsSettings`]: trust and identity, checked, for all connections |
//! | [`material`] | [`TlsMaterial`]: the bytes of files that they are made of |
//! | [`error`] | [`TlsError`]: what went wrong in a connection, and what to do |
//! | `witness` | what an agent presented and asked for, for errors |
//! | [`certificate`] | what a certificate says of itself, for errors and for people |
//! | `pem` | the sections of a PEM file, with their lines |
//! | `anyone` | a check that checks nothing, under a feature of its own |
//! | [`truststore`] | the certificates in a Java trust store |
//!
//! Not here: sockets and files. What a certificate is worth is for the TLS library to say, whose
//! cryptography is that of ring: it is named in the settings, so no other crate's choice of a default
//! changes it.
//!
//! This module is public with the feature `internals`; it may change in any release.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

#[cfg(feature = "dangerous-trust-any-certificate")]
mod anyone;
pub mod certificate;
pub mod error;
pub mod layer;
#[cfg(feature = "http")]
mod lent;
pub mod material;
mod pem;
pub mod settings;
pub mod truststore;
mod witness;

pub use error::TlsError;
pub use layer::{TlsFacts, TlsLayer};
#[cfg(feature = "http")]
pub(crate) use lent::LentTls;
pub use material::{TlsFile, TlsMaterial, TlsSettingsError};
pub use settings::TlsSettings;
