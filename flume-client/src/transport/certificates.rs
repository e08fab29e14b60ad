//! [`Certificates`]: TLS of a client's agents, as its files say it at the moment.
//!
//! Reading files may block, for ever on a network's disk that is gone. So it is done by a thread of its
//! own, which a connection waits for a second and no longer. Not here: when the files are looked at
//! while connections are open, and who is told of what is found.

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::timeout;

use crate::config::{Config, TlsConfig};
use crate::queue::{BlockingThread, Ticket};
use crate::tls::{TlsSettings, TlsSettingsError};

/// The longest that a connection waits for the files.
const LOOK_MAX: Duration = Duration::from_secs(1);

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
    found: Found,
    is_looking: bool,
}

/// What was found in the files so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// How often there was something else to make connections with.
    pub(crate) renewals: u64,
    /// Why the files that are there now are not used.
    pub(crate) trouble: Option<Arc<TlsSettingsError>>,
}

impl Certificates {
    /// Starts the thread. `None`: no agent has TLS.
    pub(crate) fn start(config: &Config) -> io::Result<Option<Self>> {
        let Some(config) = &config.tls else {
            return Ok(None);
        };
        let state = State {
            current: config.first(),
            found: Found::default(),
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
        if let Some(look) = self.begin_look() {
            let looked = poll_fn(|context| look.poll(context).map(drop));
            let _ = timeout(LOOK_MAX, looked).await;
        }
        self.0.lock().current.clone()
    }

    /// Has the thread look at the files. The ticket tells when it has. `None`: it is looking.
    pub(crate) fn begin_look(&self) -> Option<Ticket<()>> {
        let is_looking = std::mem::replace(&mut self.0.lock().is_looking, true);
        let shared = Arc::downgrade(&self.0);
        (!is_looking).then(|| self.0.thread.submit(move || look(&shared)))
    }

    /// What was found up to now.
    pub(crate) fn found(&self) -> Found {
        self.0.lock().found.clone()
    }

    /// How often they are looked at while connections are open.
    pub(crate) fn check_every(&self) -> Duration {
        self.0.config.check_every()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
    state.is_looking = false;
    match looked {
        Ok(renewed) => {
            state.found.trouble = None;
            state.found.renewals += u64::from(renewed.is_some());
            state.current = renewed.unwrap_or(current);
        }
        Err(error) => state.found.keep(error),
    }
}

impl Found {
    /// The same trouble as before stays the same one.
    fn keep(&mut self, error: TlsSettingsError) {
        let told = error.to_string();
        let is_known = self
            .trouble
            .as_ref()
            .is_some_and(|it| it.to_string() == told);
        if !is_known {
            self.trouble = Some(Arc::new(error));
        }
    }
}
