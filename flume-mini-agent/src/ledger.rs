//! [`Ledger`]: what became of the events that were sent, told by what was received.
//!
//! An event is known by its key, most often a header with an id that stays the same when the
//! event is sent again. Keys may come twice among the sent events too, as bodies do: then as many
//! copies must arrive. No clock, no IO.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug, Write};

use flume_client::Event;

/// Received events, each known by its key.
///
/// ```
/// use flume_client::Event;
/// use flume_mini_agent::Ledger;
///
/// let event = |id: &str| Event::new("x").header("id", id);
/// let sent = [event("a"), event("b"), event("c")];
///
/// let ledger = Ledger::by_header([event("a"), event("c"), event("b"), event("a")], "id");
/// ledger.assert_no_loss(&sent);
/// assert_eq!(ledger.unique(), 3);
/// assert_eq!(ledger.duplicates()["a"], 1);
/// assert_eq!(ledger.reordered(&sent), ["b"]);
///
/// let loss = Ledger::by_header([event("b")], "id").check_no_loss(&sent).unwrap_err();
/// assert!(loss.to_string().starts_with(r#"2 of 3 sent events are missing: "a", "c"; "#));
/// ```
pub struct Ledger<K> {
    key_of: KeyOf<K>,
    /// Events with a key, in the order of arrival.
    arrived: Vec<(K, Event)>,
    without_key: usize,
}

type KeyOf<K> = Box<dyn Fn(&Event) -> Option<K> + Send + Sync>;

/// Sent events that did not arrive. Its text names the first of them and counts the rest.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Loss {
    message: String,
    missing: usize,
}

/// Keys named in the text of a [`Loss`].
const KEYS_SHOWN: usize = 5;

impl Ledger<String> {
    /// A ledger of events that carry their id in the header `name`.
    pub fn by_header(
        received: impl IntoIterator<Item = impl Into<Event>>,
        name: impl Into<String>,
    ) -> Self {
        let name = name.into();
        Self::by_key(received, move |event| {
            event.header_value(&name).map(str::to_owned)
        })
    }
}

impl<K: Ord + Clone + Debug> Ledger<K> {
    /// A ledger of events known by what `key_of` makes of them, in the order of arrival.
    pub fn by_key(
        received: impl IntoIterator<Item = impl Into<Event>>,
        key_of: impl Fn(&Event) -> Option<K> + Send + Sync + 'static,
    ) -> Self {
        let mut arrived = Vec::new();
        let mut without_key = 0;
        for event in received.into_iter().map(Into::into) {
            match key_of(&event) {
                Some(key) => arrived.push((key, event)),
                None => without_key += 1,
            }
        }
        Self {
            key_of: Box::new(key_of),
            arrived,
            without_key,
        }
    }

    /// Events received, duplicates and those without a key included.
    #[must_use]
    pub fn received(&self) -> usize {
        self.arrived.len() + self.without_key
    }

    /// Received events that have no key.
    #[must_use]
    pub fn without_key(&self) -> usize {
        self.without_key
    }

    /// Different keys received.
    #[must_use]
    pub fn unique(&self) -> usize {
        self.counts().len()
    }

    /// Keys received more than once, and how many times too often.
    #[must_use]
    pub fn duplicates(&self) -> BTreeMap<K, usize> {
        let extra = |(key, times): (&K, usize)| (times > 1).then(|| (key.clone(), times - 1));
        self.counts().into_iter().filter_map(extra).collect()
    }

    /// Keys of sent events that did not arrive, in the order of sending; a key of several events
    /// comes once for each copy that is missing. Sent events without a key are not looked at.
    pub fn missing<'a>(&self, sent: impl IntoIterator<Item = &'a Event>) -> Vec<K> {
        let keys = sent.into_iter().filter_map(|event| (self.key_of)(event));
        self.missing_keys(keys)
    }

    /// The same as [`missing`](Self::missing), for keys at hand.
    pub fn missing_keys(&self, sent: impl IntoIterator<Item = K>) -> Vec<K> {
        let mut left = self.counts();
        let mut arrived = |key: &K| match left.get_mut(key) {
            Some(copies) if *copies > 0 => {
                *copies -= 1;
                true
            }
            _ => false,
        };
        let keys = sent.into_iter();
        keys.filter(|key| !arrived(key)).collect()
    }

    /// Keys received that no sent event has.
    pub fn unexpected<'a>(&self, sent: impl IntoIterator<Item = &'a Event>) -> Vec<K> {
        let sent: BTreeSet<K> = sent.into_iter().filter_map(|e| (self.key_of)(e)).collect();
        let keys = self.counts().into_keys();
        keys.filter(|key| !sent.contains(*key)).cloned().collect()
    }

    /// Keys that arrived behind one that was sent later. Only the first arrival of a key counts,
    /// and its first place among the sent; what was not sent is not looked at.
    pub fn reordered<'a>(&self, sent: impl IntoIterator<Item = &'a Event>) -> Vec<K> {
        let mut places = BTreeMap::new();
        for (place, event) in sent.into_iter().enumerate() {
            if let Some(key) = (self.key_of)(event) {
                places.entry(key).or_insert(place);
            }
        }
        self.late(|key, _| places.get(key).copied())
    }

    /// Keys that arrived behind one with a greater `order`, such as a sequence number in a header.
    /// Only the first arrival of a key counts; events without an order are not looked at.
    pub fn reordered_by<O: Ord>(&self, order: impl Fn(&Event) -> Option<O>) -> Vec<K> {
        self.late(|_, event| order(event))
    }

    /// An error if a sent event did not arrive, or has no key to tell by.
    pub fn check_no_loss<'a>(&self, sent: impl IntoIterator<Item = &'a Event>) -> Result<(), Loss> {
        let mut keys = Vec::new();
        let mut keyless = 0_usize;
        for event in sent {
            match (self.key_of)(event) {
                Some(key) => keys.push(key),
                None => keyless += 1,
            }
        }
        let sent = keys.len() + keyless;
        let missing = self.missing_keys(keys);
        if missing.is_empty() && keyless == 0 {
            return Ok(());
        }
        Err(self.loss(sent, &missing, keyless))
    }

    /// Panics with the text of the [`Loss`] if a sent event did not arrive.
    #[track_caller]
    #[expect(clippy::panic, reason = "it is an assertion for tests")]
    pub fn assert_no_loss<'a>(&self, sent: impl IntoIterator<Item = &'a Event>) {
        if let Err(loss) = self.check_no_loss(sent) {
            panic!("{loss}");
        }
    }

    fn counts(&self) -> BTreeMap<&K, usize> {
        let mut counts = BTreeMap::new();
        for (key, _) in &self.arrived {
            *counts.entry(key).or_insert(0) += 1;
        }
        counts
    }

    fn late<O: Ord>(&self, order: impl Fn(&K, &Event) -> Option<O>) -> Vec<K> {
        let mut seen = BTreeSet::new();
        let mut latest = None;
        let mut late = Vec::new();
        for (key, event) in &self.arrived {
            if !seen.insert(key) {
                continue;
            }
            let Some(place) = order(key, event) else {
                continue;
            };
            if latest.as_ref().is_some_and(|latest| place < *latest) {
                late.push(key.clone());
            } else {
                latest = Some(place);
            }
        }
        late
    }

    fn loss(&self, sent: usize, missing: &[K], keyless: usize) -> Loss {
        let mut message = format!("{} of {sent} sent events are missing", missing.len());
        let mut separator = ": ";
        for key in missing.iter().take(KEYS_SHOWN) {
            let _ = write!(message, "{separator}{key:?}");
            separator = ", ";
        }
        if missing.len() > KEYS_SHOWN {
            message.push_str(", ...");
        }
        let duplicates: usize = self.duplicates().values().sum();
        let _ = write!(
            message,
            "; received {}: {} unique, {duplicates} duplicates, {} without a key",
            self.received(),
            self.unique(),
            self.without_key
        );
        if keyless > 0 {
            let _ = write!(
                message,
                "; {keyless} of the sent events have no key to look for"
            );
        }
        Loss {
            message,
            missing: missing.len(),
        }
    }
}

impl Loss {
    /// Number of events that did not arrive.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.missing
    }
}

impl Debug for Loss {
    /// The message as it is, since tests mostly see it through `unwrap`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl<K: Debug> Debug for Ledger<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("arrived", &self.arrived.len())
            .field("without_key", &self.without_key)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn event(key: u8) -> Event {
        Event::new([key])
    }

    fn ledger(received: &[u8]) -> Ledger<u8> {
        let events: Vec<_> = received.iter().copied().map(event).collect();
        Ledger::by_key(events, |event| event.body().first().copied())
    }

    fn events(keys: &[u8]) -> Vec<Event> {
        keys.iter().copied().map(event).collect()
    }

    fn times(keys: &[u8], key: u8) -> usize {
        keys.iter().filter(|other| **other == key).count()
    }

    /// The place of each key's first arrival.
    fn firsts(keys: &[u8]) -> Vec<u8> {
        let mut firsts = Vec::new();
        for key in keys {
            if !firsts.contains(key) {
                firsts.push(*key);
            }
        }
        firsts
    }

    proptest! {
        #[test]
        fn counts_are_those_of_a_model_that_counts_by_looking_again(
            sent in vec(0_u8..20, 0..30),
            received in vec(0_u8..20, 0..30),
        ) {
            let ledger = ledger(&received);
            let sent_events = events(&sent);
            prop_assert_eq!(ledger.received(), received.len());
            prop_assert_eq!(ledger.unique(), firsts(&received).len());
            for key in 0..20 {
                let arrived = times(&received, key);
                let extra = ledger.duplicates().get(&key).copied().unwrap_or(0);
                prop_assert_eq!(extra, arrived.saturating_sub(1));
                let missing = times(&ledger.missing(&sent_events), key);
                prop_assert_eq!(missing, times(&sent, key).saturating_sub(arrived));
                let unexpected = ledger.unexpected(&sent_events).contains(&key);
                prop_assert_eq!(unexpected, arrived > 0 && !sent.contains(&key));
            }
            let lost = (0..20).any(|key| times(&sent, key) > times(&received, key));
            prop_assert_eq!(ledger.check_no_loss(&sent_events).is_err(), lost);
        }

        #[test]
        fn late_is_who_arrives_behind_one_of_a_later_place(
            sent in vec(0_u8..12, 0..20),
            received in vec(0_u8..12, 0..20),
        ) {
            let ledger = ledger(&received);
            let sent_firsts = firsts(&sent);
            let place = |key: &u8| sent_firsts.iter().position(|sent| sent == key);
            let arrived: Vec<u8> = firsts(&received);
            let late_by = |place: &dyn Fn(&u8) -> Option<usize>| -> Vec<u8> {
                let known: Vec<u8> = arrived.iter().copied().filter(|k| place(k).is_some()).collect();
                let late = |index: usize| {
                    known[..index].iter().any(|before| place(before) > place(&known[index]))
                };
                (0..known.len()).filter(|index| late(*index)).map(|index| known[index]).collect()
            };
            prop_assert_eq!(ledger.reordered(&events(&sent)), late_by(&place));
            let by_key = ledger.reordered_by(|event| event.body().first().copied());
            prop_assert_eq!(by_key, late_by(&|key| Some(usize::from(*key))));
        }

        #[test]
        fn what_was_sent_and_came_in_any_order_and_number_is_no_loss(
            (sent, received) in vec(any::<u8>(), 0..30)
                .prop_flat_map(|sent| {
                    let twice = [sent.as_slice(), &sent[..sent.len() / 2]].concat();
                    (Just(sent), Just(twice).prop_shuffle())
                }),
        ) {
            ledger(&received).assert_no_loss(&events(&sent));
        }
    }

    #[test]
    fn a_loss_names_the_first_keys_and_counts_the_rest() {
        let loss = ledger(&[8, 8, 9]).check_no_loss(&events(&[1, 2, 3, 4, 5, 6, 8]));
        assert_eq!(
            loss.unwrap_err().to_string(),
            "6 of 7 sent events are missing: 1, 2, 3, 4, 5, ...; \
             received 3: 2 unique, 1 duplicates, 0 without a key"
        );
    }

    #[test]
    fn an_event_without_a_key_is_counted_when_received_and_refused_when_sent() {
        let named = Event::new("a").header("id", "1");
        let ledger = Ledger::by_header([named.clone(), Event::new("a")], "id");
        assert_eq!((ledger.received(), ledger.without_key()), (2, 1));
        ledger.assert_no_loss([&named]);
        let loss = ledger.check_no_loss(&[named, Event::new("a")]).unwrap_err();
        let end = "1 without a key; 1 of the sent events have no key to look for";
        assert!(loss.to_string().ends_with(end), "{loss}");
        assert_eq!(loss.missing(), 0);
    }

    #[test]
    fn one_of_two_equal_events_that_is_lost_is_missed() {
        assert_eq!(ledger(&[7]).missing(&events(&[7, 7])), [7]);
    }
}
