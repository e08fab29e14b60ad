//! [`Client`]: the handle that services hold.

mod end;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use end::Handle;
pub use end::{Close, CloseGuard, Report};

use crate::blocking::BlockingThread;
use crate::committer::{Committer, Partners};
use crate::config::{ClientBuilder, Config, Overflow, SpoolConfig};
use crate::disk::{Beginning, Disk};
use crate::error::{AppendBatchError, AppendError, BuildError, ClientThread, FlushError};
use crate::event::Event;
use crate::fork;
use crate::health::Health;
use crate::intake::Intake;
use crate::life::Guard;
use crate::random;
use crate::receipt::Receipt;
use crate::runtime::ClientRuntime;
use crate::spool::{Directory, DirectoryError, Log, Storage, open_first_free};
use crate::stats::{SpoolStats, Stats};
use crate::stored::StoredMark;
use crate::ticket::{Ticket, Waited, ticket};
use crate::transport::{Means, Names};
use crate::worker::{self, Backlog, Request};

/// Sends events to Flume agents. Cheap to clone; all clones share one buffer and the threads
/// behind it.
///
/// `append` may be called from anywhere: async code, plain threads, before any runtime exists and
/// after it ended. It copies the event into a bounded buffer and returns; the client's own thread
/// does the rest.
///
/// ```no_run
/// use std::time::Duration;
/// use flume_client::{Client, Event};
///
/// async fn serve(client: Client) -> Result<(), Box<dyn std::error::Error>> {
///     let first = client.append(Event::new("order 17 placed"))?; // waits for nothing
///     let second = client.append_async(Event::new("order 18 placed")).await?; // for room
///     println!("stored by {}", first.delivered().await?.agent);
///     drop(second); // delivered all the same
///     client.flush(Duration::from_secs(5)).await?;
///     let report = client.close(Duration::from_secs(5)).await;
///     println!("{} delivered, {} lost", report.delivered, report.lost.total());
///     Ok(())
/// }
/// ```
///
/// # The end of a client
///
/// | | sends what is there | waits for that | tells what was lost |
/// |---|---|---|---|
/// | [`close(t).await`](Self::close) | for `t` | as a future: the way for async code | in its [`Report`] |
/// | [`close(t).wait()`](Close::wait) | for `t` | blocks the thread | in its [`Report`] |
/// | [`close_on_drop(t)`](Self::close_on_drop), when the guard is dropped | for `t` | blocks the thread | in a line on stderr |
/// | the last clone is dropped | for 1 s | blocks the thread | in a line on stderr |
/// | `process::exit`, `abort`, a signal without a handler; the end of `main` with the client in a `static` | no | no | no |
///
/// Dropping blocks its thread for that second also where async tasks run on it: the client has
/// threads of its own and needs none of the runtime's, but other tasks of that thread wait. What is in
/// a `static` Rust never drops: close such a client at the end, or hold the guard of
/// [`close_on_drop`](Self::close_on_drop) in `main`. `process::exit` drops nothing at all: close the
/// client, or drop the guard, before.
///
/// In a process that is forked from the client's there is no client: nothing is taken, every call
/// and every wait returns at once and says so, and a drop does nothing. What the parent took is
/// the parent's to deliver. Build a client after the fork.
#[derive(Clone, Debug)]
pub struct Client {
    handle: Arc<Handle>,
}

/// Threads of a client at the most, all of them started by [`ClientBuilder::build`]: one that
/// delivers, with a spool one that writes and one that reads, and for look-ups of agents' names
/// what is left.
const THREADS_MAX: usize = 4;
/// How much longer than asked a blocking wait lasts before it looks for itself.
const GRACE: Duration = Duration::from_secs(1);

impl Client {
    /// Starts to set up a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    pub(crate) fn start(config: Config) -> Result<Self, BuildError> {
        Self::start_on(config, |directory| directory)
    }

    /// Starts a client whose spool reads and writes through what `disk` makes of its directory.
    pub(crate) fn start_on(
        config: Config,
        disk: impl FnOnce(Arc<Directory>) -> Arc<dyn Storage>,
    ) -> Result<Self, BuildError> {
        fork::watch().map_err(BuildError::Thread)?;
        let runtime = ClientRuntime::new().map_err(BuildError::Thread)?;
        let others = if config.spool.is_some() { 3 } else { 1 };
        let names = Names::start(&config.agents, THREADS_MAX - others);
        let names = names.map_err(BuildError::Thread)?;
        let (intake, spool) = match &config.spool {
            None => (Arc::new(Intake::new(&config, Beginning::in_memory())), None),
            Some(spool) => {
                let (intake, parts) = open_spool(&config, spool, disk)?;
                (intake, Some(parts))
            }
        };
        let (committer, backlog) = spool.unzip();
        let handover = backlog.as_ref().map(|it| it.handover.clone());
        let guard = |thread| Guard::new(thread, intake.clone(), handover.clone());
        // If a thread cannot be started, its guard is dropped, and the other one ends.
        let sending = guard(ClientThread::Sender);
        let storing = committer.map(|it| (it, guard(ClientThread::Committer)));
        let spool = backlog.as_ref().map(Backlog::storage);
        let means = Means { names, spool };
        let (shared, overflow) = (intake.clone(), config.overflow);
        spawn(ClientThread::Sender, move || {
            worker::run(&runtime, &config, means, &shared, backlog, sending);
        })?;
        if let Some((committer, guard)) = storing {
            spawn(ClientThread::Committer, move || committer.run(guard))?;
        }
        let handle = Arc::new(Handle { intake, overflow });
        Ok(Self { handle })
    }

    /// Takes an event for delivery. If the buffer or the spool is full, the event comes back in
    /// the error, and [`ready`](Self::ready) tells when to try again. Waits for nothing, unless
    /// [`Overflow::Block`] was chosen.
    ///
    /// The receipt tells when an agent has it; drop it if you do not need to know. Delivery is at
    /// least once, or at most once with [`Reliability::BestEffort`](crate::Reliability).
    pub fn append(&self, event: Event) -> Result<Receipt, AppendError> {
        match self.handle.overflow {
            Overflow::Refuse | Overflow::DropOldest => self.try_append(event),
            Overflow::Block(limit) => self.append_within(event, limit),
        }
    }

    fn try_append(&self, event: Event) -> Result<Receipt, AppendError> {
        match self.handle.intake.append(&event) {
            Ok(receipt) => Ok(receipt),
            Err(refusal) => Err(AppendError::new(refusal, event)),
        }
    }

    /// Takes all events or none, under one lock. If there is no room for all of them they come back
    /// in the error; with [`Overflow::Block`] it waits for room first, as [`append`](Self::append)
    /// does.
    pub fn append_batch(&self, events: Vec<Event>) -> Result<Vec<Receipt>, AppendBatchError> {
        let Overflow::Block(limit) = self.handle.overflow else {
            return self.try_append_batch(events);
        };
        let mut events = events;
        let mut waiting_since = None;
        loop {
            let error = match self.try_append_batch(events) {
                Err(error) if error.is_retryable() => error,
                done => return done,
            };
            let room = self.room_for(error.events());
            if !wait_within(room, limit, &mut waiting_since) {
                return Err(error);
            }
            events = error.into_events();
        }
    }

    fn try_append_batch(&self, events: Vec<Event>) -> Result<Vec<Receipt>, AppendBatchError> {
        let result = self.handle.intake.append_all(&events);
        result.map_err(|(index, refusal)| AppendBatchError::new(refusal, index, events))
    }

    /// Takes an event, waiting up to `timeout` for room in the buffer and the spool. Blocks the
    /// calling thread: do not call it on a thread that runs async tasks.
    pub fn append_within(&self, event: Event, timeout: Duration) -> Result<Receipt, AppendError> {
        let mut event = event;
        let mut waiting_since = None;
        loop {
            let error = match self.try_append(event) {
                Err(error) if error.is_retryable() => error,
                done => return done,
            };
            let room = self.room_for(std::slice::from_ref(error.event()));
            if !wait_within(room, timeout, &mut waiting_since) {
                return Err(error);
            }
            event = error.into_event();
        }
    }

    /// Takes an event as soon as there is room for it in the buffer and the spool: the way for async
    /// code. It waits as long as that takes; whoever bounds the wait with a timeout of the runtime
    /// loses the event with the future, since it was never taken.
    ///
    /// ```no_run
    /// # async fn example(client: flume_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use flume_client::Event;
    ///
    /// let receipt = client.append_async(Event::new("order 17 placed")).await?;
    /// println!("stored by {}", receipt.delivered().await?.agent);
    /// # Ok(()) }
    /// ```
    pub async fn append_async(&self, event: Event) -> Result<Receipt, AppendError> {
        let mut event = event;
        loop {
            let error = match self.try_append(event) {
                Err(error) if error.is_retryable() => error,
                done => return done,
            };
            self.room_for(std::slice::from_ref(error.event())).await;
            event = error.into_event();
        }
    }

    /// Takes all events or none, as soon as there is room for all of them. It waits like
    /// [`append_async`](Self::append_async).
    pub async fn append_batch_async(
        &self,
        events: Vec<Event>,
    ) -> Result<Vec<Receipt>, AppendBatchError> {
        let mut events = events;
        loop {
            let error = match self.try_append_batch(events) {
                Err(error) if error.is_retryable() => error,
                done => return done,
            };
            self.room_for(error.events()).await;
            events = error.into_events();
        }
    }

    /// Resolves when there is room for these events.
    fn room_for(&self, events: &[Event]) -> Ready {
        let intake = &self.handle.intake;
        let bytes = events.iter().map(|event| intake.bytes_of(event)).sum();
        let (promise, ticket) = ticket();
        intake.when_ready(bytes, events.len(), promise);
        Ready { ticket }
    }

    /// Resolves when the buffer has room for `bytes` and some more, and the spool for `bytes`, or the
    /// client is closed. Room is not reserved: another caller may be quicker.
    pub fn ready(&self, bytes: usize) -> Ready {
        let (promise, ticket) = ticket();
        self.handle.intake.when_ready(bytes, 1, promise);
        Ready { ticket }
    }

    /// Sends what is buffered without waiting for batches to fill, and resolves when everything
    /// taken so far is acknowledged or given up, or `timeout` has passed. A flush that times out
    /// loses nothing. Events of processes that are gone are not waited for.
    pub fn flush(&self, timeout: Duration) -> Flush {
        let (promise, ticket) = ticket();
        self.handle.intake.request(|upto| Request::Flush {
            upto,
            timeout,
            promise,
        });
        Flush {
            client: self.clone(),
            ticket,
            timeout,
        }
    }

    /// Takes no more events, sends what is there for up to `timeout`, and ends the client's threads.
    /// What is left then stays in the spool, or is given up if there is none. The report says what
    /// became of everything. Of events of processes that are gone, only answers that are under way
    /// are waited for, for 3 s at the most.
    pub fn close(&self, timeout: Duration) -> Close {
        let ticket = self.handle.close(timeout);
        Close {
            handle: self.handle.clone(),
            ticket,
            timeout,
        }
    }

    /// A guard that [closes](Self::close) the client when it is dropped, for a client that is never
    /// dropped itself, above all one in a `static`. The drop blocks its thread for `timeout` at the
    /// longest and a little, and says in one line on stderr what was lost by it, if anything was.
    ///
    /// ```no_run
    /// use std::sync::LazyLock;
    /// use std::time::Duration;
    /// use flume_client::{Client, Event};
    ///
    /// static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    ///     Client::builder().agent("avro://collector-1:4141").build().expect("a sound address")
    /// });
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     let guard = CLIENT.close_on_drop(Duration::from_secs(5)); // also when `?` or a panic ends main
    ///     drop(CLIENT.append(Event::new("started"))?);
    ///     drop(guard); // only `process::exit` needs it: nothing is dropped there
    ///     std::process::exit(0)
    /// }
    /// ```
    pub fn close_on_drop(&self, timeout: Duration) -> CloseGuard {
        CloseGuard {
            handle: self.handle.clone(),
            timeout,
        }
    }

    /// Whether events flow, and if not, why. Cheap enough to be asked every second: it costs a
    /// copy of the counters.
    pub fn health(&self) -> Health {
        self.handle.intake.health()
    }

    /// The counters, as of one moment. In a forked process they count what was refused there, and
    /// know nothing else.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.handle.intake.stats()
    }
}

fn spawn(thread: ClientThread, body: impl FnOnce() + Send + 'static) -> Result<(), BuildError> {
    let builder = thread::Builder::new().name(thread.name().into());
    builder.spawn(body).map_err(BuildError::Thread)?;
    Ok(())
}

/// Waits for room, until `timeout` has passed since the first wait. `false`: it has.
fn wait_within(room: Ready, timeout: Duration, waiting_since: &mut Option<Instant>) -> bool {
    let started = *waiting_since.get_or_insert_with(Instant::now);
    let left = timeout.saturating_sub(started.elapsed());
    !left.is_zero() && room.wait(left)
}

/// Opens a spool, for its two sides to be started.
pub(crate) fn open_spool(
    config: &Config,
    spool: &SpoolConfig,
    disk: impl FnOnce(Arc<Directory>) -> Arc<dyn Storage>,
) -> Result<(Arc<Intake>, (Committer, Backlog)), BuildError> {
    let directory = match spool.shared {
        true => open_first_free(&spool.directory, spool.access)?,
        false => Directory::open(&spool.directory, spool.access)?,
    };
    let directory = directory.with_flushing(spool.flushing());
    let directory = Arc::new(directory);
    let storage = disk(directory.clone());
    let settings = spool.settings(config.event_bytes_max, directory.limits());
    let settings = settings.map_err(|limit| {
        let directory = directory.path();
        DirectoryError::FileSizeLimit { directory, limit }
    })?;
    let (log, opened) = Log::open(storage.clone(), settings, random::draw()).map_err(|source| {
        let directory = directory.path();
        BuildError::SpoolUnreadable { directory, source }
    })?;
    let mark = Arc::new(StoredMark::new(log.next()));
    let disk = Disk::new(settings.bytes_max, log.room(), log.next());
    let known = SpoolStats {
        directory: directory.path(),
        notes: directory.notes(),
        ..SpoolStats::default()
    };
    let beginning = Beginning {
        run_id: log.run_id(),
        first: log.next(),
        recovered: log.backlog(),
        stored: mark.clone(),
        disk: Some((known, disk)),
    };
    let intake = Arc::new(Intake::new(config, beginning));
    let reading = BlockingThread::start("flume-read").map_err(BuildError::Thread)?;
    let backlog = Backlog::new(reading.clone(), storage, &directory.path(), &log, &opened);
    let partners = Partners {
        intake: intake.clone(),
        handover: backlog.handover.clone(),
        mark,
    };
    let committer = Committer::new(log, directory, spool.clone(), settings, reading, partners);
    Ok((intake, (committer, backlog)))
}

/// The future of [`Client::ready`].
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct Ready {
    ticket: Ticket<()>,
}

impl Ready {
    /// The same for a plain thread. `false`: no room within `timeout`.
    pub fn wait(self, timeout: Duration) -> bool {
        !matches!(self.ticket.wait(timeout), Waited::TimedOut)
    }
}

impl Future for Ready {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.ticket.poll(context).map(|_| ())
    }
}

/// The future of [`Client::flush`]. The flush goes on whether it is awaited or not.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct Flush {
    client: Client,
    ticket: Ticket<Result<(), FlushError>>,
    timeout: Duration,
}

impl Flush {
    /// The same for a plain thread.
    pub fn wait(self) -> Result<(), FlushError> {
        let waited = self.ticket.wait(self.timeout.saturating_add(GRACE));
        self.result(waited)
    }

    fn result(&self, waited: Waited<Result<(), FlushError>>) -> Result<(), FlushError> {
        match waited {
            Waited::Done(result) => result,
            Waited::Gone | Waited::TimedOut => {
                let forked_from = self.client.handle.intake.forked_from();
                let stats = self.client.stats();
                let (pending, failed) = (stats.own_pending(), stats.failed);
                if pending == 0 && failed.is_none() && forked_from.is_none() {
                    return Ok(());
                }
                Err(FlushError {
                    pending,
                    last_error: self.client.stats().last_error(),
                    forked_from,
                    failed,
                })
            }
        }
    }
}

impl Future for Flush {
    type Output = Result<(), FlushError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.ticket.poll(context).map(|waited| self.result(waited))
    }
}
