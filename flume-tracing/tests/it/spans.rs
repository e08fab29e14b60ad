//! What events stand in.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use flume_appender::{Json, Layout, LayoutError, Overflow, Record};
use flume_tracing::LayerBuilder;
use serde_json::json;
use tracing::field::Empty;
use tracing::{Dispatch, Level, Subscriber, span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::{bodies, captured, only};

#[test]
fn what_is_recorded_after_creation_is_absent_before_it_and_there_once_after_it_in_children_too() {
    let captured = captured();
    let span = tracing::info_span!("outer", path = Empty);
    let _entered = span.enter();
    tracing::info!("before");
    span.record("path", "/one");
    tracing::info!("after");
    let _child = tracing::info_span!("child").entered();
    tracing::info!("in a child");
    span.record("path", "/two");
    tracing::info!("again");
    let events = captured.take();
    for event in &events {
        let text = std::str::from_utf8(event.body()).unwrap();
        assert!(text.matches("\"path\"").count() <= 1, "{text}");
    }
    let paths: Vec<_> = bodies(&events)
        .iter()
        .map(|it| it["span"]["path"].clone())
        .collect();
    assert_eq!(
        paths,
        [json!(null), json!("/one"), json!("/one"), json!("/two")]
    );
}

#[test]
fn span_fields_are_in_events_and_of_one_name_the_innermost_spans_stands() {
    let captured = captured();
    let _outer = tracing::info_span!("outer", user = "a", id = 1).entered();
    let _inner = tracing::info_span!("inner", id = 2).entered();
    tracing::info!(id = 3, "here");
    let seen = only(&captured.take());
    assert_eq!(seen["fields"], json!({"id": 3}));
    assert_eq!(seen["span"], json!({"user": "a", "id": 2}));
    assert_eq!(seen["spans"], json!(["outer", "inner"]));
}

#[test]
fn span_fields_lie_flat_in_events_if_that_is_wanted() {
    let builder = flume_tracing::layer().layout(Json::new().flatten());
    let captured = flume_tracing::test::capture_with(builder).unwrap();
    let _outer = tracing::info_span!("outer", user = "a", id = 1).entered();
    let _inner = tracing::info_span!("inner", id = 2).entered();
    tracing::info!(order = 3, "here");
    let seen = only(&captured.take());
    let members = ["user", "id", "order", "fields", "span"].map(|name| seen[name].clone());
    assert_eq!(
        members,
        [json!("a"), json!(2), json!(3), json!(null), json!(null)]
    );
}

#[test]
fn an_explicit_parent_counts_and_no_parent_means_none() {
    let captured = captured();
    let outer = tracing::info_span!("outer", id = 1);
    let _entered = tracing::info_span!("entered", id = 2).entered();
    tracing::info!(parent: &outer, "in outer");
    tracing::info!(parent: None, "in none");
    let child = tracing::info_span!(parent: &outer, "child");
    let root = tracing::info_span!(parent: None, "root");
    child.in_scope(|| tracing::info!("in child"));
    root.in_scope(|| tracing::info!("in root"));
    let seen = bodies(&captured.take());
    let spans: Vec<_> = seen.iter().map(|it| it["spans"].clone()).collect();
    let expected = [
        json!(["outer"]),
        json!(null),
        json!(["outer", "child"]),
        json!(["root"]),
    ];
    assert_eq!(spans, expected);
}

#[test]
fn a_parent_that_is_gone_is_no_panic_and_its_fields_are_kept() {
    let captured = captured();
    let parent = tracing::info_span!("parent", id = 1);
    let child = tracing::info_span!(parent: &parent, "child");
    drop(parent);
    child.in_scope(|| tracing::info!("in child"));
    // An id that no span has any more.
    let gone = {
        let gone = tracing::info_span!("gone");
        gone.id()
    };
    tracing::info!(parent: gone, "in nothing");
    let seen = bodies(&captured.take());
    assert_eq!(seen[0]["span"], json!({"id": 1}));
    assert_eq!(seen[1].get("spans"), None);
}

#[test]
fn spans_deeper_than_the_limit_keep_the_innermost_ones_fields() {
    let captured = captured();
    let mut spans = Vec::new();
    for depth in 0..200 {
        spans.push(span!(Level::INFO, "deep", depth).entered());
    }
    tracing::info!("deep down");
    while spans.pop().is_some() {}
    let seen = only(&captured.take());
    assert_eq!(seen["span"]["depth"], 199);
    let names = seen["spans"].as_array().unwrap().len();
    assert_eq!(names, flume_appender::capture::DEPTH_MAX as usize);
}

#[test]
fn more_records_of_a_span_than_are_kept_are_counted_and_the_last_one_stands() {
    let captured = captured();
    let span = tracing::info_span!("span", count = Empty).entered();
    for count in 0..100 {
        span.record("count", count);
    }
    tracing::info!("here");
    assert_eq!(only(&captured.take())["span"], json!({"count": 99}));
    assert_eq!(captured.guard().stats().cut_values, 100 - 64);
}

#[test]
fn the_end_of_a_span_is_a_record_with_numbers_if_that_is_switched_on() {
    let builder = flume_tracing::layer().span_close_events(true);
    let captured = flume_tracing::test::capture_with(builder).unwrap();
    let span = tracing::warn_span!(target: "orders", "request", id = 7);
    span.in_scope(|| tracing::info!("within"));
    drop(span);
    let events = captured.take();
    let seen = bodies(&events);
    assert_eq!(seen.len(), 2);
    let end = &seen[1];
    assert_eq!(
        (&end["msg"], &end["level"]),
        (&json!("close"), &json!("WARN"))
    );
    assert_eq!(
        (&end["target"], &end["spans"]),
        (&json!("orders"), &json!(["request"]))
    );
    assert_eq!(end["span"], json!({"id": 7}));
    let fields = end["fields"].as_object().unwrap();
    let ns = |name: &str| Duration::from_nanos(fields[name].as_u64().unwrap());
    assert!(ns("busy_ns") > Duration::ZERO && ns("idle_ns") > Duration::ZERO);
    assert_eq!(fields.len(), 2);
}

#[test]
fn the_end_of_a_span_is_no_record_by_default() {
    let captured = captured();
    tracing::info_span!("request").in_scope(|| ());
    assert!(captured.take().is_empty());
}

#[test]
fn threads_in_one_span_are_all_told_to_be_in_it() {
    let captured = captured();
    let span = tracing::info_span!("shared", id = 7);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (span, dispatch) = (span.clone(), captured.dispatch().clone());
            scope.spawn(move || {
                tracing::dispatcher::with_default(&dispatch, || {
                    let _entered = span.enter();
                    (0..100).for_each(|number| tracing::info!(thread, number, "here"));
                });
            });
        }
    });
    let seen = bodies(&captured.take());
    assert_eq!(seen.len(), 400);
    assert!(seen.iter().all(|it| it["span"] == json!({"id": 7})));
}

/// Tells when it is asked for the first body, and writes it only when it may.
#[derive(Debug)]
struct Gate {
    asked: mpsc::Sender<()>,
    may_write: mpsc::Receiver<()>,
}

impl Layout for Gate {
    fn render(&mut self, _: &Record<'_>, _: &mut Vec<u8>) -> Result<(), LayoutError> {
        let _ = self.asked.send(());
        // Once its other end is gone it lets everything through.
        let _ = self.may_write.recv();
        Ok(())
    }
}

/// Another layer that keeps something of its own in a span that is recorded.
struct Keeper;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Keeper {
    fn on_record(&self, id: &span::Id, _: &span::Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).expect("it is recorded");
        span.extensions_mut().replace(Instant::now());
    }
}

#[test]
fn a_call_that_waits_for_room_holds_no_lock_of_its_span() {
    let (asked, is_asked) = mpsc::channel();
    let (let_write, may_write) = mpsc::channel();
    let builder = flume_tracing::layer()
        .capture_bytes(512 * 1024)
        .overflow(Overflow::Block(Duration::from_secs(20)))
        .layout(Gate { asked, may_write });
    let (layer, captured) = flume_tracing::test::layer(builder).unwrap();
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer).with(Keeper));
    tracing::dispatcher::with_default(&dispatch, || {
        let span = tracing::info_span!("span", count = Empty);
        tracing::error!("the renderer is busy with this");
        is_asked.recv().unwrap();
        std::thread::scope(|scope| {
            let fills = scope.spawn(|| {
                tracing::dispatcher::with_default(&dispatch, || {
                    let _entered = span.enter();
                    let text = "x".repeat(4 * 1024);
                    (0..100).for_each(|_| tracing::debug!(text, "long"));
                });
            });
            while captured.guard().stats().waits == 0 {
                std::thread::yield_now();
            }
            span.record("count", 1);
            assert!(!fills.is_finished(), "the record waited as well");
            drop(let_write);
        });
    });
    assert_eq!(captured.take().len(), 101);
}
