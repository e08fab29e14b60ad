//! [`Control`]: answers the requests to the control interface.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::ORIGIN;
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::host::Addresses;
use super::{Controlled, events};
use crate::fault::engine::FaultHit;
use crate::fault::json;
use crate::web::{self, Answer};

/// What all connections share.
pub(super) struct Control {
    agent: Arc<dyn Controlled>,
    addresses: Addresses,
    waits: Semaphore,
    /// The rules of the last `PUT`.
    rules: Mutex<Vec<u64>>,
}

/// Longest body of a request.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Events shown at once unless asked for another number.
const EVENTS_SHOWN: usize = 1_000;

/// Requests that wait for events at once: half of the connections there may be.
const WAITS_MAX: usize = 32;

/// Wait for events unless asked for another one, and the longest.
const WAIT_SECONDS: f64 = 5.0;
const WAIT_SECONDS_MAX: f64 = 600.0;

/// Why a request cannot be met.
struct Refusal {
    status: StatusCode,
    reason: String,
}

impl Control {
    pub(super) fn new(agent: Arc<dyn Controlled>, addresses: Addresses) -> Self {
        Self {
            agent,
            addresses,
            waits: Semaphore::new(WAITS_MAX),
            rules: Mutex::default(),
        }
    }

    /// Answers a request that came to the address `local`.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        local: SocketAddr,
    ) -> Result<Answer, Infallible> {
        let answer = match self.check(&request, local) {
            Ok(()) => self.route(request).await,
            Err(refusal) => Err(refusal),
        };
        Ok(answer.unwrap_or_else(|refusal| web::text(refusal.status, refusal.reason)))
    }

    /// Refuses what a web page makes a browser send.
    fn check(&self, request: &Request<Incoming>, local: SocketAddr) -> Result<(), Refusal> {
        let method = request.method();
        let forbidden = |reason: String| Err(Refusal::new(StatusCode::FORBIDDEN, reason));
        // Browsers name the page that makes them ask.
        if method == Method::OPTIONS
            || method == Method::TRACE
            || request.headers().contains_key(ORIGIN)
        {
            return forbidden(String::new());
        }
        match self.addresses.are_asked(request, local) {
            true => Ok(()),
            false => forbidden(format!(
                "ask for {local} or localhost: the Host of this request is neither\n"
            )),
        }
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Answer, Refusal> {
        let method = request.method().clone();
        let query = request.uri().query().unwrap_or_default().to_owned();
        match (method.as_str(), request.uri().path()) {
            (_, "/") => Ok(web::text(StatusCode::OK, "Flume metrics are at /metrics\n")),
            // Flume answers any method, and in any case.
            (_, path) if path.eq_ignore_ascii_case("/metrics") => {
                Ok(web::json(self.agent.metrics()))
            }
            ("GET" | "HEAD", "/events") => self.events(&query),
            ("DELETE", "/events") => {
                self.agent.forget();
                Ok(done())
            }
            ("GET", "/api/v1/wait") => self.wait(&query).await,
            ("GET" | "HEAD", "/faults") => Ok(self.faults()),
            ("PUT", "/faults") => self.put_faults(request.into_body()).await,
            ("DELETE", "/faults") => {
                self.replace_rules(Vec::new());
                Ok(done())
            }
            ("POST", "/reload") => self.reload().await,
            (_, "/events" | "/faults" | "/reload" | "/api/v1/wait") => {
                Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, ""))
            }
            _ => Err(Refusal::new(StatusCode::NOT_FOUND, "")),
        }
    }

    fn events(&self, query: &str) -> Result<Answer, Refusal> {
        let from = parameter(query, "from")?.unwrap_or(0);
        let limit = parameter(query, "limit")?.unwrap_or(EVENTS_SHOWN);
        if let Some(sinks) = self.agent.keeps_nothing() {
            return Err(Refusal::new(
                StatusCode::CONFLICT,
                format!("the {sinks} sink keeps no events: use a collect sink, or see /metrics\n"),
            ));
        }
        let (shown, total) = self.agent.received(from, limit);
        let shown: Vec<_> = shown.iter().map(events::show).collect();
        Ok(web::json(
            json!({"total": total, "events": shown}).to_string(),
        ))
    }

    async fn wait(&self, query: &str) -> Result<Answer, Refusal> {
        let events = parameter(query, "n")?.unwrap_or(1);
        let seconds: f64 = parameter(query, "timeout")?.unwrap_or(WAIT_SECONDS);
        if !(0.0..=WAIT_SECONDS_MAX).contains(&seconds) {
            return Err(bad(format!(
                "timeout is from 0 to {WAIT_SECONDS_MAX} seconds"
            )));
        }
        let Ok(_place) = self.waits.try_acquire() else {
            return Err(Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("{WAITS_MAX} requests wait for events already: ask again later\n"),
            ));
        };
        let timeout = Duration::from_secs_f64(seconds);
        match tokio::time::timeout(timeout, self.agent.wait(events)).await {
            Ok(received) => Ok(web::json(json!({"received": received}).to_string())),
            Err(_) => Err(Refusal::new(
                StatusCode::GATEWAY_TIMEOUT,
                format!("fewer than {events} events were received within {timeout:?}\n"),
            )),
        }
    }

    fn faults(&self) -> Answer {
        let text = self.agent.faults().read(|faults| {
            let rules = faults.rules().map(|(number, rule, struck)| {
                let mut shown = json::show(rule);
                shown.insert("rule".to_owned(), number.into());
                shown.insert("struck".to_owned(), struck.into());
                Value::Object(shown)
            });
            let rules: Vec<_> = rules.collect();
            let hits: Vec<_> = faults.hits().map(show_hit).collect();
            json!({"rules": rules, "hits": hits}).to_string()
        });
        web::json(text)
    }

    async fn put_faults(&self, body: Incoming) -> Result<Answer, Refusal> {
        let body = web::body(body, BODY_BYTES_MAX)
            .await
            .map_err(|_| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, ""))?;
        let rules = json::parse(&body).map_err(bad)?;
        let faults = self.agent.faults();
        let numbers: Vec<_> = rules.into_iter().map(|rule| faults.add(rule)).collect();
        self.replace_rules(numbers.clone());
        Ok(web::json(json!({"rules": numbers}).to_string()))
    }

    fn replace_rules(&self, numbers: Vec<u64>) {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *rules, numbers);
        self.agent.faults().change(|faults, _| {
            for number in old {
                faults.remove(number);
            }
        });
    }

    async fn reload(&self) -> Result<Answer, Refusal> {
        let agent = Arc::clone(&self.agent);
        let reloaded = tokio::task::spawn_blocking(move || agent.reload()).await;
        match reloaded {
            Ok(Ok(text)) if text.is_empty() => Ok(done()),
            Ok(Ok(text)) => Ok(web::text(StatusCode::OK, text + "\n")),
            Ok(Err(error)) => Err(Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                error + "\n",
            )),
            Err(_) => Err(Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "it panicked\n",
            )),
        }
    }
}

fn show_hit(hit: &FaultHit) -> Value {
    json!({
        "rule": hit.rule,
        "fault": json::show_fault(&hit.fault).0,
        "at_ms": json::millis(hit.at),
        "connection": hit.connection,
        "request": hit.request,
    })
}

/// The value of a parameter, if it is there. Values here are numbers: nothing is escaped.
fn parameter<T: FromStr>(query: &str, key: &str) -> Result<Option<T>, Refusal> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs
        .filter(|(name, _)| *name == key)
        .map(|(_, value)| value)
        .next();
    match value.map(str::parse) {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some(value)),
        Some(Err(_)) => Err(bad(format!("{key} is no number that makes sense here"))),
    }
}

impl Refusal {
    fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { status, reason }
    }
}

fn bad(reason: String) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, reason + "\n")
}

fn done() -> Answer {
    web::text(StatusCode::NO_CONTENT, "")
}
