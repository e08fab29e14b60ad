//! Answers in frames.

use flume_client::wire::thrift::Protocol;
use flume_client::wire::thrift::reply::Reply;

use crate::fault::Fault;

/// A frame with the answer to the call of this sequence id and method, broken if that is the fault.
pub(super) fn put(
    out: &mut Vec<u8>,
    protocol: Protocol,
    (seqid, method): (i32, &[u8]),
    reply: &Reply,
    fault: Option<&Fault>,
) {
    let start = out.len();
    match fault {
        Some(Fault::WrongSerial) => return reply.put(out, protocol, !seqid, method),
        Some(Fault::EmptyFrame) => return out.extend_from_slice(&0_i32.to_be_bytes()),
        Some(Fault::HugeFrame) => return out.extend_from_slice(&i32::MAX.to_be_bytes()),
        _ => reply.put(out, protocol, seqid, method),
    }
    let bytes = out.len() - start;
    match fault {
        Some(Fault::CloseMidFrame) => out.truncate(start + bytes / 2),
        Some(Fault::FlipByte(index)) => {
            if let Some(byte) = out.get_mut(start + index % bytes) {
                *byte = !*byte;
            }
        }
        _ => {}
    }
}
