//! What is said of losses at an end.

use std::process::Command;
use std::time::Duration;

use flume_appender::capture::{InlineSite, Key};
use flume_appender::{Appender, Level};

use super::{at, idle, log};
use crate::support::{Agent, PATIENCE, Port};

const CHILD: &str = "FLUME_TEST_WORDS";
/// Enough for a first try of an agent that is not there.
const TIME: Duration = Duration::from_secs(1);

#[test]
fn a_dropped_guard_says_how_many_events_were_lost_and_why_and_nothing_of_what_was_not_lost() {
    let test = "appender::words::a_dropped_guard_says_how_many_events_were_lost_and_why_and_nothing_of_what_was_not_lost";
    if let Ok(url) = std::env::var(CHILD) {
        let builder = at(url).shutdown_timeout(TIME);
        let (appender, _guard) = builder.build().unwrap();
        return log(&appender, Level::Info, 0..7);
    }
    let port = Port::reserve();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]);
    let output = command.env(CHILD, port.url()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let lines = said.lines().filter(|it| it.starts_with("flume-appender: "));
    let lines: Vec<_> = lines.collect();
    assert_eq!(lines.len(), 1, "{said}");
    assert!(
        lines[0].starts_with("flume-appender: 7 events were lost"),
        "{said}"
    );
    assert!(lines[0].contains(&port.addr().to_string()), "why: {said}");
    assert!(lines[0].contains("Guard::close"), "what to do: {said}");
    assert!(!lines[0].contains("records"), "{said}");
}

#[test]
#[cfg(target_os = "linux")]
fn what_a_full_disk_did_not_take_is_told_with_the_disk_as_its_cause() {
    use crate::support::{on_small_disk, stuff};
    let test = "appender::words::what_a_full_disk_did_not_take_is_told_with_the_disk_as_its_cause";
    on_small_disk(test, 48, |disk| {
        stuff(disk);
        let port = Port::reserve();
        let builder = at(port.url()).spool(disk.join("spool"));
        let builder = builder.client(|client| client.spool_free_bytes(0));
        let (appender, guard) = builder.build().unwrap();
        log(&appender, Level::Info, 0..5000);
        let report = guard.close(TIME).wait();
        let text = report.into_result().unwrap_err().to_string();
        assert!(text.starts_with("5000 events were lost"), "{text}");
        assert!(text.contains("cannot be stored"), "{text}");
        assert!(!text.contains("records"), "{text}");
    });
}

/// Logs from within a log call, so many times.
fn nest(appender: &Appender, depth: u32) {
    struct Nested<'a>(&'a Appender, u32);
    impl std::fmt::Debug for Nested<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            if self.1 > 0 {
                nest(self.0, self.1 - 1);
            }
            f.write_str("nested")
        }
    }
    let capture = appender.capture();
    if let Some(mut recorder) = capture.begin(Level::Info) {
        recorder.inline_site(&InlineSite::default());
        let mut fields = recorder.fields();
        fields.debug(Key::Name("message"), &Nested(appender, depth));
        recorder.finish_inline(None);
    }
}

#[test]
fn records_from_too_deep_within_others_are_told_as_that_and_not_as_lost() {
    let agent = Agent::good();
    let (appender, guard) = idle(&agent).build().unwrap();
    let most = u32::from(flume_appender::capture::NESTING_MAX);
    nest(&appender, most);
    let report = guard.close(PATIENCE).wait();
    assert_eq!(report.records.total().nested, 1);
    let text = report.into_result().unwrap_err().to_string();
    let expected = "1 records were left out, logged from within too many other log calls";
    assert_eq!(text, expected);
}
