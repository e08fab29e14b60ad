//! What must hold for any bytes a peer may send: one check per decoder, and one for the core.
//!
//! A check panics if it does not hold. The same checks run on seeded random bytes with the other
//! tests (`tests/fuzz/seeded.rs`) and under libFuzzer (`tests/fuzz/run`).

mod tls;

use std::time::Duration;

use flume_client::Reliability;
use flume_client::delivery::{
    AgentId, AgentSet, Answer, Backoff, CallId, Core, Ending, Input, Output, Rank, Selection,
    Settings,
};
use flume_client::seq::Seq;
use flume_client::spool::{
    Cursor, FRAME_HEADER_BYTES, FrameHeader, HeaderBlock, Place, SEGMENT_HEADER_BYTES,
};
use flume_client::wire::avro::datum::{EventRef, Reader};
use flume_client::wire::avro::frame::{FrameDecoder, FrameLimits};
use flume_client::wire::avro::handshake::{HandshakeRequest, HandshakeResponse};
use flume_client::wire::avro::rpc::{Call, Reply};
use flume_client::wire::avro::session::Session;
use flume_client::wire::deflate::{DECODED_BYTES_MAX, Deflate};
use flume_client::wire::http::answer::{Answer as HttpAnswer, RETRY_AFTER_MAX};
use flume_client::wire::http::json::{is_text, put_batch};
use flume_client::wire::thrift::Protocol;
use flume_client::wire::thrift::call::{Call as ThriftCall, put_append_batch};
use flume_client::wire::thrift::event::EventRef as ThriftEvent;
use flume_client::wire::thrift::reply::Reply as ThriftReply;
use flume_client::wire::thrift::session::{ServerSession, Session as ThriftSession};
use flume_client::{AgentUrl, Event, WindowMode};
use flume_mini_agent::config::AgentConfig;
use flume_mini_agent::fuzz::{self as mini_agent, fault_rules, http_body, netcat_lines};

pub use tls::{certificate, tls_files, tls_peer, trust_store};

use crate::crafted;
use crate::sim::LEVELS;

/// A check and its name.
pub type Check = (&'static str, fn(&[u8]));

/// All checks.
pub const CHECKS: [Check; 24] = [
    ("frames", frames),
    ("request", request),
    ("reply", reply),
    ("handshake", handshake),
    ("session", session),
    ("thrift_calls", thrift_calls),
    ("thrift_replies", thrift_replies),
    ("http_batch", http_batch),
    ("http_answer", http_answer),
    ("inflated", inflated),
    ("event", event),
    ("agent_url", agent_url),
    ("core", core),
    ("config", config),
    ("file_log", file_log),
    ("http_body", http_body),
    ("netcat_lines", netcat_lines),
    ("fault_rules", fault_rules),
    ("spool_blocks", spool_blocks),
    ("spool_files", spool_files),
    ("certificate", certificate),
    ("trust_store", trust_store),
    ("tls_files", tls_files),
    ("tls_peer", tls_peer),
];

/// What is inflated comes in pieces, however much it is, and every step takes or gives something.
pub fn inflated(mut bytes: &[u8]) {
    let (mut deflate, mut plain) = (Deflate::new(6), Vec::new());
    loop {
        plain.clear();
        let Ok(taken) = deflate.decode(bytes, &mut plain) else {
            return;
        };
        assert!(plain.len() <= DECODED_BYTES_MAX);
        bytes = bytes.get(taken..).expect("it takes what there is");
        if taken == 0 && plain.is_empty() {
            return;
        }
    }
}

/// A stream in any cut gives the same frames, none over the limits.
pub fn frames(bytes: &[u8]) {
    let limits = FrameLimits {
        payload_bytes_max: 1 << 16,
        buffers_max: 64,
    };
    let Some((cut, stream)) = bytes.split_first() else {
        return;
    };
    let read = |cut: usize| {
        let mut decoder = FrameDecoder::new(limits);
        let mut frames = Vec::new();
        for part in stream.chunks(cut.max(1)) {
            decoder.push(part);
            loop {
                match decoder.next_frame() {
                    Ok(Some(frame)) => {
                        assert!(frame.payload.len() <= limits.payload_bytes_max);
                        frames.push((frame.serial, frame.payload.to_vec()));
                    }
                    Ok(None) => break,
                    Err(_) => return frames,
                }
            }
        }
        frames
    };
    assert_eq!(read(usize::from(*cut)), read(stream.len()));
}

/// A request's events lie within it, and each can be read again from its own bytes.
pub fn request(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    if HandshakeRequest::read(&mut reader).is_ok() {
        call(reader);
    }
    call(Reader::new(bytes));
}

fn call(reader: Reader<'_>) {
    let room = reader.rest().len();
    match Call::read(reader) {
        Ok(Call::Append(event)) => same_again(&event),
        Ok(Call::AppendBatch(events)) => {
            let datums = events.filter_map(Result::ok).map(|event| {
                same_again(&event);
                event.datum().len()
            });
            assert!(datums.sum::<usize>() <= room);
        }
        Ok(_) | Err(_) => {}
    }
}

fn same_again(event: &EventRef<'_>) {
    let again = EventRef::parse(event.datum()).expect("it was read before");
    assert_eq!(again.body(), event.body());
    assert!(again.headers().eq(event.headers()));
}

/// A reply that can be read is written and read the same.
pub fn reply(bytes: &[u8]) {
    if let Ok(reply) = Reply::read(Reader::new(bytes)) {
        let mut written = Vec::new();
        reply.put(&mut written);
        assert_eq!(Reply::read(Reader::new(&written)), Ok(reply));
    }
}

/// Both halves of a handshake that can be read are written and read the same.
pub fn handshake(bytes: &[u8]) {
    let mut written = Vec::new();
    if let Ok(request) = HandshakeRequest::read(&mut Reader::new(bytes)) {
        request.put(&mut written);
        assert_eq!(
            HandshakeRequest::read(&mut Reader::new(&written)),
            Ok(request)
        );
    }
    written.clear();
    if let Ok(response) = HandshakeResponse::read(&mut Reader::new(bytes)) {
        response.put(&mut written);
        assert_eq!(
            HandshakeResponse::read(&mut Reader::new(&written)),
            Ok(response)
        );
    }
}

const PROTOCOLS: [Protocol; 2] = [Protocol::Compact, Protocol::Binary];

/// Events of calls of either protocol are datums, which make a call of the same events again;
/// in a stream of calls, too.
pub fn thrift_calls(bytes: &[u8]) {
    for protocol in PROTOCOLS {
        let framed = [&(bytes.len() as u32).to_be_bytes(), bytes].concat();
        for stream in [bytes, &framed] {
            let mut session = ServerSession::new(protocol);
            session.push(stream);
            while let Ok(Some(request)) = session.poll() {
                match request.call {
                    Ok(ThriftCall::Append(event)) => thrift_events(protocol, [event].into_iter()),
                    Ok(ThriftCall::AppendBatch(events)) => thrift_events(protocol, events),
                    Ok(_) | Err(_) => {}
                }
            }
        }
    }
}

fn thrift_events<'a>(protocol: Protocol, events: impl ExactSizeIterator<Item = ThriftEvent<'a>>) {
    let (mut datums, mut count) = (Vec::new(), 0);
    let announced = events.len();
    for event in events {
        event.put_datum(&mut datums);
        count += 1;
    }
    assert_eq!(count, announced);
    let mut call = Vec::new();
    let put = put_append_batch(&mut call, protocol, 1, count as u32, [datums.as_slice()]);
    put.expect("they came in a frame");
    let mut session = ServerSession::new(protocol);
    session.push(&call);
    let request = session
        .poll()
        .expect("it was written")
        .expect("it is whole");
    let mut again = Vec::new();
    if let Ok(ThriftCall::AppendBatch(events)) = request.call {
        assert_eq!(events.len(), count);
        events.for_each(|event| event.put_datum(&mut again));
    }
    assert_eq!(again, datums);
}

/// Replies of either protocol that can be read are written and read the same; in a stream of them a
/// session ends or waits for more.
pub fn thrift_replies(bytes: &[u8]) {
    for protocol in PROTOCOLS {
        if let Ok((seqid, reply)) = ThriftReply::read(protocol, bytes) {
            let mut written = Vec::new();
            reply.put(&mut written, protocol, seqid, b"append");
            let message = written.get(4..).unwrap_or_default();
            assert_eq!(ThriftReply::read(protocol, message), Ok((seqid, reply)));
        }
        let (mut session, _) = ThriftSession::start(protocol);
        let mut opening = Vec::new();
        ThriftReply::Ok.put(&mut opening, protocol, 0, b"appendBatch");
        session.push(&opening);
        session.push(bytes);
        while let Ok(Some(_)) = session.poll() {}
    }
}

/// Datums with texts are an array of JSON with as many events and their bodies; of what is none,
/// nothing is written.
pub fn http_batch(bytes: &[u8]) {
    let mut written = b"[".to_vec();
    let put = put_batch(&mut written, [bytes]);
    if put.is_err() {
        assert_eq!(written, b"[");
        return;
    }
    let array = written.get(1..).unwrap_or_default();
    let events: serde_json::Value = serde_json::from_slice(array).expect("it is JSON");
    let events = events.as_array().expect("it is an array");
    let mut reader = Reader::new(bytes);
    for event in events {
        let stored = EventRef::read(&mut reader).expect("it was read before");
        assert!(is_text(stored.datum()));
        let body = event["body"].as_str().map(str::as_bytes);
        assert_eq!(body, Some(stored.body()));
    }
    assert!(reader.rest().is_empty());
}

/// No answer asks for a wait of nothing, or of more than is allowed.
pub fn http_answer(bytes: &[u8]) {
    let Some((status, rest)) = bytes.split_first_chunk() else {
        return;
    };
    let Some((unix_s, text)) = rest.split_first_chunk() else {
        return;
    };
    let (status, unix_s) = (u16::from_be_bytes(*status), u64::from_be_bytes(*unix_s));
    let text = String::from_utf8_lossy(text);
    for status in [status, 503] {
        if let HttpAnswer::Refused { after: Some(after) } =
            HttpAnswer::of(status, Some(&text), unix_s)
        {
            assert!(!after.is_zero() && after <= RETRY_AFTER_MAX);
        }
    }
}

/// A session ends or waits for more, whatever it is told.
pub fn session(bytes: &[u8]) {
    let (mut session, _) = Session::start();
    for part in bytes.chunks(7) {
        session.push(part);
        // Each event takes a frame, so there are fewer than bytes.
        for _ in 0..=bytes.len() {
            match session.poll() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

/// An event that can be read keeps headers and body through our own form of it.
pub fn event(bytes: &[u8]) {
    if let Ok(event) = Event::from_datum(bytes.to_vec()) {
        let again = Event::from_datum(event.as_datum().to_vec());
        assert_eq!(again.as_ref(), Ok(&event));
        let theirs = EventRef::parse(bytes).expect("it was read before");
        assert_eq!(theirs.body(), event.body());
    }
}

/// An address that can be read is written and read the same.
pub fn agent_url(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(url) = text.parse::<AgentUrl>() {
        assert_eq!(url.to_string().parse(), Ok(url));
    }
}

/// A property file is read alike with and without leniency, or refused with a reason; what its
/// variables stand for does not make it grow without bound.
pub fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let lookup = |name: &str| match name.len() {
        0 => None,
        1 => Some(name.repeat(100_000)),
        _ => Some(name.to_owned()),
    };
    let strict = AgentConfig::reader("a1").env(lookup).read(&text);
    let lenient = AgentConfig::reader("a1").env(lookup).lenient().read(&text);
    match strict {
        Ok(strict) => assert_eq!(Ok(strict), lenient),
        Err(error) => assert!(!error.problems().is_empty()),
    }
}

/// A spool opens whatever its files say, and goes on from there.
pub fn spool_files(bytes: &[u8]) {
    crafted::check(&crafted::disk_of(bytes));
}

/// A file channel refuses what its files say and leaves them as they are, or opens, and once more
/// with the same events.
pub fn file_log(bytes: &[u8]) {
    let disk = crafted::disk_of(bytes);
    let files = || {
        let files = disk.files().into_iter();
        let files = files.map(|(file, _)| (file, disk.content(file)));
        files.collect::<Vec<_>>()
    };
    let before = files();
    match mini_agent::file_log(disk.clone()) {
        Ok(events) => assert_eq!(mini_agent::file_log(disk.clone()), Ok(events)),
        Err(error) => {
            assert!(!error.is_empty());
            assert_eq!(files(), before, "{error}");
        }
    }
}

/// A block of a spool whose checksum is right is read as it would be written, or is damaged; a
/// frame's events lie within it.
pub fn spool_blocks(bytes: &[u8]) {
    let sealed = |magic: &[u8], length: usize| {
        let mut block = [magic, bytes].concat();
        block.resize(length - 4, 0);
        block.extend(crc32fast::hash(&block).to_le_bytes());
        block
    };
    let header = sealed(b"FLSPOOL\n\x01\0", SEGMENT_HEADER_BYTES / 2);
    if let HeaderBlock::Whole(header, _) = HeaderBlock::read(&header) {
        let again = HeaderBlock::read(&header.to_block());
        assert_eq!(again, HeaderBlock::Whole(header, false));
        assert!(header.skipped_from <= header.first && header.durable_upto <= header.first);
    }
    let slot = sealed(b"FLCURSOR\x01\0\0\0\0\0\0\0", SEGMENT_HEADER_BYTES);
    if let (Some(cursor), _) = Cursor::read(&slot) {
        let (_, slot) = cursor.to_slot();
        assert_eq!(Cursor::read(&slot), (Some(cursor), false));
    }
    spool_frame(bytes);
}

fn spool_frame(bytes: &[u8]) {
    let head_bytes = FRAME_HEADER_BYTES - 12;
    let Some((head, payload)) = bytes.split_at_checked(head_bytes) else {
        return;
    };
    let mut head = [b"FLEV", head, &crc32fast::hash(payload).to_le_bytes()].concat();
    // Of the salt and the offset, 0 both, and what is before it.
    let crc = crc32fast::hash(&[&[0; 16], head.as_slice()].concat());
    head.extend(crc.to_le_bytes());
    let header = FrameHeader::read(Place { salt: 0, offset: 0 }, &head);
    if let Some(header) = header
        && let Some(events) = header.payload(payload)
    {
        assert_eq!(events.ends().count(), header.events as usize);
        assert!(events.ends().is_sorted());
        let bytes = events.datums().len();
        assert!(events.ends().all(|end| end as usize <= bytes));
        assert!(!header.range().is_empty());
    }
}

/// Two share, one stands by.
fn agents() -> Vec<Rank> {
    [(0, 1), (0, 2), (1, 1)]
        .map(|(group, weight)| Rank {
            weight,
            dialects: weight,
            ..Rank::alone(group)
        })
        .to_vec()
}

fn answer(is_committed: bool, value: u8) -> Answer {
    let half_bytes = u32::from(value);
    match value % 5 {
        _ if is_committed => Answer::Committed,
        0 => Answer::Doubtful { half_bytes },
        1 => Answer::Unacceptable { half_bytes },
        2 => Answer::Blocked,
        3 => Answer::Refused {
            after: Duration::from_secs(u64::from(value).pow(3)),
        },
        _ => Answer::REFUSED,
    }
}

fn ending(value: u8) -> Ending {
    match value % 4 {
        0 => Ending::Foreign,
        1 => Ending::Misspoken,
        _ => Ending::Broken,
    }
}

fn core_settings() -> Settings {
    Settings {
        agents: agents(),
        selection: Selection::RoundRobin,
        connections: 2,
        batch_events_max: 4,
        batch_bytes_max: 1000,
        linger: Duration::from_millis(20),
        window: WindowMode::Adaptive { max: 4 },
        connect_timeout: Duration::from_secs(5),
        greeting_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(20),
        backoff: Backoff::default(),
    }
}

/// What the core is told by two bytes.
fn input(
    kind: u8,
    value: u8,
    level: Reliability,
    ends: &[u32],
    (near_epoch, near_call): (u64, CallId),
) -> Input<'_> {
    match kind % 9 {
        0 | 1 => Input::Append { level, ends },
        2 => Input::Connected { epoch: near_epoch },
        3 => Input::Opened { epoch: near_epoch },
        4 | 5 => Input::Replied {
            epoch: near_epoch,
            call: near_call,
            answer: answer(kind % 9 == 4, value),
        },
        6 if value.is_multiple_of(5) => Input::Failed {
            epoch: near_epoch,
            call: near_call,
            is_sent: value.is_multiple_of(2),
        },
        6 => Input::Closed {
            epoch: near_epoch,
            unsent_from: Some(near_call),
            ending: ending(value),
        },
        7 if value.is_multiple_of(2) => Input::Flush,
        7 => Input::Await {
            level,
            upto: Seq::new(u64::from(value)),
        },
        8 if value == 0 => Input::Woke,
        8 if value.is_multiple_of(16) => Input::Renew {
            agents: AgentSet::default().with(AgentId::new(usize::from(value / 16) % 3)),
        },
        _ => Input::Tick,
    }
}

/// The delivery core keeps its books and never panics, whatever order things are told in.
pub fn core(bytes: &[u8]) {
    let mut core = Core::new(core_settings(), 1);
    let pending = |core: &Core| {
        let levels = LEVELS.iter();
        levels.map(|level| core.pending(*level).0).sum::<u64>()
    };
    let mut now = Duration::ZERO;
    let (mut epoch, mut call) = (0_u64, CallId::FIRST);
    for step in bytes.chunks_exact(2) {
        let (kind, value) = (
            step.first().copied().unwrap_or(0),
            step.last().copied().unwrap_or(0),
        );
        now += Duration::from_millis(u64::from(value) * u64::from(kind >> 4).pow(2));
        let ends: Vec<u32> = (1..=u32::from(value % 9))
            .map(|n| n * u32::from(value))
            .collect();
        let near_epoch = epoch.saturating_sub(u64::from(value & 1));
        let near_call = CallId::new(call.number() - i32::from(value & 2));
        let level = LEVELS.into_iter().cycle().nth(usize::from(kind >> 4));
        let level = level.unwrap_or_default();
        let near = (near_epoch, near_call);
        core.step(now, input(kind, value, level, &ends, near));
        while let Some(output) = core.next_output() {
            match output {
                Output::Connect { epoch: new, .. } => epoch = new,
                Output::Send { call: new, .. } => call = new,
                Output::Disconnect { .. } | Output::Drain { .. } | Output::Retire { .. } => {}
            }
        }
        let counters = core.counters();
        assert_eq!(counters.accepted, counters.retired() + pending(&core));
        assert!(core.deadline().is_none_or(|deadline| deadline > now));
    }
    for level in LEVELS {
        core.step(now, Input::Abandon { level });
    }
    assert_eq!(pending(&core), 0);
}
