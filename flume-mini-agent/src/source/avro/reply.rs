//! Replies in frames.
//!
//! Java's responder hands its reply to the framing as separate buffers, and so do we: one with the
//! handshake, which is empty on an established connection, one with the metadata, one with the
//! rest. An answer to a handshake alone is that one buffer.

use flume_client::wire::avro::rpc::Reply;

use crate::fault::Fault;
use crate::log::Answered;

/// A frame with the handshake part only.
pub(super) fn put_handshake(out: &mut Vec<u8>, serial: i32, handshake: &[u8]) {
    put_int(out, serial);
    put_int(out, 1);
    put_buffer(out, handshake);
}

/// A frame with the reply to a call.
pub(super) fn put_reply(out: &mut Vec<u8>, serial: i32, handshake: &[u8], reply: &Reply) {
    put_int(out, serial);
    put_int(out, 3);
    put_buffer(out, handshake);
    let mut parts = Vec::with_capacity(4);
    reply.put(&mut parts);
    let (metadata, result) = parts.split_at(METADATA_BYTES);
    put_buffer(out, metadata);
    put_buffer(out, result);
}

/// A frame with the reply to a call, broken by a fault.
pub(super) fn put_broken(
    out: &mut Vec<u8>,
    serial: i32,
    handshake: &[u8],
    reply: &Reply,
    fault: &Fault,
) {
    let start = out.len();
    match fault {
        Fault::WrongSerial => return put_reply(out, !serial, handshake, reply),
        Fault::EmptyFrame => {
            put_int(out, serial);
            return put_int(out, 0);
        }
        Fault::HugeFrame => {
            put_int(out, serial);
            put_int(out, 1);
            return put_int(out, i32::MAX);
        }
        _ => put_reply(out, serial, handshake, reply),
    }
    let bytes = out.len() - start;
    match fault {
        Fault::CloseMidFrame => out.truncate(start + bytes / 2),
        Fault::FlipByte(index) => {
            if let Some(byte) = out.get_mut(start + index % bytes) {
                *byte = !*byte;
            }
        }
        _ => {}
    }
}

/// What a reply tells.
pub(super) fn answered(reply: &Reply) -> Answered {
    match reply {
        Reply::Ok => Answered::Ok,
        Reply::Failed => Answered::Failed,
        Reply::Unknown => Answered::Unknown,
        Reply::Error(text) => Answered::Error(text.clone()),
    }
}

/// The reply's metadata is always an empty map.
const METADATA_BYTES: usize = 1;

fn put_buffer(out: &mut Vec<u8>, buffer: &[u8]) {
    put_int(out, buffer.len() as i32);
    out.extend_from_slice(buffer);
}

fn put_int(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&value.to_be_bytes());
}
