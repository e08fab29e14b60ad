//! [`Certificates`]: TLS of a client's agents, as its files say it at the moment.
//!
//! Reading files may block, for ever on a network's disk that is gone. So it is done by a thread of its
//! own, which a connection waits for a second and no longer.

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::timeout;

use crate::config::{Config, TlsConfig};
use crate::queue::{BlockingThread, wakeup};
use crate::tls::{TlsSettings, TlsSettingsError};

/// The longest that a connection waits for the files.
const LOOK_MAX: Duration = Duration::from_secs(1);
/// The target of what is logged.
const TARGET: &str = "flume_client";

/// What connections with TLS are made with. The clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Certificates(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: TlsConfig,
    thread: BlockingThread,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    current: Arc<TlsSettings>,
    /// Why the files that are there now are not used.
    problem: Option<String>,
    is_looking: bool,
}

impl Certificates {
    /// Starts the thread. `None`: no agent has TLS.
    pub(crate) fn start(config: &Config) -> io::Result<Option<Self>> {
        let Some(config) = &config.tls else {
            return Ok(None);
        };
        let state = State {
            current: config.first(),
            problem: None,
            is_looking: false,
        };
        Ok(Some(Self(Arc::new(Shared {
            config: config.clone(),
            thread: BlockingThread::start("flume-tls")?,
            state: Mutex::new(state),
        }))))
    }

    /// Looks at the files, and says what the next connection is to be made with: what there was before,
    /// if they cannot be used or read in time.
    pub(super) async fn look(&self) -> Arc<TlsSettings> {
        let is_looking = std::mem::replace(&mut self.0.lock().is_looking, true);
        if !is_looking {
            let shared = Arc::downgrade(&self.0);
            let ticket = self.0.thread.submit(move || look(&shared));
            let looked = poll_fn(|context| ticket.poll(context).map(drop));
            let _ = timeout(LOOK_MAX, looked).await;
        }
        self.0.lock().current.clone()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says it once.
    fn keep(&self, error: &TlsSettingsError) {
        let told = error.to_string();
        let is_news = self.lock().problem.replace(told.clone()) != Some(told);
        if is_news {
            let told =
                || log::warn!(target: TARGET, "the certificates of before stay in use: {error}");
            // A logger is foreign code: it may panic, and the thread is needed on.
            wakeup::call(told);
        }
    }
}

/// The work of the thread.
fn look(shared: &Weak<Shared>) {
    let Some(shared) = shared.upgrade() else {
        return;
    };
    let current = shared.lock().current.clone();
    let looked = shared.config.look_again(&current);
    let mut state = shared.lock();
    // Before anything is told: whoever is told may block, and the next connection looks again.
    state.is_looking = false;
    match looked {
        Ok(renewed) => {
            state.problem = None;
            state.current = renewed.unwrap_or(current);
        }
        Err(error) => {
            drop(state);
            shared.keep(&error);
        }
    }
}
