//! What the builder is told about bodies and headers, from its settings to events.

use flume_appender::capture::{InlineSite, Key};
use flume_appender::{
    Appender, BuildError, Builder, HeaderProfile, Json, Level, Logfmt, Member, Verdict,
};
use flume_mini_agent::MiniAgent;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

fn log(appender: &Appender, target: &str, card: u64) {
    let capture = appender.capture();
    let Some(mut recorder) = capture.begin(Level::Info) else {
        return;
    };
    recorder.inline_site(&InlineSite {
        target,
        ..InlineSite::default()
    });
    let mut fields = recorder.fields();
    fields.text(Key::Name("message"), "paid");
    fields.u64(Key::Name("card"), card);
    fields.text(Key::Name("tenant"), "acme");
    recorder.finish_inline(None);
}

#[test]
fn all_settings_of_bodies_and_headers_hold_for_what_an_agent_gets() {
    let agent = MiniAgent::builder().start().unwrap();
    let (appender, guard) = Appender::builder()
        .agent(agent.url())
        .layout(Logfmt::new())
        .headers(HeaderProfile::BARE)
        .host("web-1")
        .service("shop")
        .static_header("env", "production")
        .promote("tenant")
        .promote_prefixes("", "")
        .before_send(|record, edits| {
            edits.replace("card", "****");
            if record.target() == "health" {
                Verdict::Drop
            } else {
                Verdict::Keep
            }
        })
        .build()
        .unwrap();
    log(&appender, "health", 1);
    log(&appender, "orders", 4711);
    guard.flush(PATIENCE).wait().unwrap();
    let events = agent.wait_for(1, PATIENCE).unwrap();
    let [event] = &events[..] else {
        panic!("{} events", events.len());
    };
    let body = std::str::from_utf8(event.body()).unwrap();
    let (_, body) = body.split_once(' ').unwrap();
    assert_eq!(
        body,
        "level=INFO target=orders msg=paid card=**** tenant=acme"
    );
    let mut keys: Vec<_> = event.headers().map(|(key, _)| key).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        ["env", "guid", "host", "service", "tenant", "timestamp"]
    );
    let values = ["env", "host", "service", "tenant"].map(|key| event.header_value(key));
    let expected = ["production", "web-1", "shop", "acme"].map(Some);
    assert_eq!(values, expected);
    let stats = guard.stats().of_level(Level::Info);
    assert_eq!((stats.logged, stats.dropped, stats.handed_on), (2, 1, 1));
}

#[test]
fn the_host_and_the_program_are_told_unless_others_are_set() {
    let agent = MiniAgent::builder().start().unwrap();
    let (appender, guard) = Appender::builder().agent(agent.url()).build().unwrap();
    log(&appender, "orders", 1);
    guard.flush(PATIENCE).wait().unwrap();
    let events = agent.wait_for(1, PATIENCE).unwrap();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(events[0].header_value("host"), Some(host.trim()));
    let program = std::env::args().next().unwrap();
    let (_, program) = program.rsplit_once('/').unwrap();
    assert_eq!(events[0].header_value("service"), Some(program));
}

#[test]
fn settings_that_do_not_fit_are_refused_with_what_to_do() {
    let told = |builder: Builder| {
        let built = builder.agent("avro://127.0.0.1:1").build();
        built.map(|_| ()).unwrap_err().to_string()
    };
    let reserved = Appender::builder().static_header("timestamp", "1");
    let expected =
        "the header \"timestamp\" is one that Flume or the appender sets: choose another name";
    assert_eq!(told(reserved), expected);
    let twins = Json::new().rename(Member::Time, "level");
    let expected = "the layout cannot be used: two members of the JSON layout are called \"level\": \
                    rename one of them, or give the static field another name";
    assert_eq!(told(Appender::builder().layout(twins)), expected);
    let long = Appender::builder().static_header("a", "v".repeat(5000));
    let built = long.agent("avro://127.0.0.1:1").build();
    assert!(matches!(built, Err(BuildError::Header { key, .. }) if key == "a"));
}
