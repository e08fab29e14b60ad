//! Sources of all types in one agent.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use flume_mini_agent::config::{
    AgentConfig, AvroSourceConfig, CollectSinkConfig, HttpSourceConfig, MemoryChannelConfig,
    NetcatSourceConfig, SourceConfig,
};
use flume_mini_agent::{Answered, MiniAgent, Stats};

use crate::support::{APPEND, Client, LIMIT, status};

fn agent() -> MiniAgent {
    let here = "127.0.0.1";
    let config = AgentConfig::builder("a1")
        .channel("c1", MemoryChannelConfig::default())
        .add_source(SourceConfig::new(
            "r1",
            AvroSourceConfig::new(here, 0),
            ["c1"],
        ))
        .add_source(SourceConfig::new(
            "r2",
            HttpSourceConfig::new(here, 0),
            ["c1"],
        ))
        .add_source(SourceConfig::new(
            "r3",
            NetcatSourceConfig::new(here, 0),
            ["c1"],
        ))
        .sink("k1", CollectSinkConfig::default(), "c1")
        .build();
    MiniAgent::configured(config.unwrap()).start().unwrap()
}

/// Says `text` to a source and ends; what it answers.
fn say(agent: &MiniAgent, source: &str, text: &str) -> String {
    let mut socket = TcpStream::connect(agent.addr_of(source).unwrap()).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket.write_all(text.as_bytes()).unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn avro_http_and_netcat_fill_one_channel_and_survive_a_restart() {
    let mut agent = agent();
    for round in 1..=2 {
        let mut client = Client::greeted(&agent);
        client.send(APPEND);
        client.expect(&status(1, "00"));
        let post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 16\r\n\r\n[{\"body\":\"web\"}]";
        let answer = say(&agent, "r2", post);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert_eq!(say(&agent, "r3", "line\n"), "OK\n");
        let received = agent.wait_for(3 * round, LIMIT).unwrap();
        let bodies = received
            .iter()
            .skip(3 * (round - 1))
            .map(|event| event.body());
        assert_eq!(bodies.collect::<Vec<_>>(), [&b"hi"[..], b"web", b"line"]);
        agent.restart().unwrap();
    }
    let sources: Vec<_> = agent.batches().iter().map(|batch| batch.source).collect();
    assert_eq!(
        sources,
        ["avro", "http", "netcat", "avro", "http", "netcat"]
    );
}

#[test]
fn who_shuts_its_side_down_while_a_batch_waits_for_room_gets_its_answer_all_the_same() {
    let here = "127.0.0.1";
    let mut channel = MemoryChannelConfig::default();
    (channel.capacity, channel.transaction_capacity) = (1, 1);
    channel.keep_alive = LIMIT;
    let mut collect = CollectSinkConfig::default();
    collect.batch_size = 1;
    let config = AgentConfig::builder("a1")
        .channel("c1", channel)
        .source("r1", HttpSourceConfig::new(here, 0), ["c1"])
        .source("r2", NetcatSourceConfig::new(here, 0), ["c1"])
        .sink("k1", collect, "c1")
        .build();
    let builder = MiniAgent::configured(config.unwrap()).sinks_paused(true);
    let agent = builder.start().unwrap();
    assert_eq!(say(&agent, "r2", "fills the channel\n"), "OK\n");
    thread::scope(|scope| {
        let post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 16\r\n\r\n[{\"body\":\"web\"}]";
        let http = scope.spawn(|| say(&agent, "r1", post));
        let netcat = scope.spawn(|| say(&agent, "r2", "line\n"));
        agent
            .wait_until(LIMIT, |stats| stats.batches_waiting == 2)
            .unwrap();
        // The agent has seen the ends of the streams before it answers this.
        for _ in 0..3 {
            let refused = say(&agent, "r1", "PUT / HTTP/1.1\r\nHost: h\r\n\r\n");
            assert!(refused.starts_with("HTTP/1.1 405 "), "{refused}");
        }
        agent.resume_sink();
        let http = http.join().unwrap();
        assert!(http.starts_with("HTTP/1.1 200 OK\r\n"), "{http:?}");
        assert_eq!(netcat.join().unwrap(), "OK\n");
    });
    assert_eq!(agent.wait_for(3, LIMIT).unwrap().len(), 3);
}

#[test]
fn when_a_counter_tells_of_an_answer_the_record_has_it_already_with_http_and_netcat_too() {
    let here = "127.0.0.1";
    let config = AgentConfig::builder("a1")
        .channel("c1", MemoryChannelConfig::default())
        .source("r1", HttpSourceConfig::new(here, 0), ["c1"])
        .source("r2", NetcatSourceConfig::new(here, 0), ["c1"])
        .sink("k1", CollectSinkConfig::default(), "c1")
        .build();
    let agent = MiniAgent::configured(config.unwrap()).start().unwrap();
    let connect = |name| TcpStream::connect(agent.addr_of(name).unwrap()).unwrap();
    let (mut http, mut netcat) = (connect("r1"), connect("r2"));
    let post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 16\r\n\r\n[{\"body\":\"web\"}]";
    for round in 1..=500 {
        let (socket, text, answered) = match round % 2 {
            0 => (&mut http, post, Answered::Status(200)),
            _ => (&mut netcat, "line\n", Answered::Ok),
        };
        socket.write_all(text.as_bytes()).unwrap();
        let counted = |stats: &Stats| stats.batches_ok == round;
        agent.wait_until(LIMIT, counted).unwrap();
        assert_eq!(agent.requests().pop().unwrap().answered, answered);
    }
}
