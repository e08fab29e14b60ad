//! [`ClientBuilder`]: every setting with its default and its cost.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Client, Driver};
use crate::config::{AgentOptions, CommonHeaders, Config, Given, Overflow, SpoolConfig, SyncMode};
#[cfg(feature = "http")]
use crate::config::{HttpOptions, http_for};
#[cfg(feature = "tls")]
use crate::config::{TlsOptions, tls_for};
use crate::delivery::{Backoff, Selection, WindowMode};
use crate::error::BuildError;
use crate::health::change::{Change, OnChange};
use crate::reliability::Reliability;
use crate::spool::{ForeignOwner, NetworkFileSystem};
#[cfg(feature = "test")]
use crate::transport::InMemory;

/// Sets up a [`Client`]. Start with [`Client::builder`]; only an agent is required.
///
/// ```
/// use std::time::Duration;
/// use flume_client::{Client, Reliability};
///
/// let client = Client::builder()
///     .agent("avro://collector-1:4141")
///     .agent("avro://collector-2:4141")
///     .linger(Duration::from_millis(5))
///     .reliability(Reliability::BestEffort)
///     .build()?;
/// # Ok::<(), flume_client::BuildError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ClientBuilder {
    agents: Given,
    reliability: Option<Reliability>,
    event_ids: Option<bool>,
    headers: CommonHeaders,
    directory: Option<PathBuf>,
    spool: SpoolConfig,
    /// The first setting of the spool that was chosen.
    spool_setting: Option<&'static str>,
    config: Config,
    #[cfg(feature = "tls")]
    tls: Option<TlsOptions>,
    #[cfg(feature = "http")]
    http: Option<HttpOptions>,
    /// In the place of agents.
    #[cfg(feature = "test")]
    in_memory: Option<Arc<InMemory>>,
}

// Beside what it makes: the client itself knows nothing of its builder.
impl Client {
    /// Starts to set up a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }
}

impl ClientBuilder {
    /// Adds an agent, as `avro://HOST:PORT`; each one once. The order is the order of preference,
    /// unless they [share](Self::selection): the first one that works gets everything; a preferred
    /// one that comes back takes over again.
    pub fn agent(self, url: impl Into<String>) -> Self {
        self.agent_with(url, AgentOptions::default())
    }

    /// Adds an agent with a priority or a weight of its own.
    pub fn agent_with(mut self, url: impl Into<String>, options: AgentOptions) -> Self {
        self.agents.add(url.into(), options);
        self
    }

    /// Adds several agents.
    pub fn agents(mut self, urls: impl IntoIterator<Item = impl Into<String>>) -> Self {
        for url in urls {
            self = self.agent(url);
        }
        self
    }

    /// How agents of one priority share the batches. Default [`Selection::Failover`]: they do not.
    ///
    /// With another one each agent is connected to, and gets batches while it has room: its share,
    /// as long as it keeps up, and what it can do when it does not, so the slowest one holds up nobody.
    /// One that fails gets none while it rests, and a batch that it did not acknowledge goes to
    /// another one first.
    ///
    /// In order ([`WindowMode::Ordered`]) the next batch of a level is sent when the one before it was
    /// answered, to whichever agent has its turn: what one agent gets is in order and has gaps, and
    /// who merges what several got has to sort it again, by a [timestamp](Self::timestamp) or by
    /// [event ids](Self::event_ids).
    pub fn selection(mut self, selection: Selection) -> Self {
        self.config.delivery.selection = selection;
        self
    }

    /// What to do with events that an agent did not take, unless they come by a handle of
    /// [another level](Client::at). Default [`Reliability::InMemory`], or
    /// [`Reliability::EndToEnd`] with a [`spool`](Self::spool).
    pub fn reliability(mut self, reliability: Reliability) -> Self {
        self.reliability = Some(reliability);
        self
    }

    /// The directory that keeps events until they are acknowledged, for [`Reliability::EndToEnd`] and
    /// [`Reliability::StoreOnFailure`].
    /// It is made if need be, for its owner alone. One that belongs to neither this process's user
    /// nor root, or that every user may write to, is refused. What an earlier client left in it is
    /// delivered first. Of several processes or clients that name the same directory each gets a
    /// [place](Self::spool_shared) of its own in it, with a quota of its own, and what a dead one
    /// left is delivered by another within 30 s. [`build`](Self::build) opens it, which is a few
    /// milliseconds of disk work however much there is in it. If files in it cannot be read, it
    /// reads up to 64 MiB more, and waits for each error of a disk that fails.
    ///
    /// A relative path is taken from the current directory as it is when the client is built.
    ///
    /// ```no_run
    /// use flume_client::{Client, Event};
    ///
    /// async fn place_order(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    ///     let receipt = client.append_async(Event::new("order 17 placed")).await?;
    ///     receipt.stored().await?; // on the disk, whether or not an agent is there
    ///     Ok(())
    /// }
    ///
    /// let client = Client::builder()
    ///     .agent("avro://collector-1:4141")
    ///     .spool("/var/spool/orders")
    ///     .build()?;
    /// # Ok::<(), flume_client::BuildError>(())
    /// ```
    pub fn spool(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Most bytes that the spool's files take together. Default 1 GiB, or half of the disk if that
    /// is less. When they are used up, [`Client::append`] hands events back, until agents
    /// acknowledge older ones. Space is taken and given back in segments of 16 MiB, or a quarter of
    /// this if that is less, or as large as this process may write a file (`RLIMIT_FSIZE`). Damaged
    /// segments that are set aside take up to a quarter of it, until somebody removes them.
    pub fn spool_bytes(mut self, bytes: u64) -> Self {
        self.spool.bytes_max = Some(bytes);
        self.spool_setting.get_or_insert("spool_bytes");
        self
    }

    /// Bytes that stay free on the spool's disk: the spool does not grow into them. Default
    /// 512 MiB, as with Flume's file channel (`minimumRequiredSpace`), or an eighth of the disk if
    /// that is less. A file system without a size (ramfs, some in user space) has always room.
    pub fn spool_free_bytes(mut self, bytes: u64) -> Self {
        self.spool.free_bytes_min = Some(bytes);
        self.spool_setting.get_or_insert("spool_free_bytes");
        self
    }

    /// When what is written reaches the device. Default [`SyncMode::Always`]. It decides which
    /// accidents a stored event survives.
    pub fn sync(mut self, mode: SyncMode) -> Self {
        self.spool.sync = mode;
        self.spool_setting.get_or_insert("sync");
        self
    }

    /// Whether the directory is shared with other processes and clients. Default yes: each has a
    /// place of its own, which is the directory itself or `process-2`, `process-3`, ... in it, and
    /// events of a dead process are sent from its own directory by one of the others, which looks
    /// for them when it starts and then every 30 s. Adopted events do not count against
    /// `spool_bytes`; the client's own events, flush and close do not wait for them. They cost up
    /// to 8 MiB of memory (or 4 of the largest batches) and one more connection.
    ///
    /// If the directory is not shared, it is the directory itself or nothing:
    /// [`build`](Self::build) fails with
    /// [`DirectoryError::Locked`](crate::error::DirectoryError::Locked) when another one has it,
    /// and what lies in further places of it is left alone.
    pub fn spool_shared(mut self, shared: bool) -> Self {
        self.spool.shared = shared;
        self.spool_setting.get_or_insert("spool_shared");
        self
    }

    /// Whether the spool may be in a directory of another user, if this process is root's. Default
    /// no: its owner could read and replace what is written there. For those who look after other
    /// people's spools.
    pub fn spool_of_other_owner(mut self, owner: ForeignOwner) -> Self {
        self.spool.access.owner = owner;
        self.spool_setting.get_or_insert("spool_of_other_owner");
        self
    }

    /// Whether the spool may be on a network file system. Default no.
    pub fn spool_on_network(mut self, network: NetworkFileSystem) -> Self {
        self.spool.access.network = network;
        self.spool_setting.get_or_insert("spool_on_network");
        self
    }

    /// Whether each event gets a header that names it, see [`event_id`](crate::event_id), so that a
    /// consumer can tell copies. Default: on, except for events of [`Reliability::BestEffort`], of which
    /// no copies are made. Costs 39 bytes of each event.
    pub fn event_ids(mut self, on: bool) -> Self {
        self.event_ids = Some(on);
        self
    }

    /// A header for every event that does not have one of this key. A key that is given again gets
    /// the new value. Written into the event by [`Client::append`] and its like; one that is handed
    /// back has it. Costs its bytes, and a look through the event's headers: some tens of
    /// nanoseconds. [`Client::append_encoded`] takes events as they are.
    ///
    /// ```
    /// # use flume_client::Client;
    /// // What an HDFS sink needs for a path like `/logs/%{service}/%{host}/%Y-%m-%d`.
    /// let builder = Client::builder().header("service", "orders").host().timestamp();
    /// ```
    pub fn header(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.set(key.into(), value.into());
        self
    }

    /// The header `timestamp` for every event that does not have one: milliseconds since 1970 at
    /// its [`append`](Client::append), as Flume's `TimestampInterceptor` writes it. Without it an HDFS
    /// sink cannot put events into files by date.
    pub fn timestamp(mut self) -> Self {
        self.headers.add_timestamp();
        self
    }

    /// The header `host` for every event that does not have one: this host's
    /// [name](crate::host_name). (Flume's `HostInterceptor` writes its address by default, and the
    /// name with `useIP = false`.)
    pub fn host(mut self) -> Self {
        self.headers.add_host();
        self
    }

    /// Most events in one batch. Default 100, the `transactionCapacity` that a Flume memory
    /// channel has by default: an agent refuses larger batches for ever.
    pub fn batch_events(mut self, events: u32) -> Self {
        self.config.delivery.batch_events_max = events;
        self
    }

    /// Most bytes in one batch; a larger event travels alone. Default 256 KiB, and never more than
    /// a quarter of the buffer.
    pub fn batch_bytes(mut self, bytes: u32) -> Self {
        self.config.delivery.batch_bytes_max = bytes;
        self
    }

    /// How long the first event of a batch waits for others. Default 20 ms: the most that batching
    /// adds to an event's way. Zero sends at once, at the price of small batches.
    ///
    /// An event that somebody waits for does not wait so long: one whose
    /// [`delivered`](crate::Receipt::delivered) was polled, or whose [`wait`](crate::Receipt::wait) blocks
    /// a thread. Its batch is sent as soon as a connection has nothing under way, else when the next
    /// answer comes, or it is full. So callers who wait for one event each share batches, and one caller
    /// alone waits for nothing but the agent. A [`flush`](Client::flush) sends what there is at once.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.config.delivery.linger = linger;
        self
    }

    /// Whom to trust and who to be at agents with TLS. Default [`TlsOptions::default`]: the system's
    /// root certificates, and no certificate of the client's own.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, options: TlsOptions) -> Self {
        self.tls = Some(options);
        self
    }

    /// What requests to agents at `http://` and `https://` carry beside events, such as a token for what
    /// stands before them. Default nothing.
    #[cfg(feature = "http")]
    pub fn http(mut self, options: HttpOptions) -> Self {
        self.http = Some(options);
        self
    }

    /// How hard what goes to agents at `avro+deflate://` is compressed: from 0, not at all, over 1, the
    /// fastest, to 9. Default 6, as Flume's own client has it. What comes back is read whatever its level.
    #[cfg(feature = "compression")]
    pub fn compression_level(mut self, level: u32) -> Self {
        self.config.compression_level = level;
        self
    }

    /// How many batches may be under way at once. Default [`WindowMode::ADAPTIVE`]; with
    /// [`WindowMode::Ordered`] events arrive in order, at one batch per round trip.
    pub fn window(mut self, window: WindowMode) -> Self {
        self.config.delivery.window = window;
        self
    }

    /// Most connections to an agent. Default 1, at most 8. A further one is opened when a batch waits
    /// and those that are open have no room; all of them together have no more batches under way
    /// than the [`window`](Self::window) allows. Flume 1.9 and earlier handle one batch at a time on
    /// each, later ones up to 16 in all. Two carry about a fifth more at full load, four hardly more
    /// than two; but batches on two overtake each other already in a burst of a few hundred events,
    /// which is why it is one unless more are asked for. With [`WindowMode::Ordered`] there is one,
    /// whatever is given.
    ///
    /// Of a name with several addresses, such as a headless service of Kubernetes, each new connection
    /// begins with another one. A connection is closed when nothing was sent on it for 60 s and
    /// nothing waits. When it is 10 minutes old, a fifth more or less, a new one takes its place, for
    /// which the name is looked up again; meanwhile there is one more.
    pub fn connections(mut self, connections: u32) -> Self {
        self.config.delivery.connections = connections;
        self
    }

    /// How long name look-up and connecting may take, over all addresses of the agent.
    /// Default 5 s. The next agent is tried beside it after 1 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.config.delivery.connect_timeout = timeout;
        self
    }

    /// How long an agent may take to answer a batch. Default 20 s, as in Flume's own client. A
    /// batch that times out is sent again and can arrive twice; keep it above the sum of the
    /// `keep-alive` times of the agent's channels (3 s each by default, taken twice when full).
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.config.delivery.request_timeout = timeout;
        self
    }

    /// How long an agent rests after a failure; also how long a batch that was not acknowledged
    /// waits. See [`Backoff`].
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.config.delivery.backoff = backoff;
        self
    }

    /// Most bytes of events that wait for their acknowledgement, of all levels. Default 32 MiB. When
    /// they are used up, [`Client::append`] hands events back, and before that those of
    /// [levels](Client::at) that keep less than the client's own. Those that are read from a spool are beside
    /// them: four batches of the largest size, or 8 MiB if that is more.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.config.buffer_bytes_max = bytes;
        self
    }

    /// What [`Client::append`] does when there is no room. Default [`Overflow::Refuse`]: the service
    /// goes on, whatever becomes of its log.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.config.overflow = overflow;
        self
    }

    /// Largest event accepted, headers included, as encoded. Default 1 MiB.
    pub fn event_bytes(mut self, bytes: usize) -> Self {
        self.config.event_bytes_max = bytes;
        self
    }

    /// Calls `listener` with each [`Change`] of the client's health: when a problem begins and when
    /// it is over, never per event. It is called from a thread of its own, which it may block. The
    /// same goes to the `log` crate, with the target `flume_client`. Default: only that.
    ///
    /// ```no_run
    /// use flume_client::{Change, Client};
    ///
    /// let client = Client::builder()
    ///     .agent("avro://collector-1:4141")
    ///     .on_change(|change| match change {
    ///         Change::Began(problem) => eprintln!("{}: {problem}", problem.kind()),
    ///         change => eprintln!("{change}"),
    ///     })
    ///     .build()?;
    /// # Ok::<(), flume_client::BuildError>(())
    /// ```
    pub fn on_change(mut self, listener: impl Fn(&Change) + Send + Sync + 'static) -> Self {
        self.config.on_change = OnChange(Some(Arc::new(listener)));
        self
    }

    /// Checks the settings and starts the client's threads: four at the most, two more for TLS and
    /// HTTP, and `flume-changes` for as long as it has something to say. No other is started later, but a
    /// second `flume-spool` with the first [handle](Client::at) for the other level that has a spool, so a
    /// system that is short of threads then holds up nothing that delivers. Each sleeps while it has nothing
    /// to do, and ends with the client.
    ///
    /// | thread | does | is there |
    /// |---|---|---|
    /// | `flume-client` | delivers | always |
    /// | `flume-spool` | writes the spool | with a spool |
    /// | `flume-read` | reads from it what does not fit into memory | with a spool |
    /// | `flume-dns` | looks up agents' names, which may take as long as the system's resolver likes | one for each agent that is given by name, three at the most; with a spool, one for all of them |
    /// | `flume-tls` | reads the files of TLS | if an agent has TLS |
    /// | `flume-http` | reads files and calls callbacks for headers of requests | if `ClientBuilder::http` has such |
    /// | `flume-changes` | calls the logger and [`on_change`](Self::on_change), which may block | only while there is something to say; if it cannot be started, that is said later |
    ///
    /// Needs no runtime, and connects with the first event, of this run or an earlier one.
    pub fn build(self) -> Result<Client, BuildError> {
        #[cfg(feature = "test")]
        if let Some(agents) = self.in_memory.clone() {
            return Client::start_in_memory(self.check()?, agents);
        }
        Client::start(self.check()?)
    }

    /// The same without the thread `flume-client`: what it does, the [`Driver`] does as a future, for
    /// services of one thread, and for tests whose runtime plays with time. The other threads are as
    /// with [`build`](Self::build), and errors too.
    pub fn build_with_driver(self) -> Result<(Client, Driver), BuildError> {
        Client::start_with_driver(self.check()?)
    }

    /// Events stay in memory, as if agents had taken them. At least one agent is named.
    #[cfg(feature = "test")]
    pub(crate) fn in_memory(mut self, agents: Arc<InMemory>) -> Self {
        if self.agents.is_empty() {
            self = self.agent("avro://in-memory:4141");
        }
        self.in_memory = Some(agents);
        self
    }

    pub(crate) fn check(self) -> Result<Config, BuildError> {
        let mut config = self.config;
        let selection = config.delivery.selection;
        let ranked = self.agents.ranked(selection)?;
        (config.agents, config.delivery.agents) = (ranked.urls, ranked.ranks);
        #[cfg(feature = "tls")]
        {
            config.tls = tls_for(&config.agents, ranked.server_names, self.tls)?;
        }
        #[cfg(feature = "http")]
        {
            let server_name = |agent: usize| config.server_name(agent);
            config.http = http_for(&config.agents, server_name, self.http)?;
        }
        if let (None, Some(setting)) = (&self.directory, self.spool_setting) {
            return Err(BuildError::NothingToSet { setting });
        }
        let (reliability, spool) = self.spool.of_level(self.directory, self.reliability)?;
        (config.reliability, config.spool) = (reliability, spool);
        config.event_ids = self.event_ids;
        config.headers = self.headers.checked()?;
        config.bound_times();
        config.check()?;
        Ok(config)
    }
}
