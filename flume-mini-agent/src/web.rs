//! HTTP/1.1 connections, for the HTTP source and the control interface.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

pub(crate) type Answer = Response<Full<Bytes>>;

/// Why a request's body is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    TooLarge,
    /// The peer broke off, or broke the rules.
    Broken,
    /// It did not come in time.
    TooSlow,
}

/// How long a peer may take for the head of a request; also the life of an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// How long it may take for the body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// What a connection buffers, and so the longest head.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Answers the requests of one connection, one after the other, until either side ends it. A peer
/// that has said all it will, and shut its side down, still gets its answers; so one that is gone
/// altogether is found out only by writing to it.
///
/// An error of `answer` ends the connection without one.
pub(crate) async fn serve<F, E>(
    socket: &mut (impl AsyncRead + AsyncWrite + Unpin),
    answer: impl Fn(Request<Incoming>) -> F + Send,
) where
    F: Future<Output = Result<Answer, E>> + Send,
    E: std::error::Error + Send + Sync + 'static,
{
    let mut server = http1::Builder::new();
    let server = server
        .timer(TokioTimer::new())
        .half_close(true)
        // One to a peer that is gone would raise SIGPIPE.
        .writev(false)
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER_BYTES_MAX);
    let connection = server.serve_connection(TokioIo::new(socket), service_fn(answer));
    // The peer is gone, or speaks no HTTP, or a fault ended it: nobody is left to tell.
    let _ = connection.await;
}

/// The whole body of a request, up to `bytes_max`.
pub(crate) async fn body(body: Incoming, bytes_max: usize) -> Result<Bytes, BodyError> {
    let collected = Limited::new(body, bytes_max).collect();
    match tokio::time::timeout(BODY_TIMEOUT, collected).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge),
        Ok(Err(_)) => Err(BodyError::Broken),
        Err(_) => Err(BodyError::TooSlow),
    }
}

/// An answer of plain text; none, if that is empty.
pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Answer {
    let text = text.into();
    let typed = !text.is_empty();
    let mut answer = Response::new(Full::from(text));
    *answer.status_mut() = status;
    if typed {
        let kind = HeaderValue::from_static("text/plain;charset=utf-8");
        answer.headers_mut().insert(CONTENT_TYPE, kind);
    }
    answer
}

/// An answer of JSON.
#[cfg(feature = "control")]
pub(crate) fn json(text: String) -> Answer {
    let mut answer = Response::new(Full::from(text));
    let kind = HeaderValue::from_static("application/json;charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}
