//! The fuzz checks on seeded random bytes, for machines without a fuzzer.

use flume_client::Event;
use flume_client::wire::avro::handshake::{HandshakeRequest, PROTOCOL_TEXT_HASH};
use flume_client::wire::avro::rpc::{APPEND_BATCH_END, Reply, put_append_batch_start};
use flume_tests::fuzz;

const INPUTS: u32 = 20_000;
/// Opening spools and setting TLS up takes longer than all else: that is done for every so many inputs.
const SLOW_EVERY: u32 = 10;
const SLOW: [&str; 3] = ["spool_files", "tls_files", "tls_peer"];

/// Whole messages, to be damaged: random bytes alone rarely get past the first length.
fn seeds() -> Vec<Vec<u8>> {
    let event = Event::new("a body")
        .header("host", "web-1")
        .header("level", "INFO");
    let mut request = Vec::new();
    HandshakeRequest::with_text(PROTOCOL_TEXT_HASH).put(&mut request);
    put_append_batch_start(&mut request, 3);
    request.extend(event.as_datum().repeat(3));
    request.extend(APPEND_BATCH_END);
    let mut reply = Vec::new();
    Reply::Error("java.io.EOFException".to_owned()).put(&mut reply);
    let frame = [
        &b"\x05\0\0\0\x01\0\0\0\x02\0\0\0\x03abc\0\0\0\0"[..],
        &[0; 12],
    ]
    .concat();
    let url = b"avro://[::1]:4141".to_vec();
    let config = include_bytes!("../../flume-mini-agent/tests/config/samples/failover.properties");
    let http = br#"[{"headers":{"host":"web-1","n":1.5},"body":"a body"},{}]"#;
    let rules = br#"[{"fault":"power_loss","torn_bytes":3},{"fault":"failed","headers":{"a":"b"},
        "during_ms":[1,2],"probability":0.5,"nth_request":3}]"#;
    // Turns bytes of a log over, and a record of two events with a right checksum.
    let put = [
        0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 2, b'x', 2, 0, 0, 0, 0, 0,
    ];
    let log = [[1; 1].as_slice(), &[0; 16], &[1, 21], &put].concat();
    vec![
        config.to_vec(),
        http.to_vec(),
        rules.to_vec(),
        b"\x03one\ntwo\r\n\xc3\xa4\n".to_vec(),
        vec![0, 200, 0, 4, 90, 1, 1],
        // And a log that says it is at its end of all numbers.
        [
            [1; 1].as_slice(),
            &[0xff; 8],
            &[0; 8],
            &[1, 12],
            &[0xff; 12],
        ]
        .concat(),
        log,
        // The rest of a frame's header and payload: two events.
        [
            &[
                2, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 100, 0, 0, 0, 0, 0, 0, 0, 90,
            ][..],
            &[0; 23],
            &[1, 0, 0, 0, 5, 0, 0, 0],
            b"abcde\0\0\0",
        ]
        .concat(),
        // A cursor and two segments of a spool.
        vec![
            7, 2, 0, 0x13, 0, 0, 1, 0, 0, 1, 0, 2, 3, 0, 0, 8, 0x40, 0x40, 0, 1, 3, 0x40, 0x40,
        ],
        Vec::new(),
        event.as_datum().to_vec(),
        request,
        reply,
        frame,
        url,
    ]
}

/// A call and an exception, and a call and a reply: Thrift's two protocols, as Java writes them.
fn thrift_seeds() -> [Vec<u8>; 4] {
    [
        &b"\x82\x21\x01\x06append\x1c\x1b\x01\x88\x01k\x01v\x18\x02hi\0\0"[..],
        b"\x82\x61\x05\x06nosuch\x18\x03why\x15\x02\0",
        b"\x80\x01\0\x01\0\0\0\x0bappendBatch\0\0\0\x01\x0f\0\x01\x0c\0\0\0\x01\
          \x0d\0\x01\x0b\x0b\0\0\0\0\x0b\0\x02\0\0\0\0\0\0",
        b"\x80\x01\0\x02\0\0\0\x06append\0\0\0\x01\x08\0\0\0\0\0\0\0",
    ]
    .map(<[u8]>::to_vec)
}

/// A certificate, a store of it, a key and a certificate in PEM, and the greeting of an agent with TLS.
fn tls_seeds() -> [Vec<u8>; 4] {
    let pem = b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n\
        -----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let hello = [
        &b"\x16\x03\x03\0\x2a\x02\0\0\x26\x03\x03"[..],
        &[7; 32],
        b"\0\xc0\x2b\0",
    ]
    .concat();
    [
        include_bytes!("../../flume-client/tests/tls/files/one.der").to_vec(),
        include_bytes!("../../flume-client/tests/tls/files/one.jks").to_vec(),
        pem.to_vec(),
        hello,
    ]
}

/// Statuses, times and what `Retry-After` says.
fn http_seeds() -> [Vec<u8>; 3] {
    [
        &b"\x01\xf7\0\0\0\0\x2e\xbc\x98\x3dSun, 06 Nov 1994 08:49:37 GMT"[..],
        b"\x01\xad\0\0\0\0\x2e\xbc\x98\x3dSunday, 06-Nov-94 08:49:37 GMT",
        b"\x01\xf7\0\0\0\0\x2e\xbc\x98\x3dSun Nov  6 08:49:37 1994",
    ]
    .map(<[u8]>::to_vec)
}

/// Text and 64 zeros in a zlib stream, as zlib writes them with a sync flush, and a stored block of nothing.
fn zlib_seeds() -> [Vec<u8>; 2] {
    [
        &b"\x78\x9c\x4a\x4c\x4a\x4e\x49\x4d\x4b\xcf\xc8\xcc\xca\xce\xc9\xcd\xcb\x2f\x60\xa0\x10\x00\x00\x00\x00\xff\xff"[..],
        b"\x78\x9c\x4a\x04\x00\x00\x00\xff\xff\0\0\0\xff\xff",
    ]
    .map(<[u8]>::to_vec)
}

fn damaged(seeds: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = random.choice(seeds).cloned().unwrap_or_default();
    for _ in 0..random.usize(..8) {
        let at = random.usize(..=bytes.len());
        match random.u8(..4) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.u8(..)),
            2 => bytes.extend((0..random.usize(..64)).map(|_| random.u8(..))),
            _ => bytes
                .iter_mut()
                .skip(at)
                .take(1)
                .for_each(|byte| *byte = random.u8(..)),
        }
    }
    bytes
}

#[test]
fn no_bytes_break_a_decoder_or_the_core() {
    let seed = std::env::var("FLUME_FUZZ_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("FLUME_FUZZ_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let thrift_and_http = [&thrift_seeds()[..], &http_seeds()].concat();
    let of_layers = [&tls_seeds()[..], &zlib_seeds()].concat();
    let seeds = [seeds(), thrift_and_http, of_layers].concat();
    for input in 0..INPUTS {
        let bytes = damaged(&seeds, &mut random);
        for (name, check) in fuzz::CHECKS {
            if SLOW.contains(&name) && input % SLOW_EVERY > 0 {
                continue;
            }
            let held = std::panic::catch_unwind(|| check(&bytes));
            assert!(held.is_ok(), "{name} does not hold for {bytes:02x?}");
        }
    }
}
