//! `${env:NAME}` in values.
//!
//! As Flume 1.10 and later, by way of commons-text: `${env:NAME:-DEFAULT}` has a default, `$${` is
//! a plain `${`, and what cannot be resolved stays as it is. Flume 1.9 resolves nothing.
//! Source: Flume's `MapResolver`.
//!
//! Not here: `sys:`, `java:`, `date:`, names of other keys, variables inside of variables, and
//! `${...}` inside of a variable's value. Each is told of by name.

use crate::config::problem::ProblemKind;

/// Looks up an environment variable.
pub(super) type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// The value with its variables put in, and what could not be resolved. Nothing more is put in
/// once there are more than `most` bytes.
pub(super) fn substitute(
    value: &str,
    lookup: &Lookup<'_>,
    most: usize,
) -> (String, Vec<ProblemKind>) {
    let mut text = String::with_capacity(value.len());
    let mut problems = Vec::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            text.push_str(before);
            text.push_str("${");
            rest = after;
            continue;
        }
        text.push_str(before);
        let Some((name, behind)) = after.split_once('}') else {
            text.push_str("${");
            rest = after;
            continue;
        };
        rest = behind;
        if text.len() > most {
            continue;
        }
        match resolve(name, lookup) {
            Ok(found) => text.push_str(&found),
            Err(problem) => {
                problems.push(problem);
                text.push_str("${");
                text.push_str(name);
                text.push('}');
            }
        }
    }
    text.push_str(rest);
    (text, problems)
}

fn resolve(name: &str, lookup: &Lookup<'_>) -> Result<String, ProblemKind> {
    let variable = match name.split_once(':') {
        Some((kind, variable)) if kind.eq_ignore_ascii_case("env") && !name.contains("${") => {
            variable
        }
        _ => {
            let name = name.to_owned();
            return Err(ProblemKind::UnknownLookup { name });
        }
    };
    let (variable, default) = match variable.split_once(":-") {
        Some((variable, default)) => (variable, Some(default)),
        None => (variable, None),
    };
    let found = lookup(variable).or_else(|| default.map(str::to_owned));
    let name = || variable.to_owned();
    let found = found.ok_or_else(|| ProblemKind::NoVariable { name: name() })?;
    if found.contains("${") {
        return Err(ProblemKind::NestedVariable { name: name() });
    }
    Ok(found)
}
