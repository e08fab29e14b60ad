//! Strict: every mistake is an error that says where and what was meant, all of them at once.
#![expect(
    clippy::too_many_lines,
    reason = "tables are easier to read in one piece"
)]

use flume_mini_agent::config::AgentConfig;

use crate::support::{AGENT, agent, finds, problems, strict};

const LEFT_OUT: &str = "that the mini-agent leaves out";

#[test]
fn an_agent_that_works_is_read_without_notes() {
    let loaded = strict(AGENT).unwrap();
    assert_eq!(loaded.notes, []);
    assert_eq!(loaded.dropped, []);
    assert_eq!(loaded.config.name, "a1");
    assert_eq!(loaded.config.sources[0].channels, ["c1"]);
    assert_eq!(loaded.config.sinks[0].channel, "c1");
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_their_lines() {
    let text = "\
a1.sources = r1
a1.channels = c1
a1.sinks = k1
a1.source.r1.type = avro
a1.sources.r1.type = avrro
a1.channels.c1.type = memory
a1.channels.c1.capacty = 10
a1.sinks.k1.type = hdfs
a1.sinks.k1.channel = c2
";
    assert_eq!(
        strict(text).unwrap_err().to_string(),
        "the configuration has 6 problems:
  f:4: a1.source.r1.type: is no key of an agent: use channels, sources, sinks, sinkgroups \
and e.g. sources.NAME.KEY; did you mean \"sources\"?
  f:5: a1.sources.r1.channels: is not set, and must be
  f:5: a1.sources.r1.type: there is no source type \"avrro\"; did you mean \"avro\"?
  f:7: a1.channels.c1.capacty: is unknown for memory channels; did you mean \"capacity\"?
  f:8: a1.sinks.k1.type: the sink type \"hdfs\" is a real Flume sink type that the mini-agent \
leaves out
  f:9: a1.sinks.k1.channel: there is no channel \"c2\" here; did you mean \"c1\"?"
    );
}

#[test]
fn an_empty_value_is_an_error() {
    finds(
        &agent(&[], "channels.c1.capacity ="),
        &["a1.channels.c1.capacity: has no value"],
    );
}

#[test]
fn a_key_without_an_agent_is_an_error() {
    let name = "has no agent name: keys start with NAME. as in \"a1.sources\"";
    for key in ["sources", ".sources"] {
        finds(
            &format!("{AGENT}{key} = r1\n"),
            &[&format!("{key}: {name}")],
        );
    }
}

#[test]
fn an_unknown_group_is_an_error() {
    let group = "is no key of an agent: use channels, sources, sinks, sinkgroups \
                 and e.g. sources.NAME.KEY";
    for (line, hint) in [
        ("channel.c1.capacity = 1", "; did you mean \"channels\"?"),
        ("sink = k1", "; did you mean \"sinks\"?"),
        ("foo = bar", ""),
        ("sources.r1 = avro", ""),
        ("sources..type = avro", ""),
        (" = avro", ""),
    ] {
        let key = line.split(" =").next().unwrap();
        finds(&agent(&[], line), &[&format!("a1.{key}: {group}{hint}")]);
    }
}

#[test]
fn a_list_that_comes_twice_is_an_error() {
    let text = agent(&[], "sources = r1");
    let error = strict(&text).unwrap_err();
    assert_eq!(
        error.to_string(),
        "f:11: a1.sources: is set again, after line 1, which no longer counts"
    );
}

#[test]
fn a_name_that_is_listed_twice_is_an_error() {
    finds(
        &agent(
            &["sources = ", "sources.r1.channels"],
            "sources = r1 r1\nsources.r1.channels = c1\tc1",
        ),
        &[
            "a1.sources: \"r1\" is listed twice",
            "a1.sources.r1.channels: \"c1\" is listed twice",
        ],
    );
}

#[test]
fn a_component_without_keys_or_without_a_place_in_its_list_is_an_error() {
    finds(
        &agent(&["sinks = "], "sinks = k1 k22\nsinks.k2.type = null"),
        &[
            "a1.sinks: \"k22\" is listed, but no key configures it; did you mean \"k2\"?",
            "a1.sinks.k2: \"k2\" is configured, but not listed in a1.sinks; did you mean \"k1\"?",
        ],
    );
}

#[test]
fn what_must_be_set_must_be_set() {
    finds(
        &agent(&["sources.r1.bind", "sources.r1.port"], ""),
        &[
            "a1.sources.r1.bind: is not set, and must be",
            "a1.sources.r1.port: is not set, and must be",
        ],
    );
    for key in ["sources.r1.type", "sinks.k1.type", "sinks.k1.channel"] {
        finds(
            &agent(&[key], ""),
            &[&format!("a1.{key}: is not set, and must be")],
        );
    }
    finds(
        &agent(&["channels.c1.type"], "channels.c1.capacity = 5"),
        &["a1.channels.c1.type: is not set, and must be"],
    );
    finds(
        &agent(&["sources.r1.channels"], "sources.r1.channel = c1"),
        &[
            "a1.sources.r1.channels: is not set, and must be",
            "a1.sources.r1.channel: is unknown for avro sources; did you mean \"channels\"?",
        ],
    );
}

#[test]
fn a_type_that_is_left_out_fails_by_its_name() {
    for (key, what, types) in [
        (
            "sources.r1.type",
            "source type",
            vec![
                "taildir",
                "SYSLOGTCP",
                "org.apache.flume.source.kafka.KafkaSource",
            ],
        ),
        (
            "channels.c1.type",
            "channel type",
            vec![
                "spillablememory",
                "org.apache.flume.channel.kafka.KafkaChannel",
            ],
        ),
        (
            "sinks.k1.type",
            "sink type",
            vec!["hdfs", "thrift", "org.apache.flume.sink.kafka.KafkaSink"],
        ),
    ] {
        for name in types {
            let text = agent(&[key], &format!("{key} = {name}"));
            finds(
                &text,
                &[&format!(
                    "a1.{key}: the {what} {name:?} is a real Flume {what} {LEFT_OUT}"
                )],
            );
        }
    }
    finds(
        &agent(
            &[],
            "sources.r1.interceptors = i1\nsources.r1.interceptors.i1.type = search_replace",
        ),
        &[&format!(
            "a1.sources.r1.interceptors.i1.type: the interceptor type \"search_replace\" \
                    is a real Flume interceptor type {LEFT_OUT}"
        )],
    );
    finds(
        &agent(&[], "sources.r1.selector.type = load_balancing"),
        &[&format!(
            "a1.sources.r1.selector.type: the channel selector type \"load_balancing\" \
                    is a real Flume channel selector type {LEFT_OUT}"
        )],
    );
    finds(
        &agent(&[], "configfilters = f1\nconfigfilters.f1.type = env"),
        &[
            &format!(
                "a1.configfilters: the agent setting \"configfilters\" is a real Flume agent setting {LEFT_OUT}"
            ),
            &format!(
                "a1.configfilters.f1.type: the agent setting \"configfilters\" is a real Flume agent setting {LEFT_OUT}"
            ),
        ],
    );
}

#[test]
fn a_type_that_no_flume_has_is_told_from_one_that_is_left_out() {
    for (name, problem) in [
        (
            "avr0",
            "there is no sink type \"avr0\"; did you mean \"avro\"?",
        ),
        ("stdout", "there is no sink type \"stdout\""),
        (
            "com.example.MySink",
            "the sink type \"com.example.MySink\" looks like a Java class; the mini-agent loads none",
        ),
    ] {
        let text = agent(&["sinks.k1.type"], &format!("sinks.k1.type = {name}"));
        finds(&text, &[&format!("a1.sinks.k1.type: {problem}")]);
    }
}

#[test]
fn a_transaction_larger_than_its_channel_is_an_error() {
    finds(
        &agent(&[], "channels.c1.capacity = 99"),
        &["a1.channels.c1.transactionCapacity: transactionCapacity 100 is more than capacity 99"],
    );
    let file = "channels.c1.type = file\nchannels.c1.capacity = 9999";
    finds(
        &agent(&["channels.c1.type"], file),
        &[
            "a1.channels.c1.transactionCapacity: transactionCapacity 10000 is more than capacity 9999",
        ],
    );
}

#[test]
fn a_sink_that_takes_more_than_its_channel_gives_is_an_error() {
    let small = "channels.c1.transactionCapacity = 10";
    for (sink, key) in [
        ("type = null", "batchSize"),
        ("type = collect", "batchSize"),
        (
            "type = avro\nsinks.k1.hostname = h\nsinks.k1.port = 1",
            "batch-size",
        ),
        (
            "type = file_roll\nsinks.k1.sink.directory = /d",
            "sink.batchSize",
        ),
    ] {
        finds(
            &agent(&["sinks.k1.type"], &format!("{small}\nsinks.k1.{sink}")),
            &[&format!(
                "a1.sinks.k1.{key}: the batch size 100 is more than the transactionCapacity 10 \
                        of channel \"c1\": lower the one or raise the other"
            )],
        );
    }
    // The logger sink takes one event at a time.
    strict(&agent(&[], small)).unwrap();
}

#[test]
fn a_channel_that_nobody_uses_is_an_error() {
    finds(
        &agent(
            &["channels = "],
            "channels = c1 c2\nchannels.c2.type = memory",
        ),
        &["a1.channels.c2: no source and no sink uses the channel"],
    );
}

#[test]
fn a_broken_channel_is_told_once_and_not_for_all_that_use_it() {
    finds(
        &agent(&["channels.c1.type"], "channels.c1.type = jdbc"),
        &[&format!(
            "a1.channels.c1.type: the channel type \"jdbc\" is a real Flume channel type {LEFT_OUT}"
        )],
    );
}

#[test]
fn a_selector_must_name_channels_of_its_source() {
    let two = "channels = c1 c2\nchannels.c2.type = memory\nsinks.k1.channel = c2";
    let multiplexing = format!("{two}\nsources.r1.selector.type = multiplexing");
    let cases = [
        (
            "mapping.CA = c2",
            "mapping.CA: there is no channel \"c2\" here; did you mean \"c1\"?",
        ),
        (
            "default = c1  c1",
            "default: Flume splits this list at single spaces: write \"c1\"",
        ),
        (
            "optional.CA = x",
            "optional.CA: there is no channel \"x\" here",
        ),
        ("maping.CA = c1", "maping.CA: is unknown for this selector"),
    ];
    for (line, problem) in cases {
        let text = agent(
            &["channels = ", "sinks.k1.channel"],
            &format!("{multiplexing}\nsources.r1.selector.{line}"),
        );
        let found = problems(&text);
        assert!(
            found.contains(&format!("a1.sources.r1.selector.{problem}")),
            "{found:?}"
        );
    }
    finds(
        &agent(&[], "sources.r1.selector.optional = c2"),
        &["a1.sources.r1.selector.optional: there is no channel \"c2\" here; did you mean \"c1\"?"],
    );
    finds(
        &agent(&[], "sources.r1.selector.header = x"),
        &["a1.sources.r1.selector.header: is unknown for this selector; did you mean \"type\"?"]
            .map(|text| text.split("; did").next().unwrap()),
    );
}

#[test]
fn an_interceptor_must_be_listed_and_have_a_type() {
    finds(
        &agent(
            &[],
            "sources.r1.interceptors = i1\nsources.r1.interceptors.i2.type = host\nsources.r1.interceptors.i2.useIP = true",
        ),
        &[
            "a1.sources.r1.interceptors.i1.type: is not set, and must be",
            "a1.sources.r1.interceptors.i2.type: \"i2\" is configured, but not listed in interceptors; did you mean \"i1\"?",
        ],
    );
}

/// Two sinks and these keys of groups.
fn groups(more: &str) -> String {
    let sinks = "sinks = k1 k2\nsinks.k2.type = logger\nsinks.k2.channel = c1";
    agent(&["sinks = "], &format!("{sinks}\n{more}"))
}

#[test]
fn a_group_must_have_sinks_of_its_own_and_a_processor_that_suits_them() {
    for (settings, problem) in [
        (
            "sinks = k1 k3\nsinkgroups.g1.processor.type = failover",
            "sinks: there is no sink \"k3\" here; did you mean \"k1\"?",
        ),
        ("sinks = k1 k2", "processor.type: is not set, and must be"),
        ("processor.type = default", "sinks: is not set, and must be"),
        (
            "sinks = k1 k2\nsinkgroups.g1.processor.type = default",
            "processor.type: the default processor needs exactly one sink, not 2 sinks",
        ),
        (
            "sinks = k1\nsinkgroups.g1.processor.type = load_balance",
            "processor.type: the load_balance processor needs two sinks or more, not 1 sinks",
        ),
        (
            "sinks = k1 k2\nsinkgroups.g1.processor.type = random",
            "processor.type: there is no sink processor type \"random\"",
        ),
        (
            "sinks = k1 k2\nsinkgroups.g1.processor.type = failover\nsinkgroups.g1.prio = 1",
            "prio: is unknown for sink groups",
        ),
    ] {
        finds(
            &groups(&format!("sinkgroups = g1\nsinkgroups.g1.{settings}")),
            &[&format!("a1.sinkgroups.g1.{problem}")],
        );
    }
}

#[test]
fn a_sink_in_two_groups_is_an_error() {
    let two = "sinkgroups = g1 g2
sinkgroups.g1.sinks = k1 k2
sinkgroups.g1.processor.type = failover
sinkgroups.g2.sinks = k2
sinkgroups.g2.processor.type = failover";
    let found = problems(&groups(two));
    let twice = "a1.sinkgroups.g2.sinks: the sink \"k2\" belongs to group \"g1\" already";
    assert!(found.contains(&twice.to_owned()), "{found:?}");
}

#[test]
fn a_sink_alone_with_the_name_of_a_group_is_an_error() {
    finds(
        &groups(
            "sinkgroups = k1\nsinkgroups.k1.sinks = k2\nsinkgroups.k1.processor.type = default",
        ),
        &[
            "a1.sinks.k1: Flume never runs a sink outside of groups that has the name of a group: \
           rename one",
        ],
    );
}

#[test]
fn sinks_of_the_same_priority_are_an_error() {
    let same = "sinkgroups = g1
sinkgroups.g1.sinks = k1 k2
sinkgroups.g1.processor.type = failover
sinkgroups.g1.processor.priority.k1 = 5
sinkgroups.g1.processor.priority.k2 = 5";
    finds(
        &groups(same),
        &[
            "a1.sinkgroups.g1.processor.priority.k2: the sinks \"k1\" and \"k2\" both have priority 5: \
           the latter is never used",
        ],
    );
}

#[test]
fn an_agent_that_is_not_there_is_an_error_that_names_those_that_are() {
    let read = |name: &str| {
        let reader = AgentConfig::reader(name).file("f");
        reader.read(AGENT).unwrap_err().to_string()
    };
    assert_eq!(
        read("a2"),
        "f: there is no agent \"a2\": the text has \"a1\"; did you mean \"a1\"?"
    );
    assert_eq!(
        read("tier9"),
        "f: there is no agent \"tier9\": the text has \"a1\""
    );
    assert_eq!(
        strict("").unwrap_err().to_string(),
        "f: there is no agent \"a1\": no agent is configured"
    );
}

#[test]
fn another_agent_in_the_same_file_is_only_noted() {
    let other = "a2.sources = r9\na2.x = ${env:Y}\na2.y =\na2.y = é\n";
    let loaded = strict(&format!("{AGENT}{other}")).unwrap();
    assert_eq!(
        crate::support::notes(&loaded),
        ["a2: agent \"a2\" is configured here, too; it is neither checked nor started"]
    );
    finds(
        &format!("{AGENT}a.channels.c1.capacity = 5\n"),
        &["a: there is no agent \"a\" with components; did you mean \"a1\"?"],
    );
}

#[test]
fn nothing_to_run_is_an_error() {
    finds(
        "a1.channels = c1\na1.channels.c1.type = memory\n",
        &["a1.channels.c1: no source and no sink uses the channel"],
    );
    finds(
        "a1.sources.r1.type = avro\n",
        &[
            "a1.sources.r1: \"r1\" is configured, but not listed in a1.sources",
            "a1: nothing is left to run: there is no channel",
        ],
    );
}

#[test]
fn a_host_with_a_port_or_a_scheme_is_named() {
    let expected =
        "but must be a host alone: the port has a key of its own, and there is no scheme";
    for host in [
        "localhost:4141",
        "127.0.0.1:4141",
        "[::1]:4141",
        "avro://localhost",
    ] {
        let text = agent(&["sources.r1.bind"], &format!("sources.r1.bind = {host}"));
        finds(
            &text,
            &[&format!("a1.sources.r1.bind: is \"{host}\", {expected}")],
        );
        let more = format!("sinks.k1.type = avro\nsinks.k1.hostname = {host}\nsinks.k1.port = 1");
        let text = agent(&["sinks.k1.type"], &more);
        finds(
            &text,
            &[&format!("a1.sinks.k1.hostname: is \"{host}\", {expected}")],
        );
    }
    for host in ["localhost", "::1", "[::1]", "0.0.0.0", "build-7.example"] {
        strict(&agent(
            &["sources.r1.bind"],
            &format!("sources.r1.bind = {host}"),
        ))
        .unwrap();
    }
}
