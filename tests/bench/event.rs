//! The event of the benchmarks, the same as the Java program's: a numbered body and two headers.

use flume_client::Event;

pub(crate) const BODY_BYTES: usize = 200;
pub(crate) const HEADERS: [(&str, &str); 2] = [("host", "web-1"), ("timestamp", "1700000000000")];

pub(crate) fn event(number: u64) -> Event {
    Event::with_headers(body(number), HEADERS)
}

/// The number as 12 digits, and what makes it as long as the others.
pub(crate) fn body(number: u64) -> [u8; BODY_BYTES] {
    let mut body = [b'x'; BODY_BYTES];
    for (place, digit) in body.iter_mut().take(12).rev().zip(digits(number)) {
        *place = digit;
    }
    body
}

fn digits(mut number: u64) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let digit = b'0' + (number % 10) as u8;
        number /= 10;
        Some(digit)
    })
    .take(12)
}
