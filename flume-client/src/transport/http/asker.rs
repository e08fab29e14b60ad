//! [`Asker`]: one request after the other to an agent, and what it answers.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HOST, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, redirect, retry};
use tokio::time::timeout;
use tower_layer::Layer;
use tower_service::Service;

use super::failure::{Failure, Unresolved};
use super::headers::Headers;
use crate::agent_url::AgentUrl;
use crate::clock::{Clock, SystemClock};
use crate::config::HttpTarget;
use crate::error::{AgentError, HttpRefusal, PeerText};
#[cfg(feature = "tls")]
use crate::tls::LentTls;
use crate::transport::network::Verdict;
use crate::transport::tcp::Means;
use crate::wire::http::answer::Answer;

/// What JSON is sent as: Flume's handler knows it by the charset.
const JSON: &str = "application/json; charset=utf-8";
/// An answer that says more is not read to its end.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The longest that the rest of an answer is waited for whose status is there.
const REST_MAX: Duration = Duration::from_secs(1);
/// A TCP connection on which nothing is asked for so long is closed: before Flume does it (after 30 s),
/// so that no request meets its end.
const IDLE_MAX: Duration = Duration::from_secs(20);
/// Most letters of an answer's text that are shown, if it has no title.
const SHOWN_MAX: usize = 200;

/// Asks one agent. The clones share everything.
#[derive(Clone)]
pub(super) struct Asker(Arc<Shared>);

struct Shared {
    client: Client,
    target: Arc<HttpTarget>,
    headers: Option<Headers>,
    means: Means,
    steps: Arc<Steps>,
    connect_timeout: Duration,
    #[cfg(feature = "tls")]
    tls: Option<LentTls>,
}

/// What an agent answered.
#[derive(Debug)]
pub(super) enum Answered {
    Committed,
    Not {
        answer: Answer,
        refusal: HttpRefusal,
    },
}

impl Answered {
    pub(super) fn verdict(self) -> Verdict {
        let (answer, refusal) = match self {
            Self::Committed => return Verdict::Committed,
            Self::Not { answer, refusal } => (answer, refusal),
        };
        let status = refusal.status;
        let error = AgentError::Http(refusal);
        match answer {
            Answer::Committed => Verdict::Committed,
            Answer::Refused { after: None } if status == 500 => Verdict::Doubtful(error),
            Answer::Refused { after } => Verdict::Refused {
                error,
                after: after.unwrap_or_default(),
            },
            Answer::Unacceptable => Verdict::Unacceptable(error),
            Answer::Blocked => Verdict::Blocked(error),
        }
    }

    fn wants_credentials(&self) -> bool {
        matches!(self, Self::Not { refusal, .. } if refusal.status == 401)
    }
}

impl Asker {
    /// Looks at certificates and headers, as they are at the moment.
    pub(super) async fn ready(
        (agent, target): (AgentUrl, Arc<HttpTarget>),
        means: Means,
        connect_timeout: Duration,
        steps: Arc<Steps>,
    ) -> Result<Self, AgentError> {
        #[cfg(feature = "tls")]
        let tls = match (&target.server_name, &means.tls) {
            (Some(name), Some(certificates)) => {
                Some(LentTls::of(&certificates.look().await, name)?)
            }
            _ => None,
        };
        if let Some(headers) = &means.headers {
            headers.look().await?;
        }
        let builder = Client::builder()
            .http1_only()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(retry::never())
            .connect_timeout(connect_timeout)
            .pool_idle_timeout(IDLE_MAX)
            .user_agent(concat!("flume-client/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(Resolver {
                agent,
                means: means.clone(),
                steps: steps.clone(),
            }))
            .connector_layer(Watch(steps.clone()));
        // Else it would look for a default of the whole process, and panic if there is none.
        #[cfg(feature = "tls")]
        let builder = builder.tls_backend_preconfigured(match &tls {
            Some(tls) => tls.config(),
            None => LentTls::unused(),
        });
        // The same without the feature: another crate may have the library speak TLS.
        let client = catch_unwind(AssertUnwindSafe(|| builder.build()));
        let client = client.map_err(|_| {
            AgentError::HttpClient(
                "another crate of this program has reqwest speak TLS, without a default for it: build \
                 flume-client with its feature tls, too"
                    .into(),
            )
        })?;
        let client =
            client.map_err(|error| AgentError::HttpClient(error.to_string().as_str().into()))?;
        Ok(Self(Arc::new(Shared {
            client,
            target,
            headers: means.headers.clone(),
            means,
            steps,
            connect_timeout,
            #[cfg(feature = "tls")]
            tls,
        })))
    }

    /// Sends a request, and says what was answered. If the agent wants other credentials, and there are
    /// new ones, it is sent once more with them.
    pub(super) async fn ask(&self, body: Vec<u8>) -> Result<Answered, Failure> {
        let Shared {
            target,
            headers,
            means,
            ..
        } = &*self.0;
        let before = headers.as_ref().map(Headers::current);
        let request = self
            .0
            .client
            .post(target.url.clone())
            .header(HOST, target.host.clone())
            .header(CONTENT_TYPE, JSON)
            .headers(before.clone().unwrap_or_default())
            .body(body);
        let again = request.try_clone();
        let answered = match (self.send(request).await, &means.spool, &again) {
            (Err(failure), Some(spool), Some(again)) if failure.is_short_of_descriptors() => {
                // Sending frees the spool; storing does not free the network.
                spool.let_go_of_descriptors();
                match again.try_clone() {
                    Some(again) => self.send(again).await?,
                    None => return Err(failure),
                }
            }
            (answered, ..) => answered?,
        };
        if answered.wants_credentials()
            && let (Some(headers), Some(again)) = (headers, again)
            && let Ok(new) = headers.look().await
            && before.is_some_and(|before| before != new)
        {
            return self.send(again.headers(new)).await;
        }
        Ok(answered)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answered, Failure> {
        match request.send().await {
            Ok(response) => Ok(answered(response).await),
            Err(error) => Err(self.failure(&error)),
        }
    }

    fn failure(&self, error: &reqwest::Error) -> Failure {
        let failure = Failure::of(error, self.0.steps.last_address(), self.0.connect_timeout);
        #[cfg(feature = "tls")]
        let failure = failure.over_tls(error, self.0.tls.as_ref());
        failure
    }
}

/// The status is the answer. The rest is read for the words in it, and for the connection's sake.
async fn answered(mut response: Response) -> Answered {
    let status = response.status().as_u16();
    let header = |name| text_of(response.headers(), name);
    let unix_s = SystemClock.unix_ms() / 1000;
    let answer = Answer::of(status, header(RETRY_AFTER).as_deref(), unix_s);
    let location = header(LOCATION);
    let mut text = Vec::new();
    let rest = async {
        while text.len() < ANSWER_BYTES_MAX
            && let Ok(Some(bytes)) = response.chunk().await
        {
            text.extend_from_slice(&bytes);
        }
    };
    // What does not come in time ends the TCP connection, and nothing more.
    let _ = timeout(REST_MAX, rest).await;
    match answer {
        Answer::Committed => Answered::Committed,
        answer => Answered::Not {
            answer,
            refusal: HttpRefusal::new(status, said(&text), location.as_deref()),
        },
    }
}

fn text_of(headers: &HeaderMap, name: reqwest::header::HeaderName) -> Option<String> {
    let value = headers.get(name)?;
    value.to_str().ok().map(str::to_owned)
}

/// What an answer says: the title of its page, as Flume's are, or the beginning of its text.
fn said(text: &[u8]) -> Option<PeerText> {
    let text = String::from_utf8_lossy(text);
    let title = text
        .split_once("<title>")
        .and_then(|(_, rest)| rest.split_once("</title>"));
    let said = match title {
        Some((title, _)) => title,
        None if text.trim_start().starts_with('<') => "",
        None => &text,
    };
    let said: String = said.trim().chars().take(SHOWN_MAX).collect();
    (!said.is_empty()).then(|| said.as_str().into())
}

/// How far the way to an agent is.
#[derive(Debug)]
pub(super) struct Steps {
    is_resolved: AtomicBool,
    is_connected: AtomicBool,
    /// The last of the addresses of its host, which is the one that the library tells the error of.
    last_address: Mutex<Option<SocketAddr>>,
}

impl Steps {
    pub(super) fn of(agent: &AgentUrl) -> Self {
        let address = agent.host().parse::<IpAddr>().ok();
        let address = address.map(|address| SocketAddr::new(address, agent.port()));
        Self {
            is_resolved: AtomicBool::new(address.is_some()),
            is_connected: AtomicBool::new(false),
            last_address: Mutex::new(address),
        }
    }

    pub(super) fn is_resolved(&self) -> bool {
        self.is_resolved.load(Ordering::Relaxed)
    }

    pub(super) fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Relaxed)
    }

    fn last_address(&self) -> Option<SocketAddr> {
        *self
            .last_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn on_resolved(&self, addresses: &[SocketAddr]) {
        self.is_resolved.store(true, Ordering::Relaxed);
        let mut last = self
            .last_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *last = addresses.last().copied();
    }
}

/// Looks up the agent's host, whatever the library asks for: that may be the name of its certificate.
struct Resolver {
    agent: AgentUrl,
    means: Means,
    steps: Arc<Steps>,
}

impl Resolve for Resolver {
    fn resolve(&self, _: Name) -> Resolving {
        let (agent, means) = (self.agent.clone(), self.means.clone());
        let steps = self.steps.clone();
        Box::pin(async move {
            let found = means.resolve(&agent).await;
            let addresses = found.map_err(|error| Unresolved {
                host: agent.host().to_owned(),
                error,
            })?;
            steps.on_resolved(&addresses);
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}

/// Notes that the library has connected.
#[derive(Clone)]
struct Watch(Arc<Steps>);

#[derive(Clone)]
struct Watched<S> {
    connector: S,
    steps: Arc<Steps>,
}

impl<S> Layer<S> for Watch {
    type Service = Watched<S>;

    fn layer(&self, connector: S) -> Watched<S> {
        Watched {
            connector,
            steps: self.0.clone(),
        }
    }
}

impl<S, R> Service<R> for Watched<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let (connecting, steps) = (self.connector.call(request), self.steps.clone());
        Box::pin(async move {
            let connected = connecting.await;
            if connected.is_ok() {
                steps.is_connected.store(true, Ordering::Relaxed);
            }
            connected
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_answers_page_its_title_is_told_and_of_text_the_beginning() {
        // As Flume 1.11 answers.
        let page = "<html>\n<head>\n<title>Error 503 Error appending event to channel. Channel might be \
                    full.</title>\n</head><body></body></html>";
        let told = |text: &str| said(text.as_bytes()).map(|said| said.as_str().to_owned());
        let expected = "Error 503 Error appending event to channel. Channel might be full.";
        assert_eq!(told(page).as_deref(), Some(expected));
        assert_eq!(told(" no such tenant\n").as_deref(), Some("no such tenant"));
        assert_eq!(told("<html><body>x</body></html>"), None);
        assert_eq!(told(""), None);
        assert_eq!(told(&"x".repeat(500)).map(|it| it.len()), Some(SHOWN_MAX));
        assert_eq!(told("a\x1b[2J").as_deref(), Some(r"a\u{1b}[2J"));
    }
}
