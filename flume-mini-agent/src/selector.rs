//! Channel selectors: which channels an event goes to (Flume's `ReplicatingChannelSelector` and
//! `MultiplexingChannelSelector`).
//!
//! Channels are numbered by their index in the source's `channels`. No clock, no IO.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::StoredEvent;

    /// Value `a` to channel 0, `b` to 1 and 2, with options; everything else to 3.
    fn multiplexing(default: &[usize]) -> Selector {
        let map = |pairs: &[(&str, &[usize])]| {
            let pairs = pairs.iter();
            pairs
                .map(|(value, channels)| ((*value).to_owned(), channels.to_vec()))
                .collect()
        };
        Selector::Multiplexing(Multiplexing::new(
            "to".to_owned(),
            &map(&[("a", &[0]), ("b", &[2, 1]), (" ", &[0])]),
            &map(&[("a", &[1, 0, 2]), ("only", &[2, 3])]),
            default,
        ))
    }

    #[track_caller]
    fn check(
        selector: &Selector,
        headers: &[(&str, &str)],
        required: &[usize],
        optional: &[usize],
    ) {
        let event = StoredEvent::from_parts(headers, b"");
        let route = selector.route(&event.view());
        assert_eq!(
            (route.required.as_slice(), route.optional.as_slice()),
            (required, optional)
        );
    }

    #[test]
    fn s1_mapped_channels_are_required_in_their_order_and_optional_ones_are_those_left() {
        let selector = multiplexing(&[3]);
        check(&selector, &[("to", "a")], &[0], &[1, 2]);
        check(&selector, &[("to", "b")], &[2, 1], &[]);
        check(&selector, &[("to", "a"), ("to", "b")], &[2, 1], &[]);
    }

    #[test]
    fn s2_without_the_header_or_with_a_blank_or_unmapped_value_the_default_is_required() {
        let selector = multiplexing(&[3]);
        check(&selector, &[], &[3], &[]);
        check(&selector, &[("To", "a")], &[3], &[]);
        check(&selector, &[("to", "A")], &[3], &[]);
        check(&selector, &[("to", "")], &[3], &[]);
        check(&selector, &[("to", " ")], &[3], &[]);
    }

    #[test]
    fn s3_without_a_default_such_events_have_no_channel() {
        check(&multiplexing(&[]), &[("to", "z")], &[], &[]);
    }

    #[test]
    fn s4_a_value_with_optional_channels_only_requires_the_default() {
        check(&multiplexing(&[3]), &[("to", "only")], &[3], &[2]);
        check(&multiplexing(&[]), &[("to", "only")], &[], &[2, 3]);
    }

    #[test]
    fn s5_replication_has_every_channel_once() {
        check(&Selector::replicating(4, &[]), &[], &[0, 1, 2, 3], &[]);
        check(&Selector::replicating(4, &[2, 1, 2]), &[], &[0, 3], &[1, 2]);
    }
}
