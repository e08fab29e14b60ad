//! Free ports for programs that cannot tell which one they got.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use crate::{HarnessError, Result};

/// Below the ports an operating system hands out for outgoing connections. In that range a client
/// that reconnects to a killed agent's port can end up connected to itself, and hold the port.
const PORTS: std::ops::Range<u16> = 12_000..30_000;
const PORT_ATTEMPTS: usize = 100;

/// Different ports on which nobody listens now. Somebody may before they are used.
///
/// # Errors
///
/// When 100 ports in a row were taken.
pub fn free_ports(count: usize) -> Result<Vec<u16>> {
    // All listeners stay open to the end, so the ports differ.
    let ports: Vec<_> = (0..count).map(|_| free_port()).collect::<Result<_>>()?;
    Ok(ports.iter().map(|(_, port)| *port).collect())
}

fn free_port() -> Result<(TcpListener, u16)> {
    let random = RandomState::new();
    (0..PORT_ATTEMPTS)
        .find_map(|attempt| {
            let offset = random.hash_one(attempt) % u64::from(PORTS.end - PORTS.start);
            let port = PORTS.start + u16::try_from(offset).ok()?;
            // The monitoring binds every address, so look at every address.
            Some((TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).ok()?, port))
        })
        .ok_or_else(|| HarnessError::new(format!("no free port in {PORTS:?}")))
}
