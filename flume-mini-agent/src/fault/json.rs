//! Fault rules as JSON, for the control interface.
//!
//! ```json
//! {"fault": "commit_then_drop", "nth_request": 3, "times": 1}
//! {"fault": "answer_late", "ms": 500, "headers": {"tenant": "a"}, "during_ms": [0, 60000]}
//! ```
//!
//! | member | of |
//! |---|---|
//! | `ms` | `answer_late`; without it the answer never comes |
//! | `bytes_per_second` | `slow_reader`, `bandwidth` |
//! | `text` | `rpc_error` |
//! | `channels` | `partial_commit` |
//! | `index` | `flip_byte` |
//! | `torn_bytes` | `power_loss`; without it 0 |
//! | `nth_connection`, `nth_request`, `headers`, `size_over`, `after_bytes`, `probability`, `during_ms`, `times` | any fault: its conditions |

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Fault;
use super::rule::FaultRule;

type Members = Map<String, Value>;

/// The rules in `text`: one, or a list of them.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<FaultRule>, String> {
    let value: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    match value {
        Value::Array(rules) => rules.into_iter().map(rule).collect(),
        one => Ok(vec![rule(one)?]),
    }
}

/// A rule as [`parse`] takes it.
pub(crate) fn show(rule: &FaultRule) -> Members {
    let mut shown = Members::new();
    let (name, parameter) = show_fault(&rule.fault);
    let headers: Members = rule
        .headers
        .iter()
        .map(|(key, value)| (key.clone(), value.as_str().into()))
        .collect();
    let during = rule.during.as_ref();
    let conditions = [
        ("fault", Some(name.into())),
        ("nth_connection", rule.nth_connection.map(Value::from)),
        ("nth_request", rule.nth_request.map(Value::from)),
        (
            "headers",
            (!headers.is_empty()).then_some(Value::Object(headers)),
        ),
        ("size_over", rule.size_over.map(Value::from)),
        ("after_bytes", rule.after_bytes.map(Value::from)),
        ("probability", rule.probability.map(Value::from)),
        (
            "during_ms",
            during.map(|window| json!([millis(window.start), millis(window.end)])),
        ),
        ("times", rule.times.map(Value::from)),
    ];
    for (key, value) in conditions.into_iter().chain(parameter) {
        if let Some(value) = value {
            shown.insert(key.to_owned(), value);
        }
    }
    shown
}

/// A fault's name, and its parameter if it has one.
pub(crate) fn show_fault(fault: &Fault) -> (&'static str, Option<(&'static str, Option<Value>)>) {
    let parameter = match fault {
        Fault::AnswerLate(Duration::MAX) => None,
        Fault::AnswerLate(late) => Some(("ms", millis(*late).into())),
        Fault::SlowReader(rate) | Fault::Bandwidth(rate) => {
            Some(("bytes_per_second", (*rate).into()))
        }
        Fault::RpcError(text) => Some(("text", text.as_str().into())),
        Fault::PartialCommit(channels) => Some(("channels", (*channels).into())),
        Fault::FlipByte(index) => Some(("index", (*index).into())),
        Fault::PowerLoss { torn_bytes: 0 } => None,
        Fault::PowerLoss { torn_bytes } => Some(("torn_bytes", (*torn_bytes).into())),
        _ => None,
    };
    (
        name(fault),
        parameter.map(|(key, value)| (key, Some(value))),
    )
}

fn rule(value: Value) -> Result<FaultRule, String> {
    let Value::Object(mut members) = value else {
        return Err("a rule is an object with a member \"fault\"".to_owned());
    };
    let mut rule = FaultRule::new(fault(&mut members)?);
    rule.nth_connection = number(&mut members, "nth_connection")?;
    rule.nth_request = number(&mut members, "nth_request")?;
    rule.size_over = number(&mut members, "size_over")?;
    rule.after_bytes = number(&mut members, "after_bytes")?;
    rule.times = number(&mut members, "times")?;
    rule.probability = take(&mut members, "probability", Value::as_f64, "a number")?;
    let headers = |value: &Value| value.as_object().cloned();
    let headers = take(&mut members, "headers", headers, "an object")?;
    for (key, value) in headers.unwrap_or_default() {
        let value = value.as_str().ok_or("headers are strings")?;
        rule.headers.push((key, value.to_owned()));
    }
    if let Some(window) = members.remove("during_ms") {
        let [start, end] = serde_json::from_value(window)
            .map_err(|_| "during_ms is a list of start and end in milliseconds")?;
        rule.during = Some(Duration::from_millis(start)..Duration::from_millis(end));
    }
    if let Some(unknown) = members.keys().next() {
        return Err(meaningless(unknown, &rule.fault));
    }
    rule.check().map_err(|error| error.to_string())?;
    Ok(rule)
}

fn fault(members: &mut Members) -> Result<Fault, String> {
    let wanted = take(
        members,
        "fault",
        |name| name.as_str().map(str::to_owned),
        "a name",
    )?
    .ok_or("a rule has no member \"fault\"")?;
    Ok(match wanted.as_str() {
        "answer_late" => {
            let ms = number(members, "ms")?;
            Fault::AnswerLate(ms.map_or(Duration::MAX, Duration::from_millis))
        }
        "slow_reader" => Fault::SlowReader(needed(members, "bytes_per_second")?),
        "bandwidth" => Fault::Bandwidth(needed(members, "bytes_per_second")?),
        "partial_commit" => Fault::PartialCommit(needed(members, "channels")?),
        "flip_byte" => Fault::FlipByte(needed(members, "index")?),
        "power_loss" => Fault::PowerLoss {
            torn_bytes: number(members, "torn_bytes")?.unwrap_or_default(),
        },
        "rpc_error" => {
            let text = |text: &Value| text.as_str().map(str::to_owned);
            Fault::RpcError(take(members, "text", text, "a string")?.unwrap_or_default())
        }
        _ => {
            let known = PLAIN.iter().find(|fault| name(fault) == wanted);
            known.cloned().ok_or_else(|| unknown(&wanted))?
        }
    })
}

/// Members that any rule may have beside `fault`.
const CONDITIONS: [&str; 8] = [
    "nth_connection",
    "nth_request",
    "size_over",
    "after_bytes",
    "times",
    "probability",
    "headers",
    "during_ms",
];

/// The member that a fault has beside those, if any.
fn parameter(fault: &Fault) -> Option<&'static str> {
    match fault {
        Fault::AnswerLate(_) => Some("ms"),
        Fault::PowerLoss { .. } => Some("torn_bytes"),
        _ => show_fault(fault).1.map(|(key, _)| key),
    }
}

fn meaningless(member: &str, fault: &Fault) -> String {
    let known: Vec<_> = parameter(fault).into_iter().chain(CONDITIONS).collect();
    format!(
        "{:?} means nothing for the fault {}; beside it there can be: {}",
        shown(member),
        name(fault),
        known.join(", ")
    )
}

/// What a peer asked for is shown cut and escaped.
fn shown(wanted: &str) -> String {
    wanted.chars().take(NAME_CHARS_SHOWN).collect()
}

fn unknown(wanted: &str) -> String {
    let shown = shown(wanted);
    let names = Fault::NAMES.join(", ");
    format!("there is no fault {shown:?}; there are: {names}")
}

/// Letters of a name that nobody knows.
const NAME_CHARS_SHOWN: usize = 40;

/// The faults without parameters.
const PLAIN: [Fault; 22] = [
    Fault::Refuse,
    Fault::Reset,
    Fault::Hang,
    Fault::OneByteSlices,
    Fault::HandshakeNone,
    Fault::HandshakeClient,
    Fault::Failed,
    Fault::Unknown,
    Fault::ChannelFull,
    Fault::DropBeforeCommit,
    Fault::CommitThenDrop,
    Fault::CommitThenReset,
    Fault::CommitThenCut,
    Fault::CommitThenGarbage,
    Fault::TlsAlert,
    Fault::HandshakeStops,
    Fault::CloseMidFrame,
    Fault::WrongSerial,
    Fault::EmptyFrame,
    Fault::HugeFrame,
    Fault::FsyncError,
    Fault::DiskFull,
];

fn name(fault: &Fault) -> &'static str {
    match fault {
        Fault::Refuse => "refuse",
        Fault::Reset => "reset",
        Fault::Hang => "hang",
        Fault::OneByteSlices => "one_byte_slices",
        Fault::SlowReader(_) => "slow_reader",
        Fault::Bandwidth(_) => "bandwidth",
        Fault::HandshakeNone => "handshake_none",
        Fault::HandshakeClient => "handshake_client",
        Fault::Failed => "failed",
        Fault::Unknown => "unknown",
        Fault::RpcError(_) => "rpc_error",
        Fault::ChannelFull => "channel_full",
        Fault::DropBeforeCommit => "drop_before_commit",
        Fault::CommitThenDrop => "commit_then_drop",
        Fault::CommitThenReset => "commit_then_reset",
        Fault::CommitThenCut => "commit_then_cut",
        Fault::CommitThenGarbage => "commit_then_garbage",
        Fault::TlsAlert => "tls_alert",
        Fault::HandshakeStops => "handshake_stops",
        Fault::PartialCommit(_) => "partial_commit",
        Fault::AnswerLate(_) => "answer_late",
        Fault::CloseMidFrame => "close_mid_frame",
        Fault::FlipByte(_) => "flip_byte",
        Fault::WrongSerial => "wrong_serial",
        Fault::EmptyFrame => "empty_frame",
        Fault::HugeFrame => "huge_frame",
        Fault::FsyncError => "fsync_error",
        Fault::DiskFull => "disk_full",
        Fault::PowerLoss { .. } => "power_loss",
    }
}

fn take<T>(
    members: &mut Members,
    key: &str,
    read: impl Fn(&Value) -> Option<T>,
    kind: &str,
) -> Result<Option<T>, String> {
    match members.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match read(&value) {
            Some(read) => Ok(Some(read)),
            None => Err(format!("{key} is {kind}, not {value}")),
        },
    }
}

fn number<T: TryFrom<u64>>(members: &mut Members, key: &str) -> Result<Option<T>, String> {
    let read = |value: &Value| T::try_from(value.as_u64()?).ok();
    take(members, key, read, "a whole number")
}

fn needed<T: TryFrom<u64>>(members: &mut Members, key: &str) -> Result<T, String> {
    number(members, key)?.ok_or_else(|| format!("{key} is missing"))
}

/// Milliseconds, as many as a JSON number has room for.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, rule: impl Into<FaultRule>) {
        let rule = rule.into();
        assert_eq!(parse(text.as_bytes()).unwrap(), std::slice::from_ref(&rule));
        let shown = Value::Object(show(&rule));
        assert_eq!(shown, serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn rules_are_read_and_shown_alike() {
        check(
            r#"{"fault": "commit_then_drop", "nth_request": 3, "times": 1}"#,
            Fault::CommitThenDrop.nth_request(3).times(1),
        );
        let window = Duration::from_millis(5)..Duration::from_secs(60);
        check(
            r#"{"fault": "answer_late", "ms": 500, "nth_connection": 1, "headers": {"a": "b"},
                "size_over": 10, "after_bytes": 7, "probability": 0.5, "during_ms": [5, 60000]}"#,
            Fault::AnswerLate(Duration::from_millis(500))
                .nth_connection(1)
                .header("a", "b")
                .size_over(10)
                .after_bytes(7)
                .probability(0.5)
                .during(window),
        );
        check(
            r#"{"fault": "answer_late"}"#,
            Fault::AnswerLate(Duration::MAX),
        );
        check(
            r#"{"fault": "bandwidth", "bytes_per_second": 9}"#,
            Fault::Bandwidth(9),
        );
        check(
            r#"{"fault": "slow_reader", "bytes_per_second": 9}"#,
            Fault::SlowReader(9),
        );
        check(
            r#"{"fault": "partial_commit", "channels": 1}"#,
            Fault::PartialCommit(1),
        );
        check(r#"{"fault": "flip_byte", "index": 3}"#, Fault::FlipByte(3));
        check(
            r#"{"fault": "rpc_error", "text": "no"}"#,
            Fault::RpcError("no".to_owned()),
        );
        check(
            r#"{"fault": "power_loss", "torn_bytes": 9}"#,
            Fault::PowerLoss { torn_bytes: 9 },
        );
        check(
            r#"{"fault": "power_loss"}"#,
            Fault::PowerLoss { torn_bytes: 0 },
        );
        for fault in PLAIN {
            check(&format!(r#"{{"fault": "{}"}}"#, name(&fault)), fault);
        }
    }

    #[test]
    fn every_name_that_is_told_is_one_that_is_taken() {
        for told in Fault::NAMES {
            let text = format!(
                r#"{{"fault": "{told}", "bytes_per_second": 1, "channels": 1, "index": 1}}"#
            );
            // A member may mean nothing to it, but the name does.
            let error = parse(text.as_bytes()).err().unwrap_or_default();
            assert!(!error.contains("there is no fault"), "{error}");
        }
        for fault in PLAIN {
            assert!(Fault::NAMES.contains(&name(&fault)), "{fault:?}");
        }
    }

    #[test]
    fn a_list_is_many_rules() {
        let rules = parse(br#"[{"fault": "failed"}, {"fault": "hang"}]"#).unwrap();
        assert_eq!(rules, [Fault::Failed.into(), Fault::Hang.into()]);
        assert_eq!(parse(b"[]").unwrap(), []);
    }

    #[test]
    fn what_makes_no_rule_is_refused_with_its_reason() {
        let check = |text: &str, reason: &str| {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{error}");
        };
        check("", "EOF");
        check("3", "a rule is an object");
        check("{}", "no member \"fault\"");
        check(
            r#"{"fault": "fire"}"#,
            "there is no fault \"fire\"; there are: refuse, reset, hang, ",
        );
        let long = format!(r#"{{"fault": "{}"}}"#, "x".repeat(100_000));
        assert!(parse(long.as_bytes()).unwrap_err().len() < 1_000);
        check(
            r#"{"fault": "hang", "ms": 3}"#,
            "\"ms\" means nothing for the fault hang; beside it there can be: nth_connection, ",
        );
        check(
            r#"{"fault": "answer_late", "text": ""}"#,
            "for the fault answer_late; beside it there can be: ms, nth_connection, ",
        );
        check(r#"{"fault": "flip_byte"}"#, "index is missing");
        check(
            r#"{"fault": "hang", "times": -1}"#,
            "times is a whole number, not -1",
        );
        check(r#"{"fault": "hang", "times": 0}"#, "times 0 never happens");
        check(
            r#"{"fault": "hang", "headers": {"a": 1}}"#,
            "headers are strings",
        );
        check(
            r#"{"fault": "hang", "headers": [1]}"#,
            "headers is an object, not [1]",
        );
        check(
            r#"{"fault": "hang", "during_ms": 5}"#,
            "during_ms is a list",
        );
    }
}
