//! [`InterceptorConfig`]: what a source does with each event before a channel sees it.
//!
//! Sources: the `Builder`s and `Constants` in Flume's interceptor classes, and
//! `ChannelProcessor.configureInterceptors`.

use std::collections::BTreeSet;

use super::problem::ProblemKind;
use super::section::Section;
use super::types;

/// One interceptor of a source, by its type.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InterceptorConfig {
    /// `timestamp`: the time in milliseconds.
    Timestamp {
        /// `headerName`: `timestamp`.
        header: String,
        /// `preserveExisting`: false.
        preserve_existing: bool,
    },
    /// `host`: this host's address or name.
    Host {
        /// `hostHeader`: `host`.
        header: String,
        /// `useIP`: true; else the name.
        use_ip: bool,
        /// `preserveExisting`: false.
        preserve_existing: bool,
    },
    /// `static`: a fixed header.
    Static {
        /// `key`: `key`.
        key: String,
        /// `value`: `value`.
        value: String,
        /// `preserveExisting`: true.
        preserve_existing: bool,
    },
    /// `regex_filter`: keeps or drops events by their body.
    RegexFilter {
        /// `regex`: `.*`, in Java's syntax; it is not checked here.
        regex: String,
        /// `excludeEvents`: false; if true, matching events are dropped, not kept.
        exclude_events: bool,
    },
    /// The morphline sink's `UUIDInterceptor$Builder`: a random UUID.
    Uuid {
        /// `headerName`: `id`.
        header: String,
        /// `preserveExisting`: true.
        preserve_existing: bool,
        /// `prefix`: empty.
        prefix: String,
    },
}

impl InterceptorConfig {
    /// A source's interceptors in the order of its `interceptors` key.
    pub(super) fn read_all(source: &mut Section<'_>) -> Vec<Self> {
        let listed = source.list("interceptors");
        let mut interceptors = Vec::new();
        for name in &listed {
            let mut section = source.sub(&format!("interceptors.{name}."));
            interceptors.extend(Self::read(&mut section));
            source.absorb(section, "this interceptor");
        }
        Self::find_unlisted(source, &listed);
        interceptors
    }

    fn read(section: &mut Section<'_>) -> Option<Self> {
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
            "timestamp" => Self::Timestamp {
                header: section.text_or("headerName", "timestamp"),
                preserve_existing: section.flag("preserveExisting", false),
            },
            "host" => Self::Host {
                header: section.text_or("hostHeader", "host"),
                use_ip: section.flag("useIP", true),
                preserve_existing: section.flag("preserveExisting", false),
            },
            "static" => Self::Static {
                key: section.text_or("key", "key"),
                value: section.text_or("value", "value"),
                preserve_existing: section.flag("preserveExisting", true),
            },
            "regex_filter" => Self::RegexFilter {
                regex: section.text_or("regex", ".*"),
                exclude_events: section.flag("excludeEvents", false),
            },
            _ => Self::Uuid {
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
                let nearest = super::nearest::nearest(name, listed.iter().copied());
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
}
