//! Whether records of the crate `log` come in two ways, so that each would be delivered twice.

use std::io::Write;
use std::sync::atomic::{AtomicU8, Ordering};

use flume_client::own_thread;

/// The ways on which records of the crate `log` may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogPath {
    /// A front end is `log`'s logger, or stands behind it.
    Logger,
    /// They are bridged into `tracing`, and come from there.
    Bridge,
}

/// A front end took a record of the crate `log`. If some come on both ways, that is told once on
/// stderr. Costs a comparison.
#[inline]
pub fn note_log_path(path: LogPath) {
    static SEEN: Seen = Seen(AtomicU8::new(0));
    if SEEN.is_first_on_both(path) {
        warn();
    }
}

/// From a thread of its own: the caller must not wait for who reads stderr.
#[cold]
fn warn() {
    let _ = own_thread::spawn("flume-warning", || {
        let _ = writeln!(
            std::io::stderr(),
            "flume: records of the crate `log` come through flume-log and through tracing-log's \
             bridge into flume-tracing as well, so they are delivered twice: take `LogTracer` out, \
             or do not install flume-log"
        );
    });
}

struct Seen(AtomicU8);

impl Seen {
    #[inline]
    fn is_first_on_both(&self, path: LogPath) -> bool {
        let bit = match path {
            LogPath::Logger => 1,
            LogPath::Bridge => 2,
        };
        if self.0.load(Ordering::Relaxed) & bit != 0 {
            return false;
        }
        let before = self.0.fetch_or(bit, Ordering::Relaxed);
        before & bit == 0 && before | bit == 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ways_are_told_once_and_one_way_never() {
        let seen = Seen(AtomicU8::new(0));
        let tells: Vec<bool> = [LogPath::Bridge; 2]
            .into_iter()
            .chain([LogPath::Logger; 2])
            .chain([LogPath::Bridge])
            .map(|path| seen.is_first_on_both(path))
            .collect();
        assert_eq!(tells, [false, false, true, false, false]);
    }
}
