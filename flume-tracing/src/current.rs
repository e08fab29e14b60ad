//! The span that a thread is in, for records that no call of `tracing` made.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use flume_appender::capture::SpanNode;
use flume_client::own_thread;
use tracing_core::dispatcher;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

/// The longest that a panic is held up for its span.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// Finds the innermost span that has a node, as `node_of` says it.
///
/// A thread that panics may hold the lock of its span, because a layer panicked under it. So another
/// thread looks, and this one waits a little only.
pub(crate) fn find<F>(node_of: F) -> Option<Arc<SpanNode>>
where
    F: Fn(&SpanRef<'_, Registry>) -> Option<Arc<SpanNode>> + Send + 'static,
{
    let dispatch = dispatcher::get_default(Clone::clone);
    let id = dispatch.current_span().id()?.clone();
    let (sender, found) = channel();
    let look = move || {
        let registry = dispatch.downcast_ref::<Registry>();
        let span = registry.and_then(|registry| registry.span(&id));
        let node = span.and_then(|span| span.scope().find_map(|span| node_of(&span)));
        let _ = sender.send(node);
    };
    own_thread::spawn("flume-span", look).ok()?;
    found.recv_timeout(WAIT_MAX).ok()?
}
