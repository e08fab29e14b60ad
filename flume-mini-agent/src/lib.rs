//! A small, faithful Apache Flume agent in your process, for tests and demos of code that talks
//! to Flume.
//!
//! [`MiniAgent`] is an Avro source, a memory channel and a sink, wired as in a Flume agent and
//! with the same rules: what is answered `OK` is committed to the channel, a full channel answers
//! `FAILED` after keep-alive, a batch larger than the channel's `transactionCapacity` is refused
//! however empty the channel is. Its answers are byte for byte those of Flume 1.9 and 1.11.
//!
//! ```
//! use std::io::Write;
//! use std::net::TcpStream;
//! use std::time::Duration;
//!
//! use flume_mini_agent::MiniAgent;
//!
//! let agent = MiniAgent::builder().start()?;
//! println!("send events to {}", agent.url());
//!
//! // Any Flume client will do. This is what one sends for the event "hi" with the header k=v:
//! let mut client = TcpStream::connect(agent.addr())?;
//! let md5 = [0x86, 0xaa, 0xda, 0xe2, 0xc4, 0x54, 0x74, 0xc0, 0xfe, 0x93, 0xff, 0xd0, 0xf2, 0x35, 0x0a, 0x65];
//! client.write_all(b"\0\0\0\x01\0\0\0\x01\0\0\0\x33")?;
//! client.write_all(&[&md5[..], b"\0", &md5, b"\0\0\x0cappend\x02\x02k\x02v\0\x04hi"].concat())?;
//!
//! let events = agent.wait_for(1, Duration::from_secs(10))?;
//! assert_eq!(events[0].body(), b"hi");
//! assert_eq!(events[0].header_value("k"), Some("v"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What happens when...
//!
//! | | then |
//! |---|---|
//! | the channel is full | a batch waits up to `keep_alive` for room and is then answered `FAILED` |
//! | a batch has more than `transaction_capacity` events | `FAILED` at once |
//! | a call cannot be read | an RPC error `java.io.EOFException`; the connection stays usable |
//! | a frame has no buffers, or is over `max_frame_bytes` | the connection is closed; Flume wedges on the first and buffers the second |
//! | 16 batches wait for room | further requests of all connections wait too, as with Flume's 16 caller threads |
//! | `max_connections` are open | further ones are closed at once |
//! | the sink fails | its events go back to the channel, [`MiniAgent::sink_error`] tells why, the next try is after `sink_backoff` |
//! | the agent stops | connections are closed, unanswered batches are not committed; channel and received events stay for a start later |
//!
//! Not here yet: property files, other sources, sinks and channels, selectors, interceptors.

mod agent;
mod channel;
mod runner;
mod sink;
mod source;

pub use agent::MiniAgent;
pub use agent::builder::MiniAgentBuilder;
pub use agent::error::{StartError, WaitError};
pub use agent::tally::Stats;
pub use sink::Sink;
pub use source::avro::ReplyMode;
