//! [`Running`]: the sender as a future, for the client's own thread and for a
//! [`Driver`](crate::Driver).

use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Sleep, sleep_until};

use super::Sender;
use crate::clock;
use crate::own_thread;
use crate::queue::{Guard, Turn};
use crate::transport::{ClientRuntime, Network};

/// Turns in a row before the runtime looks at the sockets again, at the price of a system call.
/// Without that, callers who never pause would keep the answers from being read.
const TURNS_MAX: u32 = 8;

/// The sender on the runtime's clock: works until the client is closed. Once it has ended, by that, by
/// a panic or by its drop, its guard is let go of; the last one tells every caller what became of its
/// events.
pub(crate) struct Running<N: Network> {
    /// `None`: it has ended.
    parts: Option<Box<Parts<N>>>,
}

struct Parts<N: Network> {
    sender: Sender<N>,
    guard: Guard,
    /// Made with the first poll: it must be where the runtime is.
    timer: Option<Pin<Box<Sleep>>>,
}

/// The body of the client's thread.
pub(crate) fn run<N>(runtime: &ClientRuntime, running: Running<N>)
where
    N: Network<Link: Unpin> + Unpin,
{
    runtime.block_on(running);
}

impl<N: Network> Running<N> {
    pub(crate) fn new(sender: Sender<N>, guard: Guard) -> Self {
        let parts = Parts {
            sender,
            guard,
            timer: None,
        };
        Self {
            parts: Some(Box::new(parts)),
        }
    }
}

impl<N: Network> Parts<N> {
    /// Whether the sender has ended.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        for _ in 0..TURNS_MAX {
            match self.sender.turn(clock::now(), context) {
                Turn::Again => {}
                Turn::End => return Poll::Ready(()),
                Turn::Sleep { until: None } => return Poll::Pending,
                Turn::Sleep { until: Some(at) } => {
                    let new = || Box::pin(sleep_until(at.into()));
                    let timer = self.timer.get_or_insert_with(new).as_mut();
                    if is_waiting(timer, at.into(), context) {
                        return Poll::Pending;
                    }
                }
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

fn is_waiting(
    mut timer: Pin<&mut Sleep>,
    until: tokio::time::Instant,
    context: &mut Context<'_>,
) -> bool {
    timer.as_mut().reset(until);
    timer.poll(context).is_pending()
}

impl<N: Network + Unpin> Future for Running<N>
where
    N::Link: Unpin,
{
    type Output = ();

    /// A panic ends the client, and nothing of the caller's.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        // After a panic nothing of it is used again, and its guard is dropped.
        let Some(mut parts) = this.parts.take() else {
            return Poll::Ready(());
        };
        own_thread::run_as_clients(|| {
            match catch_unwind(AssertUnwindSafe(|| parts.poll(context))) {
                Ok(Poll::Pending) => {
                    this.parts = Some(parts);
                    Poll::Pending
                }
                Ok(Poll::Ready(())) => {
                    let Parts { sender, guard, .. } = *parts;
                    drop(sender);
                    guard.end();
                    Poll::Ready(())
                }
                Err(payload) => {
                    mem::forget(payload);
                    drop(parts);
                    Poll::Ready(())
                }
            }
        })
    }
}

impl<N: Network> Drop for Running<N> {
    /// What is in memory alone is lost, and told as that.
    fn drop(&mut self) {
        let Some(parts) = self.parts.take() else {
            return;
        };
        own_thread::run_as_clients(|| {
            let Parts {
                mut sender, guard, ..
            } = *parts;
            sender.give_up(clock::now());
            drop(sender);
            guard.end();
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Waker;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::client::Client;
    use crate::clock::SystemClock;
    use crate::delivery::{AgentId, Batch, CallId};
    use crate::error::{ClientThread, DeliveryError};
    use crate::event::Event;
    use crate::queue::{Intake, Unacked};
    use crate::reliability::{PerLevel, Reliability};
    use crate::transport::{Link, Progress};

    /// A fault in our own code.
    #[derive(Clone)]
    struct Panics;

    impl Network for Panics {
        type Link = Self;

        fn now(&self) -> Instant {
            Instant::now()
        }

        fn connect(&self, _: AgentId, _: u32) -> Option<Self> {
            panic!("on purpose");
        }
    }

    impl Link for Panics {
        fn send(&mut self, _: CallId, _: Batch) {}

        fn poll(&mut self, _: &mut Context<'_>, _: &PerLevel<Unacked>) -> Poll<Progress> {
            Poll::Pending
        }

        fn is_resolving(&self) -> bool {
            false
        }
    }

    #[test]
    fn a_panic_in_it_ends_the_client_and_nothing_of_who_polls_it() {
        let builder = Client::builder().agent("avro://localhost:1");
        let config = Arc::new(builder.linger(Duration::ZERO).check().unwrap());
        let intake = Arc::new(Intake::new(&config, Arc::new(SystemClock)));
        let thread = ClientThread::Sender;
        let guard = Guard::of_sender(intake.clone());
        let sender = Sender::new(&config, Panics, intake.clone(), 1, Instant::now());
        let mut running = Running::new(sender, guard);
        let event = Event::new("never sent");
        let receipt = intake.append(Reliability::InMemory, &event).unwrap();
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..2 {
            assert_eq!(Pin::new(&mut running).poll(&mut context), Poll::Ready(()));
        }
        let failed = Err(DeliveryError::Failed { thread });
        assert_eq!(receipt.wait(Duration::ZERO), failed);
        assert_eq!(intake.stats().failed, Some(thread));
    }
}
