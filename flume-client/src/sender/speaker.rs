//! [`Speaker`]: tells changes to the log and to `on_change`, where nothing waits for them.
//!
//! What it calls is foreign code, which may block for ever, panic, or append to this very client. So
//! it has a thread of its own, `flume-changes`, which is started when there is something to say and
//! ends when it is said. A system that has no thread to give is asked again with the next look.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use log::Level;

use crate::health::change::{Change, OnChange};
use crate::own_thread;
use crate::queue::wakeup;

/// The target of what is logged.
const TARGET: &str = "flume_client";
/// Changes that wait for a listener who blocks. Beyond that the oldest are dropped.
const WAITING_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct Speaker {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    on_change: OnChange,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    changes: VecDeque<Change>,
    left_out: u64,
    /// The thread is there.
    is_speaking: bool,
}

impl Speaker {
    pub(crate) fn new(on_change: OnChange) -> Self {
        let shared = Shared {
            on_change,
            queue: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Whether anybody listens. Asks no foreign code.
    pub(crate) fn is_heard(&self) -> bool {
        self.shared.on_change.0.is_some() || log::max_level() >= Level::Warn
    }

    /// Tells these, and what still waits.
    pub(crate) fn tell(&self, changes: impl IntoIterator<Item = Change>) {
        let mut queue = self.shared.lock();
        for change in changes {
            if queue.changes.len() >= WAITING_MAX {
                queue.changes.pop_front();
                queue.left_out += 1;
            }
            queue.changes.push_back(change);
        }
        if queue.is_speaking || queue.changes.is_empty() {
            return;
        }
        queue.is_speaking = true;
        drop(queue);
        let shared = self.shared.clone();
        if own_thread::spawn("flume-changes", move || shared.speak()).is_err() {
            self.shared.lock().is_speaking = false;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body of the thread.
    fn speak(&self) {
        while let Some(change) = self.next() {
            wakeup::call(|| say(&change));
            if let Some(on_change) = &self.on_change.0 {
                wakeup::call(|| on_change(&change));
            }
        }
    }

    /// What is to be said next. `None` is the end of the thread.
    fn next(&self) -> Option<Change> {
        let mut queue = self.lock();
        if queue.left_out > 0 {
            return Some(Change::LeftOut(std::mem::take(&mut queue.left_out)));
        }
        let change = queue.changes.pop_front();
        queue.is_speaking = change.is_some();
        change
    }
}

fn say(change: &Change) {
    let level = match change {
        Change::Began(_) | Change::Noted(_) | Change::LeftOut(_) => Level::Warn,
        Change::Ended { .. } => Level::Info,
    };
    own_thread::run_as(true, || log::log!(target: TARGET, level, "{change}"));
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    use super::*;
    use crate::health::Problem;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A speaker whose listener waits for a word before each change.
    fn speaker() -> (Speaker, Sender<()>, Receiver<String>) {
        let (go_on, waits) = channel::<()>();
        let (sender, told) = channel();
        let both = Mutex::new((waits, sender));
        let on_change = move |change: &Change| {
            let both = both.lock().unwrap_or_else(PoisonError::into_inner);
            both.0.recv_timeout(PATIENCE).unwrap();
            both.1.send(change.to_string()).unwrap();
        };
        (
            Speaker::new(OnChange(Some(Arc::new(on_change)))),
            go_on,
            told,
        )
    }

    fn number(number: u64) -> Change {
        Change::LeftOut(1_000_000 + number)
    }

    fn is_number(told: &str, wanted: u64) -> bool {
        told.starts_with(&(1_000_000 + wanted).to_string())
    }

    #[test]
    fn a_listener_that_blocks_holds_nobody_up_and_is_told_what_it_missed() {
        let (speaker, go_on, told) = speaker();
        speaker.tell([number(0)]);
        // Nothing of this waits.
        let total = WAITING_MAX as u64 + 10;
        (1..=total).for_each(|next| speaker.tell([number(next)]));
        assert!(speaker.shared.lock().changes.len() <= WAITING_MAX);
        (0..total + 2).for_each(|_| go_on.send(()).unwrap());
        let mut all = Vec::new();
        while all
            .last()
            .is_none_or(|last: &String| !is_number(last, total))
        {
            all.push(told.recv_timeout(PATIENCE).unwrap());
        }
        assert!(all.len() >= WAITING_MAX);
        assert!(
            all.iter()
                .any(|told| told.contains("too slow") && !told.starts_with("10000"))
        );
    }

    #[test]
    fn a_listener_that_panics_is_told_the_next_change_all_the_same() {
        let (sender, told) = channel();
        let sender = Mutex::new(sender);
        let on_change = move |change: &Change| match change {
            Change::LeftOut(_) => std::panic::resume_unwind(Box::new("on purpose")),
            change => {
                let sender = sender.lock().unwrap();
                sender.send(change.to_string()).unwrap();
            }
        };
        let speaker = Speaker::new(OnChange(Some(Arc::new(on_change))));
        speaker.tell([number(1), Change::Began(Problem::Closed)]);
        assert!(told.recv_timeout(PATIENCE).unwrap().contains("was closed"));
    }
}
