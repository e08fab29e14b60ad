//! Flume's order of channels and sinks, which is that of Java's hash sets.

use crate::support::{agent, strict};

#[test]
fn the_channels_of_a_source_are_in_the_order_of_a_java_hash_set() {
    let check = |list: &str, expected: &[&str]| {
        let names: Vec<_> = list.split(' ').collect();
        let channels: String = names
            .iter()
            .map(|name| format!("channels.{name}.type = memory\n"))
            .collect();
        let text = agent(
            &["channels", "sources.r1.channels", "sinks.k1.channel"],
            &format!(
                "channels = {list}\nsources.r1.channels = {list}\nsinks.k1.channel = {}\n{channels}",
                names[0]
            ),
        );
        let config = strict(&text).unwrap().config;
        assert_eq!(config.sources[0].channels, expected);
    };
    // Expected values printed by Java.
    check("c1 c2", &["c1", "c2"]);
    check("c2 c1", &["c1", "c2"]);
    check("c1 c2 c3", &["c3", "c1", "c2"]);
    check("mem disk audit", &["disk", "mem", "audit"]);
    check(
        "c1 c2 c3 c4 c5 c6 c7 c8 c9 c10 c11 c12",
        &[
            "c3", "c4", "c11", "c5", "c10", "c6", "c7", "c12", "c8", "c9", "c1", "c2",
        ],
    );
    check(
        "c1 c2 c3 c4 c5 c6 c7 c8 c9 c10 c11 c12 c13",
        &[
            "c11", "c10", "c13", "c12", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9",
        ],
    );
}

#[test]
fn the_sinks_of_a_group_are_in_the_order_of_a_java_hash_set() {
    let text = agent(
        &["sinks = "],
        "sinks = k1 k8 k9\nsinks.k8.type = null\nsinks.k8.channel = c1\nsinks.k9.type = null\nsinks.k9.channel = c1
sinkgroups = g1\nsinkgroups.g1.sinks = k1 k8 k9\nsinkgroups.g1.processor.type = load_balance",
    );
    let config = strict(&text).unwrap().config;
    assert_eq!(config.groups[0].sinks, ["k1", "k8", "k9"]);
}
