//! `compression-type = deflate`, against the library flate2 at the other end.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use flate2::Compression as Level;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use flume_mini_agent::config::{
    AgentConfig, AvroSinkConfig, AvroSourceConfig, Compression, MemoryChannelConfig,
};
use flume_mini_agent::{Fault, MiniAgent};

use crate::support::{APPEND, Client, GREETING, GREETING_OK, LIMIT, batch, bodies, hex, status};

fn agent() -> MiniAgent {
    MiniAgent::builder().deflate().start().unwrap()
}

/// A client whose bytes are compressed.
struct Deflated {
    requests: ZlibEncoder<TcpStream>,
    answers: ZlibDecoder<TcpStream>,
}

impl Deflated {
    fn connect(address: SocketAddr, level: u32) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        Self {
            answers: ZlibDecoder::new(socket.try_clone().unwrap()),
            requests: ZlibEncoder::new(socket, Level::new(level)),
        }
    }

    fn send(&mut self, digits: &str) {
        self.send_bytes(&hex(digits));
    }

    /// Written and flushed; the stream goes on.
    fn send_bytes(&mut self, bytes: &[u8]) {
        self.requests.write_all(bytes).unwrap();
        self.requests.flush().unwrap();
    }

    #[track_caller]
    fn expect(&mut self, digits: &str) {
        let mut found = vec![0; hex(digits).len()];
        self.answers.read_exact(&mut found).unwrap();
        assert_eq!(found, hex(digits));
    }

    /// The agent ends the connection without another byte.
    fn expect_closed(&mut self) {
        match self.answers.read(&mut [0; 64]) {
            Ok(0) => {}
            Ok(bytes) => panic!("{bytes} bytes came instead of the end"),
            Err(error) => {
                let kinds = [ErrorKind::ConnectionReset, ErrorKind::UnexpectedEof];
                assert!(kinds.contains(&error.kind()), "{error}");
            }
        }
    }
}

#[test]
fn at_every_level_calls_and_answers_are_those_without_compression() {
    for level in [0, 1, 6, 9] {
        let agent = agent();
        let mut client = Deflated::connect(agent.addr(), level);
        client.send(GREETING);
        client.expect(GREETING_OK);
        client.send(APPEND);
        client.expect(&status(1, "00"));
        client.send_bytes(&batch(3, 90));
        client.expect(&status(3, "00"));
        // Two at once, and the second one in two parts.
        let second = batch(5, 1);
        client.send_bytes(&[&batch(4, 1), &second[..20]].concat());
        client.expect(&status(4, "00"));
        client.send_bytes(&second[20..]);
        client.expect(&status(5, "00"));
        assert_eq!(bodies(&agent, 93).len(), 93, "level {level}");
    }
}

#[test]
fn compression_on_one_side_only_ends_the_connection() {
    let compressed = agent();
    let mut client = Client::connect(&compressed);
    client.send(GREETING);
    client.expect_closed();
    let plain = MiniAgent::builder().start().unwrap();
    let mut client = Deflated::connect(plain.addr(), 6);
    client.send(GREETING);
    client.expect_closed();
    assert_eq!(compressed.stats().requests + plain.stats().requests, 0);
}

#[test]
fn a_stream_that_is_finished_or_damaged_is_worth_nothing_from_there_on() {
    let agent = agent();
    let mut client = Deflated::connect(agent.addr(), 6);
    client.send(GREETING);
    client.expect(GREETING_OK);
    client.requests.get_mut().write_all(&[0xff; 64]).unwrap();
    client.expect_closed();
    let mut client = Deflated::connect(agent.addr(), 6);
    client.send(GREETING);
    client.expect(GREETING_OK);
    client.requests.try_finish().unwrap();
    client.requests.get_mut().write_all(&hex(APPEND)).unwrap();
    client.expect_closed();
}

#[test]
fn what_swells_is_refused_by_the_frames_limit_and_not_kept() {
    let agent = agent();
    let mut client = Deflated::connect(agent.addr(), 9);
    client.send(GREETING);
    client.expect(GREETING_OK);
    // 5 MB of frames without a buffer, in 5 KB.
    let sent = client.requests.write_all(&vec![0; 5_000_000]);
    // The agent does not wait for the end of it.
    drop(sent.and_then(|()| client.requests.flush()));
    agent
        .wait_until(LIMIT, |stats| stats.frames_refused == 1)
        .unwrap();
}

#[test]
fn faults_strike_what_is_in_the_stream() {
    let agent = agent();
    let mut client = Deflated::connect(agent.addr(), 6);
    client.send(GREETING);
    client.expect(GREETING_OK);
    let _slices = agent.fault(Fault::OneByteSlices.nth_request(1));
    client.send(APPEND);
    client.expect(&status(1, "00"));
    let half = agent.fault(Fault::CloseMidFrame.nth_request(1));
    client.send(APPEND);
    client.expect("00000001 00000003 000000");
    client.expect_closed();
    assert_eq!(half.hits().len(), 1);
    drop(half);
    let _garbage = agent.fault(Fault::CommitThenGarbage.nth_request(1));
    let mut client = Deflated::connect(agent.addr(), 6);
    client.send(GREETING);
    client.expect(GREETING_OK);
    client.send(APPEND);
    let damaged = client.answers.read(&mut [0; 64]).unwrap_err();
    assert_eq!(damaged.kind(), ErrorKind::InvalidInput);
    assert_eq!(bodies(&agent, 3), ["hi"; 3]);
}

#[test]
fn an_avro_sink_passes_events_on_to_a_compressed_source() {
    let next = agent();
    for level in [0, 9] {
        let mut sink = AvroSinkConfig::new("127.0.0.1", next.addr().port());
        sink.compression = Compression::Deflate;
        sink.compression_level = level;
        let config = AgentConfig::builder("a1")
            .channel("c1", MemoryChannelConfig::default())
            .source("r1", AvroSourceConfig::new("127.0.0.1", 0), ["c1"])
            .sink("k1", sink, "c1")
            .build();
        let mut agent = MiniAgent::configured(config.unwrap()).start().unwrap();
        let mut client = Client::greeted(&agent);
        client.send(APPEND);
        client.expect(&status(1, "00"));
        client.send_bytes(&batch(3, 90));
        client.expect(&status(3, "00"));
        assert!(agent.drain(LIMIT).is_empty(), "level {level}");
    }
    let received = next.wait_for(182, LIMIT).unwrap();
    assert_eq!(received.len(), 182);
}

#[test]
fn connections_side_by_side_have_streams_of_their_own() {
    let agent = MiniAgent::builder().capacity(10_000).deflate().start();
    let agent = agent.unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = Deflated::connect(agent.addr(), 6);
                client.send(GREETING);
                client.expect(GREETING_OK);
                for serial in 1..=20 {
                    client.send_bytes(&batch(serial, 10));
                    client.expect(&status(serial, "00"));
                }
            });
        }
    });
    assert_eq!(bodies(&agent, 1_600).len(), 1_600);
}
