//! Servers that mean no good, at each door that a client may come to.
//!
//! | file | holds |
//! |---|---|
//! | `door` | the doors, and what an honest source says there |
//! | `attack` | what is done, and when |
//! | `carrier` | a socket and its layers, each of which can be made to say anything |
//!
//! A new door is a line in [`DOORS`]; a new protocol is a case in `door`.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "only tests call this, and fail by a panic"
)]

mod attack;
mod carrier;
mod door;

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, SupportedProtocolVersion};

pub use attack::{ATTACKS, At, Attack, How};
pub use door::{DOORS, Door};

use carrier::Carrier;

/// Between two bytes, if they come one by one.
const PACE: Duration = Duration::from_millis(200);

/// A server at a port of its own, until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// So many connections are to be open before one is attacked.
    attacks_at: usize,
}

/// What a server has seen.
#[derive(Debug, Default)]
pub struct State {
    /// Connections that have come as far as the attack.
    pub attacked: usize,
    /// Connections that the client has ended.
    pub ended: usize,
    is_stopping: bool,
    streams: Vec<TcpStream>,
    threads: Vec<JoinHandle<()>>,
}

/// One that was accepted.
#[derive(Debug)]
struct Connection {
    door: &'static Door,
    attack: Attack,
    tls: Option<Arc<ServerConfig>>,
    shared: Arc<Shared>,
}

/// TLS of a server that shows these certificates, its own first.
pub fn tls(
    version: &'static SupportedProtocolVersion,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Arc<ServerConfig> {
    let provider = CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        ],
        ..default_provider()
    };
    let builder = ServerConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_protocol_versions(&[version]).unwrap();
    let builder = builder.with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.enable_secret_extraction = true;
    Arc::new(config)
}

impl Server {
    /// Starts one. Each connection is attacked when `attacks_at` of them have come that far.
    #[must_use]
    pub fn start(
        door: &'static Door,
        attack: Attack,
        tls: Option<Arc<ServerConfig>>,
        attacks_at: usize,
    ) -> Self {
        attack.prepare();
        // So that a client can come to it by many addresses.
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            attacks_at,
            ..Shared::default()
        });
        let of_acceptor = shared.clone();
        let acceptor = thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = Connection {
                    door,
                    attack,
                    tls: tls.clone(),
                    shared: of_acceptor.clone(),
                };
                if !connection.begin(stream.unwrap()) {
                    return;
                }
            }
        });
        Self {
            address: ([127, 0, 0, 1], port).into(),
            shared,
            acceptor: Some(acceptor),
        }
    }

    /// One of its addresses.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it has seen what `seen` wants.
    #[track_caller]
    pub fn wait_for(&self, what: &str, patience: Duration, seen: impl Fn(&State) -> bool) {
        let state = self.shared.lock();
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, patience, |it| !seen(it));
        let (state, timeout) = waited.unwrap();
        assert!(!timeout.timed_out(), "waited in vain for {what}: {state:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let streams = {
            let mut state = self.shared.lock();
            state.is_stopping = true;
            std::mem::take(&mut state.streams)
        };
        self.shared.changed.notify_all();
        for stream in streams {
            // One that has ended is as good.
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Gets the acceptor out of its wait.
        drop(TcpStream::connect(self.address));
        let accepted = self.acceptor.take().map(JoinHandle::join);
        let threads = std::mem::take(&mut self.shared.lock().threads);
        let ended: Vec<_> = threads.into_iter().map(JoinHandle::join).collect();
        let panicked = ended.into_iter().chain(accepted).find_map(Result::err);
        if let Some(panic) = panicked
            && !thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the time between two bytes. An error: the server stops.
    fn wait_for_pace(&self) -> io::Result<()> {
        let state = self.lock();
        let waited = self
            .changed
            .wait_timeout_while(state, PACE, |it| !it.is_stopping);
        match waited.unwrap().1.timed_out() {
            true => Ok(()),
            false => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    /// Waits until enough connections have come that far.
    fn wait_for_others(&self) {
        let mut state = self.lock();
        state.attacked += 1;
        self.changed.notify_all();
        let is_early = |state: &mut State| !state.is_stopping && state.attacked < self.attacks_at;
        drop(self.changed.wait_while(state, is_early));
    }
}

impl Connection {
    /// Lets it have a thread. `false`: the server stops.
    fn begin(self, stream: TcpStream) -> bool {
        let shared = self.shared.clone();
        let mut state = shared.lock();
        if state.is_stopping {
            return false;
        }
        state.streams.push(stream.try_clone().unwrap());
        let thread = thread::spawn(move || {
            stream.set_nodelay(true).unwrap();
            let of_carrier = stream.try_clone().unwrap();
            let shared = self.shared.clone();
            let pace = || shared.wait_for_pace();
            let mut carrier = Carrier::new(of_carrier, self.door.layers, self.tls.as_ref());
            // Errors are the client's end of the connection, or ours.
            let _ = self.serve(&mut carrier, &pace);
            let _ = carrier.read_to_end();
            let _ = stream.shutdown(Shutdown::Both);
            shared.lock().ended += 1;
            shared.changed.notify_all();
        });
        state.threads.push(thread);
        true
    }

    fn serve<'a>(
        &self,
        carrier: &mut Carrier<'a>,
        pace: &'a dyn Fn() -> io::Result<()>,
    ) -> io::Result<()> {
        let Attack { how, at } = self.attack;
        if at == At::Handshake {
            self.shared.wait_for_others();
            match how {
                How::Silence => return Ok(()),
                How::Trickle => carrier.pace = Some(pace),
                _ => {}
            }
        }
        let is_greeting = self.door.read_message(carrier)?;
        if at != At::Greeting && is_greeting {
            carrier.say(&self.door.welcome())?;
            self.door.read_message(carrier)?;
        }
        if at == At::Idle {
            carrier.say(&self.door.ok(1))?;
        }
        if at != At::Handshake {
            self.shared.wait_for_others();
        }
        if how == How::Trickle {
            carrier.pace = Some(pace);
        }
        self.attack.make(self.door, carrier)
    }
}
