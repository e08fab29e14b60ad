//! A [`tracing`](https://docs.rs/tracing) layer that delivers to Apache Flume.
//!
//! ```no_run
//! use tracing_subscriber::prelude::*;
//!
//! let (layer, guard) = flume_tracing::layer().agent("avro://collector-1:4141").build()?;
//! tracing_subscriber::registry().with(layer).init();
//! tracing::info!(order = 17, "placed");
//! drop(guard); // delivers what is left, for two seconds at the most
//! # Ok::<(), flume_appender::BuildError>(())
//! ```
//!
//! All settings are those of [`flume_appender::Builder`]; [`LayerBuilder`] adds what only `tracing`
//! has. [`init_from_env`] sets up all of it in one line. Events get the fields of the spans around
//! them, also those that were recorded later. Records that `tracing-log` bridges have their own
//! target, file and line.
//!
//! | what happens when | |
//! |---|---|
//! | no agent answers | calls go on as before; records wait in memory, or in the spool |
//! | there is no room | the lesser levels are shed first, and counted: [`Guard::stats`](flume_appender::Guard::stats) |
//! | a value's `Debug` logs or panics | its record is delivered, and so are those of the other calls |
//! | the client's own threads log | other layers see it, and it never enters its own delivery |

mod bridge;
mod current;
mod env;
mod layer;
#[cfg(feature = "test")]
pub mod test;
mod times;
mod visit;
mod writer;

pub use env::{EnvConfig, InitError, effective_config, init_from_env};
pub use flume_appender::{Builder, Guard};
pub use layer::{FlumeLayer, LayerBuilder, LayerOptions};
pub use writer::{FlumeWriter, LineWriter, writer};

/// Starts to set up a layer.
pub fn layer() -> Builder<FlumeLayer> {
    Builder::new()
}

/// Compiles the README's examples, which would only repeat the documentation above.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
