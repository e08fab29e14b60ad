//! What is captured goes to the spool when the process exits by `exit`, which drops nothing.
#![cfg_attr(
    unix,
    expect(
        unsafe_code,
        reason = "the C library has no safe way to be called at an exit; no other module needs it"
    )
)]

use std::sync::Once;
use std::time::Duration;

use crate::flush::{Flush, Goal};
use crate::live;

/// How long an exit may be held up.
const WAIT_MAX: Duration = Duration::from_millis(500);

/// Has it done from now on, for all appenders that want it.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: the function has the signature that is asked for, and lasts as long as this code.
        #[cfg(unix)]
        if unsafe { libc::atexit(drain) } != 0 {
            crate::stderr::say("flume-appender: at_exit cannot be had, the system has no memory");
        }
    });
}

/// Called by the C library after `main` and in `exit`. Other threads still run.
#[cfg_attr(not(unix), expect(dead_code, reason = "there is no such call"))]
extern "C" fn drain() {
    // A panic must not leave a function of C.
    let _ = std::panic::catch_unwind(|| {
        let wanted = live::all();
        let wanted = wanted.iter().filter(|it| it.shared.drains_at_exit);
        let spooled = wanted.filter(|it| it.has_spool());
        let begin = |it| crate::appender::Appender::begin_flush(it, Goal::Stored, WAIT_MAX);
        let flushes: Vec<Flush> = spooled.map(begin).collect();
        for flush in flushes {
            let _ = flush.wait();
        }
    });
}
