//! The HTTP source with Flume's JSON handler.
//!
//! | case | status |
//! |---|---|
//! | stored | 200, no body |
//! | bad JSON | 400 |
//! | OPTIONS, TRACE | 403 |
//! | PUT, DELETE | 405 |
//! | any other method but GET, HEAD and POST, which are alike | 501 |
//! | body over the limit, or not whole after a minute (Flume has no bounds) | 413, 408 |
//! | charset other than UTF-8, UTF-16, UTF-32; no body; null for an event or for all | 500 |
//! | the channel does not take it | 503 |
//! | anything else | 500 |
//!
//! Any path will do. Source: Flume's `HTTPSource` and `JSONHandler`; Jetty's pages of HTML around
//! the texts of errors are left out. Not here: other handlers.

mod charset;
mod gson;
mod json;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::{Body, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, StatusCode};
use tokio::net::TcpListener;

use super::intake::{Answer, Connection, Intake, Taken};
use super::listen::serve;
use super::stream::End;
use crate::carrier::{Carrier, Stream};
use crate::channel::StoredEvent;
use crate::log::Answered;
use crate::web::{self, BodyError};
use charset::Charset;
use json::JsonError;

/// The events of a request take no more memory than so many times its bytes, in any charset.
pub(crate) fn check_body(bytes: &[u8]) {
    let kind = String::from_utf8_lossy(bytes);
    let named = Charset::of(Some(&kind));
    for charset in [Charset::Utf8, Charset::Utf16, Charset::Utf32]
        .into_iter()
        .chain(named)
    {
        if let Ok(events) = json::events(&charset.decode(bytes), charset) {
            assert!(events.len() <= bytes.len());
            let stored: usize = events.iter().map(|event| event.datum().len()).sum();
            // A replaced byte becomes three in a header and four in a body of UTF-32.
            assert!(
                stored <= 16 + 12 * bytes.len(),
                "{stored} of {}",
                bytes.len()
            );
        }
    }
}

/// What connections share.
#[derive(Debug)]
pub(crate) struct HttpSource {
    intake: Intake,
    carrier: Carrier,
    /// Longest body of a request.
    body_bytes_max: usize,
}

/// A request that is not answered: the connection ends.
#[derive(Debug, thiserror::Error)]
#[error("the connection ends without an answer")]
struct NoAnswer;

impl HttpSource {
    pub(crate) fn new(intake: Intake, carrier: Carrier, body_bytes_max: usize) -> Self {
        Self {
            intake,
            carrier,
            body_bytes_max,
        }
    }

    /// Accepts connections until dropped.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener, connections_max: usize) {
        let connect = |stream, peer| Arc::clone(&self).connection(stream, peer);
        let carried = (listener, self.carrier.clone());
        serve(carried, connections_max, &self.intake.observed, connect).await;
    }

    async fn connection(self: Arc<Self>, mut stream: Stream, peer: SocketAddr) {
        let connection = self.intake.open(peer);
        let _ = stream.socket().set_nodelay(true);
        let end = Mutex::new(connection.end);
        if connection.end.is_none() {
            web::serve(&mut stream, |request| {
                self.answer(&connection, request, &end)
            })
            .await;
        }
        let end = end.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(end) = end {
            // A peer that is gone already needs no end.
            let _ = end.carry_out(&mut stream).await;
        }
    }

    async fn answer(
        &self,
        connection: &Connection,
        request: Request<Incoming>,
        end: &Mutex<Option<End>>,
    ) -> Result<web::Answer, NoAnswer> {
        let bytes = request.body().size_hint().lower() as usize;
        let number = self.intake.begin(connection, bytes);
        if let Some(status) = refused(request.method()) {
            self.intake
                .turned_away(number, Answered::Status(status.as_u16()));
            return Ok(web::text(status, ""));
        }
        let (events, bytes) = match self.read(request).await {
            Ok(read) => read,
            Err(answer) => {
                self.intake
                    .refused(number, Answered::Status(answer.status().as_u16()));
                return Ok(answer);
            }
        };
        self.intake.counters.batches_received.increment();
        let count = events.len();
        let taken = self.intake.take(connection, (number, bytes), events);
        let Taken { answer: taken, .. } = taken.await;
        let answer = self.tell(&taken);
        let answered = answer
            .as_ref()
            .map(|answer| Answered::Status(answer.status().as_u16()));
        self.intake.answered(number, &taken, answered, count);
        match (answer, taken) {
            (Some(answer), _) => Ok(answer),
            (None, Answer::End(how @ Some(_))) => {
                *end.lock().unwrap_or_else(PoisonError::into_inner) = how;
                Err(NoAnswer)
            }
            (None, _) => std::future::pending().await,
        }
    }

    /// The events of a request and the length of its body, or the answer to a bad one.
    async fn read(
        &self,
        request: Request<Incoming>,
    ) -> Result<(Vec<StoredEvent>, usize), web::Answer> {
        let kind = request.headers().get(CONTENT_TYPE);
        let charset = Charset::of(kind.and_then(|kind| kind.to_str().ok()));
        let body = match web::body(request.into_body(), self.body_bytes_max).await {
            Ok(body) => body,
            Err(BodyError::TooLarge) => {
                return Err(web::text(StatusCode::PAYLOAD_TOO_LARGE, ""));
            }
            Err(BodyError::TooSlow) => return Err(web::text(StatusCode::REQUEST_TIMEOUT, "")),
            Err(BodyError::Broken) => return Err(web::text(StatusCode::BAD_REQUEST, "")),
        };
        let events = match charset {
            Some(charset) => json::events(&charset.decode(&body), charset),
            None => Err(JsonError::Handler(
                "JSON handler supports UTF-8, UTF-16 and UTF-32 only.",
            )),
        };
        match events {
            Ok(events) => Ok((events, body.len())),
            Err(error @ JsonError::Syntax) => Err(web::text(
                StatusCode::BAD_REQUEST,
                format!("Bad request from client. {error}"),
            )),
            Err(error @ JsonError::Handler(_)) => Err(web::text(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("Deserializer threw unexpected exception. {error}"),
            )),
        }
    }

    /// The answer, if there is to be one.
    fn tell(&self, answer: &Answer) -> Option<web::Answer> {
        Some(match answer {
            Answer::Ok => {
                self.intake.counters.batches_accepted.increment();
                web::text(StatusCode::OK, "")
            }
            Answer::Failed(reason) => web::text(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("Error appending event to channel. Channel might be full.{reason}"),
            ),
            Answer::Unknown => web::text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "Unexpected error while appending event to channel. A fault wants it so.",
            ),
            Answer::Error(reason) => web::text(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("Unexpected error while appending event to channel. {reason}"),
            ),
            Answer::End(_) => return None,
        })
    }
}

/// The status of a method that brings no events.
fn refused(method: &Method) -> Option<StatusCode> {
    match *method {
        Method::GET | Method::HEAD | Method::POST => None,
        Method::OPTIONS | Method::TRACE => Some(StatusCode::FORBIDDEN),
        Method::PUT | Method::DELETE => Some(StatusCode::METHOD_NOT_ALLOWED),
        _ => Some(StatusCode::NOT_IMPLEMENTED),
    }
}
