//! What the hot paths allocate: nothing per event.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use allocation_counter::AllocationInfo;
use flume_client::Event;
use flume_client::wire::avro::datum::{self, Reader};
use flume_client::wire::avro::frame::{self, FrameDecoder, FrameLimits};
use flume_client::wire::avro::rpc::{self, Call};
use flume_client::wire::avro::session::{Session, SessionEvent};

use crate::messages::{frame, hex};

const EVENTS: usize = 100;

/// Runs `work` and counts what it allocates. A panic passes: the counter must see its end first.
pub(crate) fn counted<T>(work: impl FnOnce() -> T) -> (T, AllocationInfo) {
    let mut ended = None;
    let allocated = allocation_counter::measure(|| {
        ended = Some(catch_unwind(AssertUnwindSafe(work)));
    });
    match ended.expect("the work was done") {
        Ok(value) => (value, allocated),
        Err(panic) => resume_unwind(panic),
    }
}

/// Runs `work` once to warm up its buffers and then again, counted.
fn check(allocations: u64, mut work: impl FnMut()) {
    work();
    let ((), allocated) = counted(work);
    assert_eq!(allocated.count_total, allocations, "{allocated:?}");
}

fn stored_events() -> Vec<Event> {
    let event = |n: usize| {
        Event::new(vec![b'x'; 200])
            .header("host", "web-1")
            .header("sequence", n.to_string())
    };
    (0..EVENTS).map(event).collect()
}

fn put_batch(out: &mut Vec<u8>, events: &[Event]) {
    let event_bytes = events.iter().map(|event| event.as_datum().len()).sum();
    out.extend(frame::head(1, rpc::append_batch_len(events.len(), event_bytes)).unwrap());
    rpc::put_append_batch_start(out, events.len());
    for event in events {
        out.extend_from_slice(event.as_datum());
    }
    out.extend(rpc::APPEND_BATCH_END);
}

#[test]
fn a_batch_of_stored_events_is_written_into_a_used_buffer_without_allocations() {
    let events = stored_events();
    let mut out = Vec::new();
    check(0, || {
        out.clear();
        put_batch(&mut out, &events);
    });
}

#[test]
fn an_event_is_written_from_its_parts_without_allocations() {
    let headers = [("host", "web-1"), ("level", "INFO")];
    let mut out = Vec::with_capacity(datum::event_len(headers, &[b'x'; 200]));
    check(0, || {
        out.clear();
        datum::put_event(&mut out, headers, &[b'x'; 200]);
    });
}

#[test]
fn a_batch_is_read_as_offsets_into_its_frame_without_allocations() {
    let mut stream = Vec::new();
    put_batch(&mut stream, &stored_events());
    let mut decoder = FrameDecoder::new(FrameLimits::REQUEST);
    check(0, || {
        decoder.push(&stream);
        let frame = decoder.next_frame().unwrap().unwrap();
        let Call::AppendBatch(events) = Call::read(Reader::new(frame.payload)).unwrap() else {
            panic!("not a batch");
        };
        let mut seen = 0;
        for event in events {
            let event = event.unwrap();
            assert_eq!(event.body().len(), 200);
            assert_eq!(event.headers().count(), 2);
            seen += 1;
        }
        assert_eq!(seen, EVENTS);
    });
}

#[test]
fn buffers_of_a_frame_are_joined_without_allocations() {
    let mut stream = Vec::new();
    put_batch(&mut stream, &stored_events());
    let (_, payload) = stream.split_at(frame::HEAD_BYTES);
    let buffers: Vec<&[u8]> = payload.chunks(8192).collect();
    assert!(buffers.len() > 2);
    let stream = frame(1, &buffers);
    let mut decoder = FrameDecoder::new(FrameLimits::REQUEST);
    check(0, || {
        decoder.push(&stream);
        let frame = decoder.next_frame().unwrap().unwrap();
        assert_eq!(frame.payload.len(), payload.len());
    });
}

#[test]
fn a_typical_event_is_built_with_one_allocation() {
    check(1, || {
        let event = Event::new("GET /index.html 200")
            .header("host", "web-1")
            .header("level", "INFO")
            .header("level", "WARNING")
            .header("logger", "com.example.Shop");
        assert_eq!(event.headers().count(), 3);
    });
}

#[test]
fn a_reply_is_read_without_allocations() {
    let (mut session, _) = Session::start();
    session.push(&hex("00000000 00000001 00000004 00000000"));
    assert_eq!(session.poll(), Ok(Some(SessionEvent::Open)));
    let reply = hex("00000002 00000003 00000000 00000001 00 00000002 0000");
    check(0, || {
        session.push(&reply);
        let event = session.poll().unwrap().unwrap();
        assert!(matches!(event, SessionEvent::Reply { serial: 2, .. }));
    });
}

#[test]
fn a_frame_takes_as_much_memory_as_has_come_of_it_however_much_it_announces() {
    const RECEIVED: usize = 10_000;
    let limits = FrameLimits {
        payload_bytes_max: usize::MAX,
        buffers_max: usize::MAX,
    };
    let one_large = frame::head(1, i32::MAX as usize).unwrap().to_vec();
    let many_small = [1_i32.to_be_bytes(), i32::MAX.to_be_bytes(), [0; 4]].concat();
    for head in [one_large, many_small] {
        let (complete, allocated) = counted(|| {
            let mut decoder = FrameDecoder::new(limits);
            decoder.push(&head);
            let mut complete = false;
            for _ in 0..RECEIVED {
                decoder.push(&[0]);
                complete |= decoder.next_frame().unwrap().is_some();
            }
            complete
        });
        assert!(!complete);
        // A vector doubles, and for a moment there are the old one and the new one.
        assert!(allocated.bytes_max <= 3 * 16_384, "{allocated:?}");
    }
}
