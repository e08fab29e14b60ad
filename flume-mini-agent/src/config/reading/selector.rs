//! A source's selector from its keys.

use super::section::{Section, names};
use super::types;
use crate::config::problem::ProblemKind;
use crate::config::selector::{MultiplexingConfig, SelectorConfig, no_channel};

const HEADER: &str = "flume.selector.header";

/// `channels` are those of the source.
pub(super) fn read(section: &mut Section<'_>, channels: &[String]) -> SelectorConfig {
    let type_name = section.text_or("type", "replicating");
    match types::SELECTORS.resolve(&type_name) {
        Ok("replicating") => read_replicating(section, channels),
        Ok(_) => SelectorConfig::Multiplexing(read_multiplexing(section, channels)),
        Err(problem) => {
            section.error("type", problem);
            section.ignore_rest();
            SelectorConfig::default()
        }
    }
}

fn read_replicating(section: &mut Section<'_>, channels: &[String]) -> SelectorConfig {
    let mut optional: Vec<String> = Vec::new();
    for name in section.list("optional") {
        if channels.iter().all(|channel| channel != name) {
            // Flume keeps a null for it and fails every batch at run time.
            section.warning("optional", no_channel(name, channels));
        } else {
            optional.push(name.to_owned());
        }
    }
    SelectorConfig::Replicating { optional }
}

fn read_multiplexing(section: &mut Section<'_>, channels: &[String]) -> MultiplexingConfig {
    let mut config = MultiplexingConfig::new(section.text_or("header", HEADER));
    if let Some(list) = section.text("default") {
        config.default = channel_list(section, "default", list, channels);
    }
    for (key, list) in section.rest() {
        let lists = match key.split_once('.') {
            Some(("mapping", value)) => (&mut config.mapping, value),
            Some(("optional", value)) => (&mut config.optional, value),
            _ => continue,
        };
        section.use_key(key);
        let (lists, value) = lists;
        lists.insert(value.to_owned(), channel_list(section, key, list, channels));
    }
    config.take_required_from_optional();
    config
}

/// Flume splits these lists at each single space, unlike all its others.
fn channel_list(
    section: &mut Section<'_>,
    key: &str,
    list: &str,
    channels: &[String],
) -> Vec<String> {
    let wanted = names(list, |kind| section.warning(key, kind));
    if list
        .split(' ')
        .any(|name| name.is_empty() || name.contains(char::is_whitespace))
    {
        let written = wanted.join(" ");
        section.error(key, ProblemKind::NotSingleSpaced { written });
    }
    for name in wanted
        .iter()
        .filter(|name| channels.iter().all(|other| other != *name))
    {
        section.error(key, no_channel(name, channels));
    }
    wanted.into_iter().map(str::to_owned).collect()
}
