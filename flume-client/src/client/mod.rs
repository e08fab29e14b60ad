//! [`Client`]: the handle that services hold.

mod builder;
mod driver;
mod end;
mod open;
mod scratch;
mod spools;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
#[cfg(feature = "test")]
use std::sync::Weak;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

pub use builder::ClientBuilder;
pub use driver::Driver;
use end::{Answer, Handle};
pub use end::{Close, CloseGuard};
#[cfg(any(feature = "hallway", test))]
pub(crate) use spools::{Parts, assemble};

use crate::config::{Config, Overflow};
use crate::error::{AppendBatchError, AppendError, BuildError, FlushError, Refusal};
use crate::event::Event;
use crate::event_batch::EventBatch;
use crate::health::Health;
use crate::queue::{Amount, Intake, Receipt, Request, Ticket, Waited, oneshot};
use crate::reliability::Reliability;
use crate::spool::{Directory, Storage};
use crate::stats::Stats;
use crate::stats::fill::Fill;
#[cfg(feature = "test")]
use crate::transport::InMemory;

/// Sends events to Flume agents. Cheap to clone; all clones share one buffer and the threads
/// after it.
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
///     println!("acknowledged by {}", first.delivered().await?.agent);
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
/// | [`close(t).await`](Self::close) | for `t` | as a future: the way for async code | in its [`Report`](crate::Report) |
/// | [`close(t).wait()`](Close::wait) | for `t` | blocks the thread | in its [`Report`](crate::Report) |
/// | [`close_on_drop(t)`](Self::close_on_drop), when the guard is dropped | for `t` | blocks the thread | in a line on stderr |
/// | the last clone is dropped | for 1 s | blocks the thread | in a line on stderr |
/// | `process::exit`, `abort`, a signal without a handler; the end of `main` with the client in a `static` | no | no | no |
///
/// A client with a [`Driver`] blocks nowhere when it is dropped.
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
    /// Of the events that come by this handle.
    level: Reliability,
}

impl Client {
    pub(crate) fn start(config: Config) -> Result<Self, BuildError> {
        Self::start_on(config, |directory| directory)
    }

    /// Starts a client whose spool reads and writes through what `disk` makes of its directory.
    pub(crate) fn start_on(
        config: Config,
        disk: impl Fn(Arc<Directory>) -> Arc<dyn Storage> + Send + Sync + 'static,
    ) -> Result<Self, BuildError> {
        let level = config.reliability;
        let handle = Arc::new(open::start(config, Box::new(disk), open::sockets)?);
        Ok(Self { handle, level })
    }

    /// Begins a client whose sender the caller drives.
    pub(crate) fn start_with_driver(config: Config) -> Result<(Self, Driver), BuildError> {
        let level = config.reliability;
        let (handle, driver) = driver::start(config, open::sockets)?;
        let handle = Arc::new(handle);
        Ok((Self { handle, level }, driver))
    }

    /// Starts a client whose agents are in this process's memory.
    #[cfg(feature = "test")]
    pub(crate) fn start_in_memory(
        config: Config,
        agents: Arc<InMemory>,
    ) -> Result<Self, BuildError> {
        let (level, network) = (config.reliability, |_: &Arc<Config>, _| Ok(agents));
        let handle = open::start(config, Box::new(|directory| directory), network)?;
        Ok(Self {
            handle: Arc::new(handle),
            level,
        })
    }

    /// There is no room from now on, or as much as there is.
    #[cfg(feature = "test")]
    pub(crate) fn play_full(&self, plays_full: bool) {
        self.handle.intake.play_full(plays_full);
    }

    /// What does not keep the client alive.
    #[cfg(feature = "test")]
    pub(crate) fn downgrade(&self) -> WeakClient {
        WeakClient(Arc::downgrade(&self.handle), self.level)
    }

    /// A handle of the same client, with the same agents, connections and buffer, for events that it
    /// is to try harder with, or less hard. Cheap: make one for each level and keep it. Only the first
    /// one for a level that has a spool, and that the client was not built for, takes a while: it
    /// opens a [place](ClientBuilder::spool_shared) among the spool's, and starts a thread.
    ///
    /// Events of one level keep their order, as [`WindowMode`](crate::WindowMode) says, and those of
    /// different levels do not wait for each other. No batch mixes levels. When the buffer fills,
    /// what keeps least gives way first: of the levels below the one that the client was
    /// [built](ClientBuilder::reliability) with, best effort is handed back from half of the buffer on,
    /// and in memory and store on failure from three quarters on.
    ///
    /// # Errors
    ///
    /// [`BuildError::NoSpool`]: [`EndToEnd`](Reliability::EndToEnd) or
    /// [`StoreOnFailure`](Reliability::StoreOnFailure), and the client was built without a spool. What
    /// keeps a place from being opened, as with [`build`](ClientBuilder::build).
    ///
    /// ```no_run
    /// use flume_client::{Client, Event, Reliability};
    ///
    /// let client = Client::builder().agent("avro://collector-1:4141").spool("/var/spool/orders").build()?;
    /// let metrics = client.at(Reliability::BestEffort)?;
    /// client.append(Event::new("order 17 placed"))?; // end to end
    /// metrics.append(Event::new("queue length 3"))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn at(&self, level: Reliability) -> Result<Self, BuildError> {
        if level.has_spool() && self.handle.intake.forked_from().is_none() {
            let spools = self.handle.spools.as_ref();
            spools.ok_or(BuildError::NoSpool)?.open(level)?;
        }
        let handle = self.handle.clone();
        Ok(Self { handle, level })
    }

    /// How hard the client tries with events that come by this handle.
    #[must_use]
    pub fn reliability(&self) -> Reliability {
        self.level
    }

    /// Takes an event for delivery. If the buffer or the spool is full, the event comes back in
    /// the error, and [`ready`](Self::ready) tells when to try again. Waits for nothing, unless
    /// [`Overflow::Block`] was chosen.
    ///
    /// The receipt tells when an agent has it; drop it if you do not need to know. Delivery is at
    /// least once, or at most once with [`Reliability::BestEffort`](crate::Reliability).
    pub fn append(&self, event: Event) -> Result<Receipt, AppendError> {
        let mut event = event;
        let taken = self.take(&mut event, Intake::append);
        taken.map_err(|refusal| AppendError::new(refusal, event))
    }

    /// The same for who does not want to know what becomes of this event: it costs less than a receipt
    /// that is dropped. What is lost is told by [`health`](Self::health) and [`stats`](Self::stats).
    ///
    /// ```no_run
    /// use flume_client::{Client, Event};
    ///
    /// # fn example(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// client.send(Event::with_headers("order 17 placed", [("host", "web-1")]))?;
    /// # Ok(()) }
    /// ```
    pub fn send(&self, event: Event) -> Result<(), AppendError> {
        let mut event = event;
        let taken = self.take(&mut event, Intake::send);
        taken.map_err(|refusal| AppendError::new(refusal, event))
    }

    /// What [`append`](Self::append) does with an [`Event::with_headers`] of these parts, for callers
    /// that have them at hand and keep them: nothing is allocated, as each thread keeps the memory in
    /// which they are encoded, up to 64 KiB.
    ///
    /// ```no_run
    /// use flume_client::Client;
    ///
    /// # fn example(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// client.append_parts(&[("host", "web-1"), ("level", "INFO")], b"order 17 placed")?;
    /// # Ok(()) }
    /// ```
    pub fn append_parts(&self, headers: &[(&str, &str)], body: &[u8]) -> Result<Receipt, Refusal> {
        scratch::with(headers, body, |event| self.take(event, Intake::append))
    }

    /// What [`send`](Self::send) does with an event of these parts: the cheapest way to append one.
    /// See [`append_parts`](Self::append_parts).
    pub fn send_parts(&self, headers: &[(&str, &str)], body: &[u8]) -> Result<(), Refusal> {
        scratch::with(headers, body, |event| self.take(event, Intake::send))
    }

    /// Takes an event by `take`, and waits for room if [`Overflow`] says so.
    #[inline]
    fn take<T>(
        &self,
        event: &mut Event,
        take: impl Fn(&Intake, Reliability, &Event) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        match self.handle.overflow {
            Overflow::Refuse | Overflow::DropOldest => self.try_take(event, take),
            Overflow::Block(limit) => self.take_within(event, limit, take),
        }
    }

    #[inline]
    fn try_take<T>(
        &self,
        event: &mut Event,
        take: impl Fn(&Intake, Reliability, &Event) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        if let Some(headers) = &self.handle.headers {
            headers.complete(event);
        }
        take(&self.handle.intake, self.level, event)
    }

    fn take_within<T>(
        &self,
        event: &mut Event,
        timeout: Duration,
        take: impl Fn(&Intake, Reliability, &Event) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut waiting_since = None;
        loop {
            let refusal = match self.try_take(event, &take) {
                Err(refusal) if refusal.is_retryable() => refusal,
                done => return done,
            };
            let room = self.room_for(std::slice::from_ref(event));
            if !wait_within(room, timeout, &mut waiting_since) {
                return Err(refusal);
            }
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
        let mut events = events;
        if let Some(headers) = &self.handle.headers {
            events.iter_mut().for_each(|event| headers.complete(event));
        }
        let result = self.handle.intake.append_all(self.level, &events);
        result.map_err(|(index, refusal)| AppendBatchError::new(refusal, index, events))
    }

    /// Takes an event, waiting up to `timeout` for room in the buffer and the spool. Blocks the
    /// calling thread: do not call it on a thread that runs async tasks.
    pub fn append_within(&self, event: Event, timeout: Duration) -> Result<Receipt, AppendError> {
        let mut event = event;
        let taken = self.take_within(&mut event, timeout, Intake::append);
        taken.map_err(|refusal| AppendError::new(refusal, event))
    }

    /// Takes an event as soon as there is room for it in the buffer and the spool: the way for async
    /// code. It waits as long as that takes; a caller that bounds the wait with a timeout of the
    /// runtime loses the event with the future, since it was never taken.
    ///
    /// ```no_run
    /// # async fn example(client: flume_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use flume_client::Event;
    ///
    /// let receipt = client.append_async(Event::new("order 17 placed")).await?;
    /// println!("acknowledged by {}", receipt.delivered().await?.agent);
    /// # Ok(()) }
    /// ```
    pub async fn append_async(&self, event: Event) -> Result<Receipt, AppendError> {
        let mut event = event;
        loop {
            match self.try_take(&mut event, Intake::append) {
                Ok(receipt) => return Ok(receipt),
                Err(refusal) if refusal.is_retryable() => {}
                Err(refusal) => return Err(AppendError::new(refusal, event)),
            }
            self.room_for(std::slice::from_ref(&event)).await;
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

    /// Takes all events of a batch or none, by swapping buffers: a few nanoseconds for each. Afterwards
    /// the batch is empty and has room, or, if they were refused, is as it was. Waits for nothing,
    /// whatever [`Overflow`] is. Returns the receipt of the last event; none if there was no event.
    ///
    /// The events get no [id](crate::event_id) and no other header from the client: what is to be in
    /// them, the caller writes.
    pub fn append_encoded(&self, batch: &mut EventBatch) -> Result<Option<Receipt>, Refusal> {
        self.handle.intake.append_encoded(self.level, batch)
    }

    /// How full buffer and spool are, for who wants to give way before they are full. Allocates
    /// nothing. In a forked process all of it is zero.
    #[must_use]
    pub fn fill(&self) -> Fill {
        self.handle.intake.fill(self.level)
    }

    /// Resolves when there is room for these events.
    fn room_for(&self, events: &[Event]) -> Ready {
        self.ready_when(self.handle.intake.amount_of(self.level, events))
    }

    /// Resolves when there is room for `bytes`: the size of an event as encoded, and up to 40 bytes
    /// for its id.
    ///
    /// If they fit into the buffer and the spool, it resolves at once. A caller that has to wait is
    /// woken when a quarter of the buffer is free, or room for `bytes` if that is more, so that it
    /// finds room for many events. If `bytes` are more than the whole buffer, or the client is
    /// closed, it resolves at once, and the append then says so. Room is not reserved: another
    /// caller may be quicker.
    pub fn ready(&self, bytes: usize) -> Ready {
        self.ready_when(Amount { events: 1, bytes })
    }

    /// The same for all events of a batch, of which each takes some room in a spool beside its bytes.
    pub fn ready_for(&self, batch: &EventBatch) -> Ready {
        self.ready_when(Amount {
            events: batch.len(),
            bytes: batch.bytes(),
        })
    }

    fn ready_when(&self, amount: Amount) -> Ready {
        let (promise, ticket) = oneshot();
        self.handle.intake.when_ready(self.level, amount, promise);
        Ready { ticket }
    }

    /// Sends what is buffered without waiting for batches to fill, and resolves when everything
    /// taken so far is acknowledged or given up, or `timeout` has passed. A flush that times out
    /// loses nothing. Events of processes that are gone are not waited for.
    pub fn flush(&self, timeout: Duration) -> Flush {
        let (promise, ticket) = oneshot();
        self.handle.intake.request(|upto| Request::Flush {
            upto,
            timeout,
            promise,
        });
        Flush {
            client: self.clone(),
            answer: self.handle.answer(ticket, timeout),
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
            answer: self.handle.answer(ticket, timeout),
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

/// A client that may be gone.
#[cfg(feature = "test")]
#[derive(Debug)]
pub(crate) struct WeakClient(Weak<Handle>, Reliability);

#[cfg(feature = "test")]
impl WeakClient {
    /// It, if it is not.
    pub(crate) fn upgrade(&self) -> Option<Client> {
        let level = self.1;
        self.0.upgrade().map(|handle| Client { handle, level })
    }
}

/// Waits for room, until `timeout` has passed since the first wait. `false`: it has.
fn wait_within(room: Ready, timeout: Duration, waiting_since: &mut Option<Instant>) -> bool {
    let started = *waiting_since.get_or_insert_with(Instant::now);
    let left = timeout.saturating_sub(started.elapsed());
    !left.is_zero() && room.wait(left)
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
    answer: Answer<Result<(), FlushError>>,
}

impl Flush {
    /// The same for a plain thread.
    pub fn wait(self) -> Result<(), FlushError> {
        self.result(self.answer.wait())
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
        let this = self.get_mut();
        let polled = this.answer.poll(context);
        polled.map(|waited| this.result(waited))
    }
}
