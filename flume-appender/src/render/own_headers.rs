//! [`OwnHeaders`]: the headers of single events. What differs from event to event is overwritten in
//! place: a time and two numbers.

use flume_client::{HeaderBlock, HeaderPlace};

use crate::capture::{Value, cut};
use crate::layout::{Record, put_bare};
use crate::prepared::headers::{
    HEADER_BYTES_MAX, HEADERS_MAX, HeaderPlan, LOG4J1, VALUE_BYTES_MAX, push,
};
use crate::text::number;

/// Says how many bytes were cut off.
const TRUNCATED: &str = "flume.truncated";
/// Kept free for it.
const TRUNCATED_BYTES: usize = 64;

/// What of an event's headers could not be as it was meant to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeaderLoss {
    /// Bytes of values that were cut off, or of headers that were left out.
    pub(crate) cut_bytes: usize,
    /// Fields that got another key than the wanted one.
    pub(crate) renamed: u64,
}

/// Writes the headers of single events.
#[derive(Debug)]
pub(crate) struct OwnHeaders {
    /// Number of the next event.
    next: u64,
    run_id: u64,
    /// Those that each event has; their values are overwritten.
    block: HeaderBlock,
    millis: u64,
    times: Vec<HeaderPlace>,
    guid: (Option<HeaderPlace>, [u8; GUID]),
    uuid: Option<HeaderPlace>,
    /// Those that only some have.
    more: HeaderBlock,
    found: Vec<[Found; 2]>,
}

/// The value of a field to be promoted.
#[derive(Debug, Default)]
struct Found {
    is_there: bool,
    text: Vec<u8>,
}

/// Digits of milliseconds since 1970, up to the year 2286. Earlier ones have zeros before them.
const MILLIS: usize = 13;
/// Of a run id, `-` and a number.
const GUID: usize = 16 + 1 + 16;

impl OwnHeaders {
    pub(crate) fn new(plan: &HeaderPlan, run_id: u64) -> Self {
        let mut block = HeaderBlock::new();
        let mut place = |key: &str, value: &str| block.push_place(key, value).ok();
        let millis = "0".repeat(MILLIS);
        let profile = plan.profile;
        let log4j1 = [LOG4J1, "timestamp"].concat();
        let keys = [
            Some("timestamp"),
            profile.log4j1.then_some(log4j1.as_str()),
            profile.log4j2.then_some("timeStamp"),
        ];
        let times = keys.into_iter().flatten();
        let times = times.filter_map(|key| place(key, &millis)).collect();
        let uuid = profile.log4j2.then(|| place("guId", &"0".repeat(UUID)));
        let mut guid = [b'0'; GUID];
        let (run, number) = guid.split_at_mut(16);
        number::fill_hex(run, run_id);
        if let Some(dash) = number.first_mut() {
            *dash = b'-';
        }
        let guid_place = place("guid", &"0".repeat(GUID));
        Self {
            next: 0,
            run_id,
            millis: 0,
            times,
            guid: (guid_place, guid),
            uuid: uuid.flatten(),
            block,
            more: HeaderBlock::new(),
            found: plan.promoted.iter().map(|_| Default::default()).collect(),
        }
    }

    /// Begins those of an event.
    #[inline]
    pub(crate) fn begin(&mut self, unix_ns: u64) {
        let millis = unix_ns / 1_000_000;
        if millis != self.millis {
            self.millis = millis;
            let mut digits = [0; MILLIS];
            number::fill_digits(&mut digits, millis);
            for place in &self.times {
                self.block.overwrite(place, &digits);
            }
        }
        if let Some(place) = &self.guid.0 {
            self.block.overwrite(place, &self.guid.1);
        }
        if let Some(place) = &self.uuid {
            self.block
                .overwrite(place, &uuid(unix_ns, self.run_id, self.next));
        }
        self.more.clear();
    }

    /// The event got its headers, and with them its number.
    #[inline]
    pub(crate) fn pass(&mut self) {
        self.next += 1;
        count_on(&mut self.guid.1);
    }

    /// Adds those that fields of the record are promoted to.
    pub(crate) fn promote(
        &mut self,
        plan: &HeaderPlan,
        record: &Record<'_>,
        of_site: &HeaderBlock,
    ) -> HeaderLoss {
        let mut loss = HeaderLoss::default();
        if self.found.is_empty() {
            return loss;
        }
        let found = &mut self.found;
        found
            .iter_mut()
            .flatten()
            .for_each(|one| one.is_there = false);
        record.each_promoted(|place, field| {
            let both = found.get_mut(place);
            let one = both.and_then(|both| both.get_mut(usize::from(field.is_context)));
            if let Some(one) = one {
                // Nothing is no text, and headers have no other word for it.
                one.is_there = !matches!(field.value, Value::Null);
                one.text.clear();
                put_bare(&mut one.text, &field.value);
            }
        });

        let used = of_site.bytes() + self.block.bytes() + TRUNCATED_BYTES;
        let count = of_site.len() + self.block.len() + 1;
        for (promoted, [own, of_span]) in plan.promoted.iter().zip(&self.found) {
            let is_one = promoted.own.key == promoted.of_span.key;
            let of_span = Some(of_span).filter(|span| span.is_there && !(is_one && own.is_there));
            let own = Some(own).filter(|own| own.is_there);
            for (key, found) in [(&promoted.own, own), (&promoted.of_span, of_span)] {
                let Some(found) = found else { continue };
                let text = std::str::from_utf8(&found.text).unwrap_or_default();
                let value = cut(text, VALUE_BYTES_MAX);
                loss.cut_bytes += text.len() - value.len();
                // A length takes two bytes at the most.
                let bytes = used + self.more.bytes() + key.key.len() + value.len() + 4;
                if count + self.more.len() >= HEADERS_MAX || bytes > HEADER_BYTES_MAX {
                    loss.cut_bytes += value.len();
                    continue;
                }
                loss.renamed += u64::from(key.is_renamed);
                push(&mut self.more, &key.key, value);
            }
        }
        loss
    }

    /// Adds the one that says how many bytes were cut off.
    #[cold]
    pub(crate) fn tell_cut(&mut self, bytes: usize) {
        push(&mut self.more, TRUNCATED, &bytes.to_string());
    }

    /// Those of the event that was begun, to stand beside those of its site.
    #[inline]
    pub(crate) fn blocks(&self) -> [&HeaderBlock; 2] {
        [&self.block, &self.more]
    }
}

/// Counts the hexadecimal number at the end on by one: most times a digit.
#[inline]
fn count_on(digits: &mut [u8; GUID]) {
    for digit in digits.iter_mut().rev() {
        *digit = match *digit {
            b'9' => b'a',
            b'f' => b'0',
            other => other + 1,
        };
        if *digit != b'0' {
            return;
        }
    }
}

/// 100 ns steps from 1582-10-15 to 1970.
const UUID_EPOCH: u64 = 0x01b2_1dd2_1381_4000;
const UUID: usize = "00000000-0000-1000-8000-000000000000".len();

/// A time-based UUID (RFC 9562, version 1) with a random node, as Log4j 2 writes them.
fn uuid(unix_ns: u64, run_id: u64, number: u64) -> [u8; UUID] {
    // Events of one step differ by the clock sequence, and the node differs by run.
    let time = (unix_ns / 100).wrapping_add(UUID_EPOCH);
    let high = ((time >> 48) & 0xfff) | 0x1000;
    let sequence = (number & 0x3fff) | 0x8000;
    // The multicast bit tells that it is no network card's.
    let node = (run_id & 0xffff_ffff_ffff) | 0x0100_0000_0000;
    let mut text = [b'-'; UUID];
    let parts = [
        (0, 8, time),
        (9, 4, time >> 32),
        (14, 4, high),
        (19, 4, sequence),
        (24, 12, node),
    ];
    for (start, length, value) in parts {
        if let Some(place) = text.get_mut(start..start + length) {
            number::fill_hex(place, value);
        }
    }
    text
}
