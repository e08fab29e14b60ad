//! What is said on stderr. Nobody waits for it for long: it may be a pipe that nobody reads.

use std::io::Write;
use std::sync::mpsc::channel;
use std::time::Duration;

use flume_client::own_thread;

/// How long a line may take.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// Says a line, if that does not take long. Otherwise its thread stays behind with it.
pub(crate) fn say(line: &str) {
    let line = format!("{line}\n");
    let (said, heard) = channel::<()>();
    let body = move || {
        // With stderr closed there is nobody to tell.
        let _ = std::io::stderr().write_all(line.as_bytes());
        drop(said);
    };
    if own_thread::spawn("flume-stderr", body).is_ok() {
        let _ = heard.recv_timeout(WAIT_MAX);
    }
}
