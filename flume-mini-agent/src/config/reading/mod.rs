//! Property files: from Flume's text to a configuration.
//!
//! # Files
//!
//! | file | holds |
//! |---|---|
//! | `properties` | the syntax of `java.util.Properties` |
//! | `substitute` | `${env:NAME}` |
//! | `entries`, `tree`, `section` | keys and values; by component; one component's, key by key |
//! | `channel`, `source`, `selector`, `interceptor`, `sink`, `group` | a type and its keys each |
//! | `types` | aliases and classes, and what is left out |
//! | `assembly`, `reader` | all components in Flume's order; strict or lenient |
//! | `java_order` | the order of Java's hash sets |

mod assembly;
mod channel;
mod entries;
mod group;
mod interceptor;
mod java_order;
mod properties;
mod reader;
mod section;
mod selector;
mod sink;
mod source;
mod substitute;
mod tls;
mod tree;
mod types;

pub use self::assembly::Dropped;
pub use self::properties::{Properties, PropertiesError, Property};
pub use self::reader::{ConfigReader, Loaded};
