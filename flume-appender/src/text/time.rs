//! Times as RFC 3339 writes them: `2026-11-27T17:04:05.123456789Z`.

use super::number;

const NS_PER_SECOND: u64 = 1_000_000_000;
const SECONDS_PER_DAY: u64 = 86_400;

/// Writes times. The date and the time of day are written once a second, and kept.
#[derive(Debug, Default)]
pub(crate) struct TimeWriter {
    second: Option<u64>,
    text: [u8; DATE + 9],
}

/// Up to the point before the fraction.
const DATE: usize = "2026-11-27T17:04:05.".len();

impl TimeWriter {
    /// Writes nanoseconds since 1970, in UTC.
    #[inline]
    pub(crate) fn put(&mut self, out: &mut Vec<u8>, unix_ns: u64) {
        self.put_digits(out, unix_ns, 9);
    }

    /// The same with three digits of a second.
    pub(crate) fn put_millis(&mut self, out: &mut Vec<u8>, unix_ns: u64) {
        self.put_digits(out, unix_ns, 3);
    }

    #[inline]
    fn put_digits(&mut self, out: &mut Vec<u8>, unix_ns: u64, digits: usize) {
        let start = out.len();
        let second = unix_ns / NS_PER_SECOND;
        if self.second != Some(second) {
            self.second = Some(second);
            let (date, _) = self.text.split_at_mut(DATE);
            date.copy_from_slice(&text_of(second));
        }
        let (_, fraction) = self.text.split_at_mut(DATE);
        number::fill_digits(fraction, unix_ns % NS_PER_SECOND);
        // A fixed length is copied without a call.
        out.extend_from_slice(&self.text);
        out.truncate(start + DATE + digits);
        out.push(b'Z');
    }
}

fn text_of(second: u64) -> [u8; DATE] {
    let (day, of_day) = (second / SECONDS_PER_DAY, second % SECONDS_PER_DAY);
    let (year, month, day) = civil(day);
    let mut text = *b"0000-00-00T00:00:00.";
    let parts = [
        (0, 4, year),
        (5, 2, month),
        (8, 2, day),
        (11, 2, of_day / 3600),
        (14, 2, of_day / 60 % 60),
        (17, 2, of_day % 60),
    ];
    for (start, length, value) in parts {
        if let Some(place) = text.get_mut(start..start + length) {
            number::fill_digits(place, value);
        }
    }
    text
}

/// Year, month and day of the Gregorian calendar, from days since 1970. Years begin in March here,
/// so that a leap day is the last of its year: then months have a pattern of 153 days in five.
fn civil(days: u64) -> (u64, u64, u64) {
    // Days since 1 March of the year 0, in eras of 400 years, which all have the same number.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(unix_ns: u64) -> String {
        let mut out = Vec::new();
        TimeWriter::default().put(&mut out, unix_ns);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_are_written_as_jiff_writes_them() {
        let mut seed = fastrand::Rng::with_seed(7);
        let mut times = vec![0, 951_782_399, 951_782_400, 4_107_542_400, 68_256_000];
        times.extend((0..20_000).map(|_| seed.u64(..16_725_225_600)));
        let mut writer = TimeWriter::default();
        for second in times {
            let ns = second * NS_PER_SECOND + seed.u64(..NS_PER_SECOND);
            let expected = jiff::Timestamp::from_nanosecond(ns.into()).unwrap();
            let mut out = Vec::new();
            writer.put(&mut out, ns);
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text.parse::<jiff::Timestamp>().unwrap(), expected, "{text}");
            assert_eq!(text, format!("{expected:.9}"));
            let mut out = Vec::new();
            writer.put_millis(&mut out, ns);
            assert_eq!(out, format!("{expected:.3}").as_bytes());
        }
    }

    #[test]
    fn a_fraction_has_nine_digits() {
        assert_eq!(written(1), "1970-01-01T00:00:00.000000001Z");
    }
}
