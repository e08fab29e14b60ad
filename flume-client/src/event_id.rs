//! The header that names an event, the same in every copy of it.
//!
//! | header | value |
//! |---|---|
//! | `guid` | run id, `-`, number of the event: 16 hexadecimal digits each |
//!
//! The run id is drawn from the system's randomness whenever a client is built, and kept with the
//! events in the spool. So no two events have one name, also when a spool is copied or restored
//! from a back-up, or a machine with one in it is cloned: each copy goes on under a run id of its
//! own. (A snapshot of the memory of a running process is another matter: two continuations of it
//! are one client to themselves, and give the same names until they build new ones.)
//!
//! An event is named once, when it is appended. One that is sent again, by this process or by the
//! next one, carries the same value, so a consumer can tell copies. An event that has a `guid` of
//! its own keeps that.

use crate::event::{Event, ID_HEADER};
use crate::seq::Seq;

/// The header's key.
pub const EVENT_ID_HEADER: &str = ID_HEADER;

const DIGITS: usize = 16;
const KEY: usize = 1 + EVENT_ID_HEADER.len();
/// Where the digits of the number begin.
const NUMBER: usize = KEY + 1 + DIGITS + 1;
const PAIR_BYTES: usize = NUMBER + DIGITS;

/// Bytes that the header adds to an event's datum, at the most.
pub(crate) const EVENT_ID_BYTES_MAX: usize = PAIR_BYTES + 1;

/// The name of an event.
pub(crate) fn text(run_id: u64, event: Seq) -> String {
    format!("{run_id:016x}-{:016x}", event.number())
}

/// The header of the next event, ready to be copied: key and value as they travel.
#[derive(Clone, Debug)]
pub(crate) struct EventIds {
    pair: [u8; PAIR_BYTES],
}

impl EventIds {
    /// Ids of this run's events from number `next` on.
    pub(crate) fn new(run_id: u64, next: Seq) -> Self {
        let text = format!(
            "{}{EVENT_ID_HEADER}{}{}",
            (EVENT_ID_HEADER.len() * 2) as u8 as char,
            ((2 * DIGITS + 1) * 2) as u8 as char,
            text(run_id, next),
        );
        let pair = text.as_bytes().try_into();
        Self {
            pair: pair.expect("the lengths are constants"),
        }
    }

    /// Writes the next event with its id after `out`.
    pub(crate) fn put(&mut self, out: &mut Vec<u8>, event: &Event, adds_id: bool) {
        if adds_id {
            event.put_with_pair(out, &self.pair);
        } else {
            out.extend_from_slice(event.as_datum());
        }
        self.pass();
    }

    /// The next event is number `next`.
    pub(crate) fn go_to(&mut self, next: Seq) {
        let mut rest = next.number();
        for digit in self.pair.iter_mut().skip(NUMBER).rev() {
            *digit = b"0123456789abcdef"
                .get((rest & 0xf) as usize)
                .copied()
                .unwrap_or(b'0');
            rest >>= 4;
        }
    }

    /// Counts on, digit by digit: most times one is enough, and nothing is formatted.
    fn pass(&mut self) {
        for digit in self.pair.iter_mut().skip(NUMBER).rev() {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(ids: &mut EventIds, event: &Event) -> Event {
        let mut datum = Vec::new();
        let adds_id = event.header_value(EVENT_ID_HEADER).is_none();
        ids.put(&mut datum, event, adds_id);
        assert!(datum.len() <= event.as_datum().len() + EVENT_ID_BYTES_MAX);
        let read = Event::from_datum(datum.clone()).unwrap();
        assert_eq!(read.as_datum(), datum, "written as short as can be");
        read
    }

    #[test]
    fn the_header_is_put_before_those_of_the_event() {
        let mut ids = EventIds::new(0x00ab_cdef_0123_4567, Seq::new(0x1_0000_00ff));
        let id = "00abcdef01234567-00000001000000ff";
        let bare = written(&mut ids, &Event::new("body"));
        assert_eq!(bare, Event::new("body").header("guid", id));
        let id = "00abcdef01234567-0000000100000100";
        let event = Event::new("body").header("host", "web-1");
        let expected = Event::new("body")
            .header("guid", id)
            .header("host", "web-1");
        assert_eq!(written(&mut ids, &event), expected);
    }

    #[test]
    fn an_event_of_63_headers_gets_a_wider_count() {
        let mut event = Event::new("body");
        for n in 0..63 {
            event.set_header(&format!("key-{n}"), "v");
        }
        let read = written(&mut EventIds::new(1, Seq::new(2)), &event);
        assert_eq!(read.headers().count(), 64);
        assert_eq!(read.header_value("key-62"), Some("v"));
    }

    #[test]
    fn an_id_of_its_own_is_kept_and_its_number_is_used_up() {
        let mut ids = EventIds::new(1, Seq::new(2));
        let own = Event::new("body").header("guid", "mine");
        assert_eq!(written(&mut ids, &own), own);
        let next = written(&mut ids, &Event::new(""));
        assert_eq!(
            next.header_value("guid"),
            Some("0000000000000001-0000000000000003")
        );
    }

    #[test]
    fn digits_count_like_the_numbers_they_are() {
        for first in [0, 0xffff_ff00, 0x0fff_ffff_ffff_ff80] {
            let mut ids = EventIds::new(7, Seq::new(first));
            for number in first..first + 600 {
                let text = format!("{:016x}", number);
                assert_eq!(&ids.pair[NUMBER..], text.as_bytes());
                let mut there = EventIds::new(7, Seq::ZERO);
                there.go_to(Seq::new(number));
                assert_eq!(there.pair, ids.pair);
                ids.pass();
            }
        }
    }
}
