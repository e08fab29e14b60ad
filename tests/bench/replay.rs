//! The ceiling of any client: one frame, encoded before, sent again and again.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use flume_client::Event;
use flume_client::wire::avro::frame;
use flume_client::wire::avro::rpc;
use flume_client::wire::avro::session::Session;

/// A later reply of an agent: frame head, an empty buffer, metadata, flag and status.
const REPLY_BYTES: usize = 8 + 4 + 4 + 1 + 4 + 2;

/// Sends `batches` batches of `events` copies of `event`, `window` of them under way at once.
/// Returns how many the agent refused.
pub(crate) fn run(
    agent: SocketAddr,
    event: &Event,
    events: usize,
    batches: usize,
    window: usize,
) -> io::Result<usize> {
    let mut stream = TcpStream::connect(agent)?;
    stream.set_nodelay(true)?;
    let (_, greeting) = Session::start();
    stream.write_all(&greeting)?;
    // One buffer with the four bytes of a full match.
    stream.read_exact(&mut [0; frame::HEAD_BYTES + 4])?;
    let call = call(event, events);
    let mut buffer = vec![0; 64 * 1024];
    let (mut sent, mut answered, mut refused, mut bytes) = (0, 0, 0, 0);
    while answered < batches {
        while sent < batches && sent - answered < window {
            stream.write_all(&call)?;
            sent += 1;
        }
        let read = stream.read(&mut buffer)?;
        let statuses = buffer.iter().take(read).enumerate();
        let statuses = statuses.filter(|(at, _)| (bytes + at) % REPLY_BYTES == REPLY_BYTES - 1);
        refused += statuses.filter(|(_, status)| **status != 0).count();
        bytes += read;
        answered = bytes / REPLY_BYTES;
    }
    Ok(refused)
}

fn call(event: &Event, events: usize) -> Vec<u8> {
    let datums = event.as_datum().repeat(events);
    let length = rpc::append_batch_len(events, datums.len());
    let mut call = frame::head(1, length)
        .expect("a batch fits a frame")
        .to_vec();
    rpc::put_append_batch_start(&mut call, events);
    call.extend(datums);
    call.extend(rpc::APPEND_BATCH_END);
    call
}
