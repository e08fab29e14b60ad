//! [`ChannelProcessor`]: what every source does with the events it was given.
//!
//! Interceptors first, then the selector splits the batch, then each required channel gets its
//! share in a transaction of its own, one after the other; the first failure ends it and is
//! reported, and what was committed before stays. Optional channels come last, and their failures
//! are only counted. Source: Flume's `ChannelProcessor`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::channel::{Channel, ChannelError, PendingPut, Put, StoredEvent};
use crate::clock::millis_since_1970;
use crate::interceptor::{Interceptor, Moment, intercept};
use crate::observed::Observed;
use crate::random;
use crate::selector::{Route, Selector};

/// The way from one source to its channels.
#[derive(Debug)]
pub(crate) struct ChannelProcessor {
    /// In the order of the source's `channels`, by whose places the selector names them.
    channels: Vec<Arc<Channel>>,
    selector: Selector,
    interceptors: Vec<Interceptor>,
    observed: Arc<Observed>,
}

/// Why a batch is not in all of its required channels; it may be in some.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProcessError {
    /// Flume's `ChannelException`: a channel is full, or the batch is more than a transaction of
    /// it, or its disk fails.
    #[error("channel {channel} did not take the batch: {reason}")]
    Channel {
        channel: String,
        reason: ChannelError,
    },
    /// Flume's `IllegalStateException`, with its message: a channel that is out of order throws it
    /// before the transaction begins.
    #[error("{0}")]
    Other(String),
}

/// What came of a batch at once.
#[derive(Debug)]
#[must_use]
pub(crate) enum Progress {
    /// It is decided.
    Done(Result<(), ProcessError>),
    /// It takes a wait: [`Delivery::finish`]. Dropped, the rest is given up.
    Waits(Delivery),
}

/// A batch that waits for one channel and has others to go to after it.
#[derive(Debug)]
pub(crate) struct Delivery {
    put: PendingPut,
    channel: Arc<Channel>,
    required: bool,
    rest: Shares,
    observed: Arc<Observed>,
}

/// What is left to do, in order.
type Shares = VecDeque<Share>;

/// A channel's part of a batch.
#[derive(Debug)]
struct Share {
    channel: Arc<Channel>,
    required: bool,
    events: Vec<StoredEvent>,
}

impl ChannelProcessor {
    pub(crate) fn new(
        channels: Vec<Arc<Channel>>,
        selector: Selector,
        observed: Arc<Observed>,
    ) -> Self {
        Self {
            channels,
            selector,
            interceptors: Vec::new(),
            observed,
        }
    }

    /// Adds interceptors behind those that are there.
    pub(crate) fn with_interceptors(mut self, more: impl IntoIterator<Item = Interceptor>) -> Self {
        self.interceptors.extend(more);
        self
    }

    /// Puts `events` into their channels, from beginning to end.
    #[cfg(test)]
    async fn process(&self, events: Vec<StoredEvent>) -> Result<(), ProcessError> {
        match self.begin(events) {
            Progress::Done(result) => result,
            Progress::Waits(delivery) => delivery.finish().await,
        }
    }

    /// Puts `events` into their channels, as far as that takes no wait. For a single event and for
    /// a batch alike; what an error means to the client is the source's matter. A source with many
    /// requests at hand needs a task only for those that wait.
    pub(crate) fn begin(&self, events: Vec<StoredEvent>) -> Progress {
        let events = self.intercept(events);
        if events.is_empty() {
            return Progress::Done(Ok(()));
        }
        let mut shares = match &self.selector {
            // The most common agent: no lists, no copies.
            Selector::Replicating(route) if self.channels.len() == 1 => {
                let share = self.share(0, route.optional.is_empty(), events);
                return proceed(share, Shares::new(), &self.observed);
            }
            _ => self.shares(&events),
        };
        proceed(shares.pop_front(), shares, &self.observed)
    }

    fn intercept(&self, events: Vec<StoredEvent>) -> Vec<StoredEvent> {
        if self.interceptors.is_empty() {
            return events;
        }
        let mut moment = Moment {
            now_millis: millis_since_1970(),
            random: &mut random::draw,
        };
        intercept(&self.interceptors, events, &mut moment)
    }

    /// As [`begin`](Self::begin), for the first `channels` of the required ones only: what is
    /// stored when the next one fails.
    pub(crate) fn begin_partly(&self, events: &[StoredEvent], channels: usize) -> Progress {
        let events = self.intercept(events.to_vec());
        let mut shares = self.shares(&events);
        shares.retain(|share| share.required);
        shares.truncate(channels);
        proceed(shares.pop_front(), shares, &self.observed)
    }

    /// How long the first channel lets a batch wait for room.
    pub(crate) fn keep_alive(&self) -> Duration {
        let first = self.channels.first();
        first.map_or(Duration::ZERO, |channel| channel.keep_alive())
    }

    fn shares(&self, events: &[StoredEvent]) -> Shares {
        match &self.selector {
            Selector::Replicating(route) => self.replicate(route, events),
            Selector::Multiplexing(_) => self.split(events),
        }
    }

    /// All events to all channels of `route`.
    fn replicate(&self, route: &Route, events: &[StoredEvent]) -> Shares {
        let required = route.required.iter().map(|channel| (*channel, true));
        let optional = route.optional.iter().map(|channel| (*channel, false));
        required
            .chain(optional)
            .filter_map(|(channel, required)| self.share(channel, required, events.to_vec()))
            .collect()
    }

    /// Each event to its channels. Channels come in the order in which events first name them.
    fn split(&self, events: &[StoredEvent]) -> Shares {
        let mut required: Vec<(usize, Vec<StoredEvent>)> = Vec::new();
        let mut optional = Vec::new();
        for event in events {
            let route = self.selector.route(&event.view());
            for (channels, shares) in [
                (&route.required, &mut required),
                (&route.optional, &mut optional),
            ] {
                for channel in channels {
                    match shares.iter_mut().find(|(number, _)| number == channel) {
                        Some((_, share)) => share.push(event.clone()),
                        None => shares.push((*channel, vec![event.clone()])),
                    }
                }
            }
        }
        let required = required.into_iter().map(|share| (share, true));
        let optional = optional.into_iter().map(|share| (share, false));
        required
            .chain(optional)
            .filter_map(|((channel, events), required)| self.share(channel, required, events))
            .collect()
    }

    fn share(&self, channel: usize, required: bool, events: Vec<StoredEvent>) -> Option<Share> {
        let channel = self.channels.get(channel);
        debug_assert!(channel.is_some(), "a selector knows its source's channels");
        Some(Share {
            channel: Arc::clone(channel?),
            required,
            events,
        })
    }
}

impl Delivery {
    /// Waits for the channel that holds it up, then goes on with the others.
    pub(crate) async fn finish(mut self) -> Result<(), ProcessError> {
        loop {
            let Self {
                put,
                channel,
                required,
                mut rest,
                observed,
            } = self;
            if let Err(error) = put.finish().await {
                failed(&channel, required, &error, &observed)?;
            }
            match proceed(rest.pop_front(), rest, &observed) {
                Progress::Done(result) => return result,
                Progress::Waits(next) => self = next,
            }
        }
    }
}

/// Puts `next`, then the rest, up to a share that must wait.
fn proceed(mut next: Option<Share>, mut rest: Shares, observed: &Arc<Observed>) -> Progress {
    while let Some(share) = next {
        match share.channel.put(share.events) {
            Put::Committed => {}
            Put::Failed(error) => {
                if let Err(error) = failed(&share.channel, share.required, &error, observed) {
                    return Progress::Done(Err(error));
                }
            }
            Put::Waits(put) => {
                return Progress::Waits(Delivery {
                    put,
                    channel: share.channel,
                    required: share.required,
                    rest,
                    observed: Arc::clone(observed),
                });
            }
        }
        next = rest.pop_front();
    }
    Progress::Done(Ok(()))
}

/// A failure ends the delivery if the channel is required, and is counted if not.
fn failed(
    channel: &Channel,
    required: bool,
    reason: &ChannelError,
    observed: &Observed,
) -> Result<(), ProcessError> {
    let refused = ProcessError::Channel {
        channel: channel.name().to_owned(),
        reason: reason.clone(),
    };
    observed.channel_failed(refused.to_string());
    if let (true, ChannelError::OutOfOrder(reason)) = (required, reason) {
        let channel = channel.name();
        let text = format!("Channel closed [channel={channel}]. Due to {reason}");
        return Err(ProcessError::Other(text));
    }
    if required {
        return Err(refused);
    }
    observed.count(|stats| stats.optional_failures += 1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::channel::memory::MemoryLimits;
    use crate::selector::Multiplexing;

    /// Channels of these capacities that do not wait.
    struct Fixture {
        channels: Vec<Arc<Channel>>,
        observed: Arc<Observed>,
    }

    impl Fixture {
        fn new(capacities: &[usize]) -> Self {
            let channel = |(number, capacity): (usize, &usize)| {
                let limits = MemoryLimits {
                    capacity: *capacity,
                    transaction_capacity: *capacity,
                    byte_slots: None,
                };
                let name = format!("c{}", number + 1);
                Arc::new(Channel::memory(name, limits, Duration::ZERO))
            };
            Self {
                channels: capacities.iter().enumerate().map(channel).collect(),
                observed: Arc::default(),
            }
        }

        fn processor(&self, selector: Selector) -> ChannelProcessor {
            ChannelProcessor::new(self.channels.clone(), selector, Arc::clone(&self.observed))
        }

        fn bodies(&self, channel: usize) -> Vec<String> {
            let taken = self.channels[channel].take(usize::MAX).unwrap();
            let text = |event: &StoredEvent| String::from_utf8(event.view().body().to_vec());
            taken
                .events()
                .iter()
                .map(text)
                .map(Result::unwrap)
                .collect()
        }
    }

    fn events(bodies: &[&str]) -> Vec<StoredEvent> {
        let event = |body: &&str| StoredEvent::from_parts(&[], body.as_bytes());
        bodies.iter().map(event).collect()
    }

    /// An event for each value, which is its body, too.
    fn routed(values: &[&str]) -> Vec<StoredEvent> {
        let event = |value: &&str| StoredEvent::from_parts(&[("to", value)], value.as_bytes());
        values.iter().map(event).collect()
    }

    fn run(processor: &ChannelProcessor, events: Vec<StoredEvent>) -> Result<(), ProcessError> {
        match processor.begin(events) {
            Progress::Done(result) => result,
            Progress::Waits(_) => panic!("nothing here waits"),
        }
    }

    fn commit(taken: crate::channel::Taken) {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(taken.commit()).unwrap();
    }

    fn channels(pairs: &[(&str, &[usize])]) -> BTreeMap<String, Vec<usize>> {
        let pair = |(value, channels): &(&str, &[usize])| ((*value).to_owned(), channels.to_vec());
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn s4_failures_of_optional_channels_are_counted_and_not_reported() {
        let fixture = Fixture::new(&[10, 1, 10]);
        let processor = fixture.processor(Selector::replicating(3, &[1]));
        run(&processor, events(&["a", "b"])).unwrap();
        assert_eq!(fixture.bodies(0), ["a", "b"]);
        assert_eq!(fixture.bodies(1), [""; 0]);
        assert_eq!(fixture.bodies(2), ["a", "b"]);
        assert_eq!(
            fixture.observed.read(|state| state.stats.optional_failures),
            1
        );
    }

    #[test]
    fn s5_replication_gives_every_channel_every_event_whether_required_or_not() {
        let fixture = Fixture::new(&[200, 200, 200, 200]);
        let processor = fixture.processor(Selector::replicating(4, &[1, 2, 1]));
        run(&processor, events(&["0"])).unwrap();
        run(&processor, events(&["x"; 100])).unwrap();
        for channel in 0..4 {
            assert_eq!(fixture.bodies(channel).len(), 101);
        }
    }

    #[test]
    fn s7_the_first_required_channel_that_fails_ends_it_and_earlier_ones_keep_their_copy() {
        let fixture = Fixture::new(&[10, 1, 10]);
        let processor = fixture.processor(Selector::replicating(3, &[]));
        run(&processor, events(&["0"])).unwrap();
        let error = run(&processor, events(&["a"])).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("channel c2 did not take the batch")
        );
        commit(fixture.channels[1].take(1).unwrap());
        run(&processor, events(&["a"])).unwrap();
        assert_eq!(fixture.bodies(0), ["0", "a", "a"]);
        assert_eq!(fixture.bodies(1), ["a"]);
        assert_eq!(fixture.bodies(2), ["0", "a"]);
    }

    #[test]
    fn a_batch_larger_than_a_transaction_fails_as_a_channel_does() {
        let fixture = Fixture::new(&[2]);
        let processor = fixture.processor(Selector::replicating(1, &[]));
        let error = run(&processor, events(&["a", "b", "c"])).unwrap_err();
        let reason = ChannelError::OverTransaction {
            events: 3,
            capacity: 2,
        };
        let channel = "c1".to_owned();
        assert_eq!(error, ProcessError::Channel { channel, reason });
    }

    #[test]
    fn a_batch_is_split_by_value_and_each_channel_has_one_transaction() {
        let fixture = Fixture::new(&[3, 3]);
        let required = channels(&[("a", &[0]), ("b", &[1]), ("both", &[1, 0])]);
        let selector = Multiplexing::new("to".to_owned(), &required, &BTreeMap::new(), &[]);
        let processor = fixture.processor(Selector::Multiplexing(selector));
        run(&processor, routed(&["a", "both", "b", "a"])).unwrap();
        assert_eq!(fixture.bodies(0), ["a", "both", "a"]);
        assert_eq!(fixture.bodies(1), ["both", "b"]);
    }

    #[test]
    fn s3_an_event_for_no_channel_is_delivered_nowhere_and_that_is_no_failure() {
        let fixture = Fixture::new(&[3]);
        let required = channels(&[("a", &[0])]);
        let selector = Multiplexing::new("to".to_owned(), &required, &BTreeMap::new(), &[]);
        let processor = fixture.processor(Selector::Multiplexing(selector));
        run(&processor, routed(&["z", "z", "z", "z"])).unwrap();
        assert_eq!(fixture.bodies(0), [""; 0]);
    }

    #[test]
    fn a_wait_for_one_channel_is_followed_by_the_rest() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let mut fixture = Fixture::new(&[10, 10, 10]);
        let limits = MemoryLimits {
            capacity: 1,
            transaction_capacity: 1,
            byte_slots: None,
        };
        let slow = Channel::memory("c2", limits, Duration::from_secs(3));
        fixture.channels[1] = Arc::new(slow);
        let processor = fixture.processor(Selector::replicating(3, &[2]));
        runtime.block_on(async {
            processor.process(events(&["a"])).await.unwrap();
            let Progress::Waits(delivery) = processor.begin(events(&["b"])) else {
                panic!("it must wait");
            };
            fixture.channels[1].take(1).unwrap().commit().await.unwrap();
            delivery.finish().await.unwrap();
            processor.process(events(&["c"])).await.unwrap_err();
        });
        assert_eq!(fixture.bodies(0), ["a", "b", "c"]);
        assert_eq!(fixture.bodies(1), ["b"]);
        assert_eq!(fixture.bodies(2), ["a", "b"]);
    }
}
