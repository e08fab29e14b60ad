//! Connections to agents: the only place that opens sockets.
//!
//! | file | holds |
//! |---|---|
//! | [`network`](Network) | what the sender sees of it |
//! | [`sockets`](Sockets) | which kind of connection an agent needs |
//! | `connection` | one connection, from look-up to its end, whatever it speaks over whatever |
//! | `outbox` | what it is still to send |
//! | `session` | what is spoken: one case for each protocol |
//! | `stream` | what carries its bytes: one case for each kind |
//! | `certificates` | the files for TLS, looked at before each connection and while some are open |
//! | `layer_plan` | which of the two an address wants |
//! | `layered` | what is compressed or encrypted |
//! | `http` | an agent that takes requests, by a library |
//! | `socket` | where they leave this process |
//! | `tcp`, [`names`](Names) | name look-up and connecting |
//! | `in_memory` | what stands in for agents in tests of services |
//! | [`runtime`](ClientRuntime) | the runtime of the client's thread |

#[cfg(feature = "tls")]
mod certificates;
mod connection;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "test")]
mod in_memory;
mod layer_plan;
#[cfg(any(feature = "compression", feature = "tls"))]
mod layered;
mod names;
mod network;
mod outbox;
mod runtime;
mod session;
mod socket;
mod sockets;
mod stream;
mod tcp;

#[cfg(feature = "tls")]
pub(crate) use certificates::{Certificates, Found};
#[cfg(feature = "test")]
pub(crate) use in_memory::InMemory;
#[cfg(feature = "test")]
pub use in_memory::KEPT_BYTES_MAX;
pub(crate) use names::Names;
pub(crate) use network::{Link, Network, Progress, Verdict};
pub(crate) use runtime::ClientRuntime;
#[cfg(feature = "internals")]
pub(crate) use runtime::within;
pub(crate) use sockets::Sockets;
pub(crate) use tcp::Means;
