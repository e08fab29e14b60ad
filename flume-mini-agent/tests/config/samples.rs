//! Whole files as people write them.

use std::path::PathBuf;
use std::time::Duration;

use flume_mini_agent::config::{
    AgentConfig, ChannelKind, InterceptorConfig, Loaded, ProcessorConfig, Selection,
    SelectorConfig, SinkKind, SourceKind,
};

use crate::support::notes;

fn read(agent: &str, text: &str) -> Loaded {
    let env = |name: &str| (name == "PORT").then(|| "4141".to_owned());
    AgentConfig::reader(agent).env(env).read(text).unwrap()
}

#[test]
fn a_tier_that_spreads_its_load() {
    let loaded = read("web", include_str!("samples/web_to_tiers.properties"));
    assert_eq!(loaded.notes, []);
    let config = loaded.config;
    assert_eq!(config.sources[0].interceptors.len(), 2);
    assert_eq!(config.channel("mem").unwrap().transaction_capacity(), 1000);
    assert_eq!(config.sink("west").unwrap().batch_size(), 500);
    let ProcessorConfig::LoadBalance(balance) = &config.groups[0].processor else {
        panic!("{config:?}");
    };
    assert_eq!(balance.selection, Selection::Random);
    assert!(balance.backoff);
    assert_eq!(balance.max_backoff, Duration::from_secs(10));
}

#[test]
fn a_durable_collector_with_a_standby() {
    let loaded = read("collector", include_str!("samples/failover.properties"));
    let own = "has no effect here: the mini-agent's file channel has a format of its own";
    assert_eq!(
        notes(&loaded),
        [
            "collector.sources.in.threads: has no effect here: Flume 1.11 does not use it either",
            &format!("collector.channels.disk.useDualCheckpoints: {own}"),
            &format!("collector.channels.disk.backupCheckpointDir: {own}"),
            "collector.channels.disk.maxFileSize: is 2146435071, taken as 1623195647",
        ]
    );
    let SourceKind::Avro(source) = &loaded.config.sources[0].kind else {
        panic!("{:?}", loaded.config);
    };
    assert_eq!((source.bind.as_str(), source.port), ("127.0.0.1", 4141));
    let ChannelKind::File(disk) = &loaded.config.channels[0].kind else {
        panic!("{:?}", loaded.config);
    };
    let dirs = ["/disk1/flume/data", "/disk2/flume/data"].map(PathBuf::from);
    assert_eq!(disk.data_dirs, dirs);
    let ProcessorConfig::Failover(failover) = &loaded.config.groups[0].processor else {
        panic!("{:?}", loaded.config);
    };
    assert_eq!(
        failover.priorities,
        [("primary".to_owned(), 10), ("standby".to_owned(), 5)]
    );
}

#[test]
fn a_router_by_a_header() {
    let loaded = read("a1", include_str!("samples/routing.properties"));
    assert_eq!(loaded.notes, []);
    let source = &loaded.config.sources[0];
    let SelectorConfig::Multiplexing(selector) = &source.selector else {
        panic!("{source:?}");
    };
    assert_eq!(selector.header, "severity");
    assert_eq!(selector.mapping["ERROR"], ["errors", "files"]);
    assert_eq!(
        selector.optional["ERROR"],
        ["console"],
        "required ones are not optional"
    );
    assert_eq!(selector.default, ["files"]);
    assert_eq!(
        source.interceptors[1],
        InterceptorConfig::RegexFilter {
            regex: "^DEBUG\\b".to_owned(),
            exclude_events: true,
        }
    );
    let SinkKind::FileRoll(keep) = &loaded.config.sink("keep").unwrap().kind else {
        panic!("{:?}", loaded.config);
    };
    assert_eq!(keep.roll_interval, None);
}

#[test]
fn the_first_agent_anybody_writes() {
    let loaded = read("a1", include_str!("samples/netcat.properties"));
    assert_eq!(loaded.notes, []);
    assert!(matches!(
        loaded.config.sources[0].kind,
        SourceKind::Netcat(_)
    ));
}

#[test]
fn two_agents_in_one_file() {
    let text = include_str!("samples/two_agents.properties");
    let edge = read("edge", text).config;
    assert_eq!(
        edge.sources[0].selector,
        SelectorConfig::Replicating {
            optional: vec!["copy".to_owned()]
        }
    );
    let core = read("core", text).config;
    assert!(core.sinks.is_empty());
    assert_eq!(core.sources[0].channels, ["main"]);
}
