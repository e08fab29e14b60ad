//! `flume send`: lines in, acknowledgements counted, nothing left unsaid.
//!
//! | file | holds |
//! |---|---|
//! | `args` | the command line |
//! | `input` | files and standard input |
//! | `pump` | the thread that reads and hands over |
//! | `screen` | what the user sees while it runs |
//! | `summary` | what the user, scripts and the shell are told at the end |

mod args;
mod input;
mod pump;
mod screen;
mod summary;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use flume_client::{Client, Stats};

pub(crate) use self::args::SendArgs;
use self::args::storing;
use self::input::Input;
use self::pump::{News, Pump};
use self::screen::Screen;
use self::summary::{Ending, Summary};
use crate::exit::Exit;
use crate::interrupts::Interrupts;
use crate::output;
use crate::patience::Patience;
use crate::spool::{self, Elsewhere};
use crate::text;
use crate::unread;
use crate::watch::Watch;

/// How often the counters are looked at.
const TICK: Duration = Duration::from_millis(100);

pub(crate) fn run(args: &SendArgs) -> Exit {
    if let Err(problem) = args.check() {
        output::note(problem);
        return Exit::Usage;
    }
    let client = match args.client() {
        Ok(client) => client,
        Err(error) => return spool::refuse(error),
    };
    let stats = client.stats();
    let notes = stats.spool.iter().flat_map(|spool| spool.notes.iter());
    notes.for_each(|it| output::note(text::quiet(it)));
    if let Some(spool) = &stats.spool
        && stats.recovered > 0
    {
        output::note(found(stats.recovered, &spool.directory));
    }
    let inputs = Input::all(&args.files);
    let interactive = inputs.iter().any(Input::is_terminal);
    if interactive {
        output::note(
            "reading lines from the terminal; Ctrl-D at the start of a line ends the input",
        );
    }
    let bytes = inputs.iter().map(Input::size).sum();
    let started = Interrupts::watch().and_then(|interrupts| {
        let pump = Pump::start(client.clone(), args.header.clone(), inputs.clone())?;
        Ok((interrupts, pump))
    });
    let (interrupts, pump) = match started {
        Ok(started) => started,
        Err(error) => {
            output::note(format_args!("cannot start: {error}"));
            return Exit::Unexpected;
        }
    };
    let delivery = Delivery {
        client,
        pump,
        interrupts,
        interrupted: false,
        inputs,
        all_read: false,
        input_ended: false,
        screen: Screen::new(bytes, !interactive),
        watch: Watch::default(),
        trouble: None,
    };
    delivery.finish(args)
}

/// The command at work.
struct Delivery {
    client: Client,
    pump: Pump,
    interrupts: Interrupts,
    interrupted: bool,
    inputs: Vec<Input>,
    all_read: bool,
    /// Nothing more will be read.
    input_ended: bool,
    screen: Screen,
    watch: Watch,
    /// What was said last of the spool.
    trouble: Option<String>,
}

impl Delivery {
    fn finish(mut self, args: &SendArgs) -> Exit {
        let ending = self.deliver(Patience::new(args.timeout), args);
        self.pump.stop();
        while let News::Note(note) = self.pump.wait(Duration::ZERO) {
            self.screen.note(&note);
        }
        self.wait_until_stored(args.timeout);
        let report = self.client.close(Duration::ZERO).wait();
        debug_assert!(
            args.spool.is_some() || report.pending == 0,
            "a client that ended has decided everything, unless it waits for a disk"
        );
        self.screen.clear();
        let stats = self.client.stats();
        let summary = Summary {
            tally: self.pump.tally(),
            elsewhere: elsewhere(args, &stats),
            stats,
            ending,
            stopped_at: self.stopped_at(),
            elapsed: self.screen.elapsed(),
            timeout: args.timeout,
        };
        summary.report(self.interrupted, args.json)
    }

    fn deliver(&mut self, mut patience: Patience, args: &SendArgs) -> Ending {
        loop {
            if let Some(ending) = self.wait() {
                return ending;
            }
            if self.interrupts.is_set() && !self.interrupted {
                self.interrupt(args);
            }
            let (tally, stats) = (self.pump.tally(), self.client.stats());
            let now = Instant::now();
            let waiting = self.input_ended || tally.waits_for_room;
            let retrying = match waiting {
                _ if args.is_best_effort() => "what no agent takes is dropped".to_owned(),
                true => format!("retrying for up to {}", text::duration(args.timeout)),
                false => "retrying".to_owned(),
            };
            for note in self.watch.look(&stats.agents, now, &retrying) {
                self.screen.note(&note);
            }
            self.tell_trouble(&stats);
            self.screen.progress(tally, stats.delivered);
            if self.input_ended && stats.pending == 0 && !Self::is_taking_over(args, &stats) {
                return Ending::Complete;
            }
            if self.input_ended && unread::is_all_that_waits(&stats) {
                return Ending::Unread;
            }
            if patience.is_over(now, stats.delivered, waiting) {
                return Ending::GaveUp;
            }
        }
    }

    /// Waits until there is something to look at.
    fn wait(&mut self) -> Option<Ending> {
        if self.input_ended {
            let started = Instant::now();
            // It tells less than the counters, which are looked at next.
            let _ = self.client.flush(TICK).wait();
            // It does not wait for what another run left in a place of its own.
            if self.client.stats().pending > 0 {
                thread::park_timeout(TICK.saturating_sub(started.elapsed()));
            }
            return None;
        }
        match self.pump.wait(TICK) {
            News::Note(note) => self.screen.note(&note),
            News::Nothing => {}
            News::Ended { all_read: false } => return Some(Ending::Broken),
            News::Ended { all_read: true } => {
                self.input_ended = true;
                self.all_read = true;
            }
        }
        None
    }

    /// What keeps events from being stored, once.
    fn tell_trouble(&mut self, stats: &Stats) {
        if let Some(spool) = &stats.spool
            && let Some(trouble) = &spool.trouble
        {
            let note = format!("{}: {}", text::path(&spool.directory), storing(trouble));
            if self.trouble.as_ref() != Some(&note) {
                self.screen.note(&note);
                self.trouble = Some(note);
            }
        }
    }

    /// Gives a slow disk time; one in trouble has none.
    fn wait_until_stored(&self, limit: Duration) {
        let started = Instant::now();
        let is_storing = || {
            let spool = self.client.stats().spool;
            spool.is_some_and(|spool| spool.unstored > 0 && spool.trouble.is_none())
        };
        while is_storing() && started.elapsed() < limit {
            // What is stored is not told by it, but the wait is over early if all is delivered.
            let _ = self.client.flush(TICK).wait();
        }
    }

    /// Whether the client still delivers what another run left in a place of its own.
    fn is_taking_over(args: &SendArgs, stats: &Stats) -> bool {
        match (&args.spool, &stats.spool) {
            (Some(root), Some(own)) => spool::is_taking_over(root, &own.directory),
            _ => false,
        }
    }

    fn stopped_at(&self) -> Option<String> {
        if self.all_read {
            return None;
        }
        let (input, lines) = self.pump.tally().position;
        let input = self.inputs.get(input)?;
        Some(format!("after line {} of {input}", text::count(lines)))
    }

    fn interrupt(&mut self, args: &SendArgs) {
        self.pump.stop();
        self.interrupted = true;
        self.input_ended = true;
        self.screen.note(&format!(
            "interrupted: sending what was read, for up to {} without an acknowledgement; \
             Ctrl-C again ends at once",
            text::duration(args.timeout)
        ));
    }
}

/// What earlier runs left in the spool.
fn found(events: u64, spool: &Path) -> String {
    let (events, place) = (text::plural(events, "event"), text::path(spool));
    match spool::is_any_unread(spool) {
        true => format!(
            "earlier runs left up to {events} in {place}, and those that can be read are sent first"
        ),
        false => format!("{events} in {place} from an earlier run, sent first"),
    }
}

/// What other runs left in places of their own and nobody has taken over.
fn elsewhere(args: &SendArgs, stats: &Stats) -> Elsewhere {
    match (&args.spool, &stats.spool) {
        (Some(root), Some(own)) => Elsewhere::look(root, &own.directory),
        _ => Elsewhere::default(),
    }
}
