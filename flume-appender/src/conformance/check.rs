//! What the events of each case must look like.

use std::fmt::Display;

use flume_client::Event;
use serde_json::{Value, json};

use super::case::{Case, EVIL, MANY, SECRET, TARGET, long_text};
use crate::stats::Stats;

type Checked = Result<(), String>;

/// Says what is wrong with the events of a case.
pub(super) fn check(case: Case, events: &[Event], before: &Stats, after: &Stats) -> Checked {
    check_stats(events, before, after)?;
    let bodies = events.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let one = || match bodies.as_slice() {
        [one] => Ok(one),
        _ => Err(format!("{} events instead of one", bodies.len())),
    };
    match case {
        Case::Plain => plain(one()?, events),
        Case::Levels => levels(&bodies, events),
        Case::Numbers => fields_are(
            one()?,
            &json!({"least": i64::MIN, "greatest": u64::MAX, "half": 0.5, "yes": true}),
        ),
        Case::WideNumbers => wide_numbers(events),
        Case::NoNumbers => fields_are(one()?, &json!({"nan": null, "infinite": null})),
        Case::EvilText => evil_text(one()?),
        Case::EmptyText => {
            is(one()?, "/msg", &json!(""))?;
            fields_are(one()?, &json!({"empty": ""}))
        }
        Case::NoValue => fields_are(one()?, &json!({"some": 1})),
        Case::ErrorWithCauses => fields_are(
            one()?,
            &json!({
                "cause": "the order failed",
                "cause.chain": ["no price", "not a number"],
            }),
        ),
        Case::Twice => fields_are(one()?, &json!({"a": 3, "b": 2})),
        Case::Shadows => shadows(one()?),
        Case::Redacted => redacted(one()?, events),
        Case::PanickingValue | Case::FailingValue => {
            is(one()?, "/fields/good", &json!(1))?;
            same(
                "values that failed",
                after.broken_values - before.broken_values,
                1,
            )
        }
        Case::LoggingValue => messages(&bodies, &["outer", "inner"]),
        Case::EndlessValue => same(
            "whether some were too deep",
            nested(before, after) > 0,
            true,
        ),
        Case::LongValue => long_value(one()?, events),
        Case::Context => is(one()?, "/span", &json!({"request": "a1", "user": 7})),
        Case::NestedContext => is(one()?, "/span/id", &json!(2)),
        Case::LateContext => {
            messages(&bodies, &["before", "after"])?;
            let paths = bodies.iter().map(|body| body.pointer("/span/path"));
            let paths: Vec<_> = paths.map(Option::<&Value>::cloned).collect();
            same("path", paths, vec![None, Some(json!("/index"))])
        }
        Case::ExplicitContext => is(one()?, "/span", &json!({"id": 2})),
        Case::ThreadEnd => messages(&bodies, &["the end"]),
        Case::Unwinding => messages(&bodies, &["unwinding"]),
        Case::OwnThread => same("events", bodies.len(), 0),
        Case::Order => order(&bodies),
    }
}

/// No record is in two places, or in none.
fn check_stats(events: &[Event], before: &Stats, after: &Stats) -> Checked {
    let (before, after) = (before.total(), after.total());
    same("records on their way", after.captured, 0)?;
    let logged = after.logged - before.logged;
    let lost = after.lost() - before.lost();
    same("records logged", logged, events.len() as u64 + lost)
}

fn nested(before: &Stats, after: &Stats) -> u64 {
    after.total().nested - before.total().nested
}

fn read(event: &Event) -> Result<Value, String> {
    let body = event.body();
    if body.iter().any(u8::is_ascii_control) {
        return Err(format!("a control character in {}", text(event)));
    }
    let read: Result<Value, _> = serde_json::from_slice(body);
    let body = read.map_err(|error| format!("{error}: {}", text(event)))?;
    for (name, wanted) in [("level", "/level"), ("target", "/target")] {
        let header = event.header_value(name);
        if header != body.pointer(wanted).and_then(Value::as_str) {
            return Err(format!("the header {name} is {header:?}, the body {body}"));
        }
    }
    let timestamp = event.header_value("timestamp");
    if timestamp.is_none_or(|text| text.parse::<u64>().is_err()) {
        return Err(format!("the header timestamp is {timestamp:?}"));
    }
    Ok(body)
}

fn text(event: &Event) -> String {
    String::from_utf8_lossy(event.body()).into_owned()
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "values at hand, for short lines"
)]
fn same<T: PartialEq + std::fmt::Debug>(what: impl Display, seen: T, wanted: T) -> Checked {
    if seen == wanted {
        return Ok(());
    }
    Err(format!("{what}: {seen:?} instead of {wanted:?}"))
}

fn is(body: &Value, place: &str, wanted: &Value) -> Checked {
    match body.pointer(place) {
        Some(seen) if seen == wanted => Ok(()),
        _ => Err(format!("{place} is not {wanted} in {body}")),
    }
}

fn fields_are(body: &Value, wanted: &Value) -> Checked {
    is(body, "/fields", wanted)
}

fn messages(bodies: &[Value], wanted: &[&str]) -> Checked {
    let message = |body: &Value| body.get("msg").cloned().unwrap_or_default();
    let seen: Vec<_> = bodies.iter().map(message).collect();
    same("messages", json!(seen), json!(wanted))
}

fn plain(body: &Value, events: &[Event]) -> Checked {
    is(body, "/msg", &json!("plain"))?;
    is(body, "/level", &json!("INFO"))?;
    is(body, "/target", &json!(TARGET))?;
    same("fields", body.get("fields"), None)?;
    let ids = events
        .iter()
        .all(|event| event.header_value("guid").is_some());
    same("whether it has an id", ids, true)
}

fn levels(bodies: &[Value], events: &[Event]) -> Checked {
    messages(bodies, &["error", "warn", "info", "debug", "trace"])?;
    let levels: Vec<_> = events.iter().map(|it| it.header_value("level")).collect();
    let wanted = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].map(Some);
    same("levels", levels, wanted.to_vec())
}

/// As text: not every reader of JSON has numbers of 128 bits.
fn wide_numbers(events: &[Event]) -> Checked {
    let least = format!("\"least\":{}", i128::MIN);
    let greatest = format!("\"greatest\":{}", u128::MAX);
    let body: String = events.iter().map(text).collect();
    match body.contains(&least) && body.contains(&greatest) {
        true => Ok(()),
        false => Err(format!("they are not exact in {body}")),
    }
}

/// That nothing of it is a control character is looked at of every body.
fn evil_text(body: &Value) -> Checked {
    is(body, "/msg", &json!(EVIL))?;
    fields_are(body, &json!({"evil": EVIL}))
}

fn shadows(body: &Value) -> Checked {
    is(body, "/msg", &json!("the text"))?;
    is(body, "/level", &json!("INFO"))?;
    is(body, "/target", &json!(TARGET))?;
    let names = ["message", "level", "ts", "target"];
    let wanted = names.map(|name| (name.to_owned(), json!(name)));
    fields_are(body, &Value::Object(wanted.into_iter().collect()))
}

fn redacted(body: &Value, events: &[Event]) -> Checked {
    let has_field = body.pointer("/fields/user_password").is_some();
    same("whether the field is named", has_field, true)?;
    let is_told = events.iter().any(|event| {
        let headers = event.headers().any(|(_, value)| value.contains(SECRET));
        headers || text(event).contains(SECRET)
    });
    same("whether its value is told", is_told, false)
}

fn long_value(body: &Value, events: &[Event]) -> Checked {
    let kept = body.pointer("/fields/long").and_then(Value::as_str);
    let kept = kept.ok_or("it has no value left")?;
    same(
        "whether it is the beginning",
        long_text().starts_with(kept),
        true,
    )?;
    same("whether something is left", kept.len() > 64 * 1024, true)?;
    let header = events
        .iter()
        .find_map(|it| it.header_value("flume.truncated"));
    same("whether that is told", header.is_some(), true)
}

fn order(bodies: &[Value]) -> Checked {
    let numbers = bodies.iter().map(|body| body.pointer("/fields/number"));
    let numbers: Vec<_> = numbers
        .map(|number| number.and_then(Value::as_u64))
        .collect();
    let wanted: Vec<_> = (0..MANY).map(Some).collect();
    same("whether all came in order", numbers == wanted, true)?;
    let times: Vec<_> = bodies
        .iter()
        .map(|it| it.get("ts").and_then(Value::as_str))
        .collect();
    same("whether times rise", times.is_sorted(), true)
}
