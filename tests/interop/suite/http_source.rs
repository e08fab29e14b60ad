//! The HTTP source with its JSON handler.

use super::event::Event;
use super::http::{post, request};
use super::{AgentUnderTest, Scenario, flow, on_every_agent};

pub(super) const SCENARIOS: &[Scenario] = &[
    flow!(
        H1,
        h1_bodies_and_headers_are_kept_in_every_charset_that_is_named
    ),
    flow!(H2, h2_each_kind_of_body_has_its_status_and_its_counter),
    flow!(
        H3,
        h3_a_batch_over_the_transaction_capacity_is_unavailable_and_not_too_large
    ),
    flow!(H6, h6_each_method_has_its_status),
    flow!(H8, h8_json_is_read_as_leniently_as_by_gson),
];

on_every_agent!(SCENARIOS);

const H1: &str = "
sources.h1: type = http, port = {h1_port}, channels = h1
channels.h1: type = memory
sinks.h1: type = avro, port = {h1_peer}, batch-size = 2, channel = h1
";

/// Two events; the body's characters take one, two, three and four bytes of UTF-8.
const TEXT: &str = r#"[{"headers": {"name": "Zoë", "n": "1"}, "body": "aé€𐍈"}, {"body": ""}]"#;
const BODY: &str = "aé€𐍈";

fn h1_bodies_and_headers_are_kept_in_every_charset_that_is_named(agent: &dyn AgentUnderTest) {
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let utf16_little = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf32 = |text: &str| {
        let characters = text.chars().flat_map(|c| u32::from(c).to_be_bytes());
        characters.collect::<Vec<_>>()
    };
    let marked = format!("\u{feff}{TEXT}");
    let latin: String = BODY.bytes().map(char::from).collect();
    // The body is stored in the request's charset: UTF-16 always as big-endian with a mark,
    // UTF-32 as big-endian without one.
    let stored_utf16: Vec<u8> = utf16(&format!("\u{feff}{BODY}"));
    let cases: [(Option<&str>, Vec<u8>, Vec<u8>); 8] = [
        (
            Some("application/json; charset=UTF-8"),
            TEXT.into(),
            BODY.into(),
        ),
        (
            Some("text/plain; charset=\"utf-8\""),
            TEXT.into(),
            BODY.into(),
        ),
        (Some("application/json"), TEXT.into(), BODY.into()),
        // Without a charset only JSON is taken for UTF-8; everything else is read as ISO-8859-1
        // and stored as UTF-8, which spoils all but ASCII.
        (Some("text/plain"), TEXT.into(), latin.clone().into()),
        (None, TEXT.into(), latin.clone().into()),
        (
            Some("application/json; charset=UTF-16"),
            utf16(TEXT),
            stored_utf16.clone(),
        ),
        (
            Some("application/json; charset=UTF-16"),
            utf16_little(&marked),
            stored_utf16,
        ),
        (
            Some("application/json; charset=UTF-32"),
            utf32(TEXT),
            utf32(BODY),
        ),
    ];
    let addr = agent.addr("h1_port");
    for (number, (content_type, request, body)) in cases.iter().enumerate() {
        assert_eq!(post(addr, *content_type, request), 200, "{content_type:?}");
        let arrived = agent.peer("h1_peer").wait_for_accepted(2 * number + 2);
        let spoilt = *body == latin.as_bytes();
        let name = if spoilt { "ZoÃ«" } else { "Zoë" };
        let full = Event::new(body).header("name", name).header("n", "1");
        assert_eq!(
            arrived[2 * number..],
            [full, Event::default()],
            "{content_type:?}"
        );
    }
}

const H2: &str = "
sources.h2: type = http, port = {h2_port}, channels = h2
channels.h2: type = memory
";

fn h2_each_kind_of_body_has_its_status_and_its_counter(agent: &dyn AgentUnderTest) {
    let json = "application/json; charset=UTF-8";
    let cases = [
        (json, r#"[{"headers": {"a": "b"}, "body": "x"}]"#, 200),
        (json, "[]", 200),
        (json, "[{}]", 200),
        (json, r#"[{"headers": null, "body": null}]"#, 200),
        (json, r#"[{"other": 1}]"#, 200),
        ("text/plain", "[{}]", 200),
        (json, "nonsense", 400),
        (json, "{}", 400),
        (json, r#"[{"body": "x"}"#, 400),
        (json, r#"[{"body": "x"}] more"#, 400),
        (json, r#"[{"body": {}}]"#, 400),
        (json, r#"[{"headers": {"n": {}}}]"#, 400),
        (json, "", 500),
        (json, "null", 500),
        (json, "[null]", 500),
        ("application/json; charset=ISO-8859-1", "[{}]", 500),
        ("application/json; charset=UTF-16LE", "[{}]", 500),
        ("application/json; charset=nosuch", "[{}]", 500),
    ];
    for (content_type, body, status) in cases {
        let answer = post(agent.addr("h2_port"), Some(content_type), body);
        assert_eq!(answer, status, "{content_type} {body}");
    }
    let count = |good: bool| {
        cases
            .iter()
            .filter(|(.., status)| (*status == 200) == good)
            .count()
    };
    agent.wait_for_counter(
        "SOURCE.h2",
        "AppendBatchReceivedCount",
        &count(true).to_string(),
    );
    agent.wait_for_counter(
        "SOURCE.h2",
        "AppendBatchAcceptedCount",
        &count(true).to_string(),
    );
    agent.wait_for_counter("SOURCE.h2", "EventReadFail", &count(false).to_string());
    agent.wait_for_counter("SOURCE.h2", "EventAcceptedCount", "5");
}

const H3: &str = "
sources.h3: type = http, port = {h3_port}, channels = h3
channels.h3: type = memory
";

fn h3_a_batch_over_the_transaction_capacity_is_unavailable_and_not_too_large(
    agent: &dyn AgentUnderTest,
) {
    let addr = agent.addr("h3_port");
    let batch = |count: usize| format!("[{}]", vec![r#"{"body": "x"}"#; count].join(","));
    assert_eq!(post(addr, None, batch(150)), 503);
    assert_eq!(post(addr, None, batch(100)), 200);
    agent.wait_for_counter("SOURCE.h3", "ChannelWriteFail", "1");
    agent.wait_for_counter("SOURCE.h3", "EventReceivedCount", "250");
    agent.wait_for_counter("SOURCE.h3", "EventAcceptedCount", "100");
    agent.wait_for_counter("SOURCE.h3", "EventReadFail", "0");
}

const H6: &str = "
sources.h6: type = http, port = {h6_port}, channels = h6
channels.h6: type = memory
";

fn h6_each_method_has_its_status(agent: &dyn AgentUnderTest) {
    let addr = agent.addr("h6_port");
    let cases = [
        ("POST", 200),
        // Handled as POST.
        ("GET", 200),
        ("HEAD", 200),
        ("PUT", 405),
        ("DELETE", 405),
        ("TRACE", 403),
        ("OPTIONS", 403),
        ("PATCH", 501),
    ];
    for (method, status) in cases {
        let reply = request(addr, method, "/any/path", None, "[{}]");
        assert_eq!(reply.status, status, "{method}");
        if status == 200 {
            assert!(reply.body.is_empty(), "{method} {:?}", reply.head);
        }
    }
    agent.wait_for_counter("CHANNEL.h6", "ChannelSize", "3");
    // What is refused for its method is not counted.
    agent.wait_for_counter("SOURCE.h6", "AppendBatchReceivedCount", "3");
    agent.wait_for_counter("SOURCE.h6", "EventReadFail", "0");
}

const H8: &str = "
sources.h8: type = http, port = {h8_port}, channels = h8
channels.h8: type = memory
sinks.h8: type = avro, port = {h8_peer}, batch-size = 1, channel = h8
";

fn h8_json_is_read_as_leniently_as_by_gson(agent: &dyn AgentUnderTest) {
    let cases = [
        (r#"[{"body": 1.50}]"#, Event::new("1.50")),
        (
            r#"[{"headers": {"n": 1, "t": true}}]"#,
            Event::default().header("n", "1").header("t", "true"),
        ),
        (r#"[{"headers": []}]"#, Event::default()),
        ("[{body: 'x'}]", Event::new("x")),
    ];
    let addr = agent.addr("h8_port");
    for (number, (request, event)) in cases.iter().enumerate() {
        assert_eq!(
            post(addr, Some("application/json"), request),
            200,
            "{request}"
        );
        let arrived = agent.peer("h8_peer").wait_for_accepted(number + 1);
        assert_eq!(arrived[number], *event, "{request}");
    }
    // A comma at the end is one more event, which is null.
    assert_eq!(post(addr, Some("application/json"), "[{},]"), 500);
}
