//! Fields: their kinds, names and limits.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tracing::field::Empty;
use tracing::{Event, Subscriber, span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::{captured, only};

#[test]
fn numbers_stay_exact_no_u64_is_a_text_and_no_float_is_rounded() {
    let captured = captured();
    tracing::info!(
        least = i64::MIN,
        greatest = u64::MAX,
        wide = u128::MAX,
        deep = i128::MIN,
        half = 0.5,
        tenth = 0.1_f64,
        yes = true,
        nan = f64::NAN,
        infinite = f64::INFINITY,
        "numbers"
    );
    let expected = concat!(
        r#""fields":{"least":-9223372036854775808,"greatest":18446744073709551615,"#,
        r#""wide":340282366920938463463374607431768211455,"#,
        r#""deep":-170141183460469231731687303715884105728,"half":0.5,"tenth":0.1,"#,
        r#""yes":true,"nan":null,"infinite":null}}"#
    );
    let text = captured.take_bodies().remove(0);
    assert!(text.ends_with(expected), "{text}");
}

#[derive(Debug, thiserror::Error)]
#[error("the order failed")]
struct Failed(#[source] Inner);

#[derive(Debug, thiserror::Error)]
#[error("no price")]
struct Inner(#[source] std::num::ParseIntError);

#[test]
fn an_error_has_its_sources_beside_it_under_the_fields_own_name() {
    let captured = captured();
    let failed = Failed(Inner("x".parse::<i32>().unwrap_err()));
    let cause: &(dyn std::error::Error + 'static) = &failed;
    tracing::error!(cause, "bad");
    let seen = only(&captured.take());
    let expected = json!({
        "cause": "the order failed",
        "cause.chain": ["no price", "invalid digit found in string"],
    });
    assert_eq!(seen["fields"], expected);
}

#[test]
fn of_a_duplicate_key_the_last_value_stands_and_the_key_stands_once() {
    let captured = captured();
    tracing::info!(a = 1, b = 2, a = 3, "twice");
    let event = captured.take().remove(0);
    let text = std::str::from_utf8(event.body()).unwrap();
    assert!(text.ends_with(r#""fields":{"a":3,"b":2}}"#), "{text}");
}

#[test]
fn no_field_shadows_the_message_or_other_members_of_ours() {
    let captured = captured();
    tracing::info!(
        message = "a field",
        level = "low",
        ts = 0,
        target = "t",
        "the text"
    );
    let seen = only(&captured.take());
    assert_eq!(
        (&seen["msg"], &seen["level"]),
        (&json!("the text"), &json!("INFO"))
    );
    let expected = json!({"message": "a field", "level": "low", "ts": 0, "target": "t"});
    assert_eq!(seen["fields"], expected);
}

#[test]
fn a_raw_key_is_written_without_its_prefix() {
    let captured = captured();
    tracing::info!(r#type = "order", "raw");
    assert_eq!(only(&captured.take())["fields"], json!({"type": "order"}));
}

#[test]
fn empty_and_none_are_left_out() {
    let captured = captured();
    tracing::info!(
        empty = Empty,
        none = None::<i32>,
        some = Some(1),
        "left out"
    );
    assert_eq!(only(&captured.take())["fields"], json!({"some": 1}));
}

/// Panics when it is shown, after a part of it.
struct Panics;

impl fmt::Debug for Panics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("so far")?;
        std::panic::resume_unwind(Box::new(()))
    }
}

/// Another layer, which keeps something of its own in spans: a lock that is poisoned is a panic there.
#[derive(Clone, Default)]
struct Other(Arc<AtomicUsize>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Other {
    fn on_record(&self, id: &span::Id, _: &span::Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).expect("it is recorded");
        span.extensions_mut().replace(self.clone());
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let span = context.event_span(event).expect("it is in one");
        if span.extensions().get::<Self>().is_some() {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[test]
fn a_panicking_debug_poisons_neither_its_caller_nor_its_span_nor_later_events_nor_other_layers() {
    let (layer, captured) = flume_tracing::test::layer(flume_tracing::layer()).unwrap();
    let other = Other::default();
    let subscriber = tracing_subscriber::registry().with(layer);
    let _default = tracing::subscriber::set_default(subscriber.with(other.clone()));
    let span = tracing::info_span!("span", bad = ?Panics, good = 1, later = Empty);
    let _entered = span.enter();
    span.record("later", tracing::field::debug(Panics));
    tracing::info!(bad = ?Panics, good = 2, "one {:?}", Panics);
    tracing::info!("two");
    assert_eq!(other.0.load(Ordering::SeqCst), 2);
    let events = captured.take();
    assert_eq!(events.len(), 2);
    let first = crate::body(&events[0]);
    assert_eq!(first["fields"]["good"], 2);
    let bad = first["fields"]["bad"].as_str().unwrap();
    assert!(bad.starts_with("so far") && bad != "so far", "{bad}");
    let second = crate::body(&events[1]);
    assert_eq!(
        (&second["msg"], &second["span"]["good"]),
        (&json!("two"), &json!(1))
    );
    assert_eq!(captured.guard().stats().broken_values, 4);
}

#[test]
fn a_text_of_a_mebibyte_is_cut_and_that_is_told() {
    let captured = captured();
    let long = "ü".repeat(512 * 1024);
    tracing::info!(long, after = 1, "large");
    let events = captured.take();
    let seen = only(&events);
    let kept = seen["fields"]["long"].as_str().unwrap();
    assert!(
        long.starts_with(kept) && kept.len() > 200 * 1024,
        "{}",
        kept.len()
    );
    assert!(events[0].header_value("flume.truncated").is_some());
    assert!(captured.guard().stats().cut_values > 0);
}

#[test]
fn neither_ansi_nor_a_line_break_can_be_injected() {
    let captured = captured();
    let evil = "a\r\n{\"level\":\"ERROR\"}\u{1b}[31m\u{2028}\0";
    tracing::info!(target: "orders", field = evil, "{evil}");
    let event = captured.take().remove(0);
    assert!(event.body().iter().all(|byte| *byte >= b' '));
    assert_eq!(crate::body(&event)["fields"]["field"], evil);
}
