//! Looking at the document again: now and then, and when the control interface is told to.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread;
use std::time::Duration;

use flume_mini_agent::config::AgentConfig;

use super::document::{Document, DocumentError};
use crate::output;

/// A new configuration on its way to the agent.
#[derive(Debug)]
pub(super) struct Change {
    config: AgentConfig,
    reply: SyncSender<Outcome>,
}

/// What was done, or why nothing was.
pub(super) type Outcome = Result<String, String>;

/// `POST /reload`, waiting for its answer.
#[derive(Debug)]
struct Request {
    reply: SyncSender<Outcome>,
}

/// The way from the control interface to the thread that looks at the document.
#[derive(Clone, Debug)]
pub(super) struct Reloader {
    requests: Sender<Request>,
}

/// The other end, before the thread runs.
#[derive(Debug)]
pub(super) struct Requests(Receiver<Request>);

const STOPPING: &str = "the agent is stopping";

/// One configuration is on its way at a time: the thread waits for what came of it.
const CHANGES_MAX: usize = 1;

impl Reloader {
    pub(super) fn new() -> (Self, Requests) {
        let (requests, received) = mpsc::channel();
        (Self { requests }, Requests(received))
    }

    /// Asks for a reload and waits for its end.
    pub(super) fn reload(&self) -> Outcome {
        let (reply, outcome) = mpsc::sync_channel(1);
        let sent = self.requests.send(Request { reply });
        let outcome = sent.ok().and_then(|()| outcome.recv().ok());
        outcome.unwrap_or_else(|| Err(STOPPING.to_owned()))
    }
}

/// Looks at `document` after every `interval`, and for every request. The changes must be taken
/// and replied to. The thread ends when nobody does any more.
pub(super) fn watch(
    document: Document,
    interval: Option<Duration>,
    requests: Requests,
) -> io::Result<Receiver<Change>> {
    let (changes, received) = mpsc::sync_channel(CHANGES_MAX);
    let watcher = Watcher {
        document,
        changes,
        told: None,
    };
    thread::Builder::new()
        .name("flume-conf-poller".to_owned())
        .spawn(move || watcher.run(interval, &requests.0))?;
    Ok(received)
}

struct Watcher {
    document: Document,
    changes: SyncSender<Change>,
    /// The last trouble, which is not told again as long as it is the same.
    told: Option<String>,
}

impl Watcher {
    fn run(mut self, interval: Option<Duration>, requests: &Receiver<Request>) {
        loop {
            let request = match interval {
                Some(interval) => requests.recv_timeout(interval),
                None => requests.recv().map_err(RecvTimeoutError::from),
            };
            match request {
                Ok(Request { reply }) => {
                    self.told = None;
                    let read = self.document.read();
                    let outcome = self.follow(read.map(Some));
                    // Whoever asked may have gone.
                    let _ = reply.send(outcome.unwrap_or_else(|| Ok(String::new())));
                }
                Err(RecvTimeoutError::Timeout) => {
                    let read = self.document.read_if_changed();
                    // It was told on stderr.
                    let _ = self.follow(read);
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Hands a configuration to the agent, and says on stderr what comes of it. `None`: there is
    /// nothing new.
    fn follow(&mut self, read: Result<Option<AgentConfig>, DocumentError>) -> Option<Outcome> {
        let outcome = match read {
            Ok(None) => None,
            Ok(Some(config)) => Some(self.apply(config)),
            Err(error) => {
                let kept = "the agent goes on with the configuration it had";
                Some(Err(format!("{error}\n{kept}")))
            }
        };
        match &outcome {
            None => {}
            Some(Ok(done)) => {
                self.told = None;
                output::note(done);
            }
            Some(Err(error)) if self.told.as_ref() != Some(error) => {
                output::note(error);
                self.told = Some(error.clone());
            }
            Some(Err(_)) => {}
        }
        outcome
    }

    fn apply(&self, config: AgentConfig) -> Outcome {
        let (reply, outcome) = mpsc::sync_channel(1);
        let sent = self.changes.send(Change { config, reply });
        let outcome = sent.ok().and_then(|()| outcome.recv().ok());
        let outcome = outcome.unwrap_or_else(|| Err(STOPPING.to_owned()));
        outcome.map(|done| format!("{}: {done}", self.document.name()))
    }
}

impl Change {
    /// Has it applied and says what came of it.
    pub(super) fn follow(self, apply: impl FnOnce(AgentConfig) -> Outcome) {
        // The watcher waits for it, unless it has panicked.
        let _ = self.reply.send(apply(self.config));
    }
}
