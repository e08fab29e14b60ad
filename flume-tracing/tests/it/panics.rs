//! Panics of a service, with the hook that tells them.

use std::sync::mpsc;
use std::time::Duration;

use flume_appender::test::Captured;
use serde_json::{Value, json};
use tracing::{Dispatch, Subscriber, span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry;
use tracing_subscriber::registry::LookupSpan;

use crate::bodies;

/// The record of the panic with this text: other tests may panic meanwhile.
fn record_of(captured: &Captured, text: &str) -> Value {
    let mut seen = bodies(&captured.take());
    seen.retain(|body| body.get("msg") == Some(&json!(text)));
    assert_eq!(seen.len(), 1, "{seen:?}");
    seen.remove(0)
}

/// Panics on a thread of its own, in whose spans a subscriber sees it.
fn panic_in(dispatch: Dispatch, run: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        let _done = done;
        tracing::dispatcher::with_default(&dispatch, run);
    });
    let ended = is_done.recv_timeout(Duration::from_secs(20));
    assert_eq!(ended, Err(mpsc::RecvTimeoutError::Disconnected), "it hangs");
}

#[test]
fn a_panic_is_a_record_with_its_span_and_its_text() {
    let (layer, captured) = flume_tracing::test::layer(flume_tracing::layer()).unwrap();
    captured.guard().install_panic_hook();
    panic_in(Dispatch::new(registry().with(layer)), || {
        let _outer = tracing::info_span!("outer", order = 17).entered();
        let _inner = tracing::info_span!("inner").entered();
        panic!("of order {}", 17);
    });
    let seen = record_of(&captured, "of order 17");
    assert_eq!(seen["level"], "ERROR");
    assert_eq!(seen["span"], json!({"order": 17}));
    assert_eq!(seen["spans"], json!(["outer", "inner"]));
}

/// A layer that panics while it holds the lock of a span.
struct PanicsUnderLock;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for PanicsUnderLock {
    #[expect(clippy::panic, reason = "that is what it is for")]
    fn on_record(&self, id: &span::Id, _: &span::Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).expect("it is recorded");
        let _held = span.extensions_mut();
        panic!("under the lock");
    }
}

#[test]
fn a_panic_under_the_lock_of_its_span_does_not_hang_and_is_told() {
    let (layer, captured) = flume_tracing::test::layer(flume_tracing::layer()).unwrap();
    captured.guard().install_panic_hook();
    let subscriber = registry().with(layer).with(PanicsUnderLock);
    panic_in(Dispatch::new(subscriber), || {
        let span = tracing::info_span!("span", late = tracing::field::Empty).entered();
        span.record("late", 1);
    });
    assert_eq!(record_of(&captured, "under the lock")["level"], "ERROR");
}
