//! What must hold for any bytes that reach a decoder of this crate, for this project's fuzz
//! targets. Not part of the API: it may change with any version.

#[cfg(feature = "file-channel")]
use std::sync::Arc;

#[cfg(feature = "file-channel")]
use flume_client::spool::Storage;

#[cfg(feature = "file-channel")]
use crate::channel::file;
use crate::config::Encoding;
#[cfg(feature = "control")]
use crate::fault::json;
#[cfg(feature = "http")]
use crate::source::http;
use crate::source::netcat;

/// The events that a file channel finds on a disk, or why it does not open.
#[cfg(feature = "file-channel")]
pub fn file_log(disk: Arc<dyn Storage>) -> Result<Vec<Vec<u8>>, String> {
    file::read_log(disk).map_err(|error| error.to_string())
}

/// The events of a body of the HTTP source take no more than so many times its bytes.
#[cfg(feature = "http")]
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
#[cfg(feature = "control")]
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
