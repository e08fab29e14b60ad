//! The agent seen from outside: raw sockets, bytes as real Flume takes and gives them.

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod channel;
#[cfg(test)]
mod control;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod disk_full;
#[cfg(test)]
mod disks;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod flows;
#[cfg(test)]
mod framing;
#[cfg(test)]
mod handshake;
#[cfg(test)]
mod hops;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod modes;
#[cfg(test)]
mod process;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod replies;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod sinks;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod support;
#[cfg(test)]
mod waits;
