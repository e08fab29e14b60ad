//! [`CommonHeaders`]: what every event of a client gets that does not have it.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::BuildError;
use crate::event::Event;

/// Headers for every event, in the order in which they were given.
#[derive(Clone, Debug, Default)]
pub(crate) struct CommonHeaders {
    fixed: Vec<(String, String)>,
    timestamp: bool,
    host: bool,
}

/// The header of an HDFS sink's `%Y-%m-%d`, and what Flume's `TimestampInterceptor` writes.
const TIMESTAMP: &str = "timestamp";
/// What Flume's `HostInterceptor` writes.
const HOST: &str = "host";

impl CommonHeaders {
    /// Adds one. A key that is there already gets the new value.
    pub(crate) fn set(&mut self, key: String, value: String) {
        match self.fixed.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = value,
            None => self.fixed.push((key, value)),
        }
    }

    pub(crate) fn add_timestamp(&mut self) {
        self.timestamp = true;
    }

    pub(crate) fn add_host(&mut self) {
        self.host = true;
    }

    /// Asks the system what is to be asked, and looks whether events may carry all of it. `None`:
    /// there is none.
    pub(crate) fn checked(mut self) -> Result<Option<Self>, BuildError> {
        if self.host && !self.fixed.iter().any(|(key, _)| key == HOST) {
            let name = host_name().ok_or(BuildError::NoHostName)?;
            self.fixed.push((HOST.into(), name));
        }
        if self.fixed.is_empty() && !self.timestamp {
            return Ok(None);
        }
        let mut event = Event::new("");
        self.complete(&mut event);
        let fault = event.fault().cloned();
        fault.map_or(Ok(Some(self)), |fault| Err(BuildError::Header { fault }))
    }

    /// Adds what the event does not have.
    pub(crate) fn complete(&self, event: &mut Event) {
        for (key, value) in &self.fixed {
            if !event.has_header(key) {
                event.set_header(key, value);
            }
        }
        if self.timestamp && !event.has_header(TIMESTAMP) {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            let mut text = [0; 20];
            let text = decimal(since.unwrap_or_default().as_millis() as u64, &mut text);
            event.set_header(TIMESTAMP, text);
        }
    }
}

/// A number as text, without an allocation.
fn decimal(number: u64, room: &mut [u8; 20]) -> &str {
    let (mut rest, mut digits) = (number, 0);
    for place in room.iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        (rest, digits) = (rest / 10, digits + 1);
        if rest == 0 {
            break;
        }
    }
    let (_, text) = room.split_at(room.len() - digits);
    std::str::from_utf8(text).unwrap_or_default()
}

/// The name of this host, as the system tells it. `None`: it has none.
#[cfg(unix)]
#[must_use]
pub fn host_name() -> Option<String> {
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy().into_owned();
    Some(name).filter(|name| !name.is_empty())
}

/// The name of this host, as the system tells it. `None`: it has none.
#[cfg(not(unix))]
#[must_use]
pub fn host_name() -> Option<String> {
    std::env::var("COMPUTERNAME").ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::HeaderFault;

    fn with(change: impl FnOnce(&mut CommonHeaders)) -> Result<Option<CommonHeaders>, BuildError> {
        let mut headers = CommonHeaders::default();
        change(&mut headers);
        headers.checked()
    }

    #[test]
    fn an_event_s_own_header_wins_and_what_it_lacks_is_added_once() {
        let headers = with(|headers| {
            headers.set("service".into(), "first".into());
            headers.set("service".into(), "orders".into());
            headers.set("zone".into(), "eu".into());
        });
        let headers = headers.unwrap().unwrap();
        let mut event = Event::new("body").header("zone", "us");
        headers.complete(&mut event);
        let expected = Event::new("body")
            .header("zone", "us")
            .header("service", "orders");
        assert_eq!(event, expected);
        headers.complete(&mut event);
        assert_eq!(event, expected);
    }

    #[test]
    fn the_timestamp_is_that_of_now_in_milliseconds() {
        let headers = with(CommonHeaders::add_timestamp).unwrap().unwrap();
        let now = || {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .as_millis()
        };
        let before = now();
        let mut event = Event::new("body");
        headers.complete(&mut event);
        let written: u128 = event.header_value("timestamp").unwrap().parse().unwrap();
        assert!((before..=now()).contains(&written));
        let mut own = Event::new("body").header("timestamp", "1");
        headers.complete(&mut own);
        assert_eq!(own, Event::new("body").header("timestamp", "1"));
    }

    #[test]
    fn the_host_is_what_the_system_calls_itself_unless_one_is_given() {
        let headers = with(CommonHeaders::add_host).unwrap().unwrap();
        let mut event = Event::new("");
        headers.complete(&mut event);
        let said = std::fs::read_to_string("/proc/sys/kernel/hostname");
        if let Ok(said) = said {
            assert_eq!(event.header_value("host"), Some(said.trim()));
        }
        let headers = with(|headers| {
            headers.add_host();
            headers.set("host".into(), "mine".into());
        });
        let mut event = Event::new("");
        headers.unwrap().unwrap().complete(&mut event);
        assert_eq!(event, Event::new("").header("host", "mine"));
    }

    #[test]
    fn headers_that_no_event_may_carry_are_told_when_the_client_is_built() {
        assert!(with(|_| {}).unwrap().is_none());
        let error = with(|headers| headers.set(String::new(), "value".into())).unwrap_err();
        let fault = HeaderFault::EmptyKey;
        assert!(matches!(error, BuildError::Header { fault: told } if told == fault));
    }

    #[test]
    fn numbers_are_written_as_the_standard_library_does() {
        for number in [0, 9, 10, 1_764_277_445_123, u64::MAX] {
            assert_eq!(decimal(number, &mut [0; 20]), number.to_string());
        }
    }
}
