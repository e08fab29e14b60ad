//! What the Thrift codec allocates: nothing per event.

use flume_client::Event;
use flume_client::wire::thrift::call::{Call, put_append_batch};
use flume_client::wire::thrift::frame::FrameDecoder;
use flume_client::wire::thrift::session::{ServerSession, Session, SessionEvent};

use super::{PROTOCOLS, framed, java_form};
use crate::allocations::counted;

const EVENTS: u32 = 100;

/// Runs `work` once to warm up its buffers and then again, counted.
fn check(mut work: impl FnMut()) {
    work();
    let ((), allocated) = counted(work);
    assert_eq!(allocated.count_total, 0, "{allocated:?}");
}

fn datums() -> Vec<u8> {
    let event = |n: u32| {
        Event::new(vec![b'x'; 200])
            .header("host", "web-1")
            .header("sequence", n.to_string())
    };
    let events = (0..EVENTS).map(event);
    events.flat_map(|event| event.as_datum().to_vec()).collect()
}

#[test]
fn a_batch_of_stored_events_is_written_into_a_used_buffer_without_allocations() {
    let datums = datums();
    for protocol in PROTOCOLS {
        let mut out = Vec::new();
        check(|| {
            out.clear();
            put_append_batch(&mut out, protocol, 1, EVENTS, [datums.as_slice()]).unwrap();
        });
    }
}

#[test]
fn a_batch_is_read_and_stored_without_allocations() {
    let datums = datums();
    for protocol in PROTOCOLS {
        let mut stream = Vec::new();
        put_append_batch(&mut stream, protocol, 1, EVENTS, [datums.as_slice()]).unwrap();
        let mut session = ServerSession::new(protocol);
        let mut stored = Vec::new();
        check(|| {
            stored.clear();
            session.push(&stream);
            let request = session.poll().unwrap().unwrap();
            let Ok(Call::AppendBatch(events)) = request.call else {
                panic!("not a batch");
            };
            for event in events {
                event.put_datum(&mut stored);
            }
        });
        assert_eq!(stored, datums);
    }
}

#[test]
fn a_reply_is_read_without_allocations() {
    for protocol in PROTOCOLS {
        let (mut session, _) = Session::start(protocol);
        let mut greeting = Vec::new();
        let ok = flume_client::wire::thrift::reply::Reply::Ok;
        ok.put(&mut greeting, protocol, 0, b"appendBatch");
        session.push(&greeting);
        assert_eq!(session.poll(), Ok(Some(SessionEvent::Open)));
        let reply = framed(&java_form("replyOK", protocol));
        check(|| {
            session.push(&reply);
            let event = session.poll().unwrap().unwrap();
            assert!(matches!(event, SessionEvent::Reply { seqid: 2, .. }));
        });
    }
}

#[test]
fn a_frame_takes_as_much_memory_as_has_come_of_it_however_much_it_announces() {
    const RECEIVED: usize = 10_000;
    let (complete, allocated) = counted(|| {
        let mut decoder = FrameDecoder::new(usize::MAX);
        decoder.push(&0x7fff_ffff_u32.to_be_bytes());
        let mut complete = false;
        for _ in 0..RECEIVED {
            decoder.push(&[0]);
            complete |= decoder.next_message().unwrap().is_some();
        }
        complete
    });
    assert!(!complete);
    // A vector doubles, and for a moment there are the old one and the new one.
    assert!(allocated.bytes_max <= 3 * 16_384, "{allocated:?}");
}
