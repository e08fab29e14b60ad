//! What a scenario's properties file is written in, and filled with.
//!
//! A line tells all of a component of `a1`, and may go on in indented ones:
//!
//! ```text
//! sources.r1: type = avro, port = {r1_port}, channels = c1
//! channels.c1: type = memory, capacity = 100, transactionCapacity = 100
//!   keep-alive = 0
//! ```
//!
//! The agent gets a line for each setting, `a1.sources.r1.type = avro`, and the lists of what it has,
//! `a1.sources = r1`. A source or a sink with a port is on 127.0.0.1 if it names no host. Lines that
//! are in Flume's own form stay as they are. No value has `, ` in it, and no line in Flume's own form
//! has `: `.
//!
//! | placeholder | becomes |
//! |---|---|
//! | `{x_port}` | a free port, for a source that has to come up |
//! | `{x_peer}` | the port of a [`Peer`] of the harness, which listens before the agent starts |
//! | `{x_nobody}` | a port on which nobody ever listens |
//! | `{x_dir}` | an empty directory |
//! | `{x_keystore}` | the file that an agent of this kind takes as `keystore` |

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use flume_tests::{Port, free_ports};
use tempfile::TempDir;

use super::kind::Kind;
use super::peer::Peer;
use crate::keys::{Keys, PemKeys};

/// What only lists the components of an agent; these lines of several flows become one.
const LISTS: [&str; 4] = ["a1.sources", "a1.channels", "a1.sinks", "a1.sinkgroups"];

/// A properties file without placeholders, and what stands in their places.
pub(crate) struct Setup {
    pub(crate) properties: String,
    ports: BTreeMap<String, u16>,
    peers: BTreeMap<String, Peer>,
    nobodys: BTreeMap<String, Port>,
    dir: TempDir,
    kind: Kind,
}

impl Setup {
    pub(crate) fn new(template: &str, kind: Kind) -> Self {
        let mut setup = Self {
            properties: String::new(),
            ports: BTreeMap::new(),
            peers: BTreeMap::new(),
            nobodys: BTreeMap::new(),
            dir: TempDir::with_prefix("flume-suite-").unwrap(),
            kind,
        };
        let names = placeholders(template);
        setup.properties = written_out(template);
        let listening = names.iter().filter(|name| name.ends_with("_port"));
        let free = free_ports(listening.clone().count()).unwrap();
        setup.ports = listening.cloned().zip(free).collect();
        for name in names {
            let value = setup.value(&name);
            setup.properties = setup.properties.replace(&format!("{{{name}}}"), &value);
        }
        setup
    }

    /// Other properties with the same placeholders.
    pub(crate) fn filled(&self, template: &str) -> String {
        let mut properties = written_out(template);
        for name in placeholders(template) {
            let value = match name.rsplit_once('_') {
                Some((_, "port")) => self.ports[&name].to_string(),
                Some((_, "peer")) => self.peers[&name].addr().port().to_string(),
                Some((_, "nobody")) => self.nobodys[&name].addr().port().to_string(),
                Some((_, "keystore")) => self.keystore(),
                _ => self.dir(&name).display().to_string(),
            };
            properties = properties.replace(&format!("{{{name}}}"), &value);
        }
        properties
    }

    /// The address of a source that listens on this placeholder's port.
    pub(crate) fn addr(&self, port: &str) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports[port]).into()
    }

    pub(crate) fn peer(&self, name: &str) -> &Peer {
        &self.peers[name]
    }

    pub(crate) fn dir(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The sources that have to come up, and their ports. Without netcat sources: these have no
    /// counters that tell when they are up.
    pub(crate) fn sources(&self) -> Vec<(String, u16)> {
        let counted = |source: &&str| {
            let netcat = format!("a1.sources.{source}.type = netcat");
            !self.properties.lines().any(|line| line == netcat)
        };
        let ports = self.source_ports();
        let own = ports.filter_map(|(source, port)| Some((source, self.own_port(port)?)));
        own.filter(|(source, _)| counted(source))
            .map(|(source, port)| (source.to_owned(), port))
            .collect()
    }

    /// Whether some source has a port that is not ours to give, and may well fail to get it.
    pub(crate) fn has_doubtful_source(&self) -> bool {
        self.source_ports()
            .any(|(_, port)| self.own_port(port).is_none())
    }

    fn own_port(&self, port: &str) -> Option<u16> {
        let port = port.parse().ok()?;
        self.ports.values().any(|own| *own == port).then_some(port)
    }

    fn source_ports(&self) -> impl Iterator<Item = (&str, &str)> {
        self.properties.lines().filter_map(|line| {
            let (key, value) = line.split_once('=')?;
            let source = key.trim().strip_prefix("a1.sources.")?;
            Some((source.strip_suffix(".port")?, value.trim()))
        })
    }

    fn keystore(&self) -> String {
        match self.kind {
            Kind::Flume(_) => Keys::get().jks("agent"),
            Kind::Mini => PemKeys::get().both.display().to_string(),
        }
    }

    fn value(&mut self, name: &str) -> String {
        if let Some(port) = self.ports.get(name) {
            return port.to_string();
        }
        if name.ends_with("_peer") {
            let peer = Peer::start();
            let port = peer.addr().port();
            self.peers.insert(name.to_owned(), peer);
            return port.to_string();
        }
        if name.ends_with("_nobody") {
            let port = Port::reserve();
            let number = port.addr().port();
            self.nobodys.insert(name.to_owned(), port);
            return number.to_string();
        }
        if name.ends_with("_keystore") {
            return self.keystore();
        }
        assert!(name.ends_with("_dir"), "the placeholder {{{name}}}");
        let dir = self.dir(name);
        std::fs::create_dir(&dir).unwrap();
        dir.display().to_string()
    }
}

/// One properties file with everything that is in `flows`, whose components bear different names.
pub(crate) fn merge<'a>(flows: impl IntoIterator<Item = &'a str>) -> String {
    let mut lists: BTreeMap<&str, String> = BTreeMap::new();
    let mut rest: BTreeMap<&str, &str> = BTreeMap::new();
    let flows: String = flows.into_iter().map(written_out).collect();
    for line in flows.lines() {
        let (key, value) = line.split_once('=').expect("a line with a value");
        let (key, value) = (key.trim(), value.trim());
        if LISTS.contains(&key) {
            let list = lists.entry(key).or_default();
            *list = format!("{list} {value}");
        } else {
            let twice = rest.insert(key, value).is_some();
            assert!(!twice, "two flows set {key}");
        }
    }
    let lists = lists.iter().map(|(key, value)| format!("{key} ={value}\n"));
    let rest = rest.iter().map(|(key, value)| format!("{key} = {value}\n"));
    lists.chain(rest).collect()
}

/// The same as Flume reads it: a line for each setting, and the lists of the components.
fn written_out(template: &str) -> String {
    let mut lists: BTreeMap<&str, String> = BTreeMap::new();
    let mut lines = Vec::new();
    let template = template.replace("\n  ", ", ");
    for line in template.lines().filter(|line| !line.is_empty()) {
        let Some((component, settings)) = line.split_once(": ") else {
            lines.push(line.to_owned());
            continue;
        };
        let (kind, name) = component.split_once('.').expect("a kind and a name");
        let list = lists.entry(kind).or_default();
        *list = format!("{list} {name}");
        let host = match kind {
            "sources" => "bind = ",
            _ => "hostname = ",
        };
        let has = |key: &str| settings.split(", ").any(|it| it.starts_with(key));
        if has("port = ") && !has(host) {
            lines.push(format!("a1.{component}.{host}127.0.0.1"));
        }
        let settings = settings.split(", ");
        lines.extend(settings.map(|setting| format!("a1.{component}.{setting}")));
    }
    let lists = lists.iter();
    lines.extend(lists.map(|(kind, names)| format!("a1.{kind} ={names}")));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The names between braces, each once.
fn placeholders(template: &str) -> Vec<String> {
    let mut names: Vec<_> = template
        .split('{')
        .skip(1)
        .map(|rest| rest.split_once('}').unwrap().0.to_owned())
        .collect();
    names.sort();
    names.dedup();
    names
}
