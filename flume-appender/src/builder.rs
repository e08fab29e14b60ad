//! [`Builder`]: every setting with its default and its cost.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use flume_client::{Client, ClientBuilder, EventBatch, Reliability, own_thread};

use crate::appender::{Appender, Listeners, Shared, SpanSource};
use crate::at_exit;
use crate::capture::{CaptureCore, Overflow, StoreFirst};
use crate::counts::Counts;
use crate::filter::{Filter, FilterError};
use crate::guard::Guard;
use crate::layout::{Edits, Json, Layout, LayoutError, Record, Verdict};
use crate::level::Level;
use crate::live;
use crate::loss::Loss;
use crate::prepared::headers::{BadHeader, HeaderProfile, HeaderSettings};
use crate::prepared::redact::Redact;
use crate::render::lanes::{Lanes, LevelReliability};
use crate::render::renderer::{Buffers, Renderer, unix_ns};
use crate::render::telling::Teller;
use crate::render::voice::{OnLoss, Voice};
use crate::render::writer::{BeforeSend, Writer};

/// A front end of an appender.
pub trait FrontEnd: Sized {
    /// Its own settings, which [`Builder::options`] changes.
    type Options: Default + fmt::Debug;

    /// The front end that writes to this appender.
    fn new(appender: &Appender, options: Self::Options) -> Self;
}

// Beside what it makes: the appender itself knows nothing of its builder.
impl Appender {
    /// Starts to set up an appender.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl FrontEnd for Appender {
    type Options = ();

    fn new(appender: &Appender, (): ()) -> Self {
        appender.clone()
    }
}

/// Sets up an appender and a front end for it.
#[derive(Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder<F: FrontEnd = Appender> {
    client: ClientBuilder,
    capture_bytes: usize,
    overflow: Overflow,
    store_first: Option<StoreFirst>,
    reliability: LevelReliability,
    linger: Duration,
    filter: Result<Filter, FilterError>,
    layout: Box<dyn Layout>,
    headers: HeaderSettings,
    before_send: Option<BeforeSend>,
    on_loss: Option<OnLoss>,
    redact: Redact,
    shutdown_timeout: Duration,
    drains_at_exit: bool,
    options: F::Options,
    #[cfg(feature = "test")]
    kept: Option<crate::kept::Kept>,
}

/// An appender could not be set up.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The client could not be set up.
    #[error(transparent)]
    Client(#[from] flume_client::BuildError),
    /// The filter cannot be read.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The settings of the layout do not fit together.
    #[error("the layout cannot be used: {0}")]
    Layout(#[from] LayoutError),
    /// A header cannot be.
    #[error("the header {key:?} {why}")]
    Header {
        /// Its name.
        key: String,
        /// What is wrong with it, and what to do.
        why: &'static str,
    },
    /// The renderer's thread could not be started.
    #[error("the thread flume-appender could not be started: {0}")]
    Thread(#[source] io::Error),
    /// The system has no random numbers, which events are named by.
    #[error("the system gave no random number, by which events are named")]
    Random,
}

impl fmt::Debug for BuildError {
    /// The message: it is what a `main` that returns the error prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<BadHeader> for BuildError {
    fn from(BadHeader { key, why }: BadHeader) -> Self {
        Self::Header { key, why }
    }
}

impl<F: FrontEnd> Default for Builder<F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: FrontEnd> Builder<F> {
    /// With every setting's default.
    pub fn new() -> Self {
        Self {
            // Batches come ready-made, so the client need not wait for more.
            client: Client::builder().linger(Duration::ZERO),
            capture_bytes: 4 * 1024 * 1024,
            overflow: Overflow::Shed,
            store_first: None,
            reliability: LevelReliability::default(),
            linger: Duration::from_millis(50),
            filter: Ok(Filter::of_level(Level::Trace)),
            layout: Box::new(Json::new()),
            headers: HeaderSettings::default(),
            before_send: None,
            on_loss: None,
            redact: Redact::default(),
            shutdown_timeout: Duration::from_secs(2),
            drains_at_exit: false,
            options: F::Options::default(),
            #[cfg(feature = "test")]
            kept: None,
        }
    }

    /// Adds an agent, as `avro://HOST:PORT`. See [`ClientBuilder::agent`].
    pub fn agent(mut self, url: impl Into<String>) -> Self {
        self.client = self.client.agent(url);
        self
    }

    /// Adds several agents.
    pub fn agents(mut self, urls: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.client = self.client.agents(urls);
        self
    }

    /// The directory that keeps events until agents acknowledge them. Without one they are kept in
    /// memory. See [`ClientBuilder::spool`].
    pub fn spool(mut self, directory: impl Into<PathBuf>) -> Self {
        self.client = self.client.spool(directory);
        self
    }

    /// Changes what the client is built from.
    pub fn client(mut self, change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Self {
        self.client = change(self.client);
        self
    }

    /// Bytes of records that callers wrote and the renderer has not taken. Default 4 MiB. They are
    /// parted into buffers of 512 KiB or more, at most two for each processor, and a thread writes to
    /// one of them: levels give way by how full that one is. Beside them lie those that are rendered:
    /// a process takes some two and a half times this at the most, and only what is used.
    pub fn capture_bytes(mut self, bytes: usize) -> Self {
        self.capture_bytes = bytes;
        self
    }

    /// What a caller does if there is no room. Default [`Overflow::Shed`].
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// A call of this level or a greater one returns only when its record is stored, or after
    /// `most`. Default: no call waits.
    pub fn store_before_return(mut self, level: Level, most: Duration) -> Self {
        let within = most;
        self.store_first = Some(StoreFirst { level, within });
        self
    }

    /// How hard the client tries with records of this level and of lesser ones; the last word on a
    /// level counts. Default: as hard as with [all its events](ClientBuilder::reliability), which is
    /// [`EndToEnd`](flume_client::Reliability::EndToEnd) with a spool. Each reliability in use keeps an
    /// order of its own, and what keeps less gives way first when the client's buffer fills: see
    /// [`Client::at`].
    ///
    /// [`EndToEnd`](flume_client::Reliability::EndToEnd) without a spool is an error of
    /// [`build`](Self::build).
    ///
    /// ```no_run
    /// use flume_appender::{Appender, Level};
    /// use flume_client::Reliability;
    ///
    /// let (appender, guard) = Appender::builder()
    ///     .agent("avro://collector-1:4141")
    ///     .spool("/var/spool/orders")
    ///     .level_reliability(Level::Info, Reliability::InMemory)
    ///     .level_reliability(Level::Debug, Reliability::BestEffort)
    ///     .build()?;
    /// # Ok::<(), flume_appender::BuildError>(())
    /// ```
    pub fn level_reliability(mut self, level: Level, reliability: Reliability) -> Self {
        self.reliability.set(level, reliability);
        self
    }

    /// How long the renderer waits for more records after the first one. Default 50 ms; an error or a
    /// half-full buffer does not wait.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Which records are taken, as in `info,hyper=warn`. Default: all.
    pub fn filter(mut self, filter: &str) -> Self {
        self.filter = filter.parse();
        self
    }

    /// Takes records of this level and of greater ones.
    pub fn level(mut self, level: Level) -> Self {
        self.filter = Ok(Filter::of_level(level));
        self
    }

    /// What bodies look like. Default [`Json`].
    pub fn layout(mut self, layout: impl Layout + 'static) -> Self {
        self.layout = Box::new(layout);
        self
    }

    /// Which headers events get. Default [`HeaderProfile::NATIVE`].
    pub fn headers(mut self, profile: HeaderProfile) -> Self {
        self.headers.profile = profile;
        self
    }

    /// A header that all events get: at most 38 of them, of 128 bytes in the key and 4 KiB in the
    /// value, 10 KiB in all. Of one key the last one is kept. A key that Flume or the appender gives a
    /// meaning to, or that begins with `flume.`, is an error of [`build`](Self::build).
    pub fn static_header(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let (key, value) = (key.into(), value.into());
        self.headers.statics.retain(|(known, _)| *known != key);
        self.headers.statics.push((key, value));
        self
    }

    /// What the header `host` says. Default: the name of this host.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.headers.host = Some(host.into());
        self
    }

    /// What the header `service` says. Default: the name of this program's file.
    pub fn service(mut self, service: impl Into<String>) -> Self {
        self.headers.service = Some(service.into());
        self
    }

    /// Makes headers of the fields of this name: `f.NAME` of a field of the record, `s.NAME` of one of
    /// a span, the innermost one. They stay in the body as well. A value is cut to 4 KiB; what is
    /// beyond 64 headers or 16 KiB of an event is left out, counted in
    /// [`Stats::cut_events`](crate::Stats::cut_events), and told in the header `flume.truncated`.
    ///
    /// Costs some hundred nanoseconds a record, if there is one name or more.
    pub fn promote(mut self, name: impl Into<String>) -> Self {
        self.headers.promote.push(name.into());
        self
    }

    /// What stands before the names of promoted fields: those of the record, and those of spans.
    /// Default `f.` and `s.`. With none, `tenant` becomes the header `tenant`; if a record and a span
    /// both have it, the record's own one counts. A name that then is a static header's, or has a
    /// meaning to Flume or the appender, still gets the default prefix, which
    /// [`Stats::renamed_headers`](crate::Stats::renamed_headers) counts.
    pub fn promote_prefixes(mut self, field: impl Into<String>, span: impl Into<String>) -> Self {
        self.headers.prefixes = (field.into(), span.into());
        self
    }

    /// Looks at each record before it is written, on the renderer's thread: drops it, or changes what
    /// is said. Called once a record, so it should take less than a microsecond: what it waits for,
    /// all records wait for. If it panics, its record is not sent, because it may hold what was to be
    /// taken out, and counted in [`LevelStats::unwritten`](crate::LevelStats::unwritten).
    ///
    /// That thread is [ours](flume_client::is_own_thread): what is logged there is no record, lest it
    /// comes back; other loggers and layers get it.
    ///
    /// ```no_run
    /// use flume_appender::{Appender, Verdict};
    ///
    /// let builder = Appender::builder().before_send(|record, edits| {
    ///     if record.target() == "health" {
    ///         return Verdict::Drop;
    ///     }
    ///     edits.replace("card", "****");
    ///     Verdict::Keep
    /// });
    /// ```
    pub fn before_send(
        mut self,
        look: impl FnMut(&Record<'_>, &mut Edits) -> Verdict + Send + 'static,
    ) -> Self {
        self.before_send = Some(BeforeSend(Box::new(look)));
        self
    }

    /// Calls this when records were lost, on the renderer's thread, at most once every time it takes
    /// records: what it waits for, all records wait for. Losses are counted in any case, told on the
    /// standard error output every 30 s at most, and to the readers of the log by a record of target
    /// `flume` once there is room again. What it logs is no record either, as in
    /// [`before_send`](Self::before_send): other loggers get it.
    ///
    /// ```no_run
    /// use flume_appender::Appender;
    ///
    /// let builder = Appender::builder().on_loss(|loss| {
    ///     eprintln!("{} records lost", loss.total());
    /// });
    /// ```
    pub fn on_loss(mut self, tell: impl FnMut(&Loss) + Send + 'static) -> Self {
        self.on_loss = Some(OnLoss(Box::new(tell)));
        self
    }

    /// Fields whose values are not told: those whose name contains one of these. Default `password`,
    /// `authorization`, `token`, `secret` and `cookie`. The name of a span's field counts as well, the
    /// members of a nested value do not: see [`before_send`](Self::before_send) for those.
    pub fn redact(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.redact = Redact::of(names.into_iter().map(Into::into));
        self
    }

    /// How long the guard's drop may take. Default 2 s.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Changes the front end's own settings.
    pub fn options(mut self, change: impl FnOnce(&mut F::Options)) -> Self {
        change(&mut self.options);
        self
    }

    /// Keeps all events in memory instead of delivering them.
    #[cfg(feature = "test")]
    pub(crate) fn keep(mut self, kept: crate::kept::Kept) -> Self {
        self.kept = Some(kept);
        self
    }

    /// Has what is captured written to the spool when the process exits by
    /// [`std::process::exit`], which drops no guard, or by returning from `main` with a guard that was
    /// forgotten. It takes 500 ms at the longest and does nothing on the network; without a spool it
    /// does nothing. Default off. Only where there is C's `atexit`, not on Windows.
    pub fn at_exit(mut self) -> Self {
        self.drains_at_exit = true;
        self
    }

    /// Starts the appender. Needs no runtime.
    pub fn build(self) -> Result<(F, Guard), BuildError> {
        let filter = self.filter?;
        self.layout.check()?;
        let (of_layout, is_text) = (self.layout.headers(), self.layout.is_text());
        let headers = self.headers.plan(&of_layout, is_text)?;
        #[cfg(not(feature = "test"))]
        let client = self.client.build()?;
        #[cfg(feature = "test")]
        let client = match &self.kept {
            Some(kept) => kept.client(self.client)?,
            None => self.client.build()?,
        };
        let core = Arc::new(CaptureCore::new(
            self.capture_bytes,
            filter,
            self.overflow,
            self.store_first,
        ));
        let fill = client.fill();
        let lanes = Lanes::of(&client, self.reliability)?;
        let shared = Arc::new(Shared {
            core: core.clone(),
            client: client.clone(),
            has_spool: lanes.has_disk(),
            drains_at_exit: self.drains_at_exit,
            span_source: SpanSource::default(),
            counts: Arc::new(Counts::default()),
            gives_up: Arc::new(AtomicBool::new(false)),
            listeners: Listeners::default(),
        });
        let run_id = getrandom::u64().map_err(|_| BuildError::Random)?;
        let renderer = Renderer {
            core: core.clone(),
            lanes,
            counts: shared.counts.clone(),
            gives_up: shared.gives_up.clone(),
            writer: Writer::new(
                self.layout,
                headers,
                self.redact,
                self.before_send,
                run_id,
                fill.event_bytes_max as usize,
            ),
            linger: self.linger,
            batch_bytes: EventBatch::BYTES.min(fill.buffer_bytes_max as usize / 4),
            buffers: Buffers::new(&core),
            teller: Teller::new(unix_ns()),
            voice: Voice::new(self.on_loss),
            #[cfg(feature = "test")]
            kept: self.kept,
        };
        let body = move || renderer.run();
        own_thread::spawn("flume-appender", body).map_err(BuildError::Thread)?;
        live::add(&shared);
        if self.drains_at_exit {
            at_exit::install();
        }
        let appender = Appender { shared };
        let front_end = F::new(&appender, self.options);
        Ok((front_end, Guard::new(appender, self.shutdown_timeout)))
    }
}
