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
sources.s1: type = avro, port = {s1_port}, channels = s1one s1two s1rest s1also
  selector.type = multiplexing, selector.header = kind, selector.default = s1rest
  selector.mapping.one = s1one, selector.mapping.both = s1one s1two
  selector.optional.one = s1one s1also, selector.optional.also = s1also
channels.s1one: type = memory
channels.s1two: type = memory
channels.s1rest: type = memory
channels.s1also: type = memory
sinks.s1one: type = file_roll, sink.directory = {s1one_dir}, sink.rollInterval = 0
  channel = s1one
sinks.s1two: type = file_roll, sink.directory = {s1two_dir}, sink.rollInterval = 0
  channel = s1two
sinks.s1rest: type = file_roll, sink.directory = {s1rest_dir}, sink.rollInterval = 0
  channel = s1rest
sinks.s1also: type = file_roll, sink.directory = {s1also_dir}, sink.rollInterval = 0
  channel = s1also
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
sources.s3: type = avro, port = {s3_port}, channels = s3one s3also
  selector.type = multiplexing, selector.header = kind
  selector.mapping.one = s3one, selector.optional.also = s3also
channels.s3one: type = memory
channels.s3also: type = memory, capacity = 1, transactionCapacity = 1, keep-alive = 0
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
sources.s5: type = avro, port = {s5_port}, channels = s5one s5two s5three s5three
  selector.type = replicating, selector.optional = s5two s5three s5two
channels.s5one: type = memory, capacity = 1000
channels.s5two: type = memory, capacity = 1000
channels.s5three: type = memory, keep-alive = 0
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
sources.s7: type = avro, port = {s7_port}, channels = s7a s7b
channels.s7a: type = memory
channels.s7b: type = memory, capacity = 2, transactionCapacity = 2, keep-alive = 0
sinks.s7a: type = file_roll, sink.directory = {s7_dir}, sink.rollInterval = 0, channel = s7a
sinks.s7b: type = avro, port = {s7_peer}, batch-size = 2, channel = s7b
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
