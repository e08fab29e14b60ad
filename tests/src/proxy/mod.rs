//! A TCP proxy between a client and an agent, with the faults of a network and of what stands in it.
//!
//! What an agent does wrong, [`scripted`](crate::scripted) plays. Here the agent is sound, and what it
//! says arrives late, in pieces, spoiled or not at all. Two threads a connection, one each way; so
//! many connections at once, and further ones are closed.

#![expect(
    clippy::unwrap_used,
    reason = "only tests call this, and fail by a panic"
)]

mod plan;
mod relay;
mod stop;

use std::collections::BTreeMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use relay::Relay;
use stop::Stop;

use crate::Port;

pub use plan::{Fault, Plan, SOUND};

/// Most connections at once.
const CONNECTIONS_MAX: usize = 64;

/// Listens on a port of its own until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: Port,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    agent: SocketAddr,
    plans: Vec<Plan>,
    state: Mutex<State>,
    stop: Stop,
}

#[derive(Debug, Default)]
struct State {
    accepted: usize,
    open: BTreeMap<usize, Arc<Relay>>,
    threads: Vec<JoinHandle<()>>,
}

impl Proxy {
    /// Before an agent at this address. The first connection follows the first plan, and so on; the
    /// last plan repeats.
    pub fn before(agent: SocketAddr, plans: impl Into<Vec<Plan>>) -> Self {
        let port = Port::reserve();
        let listener = TcpListener::bind(port.addr()).unwrap();
        let shared = Arc::new(Shared {
            agent,
            plans: plans.into(),
            state: Mutex::default(),
            stop: Stop::default(),
        });
        let acceptor = {
            let shared = shared.clone();
            thread::spawn(move || {
                accept(&listener, &shared);
                // A process that another test has just forked may have a copy of it.
                let _ = rustix::net::shutdown(&listener, rustix::net::Shutdown::Both);
            })
        };
        Self {
            port,
            shared,
            acceptor: Some(acceptor),
        }
    }

    /// Where it is, as a client takes it.
    #[must_use]
    pub fn url(&self) -> String {
        self.port.url()
    }

    /// Connections ever accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.lock().accepted
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.come();
        // Gets the acceptor out of its wait. It may be gone already.
        drop(TcpStream::connect(self.port.addr()));
        let accepted = self.acceptor.take().map(JoinHandle::join);
        let (open, threads) = {
            let mut state = self.shared.lock();
            let state = &mut *state;
            (
                std::mem::take(&mut state.open),
                std::mem::take(&mut state.threads),
            )
        };
        open.into_values()
            .for_each(|relay| relay.close(Shutdown::Both));
        let mut ended = threads.into_iter().map(JoinHandle::join).chain(accepted);
        let panicked = ended.any(|thread| thread.is_err());
        assert!(!panicked || thread::panicking(), "a thread panicked");
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (number, client) in listener.incoming().enumerate() {
        let client = client.unwrap();
        let mut state = shared.lock();
        if shared.stop.has_come() {
            return;
        }
        state.accepted += 1;
        state.threads.retain(|thread| !thread.is_finished());
        // Without an agent the client meets the end of its connection.
        let Ok(agent) = TcpStream::connect(shared.agent) else {
            continue;
        };
        if state.open.len() == CONNECTIONS_MAX {
            continue;
        }
        let plan = *shared.plans.get(number).or(shared.plans.last()).unwrap();
        let relay = Arc::new(Relay::new(client, agent, plan));
        state.open.insert(number, relay.clone());
        let (requests, answers) = (shared.clone(), shared.clone());
        let there = relay.clone();
        // The ends of both sides are how these learn that it is over.
        state.threads.push(thread::spawn(move || {
            drop(there.pass_requests(&requests.stop));
        }));
        state.threads.push(thread::spawn(move || {
            drop(relay.pass_answers(&answers.stop));
            answers.lock().open.remove(&number);
        }));
    }
}
