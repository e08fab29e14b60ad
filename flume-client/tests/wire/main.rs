//! Flume's codecs against golden bytes, the `apache-avro` crate, and hostile peers.
//!
//! The golden bytes were recorded from agents of Flume 1.9 and 1.11. Nothing here tests the codec
//! against itself alone, except that what it reads of damaged bytes it must also write and read.

// `cfg(test)` tells the linter that the helpers are test code, too.
#[cfg(test)]
mod allocations;
#[cfg(test)]
mod framing;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod http;
#[cfg(all(test, any(feature = "compression", feature = "tls")))]
mod layers;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod session;
#[cfg(test)]
mod thrift;
