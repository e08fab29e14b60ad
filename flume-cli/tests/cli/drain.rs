//! The end of `flume agent`.

use flume_mini_agent::MiniAgent;

use crate::support::PATIENCE;
use crate::support::configured::{PropertyFile, file_channel};

/// An avro source, the channel and no sink.
fn stuck(channel: &str) -> String {
    let source = "\
a1.sources = r1
a1.channels = c1
a1.sources.r1.type = avro
a1.sources.r1.bind = 127.0.0.1
a1.sources.r1.port = 0
a1.sources.r1.channels = c1
";
    format!("{source}{channel}")
}

fn memory() -> String {
    "a1.channels.c1.type = memory\n".to_owned()
}

/// A sink to an agent whose channel is full.
fn to(far: &MiniAgent) -> String {
    let port = far.addr().port();
    format!(
        "a1.sinks = k1\n\
         a1.sinks.k1.type = avro\n\
         a1.sinks.k1.channel = c1\n\
         a1.sinks.k1.hostname = 127.0.0.1\n\
         a1.sinks.k1.port = {port}\n\
         a1.sinks.k1.batch-size = 1\n"
    )
}

/// An agent that takes nothing until its sink is resumed.
fn full() -> MiniAgent {
    let far = MiniAgent::builder()
        .capacity(1)
        .transaction_capacity(1)
        .keep_alive(PATIENCE)
        .sink_paused(true)
        .start()
        .unwrap();
    let client = far.client().build().unwrap();
    let receipt = client.append(flume_client::Event::new("full")).unwrap();
    receipt.wait(PATIENCE).unwrap();
    far
}

#[test]
fn a_termination_lets_the_sinks_empty_the_channels() {
    let far = full();
    let properties = PropertyFile::new(&(stuck(&memory()) + &to(&far)));
    let mut agent = properties.start(&["--drain-timeout", "1h"]);
    agent.send("r1", "1\n2\n3\n");
    agent.running.signal("TERM");
    let line = agent.running.wait_for_stderr("stopping: ");
    assert!(line.contains("a second Ctrl-C ends at once"), "{line}");
    far.resume_sink();
    agent
        .running
        .finish()
        .check(0, &["stopped: 3 events accepted"]);
    let received = far.wait_for(4, PATIENCE).unwrap();
    let bodies: Vec<_> = received.iter().map(|event| event.body()).collect();
    assert_eq!(bodies, [b"full".as_slice(), b"1", b"2", b"3"]);
}

#[test]
fn the_second_signal_ends_at_once() {
    let far = full();
    let properties = PropertyFile::new(&(stuck(&memory()) + &to(&far)));
    let mut agent = properties.start(&["--drain-timeout", "1h"]);
    agent.send("r1", "1\n2\n3\n");
    agent.running.signal("INT");
    agent.running.wait_for_stderr("stopping: ");
    agent.running.signal("INT");
    agent.running.finish().check(130, &[]);
}

#[test]
fn what_memory_channels_still_have_after_the_time_is_lost_and_counted() {
    let far = full();
    let properties = PropertyFile::new(&(stuck(&memory()) + &to(&far)));
    let agent = properties.start(&["--drain-timeout", "100ms"]);
    agent.send("r1", "1\n2\n3\n");
    let expected = "3 events lost with memory channel c1: no sink had taken them";
    agent.stop().check(5, &["3 events accepted", expected]);
}

#[test]
fn file_channels_keep_the_rest_for_the_next_start() {
    let far = full();
    let directory = tempfile::tempdir().unwrap();
    let channel = file_channel(directory.path());
    let properties = PropertyFile::new(&(stuck(&channel) + &to(&far)));
    let agent = properties.start(&["--drain-timeout", "100ms"]);
    agent.send("r1", "1\n2\n3\n");
    let expected = "3 events pending in file channel c1, for the next start";
    agent.stop().check(0, &["3 events accepted", expected]);
    let logger = "a1.sinks = k1\na1.sinks.k1.type = logger\na1.sinks.k1.channel = c1\n";
    properties.write(&(stuck(&channel) + logger));
    let again = properties.start(&[]).stop();
    again.check(0, &["stopped: 0 events accepted"]);
    let (first, rest) = again.stdout.split_once('\n').unwrap();
    assert!(first.starts_with("listening on avro://"), "{again:?}");
    for body in ["31 1", "32 2", "33 3"] {
        assert!(rest.contains(body), "{again:?}");
    }
}
