//! The ceilings of clients: what one would send, made before, sent again and again.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use flume_client::wire::avro::frame;
use flume_client::wire::avro::rpc;
use flume_client::wire::avro::session::Session;
use flume_client::wire::deflate::Deflate;
use flume_client::wire::http::json;
use flume_client::wire::thrift::Protocol;
use flume_client::wire::thrift::call::put_append_batch;

use crate::agents::Source;
use crate::contest::Result;
use crate::event::event;

/// Batches that differ, so that a compressor finds in them what it would find in a client's. A round of
/// them is far more than its window of 32 KiB.
const DIFFERENT: usize = 16;
/// A later answer of an Avro source: frame head, an empty buffer, metadata, flag and status.
const AVRO_ANSWER_BYTES: usize = 8 + 4 + 4 + 1 + 4 + 2;
/// An answer of a Thrift source: frame head, message head with the name, and a field with the status.
const THRIFT_ANSWER_BYTES: usize = 4 + 3 + 1 + 11 + 4;

/// What is sent, made before.
pub(crate) struct Replay {
    source: Source,
    greeting: Vec<u8>,
    /// Batches as they are sent in the first round, and in all later ones.
    rounds: [Vec<Vec<u8>>; 2],
}

impl Replay {
    /// Batches of so many events.
    pub(crate) fn of(source: Source, events: usize) -> Result<Self> {
        let batches = (0..DIFFERENT).map(|batch| datums(batch, events));
        let (greeting, plain) = match source {
            Source::Http => {
                let requests: Result<_> = batches.map(|batch| http_request(&batch)).collect();
                (Vec::new(), requests?)
            }
            Source::Thrift => {
                let calls: Result<_> = batches.map(|batch| thrift_call(&batch)).collect();
                (thrift_call(&[])?, calls?)
            }
            _ => {
                let calls = batches.map(|batch| avro_call(&batch)).collect();
                (Session::start().1, calls)
            }
        };
        let plain: Vec<Vec<u8>> = plain;
        let mut codec = (source == Source::Deflate).then(|| Deflate::new(6));
        let greeting = encode(&mut codec, &greeting)?;
        // What comes before a call in the window of the compressor differs in the first round.
        let mut round =
            || -> Result<Vec<_>> { plain.iter().map(|call| encode(&mut codec, call)).collect() };
        let rounds = [round()?, round()?];
        Ok(Self {
            source,
            greeting,
            rounds,
        })
    }

    /// Sends so many batches, `window` of them under way at once: on one connection, or on as many, if
    /// a connection has one request at a time.
    pub(crate) fn run(&self, agent: SocketAddr, batches: usize, window: usize) -> Result<()> {
        match self.source {
            Source::Http => {
                let [requests, _] = &self.rounds;
                self::requests(agent, requests, batches, window)
            }
            _ => self.calls(agent, batches, window),
        }
    }

    /// Sends calls on one connection.
    fn calls(&self, agent: SocketAddr, batches: usize, window: usize) -> Result<()> {
        // An Avro source answers a greeting by one buffer with the four bytes of a full match. And where
        // in a later answer the status is.
        let (greeted, answer_bytes, status_at) = match self.source {
            Source::Thrift => {
                let bytes = THRIFT_ANSWER_BYTES;
                (bytes, bytes, bytes - 2)
            }
            _ => (
                frame::HEAD_BYTES + 4,
                AVRO_ANSWER_BYTES,
                AVRO_ANSWER_BYTES - 1,
            ),
        };
        let mut stream = TcpStream::connect(agent)?;
        stream.set_nodelay(true)?;
        stream.write_all(&self.greeting)?;
        let mut answers = Answers {
            codec: (self.source == Source::Deflate).then(|| Deflate::new(6)),
            plain: Vec::new(),
        };
        while answers.plain.len() < greeted {
            answers.read(&mut stream)?;
        }
        let (mut sent, mut answered) = (0, 0);
        let [first, later] = &self.rounds;
        let mut in_order = first.iter().chain(later.iter().cycle());
        while answered < batches {
            while sent < batches && sent - answered < window {
                stream.write_all(in_order.next().ok_or("there are calls")?)?;
                sent += 1;
            }
            answers.read(&mut stream)?;
            answered = (answers.plain.len() - greeted) / answer_bytes;
        }
        let statuses = answers.plain.iter().skip(greeted + status_at);
        let refused = statuses.step_by(answer_bytes);
        match refused.filter(|status| **status != 0).count() {
            0 => Ok(()),
            count => Err(format!("the agent refused {count} batches of the replay").into()),
        }
    }
}

/// The events of a batch, each with the header that names it, as they travel.
fn datums(batch: usize, events: usize) -> Vec<Vec<u8>> {
    let numbers = (batch * events..).take(events).map(|number| number as u64);
    let datum = |number| {
        let id = format!("{:016x}-{number:016x}", u64::MAX / 3);
        event(number).header("guid", id).as_datum().to_vec()
    };
    numbers.map(datum).collect()
}

fn avro_call(datums: &[Vec<u8>]) -> Vec<u8> {
    let length = rpc::append_batch_len(datums.len(), datums.iter().map(Vec::len).sum());
    let mut call = frame::head(1, length)
        .expect("a batch fits a frame")
        .to_vec();
    rpc::put_append_batch_start(&mut call, datums.len());
    datums.iter().for_each(|datum| call.extend(datum));
    call.extend(rpc::APPEND_BATCH_END);
    call
}

fn thrift_call(datums: &[Vec<u8>]) -> Result<Vec<u8>> {
    let mut call = Vec::new();
    let slices = datums.iter().map(Vec::as_slice);
    put_append_batch(&mut call, Protocol::Compact, 1, datums.len() as u32, slices)?;
    Ok(call)
}

fn encode(codec: &mut Option<Deflate>, plain: &[u8]) -> Result<Vec<u8>> {
    let Some(codec) = codec else {
        return Ok(plain.to_vec());
    };
    let mut coded = Vec::new();
    codec.encode(plain, &mut coded)?;
    codec.flush(&mut coded)?;
    Ok(coded)
}

/// What an agent has answered: some bytes for each batch.
struct Answers {
    codec: Option<Deflate>,
    plain: Vec<u8>,
}

impl Answers {
    fn read(&mut self, stream: &mut TcpStream) -> Result<()> {
        let mut buffer = [0; 16 * 1024];
        let read = stream.read(&mut buffer)?;
        let mut coded = buffer.get(..read).unwrap_or_default();
        if coded.is_empty() {
            return Err("the agent closed the connection of the replay".into());
        }
        let Some(codec) = &mut self.codec else {
            self.plain.extend_from_slice(coded);
            return Ok(());
        };
        loop {
            let before = self.plain.len();
            let taken = codec.decode(coded, &mut self.plain)?;
            coded = coded.get(taken..).unwrap_or_default();
            if taken == 0 && self.plain.len() == before {
                return Ok(());
            }
        }
    }
}

fn http_request(datums: &[Vec<u8>]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    json::put_batch(&mut body, datums.iter().map(Vec::as_slice))?;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json; charset=utf-8\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    Ok([head.as_bytes(), &body].concat())
}

/// Sends requests, one at a time on each connection.
fn requests(
    agent: SocketAddr,
    requests: &[Vec<u8>],
    batches: usize,
    connections: usize,
) -> Result<()> {
    let one = |share: usize| -> std::io::Result<()> {
        let mut stream = TcpStream::connect(agent)?;
        stream.set_nodelay(true)?;
        for request in requests.iter().cycle().take(share) {
            stream.write_all(request)?;
            read_answer(&mut stream)?;
        }
        Ok(())
    };
    let shares = (0..connections).map(|number| (batches + number) / connections);
    thread::scope(|scope| {
        let threads: Vec<_> = shares
            .map(|share| scope.spawn(move || one(share)))
            .collect();
        threads.into_iter().try_for_each(|thread| {
            let ended = thread.join();
            Ok(ended.map_err(|_| "a thread of the replay panicked")??)
        })
    })
}

/// Reads an answer of Flume's HTTP source, which has no body when it is OK.
fn read_answer(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut answer = Vec::new();
    while !is_whole(&answer) {
        let mut buffer = [0; 1024];
        let read = stream.read(&mut buffer)?;
        answer.extend_from_slice(buffer.get(..read).unwrap_or_default());
        if read == 0 || !answer.starts_with(b"HTTP/1.1 200") {
            let answer = String::from_utf8_lossy(&answer).into_owned();
            return Err(std::io::Error::other(format!(
                "the agent answered {answer:?}"
            )));
        }
    }
    Ok(())
}

/// Flume 1.11 sends no body in chunks, so that the last one is to come; 1.9 says its length.
fn is_whole(answer: &[u8]) -> bool {
    let answer = String::from_utf8_lossy(answer);
    let end = match answer.to_ascii_lowercase().contains("chunked") {
        true => "\r\n\r\n0\r\n\r\n",
        false => "\r\n\r\n",
    };
    answer.ends_with(end)
}
