//! [`Certificate`]: what a certificate says of itself, read for errors and for people.
//!
//! Nothing here is checked, and no trust comes of it: that is the TLS library's work. It keeps to
//! itself what a certificate says, and knows no names of issuers.
//!
//! X.509 in DER (RFC 5280): each value is a tag, a length and that many bytes. Those that are read:
//!
//! | value | tags |
//! |---|---|
//! | certificate, its signed part | `30`, `30` |
//! | version, if there is one | `a0` |
//! | serial number, algorithm | `02`, `30` |
//! | issuer: sets of pairs of a kind and a text | `30` of `31` of `30` |
//! | validity: two times | `30` of `17` or `18` |
//! | subject, as the issuer | `30` |
//! | public key, two ids that nobody uses | `30`, `81`, `82` |
//! | extensions; in that of alternative names, names `82` and addresses `87` | `a3` of `30` of `30` |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Most alternative names that are kept of a certificate.
pub const NAMES_MAX: usize = 100;

/// Longest name that is kept, in characters.
pub const NAME_CHARS_MAX: usize = 255;

/// What a certificate says of itself. What is in it of names is made fit for logs: cut at
/// [`NAME_CHARS_MAX`], with what cannot be seen escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Certificate {
    /// Whose it is, as `CN=agent, O=Example`.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// The first second in which it is valid, in seconds since 1970.
    pub not_before: i64,
    /// The last one.
    pub not_after: i64,
    /// The names and addresses of hosts that it is for, in its order. Its `CN` counts for nothing.
    pub names: Vec<String>,
}

impl Certificate {
    /// Reads one in DER; `None` if it is none, or is not laid out as all are.
    #[must_use]
    pub fn read(der: &[u8]) -> Option<Self> {
        let mut signed = Values(Values(der).of(SEQUENCE)?).nested(SEQUENCE)?;
        if signed.peek() == Some(VERSION) {
            signed.of(VERSION)?;
        }
        signed.of(INTEGER)?;
        signed.of(SEQUENCE)?;
        let issuer = name(signed.nested(SEQUENCE)?)?;
        let mut validity = signed.nested(SEQUENCE)?;
        let not_before = time(validity.next()?)?;
        let not_after = time(validity.next()?)?;
        let subject = name(signed.nested(SEQUENCE)?)?;
        signed.of(SEQUENCE)?;
        let mut names = Vec::new();
        while let Some((tag, content)) = signed.next() {
            if tag == EXTENSIONS {
                names = alternative_names(Values(content).nested(SEQUENCE)?)?;
            }
        }
        Some(Self {
            subject,
            issuer,
            not_before,
            not_after,
            names,
        })
    }

    /// Whether it is signed by its own key, as far as names tell.
    #[must_use]
    pub fn is_self_signed(&self) -> bool {
        self.subject == self.issuer
    }
}

const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OBJECT: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

/// 2.5.29.17
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

/// Values one after the other.
struct Values<'a>(&'a [u8]);

impl<'a> Values<'a> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next value: its tag and its content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, length], rest) = self.0.split_first_chunk()?;
        let (length, rest) = match length {
            0..=0x7f => (usize::from(length), rest),
            // A length of its own, in as many bytes. Four would be more than any certificate has.
            0x81..=0x83 => {
                let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
                let digits = digits.iter();
                let length = digits.fold(0, |length, &digit| length << 8 | usize::from(digit));
                (length, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    fn of(&mut self, wanted: u8) -> Option<&'a [u8]> {
        let (tag, content) = self.next()?;
        (tag == wanted).then_some(content)
    }

    fn nested(&mut self, wanted: u8) -> Option<Self> {
        self.of(wanted).map(Self)
    }
}

/// A distinguished name.
fn name(mut parts: Values<'_>) -> Option<String> {
    let mut text = String::new();
    while parts.peek().is_some() {
        let mut set = parts.nested(SET)?;
        while set.peek().is_some() {
            let mut pair = set.nested(SEQUENCE)?;
            let kind = pair.of(OBJECT)?;
            let (tag, value) = pair.next()?;
            if text.len() > NAME_CHARS_MAX {
                continue;
            }
            let separator = if text.is_empty() { "" } else { ", " };
            let value = shown(&value_text(tag, value));
            text += &format!("{separator}{}={value}", kind_name(kind));
        }
    }
    if text.is_empty() {
        text.push_str("(no name)");
    }
    Some(text)
}

/// What stands in names as a rule.
fn kind_name(kind: &[u8]) -> &'static str {
    match kind {
        [0x55, 0x04, 3] => "CN",
        [0x55, 0x04, 5] => "serialNumber",
        [0x55, 0x04, 6] => "C",
        [0x55, 0x04, 7] => "L",
        [0x55, 0x04, 8] => "ST",
        [0x55, 0x04, 9] => "STREET",
        [0x55, 0x04, 10] => "O",
        [0x55, 0x04, 11] => "OU",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1] => "UID",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25] => "DC",
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1] => "emailAddress",
        _ => "?",
    }
}

fn value_text(tag: u8, value: &[u8]) -> String {
    const BMP: u8 = 0x1e;
    if tag == BMP {
        let units = value.as_chunks().0.iter();
        let units: Vec<u16> = units.map(|&unit| u16::from_be_bytes(unit)).collect();
        return String::from_utf16_lossy(&units);
    }
    String::from_utf8_lossy(value).into_owned()
}

fn alternative_names(mut extensions: Values<'_>) -> Option<Vec<String>> {
    const NAME: u8 = 0x82;
    const ADDRESS: u8 = 0x87;
    let mut found = Vec::new();
    while extensions.peek().is_some() {
        let mut extension = extensions.nested(SEQUENCE)?;
        if extension.of(OBJECT)? != ALTERNATIVE_NAMES {
            continue;
        }
        // Whether it is critical stands before it, if it does.
        let content = loop {
            let (tag, content) = extension.next()?;
            if tag == OCTETS {
                break content;
            }
        };
        let mut names = Values(content).nested(SEQUENCE)?;
        while names.peek().is_some() && found.len() < NAMES_MAX {
            let (tag, name) = names.next()?;
            match tag {
                NAME => found.push(shown(&String::from_utf8_lossy(name))),
                ADDRESS => found.extend(address(name).map(|it| it.to_string())),
                _ => {}
            }
        }
    }
    Some(found)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(four).into());
    }
    let sixteen = <[u8; 16]>::try_from(bytes).ok()?;
    Some(Ipv6Addr::from(sixteen).into())
}

/// A text from a certificate, fit for logs.
fn shown(text: &str) -> String {
    let text = text.chars().take(NAME_CHARS_MAX);
    text.flat_map(char::escape_debug).collect()
}

/// `YYMMDDHHMMSSZ`, of the years 1950 to 2049, or with four digits of the year.
fn time((tag, digits): (u8, &[u8])) -> Option<i64> {
    const UTC: u8 = 0x17;
    const GENERAL: u8 = 0x18;
    let digits = digits.strip_suffix(b"Z")?;
    let (year, rest) = match tag {
        UTC => {
            let (year, rest) = digits.split_at_checked(2)?;
            let year = number(year)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERAL => {
            let (year, rest) = digits.split_at_checked(4)?;
            (number(year)?, rest)
        }
        _ => return None,
    };
    let (pairs, []) = rest.as_chunks::<2>() else {
        return None;
    };
    let [month, day, hour, minute, second] = <[[u8; 2]; 5]>::try_from(pairs).ok()?;
    let [month, day] = [number(&month)?, number(&day)?];
    let [hour, minute, second] = [number(&hour)?, number(&minute)?, number(&second)?];
    let is_right = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    is_right.then(|| ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

fn number(digits: &[u8]) -> Option<i64> {
    let mut digits = digits.iter();
    digits.try_fold(0, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + i64::from(digit - b'0'))
    })
}

/// Days of the years and months before a day, from 1970 on, by Howard Hinnant's rule: a year that
/// begins in March has its odd day at its end.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month < 3 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// A moment as people write it, `2026-11-28 16:15:06 UTC`.
#[must_use]
pub fn moment(seconds: i64) -> String {
    const DAY: i64 = 24 * 3600;
    let (day, second) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let since_march = day.saturating_add(719_468);
    let era = since_march.div_euclid(146_097);
    let day_of_era = since_march.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month < 3);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}
