//! A document at an http URL.
//!
//! It is asked for with what the server said of it the last time, `ETag` and `Last-Modified`, and
//! a server that has no newer one says so. Redirects are not followed.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::text::{duration, reason};

/// Bytes of a document that are read: twice what a configuration may have.
pub(super) const BYTES_MAX: usize = 2 * 1024 * 1024;

/// How long a fetch may take in all.
const TIMEOUT: Duration = Duration::from_secs(10);

/// For HTTP basic authentication.
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

/// A document that is fetched again and again.
#[derive(Debug)]
pub(super) struct HttpDocument {
    /// Has a host; see `uri`.
    url: Uri,
    credentials: Option<Credentials>,
    /// `If-None-Match` and `If-Modified-Since` for the next request.
    conditions: HeaderMap,
}

/// What came of a fetch.
#[derive(Debug)]
pub(super) enum Fetched {
    Unchanged,
    Bytes(Bytes),
}

/// What a server says of a document, and how that is said back to it.
const CONDITIONS: [(header::HeaderName, header::HeaderName); 2] = [
    (header::ETAG, header::IF_NONE_MATCH),
    (header::LAST_MODIFIED, header::IF_MODIFIED_SINCE),
];

impl HttpDocument {
    pub(super) fn new(url: Uri, credentials: Option<Credentials>) -> Self {
        Self {
            url,
            credentials,
            conditions: HeaderMap::new(),
        }
    }

    pub(super) fn name(&self) -> String {
        self.url.to_string()
    }

    /// Makes the next fetch one of the whole document.
    pub(super) fn forget(&mut self) {
        self.conditions.clear();
    }

    /// Fetches the document if there is another one than the last time. Returns in bounded time.
    pub(super) fn fetch(&mut self) -> Result<Fetched, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| self.failed(&reason(&error)))?;
        let fetched = runtime.block_on(async {
            let fetched = tokio::time::timeout(TIMEOUT, self.exchange()).await;
            fetched.unwrap_or_else(|_| Err(format!("no answer within {}", duration(TIMEOUT))))
        });
        // A name that is looked up in vain is not waited for.
        runtime.shutdown_background();
        let (conditions, fetched) = fetched.map_err(|error| self.failed(&error))?;
        if let Some(conditions) = conditions {
            self.conditions = conditions;
        }
        Ok(fetched)
    }

    async fn exchange(&self) -> Result<(Option<HeaderMap>, Fetched), String> {
        let response = self.ask().await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if !self.conditions.is_empty() => {
                return Ok((None, Fetched::Unchanged));
            }
            status => return Err(refusal(status, response.headers())),
        }
        let mut conditions = HeaderMap::new();
        for (said, back) in CONDITIONS {
            if let Some(value) = response.headers().get(said) {
                conditions.insert(back, value.clone());
            }
        }
        let body = Limited::new(response.into_body(), BYTES_MAX)
            .collect()
            .await;
        match body {
            Ok(body) => Ok((Some(conditions), Fetched::Bytes(body.to_bytes()))),
            Err(error) if error.is::<LengthLimitError>() => {
                Err(format!("the document has more than {BYTES_MAX} bytes"))
            }
            Err(error) => Err(format!("the document broke off: {error}")),
        }
    }

    async fn ask(&self) -> Result<Response<hyper::body::Incoming>, String> {
        let host = self.url.host().unwrap_or_default();
        let port = self.url.port_u16().unwrap_or(80);
        let address = (host.trim_matches(['[', ']']), port);
        let socket = TcpStream::connect(address).await;
        let socket = TokioIo::new(socket.map_err(|error| reason(&error))?);
        let handshake = hyper::client::conn::http1::handshake(socket).await;
        let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
        // Ends with the runtime; what fails there fails the request, too.
        tokio::spawn(connection);
        let answer = sender.send_request(self.request()?).await;
        answer.map_err(|error| format!("no HTTP answer: {error}"))
    }

    fn request(&self) -> Result<Request<Empty<Bytes>>, String> {
        let target = self.url.path_and_query().map_or("/", |path| path.as_str());
        let authority = self.url.authority().map_or("", |it| it.as_str());
        let mut request = Request::get(target)
            .header(header::HOST, authority)
            .header(header::ACCEPT, "text/plain, */*")
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        let headers = request.headers_mut();
        headers.extend(self.conditions.clone());
        if let Some(credentials) = &self.credentials {
            headers.insert(header::AUTHORIZATION, credentials.header()?);
        }
        Ok(request)
    }

    fn failed(&self, error: &str) -> String {
        format!("cannot fetch {}: {error}", self.url)
    }
}

impl Credentials {
    fn header(&self) -> Result<HeaderValue, String> {
        if self.user.contains(':') {
            return Err("--conf-user has a colon, which basic authentication cannot send".into());
        }
        let pair = format!("{}:{}", self.user, self.password);
        let text = format!("Basic {}", BASE64_STANDARD.encode(pair));
        let mut value = HeaderValue::try_from(text).map_err(|error| error.to_string())?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

fn refusal(status: StatusCode, headers: &HeaderMap) -> String {
    let advice = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            ": check --conf-user and --conf-password, or FLUME_CONF_USER and FLUME_CONF_PASSWORD"
                .to_owned()
        }
        _ if status.is_redirection() => {
            let location = headers.get(header::LOCATION);
            let location = location.and_then(|location| location.to_str().ok());
            format!(
                ", which leads to {}: redirects are not followed",
                location.unwrap_or("nowhere")
            )
        }
        _ => String::new(),
    };
    format!("the answer is {status}{advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_shown() {
        let credentials = Credentials {
            user: "me".to_owned(),
            password: "secret".to_owned(),
        };
        assert!(!format!("{credentials:?}").contains("secret"));
    }
}
