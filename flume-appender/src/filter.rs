//! [`Filter`]: which records are wanted, by level and target, as `info,hyper=warn` says it.

use std::fmt;
use std::str::FromStr;

use crate::level::Level;

/// Which records are wanted.
///
/// A list of directives with commas between them: `LEVEL` holds for every target, `TARGET=LEVEL` for
/// the targets that begin with these letters, `TARGET` alone wants all of them. The longest one that
/// fits a target decides. `off` wants none. What no directive fits is not wanted.
///
/// ```
/// use flume_appender::{Filter, Level};
///
/// let filter: Filter = "info,hyper=warn,orders=debug".parse()?;
/// assert!(filter.wants(Level::Info, "billing"));
/// assert!(!filter.wants(Level::Info, "hyper::client"));
/// assert!(filter.wants(Level::Debug, "orders::placed"));
/// # Ok::<(), flume_appender::FilterError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The longest target first, so that the first one that fits decides; of equal length in the
    /// order of letters, so that filters which want the same are equal.
    directives: Vec<Directive>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Directive {
    target: String,
    /// The least level that is wanted; none, if nothing is.
    level: Option<Level>,
}

impl Filter {
    /// All records of a level or a greater one.
    #[must_use]
    pub fn of_level(level: Level) -> Self {
        Self {
            directives: vec![Directive {
                target: String::new(),
                level: Some(level),
            }],
        }
    }

    /// Whether a record is wanted.
    #[must_use]
    pub fn wants(&self, level: Level, target: &str) -> bool {
        let fits = |directive: &&Directive| target.starts_with(&directive.target);
        let decides = self.directives.iter().find(fits);
        let least = decides.and_then(|directive| directive.level);
        least.is_some_and(|least| level >= least)
    }

    /// The least level that is wanted of any target; none, if nothing is.
    #[must_use]
    pub fn least(&self) -> Option<Level> {
        let levels = self.directives.iter().filter_map(|it| it.level);
        levels.min()
    }

    /// The one level that holds for all targets, if there is one.
    pub(crate) fn of_all_targets(&self) -> Option<Option<Level>> {
        match self.directives.as_slice() {
            [] => Some(None),
            [only] if only.target.is_empty() => Some(only.level),
            _ => None,
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, directive) in self.directives.iter().rev().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            if !directive.target.is_empty() {
                write!(f, "{}=", directive.target)?;
            }
            match directive.level {
                Some(level) => f.write_str(&level.as_str().to_ascii_lowercase())?,
                None => f.write_str("off")?,
            }
        }
        Ok(())
    }
}

/// A filter that cannot be read.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{directive:?} in the filter {filter:?}: {fault}; write LEVEL or TARGET=LEVEL, as in \"info,hyper=warn\""
)]
pub struct FilterError {
    filter: String,
    directive: String,
    fault: &'static str,
}

impl fmt::Debug for FilterError {
    /// The message: it is what a `main` that returns the error prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let mut directives: Vec<Directive> = Vec::new();
        for part in text.split(',').map(str::trim) {
            if part.is_empty() {
                continue;
            }
            let directive = Directive::read(part).map_err(|fault| FilterError {
                filter: text.into(),
                directive: part.into(),
                fault,
            })?;
            // What is said last holds.
            directives.retain(|known| known.target != directive.target);
            directives.push(directive);
        }
        directives.sort_by(|one, other| {
            let by_length = other.target.len().cmp(&one.target.len());
            by_length.then_with(|| one.target.cmp(&other.target))
        });
        Ok(Self { directives })
    }
}

impl Directive {
    fn read(text: &str) -> Result<Self, &'static str> {
        let (target, level) = match text.split_once('=') {
            Some((target, level)) => (target.trim(), read_level(level.trim())?),
            None => match read_level(text) {
                Ok(level) => ("", level),
                Err(_) => (text, Some(Level::Trace)),
            },
        };
        let is_plain = |letter: char| letter.is_alphanumeric() || "_:-./".contains(letter);
        if !target.chars().all(is_plain) {
            return Err("a target has letters, digits, `_`, `:`, `-`, `.` and `/` only");
        }
        Ok(Self {
            target: target.into(),
            level,
        })
    }
}

fn read_level(text: &str) -> Result<Option<Level>, &'static str> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    let level = text.parse();
    level
        .map(Some)
        .map_err(|_| "the level is none of error, warn, info, debug, trace and off")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(filter: &str, level: Level, target: &str, expected: bool) {
        let read: Filter = filter.parse().unwrap();
        assert_eq!(read.wants(level, target), expected, "{filter} {target}");
        let again: Filter = read.to_string().parse().unwrap();
        assert_eq!(again, read, "{filter} is shown as {read}");
    }

    #[test]
    fn the_longest_target_that_fits_decides() {
        check("info", Level::Info, "a", true);
        check("info", Level::Debug, "a", false);
        check("INFO,a=off", Level::Error, "a::b", false);
        check("a=warn,a::b=trace", Level::Trace, "a::b::c", true);
        check("a::b=trace,a=warn", Level::Info, "a::c", false);
        check("a=warn", Level::Error, "b", false);
        check("a", Level::Trace, "a", true);
        check("", Level::Error, "a", false);
        check("warn, a = debug ,", Level::Debug, "a", true);
        check("a=warn,a=debug", Level::Debug, "a", true);
    }

    #[test]
    fn filters_that_want_the_same_are_equal_in_whatever_order_they_were_written() {
        let read = |text: &str| text.parse::<Filter>().unwrap();
        let filter = read("info,aa=warn,bb=off,c=trace");
        assert_eq!(filter, read("c=trace,bb=off,info,aa=warn"));
        assert_eq!(filter, read(&filter.to_string()));
        assert_ne!(filter, read("info,aa=off,bb=warn,c=trace"));
    }

    #[test]
    fn a_directive_that_is_none_is_named() {
        let error = "info,hyper=loud".parse::<Filter>().unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("\"hyper=loud\"") && text.contains("hyper=warn"),
            "{text}"
        );
        assert!("a[span]=info".parse::<Filter>().is_err());
    }

    #[test]
    fn the_least_level_of_any_target_is_known() {
        let least = |text: &str| text.parse::<Filter>().unwrap().least();
        assert_eq!(least("warn,a=debug"), Some(Level::Debug));
        assert_eq!(least("off"), None);
    }
}
