//! [`Tree`]: one agent's entries by component.

use std::collections::BTreeMap;

use super::entries::Entries;
use super::section::Settings;
use crate::config::component::ComponentKind;
use crate::config::nearest::nearest;
use crate::config::problem::{Finding, ProblemKind};

const KINDS: [ComponentKind; 4] = [
    ComponentKind::Channel,
    ComponentKind::Source,
    ComponentKind::Sink,
    ComponentKind::SinkGroup,
];

/// One agent's entries by component.
#[derive(Debug, Default)]
pub(super) struct Tree<'t> {
    lists: BTreeMap<ComponentKind, &'t str>,
    components: BTreeMap<ComponentKind, BTreeMap<&'t str, Settings<'t>>>,
}

impl<'t> Tree<'t> {
    /// Also tells of keys that are not the agent's, or no agent's.
    pub(super) fn new(entries: &'t Entries, agent: &str) -> (Self, Vec<Finding>) {
        let mut tree = Self::default();
        let mut findings = Vec::new();
        let mut others: BTreeMap<&str, bool> = BTreeMap::new();
        let mut is_there = false;
        for (key, entry) in entries.iter() {
            // Flume leaves it out, too.
            if entry.value.is_empty() {
                continue;
            }
            match key.split_once('.') {
                Some((name, rest)) if name == agent => {
                    is_there = true;
                    if let Err(kind) = tree.add(rest, &entry.value) {
                        findings.push(Finding::warning(key, kind));
                    }
                }
                Some((name, rest)) if !name.is_empty() => {
                    let has_list = KINDS.iter().any(|kind| kind.list() == rest);
                    *others.entry(name).or_default() |= has_list;
                }
                _ => findings.push(Finding::warning(key, ProblemKind::NoAgentName)),
            }
        }
        if is_there {
            findings.extend(
                others
                    .iter()
                    .map(|(name, is_agent)| other(name, *is_agent, agent)),
            );
        } else {
            findings.push(no_such(agent, &others));
        }
        (tree, findings)
    }

    pub(super) fn list(&self, kind: ComponentKind) -> Option<&'t str> {
        self.lists.get(&kind).copied()
    }

    pub(super) fn take(&mut self, kind: ComponentKind, name: &str) -> Option<Settings<'t>> {
        self.components.get_mut(&kind)?.remove(name)
    }

    /// The names of the components that no one took.
    pub(super) fn left(&self, kind: ComponentKind) -> Vec<&'t str> {
        let left = self
            .components
            .get(&kind)
            .map(|named| named.keys().copied());
        left.into_iter().flatten().collect()
    }

    fn add(&mut self, key: &'t str, value: &'t str) -> Result<(), ProblemKind> {
        if let Some(kind) = KINDS.into_iter().find(|kind| kind.list() == key) {
            self.lists.insert(kind, value);
            return Ok(());
        }
        let (group, rest) = key.split_once('.').unwrap_or((key, ""));
        let kind = KINDS.into_iter().find(|kind| kind.list() == group);
        let setting = rest.split_once('.');
        let setting = setting.filter(|(name, key)| !name.is_empty() && !key.is_empty());
        if let (Some(kind), Some((name, key))) = (kind, setting) {
            let named = self.components.entry(kind).or_default();
            named.entry(name).or_default().insert(key, value);
            return Ok(());
        }
        if group == "configfilters" {
            let (what, name) = ("agent setting", group.to_owned());
            return Err(ProblemKind::LeftOut { what, name });
        }
        let groups = KINDS.iter().map(|kind| kind.list());
        let nearest = nearest(group, groups).filter(|nearest| nearest != group);
        Err(ProblemKind::UnknownGroup { nearest })
    }
}

fn other(name: &str, is_agent: bool, agent: &str) -> Finding {
    let name = name.to_owned();
    if is_agent {
        return Finding::note(name.clone(), ProblemKind::OtherAgent { name });
    }
    let nearest = nearest(&name, [agent]);
    Finding::warning(name.clone(), ProblemKind::StrayAgent { name, nearest })
}

fn no_such(agent: &str, others: &BTreeMap<&str, bool>) -> Finding {
    let agents = others.iter().filter(|(_, is_agent)| **is_agent);
    let kind = ProblemKind::NoSuchAgent {
        name: agent.to_owned(),
        others: agents.map(|(name, _)| (*name).to_owned()).collect(),
        nearest: nearest(agent, others.keys().copied()),
    };
    Finding::error("", kind)
}
