//! Lenient: as Flume, which drops what cannot run and goes on with the rest.

use flume_mini_agent::config::{AgentConfig, ComponentKind, Loaded};

use crate::support::{AGENT, agent, lenient, notes};

/// The names of what is left: channels, sources, sinks, groups.
fn left(loaded: &Loaded) -> [Vec<&str>; 4] {
    let config = &loaded.config;
    [
        config.channels.iter().map(|c| c.name.as_str()).collect(),
        config.sources.iter().map(|c| c.name.as_str()).collect(),
        config.sinks.iter().map(|c| c.name.as_str()).collect(),
        config.groups.iter().map(|c| c.name.as_str()).collect(),
    ]
}

fn dropped(loaded: &Loaded) -> Vec<String> {
    loaded.dropped.iter().map(ToString::to_string).collect()
}

/// Two of everything, of which the first ones work.
fn twice(settings: &str) -> String {
    agent(
        &["sources = ", "channels = ", "sinks = "],
        &format!("sources = r1 r2\nchannels = c1 c2\nsinks = k1 k2\n{settings}"),
    )
}

#[test]
fn a_broken_source_is_dropped_and_the_rest_runs() {
    let text = agent(
        &["sources = "],
        "sources = r1 r2\nsources.r2.type = avro\nsources.r2.port = 1\nsources.r2.channels = c1",
    );
    let loaded = lenient(&text);
    assert_eq!(left(&loaded), [vec!["c1"], vec!["r1"], vec!["k1"], vec![]]);
    assert_eq!(
        dropped(&loaded),
        ["source \"r2\" is dropped: f:11: a1.sources.r2.bind: is not set, and must be"]
    );
    assert_eq!(loaded.dropped[0].kind, ComponentKind::Source);
}

#[test]
fn a_broken_sink_is_dropped_and_the_rest_runs() {
    let text = agent(
        &["sinks = "],
        "sinks = k1 k2\nsinks.k2.type = null\nsinks.k2.batchSize = x\nsinks.k2.channel = c1",
    );
    let loaded = lenient(&text);
    assert_eq!(left(&loaded), [vec!["c1"], vec!["r1"], vec!["k1"], vec![]]);
    assert_eq!(
        dropped(&loaded),
        [
            "sink \"k2\" is dropped: f:12: a1.sinks.k2.batchSize: is \"x\", but must be a whole number, at least 1"
        ]
    );
}

#[test]
fn with_a_broken_channel_go_its_sinks_and_the_sources_that_have_no_other() {
    let text = twice(
        "channels.c2.type = memory
channels.c2.transactionCapacity = 101
sources.r2.type = http
sources.r2.port = 1
sources.r2.channels = c2
sinks.k2.type = logger
sinks.k2.channel = c2",
    );
    let loaded = lenient(&text);
    assert_eq!(left(&loaded), [vec!["c1"], vec!["r1"], vec!["k1"], vec![]]);
    assert_eq!(
        dropped(&loaded),
        [
            "channel \"c2\" is dropped: f:12: a1.channels.c2.transactionCapacity: \
             transactionCapacity 101 is more than capacity 100",
            "source \"r2\" is dropped: f:15: a1.sources.r2.channels: the channel \"c2\" was dropped",
            "sink \"k2\" is dropped: f:17: a1.sinks.k2.channel: the channel \"c2\" was dropped",
        ]
    );
}

#[test]
fn a_source_keeps_the_channels_that_are_left() {
    let text = twice(
        "channels.c2.type = jdbc
sources.r2.type = http
sources.r2.port = 1
sources.r2.channels = c2 c1
sinks.k2.type = logger
sinks.k2.channel = c1",
    );
    let loaded = lenient(&text);
    assert_eq!(
        left(&loaded),
        [vec!["c1"], vec!["r1", "r2"], vec!["k1", "k2"], vec![]]
    );
    assert_eq!(loaded.config.sources[1].channels, ["c1"]);
    assert!(
        notes(&loaded)
            .contains(&"a1.sources.r2.channels: the channel \"c2\" was dropped".to_owned())
    );
}

#[test]
fn a_selector_that_needs_a_dropped_channel_takes_its_source_along() {
    let text = twice(
        "channels.c2.type = jdbc
sources.r2.type = http
sources.r2.port = 1
sources.r2.channels = c2 c1
sources.r2.selector.type = multiplexing
sources.r2.selector.mapping.x = c2
sinks.k2.type = logger
sinks.k2.channel = c1",
    );
    assert_eq!(left(&lenient(&text))[1], ["r1"]);
}

#[test]
fn a_sink_that_takes_more_than_its_channel_gives_is_dropped() {
    let text = agent(
        &["sinks = "],
        "sinks = k1 k2\nsinks.k2.type = null\nsinks.k2.batchSize = 101\nsinks.k2.channel = c1",
    );
    assert_eq!(left(&lenient(&text))[2], ["k1"]);
}

#[test]
fn a_channel_that_nobody_uses_is_dropped() {
    let text = agent(
        &["channels = "],
        "channels = c1 c2\nchannels.c2.type = memory",
    );
    let loaded = lenient(&text);
    assert_eq!(left(&loaded)[0], ["c1"]);
    assert_eq!(
        dropped(&loaded),
        ["channel \"c2\" is dropped: f:11: a1.channels.c2: no source and no sink uses the channel"]
    );
}

#[test]
fn what_flume_overlooks_is_noted() {
    let text = format!(
        "{AGENT}a1.channels.c1.capacty = 10\na1.channels.c1.keep-alive =\na1.sinks = k1\n\
         a1.foo = bar\nfoo = bar\na1.sinks.k9.type = null\n"
    );
    let loaded = lenient(&text);
    assert_eq!(left(&loaded), [vec!["c1"], vec!["r1"], vec!["k1"], vec![]]);
    assert_eq!(loaded.notes.len(), 6, "{:#?}", loaded.notes);
    assert_eq!(loaded.dropped, []);
}

/// Two sinks in a group of these settings.
fn group(settings: &str) -> Loaded {
    lenient(&agent(
        &["sinks = "],
        &format!(
            "sinks = k1 k2\nsinks.k2.type = null\nsinks.k2.channel = c1\n\
             sinkgroups = g1\n{settings}"
        ),
    ))
}

#[test]
fn a_group_keeps_the_sinks_that_are_left() {
    let loaded = group("sinkgroups.g1.sinks = k1 k3\nsinkgroups.g1.processor.type = failover");
    assert_eq!(
        left(&loaded),
        [vec!["c1"], vec!["r1"], vec!["k1", "k2"], vec!["g1"]]
    );
    assert_eq!(loaded.config.groups[0].sinks, ["k1"]);
}

#[test]
fn with_a_group_without_sinks_goes_nothing_else() {
    let loaded = group("sinkgroups.g1.sinks = k3\nsinkgroups.g1.processor.type = failover");
    assert_eq!(left(&loaded)[2..], [vec!["k1", "k2"], vec![]]);
}

#[test]
fn with_a_group_whose_processor_is_broken_go_its_sinks() {
    let loaded = group("sinkgroups.g1.sinks = k2\nsinkgroups.g1.processor.type = load_balance");
    assert_eq!(left(&loaded)[2..], [vec!["k1"], vec![]]);
    assert_eq!(
        dropped(&loaded)[1],
        "sink \"k2\" is dropped: f:11: a1.sinks.k2: the sink group \"g1\" was dropped"
    );
}

#[test]
fn a_sink_that_two_groups_want_goes_to_the_first() {
    let loaded = group(
        "sinkgroups = g1 g2
sinkgroups.g1.sinks = k1 k2
sinkgroups.g1.processor.type = failover
sinkgroups.g2.sinks = k2
sinkgroups.g2.processor.type = failover",
    );
    assert_eq!(left(&loaded)[3], ["g1"]);
    assert_eq!(loaded.config.groups[0].sinks, ["k1", "k2"]);
}

#[test]
fn where_flume_stops_lenient_stops_too() {
    let stops = |text: &str| {
        let reader = AgentConfig::reader("a1").file("f").lenient();
        reader.read(text).unwrap_err().to_string()
    };
    let escape = stops(&format!("{AGENT}a1.x = \\u\n"));
    assert!(
        escape.contains("f:11: a1.x: \\u needs four hexadecimal digits"),
        "{escape}"
    );
    assert!(stops("a2.sources = r1").contains("there is no agent \"a1\""));
    let no_channel = stops(&agent(&["channels.c1.type"], ""));
    assert!(
        no_channel.contains("nothing is left to run: there is no channel"),
        "{no_channel}"
    );
    assert!(
        no_channel.contains("a1.channels: \"c1\" is listed"),
        "{no_channel}"
    );
    let text = agent(&["sources.r1.type", "sinks.k1.type"], "");
    assert!(stops(&text).contains("nothing is left to run"));
}

#[test]
fn a_byte_order_mark_is_a_part_of_the_first_key_and_told() {
    let loaded = lenient(&format!("\u{feff}{AGENT}"));
    // As in Flume: the list of sources is that of another agent.
    assert_eq!(left(&loaded), [vec!["c1"], vec![], vec!["k1"], vec![]]);
    let told = notes(&loaded);
    assert!(
        told[0].starts_with(": the text begins with a byte order mark (BOM)"),
        "{told:?}"
    );
    assert!(
        told.iter().all(|note| !note.contains("ISO-8859-1")),
        "{told:?}"
    );
}

#[test]
fn a_path_of_windows_is_read_with_its_escapes_and_told() {
    let more = r"sinks.k1.type = file_roll
sinks.k1.sink.directory = D:\flume\new"
        .replace(r"\\", r"\");
    let loaded = lenient(&agent(&["sinks.k1.type"], &more));
    assert_eq!(left(&loaded), [vec!["c1"], vec!["r1"], vec!["k1"], vec![]]);
    let told = notes(&loaded);
    assert!(
        told[0].contains(r#"it is read as "D:\u{c}lume\new""#),
        "{told:?}"
    );
}

#[test]
fn a_source_whose_host_has_a_port_in_it_is_dropped_and_the_rest_runs() {
    let text = agent(&["sources.r1.bind"], "sources.r1.bind = localhost:1");
    let loaded = lenient(&text);
    assert_eq!(left(&loaded), [vec!["c1"], vec![], vec!["k1"], vec![]]);
    assert!(dropped(&loaded)[0].contains("the port has a key of its own"));
}
