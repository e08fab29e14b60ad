//! [`TlsBridge`]: TLS on one side, the same bytes in plain on the other.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

use crate::{HarnessError, Result};

/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;

/// Stands between clients and an agent. It takes no new connections once it is dropped; those that are
/// open end with one of their sides.
#[derive(Debug)]
pub struct TlsBridge {
    address: SocketAddr,
    is_dropped: Arc<AtomicBool>,
}

#[derive(Clone)]
enum Side {
    /// Clients come with TLS.
    Ends(Arc<ServerConfig>),
    /// The agent has TLS.
    Begins(Arc<ClientConfig>, ServerName<'static>),
}

impl TlsBridge {
    /// Ends the TLS of clients before an agent that has none, as terminators in front of a service do.
    ///
    /// # Errors
    ///
    /// When there is no port.
    pub fn ending(agent: SocketAddr, config: Arc<ServerConfig>) -> Result<Self> {
        Self::start(agent, Side::Ends(config))
    }

    /// Begins TLS with an agent for clients that know none. The agent's certificate has to be for the
    /// address.
    ///
    /// # Errors
    ///
    /// When there is no port.
    pub fn beginning(agent: SocketAddr, config: Arc<ClientConfig>) -> Result<Self> {
        let name = ServerName::from(agent.ip());
        Self::start(agent, Side::Begins(config, name))
    }

    fn start(agent: SocketAddr, side: Side) -> Result<Self> {
        let doing = |error| HarnessError::doing("listening as a TLS bridge", error);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(doing)?;
        let address = listener.local_addr().map_err(doing)?;
        let is_dropped = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_dropped);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if seen.load(Ordering::Acquire) {
                    return;
                }
                let side = side.clone();
                // The end of a connection is its sides' affair.
                thread::spawn(move || drop(carry(client, agent, side)));
            }
        });
        Ok(Self {
            address,
            is_dropped,
        })
    }

    /// Where clients find it.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for TlsBridge {
    fn drop(&mut self) {
        self.is_dropped.store(true, Ordering::Release);
        // Lets the thread see it.
        drop(TcpStream::connect(self.address));
    }
}

fn carry(client: TcpStream, agent: SocketAddr, side: Side) -> io::Result<()> {
    let agent = TcpStream::connect(agent)?;
    client.set_nodelay(true)?;
    agent.set_nodelay(true)?;
    let (plain, coded, mut tls): (_, _, Connection) = match side {
        Side::Ends(config) => {
            let tls = ServerConnection::new(config).map_err(io::Error::other)?;
            (agent, client, tls.into())
        }
        Side::Begins(config, name) => {
            let tls = ClientConnection::new(config, name).map_err(io::Error::other)?;
            (client, agent, tls.into())
        }
    };
    // What comes before the end of the handshake waits for it.
    tls.set_buffer_limit(None);
    put(&mut tls, &coded)?;
    let tls = Mutex::new(tls);
    thread::scope(|scope| {
        let encoding = scope.spawn(|| or_end(encode(&plain, &coded, &tls), &plain, &coded));
        let decoded = or_end(decode(&coded, &plain, &tls), &plain, &coded);
        encoding.join().unwrap_or(Ok(())).and(decoded)
    })
}

/// Ends both sides if one direction failed.
fn or_end(done: io::Result<()>, plain: &TcpStream, coded: &TcpStream) -> io::Result<()> {
    if done.is_err() {
        for socket in [plain, coded] {
            // It may have ended by itself.
            drop(socket.shutdown(Shutdown::Both));
        }
    }
    done
}

fn encode(mut plain: &TcpStream, coded: &TcpStream, tls: &Mutex<Connection>) -> io::Result<()> {
    let mut bytes = vec![0; READ_BYTES];
    loop {
        let count = plain.read(&mut bytes)?;
        let mut tls = lock(tls);
        if count == 0 {
            tls.send_close_notify();
            put(&mut tls, coded)?;
            return coded.shutdown(Shutdown::Write);
        }
        let (read, _) = bytes.split_at(count);
        tls.writer().write_all(read)?;
        put(&mut tls, coded)?;
    }
}

fn decode(mut coded: &TcpStream, mut plain: &TcpStream, tls: &Mutex<Connection>) -> io::Result<()> {
    let mut bytes = vec![0; READ_BYTES];
    loop {
        let count = coded.read(&mut bytes)?;
        let (mut read, _) = bytes.split_at(count);
        if read.is_empty() {
            return plain.shutdown(Shutdown::Write);
        }
        let mut decoded = Vec::new();
        let mut tls = lock(tls);
        while !read.is_empty() {
            tls.read_tls(&mut read)?;
            let processed = tls.process_new_packets();
            // A handshake's answer, or an alert.
            put(&mut tls, coded)?;
            let ready = processed
                .map_err(io::Error::other)?
                .plaintext_bytes_to_read();
            tls.reader().take(ready as u64).read_to_end(&mut decoded)?;
        }
        drop(tls);
        plain.write_all(&decoded)?;
    }
}

fn put(tls: &mut Connection, mut coded: &TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(&mut coded)?;
    }
    Ok(())
}

fn lock(tls: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    tls.lock().unwrap_or_else(PoisonError::into_inner)
}
