//! Layouts of one line each, compared with texts written by hand.

use super::{INNER_SPAN, OUTER_SPAN, PLAIN, body, log, outer};
use crate::capture::Key;
use crate::layout::{Layout, Logfmt, Raw, Rfc5424};
use crate::render::stage::{MESSAGE, Stage, site};

fn golden(layout: impl Layout + 'static) -> String {
    let mut stage = Stage::new(layout);
    let span = stage.capture.span(site(&OUTER_SPAN), None, |fields| {
        fields.text(Key::Index(0), "a1");
        fields.text(Key::Index(1), "acme [x]");
    });
    let span = stage
        .capture
        .span(site(&INNER_SPAN), span.as_ref(), |fields| {
            fields.text(Key::Index(0), "b \"2\"");
        });
    log(&stage, None, span.as_ref(), |fields| {
        fields.text(MESSAGE, "order placed\nERROR forged");
        fields.u64(Key::Name("order"), 17);
        fields.text(Key::Name("level"), "forged");
        fields.text(Key::Name("a b=\"]ü"), "back\\slash");
        fields.f64(Key::Name("price"), 1.5);
        fields.error(Key::Name("error"), &outer());
        fields.bytes(Key::Name("bytes"), b"f");
        fields.text(Key::Name("api_token"), "x");
        fields.text(Key::Name("empty"), "");
    });
    stage.body()
}

#[test]
fn logfmt_is_written_as_its_page_says() {
    let expected = concat!(
        "ts=2026-11-27T17:04:05.123456789Z level=INFO target=orders ",
        r#"msg="order placed\nERROR forged" order=17 f.level=forged a_b__]ü="back\\slash" "#,
        r#"price=1.5 error="cannot read \"x\": invalid digit found in string" bytes="Zg==" "#,
        r#"api_token=[redacted] empty="" span.id=a1 span.tenant="acme [x]" span.id="b \"2\"""#,
    );
    assert_eq!(golden(Logfmt::new()), expected);
}

#[test]
fn rfc_5424_is_written_as_log4j_2_writes_it() {
    let expected = concat!(
        "<134>1 2026-11-27T17:04:05.123Z web-1 orders 4711 - ",
        r#"[fields@32473 a?b????="back\\slash" api_token="[redacted\]" bytes="Zg==" empty="" "#,
        r#"error="cannot read \"x\": invalid digit found in string" level="forged" order="17" "#,
        r#"price="1.5"][mdc@32473 id="b \"2\"" tenant="acme [x\]"] order placed\nERROR forged"#,
    );
    assert_eq!(golden(Rfc5424::new("web-1", "orders", 4711)), expected);
    let body = body(Rfc5424::new("", "", 1), Some(&PLAIN), |_| {});
    assert_eq!(body, "<132>1 2026-11-27T17:04:05.123Z - - 1 - -");
    let long = "n".repeat(40);
    let body = self::body(Rfc5424::new("", "", 1), None, |fields| {
        fields.u64(Key::Name(&long), 1);
        fields.u64(Key::Name(""), 2);
    });
    let expected = format!("[fields@32473 ?=\"2\" {}=\"1\"]", "n".repeat(32));
    assert!(body.ends_with(&expected), "{body}");
}

#[test]
fn raw_is_the_message_on_one_line() {
    assert_eq!(golden(Raw::new()), "order placed\\nERROR forged");
}
