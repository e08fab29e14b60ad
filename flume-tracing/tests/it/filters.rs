//! Filters of layers, reloads, several layers, and levels that change while a program runs.

use std::sync::{Arc, Mutex};

use flume_appender::test::Captured;
use flume_tracing::FlumeLayer;
use serde_json::json;
use tracing::{Dispatch, Event, Metadata, Subscriber};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::{registry, reload};

use crate::{bodies, messages, only};

fn layer() -> (FlumeLayer, Captured) {
    flume_tracing::test::layer(flume_tracing::layer()).expect("it can be set up")
}

fn with(subscriber: impl Subscriber + Send + Sync, run: impl FnOnce()) {
    tracing::dispatcher::with_default(&Dispatch::new(subscriber), run);
}

fn is_visible(metadata: &Metadata<'_>) -> bool {
    metadata.target() != "hidden"
}

#[test]
fn a_filtered_current_span_or_parent_is_no_panic_and_visible_spans_are_kept() {
    let (layer, captured) = layer();
    with(
        registry().with(layer.with_filter(filter_fn(is_visible))),
        || {
            let _outer = tracing::info_span!("outer", id = 1).entered();
            let hidden = tracing::info_span!(target: "hidden", "hidden", id = 2).entered();
            tracing::info!("in a hidden one");
            let child = tracing::info_span!("child").entered();
            tracing::info!("below a hidden one");
            tracing::info!(target: "hidden", "hidden");
            tracing::info!(parent: hidden.id(), "its parent is hidden");
            drop(child);
        },
    );
    let seen = bodies(&captured.take());
    let spans: Vec<_> = seen.iter().map(|it| it["spans"].clone()).collect();
    assert_eq!(spans.len(), 3);
    assert_eq!(spans[0], json!(["outer"]));
    assert_eq!(spans[1], json!(["outer", "child"]));
    // Of a parent that is named and hidden, tracing gives a layer no way to those around it.
    assert_eq!(spans[2], json!(null));
    assert!(seen[..2].iter().all(|it| it["span"] == json!({"id": 1})));
}

#[test]
fn recording_a_filtered_span_is_no_panic() {
    let (layer, captured) = layer();
    with(
        registry().with(layer.with_filter(filter_fn(is_visible))),
        || {
            let hidden =
                tracing::info_span!(target: "hidden", "hidden", late = tracing::field::Empty);
            let _entered = hidden.enter();
            hidden.record("late", 1);
            hidden.follows_from(tracing::info_span!("other").id());
            tracing::info!("here");
        },
    );
    assert_eq!(only(&captured.take()).get("span"), None);
}

#[test]
fn two_layers_of_ours_in_one_registry_share_no_extensions_each_has_its_own_filter_and_spans() {
    let ((first, seen_first), (second, seen_second)) = (layer(), layer());
    let subscriber = registry()
        .with(first.with_filter(LevelFilter::WARN))
        .with(second.with_filter(filter_fn(is_visible)));
    with(subscriber, || {
        let _warn = tracing::warn_span!(target: "hidden", "warn", a = 1).entered();
        let _info = tracing::info_span!("info", b = 2, late = tracing::field::Empty).entered();
        tracing::Span::current().record("late", 3);
        tracing::warn!("both");
        tracing::info!("second");
        tracing::error!(target: "hidden", "first");
    });
    let first = seen_first.take();
    assert_eq!(messages(&first), ["both", "first"]);
    assert!(
        bodies(&first)
            .iter()
            .all(|it| it["span"] == json!({"a": 1}))
    );
    let second = seen_second.take();
    assert_eq!(messages(&second), ["both", "second"]);
    assert!(
        bodies(&second)
            .iter()
            .all(|it| it["span"] == json!({"b": 2, "late": 3}))
    );
}

#[test]
fn a_filter_that_is_reloaded_between_span_and_event_is_no_panic() {
    let (layer, captured) = layer();
    let (filter, handle) = reload::Layer::new(LevelFilter::INFO);
    with(registry().with(layer.with_filter(filter)), || {
        let outer = tracing::info_span!("outer", id = 1).entered();
        let debug = tracing::debug_span!("debug");
        handle.reload(LevelFilter::TRACE).unwrap();
        let _entered = debug.enter();
        tracing::debug!("wanted now");
        handle.reload(LevelFilter::ERROR).unwrap();
        tracing::info!("not wanted");
        let _inner = tracing::error_span!("inner").entered();
        drop(outer);
        tracing::error!("wanted");
    });
    let events = captured.take();
    assert_eq!(messages(&events), ["wanted now", "wanted"]);
    assert_eq!(bodies(&events)[0]["span"], json!({"id": 1}));
}

#[test]
fn a_layer_that_is_reloaded_knows_no_older_span_and_is_no_panic() {
    let ((first, seen_first), (second, seen_second)) = (layer(), layer());
    let (reloaded, handle) = reload::Layer::new(first);
    with(registry().with(reloaded), || {
        let old = tracing::info_span!("old", id = 1, late = tracing::field::Empty).entered();
        tracing::info!("first");
        handle.reload(second).unwrap();
        old.record("late", 2);
        tracing::info!("second");
        let _new = tracing::info_span!("new", id = 3).entered();
        tracing::info!("third");
    });
    assert_eq!(messages(&seen_first.take()), ["first"]);
    let second = seen_second.take();
    assert_eq!(messages(&second), ["second", "third"]);
    assert_eq!(bodies(&second)[1]["span"], json!({"id": 3}));
}

/// Keeps the targets of the events that it sees.
#[derive(Clone, Default)]
struct Witness(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Witness {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut seen = self.0.lock().expect("nobody panicked");
        seen.push(event.metadata().target().to_owned());
    }
}

#[test]
fn our_filter_silences_no_other_layer() {
    let builder = flume_tracing::layer().filter("off");
    let (layer, captured) = flume_tracing::test::layer(builder).unwrap();
    let witness = Witness::default();
    with(registry().with(layer).with(witness.clone()), || {
        tracing::trace!(target: "seen", "not ours");
    });
    assert_eq!(*witness.0.lock().unwrap(), ["seen"]);
    assert!(captured.take().is_empty());
}

#[test]
fn no_feedback_loop_records_of_our_own_threads_are_seen_by_other_layers_and_never_by_us() {
    let (layer, captured) = layer();
    let witness = Witness::default();
    let dispatch = Dispatch::new(registry().with(layer).with(witness.clone()));
    flume_appender::conformance::on_own_thread(move || {
        tracing::dispatcher::with_default(&dispatch, || {
            let _span = tracing::info_span!("poll").entered();
            tracing::error!(target: "mio::poll", "about the transport");
        });
    });
    assert_eq!(*witness.0.lock().unwrap(), ["mio::poll"]);
    assert!(captured.take().is_empty());
    assert_eq!(captured.guard().stats().total().logged, 0);
}

#[test]
fn a_level_that_the_guard_changes_holds_at_once_for_calls_that_were_made_before() {
    let captured = crate::captured();
    let log = |text: &str| {
        tracing::debug!(text, "debug");
        tracing::error!(text, "error");
    };
    log("all");
    captured.guard().set_level(flume_appender::Level::Error);
    log("errors");
    captured.guard().set_filter("off".parse().unwrap());
    log("none");
    captured.guard().set_filter("it=debug".parse().unwrap());
    log("all again");
    let expected = ["debug", "error", "error", "debug", "error"];
    assert_eq!(messages(&captured.take()), expected);
}

#[test]
fn one_appender_serves_several_front_ends() {
    let (appender, captured) =
        flume_appender::test::capture(flume_appender::Appender::builder()).unwrap();
    let layers = (FlumeLayer::new(&appender), FlumeLayer::new(&appender));
    with(registry().with(layers.0), || tracing::info!("one"));
    with(registry().with(layers.1), || {
        tracing::info!("two");
        appender.set_filter("off".parse().unwrap());
        tracing::info!("not wanted");
    });
    assert_eq!(messages(&captured.take()), ["one", "two"]);
}
