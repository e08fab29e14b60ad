//! The same configurations in code.

use flume_mini_agent::config::{
    AgentConfig, AgentConfigBuilder, AvroSourceConfig, FailoverConfig, InterceptorConfig,
    LoadBalanceConfig, LoggerSinkConfig, MemoryChannelConfig, MultiplexingConfig, NullSinkConfig,
    ProcessorConfig, SourceConfig,
};

use crate::support::{AGENT, agent, strict};

fn builder() -> AgentConfigBuilder {
    AgentConfig::builder("a1")
        .channel("c1", MemoryChannelConfig::default())
        .source("r1", AvroSourceConfig::new("localhost", 4141), ["c1"])
        .sink("k1", LoggerSinkConfig::default(), "c1")
}

fn check(builder: AgentConfigBuilder, expected: &[&str]) {
    let error = builder.build().unwrap_err();
    let found: Vec<_> = error.problems().iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}

#[test]
fn an_agent_in_code_is_the_same_as_one_in_a_file() {
    assert_eq!(builder().build().unwrap(), strict(AGENT).unwrap().config);
}

#[test]
fn selectors_interceptors_and_groups_are_the_same_as_in_a_file() {
    let mut selector = MultiplexingConfig::new("state");
    selector.mapping.insert("CA".into(), vec!["c1".into()]);
    selector
        .optional
        .insert("CA".into(), vec!["c1".into(), "c2".into()]);
    selector.default = vec!["c2".into()];
    let source = SourceConfig::new("r1", AvroSourceConfig::new("localhost", 4141), ["c1", "c2"])
        .selector(selector)
        .interceptor(InterceptorConfig::Static {
            key: "dc".into(),
            value: "x".into(),
            preserve_existing: true,
        });
    let built = AgentConfig::builder("a1")
        .channel("c1", MemoryChannelConfig::default())
        .channel("c2", MemoryChannelConfig::default())
        .add_source(source)
        .sink("k1", LoggerSinkConfig::default(), "c1")
        .sink("k2", NullSinkConfig::default(), "c2")
        .group(
            "g1",
            ["k1", "k2"],
            FailoverConfig::new([("k1", 1), ("k2", 2)]),
        )
        .build()
        .unwrap();
    let text = agent(
        &["sinks = ", "channels = ", "sources.r1.channels"],
        "channels = c1 c2
channels.c2.type = memory
sources.r1.channels = c2 c1
sources.r1.selector.type = multiplexing
sources.r1.selector.header = state
sources.r1.selector.mapping.CA = c1
sources.r1.selector.optional.CA = c1 c2
sources.r1.selector.default = c2
sources.r1.interceptors = i1
sources.r1.interceptors.i1.type = static
sources.r1.interceptors.i1.key = dc
sources.r1.interceptors.i1.value = x
sinks = k1 k2
sinks.k2.type = null
sinks.k2.channel = c2
sinkgroups = g1
sinkgroups.g1.sinks = k1 k2
sinkgroups.g1.processor.type = failover
sinkgroups.g1.processor.priority.k1 = 1
sinkgroups.g1.processor.priority.k2 = 2",
    );
    assert_eq!(built, strict(&text).unwrap().config);
    assert_eq!(built.group_of("k2").unwrap().name, "g1");
    let ProcessorConfig::Failover(failover) = &built.groups[0].processor else {
        panic!("no failover");
    };
    assert_eq!(
        failover.priorities,
        [("k2".to_owned(), 2), ("k1".to_owned(), 1)]
    );
}

#[test]
fn what_leads_nowhere_is_an_error() {
    check(
        builder().source("r2", AvroSourceConfig::new("h", 0), ["c2"]),
        &["a1.sources.r2.channels: there is no channel \"c2\" here; did you mean \"c1\"?"],
    );
    check(
        builder().source("r2", AvroSourceConfig::new("h", 0), Vec::<String>::new()),
        &["a1.sources.r2.channels: is not set, and must be"],
    );
    check(
        builder().sink("k2", NullSinkConfig::default(), "x"),
        &["a1.sinks.k2.channel: there is no channel \"x\" here"],
    );
    check(
        builder().channel("c2", MemoryChannelConfig::default()),
        &["a1.channels.c2: no source and no sink uses the channel"],
    );
    check(
        builder().group("g1", ["k1", "k9"], LoadBalanceConfig::default()),
        &["a1.sinkgroups.g1.sinks: there is no sink \"k9\" here"],
    );
    check(
        builder().group("g1", ["k1"], FailoverConfig::new([("k2", 1)])),
        &["a1.sinkgroups.g1.processor.priority.k2: there is no sink \"k2\" here"],
    );
}

#[test]
fn names_must_be_names_and_unique() {
    check(
        builder().sink("k1", LoggerSinkConfig::default(), "c1"),
        &["a1.sinks.k1: there are two of this name"],
    );
    check(
        builder().sink("k 2", LoggerSinkConfig::default(), "c1"),
        &["a1.sinks.k 2: \"k 2\" is no name: use letters, digits, '-' and '_'"],
    );
}

#[test]
fn sizes_must_fit() {
    let mut channel = MemoryChannelConfig::default();
    channel.transaction_capacity = 10;
    check(
        builder()
            .channel("c2", channel.clone())
            .sink("k2", NullSinkConfig::default(), "c2"),
        &[
            "a1.sinks.k2.batchSize: the batch size 100 is more than the transactionCapacity 10 \
           of channel \"c2\": lower the one or raise the other",
        ],
    );
    channel.capacity = 9;
    check(
        builder()
            .channel("c2", channel)
            .sink("k2", LoggerSinkConfig::default(), "c2"),
        &["a1.channels.c2.transactionCapacity: transactionCapacity 10 is more than capacity 9"],
    );
}

#[test]
fn a_sink_is_in_one_group_at_most() {
    check(
        builder()
            .group("g1", ["k1"], ProcessorConfig::Default)
            .group("g2", ["k1"], ProcessorConfig::Default),
        &["a1.sinkgroups.g2.sinks: the sink \"k1\" belongs to group \"g1\" already"],
    );
}

#[test]
fn a_sink_alone_must_not_have_the_name_of_a_group() {
    check(
        builder()
            .sink("k2", LoggerSinkConfig::default(), "c1")
            .group("k1", ["k2"], ProcessorConfig::Default),
        &[
            "a1.sinks.k1: Flume never runs a sink outside of groups that has the name of a group: \
           rename one",
        ],
    );
}

#[test]
fn an_agent_of_nothing_is_an_error() {
    check(
        AgentConfig::builder("a1"),
        &["a1: nothing is left to run: there is neither a source nor a sink"],
    );
}
