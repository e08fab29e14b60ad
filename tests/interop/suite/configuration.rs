//! What becomes of a configuration with broken parts.

use flume_tests::Version;

use super::event::{Answer, Event, events};
use super::http::{post, request};
use super::{AgentFactory, Kind, Scenario, alone, on_every_agent};

pub(super) const SCENARIOS: &[Scenario] = &[
    alone!(c1_broken_components_are_dropped_with_their_dependants_and_the_rest_runs),
    alone!(c2_an_unknown_type_ends_the_agent),
    alone!(c5_a_channel_that_cannot_start_is_an_error_for_append_and_failed_for_a_batch),
];

on_every_agent!(SCENARIOS);

/// | component | why it is dropped |
/// |---|---|
/// | source `untyped`, channel `untyped`, sink `untyped` | no type |
/// | source `channelless`, sink `channelless` | a channel that is not there |
/// | source `onbroken`, sink `onbroken` | their only channel is dropped |
/// | source `portless`, source `emptied` | no port, an empty one |
/// | source `worded` | a port that is no number |
/// | channel `inverted` | transactionCapacity over capacity |
/// | channel `unused` | nobody uses it |
/// | sink `greedy` | its batch is over its channel's transactionCapacity |
/// | sink `dirless` | no directory |
/// | group `two` | its only sink is in group `one` |
const BROKEN: &str = "
nodot = 1
.x = 1
a2.sources = other
a1.nosuchgroup.x = 1
a1.sources = good untyped worded portless channelless onbroken emptied halfbroken
a1.channels = good untyped inverted unused other
a1.sinks = good untyped greedy channelless onbroken dirless shared
a1.sinkgroups = one two
a1.sources.good.type = avro
a1.sources.good.bind = 127.0.0.1
a1.sources.good.port = {good_port}
a1.sources.good.channels = good
a1.sources.good.nosuchkey = 1
a1.sources.untyped.channels = good
a1.sources.portless.type = avro
a1.sources.portless.bind = 127.0.0.1
a1.sources.portless.channels = good
a1.sources.channelless.type = avro
a1.sources.channelless.bind = 127.0.0.1
a1.sources.channelless.port = 1
a1.sources.channelless.channels = nosuch
a1.sources.onbroken.type = avro
a1.sources.onbroken.bind = 127.0.0.1
a1.sources.onbroken.port = 1
a1.sources.onbroken.channels = inverted
a1.sources.worded.type = avro
a1.sources.worded.bind = 127.0.0.1
a1.sources.worded.port = word
a1.sources.worded.channels = good
a1.sources.emptied.type = avro
a1.sources.emptied.bind = 127.0.0.1
a1.sources.emptied.port =
a1.sources.emptied.channels = good
a1.sources.halfbroken.type = avro
a1.sources.halfbroken.bind = 127.0.0.1
a1.sources.halfbroken.port = {half_port}
a1.sources.halfbroken.channels = good inverted
a1.channels.good.type = memory
a1.channels.other.type = memory
a1.channels.untyped.capacity = 1
a1.channels.inverted.type = memory
a1.channels.inverted.capacity = 10
a1.channels.inverted.transactionCapacity = 11
a1.channels.unused.type = memory
a1.sinks.good.type = file_roll
a1.sinks.good.sink.directory = {good_dir}
a1.sinks.good.sink.rollInterval = 0
a1.sinks.good.channel = good
a1.sinks.untyped.channel = good
a1.sinks.greedy.type = null
a1.sinks.greedy.batchSize = 101
a1.sinks.greedy.channel = good
a1.sinks.channelless.type = null
a1.sinks.channelless.channel = nosuch
a1.sinks.onbroken.type = null
a1.sinks.onbroken.channel = inverted
a1.sinks.dirless.type = file_roll
a1.sinks.dirless.channel = good
a1.sinks.shared.type = file_roll
a1.sinks.shared.sink.directory = {shared_dir}
a1.sinks.shared.channel = other
a1.sinkgroups.one.sinks = shared nosuch
a1.sinkgroups.one.processor.type = failover
a1.sinkgroups.one.processor.priority.shared = 1
a1.sinkgroups.two.sinks = shared
a1.sinkgroups.two.processor.type = load_balance
";

fn c1_broken_components_are_dropped_with_their_dependants_and_the_rest_runs(
    agents: &dyn AgentFactory,
) {
    if agents.kind() == Kind::Mini {
        let refused = agents.try_start(BROKEN).err().unwrap();
        assert!(refused.contains("untyped"), "strict by default: {refused}");
    }
    let agent = agents.start_lenient(BROKEN);
    assert_eq!(
        agent.client("good_port").append(&Event::new("1")),
        Answer::Ok
    );
    // It has lost one of its two channels.
    assert_eq!(
        agent.client("half_port").append(&Event::new("2")),
        Answer::Ok
    );
    assert_eq!(agent.rolled("good_dir", 2), ["1", "2"]);
    let metrics = agent.metrics();
    let components: Vec<_> = metrics.as_object().unwrap().keys().collect();
    let left = [
        "CHANNEL.good",
        "CHANNEL.other",
        "SINK.good",
        "SINK.shared",
        "SOURCE.good",
        "SOURCE.halfbroken",
    ];
    assert_eq!(components, left);
}

const WHOLE: &str = "
sources.good: type = avro, port = {good_port}, channels = good
channels.good: type = memory
";

/// Flume drops what it cannot configure, but dies of what it cannot load.
fn c2_an_unknown_type_ends_the_agent(agents: &dyn AgentFactory) {
    let source = "sources.bad: type = nosuch, channels = good";
    let sink = "sinks.bad: type = nosuch, channel = good";
    for broken in [source, sink] {
        let refused = agents.try_start(&format!("{WHOLE}{broken}")).err().unwrap();
        assert!(refused.contains("nosuch"), "{refused}");
        if let Kind::Flume(_) = agents.kind() {
            // It tells nobody but its log.
            assert!(refused.contains("ended with exit status: 0"), "{refused}");
        }
    }
}

const C5: &str = "
sources.avro: type = avro, port = {avro_port}, channels = c5
sources.http: type = http, port = {http_port}, channels = c5
channels.c5: type = file
";

/// What the channel may have further.
const NO_DIRECTORIES: &str = "  checkpointDir = /dev/null/checkpoint, dataDirs = /dev/null/data";
const DIRECTORIES: &str =
    "  checkpointDir = {checkpoint_dir}, dataDirs = {data_dir}, minimumRequiredSpace = 1048576";

/// S6 and H5: the channel throws before the source's transaction begins.
fn c5_a_channel_that_cannot_start_is_an_error_for_append_and_failed_for_a_batch(
    agents: &dyn AgentFactory,
) {
    let broken = format!("{C5}{NO_DIRECTORIES}");
    let Kind::Flume(version) = agents.kind() else {
        let refused = agents.try_start(&broken).err().unwrap();
        assert!(refused.contains("/dev/null/"), "{refused}");
        return check_a_channel_that_breaks(agents);
    };
    let agent = agents.start(&broken);
    let mut client = agent.client("avro_port");
    // The two versions of Avro differ by a colon and a repetition.
    let unknown = match version {
        Version::V1_9 => "Unknown datum type: java.lang.IllegalStateException",
        _ => "Unknown datum type java.lang.IllegalStateException: java.lang.IllegalStateException",
    };
    let error = format!(
        "org.apache.avro.AvroRuntimeException: {unknown}: Channel closed [channel=c5]. Due to \
         java.lang.IllegalArgumentException: CheckpointDir /dev/null/checkpoint could not be created"
    );
    assert_eq!(client.append(&Event::new("1")), Answer::Error(error));
    assert_eq!(client.append_batch(&events(["1"])), Answer::Failed);
    assert_eq!(post(agent.addr("http_port"), None, "[{}]"), 500);
    // Of the two Avro calls only the batch is counted as a failure.
    agent.wait_for_counter("SOURCE.avro", "EventReceivedCount", "2");
    agent.wait_for_counter("SOURCE.avro", "ChannelWriteFail", "1");
    agent.wait_for_counter("SOURCE.avro", "GenericProcessingFail", "0");
    agent.wait_for_counter("SOURCE.http", "GenericProcessingFail", "1");
    agent.wait_for_counter("CHANNEL.c5", "Unhealthy", "1");
    agent.wait_for_counter("CHANNEL.c5", "Open", "false");
    // Nobody knows the capacity, and the largest double stands for it.
    agent.wait_for_counter(
        "CHANNEL.c5",
        "ChannelFillPercentage",
        "1.7976931348623157E308",
    );
}

/// The mini-agent does not start with a channel that is broken, so it breaks later.
fn check_a_channel_that_breaks(agents: &dyn AgentFactory) {
    let agent = agents.start(&format!("{C5}{DIRECTORIES}"));
    let mut client = agent.client("avro_port");
    let fault = r#"[{"fault":"fsync_error"}]"#;
    let put = request(agent.monitoring(), "PUT", "/faults", None, fault);
    assert_eq!(put.status, 200);
    assert_eq!(client.append_batch(&events(["1"])), Answer::Failed);
    let thrown = client.append(&Event::new("1"));
    let start = "org.apache.avro.AvroRuntimeException: Unknown datum type \
                 java.lang.IllegalStateException: java.lang.IllegalStateException: ";
    let Answer::Error(text) = &thrown else {
        panic!("{thrown:?}");
    };
    assert!(text.starts_with(start), "{text}");
    assert_eq!(client.append_batch(&events(["1"])), Answer::Failed);
    assert_eq!(post(agent.addr("http_port"), None, "[{}]"), 500);
    agent.wait_for_counter("SOURCE.avro", "EventReceivedCount", "3");
    agent.wait_for_counter("SOURCE.avro", "ChannelWriteFail", "2");
    agent.wait_for_counter("SOURCE.avro", "GenericProcessingFail", "0");
    agent.wait_for_counter("SOURCE.http", "GenericProcessingFail", "1");
}
