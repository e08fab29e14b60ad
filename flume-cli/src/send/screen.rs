//! [`Screen`]: words on stderr, and a progress line below them if stderr is a terminal.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::pump::Tally;
use crate::output;
use crate::text;

#[derive(Debug)]
pub(super) struct Screen {
    bar: Option<ProgressBar>,
    started: Instant,
}

/// Times per second that the progress line is drawn.
const DRAWS_PER_SECOND: u8 = 10;

impl Screen {
    /// `bytes`: how much there is to read, if that is known. `progress`: show a progress line on a
    /// terminal; it would be in the way of a user who types there.
    pub(super) fn new(bytes: Option<u64>, progress: bool) -> Self {
        let bar = (progress && io::stderr().is_terminal()).then(|| bar(bytes));
        Self {
            bar,
            started: Instant::now(),
        }
    }

    pub(super) fn note(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| output::note(text)),
            None => output::note(text),
        }
    }

    pub(super) fn progress(&self, tally: Tally, delivered: u64) {
        let Some(bar) = &self.bar else {
            return;
        };
        bar.set_position(tally.bytes);
        let per_second = delivered as f64 / self.elapsed().as_secs_f64().max(0.001);
        bar.set_message(format!(
            "{} read, {} delivered, {}/s",
            text::count(tally.read),
            text::count(delivered),
            text::count(per_second as u64)
        ));
        bar.tick();
    }

    /// Removes the progress line.
    pub(super) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

fn bar(bytes: Option<u64>) -> ProgressBar {
    let target = ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND);
    let template = match bytes {
        Some(_) => "{bar:24} {percent:>3}%  {msg}",
        None => "{spinner} {msg}",
    };
    let style = ProgressStyle::with_template(template).expect("both templates are well-formed");
    ProgressBar::with_draw_target(bytes, target).with_style(style)
}
