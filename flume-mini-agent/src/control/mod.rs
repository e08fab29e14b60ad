//! The control interface: an agent looked at and handled over HTTP, for tests in other languages
//! and for curious people.
//!
//! | request | answer |
//! |---|---|
//! | `GET /metrics` | the counters, in the shape of Flume's own monitoring |
//! | `GET /events?from=0&limit=1000` | `{"total": n, "events": [...]}`: what the collect sink has received; 409 if there is none |
//! | `DELETE /events` | forgets them, 204 |
//! | `GET /api/v1/wait?n=1&timeout=5` | once so many events were received: `{"received": n}`; 504 after `timeout` seconds; 503 if 32 others wait |
//! | `GET /faults` | `{"rules": [...], "hits": [...]}`, rules as in [`crate::fault::json`] |
//! | `PUT /faults` | puts the rule or the list of rules in force instead of those of the last `PUT`; 400 tells what is wrong, and the names of faults |
//! | `DELETE /faults` | ends the rules of the last `PUT`, 204. Rules of a test's own guards stay |
//! | `POST /reload` | all connections are closed, sources and sinks start again, 204; of an agent from a document: that is read again, 200 and what was done |
//!
//! Whoever reaches the port can do all this, so it listens on loopback addresses only unless told
//! otherwise, and refuses what a web page makes a browser send, by `Origin` and by [`Host`](host).
//! It has a thread of its own, which no request holds up, and stays while the agent is stopped.

mod answer;
mod events;
mod host;
mod server;

use std::pin::Pin;
use std::sync::Arc;

use crate::channel::StoredEvent;
use crate::fault::guard::FaultBoard;

pub(crate) use server::ControlServer;

/// What the control interface can see and do.
pub(crate) trait Controlled: Send + Sync + 'static {
    /// The counters, as JSON.
    fn metrics(&self) -> String;

    /// Up to `limit` received events from number `from` on, counted from 0, and how many there
    /// are in all.
    fn received(&self, from: usize, limit: usize) -> (Vec<StoredEvent>, usize);

    /// Forgets the received events.
    fn forget(&self);

    /// The types of the sinks, if none of them keeps events.
    fn keeps_nothing(&self) -> Option<String>;

    /// Waits until `events` were received, without end, and tells how many were.
    fn wait(&self, events: usize) -> Pin<Box<dyn Future<Output = usize> + Send + '_>>;

    /// The rules.
    fn faults(&self) -> &Arc<FaultBoard>;

    /// Stops all and starts all, or what else a reload is here. Tells what was done.
    fn reload(&self) -> Result<String, String>;
}
