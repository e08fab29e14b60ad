//! Channel selectors: which channels an event goes to (Flume's `ReplicatingChannelSelector` and
//! `MultiplexingChannelSelector`).
//!
//! Channels are numbered by their place in the source's `channels`. No clock, no IO.

use std::collections::BTreeMap;

use flume_client::wire::avro::datum::EventRef;

/// Decides per event.
#[derive(Clone, Debug)]
pub(crate) enum Selector {
    /// Every event to every channel; failures of the optional ones are not reported.
    Replicating(Route),
    /// By the value of a header.
    Multiplexing(Multiplexing),
}

/// The channels of one event. A channel is in one of the lists at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Route {
    /// Must all commit; the first failure is reported to the sender.
    pub(crate) required: Vec<usize>,
    /// Get the event if they can.
    pub(crate) optional: Vec<usize>,
}

/// Routes by the value of one header; a value without a route, and no value, take the default.
#[derive(Clone, Debug)]
pub(crate) struct Multiplexing {
    header: String,
    routes: BTreeMap<String, Route>,
    fallback: Route,
}

impl Selector {
    /// All `channels`, those in `optional` without a report of their failures.
    pub(crate) fn replicating(channels: usize, optional: &[usize]) -> Self {
        let is_optional = |channel: &usize| optional.contains(channel);
        let (optional, required) = (0..channels).partition(is_optional);
        Self::Replicating(Route { required, optional })
    }

    pub(crate) fn route(&self, event: &EventRef<'_>) -> &Route {
        match self {
            Self::Replicating(route) => route,
            Self::Multiplexing(multiplexing) => multiplexing.route(event),
        }
    }
}

impl Multiplexing {
    /// `required` and `optional` map values of `header` to channels; `default` is for the others.
    ///
    /// As in Flume, a value with optional channels only has no required ones, and a channel that is
    /// required for a value, or by default where a value has no required ones of its own, is not
    /// optional as well.
    pub(crate) fn new(
        header: String,
        required: &BTreeMap<String, Vec<usize>>,
        optional: &BTreeMap<String, Vec<usize>>,
        default: &[usize],
    ) -> Self {
        let values = required.keys().chain(optional.keys());
        let route = |value: &String| {
            // Flume sends blank values to the default without a look at the mapping.
            let mapped = required.get(value).filter(|_| !value.trim().is_empty());
            let required = mapped.map_or(default, Vec::as_slice);
            let optional = optional.get(value).map(Vec::as_slice).unwrap_or_default();
            let more = |channel: &&usize| !required.contains(channel);
            Route {
                required: required.to_vec(),
                optional: optional.iter().filter(more).copied().collect(),
            }
        };
        let routes = values.map(|value| (value.clone(), route(value))).collect();
        let fallback = Route {
            required: default.to_vec(),
            optional: Vec::new(),
        };
        Self {
            header,
            routes,
            fallback,
        }
    }

    fn route(&self, event: &EventRef<'_>) -> &Route {
        let values = event.headers().filter_map(Result::ok);
        // The last one counts if a peer sends a key twice.
        let value = values.filter(|(key, _)| *key == self.header).last();
        let route = value.and_then(|(_, value)| self.routes.get(value));
        route.unwrap_or(&self.fallback)
    }
}
