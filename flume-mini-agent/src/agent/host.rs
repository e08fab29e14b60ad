//! This host's name and address, for the host interceptor.

use std::net::ToSocketAddrs;

/// The name, if the system tells one.
#[cfg(unix)]
pub(super) fn name() -> Option<String> {
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy().into_owned();
    Some(name).filter(|name| !name.is_empty())
}

/// The name, if the system tells one.
#[cfg(not(unix))]
pub(super) fn name() -> Option<String> {
    std::env::var("COMPUTERNAME").ok()
}

/// The first address that the name stands for, as Java's `InetAddress.getLocalHost` has it.
pub(super) fn address() -> Option<String> {
    let mut addresses = (name()?, 0).to_socket_addrs().ok()?;
    addresses.next().map(|address| address.ip().to_string())
}
