//! [`Voice`]: how the renderer tells losses: to a callback, on the standard error output, and to
//! whoever reads the log at its end.

use std::fmt;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flume_client::own_thread;

use super::telling::Episode;
use crate::capture::{FieldWriter, Key, Site, SiteText};
use crate::level::Level;
use crate::loss::Loss;
use crate::text::time::TimeWriter;

/// The user's callback.
pub(crate) struct OnLoss(pub(crate) Box<dyn FnMut(&Loss) + Send>);

impl fmt::Debug for OnLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnLoss")
    }
}

#[derive(Debug, Default)]
pub(crate) struct Voice {
    on_loss: Option<OnLoss>,
    /// A line is being written. It may take for ever.
    is_speaking: Arc<AtomicBool>,
}

impl Voice {
    pub(crate) fn new(on_loss: Option<OnLoss>) -> Self {
        Self {
            on_loss,
            is_speaking: Arc::default(),
        }
    }

    pub(crate) fn tell(&mut self, loss: &Loss) {
        if let Some(on_loss) = &mut self.on_loss {
            // It is the user's code. What it panicked over, the hook of panics has told.
            let _ = catch_unwind(AssertUnwindSafe(|| on_loss.0(loss)));
        }
    }

    /// Whether a line would be written.
    pub(crate) fn may_complain(&self) -> bool {
        !self.is_speaking.load(Ordering::Acquire)
    }

    /// Writes a line to the standard error output, from a thread that nothing waits for: the output
    /// may be a pipe that nobody reads.
    pub(crate) fn complain(&self, line: String) {
        if self.is_speaking.swap(true, Ordering::AcqRel) {
            return;
        }
        let is_speaking = self.is_speaking.clone();
        let speak = move || {
            // There is nobody left to tell that this fails.
            let _ = writeln!(std::io::stderr(), "{line}");
            is_speaking.store(false, Ordering::Release);
        };
        if own_thread::spawn("flume-stderr", speak).is_err() {
            self.is_speaking.store(false, Ordering::Release);
        }
    }
}

/// Where the appender's own records come from.
/// Not empty, because it is known by its address.
struct Own(#[expect(dead_code, reason = "for its address alone")] u8);

impl Own {
    const FIELDS: [&str; 5] = ["message", "shed", "level", "since", "until"];
}

static OWN: Own = Own(0);

/// The place of the record that tells of an episode.
pub(crate) fn site_of_episode() -> Site {
    Site::new(&OWN, |_| {
        let mut text = SiteText::new(Level::Warn, "flume");
        text.fields = Own::FIELDS.map(Into::into).into();
        text
    })
}

/// Writes the fields of the record that tells of an episode.
pub(crate) fn put_episode(fields: &mut FieldWriter<'_>, episode: &Episode) {
    let time = |unix_ns| {
        let mut out = Vec::new();
        TimeWriter::default().put(&mut out, unix_ns);
        String::from_utf8(out).unwrap_or_default()
    };
    fields.text(Key::Index(0), "log records were shed for want of room");
    fields.u64(Key::Index(1), episode.shed);
    fields.text(Key::Index(2), episode.level.as_str());
    fields.text(Key::Index(3), &time(episode.since_ns));
    fields.text(Key::Index(4), &time(episode.until_ns));
}
