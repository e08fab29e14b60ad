//! [`Section`]: the settings of one component, read key by key.
//!
//! A getter always gives a value, so that reading goes on and finds every problem; whether the
//! component can be used is decided by its findings. Keys that nobody asked for are unknown.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::config::nearest::nearest;
use crate::config::problem::{Finding, ProblemKind, Severity, bad_value};

/// Names in one list. It bounds the work of looking each of them up in others.
const NAMES_MAX: usize = 1000;

/// Settings by the part of their key behind the section's prefix.
pub(super) type Settings<'t> = BTreeMap<&'t str, &'t str>;

/// The settings of one component, and what was found about them.
#[derive(Debug)]
pub(super) struct Section<'t> {
    /// All of the key before the settings' own, with its dot: `a1.sources.r1.`.
    prefix: String,
    settings: Settings<'t>,
    asked: BTreeSet<&'static str>,
    used: BTreeSet<&'t str>,
    findings: Vec<Finding>,
}

/// What Flume does with a number that it cannot use.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bad {
    /// The component is dropped.
    Break,
    /// The default counts.
    Default,
    /// The nearest number within the bounds counts.
    Clamp,
    /// As `Clamp`, and Flume's own guide invites to it.
    ClampQuietly,
}

/// The bounds of a number and what happens outside of them. Flume parses `int` keys and `long`
/// keys apart: what overflows an `int` is no number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number {
    default: i64,
    least: i64,
    most: i64,
    parsed_most: i64,
    not_a_number: Bad,
    out_of_bounds: Bad,
}

impl Number {
    pub(super) const fn int(default: i32, least: i32) -> Self {
        Self {
            default: default as i64,
            least: least as i64,
            most: i32::MAX as i64,
            parsed_most: i32::MAX as i64,
            not_a_number: Bad::Break,
            out_of_bounds: Bad::Break,
        }
    }

    pub(super) const fn long(default: i64, least: i64) -> Self {
        Self {
            default,
            least,
            most: i64::MAX,
            parsed_most: i64::MAX,
            ..Self::int(0, 0)
        }
    }

    pub(super) const fn most(mut self, most: i64) -> Self {
        self.most = most;
        self
    }

    /// What happens to text that is no number, and to a number out of bounds.
    pub(super) const fn bad(mut self, not_a_number: Bad, out_of_bounds: Bad) -> Self {
        self.not_a_number = not_a_number;
        self.out_of_bounds = out_of_bounds;
        self
    }
}

impl<'t> Section<'t> {
    pub(super) fn new(prefix: String, settings: Settings<'t>) -> Self {
        Self {
            prefix,
            settings,
            asked: BTreeSet::new(),
            used: BTreeSet::new(),
            findings: Vec::new(),
        }
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<&'t str> {
        self.asked.insert(key);
        let (key, value) = self.settings.get_key_value(key)?;
        self.used.insert(key);
        Some(value)
    }

    pub(super) fn text_or(&mut self, key: &'static str, default: &str) -> String {
        self.text(key).unwrap_or(default).to_owned()
    }

    /// A list of names; those that come twice are told of and left out.
    pub(super) fn list(&mut self, key: &'static str) -> Vec<&'t str> {
        let list = self.text(key).unwrap_or_default();
        names(list, |kind| self.warning(key, kind))
    }

    pub(super) fn required(&mut self, key: &'static str) -> String {
        self.text(key).map_or_else(
            || {
                self.error(key, ProblemKind::Missing);
                String::new()
            },
            str::to_owned,
        )
    }

    /// Java's `parseBoolean`: everything but "true" is false.
    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let Some(value) = self.text(key) else {
            return default;
        };
        let is_true = value.eq_ignore_ascii_case("true");
        if !is_true && !value.eq_ignore_ascii_case("false") {
            self.warning(
                key,
                bad_value(value, "true or false; Flume takes it as false"),
            );
        }
        is_true
    }

    pub(super) fn number(&mut self, key: &'static str, rule: Number) -> i64 {
        let Some(value) = self.text(key) else {
            return rule.default;
        };
        let parsed = value.parse::<i64>().ok();
        let parsed = parsed.filter(|n| (-rule.parsed_most - 1..=rule.parsed_most).contains(n));
        if let Some(number) = parsed.filter(|n| (rule.least..=rule.most).contains(n)) {
            return number;
        }
        let bad = parsed.map_or(rule.not_a_number, |_| rule.out_of_bounds);
        let clamped = parsed.unwrap_or(rule.default).clamp(rule.least, rule.most);
        let expected = match (rule.most, rule.parsed_most) {
            (most, parsed_most) if most == parsed_most => {
                format!("a whole number, at least {}", rule.least)
            }
            (most, _) => format!("a whole number from {} to {most}", rule.least),
        };
        match bad {
            Bad::Break => self.error(key, bad_value(value, &expected)),
            Bad::Default => {
                let expected = format!("{expected}; Flume takes {}", rule.default);
                self.warning(key, bad_value(value, &expected));
                return rule.default;
            }
            Bad::Clamp => self.warning(key, bad_value(value, &expected)),
            Bad::ClampQuietly => {
                let given = parsed.unwrap_or(rule.default);
                self.note(
                    key,
                    ProblemKind::Adjusted {
                        given,
                        taken: clamped,
                    },
                );
            }
        }
        clamped
    }

    /// A number that counts things. The rule's bounds keep it from being negative.
    pub(super) fn count(&mut self, key: &'static str, rule: Number) -> usize {
        usize::try_from(self.number(key, rule)).unwrap_or_default()
    }

    /// As [`Section::count`].
    pub(super) fn bytes(&mut self, key: &'static str, rule: Number) -> u64 {
        u64::try_from(self.number(key, rule)).unwrap_or_default()
    }

    /// As [`Section::count`].
    pub(super) fn seconds(&mut self, key: &'static str, rule: Number) -> Duration {
        Duration::from_secs(self.bytes(key, rule))
    }

    /// As [`Section::count`].
    pub(super) fn millis(&mut self, key: &'static str, rule: Number) -> Duration {
        Duration::from_millis(self.bytes(key, rule))
    }

    /// A host that must be set.
    pub(super) fn host(&mut self, key: &'static str) -> String {
        let host = self.required(key);
        self.check_host(key, &host);
        host
    }

    /// An error if a host is more than a host.
    pub(super) fn check_host(&mut self, key: &'static str, host: &str) {
        let address = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        let is_address = address.unwrap_or(host).parse::<IpAddr>().is_ok();
        let port = host.rsplit_once(':').map_or("", |(_, port)| port);
        let has_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        if (has_port && !is_address) || host.contains("://") {
            self.error(
                key,
                bad_value(
                    host,
                    "a host alone: the port has a key of its own, and there is no scheme",
                ),
            );
        }
    }

    /// A port that must be set; 0 asks for any free one.
    pub(super) fn port(&mut self, key: &'static str) -> u16 {
        let value = self.required(key);
        value.parse().unwrap_or_else(|_| {
            if !value.is_empty() {
                self.error(key, bad_value(&value, "a port, 0 to 65535"));
            }
            0
        })
    }

    /// Settings under `prefix`, which ends with a dot, as a section of their own.
    pub(super) fn sub(&mut self, prefix: &str) -> Self {
        let entries = self.settings.iter();
        let under = entries.filter_map(|(key, value)| Some((key.strip_prefix(prefix)?, *value)));
        let settings: Settings<'t> = under.collect();
        let used = self.settings.keys().filter(|key| key.starts_with(prefix));
        self.used.extend(used.copied());
        Self::new(format!("{}{prefix}", self.prefix), settings)
    }

    /// Takes over what was found in a section of this one, which knows all its keys by now.
    pub(super) fn absorb(&mut self, sub: Self, of: &str) {
        self.findings.extend(sub.finish(of));
    }

    /// Accepts keys that change nothing, with a note on each that is set.
    pub(super) fn no_effect(&mut self, keys: &[&'static str], why: &'static str) {
        for key in keys {
            if self.text(key).is_some() {
                self.note(key, ProblemKind::NoEffect { why });
            }
        }
    }

    /// Accepts all other keys under a prefix, which ends with a dot, with a note on each.
    pub(super) fn no_effect_under(&mut self, prefix: &str, why: &'static str) {
        let under = self.settings.keys().filter(|key| key.starts_with(prefix));
        let under = under.filter(|key| !self.used.contains(*key));
        for key in under.copied().collect::<Vec<_>>() {
            self.used.insert(key);
            self.note(key, ProblemKind::NoEffect { why });
        }
    }

    /// A switch for something the mini-agent does not have.
    pub(super) fn left_out_if_true(&mut self, key: &'static str, what: &'static str) {
        if self.flag(key, false) {
            let name = key.to_owned();
            self.error(key, ProblemKind::LeftOut { what, name });
        }
    }

    /// The settings that nobody asked for so far.
    pub(super) fn rest(&self) -> Vec<(&'t str, &'t str)> {
        let unused = self
            .settings
            .iter()
            .filter(|(key, _)| !self.used.contains(*key));
        unused.map(|(key, value)| (*key, *value)).collect()
    }

    /// Stops unknown keys from being told, when the type is not known either.
    pub(super) fn ignore_rest(&mut self) {
        self.used.extend(self.settings.keys().copied());
    }

    pub(super) fn use_key(&mut self, key: &'t str) {
        self.used.insert(key);
    }

    /// An error if the component `breaks` by it, else a warning.
    pub(super) fn fault(&mut self, breaks: bool, key: &str, kind: ProblemKind) {
        if breaks {
            self.error(key, kind);
        } else {
            self.warning(key, kind);
        }
    }

    pub(super) fn error(&mut self, key: &str, kind: ProblemKind) {
        self.findings.push(Finding::error(self.full(key), kind));
    }

    pub(super) fn warning(&mut self, key: &str, kind: ProblemKind) {
        self.findings.push(Finding::warning(self.full(key), kind));
    }

    pub(super) fn note(&mut self, key: &str, kind: ProblemKind) {
        self.findings.push(Finding::note(self.full(key), kind));
    }

    pub(super) fn is_broken(&self) -> bool {
        is_broken(&self.findings)
    }

    /// All findings, now also on the keys that nobody asked for. `of` names the component's type.
    pub(super) fn finish(mut self, of: &str) -> Vec<Finding> {
        for (key, _) in self.rest() {
            let nearest = nearest(key, self.asked.iter().copied());
            let of = of.to_owned();
            self.warning(key, ProblemKind::UnknownKey { of, nearest });
        }
        self.findings
    }

    fn full(&self, key: &str) -> String {
        let full = format!("{}{key}", self.prefix);
        full.trim_end_matches('.').to_owned()
    }
}

/// The distinct names of a list, split as Flume splits component lists: at any run of Java's `\s`.
/// Tells of names that come twice, and of names beyond a bound.
pub(super) fn names<'t>(list: &'t str, mut tell: impl FnMut(ProblemKind)) -> Vec<&'t str> {
    let split = list.split([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let mut names: Vec<&'t str> = Vec::new();
    for name in split.filter(|name| !name.is_empty()) {
        if names.contains(&name) {
            let name = name.to_owned();
            tell(ProblemKind::ListedTwice { name });
        } else if names.len() == NAMES_MAX {
            tell(ProblemKind::TooManyNames { most: NAMES_MAX });
            break;
        } else {
            names.push(name);
        }
    }
    names
}

/// Whether a component with these findings cannot run.
pub(super) fn is_broken(findings: &[Finding]) -> bool {
    findings
        .iter()
        .any(|finding| finding.severity == Severity::Error)
}
