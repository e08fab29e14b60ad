//! A sink group's processor from its keys.

use super::section::{Bad, Number, Section};
use super::{java_order, types};
use crate::config::group::{
    FailoverConfig, LoadBalanceConfig, MAX_PENALTY, ProcessorConfig, Selection,
};
use crate::config::problem::{ProblemKind, bad_value};

/// Flume's guide calls `default` the default, but its code removes a group without a type.
pub(super) fn read_processor(
    section: &mut Section<'_>,
    sinks: &[String],
) -> Option<ProcessorConfig> {
    let type_name = section.required("type");
    match types::PROCESSORS.resolve(&type_name) {
        Ok("default") => Some(ProcessorConfig::Default),
        Ok("failover") => Some(ProcessorConfig::Failover(read_failover(section, sinks))),
        Ok(_) => Some(ProcessorConfig::LoadBalance(read_load_balance(section))),
        Err(problem) => {
            if !type_name.is_empty() {
                section.error("type", problem);
            }
            section.ignore_rest();
            None
        }
    }
}

fn read_failover(section: &mut Section<'_>, sinks: &[String]) -> FailoverConfig {
    let penalty = Number::int(MAX_PENALTY, 0).bad(Bad::Default, Bad::Clamp);
    let mut config = FailoverConfig::new(Vec::<(String, i32)>::new());
    config.max_penalty = section.millis("maxpenalty", penalty);
    let mut next = 0;
    let rest = section.rest();
    for sink in java_order::grown(sinks) {
        let wanted = |key: &str| key.strip_prefix("priority.") == Some(sink.as_str());
        let given = rest.iter().find(|(key, _)| wanted(key));
        let parsed = given.and_then(|(_, value)| value.parse().ok());
        if let Some((key, value)) = given {
            section.use_key(key);
            if parsed.is_none() {
                let problem = bad_value(value, "a whole number; Flume takes the lowest");
                section.warning(key, problem);
            }
        }
        let priority = parsed.unwrap_or_else(|| {
            next -= 1;
            next
        });
        match config
            .priorities
            .iter()
            .find(|(_, other)| *other == priority)
        {
            None => config.priorities.push((sink, priority)),
            Some((kept, _)) => {
                let key = given.map_or("priority", |(key, _)| key);
                let (kept, lost) = (kept.clone(), sink);
                section.warning(
                    key,
                    ProblemKind::SamePriority {
                        kept,
                        lost,
                        priority,
                    },
                );
            }
        }
    }
    config.sort();
    config
}

fn read_load_balance(section: &mut Section<'_>) -> LoadBalanceConfig {
    let selector = section.text_or("selector", "round_robin");
    let selection = match types::SINK_SELECTORS.resolve(&selector) {
        Ok("random") => Selection::Random,
        Ok(_) => Selection::RoundRobin,
        Err(problem) => {
            section.error("selector", problem);
            Selection::RoundRobin
        }
    };
    let longest = Number::long(0, 0).bad(Bad::Break, Bad::Clamp);
    let longest = section.millis("selector.maxTimeOut", longest);
    let default = LoadBalanceConfig::default();
    LoadBalanceConfig {
        selection,
        backoff: section.flag("backoff", default.backoff),
        // 0 means the default in Flume.
        max_backoff: if longest.is_zero() {
            default.max_backoff
        } else {
            longest
        },
    }
}
