//! What must hold for any bytes that reach a decoder of this crate, for this project's fuzz
//! targets. Not part of the API: it may change with any version.

use crate::config::Encoding;
use crate::fault::json;
use crate::source::{http, netcat};

/// Damage to a file channel's log is refused and leaves it as it was, or costs its end.
pub fn file_log(bytes: &[u8]) {
    crate::channel::file::fuzz::check_log(bytes);
}

/// The events of a body of the HTTP source take no more than so many times its bytes.
pub fn http_body(bytes: &[u8]) {
    http::check_body(bytes);
}

/// Lines do not depend on how their bytes are cut, and no more than one is held.
pub fn netcat_lines(bytes: &[u8]) {
    for encoding in [Encoding::Utf8, Encoding::Latin1, Encoding::Ascii] {
        netcat::check_lines(encoding, bytes);
    }
}

/// Rules that can be read are shown as they can be read again.
pub fn fault_rules(bytes: &[u8]) {
    let Ok(rules) = json::parse(bytes) else {
        return;
    };
    for rule in rules {
        let shown = serde_json::Value::Object(json::show(&rule)).to_string();
        let again = json::parse(shown.as_bytes());
        let again = again.expect("it was shown as it is read");
        assert_eq!(again.len(), 1);
        assert!(again.iter().all(|again| again.fault() == rule.fault()));
    }
}
