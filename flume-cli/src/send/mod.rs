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

use std::time::{Duration, Instant};

use flume_client::Client;

pub(crate) use self::args::SendArgs;
use self::input::Input;
use self::pump::{News, Pump};
use self::screen::Screen;
use self::summary::{Ending, Summary};
use crate::exit::Exit;
use crate::interrupts::Interrupts;
use crate::output;
use crate::patience::Patience;
use crate::text;
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
        Err(error) => {
            output::note(error);
            return Exit::Usage;
        }
    };
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
}

impl Delivery {
    fn finish(mut self, args: &SendArgs) -> Exit {
        let ending = self.deliver(Patience::new(args.timeout), args);
        self.pump.stop();
        while let News::Note(note) = self.pump.wait(Duration::ZERO) {
            self.screen.note(&note);
        }
        let report = self.client.close(Duration::ZERO).wait();
        debug_assert_eq!(
            report.pending, 0,
            "a client that ended has decided everything"
        );
        self.screen.clear();
        let summary = Summary {
            tally: self.pump.tally(),
            stats: self.client.stats(),
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
                true => format!("retrying for up to {}", text::duration(args.timeout)),
                false => "retrying".to_owned(),
            };
            for note in self.watch.look(&stats, now, &retrying) {
                self.screen.note(&note);
            }
            self.screen.progress(tally, stats.delivered);
            if self.input_ended && stats.pending == 0 {
                return Ending::Complete;
            }
            if patience.is_over(now, stats.delivered, waiting) {
                return Ending::GaveUp;
            }
        }
    }

    /// Waits until there is something to look at.
    fn wait(&mut self) -> Option<Ending> {
        if self.input_ended {
            // It tells less than the counters, which are looked at next.
            let _ = self.client.flush(TICK).wait();
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

    fn stopped_at(&self) -> Option<String> {
        if self.all_read {
            return None;
        }
        let (input, lines) = self.pump.tally().position;
        let input = self.inputs.get(input)?;
        Some(format!("behind line {} of {input}", text::count(lines)))
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
