//! This host's name and address, for the host interceptor.

use std::net::ToSocketAddrs;

pub(super) use flume_client::host_name as name;

/// The first address that the name stands for, as Java's `InetAddress.getLocalHost` has it.
pub(super) fn address() -> Option<String> {
    let mut addresses = (name()?, 0).to_socket_addrs().ok()?;
    addresses.next().map(|address| address.ip().to_string())
}
