//! An event for each thread, in whose memory one after the other is encoded.

use std::cell::Cell;

use crate::event::Event;

/// A thread keeps no more memory than this.
const BYTES_MAX: usize = 64 * 1024;

thread_local! {
    static EVENT: Cell<Option<Event>> = const { Cell::new(None) };
}

/// Hands `work` the event of these parts, in memory that is kept for the next one.
pub(super) fn with<T>(
    headers: &[(&str, &str)],
    body: &[u8],
    work: impl FnOnce(&mut Event) -> T,
) -> T {
    // A thread that ends may have none any more; its last events are made anew each.
    let kept = EVENT.try_with(Cell::take).ok().flatten();
    let mut event = kept.unwrap_or_else(|| Event::new(""));
    event.become_that_of(headers, body);
    let done = work(&mut event);
    if event.capacity() <= BYTES_MAX {
        let _ = EVENT.try_with(|kept| kept.set(Some(event)));
    }
    done
}
