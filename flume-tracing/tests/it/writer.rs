//! Lines that `tracing_subscriber::fmt` writes.

use std::io::Write;

use flume_appender::{Appender, Raw};
use flume_client::Event;
use tracing_subscriber::fmt::MakeWriter;

use crate::only;

#[test]
fn a_formatted_event_is_one_with_its_level_target_and_text() {
    let builder = Appender::builder().layout(Raw::new());
    let (appender, captured) = flume_appender::test::capture(builder).unwrap();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_writer(flume_tracing::writer(&appender))
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        tracing::error!(target: "orders", order = 17, "lost");
    });
    let events = captured.take();
    let bodies: Vec<_> = events.iter().map(Event::body).collect();
    assert_eq!(bodies, [b"ERROR orders: lost order=17"]);
    assert_eq!(events[0].header_value("level"), Some("ERROR"));
    assert_eq!(events[0].header_value("target"), Some("orders"));
}

#[test]
fn each_line_is_an_event_however_it_is_written() {
    let builder = Appender::builder().layout(Raw::new());
    let (appender, captured) = flume_appender::test::capture(builder).unwrap();
    let writer = flume_tracing::writer(&appender);
    let mut line = writer.make_writer();
    for part in ["o", "ne\ntwo\r\n\nfo", "ur\n", "fi", "ve"] {
        line.write_all(part.as_bytes()).unwrap();
    }
    drop(line);
    assert_eq!(captured.take_bodies(), ["one", "two", "", "four", "five"]);
}

#[test]
fn a_line_without_an_end_is_cut_and_not_kept_for_ever() {
    let (appender, captured) = flume_appender::test::capture(Appender::builder()).unwrap();
    let writer = flume_tracing::writer(&appender);
    let mut line = writer.make_writer();
    let part = [b'x'; 64 * 1024];
    (0..64).for_each(|_| line.write_all(&part).unwrap());
    drop(line);
    let seen = only(&captured.take());
    let kept = seen["msg"].as_str().unwrap().len();
    assert!(kept <= flume_appender::capture::RECORD_BYTES_MAX, "{kept}");
    assert_eq!(captured.guard().stats().cut_values, 1);
}
