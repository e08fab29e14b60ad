//! [`Progress`]: how much of a spool has been read or delivered, on a terminal.

use std::fmt::Display;
use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output;

/// A line on stderr, if that is a terminal.
#[derive(Debug, Default)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
}

/// Less is read before anybody could read the line.
const BYTES_MIN: u64 = 64 * 1024 * 1024;

/// Times per second that the line is drawn.
const DRAWS_PER_SECOND: u8 = 10;

impl Progress {
    pub(super) fn of(bytes: u64, what: String) -> Self {
        match bytes >= BYTES_MIN {
            true => Self::shown(bytes, what),
            false => Self::default(),
        }
    }

    /// Of so many events, however few they are.
    pub(super) fn of_events(events: u64) -> Self {
        Self::shown(events, String::new())
    }

    fn shown(total: u64, what: String) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let target = ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND);
            let style = ProgressStyle::with_template("{bar:24} {percent:>3}%  {msg}")
                .expect("the template is well-formed");
            ProgressBar::with_draw_target(Some(total), target)
                .with_style(style)
                .with_message(what)
        });
        Self { bar }
    }

    /// Shows how far it is.
    pub(super) fn at(&self, position: u64, what: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_position(position);
            bar.set_message(what());
            bar.tick();
        }
    }

    /// Writes a line for the user above it.
    pub(super) fn note(&self, text: impl Display) {
        match &self.bar {
            Some(bar) => bar.suspend(|| output::note(text)),
            None => output::note(text),
        }
    }

    pub(super) fn add(&self, bytes: usize) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes as u64);
        }
    }

    /// Begins anew, for another pass.
    pub(super) fn restart(&self) {
        if let Some(bar) = &self.bar {
            bar.reset();
        }
    }

    /// Removes the line.
    pub(super) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
