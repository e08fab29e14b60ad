//! Interceptors of a running agent.

use flume_client::Event;
use flume_mini_agent::MiniAgent;
use flume_mini_agent::config::{
    AgentConfig, AvroSourceConfig, CollectSinkConfig, InterceptorConfig, MemoryChannelConfig,
    SourceConfig,
};

use crate::support::{LIMIT, counter};

#[test]
fn interceptors_change_and_drop_events_and_a_dropped_one_is_answered_ok() {
    let filter = InterceptorConfig::RegexFilter {
        regex: "^keep".to_owned(),
        exclude_events: false,
    };
    let fixed = InterceptorConfig::Static {
        key: "dc".to_owned(),
        value: "north".to_owned(),
        preserve_existing: true,
    };
    let source = SourceConfig::new("r1", AvroSourceConfig::new("127.0.0.1", 0), ["c1"])
        .interceptor(filter)
        .interceptor(fixed);
    let config = AgentConfig::builder("a1")
        .channel("c1", MemoryChannelConfig::default())
        .add_source(source)
        .sink("k1", CollectSinkConfig::default(), "c1");
    let agent = MiniAgent::configured(config.build().unwrap())
        .start()
        .unwrap();
    let client = flume_client::Client::builder().agent(agent.url());
    let client = client.build().unwrap();
    let send = |event| client.append(event).unwrap().wait(LIMIT).unwrap();
    send(Event::new("drop me"));
    send(Event::new("keep me"));
    send(Event::new("keep mine").header("dc", "south"));
    let events = agent.wait_for(2, LIMIT).unwrap();
    let found = events
        .iter()
        .map(|event| (event.body(), event.header_value("dc")));
    let wanted = [
        (b"keep me".as_slice(), Some("north")),
        (b"keep mine", Some("south")),
    ];
    assert!(found.eq(wanted));
    assert_eq!(counter(&agent, "SOURCE.r1", "EventAcceptedCount"), "3");
}
