//! Channel selectors, and a batch that only some channels take.

use super::event::{Answer, Event, events};
use super::peer::Mode;
use super::{AgentUnderTest, Scenario, flow, on_every_agent};

pub(super) const SCENARIOS: &[Scenario] = &[
    flow!(
        S1,
        s1_a_header_chooses_channels_and_what_nobody_mapped_goes_to_the_default
    ),
    flow!(
        S3,
        s3_without_a_default_an_unmapped_event_is_dropped_and_still_ok
    ),
    flow!(
        S5,
        s5_replicating_gives_every_channel_one_copy_even_one_listed_twice
    ),
    flow!(
        S7,
        s7_a_batch_that_one_of_two_channels_takes_is_failed_and_doubled_by_the_retry
    ),
];

on_every_agent!(SCENARIOS);

const S1: &str = "
a1.sources = s1
a1.channels = s1one s1two s1rest s1also
a1.sinks = s1one s1two s1rest s1also
a1.sources.s1.type = avro
a1.sources.s1.bind = 127.0.0.1
a1.sources.s1.port = {s1_port}
a1.sources.s1.channels = s1one s1two s1rest s1also
a1.sources.s1.selector.type = multiplexing
a1.sources.s1.selector.header = kind
a1.sources.s1.selector.mapping.one = s1one
a1.sources.s1.selector.mapping.both = s1one s1two
a1.sources.s1.selector.optional.one = s1one s1also
a1.sources.s1.selector.optional.also = s1also
a1.sources.s1.selector.default = s1rest
a1.channels.s1one.type = memory
a1.channels.s1two.type = memory
a1.channels.s1rest.type = memory
a1.channels.s1also.type = memory
a1.sinks.s1one.type = file_roll
a1.sinks.s1one.sink.directory = {s1one_dir}
a1.sinks.s1one.sink.rollInterval = 0
a1.sinks.s1one.channel = s1one
a1.sinks.s1two.type = file_roll
a1.sinks.s1two.sink.directory = {s1two_dir}
a1.sinks.s1two.sink.rollInterval = 0
a1.sinks.s1two.channel = s1two
a1.sinks.s1rest.type = file_roll
a1.sinks.s1rest.sink.directory = {s1rest_dir}
a1.sinks.s1rest.sink.rollInterval = 0
a1.sinks.s1rest.channel = s1rest
a1.sinks.s1also.type = file_roll
a1.sinks.s1also.sink.directory = {s1also_dir}
a1.sinks.s1also.sink.rollInterval = 0
a1.sinks.s1also.channel = s1also
";

fn s1_a_header_chooses_channels_and_what_nobody_mapped_goes_to_the_default(
    agent: &dyn AgentUnderTest,
) {
    let mut client = agent.client("s1_port");
    let batch = [
        Event::new("one").header("kind", "one"),
        Event::new("both").header("kind", "both"),
        Event::new("also").header("kind", "also"),
        Event::new("unmapped").header("kind", "three"),
        Event::new("other case").header("kind", "One"),
        Event::new("blank").header("kind", ""),
        Event::new("missing"),
    ];
    assert_eq!(client.append_batch(&batch), Answer::Ok);
    assert_eq!(agent.rolled("s1one_dir", 2), ["one", "both"]);
    assert_eq!(agent.rolled("s1two_dir", 1), ["both"]);
    // Optional channels come on top: of a mapped value to its channels, else to the default.
    assert_eq!(agent.rolled("s1also_dir", 2), ["one", "also"]);
    let rest = ["also", "unmapped", "other case", "blank", "missing"];
    assert_eq!(agent.rolled("s1rest_dir", 5), rest);
    // "one" lists its required channel as optional too, and gets one copy.
    agent.wait_for_counter("CHANNEL.s1one", "EventPutSuccessCount", "2");
}

const S3: &str = "
a1.sources = s3
a1.channels = s3one s3also
a1.sources.s3.type = avro
a1.sources.s3.bind = 127.0.0.1
a1.sources.s3.port = {s3_port}
a1.sources.s3.channels = s3one s3also
a1.sources.s3.selector.type = multiplexing
a1.sources.s3.selector.header = kind
a1.sources.s3.selector.mapping.one = s3one
a1.sources.s3.selector.optional.also = s3also
a1.channels.s3one.type = memory
a1.channels.s3also.type = memory
a1.channels.s3also.capacity = 1
a1.channels.s3also.transactionCapacity = 1
a1.channels.s3also.keep-alive = 0
";

fn s3_without_a_default_an_unmapped_event_is_dropped_and_still_ok(agent: &dyn AgentUnderTest) {
    let mut client = agent.client("s3_port");
    assert_eq!(client.append(&Event::new("missing")), Answer::Ok);
    assert_eq!(
        client.append(&Event::new("x").header("kind", "three")),
        Answer::Ok
    );
    // S4: an optional channel that is full does not matter.
    let also = Event::new("also").header("kind", "also");
    assert_eq!(client.append(&also), Answer::Ok);
    assert_eq!(client.append(&also), Answer::Ok);
    assert_eq!(client.append_batch(&vec![also; 2]), Answer::Ok);
    agent.wait_for_counter("SOURCE.s3", "EventAcceptedCount", "6");
    agent.wait_for_counter("CHANNEL.s3one", "EventPutAttemptCount", "0");
    agent.wait_for_counter("CHANNEL.s3also", "ChannelSize", "1");
    agent.wait_for_counter("SOURCE.s3", "ChannelWriteFail", "0");
}

const S5: &str = "
a1.sources = s5
a1.channels = s5one s5two s5three
a1.sources.s5.type = avro
a1.sources.s5.bind = 127.0.0.1
a1.sources.s5.port = {s5_port}
a1.sources.s5.channels = s5one s5two s5three s5three
a1.sources.s5.selector.type = replicating
a1.sources.s5.selector.optional = s5two s5three s5two
a1.channels.s5one.type = memory
a1.channels.s5one.capacity = 1000
a1.channels.s5two.type = memory
a1.channels.s5two.capacity = 1000
a1.channels.s5three.type = memory
a1.channels.s5three.keep-alive = 0
";

fn s5_replicating_gives_every_channel_one_copy_even_one_listed_twice(agent: &dyn AgentUnderTest) {
    let mut client = agent.client("s5_port");
    assert_eq!(client.append(&Event::new("x")), Answer::Ok);
    // The third channel has no room for all of these, and may do without.
    assert_eq!(client.append_batch(&vec![Event::new("x"); 100]), Answer::Ok);
    agent.wait_for_counter("CHANNEL.s5one", "ChannelSize", "101");
    agent.wait_for_counter("CHANNEL.s5two", "ChannelSize", "101");
    agent.wait_for_counter("CHANNEL.s5three", "ChannelSize", "1");
}

const S7: &str = "
a1.sources = s7
a1.channels = s7a s7b
a1.sinks = s7a s7b
a1.sources.s7.type = avro
a1.sources.s7.bind = 127.0.0.1
a1.sources.s7.port = {s7_port}
a1.sources.s7.channels = s7a s7b
a1.channels.s7a.type = memory
a1.channels.s7b.type = memory
a1.channels.s7b.capacity = 2
a1.channels.s7b.transactionCapacity = 2
a1.channels.s7b.keep-alive = 0
a1.sinks.s7a.type = file_roll
a1.sinks.s7a.sink.directory = {s7_dir}
a1.sinks.s7a.sink.rollInterval = 0
a1.sinks.s7a.channel = s7a
a1.sinks.s7b.type = avro
a1.sinks.s7b.hostname = 127.0.0.1
a1.sinks.s7b.port = {s7_peer}
a1.sinks.s7b.batch-size = 2
a1.sinks.s7b.channel = s7b
";

fn s7_a_batch_that_one_of_two_channels_takes_is_failed_and_doubled_by_the_retry(
    agent: &dyn AgentUnderTest,
) {
    let (mut client, peer) = (agent.client("s7_port"), agent.peer("s7_peer"));
    peer.set(Mode::Hold);
    assert_eq!(client.append_batch(&events(["1", "2"])), Answer::Ok);
    peer.wait_for_calls(1);
    // The second channel is full now; the first takes the batch before anybody looks. Flume goes
    // through them in the order of a Java hash set, which for these names is that of the file.
    assert_eq!(client.append_batch(&events(["3", "4"])), Answer::Failed);
    peer.set(Mode::Accept);
    agent.wait_for_counter("CHANNEL.s7b", "EventTakeSuccessCount", "2");
    assert_eq!(client.append_batch(&events(["3", "4"])), Answer::Ok);
    assert_eq!(agent.rolled("s7_dir", 6), ["1", "2", "3", "4", "3", "4"]);
    peer.wait_for_accepted(4);
    assert_eq!(peer.accepted_texts(), ["1", "2", "3", "4"]);
    // The source counts the failed batch as received, and as accepted only once.
    agent.wait_for_counter("SOURCE.s7", "EventReceivedCount", "6");
    agent.wait_for_counter("SOURCE.s7", "EventAcceptedCount", "4");
}
