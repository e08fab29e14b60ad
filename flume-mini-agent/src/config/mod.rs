//! An agent's configuration, from Flume's property files.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod properties;

pub use self::properties::{EscapeError, Properties, PropertiesError, Property};
