//! The HTTP source with Flume's JSON handler.
//!
//! | case | status |
//! |---|---|
//! | stored | 200, no body |
//! | bad JSON | 400 |
//! | OPTIONS, TRACE | 403 |
//! | PUT, DELETE | 405 |
//! | any other method but GET, HEAD and POST, which are alike | 501 |
//! | body over the limit (Flume has none) | 413 |
//! | charset other than UTF-8, UTF-16, UTF-32; no body; null for an event or for all | 500 |
//! | the channel does not take it | 503 |
//! | anything else | 500 |
//!
//! Any path will do. Source: Flume's `HTTPSource` and `JSONHandler`; Jetty's pages of HTML around
//! the texts of errors are left out. Not here: TLS, other handlers.

mod charset;
mod gson;
mod json;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::{Body, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, StatusCode};
use tokio::net::{TcpListener, TcpStream};

use super::intake::{Answer, Intake, Visit};
use super::listen::serve;
use super::stream::End;
use crate::agent::log::Told;
use crate::channel::StoredEvent;
use crate::web::{self, BodyError, NoAnswer};
use charset::Charset;
use json::JsonError;

/// The source's type in a Flume configuration.
pub(crate) const NAME: &str = "http";

/// What connections share.
#[derive(Debug)]
pub(crate) struct HttpSource {
    intake: Intake,
    /// Longest body of a request.
    body_bytes_max: usize,
}

impl HttpSource {
    pub(crate) fn new(intake: Intake, body_bytes_max: usize) -> Self {
        Self {
            intake,
            body_bytes_max,
        }
    }

    /// Accepts connections until dropped.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener, connections_max: usize) {
        let connect = |socket, peer| Arc::clone(&self).connection(socket, peer);
        serve(listener, connections_max, &self.intake.tally, connect).await;
    }

    async fn connection(self: Arc<Self>, mut socket: TcpStream, peer: SocketAddr) {
        let visit = self.intake.open(peer);
        let _ = socket.set_nodelay(true);
        let end = Mutex::new(visit.end);
        if visit.end.is_none() {
            web::serve(&mut socket, |request| self.answer(&visit, request, &end)).await;
        }
        let end = end.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(end) = end {
            // A peer that is gone already needs no end.
            let _ = end.carry_out(&mut socket).await;
        }
    }

    async fn answer(
        &self,
        visit: &Visit,
        request: Request<Incoming>,
        end: &Mutex<Option<End>>,
    ) -> Result<web::Answer, NoAnswer> {
        let bytes = request.body().size_hint().lower() as usize;
        let number = self.intake.begin(visit, bytes);
        if let Some(status) = refused(request.method()) {
            self.intake
                .turned_away(number, Told::Status(status.as_u16()));
            return Ok(web::text(status, ""));
        }
        let answer = match self.read(request).await {
            Ok((events, bytes)) => {
                self.intake.counters.batches_received.increment();
                let answer = self.intake.take(visit, (number, bytes), events).await;
                self.tell(answer, end).await?
            }
            Err(answer) => {
                self.intake
                    .refused(number, Told::Status(answer.status().as_u16()));
                return Ok(answer);
            }
        };
        self.intake
            .told(number, Told::Status(answer.status().as_u16()));
        Ok(answer)
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

    async fn tell(
        &self,
        answer: Answer,
        end: &Mutex<Option<End>>,
    ) -> Result<web::Answer, NoAnswer> {
        match answer {
            Answer::Ok => {
                self.intake.counters.batches_accepted.increment();
                Ok(web::text(StatusCode::OK, ""))
            }
            Answer::Failed(reason) => Ok(web::text(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("Error appending event to channel. Channel might be full.{reason}"),
            )),
            Answer::Error(reason) => Ok(web::text(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("Unexpected error while appending event to channel. {reason}"),
            )),
            Answer::End(None) => std::future::pending().await,
            Answer::End(how) => {
                *end.lock().unwrap_or_else(PoisonError::into_inner) = how;
                Err(NoAnswer)
            }
        }
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
