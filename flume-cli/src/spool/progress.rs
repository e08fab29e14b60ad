//! [`Progress`]: how much of a spool has been read, on a terminal.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

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
        let shown = bytes >= BYTES_MIN && io::stderr().is_terminal();
        let bar = shown.then(|| {
            let target = ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND);
            let style = ProgressStyle::with_template("{bar:24} {percent:>3}%  {msg}")
                .expect("the template is well-formed");
            ProgressBar::with_draw_target(Some(bytes), target)
                .with_style(style)
                .with_message(what)
        });
        Self { bar }
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
