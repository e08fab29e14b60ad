//! Records to events, and what that costs.

use std::time::Instant;

use flume_client::Event;

use super::stage::{MESSAGE, Place, Stage, bare, site};
use crate::capture::{FieldWriter, Key, Records, SpanNode};
use crate::counts::Outcomes;
use crate::layout::{Json, Layout, LayoutError, Logfmt, Raw, Record, Verdict};
use crate::level::Level;
use crate::prepared::headers::{HeaderProfile, HeaderSettings};
use crate::prepared::origin;
use std::sync::Arc;

static ORDER: Place = Place {
    level: Level::Info,
    name: "",
    fields: &["message", "user", "state", "bytes", "path"],
};
static REQUEST: Place = Place {
    level: Level::Info,
    name: "request",
    fields: &["id", "method"],
};

/// Logs `count` records of four fields in one span.
fn log_in_a_span(stage: &Stage, count: u64) {
    let span = stage.capture.span(site(&REQUEST), None, |fields| {
        fields.u64(Key::Index(0), 17);
        fields.text(Key::Index(1), "GET");
    });
    for number in 0..count {
        let mut recorder = stage.capture.begin(Level::Info).unwrap();
        let mut fields = recorder.fields();
        fields.text(Key::Index(0), "request finished");
        fields.display(Key::Index(1), &"alice");
        fields.debug(Key::Index(2), &Some("open"));
        fields.i64(Key::Index(3), -4711 - number as i64);
        fields.text(Key::Index(4), "/index.html");
        recorder.finish(site(&ORDER), span.as_ref());
    }
}

/// The same through a front end that knows no call sites: all texts come with the record.
fn log_inline(stage: &Stage, count: u64) {
    for number in 0..count {
        let mut recorder = stage.capture.begin(Level::Info).unwrap();
        recorder.inline_site(&crate::capture::InlineSite {
            target: "orders::placing",
            module: Some("orders::placing"),
            file: Some("src/placing.rs"),
            line: Some(17),
        });
        let mut fields = recorder.fields();
        fields.text(MESSAGE, "request finished");
        fields.display(Key::Name("user"), &"alice");
        fields.i64(Key::Name("bytes"), -4711 - number as i64);
        fields.text(Key::Name("path"), "/index.html");
        recorder.finish_inline(None);
    }
}

/// Each record in a span of its own.
fn log_in_spans(stage: &Stage, count: u64) {
    for _ in 0..count {
        log_in_a_span(stage, 1);
    }
}

/// Prints what a record takes, at best; `log` logs so many.
fn check_cost(what: &str, stage: &mut Stage, log: fn(&Stage, u64)) {
    const RECORDS: u64 = 2000;
    let mut best = u128::MAX;
    let rounds = if cfg!(debug_assertions) { 4 } else { 40 };
    for round in 0..rounds {
        log(stage, RECORDS);
        let taken = stage.taken();
        stage.batch.clear();
        let allocations = allocation_counter::measure(|| {
            let begin = Instant::now();
            stage.write(&taken);
            best = best.min(begin.elapsed().as_nanos());
        });
        // The first round makes room. After it a span of many records has its text kept, once.
        if round > 0 {
            assert!(allocations.count_total <= 1, "{what}: {allocations:?}");
        }
        assert_eq!(stage.batch.len(), RECORDS as usize);
    }
    println!("{what}: {} ns", best / u128::from(RECORDS));
}

#[test]
fn a_record_costs_no_allocation() {
    check_cost("four fields, one span", &mut Stage::json(), log_in_a_span);
    check_cost("no call site", &mut Stage::json(), log_inline);
    let mut stage = Stage::with_headers(&promoting(&["user", "id"], ("f.", "s.")));
    check_cost("two promoted", &mut stage, log_in_a_span);
    check_cost("logfmt", &mut Stage::new(Logfmt::new()), log_in_a_span);
    check_cost(
        "flat",
        &mut Stage::new(Json::new().flatten()),
        log_in_a_span,
    );
}

#[test]
fn a_span_of_one_record_costs_the_renderer_no_allocation() {
    check_cost("a span for each", &mut Stage::json(), log_in_spans);
}

/// Logs a record of a level, within a span perhaps.
fn log(
    stage: &Stage,
    level: Level,
    span: Option<&Arc<SpanNode>>,
    write: impl FnOnce(&mut FieldWriter<'_>),
) {
    let mut recorder = stage.capture.begin(level).unwrap();
    write(&mut recorder.fields());
    recorder.finish(bare(level), span);
}

/// The defaults, with a host and a service.
fn settings(profile: HeaderProfile) -> HeaderSettings {
    HeaderSettings {
        profile,
        host: Some("web-1".into()),
        service: Some("shop".into()),
        ..HeaderSettings::default()
    }
}

fn sorted(event: &Event) -> Vec<(&str, &str)> {
    let mut headers: Vec<_> = event.headers().collect();
    headers.sort_unstable();
    headers
}

const ALWAYS: [(&str, &str); 4] = [
    ("guid", "00abcdef01234567-0000000000000000"),
    ("host", "web-1"),
    ("service", "shop"),
    ("timestamp", "1795799045123"),
];

#[track_caller]
fn check_headers(profile: HeaderProfile, level: Level, more: &[(&str, &str)]) {
    let mut stage = Stage::with_headers(&settings(profile));
    log(&stage, level, None, |_| {});
    let mut expected = [&ALWAYS, more].concat();
    expected.sort_unstable();
    assert_eq!(sorted(&stage.event()), expected);
}

#[test]
fn each_profile_has_the_headers_that_its_readers_know() {
    use HeaderProfile as Profile;
    check_headers(Profile::BARE, Level::Info, &[]);
    let native = [("level", "WARN"), ("target", "orders")];
    check_headers(Profile::NATIVE, Level::Warn, &native);
    let address = origin::address();
    let log4j1 = |level| {
        [
            ("flume.client.log4j.address", address.as_str()),
            ("flume.client.log4j.log.level", level),
            ("flume.client.log4j.logger.name", "orders"),
            ("flume.client.log4j.message.encoding", "UTF8"),
            ("flume.client.log4j.timestamp", "1795799045123"),
        ]
    };
    // The numbers of org.apache.log4j.Level.
    let levels = ["5000", "10000", "20000", "30000", "40000"];
    for (level, number) in Level::ALL.into_iter().zip(levels) {
        check_headers(Profile::LOG4J1, level, &log4j1(number));
    }
    // By RFC 9562: 100 ns steps since 1582-10-15 of that time are 1f1ea848d3b0707, in hexadecimal.
    let guid = "8d3b0707-ea84-11f1-8000-cdef01234567";
    let log4j2 = [("timeStamp", "1795799045123"), ("guId", guid)];
    check_headers(Profile::LOG4J2, Level::Info, &log4j2);
    let all = Profile::NATIVE.and(Profile::LOG4J1).and(Profile::LOG4J2);
    let mut expected = [&log4j1("30000")[..], &log4j2, &native].concat();
    expected.sort_unstable();
    check_headers(all, Level::Warn, &expected);
}

#[test]
fn ids_count_on_and_a_record_without_an_event_takes_none() {
    let mut stage = Stage::looking(|record, _| match record.level() {
        Level::Debug => Verdict::Drop,
        _ => Verdict::Keep,
    });
    for number in 0..300 {
        let level = if number % 3 == 0 {
            Level::Debug
        } else {
            Level::Info
        };
        log(&stage, level, None, |_| {});
    }
    let events = stage.events();
    let ids: Vec<_> = events
        .iter()
        .filter_map(|event| event.header_value("guid"))
        .collect();
    let expected: Vec<_> = (0..200)
        .map(|n| format!("00abcdef01234567-{n:016x}"))
        .collect();
    assert_eq!(ids, expected);
    assert_eq!(stage.outcomes.dropped.of(Level::Debug), 100);
}

#[test]
fn times_that_change_are_told_by_each_event() {
    let mut stage = Stage::with_headers(&settings(HeaderProfile::LOG4J1));
    log(&stage, Level::Info, None, |_| {});
    let taken = stage.taken();
    let times = [999_999, 1_000_000, 1_795_799_045_123_456_789, 2_000_000];
    for unix_ns in times {
        let record = taken.iter().flat_map(Records::iter).next().unwrap();
        let (batch, outcomes) = (&mut stage.batch, &mut stage.outcomes);
        stage.writer.write(&record, unix_ns, batch, outcomes);
    }
    let events: Vec<_> = stage
        .batch
        .datums()
        .map(|datum| Event::from_datum(datum.to_vec()).unwrap())
        .collect();
    let expected = ["0", "1", "1795799045123", "2"].map(|digits| format!("{digits:0>13}"));
    for key in ["timestamp", "flume.client.log4j.timestamp"] {
        let told: Vec<_> = events
            .iter()
            .filter_map(|event| event.header_value(key))
            .collect();
        assert_eq!(told, expected);
    }
}

fn promoting(names: &[&str], prefixes: (&str, &str)) -> HeaderSettings {
    HeaderSettings {
        promote: names.iter().map(|name| (*name).to_owned()).collect(),
        prefixes: (prefixes.0.into(), prefixes.1.into()),
        statics: vec![("env".into(), "prod".into())],
        ..settings(HeaderProfile::BARE)
    }
}

/// The headers beyond those that all events have, of a record in two spans.
fn promoted(settings: &HeaderSettings) -> (Vec<(String, String)>, Outcomes) {
    let mut stage = Stage::with_headers(settings);
    let span = stage.capture.span(bare(Level::Info), None, |fields| {
        fields.text(Key::Name("tenant"), "outer");
        fields.text(Key::Name("host"), "forged");
        fields.text(Key::Name("zone"), "z1");
    });
    let span = stage
        .capture
        .span(bare(Level::Info), span.as_ref(), |fields| {
            fields.text(Key::Name("tenant"), "inner");
        });
    log(&stage, Level::Info, span.as_ref(), |fields| {
        fields.text(MESSAGE, "placed");
        fields.u64(Key::Name("order"), 17);
        fields.text(Key::Name("tenant"), "own");
        fields.text(Key::Name("env"), "mine");
        fields.null(Key::Name("nothing"));
        fields.text(Key::Name("token"), "hunter2");
    });
    let event = stage.event();
    let always = ["guid", "host", "service", "timestamp"];
    let more = sorted(&event)
        .into_iter()
        .filter(|(key, value)| !(always.contains(key) || (*key, *value) == ("env", "prod")));
    let more = more.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(event.header_value("host"), Some("web-1"));
    assert_eq!(event.header_value("env"), Some("prod"));
    (more.collect(), stage.outcomes)
}

#[track_caller]
fn check_promoted(names: &[&str], prefixes: (&str, &str), expected: &[(&str, &str)], renamed: u64) {
    let (headers, outcomes) = promoted(&promoting(names, prefixes));
    let headers: Vec<_> = headers
        .iter()
        .map(|(key, value)| (&**key, &**value))
        .collect();
    assert_eq!((headers.as_slice(), outcomes.renamed), (expected, renamed));
}

#[test]
fn a_promoted_field_becomes_a_header_that_stands_in_no_other_s_place() {
    let all = [
        "tenant", "order", "host", "nothing", "absent", "message", "token", "env",
    ];
    let expected = [
        ("f.env", "mine"),
        ("f.order", "17"),
        ("f.tenant", "own"),
        ("f.token", "[redacted]"),
        ("s.host", "forged"),
        ("s.tenant", "inner"),
    ];
    check_promoted(&all, ("f.", "s."), &expected, 0);
    let expected = [
        ("f.env", "mine"),
        ("order", "17"),
        ("s.host", "forged"),
        ("tenant", "own"),
        ("token", "[redacted]"),
    ];
    check_promoted(&all, ("", ""), &expected, 2);
    let expected = [("f.order", "17"), ("s.zone", "z1")];
    check_promoted(&["order", "zone"], ("flume.", "flume."), &expected, 2);
}

#[test]
fn a_static_header_that_cannot_be_is_refused() {
    let refused = [
        ("timestamp", "1"),
        ("flume.anything", "1"),
        ("guId", "1"),
        ("key", "1"),
        ("", "1"),
        ("nul", "\0"),
        (&"k".repeat(129), "1"),
        ("long", &"v".repeat(4097)),
    ];
    for (key, value) in refused {
        let statics = vec![(key.to_owned(), value.to_owned())];
        let settings = HeaderSettings {
            statics,
            ..settings(HeaderProfile::NATIVE)
        };
        let bad = settings.plan(&[], true).unwrap_err();
        assert_eq!(bad.key, key);
    }
    let many = |count: usize, length: usize| HeaderSettings {
        statics: (0..count)
            .map(|n| (n.to_string(), "v".repeat(length)))
            .collect(),
        ..settings(HeaderProfile::NATIVE)
    };
    assert!(many(38, 1).plan(&[], true).is_ok());
    assert!(many(39, 1).plan(&[], true).is_err());
    assert!(many(3, 4096).plan(&[], true).is_err());
}

#[test]
fn headers_are_cut_to_their_limits_and_that_is_told_and_counted() {
    let names: Vec<String> = (0..80).map(|n| format!("field{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let check = |fields_max: usize, value: &str, cut_bytes: usize, kept: usize| {
        let mut stage = Stage::with_headers(&promoting(&names, ("f.", "s.")));
        log(&stage, Level::Info, None, |fields| {
            for name in names.iter().take(fields_max) {
                fields.text(Key::Name(name), value);
            }
        });
        let event = stage.event();
        let told = event.header_value("flume.truncated").map(str::to_owned);
        assert_eq!(told, Some(cut_bytes.to_string()));
        let promoted = event.headers().filter(|(key, _)| key.starts_with("f."));
        assert_eq!(promoted.count(), kept);
        assert!(event.headers().count() <= 64);
        let bytes: usize = event
            .headers()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        assert!(bytes <= 16 * 1024);
        assert_eq!(stage.outcomes.cut, 1);
    };
    // Five that all events have, and the one that tells.
    check(80, "v", 80 - 58, 58);
    let long = "v".repeat(1000);
    // A pair of them takes 1011 bytes, and the others less than 200.
    check(80, &long, (80 - 16) * 1000, 16);
    // 4096 bytes end within the letter.
    let long = "x".to_owned() + &"ü".repeat(2500);
    check(40, &long, 40 * 5001 - 3 * 4095, 3);
}

#[derive(Debug)]
struct Long {
    letters: usize,
    is_text: bool,
}

impl Layout for Long {
    fn render(&mut self, _: &Record<'_>, out: &mut Vec<u8>) -> Result<(), LayoutError> {
        out.extend_from_slice("xü".as_bytes());
        out.extend_from_slice("ü".repeat(self.letters).as_bytes());
        Ok(())
    }

    fn is_text(&self) -> bool {
        self.is_text
    }
}

#[test]
fn a_body_of_text_is_cut_between_two_letters_and_another_is_not_written() {
    let stage = |is_text| {
        let stage = Stage::new(Long {
            letters: 600_000,
            is_text,
        });
        log(&stage, Level::Info, None, |_| {});
        stage
    };
    let mut no_text = stage(false);
    assert!(no_text.events().is_empty());
    assert_eq!(no_text.outcomes.unwritten.of(Level::Info), 1);
    let mut stage = stage(true);
    let event = stage.event();
    assert_eq!(event.body().len(), 1024 * 1024 - 1);
    assert!(std::str::from_utf8(event.body()).is_ok());
    let cut = 1_200_003 - (1024 * 1024 - 1);
    assert_eq!(
        event.header_value("flume.truncated"),
        Some(cut.to_string().as_str())
    );
    assert_eq!(stage.outcomes.cut, 1);
}

#[test]
fn a_json_body_that_was_cut_is_json_all_the_same() {
    // Six bytes each in JSON.
    let long = "\u{1}".repeat(250_000);
    let mut stage = Stage::new(Json::new());
    log(&stage, Level::Info, None, |fields| {
        fields.text(MESSAGE, "hello");
        fields.text(Key::Name("long"), &long);
        fields.u64(Key::Name("next"), 1);
    });
    let event = stage.event();
    let read: serde_json::Value = serde_json::from_slice(event.body()).unwrap();
    assert_eq!(
        (&read["msg"], &read["fields"]["next"]),
        (&"hello".into(), &1.into())
    );
    assert_eq!(
        read["fields"]["long"].as_str().map(str::len),
        Some(64 * 1024)
    );
    let cut = 6 * (250_000 - 64 * 1024);
    assert_eq!(
        event.header_value("flume.truncated"),
        Some(cut.to_string().as_str())
    );
}

#[test]
fn a_hook_changes_what_is_said_wherever_it_is_said() {
    let look = |_: &Record<'_>, edits: &mut crate::layout::Edits| {
        edits.set_message("other");
        edits.replace("card", "****");
        edits.remove("address");
        Verdict::Keep
    };
    let settings = HeaderSettings {
        promote: vec!["card".into(), "address".into()],
        ..settings(HeaderProfile::BARE)
    };
    let mut stage = Stage::with(
        Json::new(),
        &settings,
        Some(super::writer::BeforeSend(Box::new(look))),
    );
    let span = stage.capture.span(bare(Level::Info), None, |fields| {
        fields.u64(Key::Name("card"), 4711);
        fields.text(Key::Name("address"), "here");
    });
    for _ in 0..3 {
        log(&stage, Level::Info, span.as_ref(), |fields| {
            fields.text(MESSAGE, "secret");
            fields.u64(Key::Name("card"), 4712);
            fields.u64(Key::Name("order"), 17);
        });
    }
    for event in stage.events() {
        let mut body: serde_json::Value = serde_json::from_slice(event.body()).unwrap();
        body["ts"].take();
        let expected = serde_json::json!({
            "ts": null, "level": "INFO", "target": "orders", "msg": "other",
            "fields": {"card": "****", "order": 17}, "span": {"card": "****"},
        });
        assert_eq!(body, expected);
        let promoted: Vec<_> = event
            .headers()
            .filter(|(key, _)| key.contains('.'))
            .collect();
        assert_eq!(promoted, [("f.card", "****"), ("s.card", "****")]);
    }
}

#[test]
fn a_record_that_no_layout_or_hook_can_have_is_counted_and_the_next_one_is_there() {
    #[derive(Debug)]
    struct Picky;
    impl Layout for Picky {
        fn render(&mut self, record: &Record<'_>, out: &mut Vec<u8>) -> Result<(), LayoutError> {
            match record.level() {
                Level::Error => std::panic::resume_unwind(Box::new(())),
                Level::Warn => Err(LayoutError::new("no warnings here")),
                _ => Raw::new().render(record, out),
            }
        }
    }
    let look = |record: &Record<'_>, _: &mut crate::layout::Edits| match record.level() {
        Level::Trace => std::panic::resume_unwind(Box::new(())),
        _ => Verdict::Keep,
    };
    let look = super::writer::BeforeSend(Box::new(look));
    let mut stage = Stage::with(Picky, &HeaderSettings::default(), Some(look));
    for level in [
        Level::Error,
        Level::Info,
        Level::Warn,
        Level::Trace,
        Level::Debug,
    ] {
        log(&stage, level, None, |fields| {
            fields.text(MESSAGE, level.as_str());
        });
    }
    let events = stage.events();
    let bodies: Vec<_> = events.iter().map(Event::body).collect();
    assert_eq!(bodies, [&b"INFO"[..], b"DEBUG"]);
    let unwritten = Level::ALL.map(|level| stage.outcomes.unwritten.of(level));
    assert_eq!(unwritten, [1, 0, 0, 1, 1]);
    let ids: Vec<_> = events
        .iter()
        .filter_map(|event| event.header_value("guid"))
        .collect();
    assert!(ids[1].ends_with("0001"), "{ids:?}");
}

#[test]
fn more_places_than_are_kept_are_all_written_as_what_they_are() {
    let mut stage = Stage::json();
    for round in 0..5 {
        for place in 0..5_000 {
            let mut recorder = stage.capture.begin(Level::Info).unwrap();
            let target = format!("target{}", round * 5_000 + place);
            recorder.inline_site(&crate::capture::InlineSite {
                target: &target,
                ..Default::default()
            });
            recorder.finish_inline(None);
            // One that is always among those that were looked up last.
            log(&stage, Level::Warn, None, |_| {});
        }
        let events = stage.events();
        assert_eq!(events.len(), 10_000);
        let told = |event: &Event, key| event.header_value(key).map(str::to_owned);
        for (place, pair) in events.chunks(2).enumerate() {
            let expected = format!("target{}", round * 5_000 + place);
            assert_eq!(told(&pair[0], "target"), Some(expected));
            assert_eq!(told(&pair[1], "target").as_deref(), Some("orders"));
            assert_eq!(told(&pair[1], "level").as_deref(), Some("WARN"));
        }
    }
}
