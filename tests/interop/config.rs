//! What is left of a configuration when we are lenient, against Flume itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use flume_mini_agent::config::{AgentConfig, ProcessorConfig, SinkGroupConfig};
use flume_tests::{Version, require_java, run_java_program};

use crate::for_both_versions;

/// Two sources, two channels, three sinks.
const AGENT: &str = "\
a1.sources = r1 r2
a1.channels = c1 c2
a1.sinks = k1 k2 k3
a1.sources.r1.type = avro
a1.sources.r1.bind = localhost
a1.sources.r1.port = 4141
a1.sources.r1.channels = c1 c2
a1.sources.r2.type = netcat
a1.sources.r2.bind = localhost
a1.sources.r2.port = 4142
a1.sources.r2.channels = c2
a1.channels.c1.type = memory
a1.channels.c2.type = memory
a1.sinks.k1.type = logger
a1.sinks.k1.channel = c1
a1.sinks.k2.type = null
a1.sinks.k2.channel = c2
a1.sinks.k3.type = avro
a1.sinks.k3.hostname = localhost
a1.sinks.k3.port = 4143
a1.sinks.k3.channel = c2
";

/// Changes to [`AGENT`]: lines in place of those of the same key, and lines to leave out.
const CASES: [&str; 57] = [
    "",
    // Names and lists.
    "sources=",
    "sinks=",
    "channels=",
    "sources=r1",
    "sources=r1 r1 r2",
    "sources=r1\tr2  r3",
    "foo=bar",
    "source.r1.type=http",
    "sources.r1=avro",
    // Components that lack something.
    "sources.r1.type",
    "sources.r1.bind",
    "sources.r1.port=",
    "sources.r1.port=x",
    "sources.r1.channels",
    "sources.r1.channels=c3",
    "sources.r1.channels=c3 c1",
    "channels.c1.type",
    "channels.c1.type;channels.c2.type",
    "sinks.k1.type",
    "sinks.k1.channel",
    "sinks.k1.channel=c3",
    "sinks.k1.channel=c2",
    "sinks.k1.channel=c2;sources.r1.channels=c2",
    "sinks.k3.hostname",
    "sinks.k3.port=x",
    // Sizes.
    "channels.c1.capacity=0",
    "channels.c1.capacity=99",
    "channels.c1.capacity=x",
    "channels.c1.transactionCapacity=101",
    "channels.c1.transactionCapacity=3000000000",
    "channels.c2.transactionCapacity=99",
    "channels.c2.transactionCapacity=99;sinks.k2.batchSize=99",
    "sinks.k2.batchSize=0",
    "sinks.k2.batchSize=101",
    "sinks.k3.batch-size=x",
    "sinks.k3.batch-size=101",
    "sinks.k3.reset-connection-interval=x",
    "channels.c2.type=file;channels.c2.capacity=x",
    "channels.c2.type=file;channels.c2.transactionCapacity=2000000",
    "channels.c2.type=file;channels.c2.encryption.activeKey=x",
    "channels.c2.type=file;channels.c2.useDualCheckpoints=true",
    "sinks.k1.type=file_roll",
    "sinks.k1.type=file_roll;sinks.k1.sink.directory=/d;sinks.k1.sink.rollInterval=x",
    // Selectors and interceptors.
    "sources.r1.selector.optional=c2",
    "sources.r1.selector.type=multiplexing",
    "sources.r1.selector.type=multiplexing;sources.r1.selector.mapping.x=c1 c2",
    "sources.r1.selector.type=multiplexing;sources.r1.selector.mapping.x=c1  c2",
    "sources.r1.selector.type=multiplexing;sources.r1.selector.mapping.x=c3",
    "sources.r1.selector.type=multiplexing;sources.r1.selector.default=c3",
    "sources.r1.selector.type=multiplexing;channels.c1.capacity=99;sources.r1.selector.mapping.x=c1",
    "sources.r1.interceptors=i1",
    "sources.r1.interceptors=i1;sources.r1.interceptors.i1.type=timestamp",
    // Types by class.
    "sources.r1.type=org.apache.flume.source.AvroSource",
    "channels.c1.type=org.apache.flume.channel.MemoryChannel",
    "sinks.k1.type=LOGGER",
    "sinkgroups=k1;sinkgroups.k1.sinks=k2 k3;sinkgroups.k1.processor.type=failover",
];

/// Changes to a group of all three sinks.
const GROUPS: [&str; 20] = [
    "processor.type=failover",
    "processor.type=failover;processor.priority.k1=1;processor.priority.k2=7",
    "processor.type=failover;processor.priority.k1=7;processor.priority.k2=7",
    "processor.type=failover;processor.priority.k1=-1",
    "processor.type=failover;processor.priority.k2=x",
    "processor.type=failover;processor.maxpenalty=x",
    "processor.type=load_balance",
    "processor.type=load_balance;processor.selector=RANDOM;processor.backoff=true",
    "processor.type=load_balance;processor.selector=fastest",
    "processor.type=load_balance;processor.selector.maxTimeOut=x",
    "processor.type=load_balance;sinks=k1",
    "processor.type=default",
    "processor.type=default;sinks=k2",
    "processor.type=org.apache.flume.sink.FailoverSinkProcessor",
    "processor.type=random",
    "processor.x=1",
    "processor.type=failover;sinks=k2 k4",
    "processor.type=failover;sinks=k4",
    "processor.type=failover;sinks=k1 k2 k2",
    "x=1;sinks=k1 k2",
];

/// Where Flume starts nothing at all, for one component's sake. We drop the component.
const FLUME_STOPS: [&str; 5] = [
    "sources.r1.type=nothing",
    "channels.c1.type=nothing",
    "sinks.k1.type=nothing",
    "sinkgroups=g1;sinkgroups.g1.processor.type=failover",
    "sinkgroups=g1;sinkgroups.g1.sinks=k1 k2;sinkgroups.g1.processor.type=failover;sinks.k2.batchSize=101",
];

fn changed(case: &str) -> String {
    let mut lines: Vec<String> = AGENT.lines().map(str::to_owned).collect();
    for change in case.split(';').filter(|change| !change.is_empty()) {
        let key = change.split('=').next().unwrap();
        lines.retain(|line| !line.starts_with(&format!("a1.{key} =")));
        if change.contains('=') {
            lines.push(format!("a1.{change}"));
        }
    }
    lines.join("\n")
}

fn grouped(case: &str) -> String {
    let case = case
        .split(';')
        .map(|change| format!(";sinkgroups.g1.{change}"));
    let case: String = case.collect();
    let sinks = if case.contains(".sinks=") {
        ""
    } else {
        ";sinkgroups.g1.sinks=k3 k2 k1"
    };
    changed(&format!("sinkgroups=g1{sinks}{case}"))
}

/// What is left of a configuration, as `ConfigDump.java` prints it.
fn ours(text: &str) -> String {
    let Ok(loaded) = AgentConfig::reader("a1").lenient().read(text) else {
        return "channels=".to_owned();
    };
    let config = loaded.config;
    let channels: BTreeSet<_> = config.channels.iter().map(|c| c.name.as_str()).collect();
    let channels: Vec<_> = channels.into_iter().collect();
    let sources: BTreeMap<_, _> = config
        .sources
        .iter()
        .map(|source| (&source.name, source.channels.join(",")))
        .collect();
    let mut runners: BTreeMap<_, _> = config
        .groups
        .iter()
        .map(|group| (&group.name, sinks_of(group).join(",")))
        .collect();
    for sink in &config.sinks {
        if config.group_of(&sink.name).is_none() {
            runners.insert(&sink.name, sink.name.clone());
        }
    }
    let mut parts = vec![format!("channels={}", channels.join(","))];
    parts.extend(
        sources
            .iter()
            .map(|(name, channels)| format!("source {name}={channels}")),
    );
    parts.extend(
        runners
            .iter()
            .map(|(name, sinks)| format!("runner {name}={sinks}")),
    );
    parts.join(";")
}

fn sinks_of(group: &SinkGroupConfig) -> Vec<String> {
    match &group.processor {
        ProcessorConfig::Failover(failover) => {
            let sinks = failover.priorities.iter();
            sinks
                .map(|(sink, priority)| format!("{sink}:{priority}"))
                .collect()
        }
        _ => group.sinks.clone(),
    }
}

/// What Flume leaves of each text.
fn flume(version: Version, texts: &[String]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let files: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let file = directory.path().join(format!("{index}.properties"));
            fs::write(&file, text).unwrap();
            file
        })
        .collect();
    let output = run_java_program(version, "ConfigDump", &files).unwrap();
    let results = output
        .lines()
        .filter_map(|line| line.strip_prefix("RESULT "));
    let results: Vec<_> = results.map(str::to_owned).collect();
    assert_eq!(results.len(), texts.len(), "{output}");
    results
}

#[test]
fn what_is_left_when_lenient_is_what_flume_leaves() {
    for_both_versions(|version| {
        let texts = CASES.iter().map(|case| changed(case));
        let texts: Vec<_> = texts
            .chain(GROUPS.iter().map(|case| grouped(case)))
            .collect();
        let mut differences = String::new();
        for ((case, text), flume) in CASES
            .iter()
            .chain(&GROUPS)
            .zip(&texts)
            .zip(flume(version, &texts))
        {
            let ours = ours(text);
            if ours != flume {
                differences += &format!("{case}\n  flume {flume}\n  ours  {ours}\n");
            }
        }
        assert!(differences.is_empty(), "\n{differences}");
    });
}

#[test]
fn where_flume_stops_for_one_component_we_drop_it() {
    for_both_versions(|version| {
        let texts: Vec<_> = FLUME_STOPS.iter().map(|case| changed(case)).collect();
        for (text, flume) in texts.iter().zip(flume(version, &texts)) {
            assert!(
                flume.starts_with("throws") || flume == "channels=",
                "{flume}\n{text}"
            );
            assert_ne!(ours(text), "channels=", "{text}");
        }
    });
}

#[test]
fn variables_are_put_in_as_flume_1_11_does() {
    if !require_java() {
        return;
    }
    let cases = [
        "${env:NO_SUCH_VARIABLE:-c1}",
        "${ENV:NO_SUCH_VARIABLE:-c1}",
        "${env:NO_SUCH_VARIABLE:-c}1",
        "$${env:NO_SUCH_VARIABLE:-c1} c2",
        "c1 ${env:NO_SUCH_VARIABLE}",
        "${env:NO_SUCH_VARIABLE:-}c2",
        "c1 ${ $ {} c2",
    ];
    let texts = cases.map(|case| changed(&format!("sources.r1.channels={case}")));
    for (text, flume) in texts.iter().zip(flume(Version::V1_11, &texts)) {
        assert_eq!(ours(text), flume, "\n{text}");
    }
}

/// An agent whose names are random and whose lists are long.
fn random_agent(random: &mut fastrand::Rng) -> String {
    let mut names = |most: usize| {
        let count = random.usize(1..=most);
        let mut names: Vec<String> = Vec::new();
        while names.len() < count {
            let length = random.usize(1..8);
            let name: String = (0..length).map(|_| random.alphanumeric()).collect();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    };
    let (channels, sinks, groups) = (names(30), names(30), names(6));
    let mut text = format!(
        "a1.channels = {0}\na1.sources = r1\na1.sources.r1.type = http\n\
         a1.sources.r1.port = 1\na1.sources.r1.channels = {0}\n\
         a1.sinks = {1}\na1.sinkgroups = {2}\n",
        channels.join(" "),
        sinks.join(" "),
        groups.join(" "),
    );
    for channel in &channels {
        text += &format!("a1.channels.{channel}.type = memory\n");
    }
    for sink in &sinks {
        let channel = random.choice(&channels).unwrap();
        text += &format!("a1.sinks.{sink}.type = null\na1.sinks.{sink}.channel = {channel}\n");
    }
    for (index, group) in groups.iter().enumerate() {
        let count = random.usize(1..=sinks.len());
        let members = random.choose_multiple(&sinks, count);
        let members: Vec<_> = members.into_iter().map(String::as_str).collect();
        let processor = ["failover", "load_balance"][index % 2];
        text += &format!(
            "a1.sinkgroups.{group}.sinks = {}\na1.sinkgroups.{group}.processor.type = {processor}\n",
            members.join(" ")
        );
    }
    text
}

#[test]
fn channels_sinks_and_groups_come_in_flumes_order() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    for_both_versions(|version| {
        let mut random = fastrand::Rng::with_seed(seed);
        let texts: Vec<_> = (0..200).map(|_| random_agent(&mut random)).collect();
        for (text, flume) in texts.iter().zip(flume(version, &texts)) {
            assert_eq!(ours(text), flume, "\n{text}");
        }
    });
}
