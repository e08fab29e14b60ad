//! Free ports for programs that cannot tell which one they got.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{HarnessError, Result};

/// Below the ports an operating system hands out for outgoing connections. In that range a client
/// that reconnects to a killed agent's port can end up connected to itself, and hold the port.
const PORTS: std::ops::Range<u16> = 12_000..30_000;
const PORT_ATTEMPTS: usize = 100;

/// The next port to try. Walking from a random start, no port is given twice before all were: that of
/// an agent that was killed is not another agent's when it comes back.
static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one(0)));

/// Different ports on which nobody listens now, and that no other call in this process gives. Another
/// process may listen there before they are used.
///
/// # Errors
///
/// When 100 ports in a row were taken.
pub fn free_ports(count: usize) -> Result<Vec<u16>> {
    (0..count).map(|_| free_port()).collect()
}

fn free_port() -> Result<u16> {
    (0..PORT_ATTEMPTS)
        .map(|_| next())
        // The monitoring binds every address, so look at every address.
        .find(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok())
        .ok_or_else(|| HarnessError::new(format!("no free port in {PORTS:?}")))
}

fn next() -> u16 {
    let offset = NEXT.fetch_add(1, Ordering::Relaxed) % u64::from(PORTS.end - PORTS.start);
    PORTS.start + u16::try_from(offset).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_port_that_was_given_is_not_given_again_though_nobody_listens_there() {
        let ports: Vec<_> = (0..500).flat_map(|_| free_ports(2).unwrap()).collect();
        let different: HashSet<_> = ports.iter().collect();
        assert_eq!(different.len(), 1_000);
    }
}
