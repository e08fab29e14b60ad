//! The agent seen from outside: raw sockets, bytes as real Flume takes and gives them.

#[cfg(test)]
#[cfg(feature = "file-channel")]
mod bad_input;
#[cfg(test)]
#[cfg(feature = "tls")]
mod certificates;
#[cfg(test)]
mod channel;
#[cfg(test)]
#[cfg(feature = "control")]
mod control;
#[cfg(test)]
#[cfg(feature = "compression")]
mod deflate;
#[cfg(test)]
#[cfg(feature = "file-channel")]
mod disks;
#[cfg(test)]
#[cfg(feature = "file-channel")]
mod drain;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod features;
#[cfg(test)]
#[cfg(feature = "file-channel")]
mod flows;
#[cfg(test)]
mod framing;
#[cfg(test)]
mod handshake;
#[cfg(test)]
mod hops;
#[cfg(test)]
#[cfg(feature = "regex")]
mod interceptors;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod modes;
#[cfg(test)]
#[cfg(feature = "file-channel")]
mod reload;
#[cfg(test)]
mod replies;
#[cfg(test)]
mod requests;
#[cfg(test)]
#[cfg(feature = "tls")]
mod sink_tls;
#[cfg(test)]
mod sinks;
#[cfg(test)]
#[cfg(feature = "http")]
mod sources;
#[cfg(test)]
mod support;
#[cfg(test)]
mod thrift;
#[cfg(test)]
#[cfg(feature = "tls")]
mod tls;
#[cfg(test)]
mod waits;
