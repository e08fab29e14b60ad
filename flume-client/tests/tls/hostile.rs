//! Damaged and endless handshakes: an error, no panic, bounded memory.

use flume_client::tls::TlsLayer;
use flume_client::tls::layer::HANDSHAKE_BYTES_MAX;
use proptest::prelude::*;

use crate::peer::{
    Agent, Authority, BOTH, HOST, ONLY_12, decode_all, heard_by, params, refused, sent_by,
    settings, trusting,
};

/// Most bytes that a connection may hold at once in these tests.
const CONNECTION_BYTES_MAX: u64 = 256 << 10;

/// Feeds a client for ever, or until there is an error. Gives it and the bytes it took.
fn feed(start: &[u8], again: &[u8]) -> (String, usize) {
    let authority = Authority::new("root");
    let settings = settings(&trusting(&authority));
    let mut result = None;
    let used = allocation_counter::measure(|| {
        let mut client = TlsLayer::start(&settings, HOST).unwrap();
        client.flush(&mut Vec::new()).unwrap();
        let mut taken = 0;
        let mut next = start;
        result = loop {
            match decode_all(&mut client, next) {
                Ok(_) => taken += next.len(),
                Err(error) => break Some((error, taken)),
            }
            assert!(taken <= 2 * HANDSHAKE_BYTES_MAX, "it is not bounded");
            next = again;
        };
    });
    assert!(used.bytes_max < CONNECTION_BYTES_MAX, "{used:?}");
    let (error, taken) = result.unwrap();
    assert!(error.is_lasting(), "{error}");
    (error.to_string(), taken)
}

#[test]
fn a_handshake_that_never_ends_is_ended() {
    for (start, again) in [
        // Requests for another handshake, empty pieces, warnings, changes of ciphers.
        (&b""[..], &b"\x16\x03\x03\0\x04\0\0\0\0"[..]),
        (b"", b"\x16\x03\x03\0\0"),
        (b"", b"\x15\x03\x03\0\x02\x01\x5a"),
        (b"", b"\x14\x03\x03\0\x01\x01"),
        // A message announced with 16 MiB, a byte in each record.
        (
            b"\x16\x03\x03\0\x04\x02\xff\xff\xff",
            b"\x16\x03\x03\0\x01x",
        ),
        // And one with the most that is allowed.
        (b"\x16\x03\x03\0\x04\x02\0\xff\xff", b"\x16\x03\x03\0\x01x"),
    ] {
        let (_, taken) = feed(start, again);
        assert!(taken <= HANDSHAKE_BYTES_MAX + again.len(), "{taken}");
    }
}

#[test]
fn a_chain_of_200_certificates_is_refused_in_bounded_memory() {
    let root = Authority::new("root");
    let settings = settings(&trusting(&root));
    let made = root.agent();
    let mut chain = vec![made.der()];
    let mut above = root.below("1");
    for number in 2..200 {
        chain.push(above.certificate.der().clone());
        above = above.below(&number.to_string());
    }
    // Of all of them, which is more than a message may have, and of as many as go into one.
    for (length, expected) in [(200, "Handshake"), (100, "chain has 100 certificates")] {
        let agent = Agent {
            chain: chain.iter().take(length).cloned().collect(),
            ..Agent::of(&made)
        };
        let mut error = None;
        let mut client = TlsLayer::start(&settings, HOST).unwrap();
        let mut coded = Vec::new();
        client.flush(&mut coded).unwrap();
        let mut agent = agent.start();
        heard_by(&mut agent, &coded);
        let answer = sent_by(&mut agent);
        let used = allocation_counter::measure(|| error = decode_all(&mut client, &answer).err());
        assert!(used.bytes_max < CONNECTION_BYTES_MAX, "{used:?}");
        let error = error.expect("it is refused");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_handshake_that_is_cut_anywhere_is_told_as_such() {
    let root = Authority::new("root");
    let settings = settings(&trusting(&root));
    let made = root.agent();
    for versions in [BOTH, ONLY_12] {
        let mut client = TlsLayer::start(&settings, HOST).unwrap();
        let mut coded = Vec::new();
        client.flush(&mut coded).unwrap();
        let mut agent = Agent {
            versions,
            ..Agent::of(&made)
        }
        .start();
        heard_by(&mut agent, &coded);
        for (taken, byte) in sent_by(&mut agent).into_iter().enumerate() {
            if client.is_handshaking() {
                let error = client.closed().expect("it is cut");
                assert!(!error.is_lasting());
                let is_at_once = error.to_string().contains("before it answered");
                assert_eq!(is_at_once, taken == 0, "{error}");
            }
            client.decode(&[byte], &mut Vec::new()).unwrap();
        }
    }
}

/// The first answer of an agent, with bits changed at a place. Says whether the client goes on.
fn changed(versions: &'static [&'static rustls::SupportedProtocolVersion], at: usize, bits: u8) {
    thread_local! {
        static ROOT: Authority = Authority::new("root");
    }
    ROOT.with(|root| {
        let settings = settings(&trusting(root));
        let mut client = TlsLayer::start(&settings, HOST).unwrap();
        let mut coded = Vec::new();
        client.flush(&mut coded).unwrap();
        let mut agent = Agent {
            versions,
            ..Agent::of(&root.agent())
        }
        .start();
        heard_by(&mut agent, &coded);
        let mut answer = sent_by(&mut agent);
        let at = at % answer.len();
        answer[at] ^= bits;
        let mut told = Vec::new();
        if decode_all(&mut client, &answer).is_err() {
            client.flush(&mut told).unwrap();
            client.decode(&answer, &mut Vec::new()).unwrap_err();
            client.encode(b"x", &mut told).unwrap_err();
        } else {
            // Cut short, or what was changed means nothing; then the agent notices.
            client.flush(&mut told).unwrap();
            let _ = client.closed();
        }
        assert!(client.facts().is_none() || !client.is_handshaking());
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_changed_byte_of_a_handshake_breaks_anything(
        is_12 in any::<bool>(),
        at in 0_usize..4096,
        bits in 1_u8..,
    ) {
        changed(if is_12 { ONLY_12 } else { BOTH }, at, bits);
    }

    #[test]
    fn no_bytes_for_a_handshake_break_anything(
        kind in prop::sample::select(vec![0x14_u8, 0x15, 0x16, 0x17, 0]),
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        thread_local! {
            static ROOT: Authority = Authority::new("root");
        }
        ROOT.with(|root| {
            let settings = settings(&trusting(root));
            let mut client = TlsLayer::start(&settings, HOST).unwrap();
            let record = [&[kind, 3, 3, 0, rest.len() as u8], &rest[..]].concat();
            let _ = decode_all(&mut client, &record);
            let _ = client.closed();
        });
    }
}

#[test]
fn a_name_of_the_certificate_with_control_characters_is_shown_escaped() {
    let root = Authority::new("root");
    let other = Authority::new("o\u{1b}[31m\nther");
    let agent = Agent::of(&other.sign(&params("a\r\ngent", &[HOST])));
    let error = refused(&settings(&trusting(&root)), HOST, &agent).to_string();
    assert!(error.contains(r"CN=a\r\ngent"), "{error}");
    assert!(!error.contains(char::is_control), "{error}");
}
