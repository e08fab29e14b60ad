//! What is told of records that were lost.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use flume_appender::capture::{Key, Site, SiteText};
use flume_appender::{Appender, Level};
use flume_mini_agent::{MiniAgent, Received};
use jiff::Timestamp;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

static PLACE: u8 = 0;

fn log(appender: &Appender, text: &str) {
    let capture = appender.capture();
    let Some(mut recorder) = capture.begin(Level::Info) else {
        return;
    };
    recorder.fields().text(Key::Name("message"), text);
    let site = Site::new(&PLACE, |_| SiteText::new(Level::Info, "test"));
    recorder.finish(site, None);
}

#[test]
fn drops_are_counted_by_level_and_told_once_to_the_readers_when_there_is_room_again() {
    let mut agent = MiniAgent::builder().start().unwrap();
    let url = agent.url();
    agent.stop();
    let (tell, told) = mpsc::channel();
    let (appender, guard) = Appender::builder()
        .agent(url)
        .client(|client| client.buffer_bytes(1024 * 1024))
        .capture_bytes(512 * 1024)
        .linger(Duration::from_millis(1))
        .on_loss(move |loss| tell.send(loss.clone()).unwrap())
        .build()
        .unwrap();
    let begin = Timestamp::now();
    let text = "x".repeat(1024);
    let mut lost = 0;
    while lost == 0 {
        (0..500).for_each(|_| log(&appender, &text));
        lost = told.try_iter().map(|loss| loss.total()).sum();
    }
    agent.start_again().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while guard.stats().reports == 0 {
        assert!(Instant::now() < deadline, "{:?}", guard.stats());
        // It comes by itself.
        std::thread::yield_now();
    }
    guard.flush(PATIENCE).wait().unwrap();
    let is_report = |event: &Received| event.header_value("target") == Some("flume");
    let stats = guard.stats();
    let total = stats.total();
    let delivered = (total.handed_on + stats.reports) as usize;
    let events = agent.wait_for(delivered, PATIENCE).unwrap();
    let reports: Vec<_> = events.iter().filter(|event| is_report(event)).collect();
    assert_eq!((reports.len(), events.len()), (1, delivered));
    assert_eq!(reports[0].header_value("level"), Some("WARN"));
    let body: Value = serde_json::from_slice(reports[0].body()).unwrap();
    lost += told.try_iter().map(|loss| loss.total()).sum::<u64>();
    assert_eq!(total.lost(), lost);
    assert_eq!(
        body["fields"]["shed"],
        total.shed_at_call + total.shed_at_client
    );
    assert_eq!(body["fields"]["level"], "INFO");
    let time = |name: &str| {
        body["fields"][name]
            .as_str()
            .unwrap()
            .parse::<Timestamp>()
            .unwrap()
    };
    assert!(begin <= time("until") && time("since") < time("until"));
    assert_eq!(stats.reports, 1);
    assert_eq!(total.logged, total.handed_on + total.lost());
}
