//! Numbers as JSON writes them.

use std::io::Write;

#[expect(clippy::indexing_slicing, reason = "while it is compiled")]
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut value = 0;
    while value < 100 {
        pairs[value] = [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8];
        value += 1;
    }
    pairs
};

/// Writes a number in decimal digits, two at a time.
#[inline]
pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    let length = value
        .checked_ilog10()
        .map_or(1, |digits| digits as usize + 1);
    let mut digits = [0; DIGITS_MAX];
    if let Some(place) = digits.get_mut(..length) {
        fill_digits(place, value);
    }
    // A fixed length is copied without a call.
    let start = out.len();
    out.extend_from_slice(&digits);
    out.truncate(start + length);
}

/// Of the greatest number.
const DIGITS_MAX: usize = 20;

/// Fills a place with the last decimal digits of a number, with zeros before it if it is short.
#[inline]
pub(crate) fn fill_digits(place: &mut [u8], value: u64) {
    let mut rest = value;
    let (odd, pairs) = place.split_at_mut(place.len() % 2);
    for two in pairs.rchunks_exact_mut(2) {
        let pair = PAIRS.get((rest % 100) as usize);
        two.copy_from_slice(&pair.copied().unwrap_or_default());
        rest /= 100;
    }
    if let Some(digit) = odd.first_mut() {
        *digit = b'0' + (rest % 10) as u8;
    }
}

/// Fills a place with the last hexadecimal digits of a number.
#[inline]
pub(crate) fn fill_hex(place: &mut [u8], value: u64) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    let mut rest = value;
    for digit in place.iter_mut().rev() {
        *digit = HEX.get((rest & 0xf) as usize).copied().unwrap_or_default();
        rest >>= 4;
    }
}

/// Writes a number that may be negative in decimal digits.
pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    put_u64(out, value.unsigned_abs());
}

/// The shortest digits that are read as the same number, with an exponent if it is far from one.
/// What is infinite or no number is `null`: JSON has no word for it.
pub(crate) fn put_f64(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        out.extend_from_slice(b"null");
    } else if !put_few_decimals(out, value) {
        // Writing to a vector does not fail.
        let _ = write!(out, "{value:?}");
    }
}

/// Writes a number that has few digits, as most that people log have, in a fifth of the time.
/// `false`: it has not, and nothing is written.
///
/// A whole number below 10^15 and a power of ten are exact, and their quotient is rounded once: if
/// that gives the value, the digits name it, and with so few of them no others that are fewer do.
fn put_few_decimals(out: &mut Vec<u8>, value: f64) -> bool {
    const SCALES: [(f64, usize, u64); 5] = [
        (1.0, 1, 1),
        (10.0, 1, 10),
        (100.0, 2, 100),
        (1000.0, 3, 1000),
        (10_000.0, 4, 10_000),
    ];
    let size = value.abs();
    if !(1e-3..1e10).contains(&size) {
        return false;
    }
    for (scale, digits, divisor) in SCALES {
        let whole = (size * scale).round();
        if whole / scale == size {
            if value < 0.0 {
                out.push(b'-');
            }
            put_u64(out, whole as u64 / divisor);
            let mut decimals = *b".0000";
            if let Some(place) = decimals.get_mut(1..=digits) {
                fill_digits(place, whole as u64 % divisor);
            }
            out.extend_from_slice(decimals.get(..=digits).unwrap_or_default());
            return true;
        }
    }
    false
}

/// Writes whatever std writes.
pub(crate) fn put_display(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    let _ = write!(out, "{value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: i64) {
        let mut out = Vec::new();
        put_i64(&mut out, value);
        assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
    }

    #[test]
    fn whole_numbers_are_written_as_std_writes_them() {
        let mut seed = fastrand::Rng::with_seed(7);
        (0..20_000).for_each(|_| check(seed.i64(..) >> seed.u32(..64)));
        (-1000..1000).for_each(check);
        [i64::MIN, i64::MAX].into_iter().for_each(check);
        let mut out = Vec::new();
        put_u64(&mut out, u64::MAX);
        assert_eq!(out, u64::MAX.to_string().as_bytes());
    }

    #[test]
    fn digits_fill_their_place() {
        let mut seed = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let value = seed.u64(..) >> seed.u32(..64);
            let length = seed.usize(..20);
            let mut place = vec![b' '; length];
            fill_digits(&mut place, value);
            let all = format!("{value:020}");
            assert_eq!(place, all.as_bytes()[20 - length..]);
            let mut place = [b' '; 16];
            fill_hex(&mut place, value);
            assert_eq!(place, format!("{value:016x}").as_bytes());
        }
    }

    #[test]
    fn numbers_of_few_decimals_are_written_as_std_writes_them() {
        let mut seed = fastrand::Rng::with_seed(7);
        for _ in 0..100_000 {
            let whole = (seed.i64(..) >> seed.u32(..64)) as f64;
            let value = whole / 10_f64.powi(seed.i32(0..8));
            let near = f64::from_bits(value.to_bits().wrapping_add(seed.u64(..2)));
            for value in [value, near] {
                let mut out = Vec::new();
                put_f64(&mut out, value);
                assert_eq!(String::from_utf8(out).unwrap(), format!("{value:?}"));
            }
        }
    }

    #[test]
    fn other_numbers_come_back_from_json_as_they_were() {
        let mut seed = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let value = f64::from_bits(seed.u64(..));
            let mut out = Vec::new();
            put_f64(&mut out, value);
            let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
            if value.is_finite() {
                let read = read.as_f64().unwrap();
                assert_eq!(read.to_bits(), value.to_bits(), "{value:?}");
            } else {
                assert!(read.is_null());
            }
        }
    }
}
