//! Log appenders: what becomes of records when programs end, agents fail and processes fork.

mod endings;
#[cfg(target_os = "linux")]
mod fork;
mod front_ends;
mod levels;
mod limits;
#[cfg(target_os = "linux")]
mod stuck;
mod traps;
mod ways_out;
mod words;

use std::time::Duration;

use flume_appender::capture::{InlineSite, Key};
use flume_appender::{Appender, Builder, Level};
use flume_mini_agent::MiniAgent;

use crate::support::Agent;

/// Logs the lines with these numbers.
fn log(appender: &Appender, level: Level, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        log_text(appender, level, &format!("event {number}"));
    }
}

fn log_text(appender: &Appender, level: Level, text: &str) {
    let capture = appender.capture();
    if let Some(mut recorder) = capture.begin(level) {
        recorder.inline_site(&InlineSite {
            target: "service",
            ..InlineSite::default()
        });
        recorder.fields().text(Key::Name("message"), text);
        recorder.finish_inline(None);
    }
}

/// An appender that brings nothing on its way by itself but errors and what fills a buffer.
fn idle(agent: &Agent) -> Builder {
    at(agent.url())
}

fn at(url: String) -> Builder {
    let builder = Appender::builder().agent(url);
    builder.linger(Duration::from_secs(3600))
}

/// The lines that an agent has, once there are so many.
fn lines(agent: &MiniAgent, events: usize) -> Vec<String> {
    let events = agent.wait_for(events, crate::support::PATIENCE).unwrap();
    let line = |body: &[u8]| {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap();
        body["msg"].as_str().unwrap().to_owned()
    };
    events.iter().map(|event| line(event.body())).collect()
}
