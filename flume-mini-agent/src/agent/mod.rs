//! [`MiniAgent`]: starts, stops and inspects an agent.

pub(crate) mod builder;
mod carried;
mod channel_part;
pub(crate) mod configured;
#[cfg(feature = "control")]
pub(crate) mod control_options;
#[cfg(feature = "control")]
mod controlled;
pub(crate) mod engine;
pub(crate) mod error;
mod host;
mod kept;
mod metrics;
mod parts;
pub(crate) mod plan;
mod sink_part;
pub(crate) mod source_part;
mod wait;
mod worker;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flume_client::{Client, ClientBuilder, Event};

use crate::config::AgentConfig;
#[cfg(feature = "control")]
use crate::control::ControlServer;
use crate::fault::engine::FaultHit;
use crate::fault::guard::FaultGuard;
use crate::fault::rule::FaultRule;
use crate::ledger::Ledger;
use crate::log::{ConnectionRecord, RequestRecord};
use crate::observed::{Observed, ObservedState, Stats};
use crate::received::Received;
use engine::{Engine, Leftover, Reconfigured};
use error::{ReconfigureError, StartError, WaitError};
use plan::{Options, Plan};
use source_part::SourcePart;

/// A Flume agent in this process: by default an Avro source, a memory channel and a sink; with
/// [`configured`](Self::configured) as many components as a configuration has.
///
/// It works on a thread of its own and stops when dropped. Any number can run side by side. In
/// async code wait with [`wait_for_async`](Self::wait_for_async) and
/// [`wait_until_async`](Self::wait_until_async): the others block the calling thread, and with it
/// whatever else is to run there, as in a `#[tokio::test]`.
///
/// ```
/// use std::time::Duration;
///
/// use flume_mini_agent::MiniAgent;
///
/// let mut agent = MiniAgent::builder().start()?;
/// let address = agent.addr();
/// assert_eq!(agent.url(), format!("avro://{address}"));
///
/// // Nobody sends anything here, so a wait tells what did arrive:
/// let error = agent.wait_for(1, Duration::ZERO).unwrap_err();
/// assert!(error.to_string().starts_with("0 of 1 events arrived within 0ns"));
///
/// // The agent goes down and comes back at the same address:
/// agent.stop();
/// agent.start_again()?;
/// assert_eq!(agent.addr(), address);
/// # Ok::<(), flume_mini_agent::StartError>(())
/// ```
pub struct MiniAgent {
    #[cfg(feature = "control")]
    control: Option<ControlServer>,
    engine: Arc<Engine>,
}

impl MiniAgent {
    /// Settings of a client of this agent, of its first source if there are several.
    pub fn client(&self) -> ClientBuilder {
        Client::builder().agent(self.url())
    }

    /// The address the source listens on, the first one if there are several. It stays the same
    /// over stops and starts. `0.0.0.0:0` if there is no source.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.engine.parts().address()
    }

    /// The address of the source of this name. [`builder`](Self::builder) calls its own `r1`.
    #[must_use]
    pub fn addr_of(&self, source: &str) -> Option<SocketAddr> {
        let parts = self.engine.parts();
        let found = parts.sources.iter().find(|part| part.name == source);
        found.map(|part| part.port.address())
    }

    /// The address as clients take it: `avro://HOST:PORT`, or `http` or `netcat` if that is the
    /// type of the first source.
    #[must_use]
    pub fn url(&self) -> String {
        let parts = self.engine.parts();
        let first = parts.sources.first();
        first.map_or_else(|| format!("avro://{}", self.addr()), SourcePart::url)
    }

    /// Name and [`url`](Self::url) of every source, in the order of the configuration.
    #[must_use]
    pub fn urls(&self) -> Vec<(String, String)> {
        let parts = self.engine.parts();
        let sources = parts.sources.iter();
        sources
            .map(|part| (part.name.clone(), part.url()))
            .collect()
    }

    /// Stops the agent: the listener and all connections are closed when this returns.
    ///
    /// Batches that wait for room are not committed, and their clients get no answer. A commit
    /// under way on a disk is finished, unanswered. Events in the channel and events received stay.
    /// On Linux the port stays claimed, so that nobody gets it by chance. Stopping a stopped agent
    /// does nothing.
    pub fn stop(&mut self) {
        self.engine.stop();
    }

    /// Stops the agent in good order: first the sources, so that nothing new comes in, and the
    /// sinks when they have emptied their channels, or after `timeout`. Returns what is left in
    /// the channels, those that no sink takes from included.
    ///
    /// What is left stays there for [`start_again`](Self::start_again), as after a
    /// [`stop`](Self::stop).
    pub fn drain(&mut self, timeout: Duration) -> Vec<Leftover> {
        self.engine.drain(timeout)
    }

    /// Starts a stopped agent again, at its old address, with what it has received so far.
    ///
    /// The channel keeps its events too, as over a reload of Flume's configuration; one on disk is
    /// opened again, so that it works even if its disk had failed. Clients'
    /// protocols are forgotten, so each has to make its handshake anew.
    pub fn start_again(&mut self) -> Result<(), StartError> {
        self.engine.start()
    }

    /// [`stop`](Self::stop) and [`start_again`](Self::start_again).
    pub fn restart(&mut self) -> Result<(), StartError> {
        self.engine.restart()
    }

    /// Gives the agent another configuration, as Flume does when its file changes: all sources,
    /// sinks and channels are stopped, and those of `config` are started.
    ///
    /// Memory channels of the same name keep their events, ports that are in both configurations
    /// stay claimed, file channels are closed and read again. What was received, requests, faults
    /// and the control interface stay; the counters of the components begin anew. An equal
    /// configuration changes nothing. A stopped agent stays stopped.
    ///
    /// # Errors
    ///
    /// If something of `config` cannot start. The former configuration is then started again, or
    /// was never stopped, or, if that fails too, the agent is stopped.
    pub fn reconfigure(&self, config: AgentConfig) -> Result<Reconfigured, ReconfigureError> {
        self.engine.reconfigure(config)
    }

    /// Keeps the sink, or all of them, from taking events, so that channels fill. When this
    /// returns, no batch is in a sink's hands.
    pub fn pause_sink(&self) {
        self.engine.shared.gate.pause();
    }

    /// Lets the sinks take events again.
    pub fn resume_sink(&self) {
        self.engine.shared.gate.resume();
    }

    /// The events the collect sink has received, in the order in which it got them. Empty with any
    /// other sink.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.observed().read(received)
    }

    /// Number of events the sink has received, whatever sink it is.
    #[must_use]
    pub fn received_count(&self) -> u64 {
        self.observed().read(|state| state.stats.events_drained)
    }

    /// Waits until the collect sink has received `events` events or more, and returns them all.
    ///
    /// Blocks the thread; in async code use [`wait_for_async`](Self::wait_for_async).
    pub fn wait_for(&self, events: usize, timeout: Duration) -> Result<Vec<Received>, WaitError> {
        self.check_keeps()?;
        let found = self
            .observed()
            .wait(timeout, Engine::received(events, received));
        found.ok_or_else(|| self.too_few(events, timeout, wait::is_starving()))
    }

    /// The same without blocking the thread, on any runtime or none.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use flume_client::Event;
    /// use flume_mini_agent::MiniAgent;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// # runtime.block_on(async {
    /// let agent = MiniAgent::builder().start()?;
    /// let client = agent.client().build()?;
    /// // What the code under test does, on this one thread:
    /// tokio::spawn(async move { client.append(Event::new("hi")).unwrap().delivered().await });
    ///
    /// let events = agent.wait_for_async(1, Duration::from_secs(5)).await?;
    /// assert_eq!(events, [Event::new("hi")]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn wait_for_async(
        &self,
        events: usize,
        timeout: Duration,
    ) -> Result<Vec<Received>, WaitError> {
        self.check_keeps()?;
        let observed = self.observed();
        let found = observed.wait_async(Engine::received(events, received));
        match wait::within(timeout, found).await {
            Some(found) => Ok(found),
            None => Err(self.too_few(events, timeout, false)),
        }
    }

    /// Waits until `reached` says so of the counters, and returns them.
    ///
    /// Blocks the thread; in async code use [`wait_until_async`](Self::wait_until_async).
    pub fn wait_until(
        &self,
        timeout: Duration,
        reached: impl FnMut(&Stats) -> bool,
    ) -> Result<Stats, WaitError> {
        let found = self.observed().wait(timeout, self.reached(reached));
        found.ok_or_else(|| self.not_reached(timeout, wait::is_starving()))
    }

    /// The same without blocking the thread, on any runtime or none.
    pub async fn wait_until_async(
        &self,
        timeout: Duration,
        reached: impl FnMut(&Stats) -> bool,
    ) -> Result<Stats, WaitError> {
        let found = self.observed().wait_async(self.reached(reached));
        match wait::within(timeout, found).await {
            Some(found) => Ok(found),
            None => Err(self.not_reached(timeout, false)),
        }
    }

    fn observed(&self) -> &Observed {
        &self.engine.shared.observed
    }

    fn check_keeps(&self) -> Result<(), WaitError> {
        let sinks = self.engine.parts().keeps_nothing();
        sinks.map_or(Ok(()), |sinks| Err(WaitError::nothing_kept(&sinks)))
    }

    fn reached(
        &self,
        mut reached: impl FnMut(&Stats) -> bool,
    ) -> impl FnMut(&ObservedState) -> Option<Stats> {
        move |state| {
            let stats = self.engine.stats(state);
            reached(&stats).then_some(stats)
        }
    }

    fn too_few(&self, events: usize, timeout: Duration, starving: bool) -> WaitError {
        self.observed().read(|state| {
            let stats = self.engine.stats(state);
            WaitError::too_few(events, timeout, starving, (state, &stats))
        })
    }

    fn not_reached(&self, timeout: Duration, starving: bool) -> WaitError {
        self.observed().read(|state| {
            let stats = self.engine.stats(state);
            WaitError::not_reached(timeout, starving, (state, &stats))
        })
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.observed().read(|state| self.engine.stats(state))
    }

    /// Events in the channel of this name now, less those that sinks have in their hands.
    /// [`builder`](Self::builder) calls its own `c1`.
    #[must_use]
    pub fn channel_size(&self, channel: &str) -> Option<usize> {
        let parts = self.engine.parts();
        let mut channels = parts.channels.iter();
        let found = channels.find(|candidate| candidate.name() == channel);
        found.map(|channel| channel.len())
    }

    /// All counters as Flume's `GET /metrics` prints them, numbers as strings. They begin anew at
    /// each start.
    ///
    /// ```
    /// let agent = flume_mini_agent::MiniAgent::builder().start()?;
    /// assert!(agent.metrics_json().contains(r#""ChannelCapacity":"100""#));
    /// # Ok::<(), flume_mini_agent::StartError>(())
    /// ```
    #[must_use]
    pub fn metrics_json(&self) -> String {
        self.engine.parts().metrics.json()
    }

    /// The sink's last error, with what it means for its events. It stays after a later success.
    #[must_use]
    pub fn sink_error(&self) -> Option<String> {
        self.observed().read(|state| state.sink_error.clone())
    }

    /// Why a channel did not take a batch, the last time that happened: it was full, or the batch
    /// too large, or its disk failed. Clients are told `FAILED` and no more.
    #[must_use]
    pub fn channel_error(&self) -> Option<String> {
        self.observed().read(|state| state.channel_error.clone())
    }

    /// Lets something go wrong, until the guard is dropped.
    ///
    /// Panics if the rule makes no sense, see [`FaultRule::check`].
    #[track_caller]
    pub fn fault(&self, rule: impl Into<FaultRule>) -> FaultGuard {
        let rule = rule.into();
        let checked = rule.check();
        assert!(checked.is_ok(), "{rule:?}: {checked:?}");
        self.engine.shared.recorder.faults.guard(rule)
    }

    /// What went wrong by way of faults, in order: the latest 10,000.
    #[must_use]
    pub fn fault_hits(&self) -> Vec<FaultHit> {
        let faults = &self.engine.shared.recorder.faults;
        faults.read(|faults| faults.hits().cloned().collect())
    }

    /// Forgets the events the collect sink has received, so that the next wait is for new ones.
    /// Counters stay.
    pub fn forget_received(&self) {
        self.observed().forget();
    }

    /// Where the control interface listens, if there is one.
    #[cfg(feature = "control")]
    #[must_use]
    pub fn control_addr(&self) -> Option<SocketAddr> {
        self.control.as_ref().map(ControlServer::address)
    }

    /// The requests, in the order of arrival, with what was answered and what was stored: the
    /// latest 10,000, handshakes without a call included.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.engine.shared.recorder.log.requests()
    }

    /// The [`requests`](Self::requests) that brought events.
    #[must_use]
    pub fn batches(&self) -> Vec<RequestRecord> {
        let mut requests = self.requests();
        requests.retain(|request| request.events > 0);
        requests
    }

    /// The connections, in the order in which they came: the latest 10,000.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionRecord> {
        self.engine.shared.recorder.log.connections()
    }

    /// What the collect sink has received, as a ledger of events that carry their id in the
    /// header `name`.
    #[must_use]
    pub fn ledger(&self, name: impl Into<String>) -> Ledger<String> {
        Ledger::by_header(self.received(), name)
    }

    fn start(plan: Plan, options: Options) -> Result<Self, StartError> {
        #[cfg(feature = "control")]
        let listener = options.control.listen()?;
        let engine = Arc::new(Engine::start_first(plan, options)?);
        Ok(Self {
            #[cfg(feature = "control")]
            control: listener
                .map(|listener| ControlServer::start(listener, Arc::clone(&engine) as _))
                .transpose()
                .map_err(|source| StartError::Thread { source })?,
            engine,
        })
    }
}

impl Drop for MiniAgent {
    /// Stops the agent even if a request to its control interface still waits for events.
    fn drop(&mut self) {
        #[cfg(feature = "control")]
        drop(self.control.take());
        self.engine.stop();
    }
}

impl fmt::Debug for MiniAgent {
    /// Where it listens and what it counted: its parts would fill pages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("MiniAgent");
        shown.field("addr", &self.addr());
        #[cfg(feature = "control")]
        shown.field("control", &self.control_addr());
        shown.field("stats", &self.stats()).finish_non_exhaustive()
    }
}

fn received(state: &ObservedState) -> Vec<Received> {
    let event = |stored: &crate::channel::StoredEvent| {
        let event = Event::from_datum(stored.datum().to_vec());
        Received::from(event.expect("an event is stored only after it was read"))
    };
    state.collected.iter().map(event).collect()
}
