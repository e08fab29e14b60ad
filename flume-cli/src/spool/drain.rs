//! `flume spool drain`: what waits in a spool is delivered, with no service needed for it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use flume_client::spool::{CursorState, Directory, places};
use flume_client::stats::{AgentStats, SpoolStats};
use flume_client::{Client, Stats};
use serde::Serialize;

use super::examined::Examined;
use super::problem::Problem;
use super::progress::Progress;
use super::source::{ANY, Spool, cursor_word};
use crate::agents::{self, AgentArgs, AgentLine};
use crate::exit::Exit;
use crate::interrupts::Interrupts;
use crate::output::{self, LostLine, SCHEMA};
use crate::patience::Patience;
use crate::text::{self, count, parse_duration, plural};
use crate::unread::{self, UnreadableLine};
use crate::watch::Watch;

/// Deliver what waits in a spool, and report what became of it.
///
/// The spool must not be in use: a service that runs delivers its events itself. What further
/// processes left in `process-2` and so on in the directory is delivered too, each from where it
/// lies. An event leaves the disk when an agent has acknowledged it.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct DrainArgs {
    /// The spool
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    #[command(flatten)]
    agents: AgentArgs,

    /// Give up when nothing is acknowledged for this long: 500ms, 10s, 2m
    #[arg(long, value_name = "TIME", default_value = "30s", env = "FLUME_TIMEOUT", value_parser = parse_duration)]
    timeout: Duration,

    /// Print the report as one line of JSON
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Example:
  flume spool drain /var/spool/orders --agent avro://collector:4141

Ctrl-C stops the delivery. What was not acknowledged stays in the spool, then as after the
time-out; what was under way may arrive twice, under the same `guid`.

Exits with
    0  everything is delivered. If that could not be saved on the disk it is told, and the same
       events are sent again the next time
    1  all others are delivered, and a file or a whole spool cannot be read, which is named. It
       ends at once then, and waits for no time-out
    4  nothing was delivered: no agent could be used
    5  a part was delivered, the rest is still in the spool
    6  all that can be read was delivered, and the rest is damaged
    7  the spool or one in it is in use. Nothing is sent then, unless another process took one of
       several while this command was taking them: what was sent by then is told
  124  nothing was delivered in time, and an agent still owed an answer
  130  interrupted";

/// How often the counters are looked at.
const TICK: Duration = Duration::from_millis(100);

/// Bytes of events in memory, of all spools together, unless that is less than an event may have.
const BUFFER_BYTES: usize = 32 * 1024 * 1024;
const BUFFER_BYTES_MIN: usize = 1024 * 1024;

#[derive(Serialize)]
struct Line {
    schema: u32,
    directory: String,
    #[serde(flatten)]
    events: Events,
    retries: u64,
    /// Of those delivered, events of which that could not be noted on the disk.
    unsaved: u64,
    unsaved_why: Option<String>,
    spools: Vec<SpoolLine>,
    unreadable: Vec<UnreadableLine>,
    agents: Vec<AgentLine>,
}

#[derive(Serialize)]
struct SpoolLine {
    directory: String,
    #[serde(flatten)]
    events: Events,
    /// How its cursor was found.
    cursor: &'static str,
}

/// A spool that is to be delivered.
struct Found {
    place: PathBuf,
    cursor: CursorState,
}

/// What is found in a spool when its client is closed.
#[derive(Clone, Copy, Debug, Default)]
struct Left {
    /// Something was passed over that may hold events.
    is_unread: bool,
    /// Events that are delivered, and could not be noted as such.
    unsaved: u64,
}

/// What became of the events of a spool: `recovered = delivered + pending + lost`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Events {
    /// Found on the disk.
    recovered: u64,
    delivered: u64,
    /// Still on the disk.
    pending: u64,
    /// Damaged on the disk.
    lost: LostLine,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Complete,
    /// But for what cannot be read.
    Unread,
    GaveUp,
    Interrupted,
    /// One of the spools cannot be taken, for this reason.
    Stopped(Exit),
}

pub(super) fn run(args: &DrainArgs) -> Result<Exit, Problem> {
    let (found, mut unopened) = spools(&args.dir)?;
    let interrupts = Interrupts::watch().map_err(Problem::io("watch signals for", &args.dir))?;
    let started = Instant::now();
    let (mut spools, mut clients) = (Vec::new(), Vec::new());
    let number = found.len();
    let mut stopped = None;
    for spool in found {
        match client(args, &spool.place, number) {
            Ok(client) => {
                spools.push(spool);
                clients.push(client);
            }
            Err(problem) if problem.is_of_one_spool() => unopened.push((spool.place, problem)),
            Err(problem) if clients.is_empty() => return Err(problem),
            Err(problem) => {
                // Somebody has taken it since it was looked at. The others may be under way.
                stopped = Some(Ending::Stopped(problem.tell()));
                break;
            }
        }
    }
    if clients.is_empty() {
        return Err(none(&args.dir, unopened));
    }
    for client in &clients {
        let spool = client.stats().spool;
        let notes = spool.iter().flat_map(|spool| spool.notes.iter());
        notes.for_each(|it| output::note(text::quiet(it)));
    }
    for (spool, client) in spools.iter().zip(&clients) {
        spool.note_cursor(client.stats().recovered);
    }
    let ending = stopped.unwrap_or_else(|| deliver(args, &clients, &interrupts, started));
    let closes: Vec<_> = clients.iter().map(|it| it.close(Duration::ZERO)).collect();
    let is_clean = closes.into_iter().all(|close| close.wait().pending == 0);
    debug_assert!(is_clean, "what is not delivered is on the disk");
    let elapsed = started.elapsed();
    let stats: Vec<_> = clients.iter().map(Client::stats).collect();
    let each = spools.iter().zip(&stats);
    let left = each.map(|(spool, stats)| match ending {
        Ending::Complete => Left::look(&spool.place, stats),
        // That takes time with a large spool, and is of use only if something was not saved.
        _ if has_trouble(stats) => Left::look(&spool.place, stats),
        _ => Left::default(),
    });
    let report = Report {
        args,
        ending,
        elapsed,
        left: left.collect(),
        stats,
        unopened: unopened
            .iter()
            .map(|(spool, it)| it.unreadable(spool))
            .collect(),
        spools,
    };
    report.tell()
}

/// Spools that cannot be opened, and why.
type Unopened = Vec<(PathBuf, Problem)>;

/// The spools of a directory, and those that cannot be opened. It is an error if there is none that
/// can, or one of them is in use.
fn spools(dir: &Path) -> Result<(Vec<Found>, Unopened), Problem> {
    let (mut spools, mut unopened) = (Vec::new(), Vec::new());
    for place in places(dir).filter(|it| it == dir || it.is_dir()) {
        match cursor_of(&place) {
            Ok(Some(cursor)) => spools.push(Found { place, cursor }),
            Ok(None) => {}
            Err(problem) if problem.is_of_one_spool() => unopened.push((place, problem)),
            Err(problem) => return Err(problem),
        }
    }
    match spools.is_empty() {
        true => Err(none(dir, unopened)),
        false => Ok((spools, unopened)),
    }
}

/// `None`: there is no spool.
fn cursor_of(place: &Path) -> Result<Option<CursorState>, Problem> {
    match Directory::holder(place)? {
        Some(holder) => Err(Problem::in_use(place, holder)),
        None => Ok(Spool::find(place)?.map(|spool| spool.cursor_state())),
    }
}

/// Why nothing can be delivered. If there are several reasons, the others are told here.
fn none(dir: &Path, unopened: Unopened) -> Problem {
    let mut problems = unopened.into_iter().map(|(_, problem)| problem);
    let first = problems.next();
    problems.for_each(output::note);
    first.unwrap_or_else(|| Problem::NoSpool(dir.to_owned()))
}

/// Takes the spool and begins to deliver.
fn client(args: &DrainArgs, spool: &Path, spools: usize) -> Result<Client, Problem> {
    let client = args
        .agents
        .client(args.timeout)
        .spool(spool)
        .spool_shared(false)
        .spool_on_network(ANY.network)
        .spool_of_other_owner(ANY.owner)
        .buffer_bytes((BUFFER_BYTES / spools).max(BUFFER_BYTES_MIN));
    Ok(client.build()?)
}

fn deliver(
    args: &DrainArgs,
    clients: &[Client],
    interrupts: &Interrupts,
    started: Instant,
) -> Ending {
    let snapshot = || -> Vec<Stats> { clients.iter().map(Client::stats).collect() };
    let total = |stats: &[Stats]| stats.iter().map(|it| it.recovered).sum();
    let progress = Progress::of_events(total(&snapshot()));
    let mut patience = Patience::new(args.timeout);
    let mut watch = Watch::default();
    let retrying = format!("retrying for up to {}", text::duration(args.timeout));
    let ending = loop {
        let (stats, now) = (snapshot(), Instant::now());
        for note in watch.look(&merged(&stats), now, &retrying) {
            progress.note(note);
        }
        let events = sum(&stats);
        let (delivered, pending) = (events.delivered, events.pending);
        // What a file can hold that cannot be read is known better when it is reached.
        let total: u64 = total(&stats);
        progress.at(total.saturating_sub(pending), || {
            let (done, rate) = (count(delivered), per_second(delivered, now - started));
            format!("{done} of {} delivered, {rate}/s", plural(total, "event"))
        });
        if pending == 0 {
            break Ending::Complete;
        }
        if stats
            .iter()
            .all(|it| it.pending == 0 || unread::is_all_that_waits(it))
        {
            break Ending::Unread;
        }
        if interrupts.wait(TICK) {
            break Ending::Interrupted;
        }
        if patience.is_over(now, delivered + events.lost(), true) {
            break Ending::GaveUp;
        }
    };
    progress.clear();
    ending
}

impl Found {
    /// Tells that events come again because of its cursor, if so.
    fn note_cursor(&self, recovered: u64) {
        let text = match self.cursor {
            CursorState::Missing => {
                "the file `cursor`, which tells what was delivered before, is missing, so events \
                 that were delivered and are still on the disk are sent again"
            }
            CursorState::Damaged => {
                "the file `cursor`, which tells what was delivered before, is damaged, so events \
                 that were delivered and are still on the disk are sent again"
            }
            CursorState::Repaired => {
                "one of the two copies in the file `cursor`, which tells what was delivered \
                 before, is damaged; if it was the newer one, the events that were delivered last \
                 are sent again"
            }
            CursorState::Whole => return,
        };
        if recovered > 0 {
            output::note(format_args!("{}: {text}", text::path(&self.place)));
        }
    }
}

impl Left {
    /// Reads all that is there.
    fn look(place: &Path, stats: &Stats) -> Self {
        match examine(place) {
            Ok(None) => Self::default(),
            Ok(Some(it)) => {
                let spool = stats.spool.as_ref();
                let unreadable = spool.map_or(0, SpoolStats::unreadable_events);
                let pending = stats.pending.saturating_sub(unreadable);
                let unsaved = it.survey.events().saturating_sub(pending);
                Self {
                    is_unread: it.exit() == Exit::Unexpected,
                    unsaved: unsaved.min(stats.delivered),
                }
            }
            Err(_) => Self {
                is_unread: true,
                unsaved: 0,
            },
        }
    }
}

fn has_trouble(stats: &Stats) -> bool {
    stats.spool.as_ref().is_some_and(|it| it.trouble.is_some())
}

fn examine(place: &Path) -> Result<Option<Examined>, Problem> {
    let spool = Spool::find(place)?;
    spool.map(|spool| Examined::of(&spool, 0)).transpose()
}

fn sum(stats: &[Stats]) -> Events {
    let each = stats.iter().map(Events::of);
    each.fold(Events::default(), |sum, it| Events {
        recovered: sum.recovered + it.recovered,
        delivered: sum.delivered + it.delivered,
        pending: sum.pending + it.pending,
        lost: LostLine(sum.lost.0 + it.lost.0),
    })
}

/// Each agent once, though each spool has a connection of its own to it.
fn merged(stats: &[Stats]) -> Vec<AgentStats> {
    let mut clients = stats.iter().map(|it| it.agents.clone());
    let first = clients.next().unwrap_or_default();
    clients.fold(first, |mut sum, more| {
        for (agent, other) in sum.iter_mut().zip(more) {
            agent.delivered += other.delivered;
            agent.failures += other.failures;
            agent.window_peak = agent.window_peak.max(other.window_peak);
            agent.last_error = agent.last_error.take().or(other.last_error);
            agent.failing_for = agent.failing_for.max(other.failing_for);
        }
        sum
    })
}

fn per_second(events: u64, time: Duration) -> String {
    count((events as f64 / time.as_secs_f64().max(0.001)) as u64)
}

impl Events {
    fn of(stats: &Stats) -> Self {
        Self {
            recovered: stats.recovered,
            delivered: stats.delivered,
            pending: stats.pending,
            lost: LostLine(stats.lost),
        }
    }

    fn lost(&self) -> u64 {
        self.lost.0.total()
    }
}

/// What came of it.
struct Report<'a> {
    args: &'a DrainArgs,
    ending: Ending,
    elapsed: Duration,
    spools: Vec<Found>,
    /// The counters of each spool's client after it was closed.
    stats: Vec<Stats>,
    /// What each holds then.
    left: Vec<Left>,
    /// Further spools, which could not be opened.
    unopened: Vec<UnreadableLine>,
}

impl Report<'_> {
    /// Whether all is delivered but what cannot be read.
    fn is_unread(&self) -> bool {
        let is_more = self.is_any_unread() || !self.unopened.is_empty();
        self.ending == Ending::Unread || (self.ending == Ending::Complete && is_more)
    }

    /// Whether something in the spools that could be opened was passed over.
    fn is_any_unread(&self) -> bool {
        self.left.iter().any(|it| it.is_unread)
    }

    fn tell(&self) -> Result<Exit, Problem> {
        let written = match self.args.json {
            true => output::json(&self.line()),
            false => output::data(self.text()),
        };
        Ok(self.exit().unless(!written))
    }

    fn exit(&self) -> Exit {
        if let Ending::Stopped(exit) = self.ending {
            return exit;
        }
        let events = sum(&self.stats);
        match events.pending {
            _ if self.ending == Ending::Interrupted => Exit::Interrupted,
            _ if self.is_unread() => Exit::Unexpected,
            0 if events.lost() > 0 => Exit::Damaged,
            0 => Exit::Complete,
            _ if events.delivered > 0 => Exit::Partial,
            _ => agents::nothing_delivered(&self.stats),
        }
    }

    fn text(&self) -> String {
        let (events, dir) = (sum(&self.stats), text::path(&self.args.dir));
        let mut each = self.stats.iter().map(unread::up_to);
        let up_to = each.find(|words| !words.is_empty()).unwrap_or_default();
        let mut lines = vec![format!("{dir}: {}", self.headline(&events, up_to))];
        if events.pending > 0 && self.ending != Ending::Unread {
            let why = match self.ending {
                Ending::GaveUp => format!(
                    "; gave up after {} without an acknowledgement (--timeout)",
                    text::duration(self.args.timeout)
                ),
                Ending::Interrupted => "; interrupted".to_owned(),
                _ => String::new(),
            };
            lines.push(format!(
                "{up_to}{} pending on the disk{why}",
                count(events.pending)
            ));
        }
        if events.lost() > 0 {
            let lost = count(events.lost());
            lines.push(format!(
                "{lost} lost: damaged on the disk; `flume spool prune` lists what is set aside"
            ));
        }
        lines.extend(self.unread_text());
        lines.extend(self.unsaved_text());
        if self.spools.len() > 1 && events.recovered > 0 {
            let each = self.spools.iter().zip(&self.stats);
            lines.extend(each.map(|(spool, stats)| {
                let it = Events::of(stats);
                let (spool, delivered) = (text::path(&spool.place), count(it.delivered));
                format!(
                    "{spool}: {delivered} delivered, {} pending",
                    count(it.pending)
                )
            }));
        }
        lines.extend(agents::sent_again(self.retries()));
        if events.recovered > 0 {
            lines.extend(agents::text(&merged(&self.stats), events.pending > 0));
        }
        lines.join("\n  ")
    }

    fn headline(&self, events: &Events, up_to: &str) -> String {
        let time = text::duration(self.elapsed);
        match (events.recovered, events.pending + events.lost()) {
            _ if matches!(self.ending, Ending::Stopped(_)) => format!(
                "{} delivered in {time}; then it stopped, as one of the spools could not be taken",
                plural(events.delivered, "event")
            ),
            _ if self.is_unread() => {
                let is_any_awaited = self.stats.iter().any(unread::is_any_awaited);
                unread::headline(events.delivered, &time, is_any_awaited)
            }
            (0, _) => "nothing to deliver".to_owned(),
            (total, 0) => format!(
                "{} delivered in {time} ({}/s)",
                text::all(total, "event"),
                per_second(total, self.elapsed)
            ),
            (total, _) => format!(
                "{} of {up_to}{} delivered in {time}",
                count(events.delivered),
                plural(total, "event")
            ),
        }
    }

    fn unread_text(&self) -> Vec<String> {
        let mut lines = unread::text(&self.unreadable());
        if lines.is_empty() && self.is_any_unread() {
            let text = "not all of it can be read; `flume spool show` tells what cannot";
            lines.push(text.to_owned());
        }
        lines
    }

    fn unreadable(&self) -> Vec<UnreadableLine> {
        let files = self.stats.iter().flat_map(UnreadableLine::all);
        files.chain(self.unopened.iter().cloned()).collect()
    }

    /// That what was delivered could not be noted on the disk.
    fn unsaved_text(&self) -> Option<String> {
        let why = self.unsaved_why()?;
        let events = plural(self.unsaved(), "event");
        Some(format!(
            "which events are delivered could not be saved in the spool, so {events} come again if \
             it is delivered once more: {why}"
        ))
    }

    fn unsaved(&self) -> u64 {
        self.left.iter().map(|it| it.unsaved).sum()
    }

    fn unsaved_why(&self) -> Option<String> {
        let each = self.left.iter().zip(&self.stats);
        let mut unsaved = each.filter(|(left, _)| left.unsaved > 0);
        let (_, stats) = unsaved.next()?;
        let trouble = stats.spool.as_ref().and_then(|it| it.trouble.clone());
        let unknown = || "its cursor was not written".to_owned();
        Some(trouble.map_or_else(unknown, |it| it.to_string()))
    }

    fn line(&self) -> Line {
        let each = self.spools.iter().zip(&self.stats);
        Line {
            schema: SCHEMA,
            directory: self.args.dir.display().to_string(),
            events: sum(&self.stats),
            retries: self.retries(),
            unsaved: self.unsaved(),
            unsaved_why: self.unsaved_why(),
            spools: each
                .map(|(spool, stats)| SpoolLine {
                    directory: spool.place.display().to_string(),
                    events: Events::of(stats),
                    cursor: cursor_word(spool.cursor),
                })
                .collect(),
            unreadable: self.unreadable(),
            agents: agents::lines(&merged(&self.stats)),
        }
    }

    fn retries(&self) -> u64 {
        self.stats.iter().map(|it| it.batches_retried).sum()
    }
}
