//! A client and three agents in a row, each hop an avro sink into the next agent's avro source,
//! and the two stories that are told of them: back-pressure, and an answer that gets lost.
//!
//! The agent in the middle may be a real Flume. Batches are of the same size at every hop and
//! every channel has the same capacity, so what each of them holds is known to the event.

use std::time::Duration;

use flume_client::error::Refusal;
use flume_client::{Backoff, Client, Event, WindowMode};
use flume_mini_agent::config::AgentConfig;
use flume_mini_agent::{Answered, Fault, Ledger, MiniAgent, Stored};

use crate::{HarnessError, Metrics, RealFlume, Result, Version, wait_until};

/// Events of a batch, at every hop.
const BATCH: usize = 5;
/// Events that every channel holds.
const CAPACITY: usize = 10;
/// Events that the client holds: a batch is never more than a quarter of its buffer.
const CLIENT_CAPACITY: usize = 4 * BATCH;

/// A real Flume's sink rests for 5 s after a failure.
const LIMIT: Duration = Duration::from_secs(60);
/// How long the mini-agents' sinks rest after a failure.
const SINK_BACKOFF: Duration = Duration::from_millis(20);

/// Client, A, B and C.
#[derive(Debug)]
pub struct Chain {
    client: Client,
    a: MiniAgent,
    b: Middle,
    c: MiniAgent,
}

/// The agent B.
#[derive(Debug)]
enum Middle {
    Mini(Box<MiniAgent>),
    Real(RealFlume),
}

/// The hops whose answer can be cut by a script: those into a mini-agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// From the client to A.
    ClientToA,
    /// From A to B.
    AToB,
    /// From B to C.
    BToC,
}

impl Chain {
    /// Three mini-agents.
    ///
    /// # Errors
    ///
    /// When an agent does not start.
    pub fn of_mini_agents() -> Result<Self> {
        Self::start(|next| Ok(Middle::Mini(Box::new(hop_to(next.addr().port())?))))
    }

    /// B is a real Flume.
    ///
    /// # Errors
    ///
    /// When an agent does not start.
    pub fn through_real_flume(version: Version) -> Result<Self> {
        Self::start(|next| {
            let batch = BATCH.to_string();
            let real = RealFlume::builder(version)
                .capacity(CAPACITY)
                .transaction_capacity(BATCH)
                .property("a1.channels.c1.keep-alive", "0")
                .property("a1.sinks.k1.type", "avro")
                .property("a1.sinks.k1.hostname", "127.0.0.1")
                .property("a1.sinks.k1.port", next.addr().port().to_string())
                .property("a1.sinks.k1.batch-size", batch);
            Ok(Middle::Real(real.start()?))
        })
    }

    fn start(middle: impl FnOnce(&MiniAgent) -> Result<Middle>) -> Result<Self> {
        let c = agent(&format!(
            "a1.sinks.k1.type = collect
             a1.sinks.k1.batchSize = {BATCH}"
        ))?;
        let b = middle(&c)?;
        let a = hop_to(b.port())?;
        let event_bytes = event(0).as_datum().len();
        let client = a
            .client()
            .event_ids(false)
            .batch_events(BATCH as u32)
            .buffer_bytes(CLIENT_CAPACITY * event_bytes)
            .event_bytes(event_bytes)
            // Only whole batches leave, one at a time.
            .linger(LIMIT)
            .window(WindowMode::Ordered)
            .backoff(
                Backoff::default()
                    .base(Duration::from_millis(5))
                    .cap(SINK_BACKOFF),
            );
        let client = client
            .build()
            .map_err(|e| HarnessError::doing("the client", e))?;
        Ok(Self { client, a, b, c })
    }

    /// C takes no more; B fills, then A, then the client, which hands the next event back. Each
    /// hop's `/metrics` tells what it holds. C takes again, and everything arrives once.
    ///
    /// # Errors
    ///
    /// When an agent does not get where it should.
    ///
    /// # Panics
    ///
    /// When the story goes another way.
    pub fn tell_of_back_pressure(&self) -> Result<()> {
        self.c.pause_sink();
        let mut sent = Vec::new();
        let mut next = || {
            sent.push(event(sent.len()));
            event(sent.len() - 1)
        };
        // The last hop fills first, and everything that was stored so far was answered OK.
        for full in 1..=3 * CAPACITY / BATCH {
            let batch: Vec<_> = (0..BATCH).map(|_| next()).collect();
            let receipts = self.client.append_batch(batch);
            for receipt in receipts.map_err(|e| HarnessError::doing("append", e))? {
                let outcome = receipt.wait(LIMIT);
                outcome.map_err(|e| HarnessError::doing("an event for the chain", e))?;
            }
            let held = |hops: usize| (full * BATCH).saturating_sub(hops * CAPACITY).min(CAPACITY);
            self.wait_for_sizes([held(2), held(1), held(0)])?;
        }
        let given_back = loop {
            match self.client.append(next()) {
                Ok(receipt) => drop(receipt),
                Err(error) => break error,
            }
        };
        self.wait_for_failed()?;
        // Nobody has a batch in hands now, so the counters stand still.
        self.a.pause_sink();
        self.b.pause_sink();
        self.wait_for_sizes([CAPACITY; 3])?;
        let pending = self.client.stats().pending;
        assert_eq!(pending, CLIENT_CAPACITY as u64, "held by the client");
        assert_eq!(self.c.received_count(), 0, "through the chain");
        let last = event(3 * CAPACITY + CLIENT_CAPACITY);
        let full = matches!(given_back.refusal(), Refusal::Full { .. });
        assert!(full && given_back.is_retryable(), "{given_back}");
        assert_eq!(given_back.into_event(), last, "given back as it was");

        self.a.resume_sink();
        self.b.resume_sink();
        self.c.resume_sink();
        let appended = self.client.append_within(last, LIMIT);
        drop(appended.map_err(|e| HarnessError::doing("the event given back", e))?);
        self.wait_for_drained(sent.len())?;
        let ledger = self.c.ledger("id");
        ledger.assert_no_loss(&sent);
        assert_eq!(ledger.received(), sent.len(), "each once");
        Ok(())
    }

    /// One answer is cut at `hop` after its batch was stored: exactly that batch arrives twice.
    ///
    /// # Errors
    ///
    /// When an agent does not get where it should.
    ///
    /// # Panics
    ///
    /// When the story goes another way, or B is to have a fault and is a real Flume.
    pub fn tell_of_a_cut_answer(&self, hop: Hop) -> Result<()> {
        const BATCHES: usize = 6;
        const CUT: usize = 3;
        let told = match (hop, &self.b) {
            (Hop::ClientToA, _) => &self.a,
            (Hop::BToC, _) => &self.c,
            (Hop::AToB, Middle::Mini(b)) => b,
            (Hop::AToB, Middle::Real(_)) => unreachable!("a real Flume has no scripted faults"),
        };
        let cut = told.fault(Fault::CommitThenDrop.nth_request(CUT as u64));
        let sent: Vec<_> = (0..BATCHES * BATCH).map(event).collect();
        for (number, batch) in (1..).zip(sent.chunks(BATCH)) {
            let appended = self.client.append_batch(batch.to_vec());
            drop(appended.map_err(|e| HarnessError::doing("append", e))?);
            // One at a time: a full channel would refuse the batch that is to be stored and cut.
            self.wait_for_arrival(number * BATCH)?;
        }
        self.wait_for_drained(sent.len() + BATCH)?;
        assert_eq!(cut.hits().len(), 1);
        let untold = told.batches();
        let untold: Vec<_> = untold
            .iter()
            .filter(|b| b.answered == Answered::Nothing)
            .collect();
        assert!(
            matches!(untold.as_slice(), [batch] if batch.stored == Stored::Yes && batch.events == BATCH),
            "{untold:?}"
        );
        let ledger: Ledger<String> = self.c.ledger("id");
        ledger.assert_no_loss(&sent);
        assert_eq!(ledger.received(), sent.len() + BATCH);
        let doubled = ledger.duplicates().into_iter();
        let expected = ((CUT - 1) * BATCH..CUT * BATCH).map(|number| (id(number), 1));
        assert!(doubled.eq(expected), "{:?}", ledger.duplicates());
        Ok(())
    }

    /// `ChannelSize` of A, B and C as `GET /metrics` tells it.
    fn sizes(&self) -> Result<[u64; 3]> {
        let size = |metrics: Metrics| {
            let size = metrics.counter("CHANNEL.c1", "ChannelSize");
            size.ok_or_else(|| HarnessError::new("no ChannelSize"))
        };
        Ok([
            size(over_http(&self.a)?)?,
            size(self.b.metrics()?)?,
            size(over_http(&self.c)?)?,
        ])
    }

    fn wait_for_sizes(&self, wanted: [usize; 3]) -> Result<()> {
        let wanted = wanted.map(|size| size as u64);
        let mut found = self.sizes();
        let what = format!("the sizes {wanted:?} on /metrics");
        let reached = wait_until(&what, LIMIT, || {
            found = self.sizes();
            matches!(found, Ok(sizes) if sizes == wanted)
        });
        reached.map_err(|e| HarnessError::new(format!("{e}, saw {found:?}")))
    }

    /// The client was told FAILED, and so was A: B gave nothing on.
    fn wait_for_failed(&self) -> Result<()> {
        let failed =
            |stats: &flume_mini_agent::Stats| stats.batches_failed > 0 && stats.sink_failures > 0;
        let waited = self.a.wait_until(LIMIT, failed);
        waited.map_err(|e| HarnessError::doing("back-pressure", e))?;
        let error = self.a.sink_error().unwrap_or_default();
        assert!(error.contains("it answered FAILED"), "{error}");
        Ok(())
    }

    fn wait_for_arrival(&self, events: usize) -> Result<()> {
        let arrived = self.c.wait_for(events, LIMIT);
        arrived.map_err(|e| HarnessError::doing("the end of the chain", e))?;
        Ok(())
    }

    /// Everything has arrived, and nothing is left on the way.
    fn wait_for_drained(&self, events: usize) -> Result<()> {
        let flushed = self.client.flush(LIMIT).wait();
        flushed.map_err(|e| HarnessError::doing("flush", e))?;
        self.wait_for_arrival(events)?;
        self.wait_for_sizes([0; 3])?;
        assert_eq!(self.client.stats().pending, 0);
        Ok(())
    }
}

impl Middle {
    fn port(&self) -> u16 {
        match self {
            Self::Mini(agent) => agent.addr().port(),
            Self::Real(agent) => agent.addr().port(),
        }
    }

    fn metrics(&self) -> Result<Metrics> {
        match self {
            Self::Mini(agent) => over_http(agent),
            Self::Real(agent) => agent.metrics(),
        }
    }

    /// A real Flume's sink cannot be told to; it rests most of the time when C is full.
    fn pause_sink(&self) {
        if let Self::Mini(agent) = self {
            agent.pause_sink();
        }
    }

    fn resume_sink(&self) {
        if let Self::Mini(agent) = self {
            agent.resume_sink();
        }
    }
}

/// A mini-agent that passes everything on.
fn hop_to(port: u16) -> Result<MiniAgent> {
    agent(&format!(
        "a1.sinks.k1.type = avro
         a1.sinks.k1.hostname = 127.0.0.1
         a1.sinks.k1.port = {port}
         a1.sinks.k1.batch-size = {BATCH}"
    ))
}

/// A mini-agent whose channel refuses at once when it is full.
fn agent(sink: &str) -> Result<MiniAgent> {
    let properties = format!(
        "a1.sources = r1
         a1.channels = c1
         a1.sinks = k1
         a1.sources.r1.type = avro
         a1.sources.r1.bind = 127.0.0.1
         a1.sources.r1.port = 0
         a1.sources.r1.channels = c1
         a1.channels.c1.type = memory
         a1.channels.c1.capacity = {CAPACITY}
         a1.channels.c1.transactionCapacity = {BATCH}
         a1.channels.c1.keep-alive = 0
         a1.sinks.k1.channel = c1
         {sink}"
    );
    let loaded = AgentConfig::reader("a1").read(&properties);
    let loaded = loaded.map_err(|e| HarnessError::doing("the agent's configuration", e))?;
    let agent = MiniAgent::configured(loaded.config)
        .sink_backoff(SINK_BACKOFF)
        .control("127.0.0.1:0")
        .start();
    agent.map_err(|e| HarnessError::doing("the agent", e))
}

fn over_http(agent: &MiniAgent) -> Result<Metrics> {
    let control = agent.control_addr();
    Metrics::read(control.ok_or_else(|| HarnessError::new("no control interface"))?)
}

fn id(number: usize) -> String {
    format!("{number:03}")
}

/// Events of one length, so that a buffer holds a known number of them.
fn event(number: usize) -> Event {
    Event::new("x").header("id", id(number))
}
