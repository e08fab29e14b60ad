//! [`Assembly`]: one agent's components, read one after the other.
//!
//! The order is Flume's: channels, sources, sinks, groups; then channels that nobody uses. When
//! strict, a broken component still counts as there for those that refer to it, so that each
//! mistake is told once. When lenient, it is gone, and so may be those that need it.
//!
//! Sources: Flume's `FlumeConfiguration` (`validateChannels` and so on) and
//! `AbstractConfigurationProvider` (`loadChannels` and so on). Not as in Flume: an unknown type,
//! and a group with a sink that was dropped, stop the whole agent there; here they are dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::entries::{Entries, Strictness};
use super::group::read_processor;
use super::section::{Section, is_broken, names};
use super::tree::Tree;
use super::{channel, java_order, sink, source};
use crate::config::agent::AgentConfig;
use crate::config::component::ComponentKind;
use crate::config::group::SinkGroupConfig;
use crate::config::nearest::nearest;
use crate::config::problem::{Finding, Problem, ProblemKind};
use crate::config::selector::no_channel;

/// One agent's components, read one after the other.
#[derive(Debug)]
pub(super) struct Assembly<'t> {
    strictness: Strictness,
    entries: &'t Entries,
    tree: Tree<'t>,
    pub(super) config: AgentConfig,
    pub(super) findings: Vec<Finding>,
    pub(super) dropped: Vec<Dropped>,
    /// The components that others may refer to: see the module's words on broken ones.
    usable: BTreeMap<ComponentKind, BTreeSet<String>>,
    /// Channels that a source or sink uses.
    channels_used: BTreeSet<String>,
    /// Sinks in a group, and which.
    grouped: BTreeMap<String, String>,
}

/// A component that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// What it is.
    pub kind: ComponentKind,
    /// Its name.
    pub name: String,
    /// Why; never empty.
    pub reasons: Vec<Problem>,
}

impl<'t> Assembly<'t> {
    pub(super) fn new(agent: &str, strictness: Strictness, entries: &'t Entries) -> Self {
        let (tree, findings) = Tree::new(entries, agent);
        Self {
            strictness,
            entries,
            tree,
            config: AgentConfig::empty(agent),
            findings,
            dropped: Vec::new(),
            usable: BTreeMap::new(),
            channels_used: BTreeSet::new(),
            grouped: BTreeMap::new(),
        }
    }

    pub(super) fn run(&mut self) {
        for (name, section) in self.listed(ComponentKind::Channel) {
            self.channel(name, section);
        }
        for (name, section) in self.listed(ComponentKind::Source) {
            self.source(name, section);
        }
        for (name, section) in self.listed(ComponentKind::Sink) {
            self.sink(name, section);
        }
        self.drop_unused_channels();
        let groups = self.listed(ComponentKind::SinkGroup);
        // Flume goes through them in this order, which decides who gets a sink that two want.
        let order = groups.iter().map(|(name, _)| (*name).to_owned());
        let order = java_order::grown(&order.collect::<Vec<_>>());
        let mut groups: BTreeMap<&str, _> = groups.into_iter().collect();
        for name in order {
            if let Some((name, section)) = groups.remove_entry(name.as_str()) {
                self.group(name, section);
            }
        }
        self.drop_sinks_named_as_groups();
    }

    /// The settings of the listed components; tells of those without and of those not listed.
    fn listed(&mut self, kind: ComponentKind) -> Vec<(&'t str, Section<'t>)> {
        let list = format!("{}.{}", self.config.name, kind.list());
        let text = self.tree.list(kind).unwrap_or_default();
        let names = names(text, |kind| {
            self.findings.push(Finding::warning(list.as_str(), kind));
        });
        let mut sections = Vec::new();
        let mut bare = Vec::new();
        for name in &names {
            match self.tree.take(kind, name) {
                Some(settings) => {
                    sections.push((*name, Section::new(format!("{list}.{name}."), settings)));
                }
                None => bare.push(*name),
            }
        }
        let left = self.tree.left(kind);
        for name in bare {
            let nearest = nearest(name, left.iter().copied());
            let owned = name.to_owned();
            let problem = ProblemKind::NotConfigured {
                name: owned,
                nearest,
            };
            self.settle::<()>(
                kind,
                name,
                None,
                vec![Finding::error(list.as_str(), problem)],
            );
        }
        for name in left {
            let nearest = nearest(name, names.iter().copied());
            let (key, name) = (format!("{list}.{name}"), name.to_owned());
            let list = list.clone();
            let problem = ProblemKind::NotListed {
                name,
                list,
                nearest,
            };
            self.findings.push(Finding::warning(key, problem));
        }
        sections
    }

    fn channel(&mut self, name: &'t str, mut section: Section<'t>) {
        let config = channel::read(name, &mut section);
        let of = config.as_ref().map_or("this channel", channel::type_name);
        let mut findings = section.finish(of);
        if let Some(config) = &config {
            findings.extend(config.check(&self.prefix(ComponentKind::Channel, name)));
        }
        let config = self.settle(ComponentKind::Channel, name, config, findings);
        self.config.channels.extend(config);
    }

    fn source(&mut self, name: &'t str, mut section: Section<'t>) {
        let channels = self.source_channels(&mut section);
        let config = source::read(name, &mut section, channels.clone());
        let of = config.as_ref().map_or("this source", source::type_name);
        let config = self.settle(ComponentKind::Source, name, config, section.finish(of));
        if config.is_some() || self.is_strict() {
            self.channels_used.extend(channels);
        }
        self.config.sources.extend(config);
    }

    /// The channels of a source in Flume's order, without those that are not there.
    fn source_channels(&self, section: &mut Section<'t>) -> Vec<String> {
        let listed: Vec<_> = section
            .list("channels")
            .into_iter()
            .map(str::to_owned)
            .collect();
        if listed.is_empty() {
            section.error("channels", ProblemKind::Missing);
        }
        let mut channels = java_order::grown(&java_order::copied(&listed));
        let missing = listed.iter().filter_map(|name| {
            let problem = self.missing(ComponentKind::Channel, name)?;
            Some((name, problem))
        });
        let missing: Vec<_> = missing.collect();
        channels.retain(|channel| missing.iter().all(|(name, _)| *name != channel));
        for (_, problem) in missing {
            section.fault(channels.is_empty(), "channels", problem);
        }
        channels
    }

    fn sink(&mut self, name: &'t str, mut section: Section<'t>) {
        let config = sink::read(name, &mut section);
        let of = config.as_ref().map_or("this sink", sink::type_name);
        let wanted = section.text("channel").unwrap_or_default();
        if !wanted.is_empty()
            && let Some(problem) = self.missing(ComponentKind::Channel, wanted)
        {
            section.error("channel", problem);
        }
        let mut findings = section.finish(of);
        let channel = self.config.channel(wanted);
        if let (Some(config), Some(channel)) = (&config, channel) {
            findings.extend(config.check(&self.prefix(ComponentKind::Sink, name), channel));
        }
        let config = self.settle(ComponentKind::Sink, name, config, findings);
        if config.is_some() || self.is_strict() {
            self.channels_used.insert(wanted.to_owned());
        }
        self.config.sinks.extend(config);
    }

    fn group(&mut self, name: &'t str, mut section: Section<'t>) {
        let listed: Vec<_> = section
            .list("sinks")
            .into_iter()
            .map(str::to_owned)
            .collect();
        if listed.is_empty() {
            section.error("sinks", ProblemKind::Missing);
        }
        let mut sinks = java_order::copied(&listed);
        let not_free = listed.iter().filter_map(|sink| {
            let problem = self.not_free(sink)?;
            Some((sink, problem))
        });
        let not_free: Vec<_> = not_free.collect();
        sinks.retain(|sink| not_free.iter().all(|(other, _)| *other != sink));
        for (_, problem) in not_free {
            section.fault(sinks.is_empty(), "sinks", problem);
        }
        for sink in &sinks {
            self.grouped.insert(sink.clone(), name.to_owned());
        }
        // From here on Flume drops the group's sinks with the group.
        let has_sinks = !section.is_broken();
        let mut processor_section = section.sub("processor.");
        let processor = read_processor(&mut processor_section, &sinks);
        section.absorb(processor_section, "this processor");
        let config =
            processor.map(|processor| SinkGroupConfig::new(name, sinks.clone(), processor));
        let mut findings = section.finish("sink groups");
        if let Some(config) = config.as_ref().filter(|_| has_sinks) {
            findings.extend(config.check_count(&self.prefix(ComponentKind::SinkGroup, name)));
        }
        let config = self.settle(ComponentKind::SinkGroup, name, config, findings);
        if config.is_none() && has_sinks {
            self.drop_sinks_of(name, &sinks);
        }
        self.config.groups.extend(config);
    }

    fn drop_sinks_of(&mut self, group: &str, sinks: &[String]) {
        if self.is_strict() {
            return;
        }
        self.config.sinks.retain(|sink| !sinks.contains(&sink.name));
        for sink in sinks {
            let what = word(ComponentKind::SinkGroup);
            let kind = ProblemKind::Dropped {
                what,
                name: group.to_owned(),
            };
            let key = format!("{}.sinks.{sink}", self.config.name);
            self.drop_because(ComponentKind::Sink, sink, vec![Finding::error(key, kind)]);
        }
    }

    fn drop_sinks_named_as_groups(&mut self) {
        let sinks = self.config.sinks.iter().map(|sink| sink.name.clone());
        let alone = sinks.filter(|sink| !self.grouped.contains_key(sink));
        let named = alone.filter(|sink| self.grouped.values().any(|group| group == sink));
        for sink in named.collect::<Vec<_>>() {
            self.config.sinks.retain(|other| other.name != sink);
            let key = format!("{}.sinks.{sink}", self.config.name);
            let finding = Finding::error(key, ProblemKind::NamedAsGroup);
            self.drop_because(ComponentKind::Sink, &sink, vec![finding]);
        }
    }

    fn drop_unused_channels(&mut self) {
        // When strict, a mistake elsewhere may be all that keeps a channel from being used.
        let is_cause = |dropped: &Dropped| dropped.kind != ComponentKind::Channel;
        if self.is_strict() && self.dropped.iter().any(is_cause) {
            return;
        }
        let channels = std::mem::take(&mut self.config.channels);
        for channel in channels {
            if self.channels_used.contains(&channel.name) {
                self.config.channels.push(channel);
                continue;
            }
            let key = format!("{}.channels.{}", self.config.name, channel.name);
            let finding = Finding::warning(key, ProblemKind::Unused);
            self.drop_because(ComponentKind::Channel, &channel.name, vec![finding]);
        }
    }

    /// Keeps a component that can run, and drops one that cannot.
    fn settle<T>(
        &mut self,
        kind: ComponentKind,
        name: &str,
        component: Option<T>,
        findings: Vec<Finding>,
    ) -> Option<T> {
        let component = component.filter(|_| !is_broken(&findings));
        if component.is_some() || self.is_strict() {
            self.usable.entry(kind).or_default().insert(name.to_owned());
        }
        if component.is_some() {
            self.findings.extend(findings);
        } else {
            self.drop_because(kind, name, findings);
        }
        component
    }

    fn drop_because(&mut self, kind: ComponentKind, name: &str, findings: Vec<Finding>) {
        let worst = findings.iter().map(|finding| finding.severity).max();
        let reasons = findings
            .iter()
            .filter(|finding| Some(finding.severity) == worst);
        let located = reasons.map(|finding| self.entries.locate(finding.clone()));
        self.dropped.push(Dropped {
            kind,
            name: name.to_owned(),
            reasons: located.collect(),
        });
        self.findings.extend(findings);
    }

    /// Why a component cannot be referred to, if it cannot.
    fn missing(&self, kind: ComponentKind, name: &str) -> Option<ProblemKind> {
        let usable = self.usable.get(&kind);
        if usable.is_some_and(|usable| usable.contains(name)) {
            return None;
        }
        let (what, owned) = (word(kind), name.to_owned());
        if self
            .dropped
            .iter()
            .any(|dropped| dropped.kind == kind && dropped.name == name)
        {
            return Some(ProblemKind::Dropped { what, name: owned });
        }
        let known: Vec<String> = usable.into_iter().flatten().cloned().collect();
        Some(match kind {
            ComponentKind::Channel => no_channel(name, &known),
            _ => ProblemKind::NoSuchComponent {
                what,
                name: owned,
                nearest: nearest(name, known.iter().map(String::as_str)),
            },
        })
    }

    fn not_free(&self, sink: &str) -> Option<ProblemKind> {
        let taken = self
            .grouped
            .get(sink)
            .map(|group| ProblemKind::InAnotherGroup {
                sink: sink.to_owned(),
                group: group.clone(),
            });
        taken.or_else(|| self.missing(ComponentKind::Sink, sink))
    }

    fn prefix(&self, kind: ComponentKind, name: &str) -> String {
        format!("{}.{}.{name}.", self.config.name, kind.list())
    }

    pub(super) fn is_strict(&self) -> bool {
        self.strictness == Strictness::Strict
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} is dropped", word(self.kind), self.name)?;
        for (index, reason) in self.reasons.iter().enumerate() {
            let separator = if index == 0 { ": " } else { "; " };
            write!(f, "{separator}{reason}")?;
        }
        Ok(())
    }
}

fn word(kind: ComponentKind) -> &'static str {
    match kind {
        ComponentKind::Channel => "channel",
        ComponentKind::Source => "source",
        ComponentKind::Sink => "sink",
        ComponentKind::SinkGroup => "sink group",
    }
}
