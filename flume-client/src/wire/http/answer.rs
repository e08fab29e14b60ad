//! [`Answer`]: what an HTTP source's answer says of the events of a request.
//!
//! | status | answer | why |
//! |---|---|---|
//! | 200 | committed | the only one that Flume's source sends after its channels have the events |
//! | 408, 429, all of 5xx | refused | a full channel (503), a failure of the agent, or of what stands before it: it may pass. A status that nobody knows counts as 500, says RFC 9110 |
//! | 400, 413, 415, 422 | unacceptable | this request cannot be taken, others can |
//! | other 4xx | blocked | the address, the credentials or the method are wrong, which is the same for each request. Not unacceptable: no event is given up for it |
//! | 3xx | blocked | it is elsewhere; to follow would hand the events to whom nobody named |
//! | other 2xx | blocked | Flume's source sends none of them, so something else answers, and that it has the events is nobody's word |
//! | 1xx, and what is no status | blocked | none of these ends a request, so it is no HTTP source that answers |
//!
//! `Retry-After` counts where an answer is refused: in seconds, or as a date of any of the three forms
//! that RFC 9110 has. What is neither counts as nothing, and so does a time that is over.

use std::time::Duration;

/// The longest wait that an answer can ask for. Longer ones are cut to it: nothing that an agent says
/// may keep it from being used for hours.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

/// What became of a request's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The required channels of the source have them.
    Committed,
    /// They are to be sent again, here or to another agent.
    Refused {
        /// How long this agent wants to be left alone, if it said so: at most [`RETRY_AFTER_MAX`].
        after: Option<Duration>,
    },
    /// This agent will never take this request: it is for another one, or has to be divided.
    Unacceptable,
    /// This agent takes nothing before a person has done something.
    Blocked,
}

impl Answer {
    /// What an answer with this status and this value of `Retry-After` says, at this time in seconds
    /// since 1970.
    #[must_use]
    pub fn of(status: u16, retry_after: Option<&str>, unix_s: u64) -> Self {
        match status {
            200 => Self::Committed,
            408 | 429 | 500..600 => Self::Refused {
                after: retry_after.and_then(|text| wait(text, unix_s)),
            },
            400 | 413 | 415 | 422 => Self::Unacceptable,
            _ => Self::Blocked,
        }
    }
}

/// How long a value of `Retry-After` asks to wait.
fn wait(text: &str, unix_s: u64) -> Option<Duration> {
    let text = text.trim_ascii();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = match is_number {
        // One that is too large for a number is a long time, too.
        true => text.parse().unwrap_or(u64::MAX),
        false => date(text, unix_s)?.saturating_sub(unix_s),
    };
    let wait = Duration::from_secs(seconds).min(RETRY_AFTER_MAX);
    (!wait.is_zero()).then_some(wait)
}

/// Seconds since 1970 at a date of RFC 9110, whose parts are in one order or the other:
///
/// ```text
/// Sun, 06 Nov 1994 08:49:37 GMT
/// Sunday, 06-Nov-94 08:49:37 GMT
/// Sun Nov  6 08:49:37 1994
/// ```
fn date(text: &str, unix_s: u64) -> Option<u64> {
    let parts = text.split([' ', ',', '-', ':']);
    let mut parts = parts.filter(|part| !part.is_empty()).skip(1);
    let mut next = || parts.next();
    let (one, other) = (next()?, next()?);
    let is_day_first = one.starts_with(|first: char| first.is_ascii_digit());
    let (day, month, year) = match is_day_first {
        true => (one, other, next()),
        false => (other, one, None),
    };
    let [hour, minute, second] = [
        number(next()?, 24)?,
        number(next()?, 60)?,
        number(next()?, 61)?,
    ];
    let year = match year {
        Some(year) => next().filter(|zone| *zone == "GMT").and(Some(year)),
        None => next(),
    };
    if next().is_some() {
        return None;
    }
    let month = MONTHS.iter().position(|name| *name == month)? as u64;
    let days = days_since_1970(full_year(year?, unix_s)?, month, number(day, 32)?)?;
    Some(days * SECONDS_PER_DAY + (hour * 60 + minute) * 60 + second)
}

/// A number of one digit or two, below `end`.
fn number(text: &str, end: u64) -> Option<u64> {
    let is_short = text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_short)?;
    (number < end).then_some(number)
}

/// A year of four digits, or of two: one that would be more than 50 years ahead is of the last
/// century. None is later than 9999, whatever the clock says.
fn full_year(text: &str, unix_s: u64) -> Option<u64> {
    const SECONDS_PER_YEAR: u64 = 31_556_952;
    let year = if let Some(short) = number(text, 100) {
        let now = 1970 + unix_s / SECONDS_PER_YEAR;
        let year = now / 100 * 100 + short;
        if year > now + 50 { year - 100 } else { year }
    } else {
        text.parse().ok().filter(|_| text.len() == 4)?
    };
    (1000..10_000).contains(&year).then_some(year)
}

/// Days from the first of 1970 to a day of a month, which is 0 for January. 0 for a day before.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    const DAYS_PER_ERA: u64 = 146_097;
    const DAYS_TO_1970: u64 = 719_468;
    // A year that begins in March has its leap day at its end, and 400 of them are an era.
    let (year, month) = if month < 2 {
        (year - 1, month + 10)
    } else {
        (year, month - 2)
    };
    let (era, year) = (year / 400, year % 400);
    let days = era * DAYS_PER_ERA + year * 365 + year / 4 - year / 100;
    let days = days + (153 * month + 2) / 5 + day.checked_sub(1)?;
    Some(days.saturating_sub(DAYS_TO_1970))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The date that RFC 9110 has as its example, and when that is by `date -d`.
    const DATES: [&str; 3] = [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ];
    const UNIX_S: u64 = 784_111_777;

    fn after(text: &str, unix_s: u64) -> Option<u64> {
        match Answer::of(503, Some(text), unix_s) {
            Answer::Refused { after } => after.map(|it| it.as_secs()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_status_says_what_the_table_says() {
        let again = Answer::Refused { after: None };
        let expected = |status: u16| match status {
            200 => Answer::Committed,
            408 | 429 => again,
            400 | 413 | 415 | 422 => Answer::Unacceptable,
            _ if status / 100 == 5 => again,
            _ => Answer::Blocked,
        };
        for status in 0..=u16::MAX {
            assert_eq!(
                Answer::of(status, None, UNIX_S),
                expected(status),
                "{status}"
            );
        }
        for status in [500, 501, 502, 503, 504, 599] {
            assert_eq!(Answer::of(status, None, UNIX_S), again, "{status}");
        }
        for status in [
            0, 99, 100, 101, 201, 202, 204, 301, 302, 307, 308, 401, 403, 404, 405, 407,
        ] {
            assert_eq!(
                Answer::of(status, None, UNIX_S),
                Answer::Blocked,
                "{status}"
            );
        }
    }

    #[test]
    fn a_wait_counts_only_where_the_events_are_to_come_again() {
        for status in [200, 302, 400, 401, 413] {
            let said = Answer::of(status, Some("7"), UNIX_S);
            assert_eq!(said, Answer::of(status, None, UNIX_S), "{status}");
        }
        let wait = Some(Duration::from_secs(7));
        for status in [408, 429, 500, 503] {
            let said = Answer::of(status, Some("7"), UNIX_S);
            assert_eq!(said, Answer::Refused { after: wait }, "{status}");
        }
    }

    #[test]
    fn a_wait_in_seconds_is_at_most_five_minutes() {
        for (text, seconds) in [
            ("1", Some(1)),
            ("0120", Some(120)),
            (" 299\t", Some(299)),
            ("300", Some(300)),
            ("301", Some(300)),
            ("86400", Some(300)),
            ("18446744073709551615", Some(300)),
            ("18446744073709551616", Some(300)),
            ("0", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("1 s", None),
            ("", None),
            (" ", None),
            ("soon", None),
            ("١", None),
        ] {
            assert_eq!(after(text, UNIX_S), seconds, "{text:?}");
        }
    }

    #[test]
    fn a_date_of_each_form_is_a_wait_until_then_of_at_most_five_minutes() {
        for date in DATES {
            for (before, seconds) in [
                (1, Some(1)),
                (299, Some(299)),
                (301, Some(300)),
                (UNIX_S, Some(300)),
                (0, None),
            ] {
                assert_eq!(
                    after(date, UNIX_S - before),
                    seconds,
                    "{date} {before} s before"
                );
            }
            assert_eq!(after(date, UNIX_S + 1), None, "{date} is over");
            assert_eq!(after(date, u64::MAX), None, "{date} is over");
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        // By `date -u -d "..." +%s`.
        for (date, unix_s) in [
            ("Thu, 01 Jan 1970 00:00:30 GMT", 30),
            ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799),
            ("Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800),
            ("Fri, 31 Dec 2027 23:59:59 GMT", 1_830_297_599),
            ("Mon, 01 Mar 2100 00:00:00 GMT", 4_107_542_400),
            ("Thursday, 31-Dec-26 12:00:00 GMT", 1_798_718_400),
        ] {
            assert_eq!(after(date, unix_s - 20), Some(20), "{date}");
        }
    }

    #[test]
    fn a_year_of_two_digits_is_the_nearest_one_that_is_not_50_years_ahead() {
        const OF_2026: u64 = 1_790_000_000;
        assert_eq!(after("Sunday, 06-Nov-76 08:49:37 GMT", OF_2026), Some(300));
        assert_eq!(after("Sunday, 06-Nov-77 08:49:37 GMT", OF_2026), None);
    }

    #[test]
    fn no_date_is_after_the_year_9999_whatever_the_clock_says() {
        for year in 0..100 {
            let date = format!("Sunday, 31-Dec-{year:02} 23:59:59 GMT");
            assert_eq!(after(&date, u64::MAX), None, "{date}");
        }
    }

    #[test]
    fn what_is_no_date_asks_for_nothing() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 08:49:37 GMT GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 19940 08:49:37 GMT",
            "Sun, 06 Nov 0000 08:49:37 GMT",
            "Sun, 06 Nov 199 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994 GMT",
            "Sun, 06 Nov",
            "Sun",
            "1994-11-06T08:49:37Z",
            ", - : ",
        ] {
            assert_eq!(after(text, UNIX_S - 10), None, "{text:?}");
        }
    }
}
