//! The command as the program of `MiniAgentProcess`.

use flume_client::Event;
use flume_mini_agent::{MiniAgentProcess, ProcessError};

use crate::support::PATIENCE;

#[test]
fn a_killed_agent_comes_back_at_its_port_with_what_its_file_channel_has() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().display();
    let properties = format!(
        "a1.sources = r1
a1.channels = c1
a1.sources.r1.type = avro
a1.sources.r1.bind = 127.0.0.1
a1.sources.r1.port = 0
a1.sources.r1.channels = c1
a1.channels.c1.type = file
a1.channels.c1.dataDirs = {data}
a1.channels.c1.checkpointDir = {data}
a1.channels.c1.minimumRequiredSpace = 1048576
"
    );
    let flume = env!("CARGO_BIN_EXE_flume");
    let agent = MiniAgentProcess::builder("a1", properties).program(flume);
    let mut agent = agent.start().unwrap();
    let (client, url) = (agent.client().build().unwrap(), agent.url());
    for _ in 0..3 {
        let receipt = client.append(Event::new("x")).unwrap();
        receipt.wait(PATIENCE).unwrap();
        agent.kill();
        agent.start_again().unwrap();
        assert_eq!(agent.url(), url);
    }
    assert!(matches!(agent.start_again(), Err(ProcessError::Running)));
    let status = agent.terminate().unwrap();
    assert!(
        status.success(),
        "{status}: what is in a file channel is not lost"
    );
    agent.start_again().unwrap();
    assert!(agent.terminate().unwrap().success());
}
