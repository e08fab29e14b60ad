//! An agent's counters as its HTTP monitoring prints them, and the few lines of HTTP to get them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::{HarnessError, Result};

const TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// One reading of `/metrics`. Flume prints every counter as a string.
#[derive(Debug, Clone)]
pub struct Metrics(Value);

impl Metrics {
    /// Reads the counters of the agent that monitors on `addr`.
    ///
    /// # Errors
    ///
    /// When nobody answers there, or not with counters.
    pub fn read(addr: SocketAddr) -> Result<Self> {
        let what = format!("GET /metrics from {addr}");
        let answer = get(addr).map_err(|e| HarnessError::doing(&what, e))?;
        let body = answer
            .strip_prefix("HTTP/1.")
            .filter(|rest| rest.get(1..5) == Some(" 200"))
            .and_then(|rest| rest.split_once("\r\n\r\n"))
            .map(|(_, body)| body)
            .ok_or_else(|| HarnessError::doing(&what, format!("unexpected answer {answer:?}")))?;
        serde_json::from_str(body)
            .map(Self)
            .map_err(|e| HarnessError::doing(&what, e))
    }

    /// A counter, for example `counter("SOURCE.r1", "EventAcceptedCount")`.
    ///
    /// `None` when the component or the counter is not there: a null sink, for one, has none.
    #[must_use]
    pub fn counter(&self, component: &str, name: &str) -> Option<u64> {
        self.text(component, name)?.parse().ok()
    }

    /// All counters, as they came.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.0
    }

    /// A value that is not a whole number, for example `ChannelFillPercentage`, as printed.
    #[must_use]
    pub fn text(&self, component: &str, name: &str) -> Option<&str> {
        self.0.get(component)?.get(name)?.as_str()
    }
}

/// HTTP/1.0, so that the answer is neither chunked nor kept alive.
fn get(addr: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&addr, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET /metrics HTTP/1.0\r\nHost: {addr}\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}
