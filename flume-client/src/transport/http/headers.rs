//! [`Headers`]: what requests carry beside events, as files and callbacks say it at the moment.
//!
//! Both may block. So they are asked by a thread of its own, which a connection waits for two seconds and
//! no longer.

use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::time::timeout;

use crate::config::{Config, HttpConfig};
use crate::delivery::AgentSet;
use crate::error::HttpOptionsError;
use crate::queue::{BlockingThread, Waited, wakeup};

/// The longest that a connection waits for them.
const LOOK_MAX: Duration = Duration::from_secs(2);

/// What requests are made with. The clones share everything.
#[derive(Clone)]
pub(crate) struct Headers(Arc<Shared>);

struct Shared {
    config: HttpConfig,
    /// If they can become others.
    thread: Option<BlockingThread>,
    current: Mutex<HeaderMap>,
    /// Looks that are not through: one for each agent at the most.
    looks: AtomicUsize,
}

impl Headers {
    /// Starts the thread, if there is something to ask. `None`: no agent speaks HTTP.
    pub(crate) fn start(config: &Config) -> io::Result<Option<Self>> {
        let Some(config) = &config.http else {
            return Ok(None);
        };
        let thread = config
            .may_change()
            .then(|| BlockingThread::start("flume-http"));
        Ok(Some(Self(Arc::new(Shared {
            thread: thread.transpose()?,
            current: Mutex::new(config.first.clone()),
            config: config.clone(),
            looks: AtomicUsize::new(0),
        }))))
    }

    /// As they were when they were looked at last.
    pub(super) fn current(&self) -> HeaderMap {
        self.0.lock().clone()
    }

    /// Looks at them, and says what they are now.
    pub(super) async fn look(&self) -> Result<HeaderMap, HttpOptionsError> {
        let Some(thread) = &self.0.thread else {
            return Ok(self.current());
        };
        if self.0.looks.fetch_add(1, Ordering::Relaxed) >= AgentSet::AGENTS_MAX {
            self.0.looks.fetch_sub(1, Ordering::Relaxed);
            return Err(HttpOptionsError::Blocked);
        }
        let shared = Arc::downgrade(&self.0);
        let ticket = thread.submit(move || look(&shared));
        let looked = poll_fn(|context| ticket.poll(context));
        match timeout(LOOK_MAX, looked).await {
            Ok(Waited::Done(looked)) => looked,
            Ok(Waited::Gone | Waited::TimedOut) | Err(_) => Err(HttpOptionsError::Blocked),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HeaderMap> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The work of the thread.
fn look(shared: &Weak<Shared>) -> Result<HeaderMap, HttpOptionsError> {
    let shared = shared.upgrade().ok_or(HttpOptionsError::Blocked)?;
    let mut read = Err(HttpOptionsError::Panicked);
    // A callback is foreign code: it may panic, and the thread is needed on.
    wakeup::call(|| read = shared.config.read());
    shared.looks.fetch_sub(1, Ordering::Relaxed);
    if let Ok(read) = &read {
        shared.lock().clone_from(read);
    }
    read
}
