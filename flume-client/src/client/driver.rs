//! [`Driver`]: a client without a sending thread of its own.

use std::fmt;
use std::future::Future;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::end::{Farewell, Handle, tell_loss};
use super::open;
use crate::config::Config;
use crate::error::BuildError;
use crate::queue::Intake;
use crate::spool::Storage;
use crate::stats::report::Report;
use crate::transport::Network;

/// What delivers the events of a client that was built with
/// [`build_with_driver`](crate::ClientBuilder::build_with_driver). It is a future: poll it on a tokio
/// runtime with IO and time enabled, of any kind. It does not depend on other tasks, and blocks nothing.
///
/// It ends when the client is closed, or all clones of it are dropped, and tells what became of all
/// events. The runtime's clock is the client's: in one whose time is paused, time-outs, rests and
/// linger pass as that does.
///
/// ```no_run
/// use std::time::Duration;
/// use flume_client::{Client, Event};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let builder = Client::builder().agent("avro://collector-1:4141");
/// let (client, driver) = builder.build_with_driver()?;
/// let driver = tokio::spawn(driver);
/// let receipt = client.append(Event::new("order 17 placed"))?;
/// println!("acknowledged by {}", receipt.delivered().await?.agent);
/// drop(client.close(Duration::from_secs(5)));
/// let report = driver.await?;
/// println!("{} delivered, {} lost", report.delivered, report.lost.total());
/// # Ok(()) }
/// ```
///
/// # What happens when...
///
/// | | then |
/// |---|---|
/// | it is not polled for a while | events wait in the buffer, and in the spool; `append` hands them back when that is full. Agents are given up on whose time-outs pass meanwhile |
/// | it is never polled again | [`close`](crate::Client::close) and [`flush`](crate::Client::flush) end a second after their time all the same, and tell what is pending; a thread `flume-wait` sees to that while one of them is awaited. [`append_async`](crate::Client::append_async), [`ready`](crate::Client::ready) and receipts wait until the driver is dropped |
/// | it is dropped, alone or with its runtime | the client is closed as by [`close`](crate::Client::close) with no time: what is in memory alone is lost and counted, what is in the spool stays, each receipt resolves, and a line on stderr says what was lost |
/// | the last clone of the client is dropped, or a guard of [`close_on_drop`](crate::Client::close_on_drop) | that does not block: the driver goes on for that second, or the time of the guard, ends, and says in a line on stderr what was lost |
/// | the thread that polls it waits for the client by a call that blocks, such as [`Receipt::wait`](crate::Receipt::wait) | it waits in vain, for as long as it was told to: await instead |
/// | the process forks | the parent's goes on; in the child it ends at once and tells nothing, as all calls of the client do |
/// | a fault in this crate makes it panic | it ends, with [`Report::failed`](crate::Report::failed); the panic hook is called, and the caller's task goes on |
#[must_use = "nothing is delivered unless it is polled"]
pub struct Driver {
    /// `None`: it has ended.
    running: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    intake: Arc<Intake>,
    farewell: Arc<Farewell>,
}

/// Begins a client, and what delivers its events to agents that are reached by what `network` gives.
pub(super) fn start<N>(
    config: Config,
    network: impl FnOnce(&Arc<Config>, Option<Arc<dyn Storage>>) -> io::Result<N>,
) -> Result<(Handle, Driver), BuildError>
where
    N: Network<Link: Unpin + Send> + Send + Unpin + 'static,
{
    let (mut handle, running) =
        open::start_without_sender(config, Box::new(|directory| directory), network)?;
    let farewell = Arc::<Farewell>::default();
    let driver = Driver {
        running: Some(Box::pin(running)),
        intake: handle.intake.clone(),
        farewell: farewell.clone(),
    };
    handle.driver = Some(farewell);
    Ok((handle, driver))
}

impl Driver {
    fn report(&self) -> Report {
        Report::of(&self.intake.stats())
    }

    /// In a forked process what is the parent's is left alone.
    fn leave_to_parent(&mut self) -> bool {
        let is_forked = self.intake.forked_from().is_some();
        if is_forked {
            mem::forget(self.running.take());
        }
        is_forked
    }
}

impl Future for Driver {
    type Output = Report;

    /// # Panics
    ///
    /// Outside of a tokio runtime whose time is enabled. The events wait, as if it had not been polled.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Report> {
        let this = self.get_mut();
        if !this.leave_to_parent()
            && let Some(running) = &mut this.running
        {
            // Not within the client, whose own fault it would seem.
            drop(tokio::time::sleep(Duration::ZERO));
            if running.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            this.running = None;
            this.farewell.tell(&this.report());
        }
        Poll::Ready(this.report())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.leave_to_parent() {
            return;
        }
        let before = self.report();
        if self.running.take().is_some() {
            let report = self.report();
            let lost = report.lost.total() - before.lost.total();
            let when = "the client's driver was dropped";
            tell_loss(&report, lost, when, "close the client and await the driver");
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("has_ended", &self.running.is_none())
            .finish_non_exhaustive()
    }
}
