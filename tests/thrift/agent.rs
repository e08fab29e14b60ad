//! Calls that the crate writes, to the mini-agent's Thrift source, and the answers that it knows.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use flume_client::wire::thrift::Protocol;
use flume_mini_agent::config::ThriftProtocol;
use flume_mini_agent::{Fault, MiniAgent, Received};
use thrift::ApplicationErrorKind;
use thrift::transport::{TFramedReadTransport, TFramedWriteTransport};

use crate::oracle::{self, Record};

/// Long enough for any machine; reached only when a test fails.
const LIMIT: Duration = Duration::from_secs(30);

const PROTOCOLS: [(ThriftProtocol, Protocol); 2] = [
    (ThriftProtocol::Compact, Protocol::Compact),
    (ThriftProtocol::Binary, Protocol::Binary),
];

/// Sends a message in a frame of the crate's; as many bytes of the answer as are expected.
fn call(socket: &TcpStream, message: &[u8], answer_bytes: usize) -> Vec<u8> {
    let mut out = TFramedWriteTransport::new(socket);
    out.write_all(message).unwrap();
    out.flush().unwrap();
    let mut answer = vec![0; answer_bytes];
    let mut read = TFramedReadTransport::new(socket);
    read.read_exact(&mut answer).unwrap();
    answer
}

fn connect(agent: &MiniAgent) -> TcpStream {
    let socket = TcpStream::connect(agent.addr()).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket
}

fn record(number: usize) -> Record {
    let headers = (0..number % 4).map(|at| (format!("key {at}"), format!("ü {number}")));
    Record {
        headers: headers.collect(),
        body: vec![number as u8; number * 100],
    }
}

fn is(received: &Received, record: &Record) -> bool {
    let has = |(key, value): &(String, String)| received.header_value(key) == Some(value.as_str());
    received.body() == record.body && record.headers.iter().all(has)
}

#[test]
fn the_mini_agent_takes_the_batches_of_the_crate_and_answers_as_it_does() {
    for (of_the_source, protocol) in PROTOCOLS {
        let agent = MiniAgent::builder().thrift(of_the_source).start().unwrap();
        let socket = connect(&agent);
        let batches = [0, 1, 14, 15, 40];
        let mut sent = Vec::new();
        for (seqid, events) in (-1..).zip(batches) {
            let records: Vec<_> = (0..events).map(record).collect();
            let message = oracle::batch(protocol, seqid, &records);
            let ok = oracle::status(protocol, seqid, 0);
            assert_eq!(call(&socket, &message, ok.len()), ok);
            sent.extend(records);
        }
        let received = agent.wait_for(sent.len(), LIMIT).unwrap();
        assert_eq!(received.len(), sent.len());
        assert!(
            received
                .iter()
                .zip(&sent)
                .all(|(one, other)| is(one, other))
        );
    }
}

#[test]
fn the_mini_agents_refusals_are_those_of_the_crate() {
    for (of_the_source, protocol) in PROTOCOLS {
        let agent = MiniAgent::builder().thrift(of_the_source).start().unwrap();
        let socket = connect(&agent);
        let text = "no".to_owned();
        let thrown = oracle::exception(protocol, 7, ApplicationErrorKind::InternalError, &text);
        for (fault, refusal) in [
            (Fault::Failed, oracle::status(protocol, 7, 1)),
            (Fault::Unknown, oracle::status(protocol, 7, 3)),
            (Fault::RpcError(text), thrown),
        ] {
            let _fault = agent.fault(fault);
            let message = oracle::batch(protocol, 7, &[record(3)]);
            assert_eq!(call(&socket, &message, refusal.len()), refusal);
        }
        assert_eq!(agent.stats().events_accepted, 0);
    }
}
