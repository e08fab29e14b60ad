//! [`Grouped`]: group commit around a store for one caller.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use flume_client::Event;

use crate::callers::DurableQueue;
use crate::load::{Result, event_bytes};
use crate::store::Store;

/// Callers put their events into one buffer and wait; a thread commits what has come together
/// while the commit before it was under way.
pub(crate) struct Grouped {
    shared: Arc<Shared>,
    committer: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// The committer waits here.
    work: Condvar,
    /// Callers wait here while too much is pending, and to be settled.
    room: Condvar,
    /// Callers wait here for commits of even and of odd numbers, so that each wakes only its own.
    done: [Condvar; 2],
}

#[derive(Default)]
struct State {
    pending: Vec<u8>,
    /// The number of the commit that what is pending will be in.
    next: u64,
    /// All commits below are durable.
    durable: u64,
    /// Nothing more gets durable.
    failure: Option<String>,
    must_settle: bool,
    is_closed: bool,
}

/// Bytes of a commit at most; callers wait while so much is pending.
const PENDING_BYTES_MAX: usize = 1024 * 1024;

impl Grouped {
    pub(crate) fn new(store: Box<dyn Store>) -> Self {
        let shared = Arc::<Shared>::default();
        let committer = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.commit_all(store))
        };
        Self {
            shared,
            committer: Some(committer),
        }
    }
}

impl DurableQueue for Grouped {
    fn append_durable(&self, event: &Event) -> Result<()> {
        self.append_all(event, 1)
    }

    fn append_all(&self, event: &Event, count: usize) -> Result<()> {
        let mut last = 0;
        for _ in 0..count {
            last = self.shared.append(event.as_datum())?;
        }
        let [even, odd] = &self.shared.done;
        let done = if last.is_multiple_of(2) { even } else { odd };
        let is_durable = |state: &State| state.durable > last;
        drop(self.shared.wait(done, self.shared.lock(), is_durable)?);
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        let mut state = self.shared.lock();
        state.must_settle = true;
        self.shared.work.notify_one();
        let room = &self.shared.room;
        drop(self.shared.wait(room, state, |state| !state.must_settle)?);
        Ok(())
    }

    fn commits(&self) -> Option<u64> {
        Some(self.shared.lock().durable)
    }
}

impl Drop for Grouped {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.work.notify_one();
        if let Some(committer) = self.committer.take() {
            // Its failure was told to the callers.
            let _ = committer.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &self,
        condition: &Condvar,
        state: MutexGuard<'a, State>,
        is_there: impl Fn(&State) -> bool,
    ) -> Result<MutexGuard<'a, State>> {
        let waits = |state: &mut State| state.failure.is_none() && !is_there(state);
        let state = condition.wait_while(state, waits);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        match &state.failure {
            Some(failure) => Err(failure.clone().into()),
            None => Ok(state),
        }
    }

    /// The number of the commit that the event will be in.
    fn append(&self, event: &[u8]) -> Result<u64> {
        let has_room = |state: &State| state.pending.len() + event_bytes() <= PENDING_BYTES_MAX;
        let mut state = self.wait(&self.room, self.lock(), has_room)?;
        if state.pending.is_empty() {
            self.work.notify_one();
        }
        state.pending.extend_from_slice(event);
        Ok(state.next)
    }

    fn commit_all(&self, mut store: Box<dyn Store>) {
        let outcome = self.commit_until_closed(store.as_mut());
        self.lock().failure = outcome.err().map(|error| error.to_string());
        self.room.notify_all();
        self.done.iter().for_each(Condvar::notify_all);
    }

    fn commit_until_closed(&self, store: &mut dyn Store) -> Result<()> {
        let mut taken = Vec::new();
        loop {
            let idle = |it: &mut State| it.pending.is_empty() && !it.must_settle && !it.is_closed;
            let state = self.work.wait_while(self.lock(), idle);
            let mut state = state.unwrap_or_else(PoisonError::into_inner);
            if state.is_closed {
                return Ok(());
            }
            if state.pending.is_empty() {
                drop(state);
                store.settle()?;
                self.lock().must_settle = false;
                self.room.notify_all();
                continue;
            }
            std::mem::swap(&mut taken, &mut state.pending);
            let commit = state.next;
            state.next += 1;
            drop(state);
            if taken.len() + event_bytes() > PENDING_BYTES_MAX {
                self.room.notify_all();
            }
            store.commit(&taken)?;
            taken.clear();
            self.lock().durable = commit + 1;
            let [even, odd] = &self.done;
            let done = if commit.is_multiple_of(2) { even } else { odd };
            done.notify_all();
        }
    }
}
