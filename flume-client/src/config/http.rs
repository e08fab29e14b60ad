//! [`HttpOptions`]: what requests to agents at `http://` carry beside events, and where it comes from.

use std::env;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use reqwest::Url;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT,
    HeaderMap, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

use crate::agent_url::{AgentUrl, Door};
use crate::error::{BuildError, HttpOptionsError};

/// What requests to agents at `http://` and `https://` carry beside events, for
/// [`ClientBuilder::http`](crate::ClientBuilder::http): credentials for what stands before Flume's HTTP
/// source, which asks for none itself. All agents get the same.
///
/// ```no_run
/// use flume_client::{Client, HttpOptions, Secret};
///
/// let client = Client::builder()
///     .agent("https://collector-1.example:5140/orders")
///     .http(HttpOptions::default().bearer_token(Secret::file("/run/secrets/flume-token")))
///     .build()?;
/// # Ok::<(), flume_client::BuildError>(())
/// ```
///
/// Values are read before each connection is made, and when an agent answers 401. If they are others
/// then, the request is sent once more with them. So new ones need no restart.
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing until a builder has them"]
pub struct HttpOptions {
    headers: Vec<(String, Secret)>,
    token: Option<Secret>,
}

impl HttpOptions {
    /// Sends `Authorization: Bearer TOKEN`. Default none.
    pub fn bearer_token(mut self, token: Secret) -> Self {
        self.token = Some(token);
        self
    }

    /// Sends a header. One of a name that was given before takes its place. Those that say how the
    /// request is made, such as `Content-Type`, are the client's own.
    pub fn header(mut self, name: impl Into<String>, value: Secret) -> Self {
        let name = name.into();
        self.headers
            .retain(|(given, _)| !given.eq_ignore_ascii_case(&name));
        self.headers.push((name, value));
        self
    }

    fn checked(self) -> Result<Vec<Header>, HttpOptionsError> {
        let mut headers = Vec::new();
        for (name, value) in self.headers {
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
                return Err(HttpOptionsError::Name { name });
            };
            let is_bearer = name == AUTHORIZATION && self.token.is_some();
            if is_own(&name) || is_bearer {
                let name = name.to_string();
                return Err(HttpOptionsError::Own { name });
            }
            headers.push(Header {
                name,
                prefix: "",
                value,
            });
        }
        headers.extend(self.token.map(|value| Header {
            name: AUTHORIZATION,
            prefix: "Bearer ",
            value,
        }));
        Ok(headers)
    }
}

/// Whether it says how a request is made, which only the client knows.
fn is_own(name: &HeaderName) -> bool {
    [
        ACCEPT,
        CONNECTION,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_TYPE,
        EXPECT,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ]
    .contains(name)
}

/// A value that is never shown.
#[derive(Clone)]
pub struct Secret(Source);

type Callback = dyn Fn() -> io::Result<String> + Send + Sync;

#[derive(Clone)]
enum Source {
    Text(String),
    Env(String),
    File(PathBuf),
    Callback(Arc<Callback>),
}

/// Most bytes of a value.
const SECRET_BYTES_MAX: u64 = 16 * 1024;

impl Secret {
    /// This text.
    pub fn text(text: impl Into<String>) -> Self {
        Self(Source::Text(text.into()))
    }

    /// An environment variable of this name. That it is there is checked when the client is built.
    pub fn env(name: impl Into<String>) -> Self {
        Self(Source::Env(name.into()))
    }

    /// What a file holds, without white space around it: at most 16 KiB of text. It is read when the
    /// client is built, whose error it is if that fails, and again later on. A relative path is taken
    /// from the current directory as it is when the client is built.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    /// What this returns. It is called on a thread of its own, never at a call of `append`, and may
    /// block; a connection waits two seconds for it, and is given up then. If it is an error or it panics,
    /// that is what keeps the agent from being used, and it is called again with the next attempt.
    pub fn callback(callback: impl Fn() -> io::Result<String> + Send + Sync + 'static) -> Self {
        Self(Source::Callback(Arc::new(callback)))
    }

    /// The same, with a path that is right wherever the process may change to.
    fn with_absolute_path(self) -> io::Result<Self> {
        Ok(match self.0 {
            Source::File(path) => Self(Source::File(std::path::absolute(path)?)),
            _ => self,
        })
    }

    fn read(&self) -> io::Result<String> {
        match &self.0 {
            Source::Text(text) => Ok(text.clone()),
            Source::Env(name) => env::var(name).map_err(|error| match error {
                env::VarError::NotPresent => io::Error::other("it is not set"),
                env::VarError::NotUnicode(_) => io::Error::other("it is not UTF-8"),
            }),
            Source::File(path) => {
                // Opening a pipe would wait for whoever writes to it.
                if !fs::metadata(path)?.is_file() {
                    return Err(io::Error::other("it is no file"));
                }
                let mut text = String::new();
                let file = File::open(path)?;
                file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text)?;
                Ok(text.trim().to_owned())
            }
            Source::Callback(callback) => callback(),
        }
    }

    /// Where it comes from, as part of a sentence.
    fn origin(&self) -> String {
        match &self.0 {
            Source::Text(_) => "as given".to_owned(),
            Source::Env(name) => format!("from the environment variable {name:?}"),
            Source::File(path) => format!("from {}", path.display()),
            Source::Callback(_) => "by its callback".to_owned(),
        }
    }

    /// Whether it is read when the client is built: it is there then, and quickly read.
    fn is_at_hand(&self) -> bool {
        !matches!(self.0, Source::Callback(_))
    }

    /// Whether it can become another one.
    fn may_change(&self) -> bool {
        matches!(self.0, Source::File(_) | Source::Callback(_))
    }
}

/// Where it comes from.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.origin())
    }
}

#[derive(Clone, Debug)]
struct Header {
    name: HeaderName,
    prefix: &'static str,
    value: Secret,
}

impl Header {
    fn read(&self) -> Result<HeaderValue, HttpOptionsError> {
        let name = || self.name.to_string();
        let origin = || self.value.origin();
        let read = self.value.read();
        let text = read.map_err(|error| HttpOptionsError::Unread {
            name: name(),
            origin: origin(),
            error: error.to_string(),
        })?;
        let fault = |fault: &'static str| HttpOptionsError::Value {
            name: name(),
            origin: origin(),
            fault,
        };
        if text.is_empty() {
            return Err(fault("it is empty"));
        }
        if text.len() as u64 > SECRET_BYTES_MAX {
            return Err(fault("it has more than 16 KiB"));
        }
        let value = HeaderValue::from_str(&format!("{}{text}", self.prefix));
        let mut value = value.map_err(|_| {
            fault("it has a line break or another character that a header cannot have")
        })?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// Where an agent's requests go.
#[derive(Clone, Debug)]
pub(crate) struct HttpTarget {
    /// Its host is that of the agent, or the name that its certificate has to be for.
    pub(crate) url: Url,
    /// The header `Host`.
    pub(crate) host: HeaderValue,
    /// Whom its certificate has to be for.
    #[cfg(feature = "tls")]
    pub(crate) server_name: Option<String>,
}

/// HTTP of a client, checked.
#[derive(Clone, Debug)]
pub(crate) struct HttpConfig {
    headers: Vec<Header>,
    /// As they were when the client was built, but for what callbacks give.
    pub(crate) first: HeaderMap,
    /// For each agent, in order.
    targets: Vec<Option<Arc<HttpTarget>>>,
}

impl HttpConfig {
    /// Where the requests of an agent go, if it takes some.
    pub(crate) fn target(&self, agent: usize) -> Option<&Arc<HttpTarget>> {
        self.targets.get(agent)?.as_ref()
    }

    /// Whether the headers can become others, so that they are to be read again.
    pub(crate) fn may_change(&self) -> bool {
        self.headers.iter().any(|header| header.value.may_change())
    }

    /// Reads the headers again. It waits for the disk, and for foreign code.
    pub(crate) fn read(&self) -> Result<HeaderMap, HttpOptionsError> {
        read(self.headers.iter())
    }
}

fn read<'a>(headers: impl Iterator<Item = &'a Header>) -> Result<HeaderMap, HttpOptionsError> {
    headers
        .map(|header| Ok((header.name.clone(), header.read()?)))
        .collect()
}

/// HTTP for these agents; `None` if none of them speaks it.
///
/// # Errors
///
/// The options cannot be used, or there are some and no agent speaks HTTP.
pub(crate) fn http_for(
    agents: &[AgentUrl],
    server_name: impl Fn(usize) -> Option<String>,
    options: Option<HttpOptions>,
) -> Result<Option<HttpConfig>, BuildError> {
    if !agents
        .iter()
        .any(|agent| agent.scheme().door() == Door::Http)
    {
        return match options {
            Some(_) => Err(BuildError::NothingToRequest),
            None => Ok(None),
        };
    }
    let mut headers = options.unwrap_or_default().checked()?;
    for header in &mut headers {
        let value = header.value.clone();
        let absolute = value.with_absolute_path();
        header.value = absolute.map_err(|error| HttpOptionsError::Unread {
            name: header.name.to_string(),
            origin: header.value.origin(),
            error: error.to_string(),
        })?;
    }
    let first = read(headers.iter().filter(|it| it.value.is_at_hand()))?;
    let targets = agents.iter().enumerate().map(|(index, agent)| {
        let is_http = agent.scheme().door() == Door::Http;
        is_http
            .then(|| target(agent, server_name(index)))
            .transpose()
    });
    Ok(Some(HttpConfig {
        headers,
        first,
        targets: targets.collect::<Result<_, _>>()?,
    }))
}

fn target(
    agent: &AgentUrl,
    server_name: Option<String>,
) -> Result<Arc<HttpTarget>, HttpOptionsError> {
    let fault = |error: String| HttpOptionsError::Address {
        agent: agent.clone(),
        error,
    };
    let url = Url::parse(&agent.to_string()).map_err(|error| fault(error.to_string()))?;
    let authority = url.authority().to_owned();
    let authority = match url.port() {
        Some(_) => authority,
        // The library leaves out the one that is usual.
        None => format!("{authority}:{}", agent.port()),
    };
    let host = HeaderValue::from_str(&authority).map_err(|error| fault(error.to_string()))?;
    let mut url = url;
    // The library asks an agent for the name in the address (SNI). To an address of numbers it connects
    // whatever else it is told, so one of these is only compared with the certificate.
    if let Some(name) = &server_name
        && name.parse::<std::net::IpAddr>().is_err()
    {
        let set = url.set_host(Some(name));
        set.map_err(|error| fault(error.to_string()))?;
    }
    Ok(Arc::new(HttpTarget {
        url,
        host,
        #[cfg(feature = "tls")]
        server_name,
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tempfile::TempDir;

    use super::*;

    fn one_agent(options: HttpOptions) -> Result<HttpConfig, String> {
        let agents = ["http://127.0.0.1:1/x".parse().unwrap()];
        let config = http_for(&agents, |_| None, Some(options));
        config
            .map(Option::unwrap)
            .map_err(|error| error.to_string())
    }

    fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
        let shown = headers.iter().map(|(name, value)| {
            assert!(value.is_sensitive());
            (name.to_string(), value.to_str().unwrap().to_owned())
        });
        shown.collect()
    }

    #[test]
    fn a_token_and_headers_are_read_where_they_come_from_and_again_later() {
        let home = TempDir::new().unwrap();
        let token = home.path().join("token");
        fs::write(&token, "one\n").unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let callback = move || Ok(counted.fetch_add(1, Ordering::Relaxed).to_string());
        let options = HttpOptions::default()
            .bearer_token(Secret::file(&token))
            .header("X-Count", Secret::callback(callback))
            .header("x-tenant", Secret::text("old"))
            .header("X-Tenant", Secret::text("orders"));
        let config = one_agent(options).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let at_hand = [
            pair("x-tenant", "orders"),
            pair("authorization", "Bearer one"),
        ];
        assert_eq!(shown(&config.first), at_hand);
        assert_eq!(calls.load(Ordering::Relaxed), 0, "a callback may block");
        fs::write(&token, " two ").unwrap();
        let read = shown(&config.read().unwrap());
        assert!(read.contains(&pair("authorization", "Bearer two")));
        assert!(read.contains(&pair("x-count", "0")));
        assert!(config.may_change());
    }

    #[test]
    fn what_cannot_be_sent_is_an_error_that_says_why_and_shows_no_value() {
        let told = |options| one_agent(options).unwrap_err();
        let with = |value| HttpOptions::default().header("X-Key", value);
        assert_eq!(
            told(HttpOptions::default().header("a b", Secret::text("x"))),
            "\"a b\" is no name of an HTTP header: it is made of letters, digits and -"
        );
        assert_eq!(
            told(HttpOptions::default().header("Content-Type", Secret::text("x"))),
            "the HTTP header content-type is the client's own: leave it out"
        );
        assert_eq!(
            told(with(Secret::text("s3cret\n"))),
            "the HTTP header x-key cannot have the value that was read as given: it has a line break \
             or another character that a header cannot have"
        );
        assert_eq!(
            told(with(Secret::env("FLUME_TEST_NOT_SET"))),
            "the value of the HTTP header x-key cannot be read from the environment variable \
             \"FLUME_TEST_NOT_SET\": it is not set"
        );
        let missing = told(with(Secret::file("/nowhere/token")));
        assert!(missing.contains("/nowhere/token"), "{missing}");
        let options = with(Secret::text("s3cret"));
        assert!(!format!("{options:?}").contains("s3cret"));
    }

    #[test]
    fn options_for_requests_that_nobody_takes_are_an_error() {
        let agents = ["avro://127.0.0.1:1".parse().unwrap()];
        let error = http_for(&agents, |_| None, Some(HttpOptions::default()));
        assert!(error.is_err_and(|error| error.to_string().contains("http://HOST:PORT")));
    }

    #[test]
    fn requests_go_to_the_agent_and_are_for_the_name_of_its_certificate() {
        for (agent, name, url, host) in [
            ("http://a.test:80/x", None, "http://a.test/x", "a.test:80"),
            (
                "http://[::1]:5140",
                None,
                "http://[::1]:5140/",
                "[::1]:5140",
            ),
            (
                "https://127.0.0.1:5140/x",
                Some("b.test"),
                "https://b.test:5140/x",
                "127.0.0.1:5140",
            ),
            (
                "https://a.test:443/",
                Some("10.0.0.1"),
                "https://a.test/",
                "a.test:443",
            ),
        ] {
            let target = target(&AgentUrl::of_any(agent), name.map(str::to_owned)).unwrap();
            assert_eq!(target.url.as_str(), url);
            assert_eq!(target.host, host);
        }
        let zoned = target(&AgentUrl::of_any("http://[fe80::1%eth0]:1"), None);
        assert!(zoned.is_err());
    }
}
