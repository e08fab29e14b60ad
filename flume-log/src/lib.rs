//! A logger for the crate [`log`](https://docs.rs/log) that delivers to Apache Flume, and with the
//! feature `slog` a drain for [`slog`](https://docs.rs/slog).
//!
//! ```no_run
//! use flume_log::LoggerBuilder;
//!
//! # fn main() -> Result<(), flume_log::InstallError> {
//! let guard = flume_log::logger().agent("avro://collector-1:4141").install()?;
//! log::info!(order = 17; "placed");
//! drop(guard); // delivers what is left, for two seconds at the most
//! # Ok(()) }
//! ```
//!
//! All settings are those of [`flume_appender::Builder`]; [`LoggerBuilder`] adds what only `log` has.
//! Key-values keep their kinds: numbers stay numbers. With the feature `kv_std` errors come with their
//! causes, with `kv_sval` lists and structures become JSON. A key that has no value (`None`) is left
//! out, and of two pairs with one key the last one stands.
//!
//! | what happens when | |
//! |---|---|
//! | no agent answers | calls go on as before; records wait in memory, or in the spool |
//! | there is no room | the lesser levels are shed first, and counted: [`Guard::stats`] |
//! | a value's `Debug` logs or panics | its record is delivered, and so are those of the other calls |
//! | the client itself logs | its records go to [`also`](LoggerBuilder::also) loggers only, never into their own delivery |

mod levels;
mod logger;
#[cfg(feature = "kv_sval")]
mod nested;
mod pairs;
mod shapes;
#[cfg(feature = "slog")]
pub mod slog;
#[cfg(feature = "test")]
pub mod test;

pub use flume_appender::{Builder, Guard};
pub use logger::{InstallError, Logger, LoggerBuilder, LoggerOptions};

/// Starts to set up a logger.
pub fn logger() -> Builder<Logger> {
    Builder::new()
}

/// Compiles the README's examples, which would only repeat the documentation above.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
