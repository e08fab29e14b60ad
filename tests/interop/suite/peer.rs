//! An Avro source made of raw bytes: where an agent's avro sinks deliver, and which refuses at will.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use flume_tests::Port;
use flume_tests::wire::{Frame, Reader, read_frame};

use super::event::{Event, read_call, skip_handshake};

const WAIT_TIMEOUT: Duration = Duration::from_secs(60);
/// `00000000` for the handshake: BOTH, no protocol, no hash, no metadata.
const GREETING: [u8; 4] = [0; 4];
const OK: u8 = 0;
const FAILED: u8 = 2;

/// What a peer answers to the calls that come from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Accept,
    Refuse,
    /// Accepts until it has so many events in all, then refuses.
    AcceptUpTo(usize),
    /// Answers nothing until the mode changes.
    Hold,
    /// Closes the connection of every call.
    HangUp,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    open: bool,
    /// Calls that came, whatever their answer.
    calls: Vec<Vec<Event>>,
    accepted: Vec<Event>,
    streams: Vec<TcpStream>,
    /// Connections that the other side has not closed.
    connections: usize,
}

#[derive(Debug)]
pub(crate) struct Peer {
    /// Ours while nobody listens on it, too: a sink that tries it then is refused.
    port: Port,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Peer {
    /// Listens on a port of its own and accepts everything.
    pub(crate) fn start() -> Self {
        let state = State {
            mode: Mode::Accept,
            open: false,
            calls: Vec::new(),
            accepted: Vec::new(),
            streams: Vec::new(),
            connections: 0,
        };
        let peer = Self {
            port: Port::reserve(),
            shared: Arc::new((Mutex::new(state), Condvar::new())),
        };
        peer.reopen();
        peer
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.change(|state| state.mode = mode);
    }

    /// Closes the listener and all connections; nobody listens when this returns.
    pub(crate) fn close(&self) {
        self.shut(Shutdown::Both);
    }

    /// As [`close`](Self::close), and the other side has noticed: it has closed its ends as well.
    pub(crate) fn close_for_all(&self) {
        self.shut(Shutdown::Write);
        self.wait("the end of all connections", |state| state.connections == 0);
    }

    fn shut(&self, how: Shutdown) {
        self.change(|state| {
            state.open = false;
            for stream in state.streams.drain(..) {
                // Fails when the other side was faster.
                drop(stream.shutdown(how));
            }
        });
        // Wakes the listener, which then looks whether it is still wanted.
        while TcpStream::connect(self.addr()).is_ok() {}
    }

    /// Listens again at the old address; what was accepted is not forgotten.
    pub(crate) fn reopen(&self) {
        let listener = TcpListener::bind(self.addr()).unwrap();
        self.change(|state| state.open = true);
        let shared = Arc::clone(&self.shared);
        thread::spawn(move || listen(&listener, &shared));
    }

    pub(crate) fn accepted(&self) -> Vec<Event> {
        self.shared.0.lock().unwrap().accepted.clone()
    }

    pub(crate) fn accepted_texts(&self) -> Vec<String> {
        self.accepted().iter().map(Event::text).collect()
    }

    /// The events of every call, answered or not.
    pub(crate) fn calls(&self) -> Vec<Vec<Event>> {
        self.shared.0.lock().unwrap().calls.clone()
    }

    pub(crate) fn wait_for_accepted(&self, events: usize) -> Vec<Event> {
        self.wait(&format!("{events} accepted events"), |state| {
            state.accepted.len() >= events
        });
        self.accepted()
    }

    pub(crate) fn wait_for_calls(&self, calls: usize) -> Vec<Vec<Event>> {
        self.wait(&format!("{calls} calls"), |state| {
            state.calls.len() >= calls
        });
        self.calls()
    }

    fn wait(&self, what: &str, reached: impl Fn(&State) -> bool) {
        let (state, changed) = &*self.shared;
        let waited = changed
            .wait_timeout_while(state.lock().unwrap(), WAIT_TIMEOUT, |state| !reached(state));
        let (state, timeout) = waited.unwrap();
        let (calls, accepted) = (state.calls.len(), state.accepted.len());
        drop(state);
        assert!(
            !timeout.timed_out(),
            "waited in vain for {what}: {calls} calls, {accepted} events accepted"
        );
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.0.lock().unwrap());
        self.shared.1.notify_all();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.close();
    }
}

fn listen(listener: &TcpListener, shared: &Arc<(Mutex<State>, Condvar)>) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        let mut state = shared.0.lock().unwrap();
        if !state.open {
            return;
        }
        state.streams.push(stream.try_clone().unwrap());
        state.connections += 1;
        drop(state);
        let shared = Arc::clone(shared);
        // Ends with its connection.
        thread::spawn(move || {
            serve(stream, &shared);
            shared.0.lock().unwrap().connections -= 1;
            shared.1.notify_all();
        });
    }
}

fn serve(mut stream: TcpStream, shared: &(Mutex<State>, Condvar)) {
    let mut greeted = false;
    // An error is the end of the connection, which is the other side's affair.
    while let Ok(Frame { serial, payload }) = read_frame(&mut stream) {
        let mut reader = Reader(&payload);
        let mut reply = Vec::new();
        if !greeted {
            skip_handshake(&mut reader);
            reply.extend(GREETING);
            greeted = true;
        }
        if let Some(events) = read_call(&mut reader) {
            let Some(status) = decide(shared, events) else {
                drop(stream.shutdown(Shutdown::Both));
                return;
            };
            reply.extend([0, 0, status]);
        }
        let length = u32::try_from(reply.len()).unwrap();
        let head = [serial, 1, length].map(u32::to_be_bytes).concat();
        if stream.write_all(&[head, reply].concat()).is_err() {
            return;
        }
    }
}

/// The status to answer; `None` hangs up.
fn decide((state, changed): &(Mutex<State>, Condvar), events: Vec<Event>) -> Option<u8> {
    let mut state = state.lock().unwrap();
    state.calls.push(events.clone());
    changed.notify_all();
    let held = |state: &mut State| state.mode == Mode::Hold && state.open;
    state = changed.wait_while(state, held).unwrap();
    let status = match state.mode {
        Mode::Accept => OK,
        Mode::AcceptUpTo(most) if state.accepted.len() + events.len() <= most => OK,
        Mode::AcceptUpTo(_) | Mode::Refuse => FAILED,
        Mode::Hold | Mode::HangUp => return None,
    };
    if status == OK {
        state.accepted.extend(events);
        changed.notify_all();
    }
    Some(status)
}
