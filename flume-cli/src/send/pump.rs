//! [`Pump`]: the thread that reads lines and hands them to the client.
//!
//! Reading may block for ever, so nobody waits for this thread: whoever stops it takes the counts
//! as they are. A line is counted and handed over under one lock, so the counts always agree with
//! what the client has.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use flume_client::error::Refusal;
use flume_client::{Client, Event};

use super::input::{Cut, Input};
use crate::lines::{Line, Lines};
use crate::text;

/// Largest event, headers included: the client's own default, named here for messages.
pub(super) const EVENT_BYTES_MAX: usize = 1024 * 1024;
/// Refused lines that are named one by one; further ones are only counted.
const REFUSALS_NAMED_MAX: u64 = 10;
/// Words for the user that may wait to be shown; with more, reading waits.
const NOTES_MAX: usize = 64;
/// How long the thread waits for room before it looks whether it was stopped.
const ROOM_WAIT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Pump {
    shared: Arc<Shared>,
    notes: Receiver<String>,
    thread: Option<JoinHandle<bool>>,
}

/// What has been read so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Lines, refused ones included.
    pub(super) read: u64,
    /// Lines that cannot be events.
    pub(super) refused: u64,
    /// Inputs that could not be opened or read to their end.
    pub(super) unreadable: u64,
    /// Files that were cut while they were read.
    pub(super) cut: u64,
    /// Lines that no line feed ended, and that may be the half of one.
    pub(super) unended: u64,
    /// Bytes taken from the inputs.
    pub(super) bytes: u64,
    /// Which input is being read, from 0, and how many of its lines are done with.
    pub(super) position: (usize, u64),
    /// Whether a line waits for room in the client's buffer or spool.
    pub(super) waits_for_room: bool,
    stopped: bool,
}

impl Tally {
    /// One line further.
    fn done(&mut self) {
        self.read += 1;
        self.position.1 += 1;
        self.waits_for_room = false;
    }
}

/// What came of waiting for the pump.
#[derive(Debug)]
pub(super) enum News {
    Note(String),
    Nothing,
    /// The thread has ended. `all_read`: because there was nothing more to read.
    Ended {
        all_read: bool,
    },
}

#[derive(Debug)]
struct Shared {
    client: Client,
    headers: Vec<(String, String)>,
    tally: Mutex<Tally>,
}

impl Pump {
    /// Begins to read.
    pub(super) fn start(
        client: Client,
        headers: Vec<(String, String)>,
        inputs: Vec<Input>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            client,
            headers,
            tally: Mutex::default(),
        });
        let (sender, notes) = mpsc::sync_channel(NOTES_MAX);
        let reader = Reader {
            shared: shared.clone(),
            notes: sender,
        };
        let thread = thread::Builder::new()
            .name("flume-reader".into())
            .spawn(move || reader.run(&inputs))?;
        Ok(Self {
            shared,
            notes,
            thread: Some(thread),
        })
    }

    /// Waits for something to show, or for the end.
    pub(super) fn wait(&mut self, timeout: Duration) -> News {
        match self.notes.recv_timeout(timeout) {
            Ok(note) => News::Note(note),
            Err(RecvTimeoutError::Timeout) => News::Nothing,
            Err(RecvTimeoutError::Disconnected) => {
                let result = self.thread.take().map(JoinHandle::join);
                let all_read = result.is_some_and(|result| result.unwrap_or(false));
                News::Ended { all_read }
            }
        }
    }

    pub(super) fn tally(&self) -> Tally {
        *self.shared.tally()
    }

    /// Takes no further line. The thread may go on waiting for one.
    pub(super) fn stop(&self) {
        self.shared.tally().stopped = true;
    }
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's part of it.
struct Reader {
    shared: Arc<Shared>,
    notes: SyncSender<String>,
}

impl Reader {
    /// Reads all inputs. `false`: it was stopped, or the client takes nothing more.
    fn run(&self, inputs: &[Input]) -> bool {
        inputs.iter().enumerate().all(|(index, input)| {
            self.shared.tally().position = (index, 0);
            self.read(input)
        })
    }

    /// Reads one input to its end. `false`: stopped.
    fn read(&self, input: &Input) -> bool {
        let before = self.shared.tally().bytes;
        let opened = input.open();
        let mut lines = match opened {
            Ok(opened) => Lines::new(opened, EVENT_BYTES_MAX),
            Err(error) => return self.break_off(input, 0, &error),
        };
        let mut number = 0;
        let mut unended = false;
        loop {
            let taken = match lines.next() {
                Ok(None) => break,
                Ok(Some(Line::Whole(line))) => self.offer(line),
                Ok(Some(Line::Unended(line))) => {
                    unended = true;
                    self.offer(line)
                }
                Ok(Some(Line::TooLong)) => self.refuse(),
                Err(error) => {
                    if unended {
                        self.tell_unended(input, number, "only a part of it was read");
                    }
                    return self.break_off(input, number, &error);
                }
            };
            number += 1;
            match taken {
                Taken::Yes => {}
                Taken::Refused { earlier, refusal } => self.name(input, number, earlier, refusal),
                Taken::Stopped => return false,
            }
            self.shared.tally().bytes = before + lines.consumed();
        }
        if unended {
            self.tell_unended(input, number, "if more of it follows, that is not sent");
        }
        true
    }

    /// Tells of a last line that may be the half of one.
    fn tell_unended(&self, input: &Input, number: u64, what: &str) {
        self.shared.tally().unended += 1;
        let number = text::count(number);
        self.tell(format!(
            "{input}, line {number}: has no line feed and was sent as it is; {what}"
        ));
    }

    /// Hands a line over, and waits for room if it must.
    fn offer(&self, line: &[u8]) -> Taken {
        let mut event = Event::new(line);
        for (key, value) in &self.shared.headers {
            event.set_header(key, value);
        }
        loop {
            let mut tally = self.shared.tally();
            if tally.stopped {
                return Taken::Stopped;
            }
            let error = match self.shared.client.append(event) {
                Ok(receipt) => {
                    // The client's counters tell the same for all events together.
                    drop(receipt);
                    tally.done();
                    return Taken::Yes;
                }
                Err(error) => error,
            };
            let needed = match error.refusal() {
                Refusal::Full { needed, .. } => *needed,
                Refusal::SpoolFull { needed, .. } => *needed as usize,
                Refusal::Closed => return Taken::Stopped,
                refusal => {
                    drop(tally);
                    return self.refuse_for(Some(refusal.clone()));
                }
            };
            tally.waits_for_room = true;
            drop(tally);
            self.shared.client.ready(needed).wait(ROOM_WAIT);
            event = error.into_event();
        }
    }

    fn refuse(&self) -> Taken {
        self.refuse_for(None)
    }

    fn refuse_for(&self, refusal: Option<Refusal>) -> Taken {
        let mut tally = self.shared.tally();
        if tally.stopped {
            return Taken::Stopped;
        }
        tally.done();
        tally.refused += 1;
        Taken::Refused {
            earlier: tally.refused - 1,
            refusal,
        }
    }

    /// Tells which line was refused, never what was in it.
    fn name(&self, input: &Input, number: u64, earlier: u64, refusal: Option<Refusal>) {
        let place = format!("{input}, line {}", text::count(number));
        let limit = text::count(EVENT_BYTES_MAX as u64);
        let why = match refusal {
            None | Some(Refusal::TooLarge { .. }) => {
                format!("longer than an event may be ({limit} bytes with its headers)")
            }
            Some(other) => other.to_string(),
        };
        if earlier < REFUSALS_NAMED_MAX {
            self.tell(format!("{place}: {why}; this line is not sent"));
        } else if earlier == REFUSALS_NAMED_MAX {
            self.tell("further refused lines are not named, only counted".to_owned());
        }
    }

    /// Tells why an input was not read to its end. `false`: stopped.
    fn break_off(&self, input: &Input, number: u64, error: &io::Error) -> bool {
        let cut = Cut::of(error);
        let mut tally = self.shared.tally();
        match cut {
            Some(_) => tally.cut += 1,
            None => tally.unreadable += 1,
        }
        let stopped = tally.stopped;
        drop(tally);
        let lines = text::count(number);
        self.tell(match cut {
            Some(Cut { had, has }) => format!(
                "{input} was cut while it was read, after line {lines}: it had {} and has {} now; \
                 what stood there is lost, and what is written to it now was not read",
                text::bytes(had),
                text::bytes(has)
            ),
            None if number == 0 => format!("cannot read {input}: {}", text::reason(error)),
            None => format!(
                "cannot read {input} beyond line {lines}: {}",
                text::reason(error)
            ),
        });
        !stopped
    }

    fn tell(&self, note: String) {
        // It fails only when the command is ending and shows nothing more.
        let _ = self.notes.send(note);
    }
}

/// What became of a line.
enum Taken {
    Yes,
    Refused {
        earlier: u64,
        refusal: Option<Refusal>,
    },
    Stopped,
}
