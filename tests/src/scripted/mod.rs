//! An agent that does what its script says, on plain sockets and threads. It speaks in golden bytes of
//! its own ([`wire`]) and records what it got, so that expected values never come from the client.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "only tests call this, and fail by a panic"
)]

mod script;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::resume_unwind;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::Port;
use crate::wire::{self, Frame, Received};

pub use script::{Answer, GOOD, Greeting, Script, answers, first_answers, greets, number_of};

/// How long to wait for what must happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// Listens on a port of its own until it is dropped. Dropping it fails the test if one of its
/// threads panicked.
#[derive(Debug)]
pub struct Agent {
    port: Port,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// A request as it came, and what the script had for it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The events of the batch.
    pub events: Vec<Received>,
    /// What was done with it.
    pub answer: Answer,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// What an agent has seen.
#[derive(Debug, Default)]
pub struct State {
    /// In the order in which they came.
    pub requests: Vec<Request>,
    /// Connections ever accepted.
    pub connections: usize,
    /// Connections that the client ended, or whose script did.
    pub ended: usize,
    takes_empty_batches: bool,
    released: bool,
    stopping: bool,
    streams: BTreeMap<usize, TcpStream>,
    threads: Vec<JoinHandle<()>>,
}

impl State {
    /// The numbers of all events that are stored, in the order in which they came.
    #[must_use]
    pub fn stored(&self) -> Vec<u64> {
        let stored = self.requests.iter().filter(|r| r.answer.is_stored());
        stored
            .flat_map(|request| request.events.iter().map(number_of))
            .collect()
    }
}

impl Agent {
    /// One without a fault.
    #[must_use]
    pub fn good() -> Self {
        Self::scripted([GOOD])
    }

    /// The first connection follows the first script, and so on; the last script repeats.
    pub fn scripted(scripts: impl Into<Vec<Script>>) -> Self {
        let mut agent = Self {
            port: Port::reserve(),
            shared: Arc::default(),
            acceptor: None,
        };
        agent.start_again(scripts);
        agent
    }

    /// It does not mind a batch of no events, which is a ping.
    #[must_use]
    pub fn taking_empty_batches(self) -> Self {
        self.shared.lock().takes_empty_batches = true;
        self
    }

    /// Where it is, or was.
    #[must_use]
    pub fn url(&self) -> String {
        self.port.url()
    }

    /// The same as an address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// Listens on the same port as before.
    pub fn start_again(&mut self, scripts: impl Into<Vec<Script>>) {
        assert!(self.acceptor.is_none(), "it is stopped");
        let scripts = scripts.into();
        let listener = TcpListener::bind(self.port.addr()).unwrap();
        self.shared.lock().stopping = false;
        let shared = self.shared.clone();
        self.acceptor = Some(thread::spawn(move || {
            accept(&listener, &scripts, &shared);
            // A process that another test has just forked may have a copy of it.
            #[cfg(unix)]
            let _ = rustix::net::shutdown(&listener, rustix::net::Shutdown::Both);
        }));
    }

    /// Closes the port and all connections, and fails if a thread of it panicked.
    pub fn stop(&mut self) {
        let Some(acceptor) = self.acceptor.take() else {
            return;
        };
        self.shared.lock().stopping = true;
        self.shared.changed.notify_all();
        // Gets the acceptor out of its wait. It may be gone already.
        drop(TcpStream::connect(self.port.addr()));
        let accepted = acceptor.join();
        let (streams, threads) = {
            let mut state = self.shared.lock();
            (
                std::mem::take(&mut state.streams),
                std::mem::take(&mut state.threads),
            )
        };
        for stream in streams.into_values() {
            // A connection that ended before is as good.
            let _ = stream.shutdown(Shutdown::Both);
        }
        let ended: Vec<_> = threads.into_iter().map(JoinHandle::join).collect();
        let panicked = ended.into_iter().chain([accepted]).find_map(Result::err);
        if let Some(panic) = panicked
            && !thread::panicking()
        {
            resume_unwind(panic);
        }
    }

    /// Lets go of all answers that wait for this, now and later.
    pub fn release(&self) {
        self.shared.lock().released = true;
        self.shared.changed.notify_all();
    }

    /// Waits until the agent has seen what `seen` wants, and returns that.
    #[track_caller]
    pub fn wait_for<T>(&self, what: &str, seen: impl Fn(&State) -> Option<T>) -> T {
        let mut state = self.shared.lock();
        loop {
            if let Some(found) = seen(&state) {
                return found;
            }
            let waited = self.shared.changed.wait_timeout(state, PATIENCE).unwrap();
            state = waited.0;
            assert!(!waited.1.timed_out(), "waited in vain for {what}");
        }
    }

    /// Waits until so many requests have come.
    #[track_caller]
    pub fn wait_for_requests(&self, count: usize) {
        self.wait_for(&format!("{count} requests"), |state| {
            (state.requests.len() >= count).then_some(())
        });
    }

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().requests.clone()
    }

    /// The numbers of all events stored so far, in the order in which they came.
    #[must_use]
    pub fn stored(&self) -> Vec<u64> {
        self.shared.lock().stored()
    }

    /// Connections ever accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what the answer is, now that the events are known.
    fn record(&self, payload: &[u8], answer: Answer) -> Answer {
        let events = wire::read_batch(payload);
        let answer = answer.to(&events);
        let mut state = self.lock();
        assert!(
            state.takes_empty_batches || !events.is_empty(),
            "an empty batch"
        );
        state.requests.push(Request { events, answer });
        drop(state);
        self.changed.notify_all();
        answer
    }

    fn wait_until_released(&self) {
        let state = self.lock();
        drop(
            self.changed
                .wait_while(state, |state| !state.released && !state.stopping),
        );
    }

    fn wait_until_stopping(&self) {
        let state = self.lock();
        drop(self.changed.wait_while(state, |state| !state.stopping));
    }
}

fn accept(listener: &TcpListener, scripts: &[Script], shared: &Arc<Shared>) {
    for (index, stream) in listener.incoming().enumerate() {
        let stream = stream.unwrap();
        let mut state = shared.lock();
        if state.stopping {
            return;
        }
        let script = *scripts.get(index).or(scripts.last()).expect("a script");
        let number = state.connections;
        state.connections += 1;
        state.streams.insert(number, stream.try_clone().unwrap());
        let connection = Connection {
            stream,
            number,
            script,
            shared: shared.clone(),
        };
        state.threads.push(thread::spawn(move || connection.run()));
        drop(state);
        shared.changed.notify_all();
    }
}

struct Connection {
    stream: TcpStream,
    number: usize,
    script: Script,
    shared: Arc<Shared>,
}

impl Connection {
    /// Ends with the script or with the client's end of the connection, whichever is first.
    fn run(mut self) {
        self.stream.set_nodelay(true).unwrap();
        let done = self.greet().and_then(|()| self.serve());
        // Errors are the client's end of the connection, or ours.
        drop(done);
        let mut state = self.shared.lock();
        state.streams.remove(&self.number);
        state.ended += 1;
        drop(self.stream);
        drop(state);
        self.shared.changed.notify_all();
    }

    fn greet(&mut self) -> io::Result<()> {
        let greeting = self.script.greeting;
        if greeting == Greeting::ClosedAtOnce {
            return end();
        }
        let Frame { serial, payload } = wire::read_frame(&mut self.stream)?;
        wire::assert_greeting(&payload);
        match greeting {
            Greeting::Both | Greeting::ThenDeaf | Greeting::ThenHasty | Greeting::ThenClosed => {
                self.stream.write_all(&wire::both(serial))?;
            }
            Greeting::Client => self.stream.write_all(&wire::client(serial))?,
            Greeting::NoneThenBoth | Greeting::NoneTwice => self.ask_for_text(serial)?,
            Greeting::WrongSerial => self.stream.write_all(&wire::both(serial ^ 77))?,
            Greeting::Says(text) => self.stream.write_all(text)?,
            Greeting::Unanswered | Greeting::ClosedUnanswered | Greeting::ClosedAtOnce => {}
        }
        match greeting {
            Greeting::ThenDeaf => {
                self.shared.wait_until_stopping();
                end()
            }
            Greeting::ThenHasty => {
                let mut serial = [0; 4];
                self.stream.read_exact(&mut serial)?;
                let serial = u32::from_be_bytes(serial);
                self.stream.write_all(&wire::status(serial, wire::OK))?;
                self.shared.wait_until_stopping();
                end()
            }
            Greeting::ThenClosed | Greeting::ClosedUnanswered => end(),
            Greeting::Unanswered
            | Greeting::Says(_)
            | Greeting::WrongSerial
            | Greeting::NoneTwice => self.expect_nothing(),
            _ => Ok(()),
        }
    }

    fn ask_for_text(&mut self, serial: u32) -> io::Result<()> {
        self.stream.write_all(&wire::none(serial))?;
        let Frame { serial, payload } = wire::read_frame(&mut self.stream)?;
        wire::assert_greeting_with_text(&payload);
        let answer = match self.script.greeting {
            Greeting::NoneTwice => wire::none(serial),
            _ => wire::both(serial),
        };
        self.stream.write_all(&answer)
    }

    /// Nothing may be sent to an agent that did not open the connection.
    fn expect_nothing(&mut self) -> io::Result<()> {
        let read = self.stream.read(&mut [0; 64])?;
        assert_eq!(read, 0, "bytes on a connection that is not open");
        end()
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut kept = None;
        for number in 0.. {
            let Frame { serial, payload } = wire::read_frame(&mut self.stream)?;
            let first = self.script.first.get(number);
            let answer = first.copied().unwrap_or(self.script.rest);
            let answer = self.shared.record(&payload, answer);
            match (answer, kept.take()) {
                (Answer::OkSwapped, None) => kept = Some(serial),
                (Answer::OkSwapped, Some(earlier)) => {
                    let swapped = [serial, earlier].map(|serial| wire::status(serial, wire::OK));
                    self.stream.write_all(&swapped.concat())?;
                }
                _ => self.answer(serial, answer)?,
            }
        }
        Ok(())
    }

    fn answer(&mut self, serial: u32, answer: Answer) -> io::Result<()> {
        let ok = wire::status(serial, wire::OK);
        let stream = &mut self.stream;
        match answer {
            Answer::Ok => stream.write_all(&ok),
            Answer::Failed => stream.write_all(&wire::status(serial, wire::FAILED)),
            Answer::Unknown => stream.write_all(&wire::status(serial, wire::UNKNOWN)),
            Answer::Error(text) => stream.write_all(&wire::error(serial, text)),
            Answer::OkWhenReleased => {
                self.shared.wait_until_released();
                stream.write_all(&ok)
            }
            Answer::OkWhenReleasedThenClosed => {
                self.shared.wait_until_released();
                stream.write_all(&ok).and_then(|()| end())
            }
            Answer::OkBytewise => ok.iter().try_for_each(|byte| stream.write_all(&[*byte])),
            Answer::OkTwice => stream.write_all(&[&ok[..], &ok].concat()),
            Answer::WrongSerial => stream.write_all(&wire::status(serial + 1000, wire::OK)),
            Answer::TwoGibibytes => stream.write_all(&wire::two_gibibytes(serial)),
            Answer::OkThenClosed => stream.write_all(&ok).and_then(|()| end()),
            Answer::HalfThenClosed => stream.write_all(&ok[..9]).and_then(|()| end()),
            Answer::StoredThenClosed | Answer::Closed => end(),
            Answer::Unanswered => Ok(()),
            Answer::OkSwapped => unreachable!("kept by the caller"),
            Answer::FailedWith(_) => unreachable!("decided when it was recorded"),
        }
    }
}

/// The script is over: the connection is closed.
fn end() -> io::Result<()> {
    Err(io::ErrorKind::ConnectionAborted.into())
}
