//! Durations, sizes and numbers, as people write and read them, names that somebody else chose, and
//! what the system says.

use std::io;
use std::path::Path;
use std::time::Duration;

/// A path for people. Whoever makes a directory chooses its name, and it may be shown to root: what
/// would speak to a terminal, or begin another line, is escaped.
pub(crate) fn path(path: &Path) -> String {
    quiet(&path.to_string_lossy())
}

/// Text of one line that may have such a path in it.
pub(crate) fn quiet(text: &str) -> String {
    escaped(text, char::is_control)
}

/// What the system said, as a part of a sentence: without its number.
pub(crate) fn reason(error: &io::Error) -> String {
    plain(&error.to_string())
}

/// The same of what is text already.
pub(crate) fn plain(text: &str) -> String {
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

/// Text of several lines, in which no other control character is as it is.
pub(crate) fn quiet_lines(text: &str) -> String {
    escaped(text, |letter| letter.is_control() && letter != '\n')
}

fn escaped(text: &str, is_loud: impl Fn(char) -> bool) -> String {
    let mut quiet = String::with_capacity(text.len());
    for letter in text.chars() {
        match is_loud(letter) {
            true => quiet.extend(letter.escape_default()),
            false => quiet.push(letter),
        }
    }
    quiet
}

/// Reads `500ms`, `10s`, `2m` or `1h`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text.get(digits.len()..).unwrap_or_default();
    let millis_each = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("write it with its unit, as 500ms, 10s, 2m or 1h".to_owned()),
    };
    let amount: Option<u64> = digits.parse().ok();
    let millis = amount.and_then(|amount| amount.checked_mul(millis_each));
    match millis {
        Some(0) => Err("nothing can be done in no time; give it at least 1ms".to_owned()),
        Some(millis) if millis <= MILLIS_MAX => Ok(Duration::from_millis(millis)),
        Some(_) => Err("the longest is 24h".to_owned()),
        None => Err("write a whole number and its unit, as 500ms, 10s, 2m or 1h".to_owned()),
    }
}

const MILLIS_MAX: u64 = 24 * 3_600_000;

/// Reads `0B`, `64MiB`, `1GiB`, or `1GB` as disks are sold.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 9] = [
        ("b", 1),
        ("kib", 1 << 10),
        ("mib", 1 << 20),
        ("gib", 1 << 30),
        ("tib", 1 << 40),
        ("kb", 1_000),
        ("mb", 1_000_000),
        ("gb", 1_000_000_000),
        ("tb", 1_000_000_000_000),
    ];
    const EXAMPLE: &str = "write a whole number and its unit, as 512KiB, 64MiB, 1GiB or 1GB";
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text.get(digits.len()..).unwrap_or_default();
    let unit = UNITS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit));
    let amount: Option<u64> = digits.parse().ok();
    let (Some((_, bytes)), Some(amount)) = (unit, amount) else {
        return Err(EXAMPLE.to_owned());
    };
    amount
        .checked_mul(*bytes)
        .ok_or_else(|| "that is more bytes than can be counted".to_owned())
}

/// A duration in the unit in which it is read most easily.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match duration.as_millis() {
        0 => format!("{:.2} ms", seconds * 1e3),
        1..100 => format!("{:.1} ms", seconds * 1e3),
        100..1_000 => format!("{:.0} ms", seconds * 1e3),
        1_000..100_000 => format!("{} s", trimmed(seconds)),
        _ => format!(
            "{} min {} s",
            duration.as_secs() / 60,
            duration.as_secs() % 60
        ),
    }
}

/// One decimal place, or none if it would be zero.
fn trimmed(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// A number with its thousands set apart.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things: `1 event`, `2,000 events`.
pub(crate) fn plural(number: u64, thing: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {thing}{ending}", count(number))
}

/// All of a number of things: `1 event`, `all 2,000 events`.
pub(crate) fn all(number: u64, thing: &str) -> String {
    let all = if number == 1 { "" } else { "all " };
    format!("{all}{}", plural(number, thing))
}

/// A number of bytes: `120 B`, `1.5 MiB`.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut amount = number as f64;
    let mut text = format!("{number} B");
    for unit in UNITS {
        if amount < 1024.0 {
            break;
        }
        amount /= 1024.0;
        text = format!("{} {unit}", trimmed(amount));
    }
    text
}

/// How old something is, in its two largest units.
pub(crate) fn age(age: Duration) -> String {
    const UNITS: [(u64, &str, u64, &str); 3] = [
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ];
    let seconds = age.as_secs();
    let unit = UNITS.iter().find(|(unit, ..)| seconds >= *unit);
    unit.map_or(format!("{seconds} s"), |(unit, name, part, part_name)| {
        format!(
            "{} {name} {} {part_name}",
            seconds / unit,
            seconds % unit / part
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units() {
        for (text, millis) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)));
        }
    }

    #[test]
    fn anything_else_is_no_duration() {
        for text in [
            "",
            "10",
            "s",
            "-1s",
            "1.5s",
            "1 s",
            "0s",
            "25h",
            "99999999999999999999s",
            "1é",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in [
            ("0B", 0),
            ("7b", 7),
            ("512KiB", 512 * 1024),
            ("64MiB", 64 * 1024 * 1024),
            ("64mib", 64 * 1024 * 1024),
            ("2GiB", 2 * 1024 * 1024 * 1024),
            ("1TiB", 1024 * 1024 * 1024 * 1024),
            ("5kB", 5_000),
            ("3MB", 3_000_000),
            ("1GB", 1_000_000_000),
            ("2TB", 2_000_000_000_000),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "64",
            "MiB",
            "-1MiB",
            "1.5GiB",
            "1 GiB",
            "1M",
            "1XiB",
            "99999999TiB",
            "1é",
        ] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_written_in_the_unit_that_fits() {
        let written = |micros| duration(Duration::from_micros(micros));
        let expected = ["0.21 ms", "4.2 ms", "340 ms", "1.2 s", "30 s", "2 min 5 s"];
        let found = [210, 4_200, 340_000, 1_234_000, 30_000_000, 125_000_000].map(written);
        assert_eq!(found, expected);
    }

    #[test]
    fn nothing_in_a_name_speaks_to_the_terminal_and_all_else_stays() {
        let name = Path::new("/var/süß \"it's\"\u{1b}[2J\r\u{9b}\nflume: well");
        let quiet = r#"/var/süß "it's"\u{1b}[2J\r\u{9b}\nflume: well"#;
        assert_eq!(path(name), quiet);
        let lines = quiet_lines("a\u{1b}\nb\t\u{85}");
        assert_eq!(lines, "a\\u{1b}\nb\\t\\u{85}");
    }

    #[test]
    fn thousands_are_set_apart() {
        let found = [0, 999, 1_000, 12_345, 1_234_567].map(count);
        assert_eq!(found, ["0", "999", "1,000", "12,345", "1,234,567"]);
        assert_eq!(plural(1, "event"), "1 event");
        assert_eq!(plural(2, "event"), "2 events");
    }

    #[test]
    fn bytes_are_written_in_the_unit_that_fits() {
        let found = [0, 1_023, 1_024, 1_536, 16 << 20, (5 << 40) + (1 << 39)].map(bytes);
        let expected = ["0 B", "1023 B", "1 KiB", "1.5 KiB", "16 MiB", "5.5 TiB"];
        assert_eq!(found, expected);
    }

    #[test]
    fn ages_have_two_units() {
        let found = [0, 59, 61, 3_725, 360_000].map(|seconds| age(Duration::from_secs(seconds)));
        assert_eq!(found, ["0 s", "59 s", "1 min 1 s", "1 h 2 min", "4 d 4 h"]);
    }
}
