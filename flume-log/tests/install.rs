//! The logger of a whole program, of which there is one: a binary of its own.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flume_appender::Level;
use flume_log::{InstallError, LoggerBuilder};
use flume_mini_agent::MiniAgent;
use flume_tracing::FlumeLayer;
use log::{LevelFilter, Log, Metadata, Record};
use tracing_subscriber::layer::SubscriberExt;

const LIMIT: Duration = Duration::from_secs(20);

/// Counts what our client says of itself.
struct Witness;

static SEEN: AtomicU64 = AtomicU64::new(0);

impl Log for Witness {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("flume_client")
    }

    fn log(&self, _: &Record<'_>) {
        SEEN.fetch_add(1, Ordering::SeqCst);
    }

    fn flush(&self) {}
}

#[test]
fn the_installed_logger_delivers_what_the_program_says_and_nothing_of_its_own_delivery() {
    let mut agent = MiniAgent::builder().start().unwrap();
    let guard = flume_log::logger()
        .agent(agent.url())
        .filter("info,hyper=debug")
        .also_up_to(LevelFilter::Warn, Witness)
        .install()
        .unwrap();
    assert_eq!(log::max_level(), LevelFilter::Debug);
    log::info!("one");
    guard.set_level(Level::Error);
    assert_eq!(
        log::max_level(),
        LevelFilter::Warn,
        "the other logger wants them"
    );
    log::info!("not wanted");
    agent.wait_for(1, LIMIT).unwrap();
    guard.set_level(Level::Trace);
    assert_eq!(log::max_level(), LevelFilter::Trace);
    // The agent in this process polls its sockets, and that is no part of our delivery.
    guard.set_filter("trace,mio=off".parse().unwrap());
    log::trace!("two");
    let again = flume_log::logger().agent(agent.url()).install();
    assert!(matches!(again, Err(InstallError::Taken(_))));
    log::logger().flush();
    agent.wait_for(2, LIMIT).unwrap();

    // It is gone and comes back, and the client tells of that.
    agent.stop();
    log::info!("three");
    let deadline = Instant::now() + LIMIT;
    while SEEN.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < deadline, "the client said nothing");
        std::thread::yield_now();
    }
    agent.start_again().unwrap();
    let report = guard.close(LIMIT).wait();
    agent.wait_for(3, LIMIT).unwrap();
    let events = agent.received();
    let bodies = events
        .iter()
        .map(|event| String::from_utf8_lossy(event.body()));
    let bodies: Vec<_> = bodies.collect();
    let texts = ["one", "two", "three"].map(|text| format!("\"msg\":\"{text}\""));
    assert_eq!(bodies.len(), texts.len(), "{bodies:?} {report:?}");
    assert!(
        bodies
            .iter()
            .zip(&texts)
            .all(|(body, text)| body.contains(text))
    );
    assert_eq!(report.records.total().logged, 3, "{report:?}");
}

/// Set in a process that is to log in two ways.
const TWICE: &str = "FLUME_LOG_TEST_TWICE";

#[test]
fn a_program_that_bridges_its_records_as_well_is_told_so_once() {
    if std::env::var_os(TWICE).is_some() {
        log_twice();
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("a_program_that_bridges_its_records_as_well_is_told_so_once")
        .env(TWICE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut first = String::new();
    said.read_line(&mut first).unwrap();
    assert!(
        first.contains("twice") && first.contains("LogTracer"),
        "{first}"
    );
    // It ends when its input does.
    drop(child.stdin.take());
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(child.wait().unwrap().success(), "{rest}");
    assert!(!rest.contains("twice"), "{rest}");
}

fn log_twice() {
    let (appender, captured) =
        flume_appender::test::capture(flume_appender::Appender::builder()).expect("it starts");
    let subscriber = tracing_subscriber::registry().with(FlumeLayer::new(&appender));
    tracing::subscriber::set_global_default(subscriber).expect("it is the first one");
    let (logger, own) =
        flume_appender::test::capture(flume_log::logger().also(tracing_log::LogTracer::new()))
            .expect("it starts");
    logger.install().expect("it is the first one");
    (0..3).for_each(|_| log::info!("in two ways"));
    assert_eq!((captured.take().len(), own.take().len()), (3, 3));
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn more_places_than_are_kept_log_all_the_same_and_levels_and_targets_are_not_mixed_up() {
    let (logger, captured) = flume_appender::test::capture(flume_log::logger()).unwrap();
    let log = |level: log::Level, target: &str, pairs: &[(&str, i32)]| {
        let mut record = Record::builder();
        record
            .level(level)
            .target(target)
            .file(Some("orders.rs"))
            .line(Some(5));
        logger.log(&record.key_values(&pairs).build());
    };
    for level in [log::Level::Error, log::Level::Info, log::Level::Error] {
        log(level, "same", &[]);
    }
    for number in 0..6000 {
        log(log::Level::Info, &format!("target {number}"), &[("a", 0)]);
    }
    let seen: Vec<_> = captured.take();
    let header = |name: &str| -> Vec<_> {
        let values = seen.iter().map(|event| event.header_value(name).unwrap());
        values.map(String::from).collect()
    };
    let targets = (0..6000).map(|number| format!("target {number}"));
    let same = ["same"; 3].map(String::from);
    let targets: Vec<_> = same.into_iter().chain(targets).collect();
    assert_eq!(header("target"), targets);
    assert_eq!(header("level")[..4], ["ERROR", "INFO", "ERROR", "INFO"]);
    let has_field = |event: &flume_client::Event| event.body().ends_with(br#""fields":{"a":0}}"#);
    assert_eq!(seen.iter().filter(|event| has_field(event)).count(), 6000);
}
