//! The way of a log record from a call in a service to a Flume client, for any logging front end.

mod appender;
mod at_exit;
mod builder;
pub mod capture;
#[cfg(feature = "conformance")]
pub mod conformance;
mod counts;
mod filter;
mod flush;
mod guard;
#[cfg(feature = "test")]
mod kept;
pub mod layout;
mod level;
mod live;
mod loss;
mod panic_hook;
mod passes;
mod prepared;
mod render;
mod stats;
mod stderr;
#[cfg(feature = "test")]
pub mod test;
mod text;

pub use appender::Appender;
pub use builder::{BuildError, Builder, FrontEnd};
pub use capture::Overflow;
pub use filter::{Filter, FilterError};
pub use flush::{Flush, FlushError};
pub use guard::{Close, CloseReport, Guard, Lost};
#[cfg(feature = "avro-body")]
#[doc(inline)]
pub use layout::AvroBody;
pub use layout::{Edits, Json, Layout, LayoutError, Logfmt, Member, Raw, Record, Rfc5424, Verdict};
pub use level::{Level, LevelError};
pub use live::{FlushAll, flush_all};
pub use loss::Loss;
pub use prepared::headers::HeaderProfile;
pub use stats::{LevelStats, Stats};

/// Compiles the README's examples, which would only repeat the documentation above.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
