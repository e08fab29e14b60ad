//! A source's interceptors from its keys.

use std::collections::BTreeSet;

use super::section::Section;
use super::types;
use crate::config::interceptor::InterceptorConfig;
use crate::config::nearest::nearest;
use crate::config::problem::ProblemKind;

/// A source's interceptors in the order of its `interceptors` key.
pub(super) fn read_all(source: &mut Section<'_>) -> Vec<InterceptorConfig> {
    let listed = source.list("interceptors");
    let mut interceptors = Vec::new();
    for name in &listed {
        let mut section = source.sub(&format!("interceptors.{name}."));
        interceptors.extend(read(&mut section));
        source.absorb(section, "this interceptor");
    }
    find_unlisted(source, &listed);
    interceptors
}

fn read(section: &mut Section<'_>) -> Option<InterceptorConfig> {
    let type_name = section.required("type");
    let alias = match types::INTERCEPTORS.resolve(&type_name) {
        Ok(alias) => alias,
        Err(problem) => {
            if !type_name.is_empty() {
                section.error("type", problem);
            }
            section.ignore_rest();
            return None;
        }
    };
    Some(match alias {
        "timestamp" => InterceptorConfig::Timestamp {
            header: section.text_or("headerName", "timestamp"),
            preserve_existing: section.flag("preserveExisting", false),
        },
        "host" => InterceptorConfig::Host {
            header: section.text_or("hostHeader", "host"),
            use_ip: section.flag("useIP", true),
            preserve_existing: section.flag("preserveExisting", false),
        },
        "static" => InterceptorConfig::Static {
            key: section.text_or("key", "key"),
            value: section.text_or("value", "value"),
            preserve_existing: section.flag("preserveExisting", true),
        },
        "regex_filter" => InterceptorConfig::RegexFilter {
            regex: section.text_or("regex", ".*"),
            exclude_events: section.flag("excludeEvents", false),
        },
        _ => InterceptorConfig::Uuid {
            header: section.text_or("headerName", "id"),
            preserve_existing: section.flag("preserveExisting", true),
            prefix: section.text_or("prefix", ""),
        },
    })
}

fn find_unlisted(source: &mut Section<'_>, listed: &[&str]) {
    let mut told = BTreeSet::new();
    for (key, _) in source.rest() {
        let Some((name, _)) = key
            .strip_prefix("interceptors.")
            .and_then(|k| k.split_once('.'))
        else {
            continue;
        };
        source.use_key(key);
        if told.insert(name) {
            let nearest = nearest(name, listed.iter().copied());
            let (name, list) = (name.to_owned(), "interceptors".to_owned());
            source.warning(
                key,
                ProblemKind::NotListed {
                    name,
                    list,
                    nearest,
                },
            );
        }
    }
}
