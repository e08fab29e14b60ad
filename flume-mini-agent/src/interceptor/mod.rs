//! Interceptors: what a source does with its events before any channel sees them.
//!
//! | type | does |
//! |---|---|
//! | timestamp | sets a header to the time in milliseconds since 1970 |
//! | host | sets a header to this host's address or name; nothing if it has none |
//! | static | sets a header to a fixed value |
//! | regex_filter | drops events whose body has no match, or those whose body has one |
//! | uuid | sets a header to a random UUID behind a prefix |
//!
//! No clock, no names of hosts, no chance here: [`Moment`] and the settings bring them. A batch is
//! looked at in one moment; Flume asks the clock for each event. Sources: Flume's
//! `InterceptorChain`, the classes in `org.apache.flume.interceptor`, and `UUIDInterceptor`.

mod draft;
#[cfg(feature = "regex")]
mod pattern;
mod uuid;

use std::borrow::Cow;

use bytes::Bytes;

use crate::channel::StoredEvent;
use draft::Draft;

#[cfg(feature = "regex")]
pub(crate) use pattern::Pattern;

/// One interceptor.
#[derive(Clone, Debug)]
pub(crate) enum Interceptor {
    Timestamp(HeaderRule),
    Host {
        rule: HeaderRule,
        /// The address or the name. Without one the header is not set.
        host: Option<String>,
    },
    Static {
        rule: HeaderRule,
        value: String,
    },
    #[cfg(feature = "regex")]
    RegexFilter {
        pattern: Pattern,
        /// Whether events that match are dropped; else the others are.
        exclude_events: bool,
    },
    Uuid {
        rule: HeaderRule,
        prefix: String,
    },
}

/// Which header is set, and when.
#[derive(Clone, Debug)]
pub(crate) struct HeaderRule {
    pub(crate) header: String,
    /// Whether an event that has the header keeps it as it is.
    pub(crate) preserve_existing: bool,
}

/// What interceptors are told about the world.
pub(crate) struct Moment<'a> {
    /// Milliseconds since 1970.
    pub(crate) now_millis: u64,
    /// Random bits, other ones at each call.
    pub(crate) random: &'a mut dyn FnMut() -> u128,
}

/// Applies `interceptors` to the events, in order. What comes back may be less.
pub(crate) fn intercept(
    interceptors: &[Interceptor],
    events: Vec<StoredEvent>,
    moment: &mut Moment<'_>,
) -> Vec<StoredEvent> {
    let timestamp = moment.now_millis.to_string();
    let mut kept = Vec::with_capacity(events.len());
    // All events that change are written into one buffer and share it then.
    let mut written = Vec::new();
    let mut changed = Vec::new();
    for event in events {
        let mut draft = Draft::new(&event);
        let mut chain = interceptors.iter();
        if !chain.all(|next| next.apply(&mut draft, &timestamp, moment)) {
            continue;
        }
        if draft.is_changed() {
            let start = written.len();
            draft.put(&mut written);
            changed.push((kept.len(), start..written.len()));
        }
        kept.push(event);
    }
    let written = Bytes::from(written);
    for (place, range) in changed {
        if let Some(event) = kept.get_mut(place) {
            *event = StoredEvent::from_checked(written.slice(range));
        }
    }
    kept
}

impl Interceptor {
    /// `false` if the event is to be dropped.
    fn apply<'a>(
        &'a self,
        draft: &mut Draft<'a>,
        timestamp: &'a str,
        moment: &mut Moment<'_>,
    ) -> bool {
        match self {
            Self::Timestamp(rule) => rule.apply(draft, || Some(Cow::Borrowed(timestamp))),
            Self::Host { rule, host } => rule.apply(draft, || host.as_deref().map(Cow::Borrowed)),
            Self::Static { rule, value } => rule.apply(draft, || Some(Cow::Borrowed(value))),
            Self::Uuid { rule, prefix } => {
                let value = || Some(Cow::Owned(uuid::from_bits(prefix, (moment.random)())));
                rule.apply(draft, value);
            }
            #[cfg(feature = "regex")]
            Self::RegexFilter {
                pattern,
                exclude_events,
            } => return pattern.finds(draft.body()) != *exclude_events,
        }
        true
    }
}

impl HeaderRule {
    fn apply<'a>(&'a self, draft: &mut Draft<'a>, value: impl FnOnce() -> Option<Cow<'a, str>>) {
        if self.preserve_existing && draft.has(&self.header) {
            return;
        }
        if let Some(value) = value() {
            draft.set(&self.header, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(header: &str, preserve_existing: bool) -> HeaderRule {
        HeaderRule {
            header: header.to_owned(),
            preserve_existing,
        }
    }

    fn fixed(header: &str, value: &str, preserve_existing: bool) -> Interceptor {
        Interceptor::Static {
            rule: rule(header, preserve_existing),
            value: value.to_owned(),
        }
    }

    #[cfg(feature = "regex")]
    fn filter(regex: &str, exclude_events: bool) -> Interceptor {
        Interceptor::RegexFilter {
            pattern: Pattern::new(regex).unwrap(),
            exclude_events,
        }
    }

    /// At 1,234 ms, with the bits 0, 1, 2 and so on.
    fn run(interceptors: &[Interceptor], events: Vec<StoredEvent>) -> Vec<StoredEvent> {
        let mut bits = 0..;
        let mut moment = Moment {
            now_millis: 1234,
            random: &mut || bits.next().unwrap(),
        };
        intercept(interceptors, events, &mut moment)
    }

    /// The headers of an event that had these, in order.
    fn check(interceptors: &[Interceptor], before: &[(&str, &str)], after: &[(&str, &str)]) {
        let events = run(interceptors, vec![StoredEvent::from_parts(before, b"body")]);
        let view = events[0].view();
        let found: Vec<_> = view.headers().map(Result::unwrap).collect();
        assert_eq!(found, after);
        assert_eq!(view.body(), b"body");
    }

    #[test]
    fn a_header_is_added_behind_the_others_and_replaces_one_of_its_name() {
        let timestamp = [Interceptor::Timestamp(rule("timestamp", false))];
        check(&timestamp, &[], &[("timestamp", "1234")]);
        check(
            &timestamp,
            &[("timestamp", "1"), ("k", "v"), ("timestamp", "2")],
            &[("k", "v"), ("timestamp", "1234")],
        );
    }

    #[test]
    fn an_existing_header_is_kept_where_that_is_asked_for() {
        let before = [("k", "old")];
        check(&[fixed("k", "new", true)], &before, &before);
        check(&[fixed("k", "new", false)], &before, &[("k", "new")]);
    }

    #[test]
    fn later_interceptors_see_what_earlier_ones_set() {
        let chain = [
            fixed("k", "1", true),
            fixed("k", "2", true),
            fixed("l", "3", true),
            fixed("l", "4", false),
        ];
        check(&chain, &[], &[("k", "1"), ("l", "4")]);
    }

    #[test]
    fn a_host_that_is_not_known_sets_no_header() {
        let host = |host: Option<&str>| Interceptor::Host {
            rule: rule("host", false),
            host: host.map(str::to_owned),
        };
        check(&[host(Some("10.0.0.7"))], &[], &[("host", "10.0.0.7")]);
        check(&[host(None)], &[("host", "x")], &[("host", "x")]);
    }

    #[test]
    fn each_event_gets_a_uuid_of_its_own_behind_the_prefix() {
        let uuid = [Interceptor::Uuid {
            rule: rule("id", true),
            prefix: "p-".to_owned(),
        }];
        let events = vec![StoredEvent::from_parts(&[], b""); 2];
        let ids: Vec<String> = run(&uuid, events)
            .iter()
            .map(|event| event.view().headers().next().unwrap().unwrap().1.to_owned())
            .collect();
        assert_eq!(ids[0], "p-00000000-0000-4000-8000-000000000000");
        assert_eq!(ids[1], "p-00000000-0000-4000-8000-000000000001");
        check(&uuid, &[("id", "mine")], &[("id", "mine")]);
    }

    #[cfg(feature = "regex")]
    #[test]
    fn a_filter_keeps_or_drops_events_whose_body_has_a_match_anywhere() {
        let bodies = |interceptor: Interceptor| -> Vec<Vec<u8>> {
            let event = |body: &str| StoredEvent::from_parts(&[("k", "v")], body.as_bytes());
            let events = ["an error", "fine", "ERROR"].map(event).to_vec();
            let kept = run(&[fixed("a", "b", true), interceptor], events);
            kept.iter()
                .map(|event| event.view().body().to_vec())
                .collect()
        };
        assert_eq!(bodies(filter("err", false)), [b"an error"]);
        assert_eq!(bodies(filter("(?i)^err|fi", true)), [b"an error"]);
        assert_eq!(bodies(filter(".*", false)).len(), 3);
    }

    #[cfg(feature = "regex")]
    #[test]
    fn events_that_do_not_change_share_their_bytes_with_the_request() {
        let event = StoredEvent::from_parts(&[("k", "v")], b"x");
        let address = event.datum().as_ptr();
        let kept = run(&[fixed("k", "new", true), filter("x", false)], vec![event]);
        assert_eq!(kept[0].datum().as_ptr(), address);
    }
}
