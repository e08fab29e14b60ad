//! [`AgentUrl`]: where an agent listens and what it speaks there.
//!
//! | address | Flume's source | needs the feature |
//! |---|---|---|
//! | `avro://HOST:PORT` | Avro | |
//! | `avro+tls://HOST:PORT` | with `ssl = true` | `tls` |
//! | `avro+deflate://HOST:PORT` | with `compression-type = deflate` | `compression` |
//! | `avro+tls+deflate://HOST:PORT`, `?nesting=tls-outside` or `zlib-outside` | with both | `tls`, `compression` |
//! | `thrift://HOST:PORT`, `?protocol=compact` or `binary` | Thrift | |
//! | `thrift+tls://HOST:PORT`, likewise | with `ssl = true` | `tls` |
//! | `http://HOST:PORT/PATH` | HTTP with its JSON handler | `http` |
//! | `https://HOST:PORT/PATH` | with `ssl = true` | `http`, `tls` |
//!
//! What follows the `?` is a [`Dialect`]. Without it, the one that an agent speaks is found out.
//!
//! There is no default port, for HTTP neither: Flume's sources have none. The HTTP ports 80 and 443 belong
//! to web servers, and one that answers 200 to everything would be taken for an agent that stores events.
//! Who has an agent there, behind a proxy, writes the port.
//!
//! Not here: credentials. Addresses are shown in logs, counters and errors, so they take none, and an
//! error shows neither what stands before an `@` nor what follows a `?`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod dialect;
mod problem;
mod read;
mod scheme;
mod url;

pub use dialect::{Dialect, Nesting};
pub use problem::AgentUrlError;
pub use scheme::{Door, Feature, Scheme};
pub use url::AgentUrl;
