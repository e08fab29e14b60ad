//! [`HttpConnection`]: an agent that takes batches as requests, as if it were one connection.
//!
//! Requests that are under way together have a TCP connection each, which a library makes, keeps and
//! closes. All of them belong to one [`HttpConnection`], are made with the same certificates and headers,
//! and end with it. Like any other it greets before it sends events, here by a request without any.
//!
//! | file | holds |
//! |---|---|
//! | this one | the calls under way |
//! | `asker` | one request and its answer |
//! | `failure` | what an error of the library means |
//! | `headers` | what requests carry beside events, looked at before each connection |

mod asker;
mod failure;
mod headers;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use asker::{Answered, Asker, Steps};
use failure::Failure;
pub(super) use headers::Headers;

use super::network::{Link, Progress, Verdict};
use super::tcp::Means;
use crate::agent_url::AgentUrl;
use crate::config::HttpTarget;
use crate::delivery::{Batch, CallId};
use crate::error::AgentError;
use crate::queue::Unacked;
use crate::reliability::PerLevel;
use crate::wire::http::json;

type Working<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One connection or attempt. After [`Progress::Ended`] it must not be used again.
pub(crate) struct HttpConnection {
    state: State,
    steps: Arc<Steps>,
    told: Told,
    calls: Vec<Call>,
}

enum State {
    /// Certificates and headers are looked at, and the greeting is under way.
    Opening(Working<Result<Asker, AgentError>>),
    Open(Asker),
}

/// How far it is, as was told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Connected,
    Opened,
}

struct Call {
    id: CallId,
    work: Work,
}

enum Work {
    /// Nothing of it is put into a request yet.
    Waits(Batch),
    Asks(Working<Result<Answered, Failure>>),
}

impl HttpConnection {
    /// An attempt.
    pub(super) fn new(
        agent: (AgentUrl, Arc<HttpTarget>),
        means: &Means,
        connect_timeout: Duration,
    ) -> Self {
        let steps = Arc::new(Steps::of(&agent.0));
        let (means, watched) = (means.clone(), steps.clone());
        let opening = async move {
            let asker = Asker::ready(agent, means, connect_timeout, watched).await?;
            let greeting = asker.ask(Vec::from("[]")).await;
            match greeting.map_err(Failure::in_greeting)? {
                Answered::Committed => Ok(asker),
                Answered::Not { refusal, .. } => Err(refusal.into()),
            }
        };
        Self {
            state: State::Opening(Box::pin(opening)),
            steps,
            told: Told::Nothing,
            calls: Vec::new(),
        }
    }

    /// What there is to tell of the way to the answered greeting.
    fn poll_opening(&mut self, context: &mut Context<'_>) -> Result<Option<Progress>, AgentError> {
        if let State::Opening(opening) = &mut self.state
            && let Poll::Ready(asker) = opening.as_mut().poll(context)
        {
            self.state = State::Open(asker?);
        }
        let is_open = matches!(self.state, State::Open(_));
        let (told, progress) = match self.told {
            Told::Nothing if is_open || self.steps.is_connected() => {
                (Told::Connected, Progress::Connected)
            }
            Told::Connected if is_open => (Told::Opened, Progress::Opened),
            _ => return Ok(None),
        };
        self.told = told;
        Ok(Some(progress))
    }

    /// Makes requests of the calls that wait for it.
    fn ask(&mut self, unacked: &PerLevel<Unacked>) -> Option<Progress> {
        let State::Open(asker) = &self.state else {
            return None;
        };
        for place in 0..self.calls.len() {
            let Some(Call {
                id,
                work: Work::Waits(batch),
            }) = self.calls.get(place)
            else {
                continue;
            };
            let (call, mut body) = (*id, Vec::with_capacity(2 * batch.bytes as usize));
            let datums = unacked[batch.level].slices(batch.range());
            if let Err(error) = json::put_batch(&mut body, datums) {
                self.calls.remove(place);
                let verdict = Verdict::Unacceptable(error.into());
                return Some(Progress::Answered { call, verdict });
            }
            let asker = asker.clone();
            let asks = Box::pin(async move { asker.ask(body).await });
            if let Some(call) = self.calls.get_mut(place) {
                call.work = Work::Asks(asks);
            }
        }
        None
    }

    /// What came of a request.
    fn poll_calls(&mut self, context: &mut Context<'_>) -> Option<Progress> {
        for place in 0..self.calls.len() {
            if let Some(call) = self.calls.get_mut(place)
                && let Work::Asks(asks) = &mut call.work
                && let Poll::Ready(asked) = asks.as_mut().poll(context)
            {
                let call = self.calls.remove(place).id;
                return Some(match asked {
                    Ok(answered) => Progress::Answered {
                        call,
                        verdict: answered.verdict(),
                    },
                    Err(Failure { error, is_sent, .. }) => Progress::Failed {
                        call,
                        error,
                        is_sent,
                    },
                });
            }
        }
        None
    }
}

impl Link for HttpConnection {
    fn is_resolving(&self) -> bool {
        !self.steps.is_resolved()
    }

    fn send(&mut self, id: CallId, batch: Batch) {
        let work = Work::Waits(batch);
        self.calls.push(Call { id, work });
    }

    fn poll(&mut self, context: &mut Context<'_>, unacked: &PerLevel<Unacked>) -> Poll<Progress> {
        let progress = match self.poll_opening(context) {
            Ok(Some(progress)) => Some(progress),
            Ok(None) => self.ask(unacked).or_else(|| self.poll_calls(context)),
            Err(error) => {
                // There are no calls before it is open.
                let unsent_from = None;
                Some(Progress::Ended { error, unsent_from })
            }
        };
        progress.map_or(Poll::Pending, Poll::Ready)
    }
}

impl fmt::Debug for HttpConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConnection")
            .field("is_open", &matches!(self.state, State::Open(_)))
            .field("calls", &self.calls.len())
            .finish_non_exhaustive()
    }
}
