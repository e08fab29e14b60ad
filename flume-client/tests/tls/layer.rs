//! One connection: what is sent arrives, in any pieces, and each end is seen.

use flume_client::tls::TlsLayer;
use flume_client::tls::layer::EARLY_BYTES_MAX;

use crate::peer::{
    Agent, Authority, HOST, ONLY_12, answer, connected, decode_all, heard_by, sent_by, settings,
    talk, trusting,
};

fn data(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 % 251) as u8).collect()
}

#[test]
fn what_is_sent_arrives_both_ways_with_either_version() {
    let authority = Authority::new("root");
    let settings = settings(&trusting(&authority));
    let made = authority.agent();
    for (versions, version) in [(crate::peer::BOTH, "TLS 1.3"), (ONLY_12, "TLS 1.2")] {
        let agent = Agent {
            versions,
            ..Agent::of(&made)
        };
        let (mut client, mut agent) = connected(&settings, &agent);
        for length in [1, 16 << 10, 300_000] {
            let sent = data(length);
            let mut coded = Vec::new();
            client.encode(&sent, &mut coded).unwrap();
            assert!(coded.len() < length + 100 + length / 100);
            assert_eq!(heard_by(&mut agent, &coded), sent);
            let coded = answer(&mut agent, &sent);
            assert_eq!(decode_all(&mut client, &coded).unwrap(), sent);
        }
        let facts = client.facts().unwrap();
        assert_eq!(facts.version, version);
        assert!(facts.cipher.contains("_GCM_"), "{}", facts.cipher);
        assert_eq!(facts.chain, [&made.der()[..]]);
    }
}

#[test]
fn no_piece_that_comes_alone_is_lost_and_none_means_more_than_a_record() {
    let authority = Authority::new("root");
    let settings = settings(&trusting(&authority));
    for versions in [crate::peer::BOTH, ONLY_12] {
        let mut agent = Agent {
            versions,
            ..Agent::of(&authority.agent())
        }
        .start();
        let mut client = TlsLayer::start(&settings, HOST).unwrap();
        while client.is_handshaking() || agent.is_handshaking() {
            let mut coded = Vec::new();
            client.flush(&mut coded).unwrap();
            heard_by(&mut agent, &coded);
            for byte in sent_by(&mut agent) {
                assert_eq!(client.decode(&[byte], &mut Vec::new()).unwrap(), 1);
            }
        }
        let sent = data(200_000);
        let coded = answer(&mut agent, &sent);
        let (mut rest, mut got) = (&coded[..], Vec::new());
        while !rest.is_empty() {
            let before = got.len();
            let taken = client.decode(rest, &mut got).unwrap();
            assert!(got.len() - before <= (16 << 10) + 18_432);
            rest = &rest[taken..];
        }
        assert_eq!(got, sent);
    }
}

#[test]
fn what_comes_before_the_end_of_the_handshake_is_kept_up_to_a_bound() {
    let authority = Authority::new("root");
    let settings = settings(&trusting(&authority));
    let start = || TlsLayer::start(&settings, HOST).unwrap();
    let sent = data(EARLY_BYTES_MAX);
    let mut client = start();
    let mut coded = Vec::new();
    client.encode(&sent, &mut coded).unwrap();
    let mut agent = Agent::of(&authority.agent()).start();
    assert!(heard_by(&mut agent, &coded).is_empty());
    let answer = sent_by(&mut agent);
    decode_all(&mut client, &answer).unwrap();
    assert_eq!(talk(&mut client, &mut agent).unwrap(), sent);

    let mut client = start();
    client.encode(&sent, &mut coded).unwrap();
    let error = client.encode(b"x", &mut coded).unwrap_err();
    assert_eq!(
        error.to_string(),
        "more bytes were given than are kept until the end of the TLS handshake"
    );
    assert_eq!(client.encode(b"", &mut coded).unwrap_err(), error);
}

#[test]
fn the_agents_end_is_seen_after_what_it_sent_and_what_comes_then_means_nothing() {
    let authority = Authority::new("root");
    let settings = settings(&trusting(&authority));
    let (mut client, mut agent) = connected(&settings, &Agent::of(&authority.agent()));
    let mut coded = answer(&mut agent, b"the last answer");
    agent.send_close_notify();
    coded.extend(sent_by(&mut agent));
    coded.extend(b"whatever");
    assert_eq!(decode_all(&mut client, &coded).unwrap(), b"the last answer");
    assert!(client.is_ended());
    assert!(client.closed().is_none());
}

#[test]
fn an_agent_that_closes_without_a_word_after_it_answered_is_just_closed() {
    let authority = Authority::new("root");
    let settings = settings(&trusting(&authority));
    let (mut client, mut agent) = connected(&settings, &Agent::of(&authority.agent()));
    let coded = answer(&mut agent, b"an answer");
    decode_all(&mut client, &coded).unwrap();
    assert!(!client.is_ended());
    assert!(client.closed().is_none());
}

#[test]
fn an_answer_that_comes_with_a_fault_is_read_before_the_fault() {
    let authority = Authority::new("root");
    let settings = settings(&trusting(&authority));
    let (mut client, mut agent) = connected(&settings, &Agent::of(&authority.agent()));
    let mut coded = answer(&mut agent, b"an answer");
    let mut damaged = answer(&mut agent, b"another");
    *damaged.last_mut().unwrap() ^= 1;
    coded.extend(damaged);
    let mut plain = Vec::new();
    let error = client.decode(&coded, &mut plain).unwrap_err();
    assert_eq!(plain, b"an answer");
    assert_eq!(
        error.to_string(),
        "the peer breaks the TLS protocol: cannot decrypt peer's message"
    );
    assert!(!error.is_lasting());
    assert_eq!(client.decode(&coded, &mut plain).unwrap_err(), error);
    let mut alert = Vec::new();
    client.flush(&mut alert).unwrap();
    assert!(!alert.is_empty());
    assert_eq!(client.closed(), Some(error));
}

#[test]
fn a_name_with_its_last_dot_and_an_address_are_looked_for_in_the_certificate() {
    let authority = Authority::new("root");
    let settings = settings(&trusting(&authority));
    for host in ["collector-1.example.", "10.1.2.3"] {
        let mut client = TlsLayer::start(&settings, host).unwrap();
        let mut agent = Agent::of(&authority.agent()).start();
        talk(&mut client, &mut agent).unwrap();
        assert!(!client.is_handshaking());
    }
    let error = TlsLayer::start(&settings, "no name").unwrap_err();
    assert!(error.is_lasting());
    assert!(error.to_string().contains("\"no name\""), "{error}");
}
