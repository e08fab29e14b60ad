//! Servers that are no agents, or bad ones. Their threads end with the test process.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use flume_client::wire::avro::frame::{self, FrameDecoder, FrameLimits};
use flume_client::wire::avro::handshake::{FLUME_PROTOCOL_HASH, HandshakeResponse, Match};
use flume_client::wire::avro::rpc::Reply;

use super::PATIENCE;

pub(crate) struct BadServer {
    pub(crate) url: String,
    accepted: Receiver<()>,
}

/// What a server does with the frames of one connection: the serial number of each, and how many
/// came before it, to the bytes that answer it.
type Answer = fn(serial: i32, earlier: usize) -> Vec<u8>;

impl BadServer {
    /// A web server.
    pub(crate) fn http() -> Self {
        Self::start(|mut stream| {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        })
    }

    /// Accepts connections, reads, and never answers.
    pub(crate) fn silent() -> Self {
        Self::start(|stream| answer_with(stream, |_, _| Vec::new()))
    }

    /// Answers the handshake and nothing after it.
    pub(crate) fn silent_after_handshake() -> Self {
        Self::start(|stream| {
            answer_with(stream, |serial, earlier| match earlier {
                0 => handshake(serial, Match::Both),
                _ => Vec::new(),
            });
        })
    }

    /// Does not know Flume's protocol, not even when it is given its text.
    pub(crate) fn of_another_protocol() -> Self {
        Self::start(|stream| answer_with(stream, |serial, _| handshake(serial, Match::None)))
    }

    /// Answers calls nobody made.
    pub(crate) fn wrong_serial() -> Self {
        Self::start(|stream| {
            answer_with(stream, |serial, earlier| match earlier {
                0 => handshake(serial, Match::Both),
                _ => reply(serial + 1_000),
            });
        })
    }

    /// Announces a reply of two gibibytes.
    pub(crate) fn huge_reply() -> Self {
        Self::start(|stream| {
            answer_with(stream, |serial, earlier| match earlier {
                0 => handshake(serial, Match::Both),
                _ => frame::head(serial, i32::MAX as usize).unwrap().to_vec(),
            });
        })
    }

    /// Answers the handshake and one call, then nothing on any connection.
    pub(crate) fn answers_one_call() -> Self {
        let connections = AtomicUsize::new(0);
        Self::start(move |stream| {
            if connections.fetch_add(1, Ordering::Relaxed) > 0 {
                return answer_with(stream, |_, _| Vec::new());
            }
            answer_with(stream, |serial, earlier| match earlier {
                0 => handshake(serial, Match::Both),
                1 => reply(serial),
                _ => Vec::new(),
            });
        })
    }

    /// Waits until someone connects.
    pub(crate) fn wait_for_connection(&self) {
        self.accepted
            .recv_timeout(PATIENCE)
            .expect("nobody connects");
    }

    fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let serve = Arc::new(serve);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("avro://{}", listener.local_addr().unwrap());
        let (sender, accepted) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let _ = sender.send(());
                let serve = serve.clone();
                thread::spawn(move || serve(stream));
            }
        });
        Self { url, accepted }
    }
}

fn answer_with(mut stream: TcpStream, answer: Answer) {
    let mut decoder = FrameDecoder::new(FrameLimits::REQUEST);
    let mut bytes = [0; 16 * 1024];
    let mut frames = 0;
    while let Ok(read @ 1..) = stream.read(&mut bytes) {
        decoder.push(&bytes[..read]);
        while let Some(frame) = decoder.next_frame().unwrap() {
            if stream.write_all(&answer(frame.serial, frames)).is_err() {
                return;
            }
            frames += 1;
        }
    }
}

fn handshake(serial: i32, matched: Match) -> Vec<u8> {
    let is_match = matched == Match::Both;
    let response = HandshakeResponse {
        matched,
        server_protocol: (!is_match).then_some("{}"),
        server_hash: (!is_match).then_some(FLUME_PROTOCOL_HASH),
    };
    let mut payload = Vec::new();
    response.put(&mut payload);
    framed(serial, &payload)
}

fn reply(serial: i32) -> Vec<u8> {
    let mut payload = Vec::new();
    Reply::Ok.put(&mut payload);
    framed(serial, &payload)
}

fn framed(serial: i32, payload: &[u8]) -> Vec<u8> {
    [
        frame::head(serial, payload.len()).unwrap().as_slice(),
        payload,
    ]
    .concat()
}
