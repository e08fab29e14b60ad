//! Scripted faults: what the peer sees, and what was really stored.

use std::time::{Duration, Instant};

use flume_mini_agent::{Answered, Fault, FaultRule, MiniAgent, Stored};

use crate::support::{APPEND, Client, GREETING, GREETING_OK, LIMIT, MD5, batch, hex, status};

fn agent() -> MiniAgent {
    let builder = MiniAgent::builder().keep_alive(Duration::from_millis(20));
    builder.start().unwrap()
}

/// Checks the last batch in the log, and that as many events as that says are in the channel.
#[track_caller]
fn check_log(agent: &MiniAgent, answered: &Answered, stored: Stored) {
    let batches = agent.batches();
    let batch = batches.last().unwrap();
    assert_eq!((&batch.answered, batch.stored), (answered, stored));
    assert_eq!(batch.took.is_some(), *answered != Answered::Nothing);
    let in_channel = |stored| u64::from(stored != Stored::No);
    let events: u64 = batches.iter().map(|batch| in_channel(batch.stored)).sum();
    assert_eq!(agent.stats().events_accepted, events);
    agent.wait_for(events as usize, LIMIT).unwrap();
}

/// A call under `fault` is followed by `see` at the client.
fn check(
    fault: impl Into<FaultRule>,
    see: impl FnOnce(&mut Client),
    answered: &Answered,
    stored: Stored,
) {
    let agent = agent();
    let fault = agent.fault(fault);
    let mut client = Client::greeted(&agent);
    client.send(APPEND);
    see(&mut client);
    let hits = fault.hits();
    assert_eq!(hits.len(), 1, "{hits:?}");
    assert_eq!(hits[0].request, Some(2));
    check_log(&agent, answered, stored);
    // The rule ends with its guard.
    drop(fault);
    let mut client = Client::greeted(&agent);
    client.send(APPEND);
    client.expect(&status(1, "00"));
    check_log(&agent, &Answered::Ok, Stored::Yes);
    assert_eq!(agent.fault_hits(), hits);
}

#[test]
fn a_drop_before_the_commit_stores_nothing() {
    check(
        Fault::DropBeforeCommit,
        Client::expect_fin,
        &Answered::Nothing,
        Stored::No,
    );
}

#[test]
fn a_drop_after_the_commit_stores_the_events() {
    check(
        Fault::CommitThenDrop,
        Client::expect_fin,
        &Answered::Nothing,
        Stored::Yes,
    );
}

#[test]
fn a_reset_is_a_reset_on_either_side_of_the_commit() {
    let reset = Client::expect_reset;
    check(
        Fault::Reset.nth_request(1),
        reset,
        &Answered::Nothing,
        Stored::No,
    );
    check(
        Fault::CommitThenReset,
        reset,
        &Answered::Nothing,
        Stored::Yes,
    );
}

#[test]
fn refusals_are_answered_and_store_nothing() {
    let sees = |reply: String| move |client: &mut Client| client.expect(&reply);
    check(
        Fault::Failed,
        sees(status(1, "02")),
        &Answered::Failed,
        Stored::No,
    );
    check(
        Fault::Unknown,
        sees(status(1, "04")),
        &Answered::Unknown,
        Stored::No,
    );
    check(
        Fault::RpcError("no".to_owned()),
        sees("00000001 00000003 00000000 00000001 00 00000005 01 00 046e6f".to_owned()),
        &Answered::Error("no".to_owned()),
        Stored::No,
    );
}

#[test]
fn a_full_channel_is_felt_for_keep_alive() {
    let start = Instant::now();
    let see = |client: &mut Client| client.expect(&status(1, "02"));
    check(Fault::ChannelFull, see, &Answered::Failed, Stored::No);
    assert!(start.elapsed() >= Duration::from_millis(20));
}

#[test]
fn a_partial_commit_stores_the_events_and_says_it_failed() {
    let see = |client: &mut Client| client.expect(&status(1, "02"));
    check(
        Fault::PartialCommit(1),
        see,
        &Answered::Failed,
        Stored::Partly,
    );
    check(Fault::PartialCommit(0), see, &Answered::Failed, Stored::No);
}

#[test]
fn a_late_answer_is_late_and_its_events_are_not() {
    let late = Duration::from_millis(30);
    let start = Instant::now();
    let see = |client: &mut Client| client.expect(&status(1, "00"));
    check(Fault::AnswerLate(late), see, &Answered::Ok, Stored::Yes);
    assert!(start.elapsed() >= late);
}

#[test]
fn an_answer_that_never_comes_holds_up_no_other_and_its_events_are_stored() {
    let agent = agent();
    let _fault = agent.fault(Fault::AnswerLate(Duration::MAX).nth_request(1));
    let mut client = Client::greeted(&agent);
    client.send(APPEND);
    agent.wait_for(1, LIMIT).unwrap();
    check_log(&agent, &Answered::Nothing, Stored::Yes);
    client.expect_usable();
}

#[test]
fn a_call_that_hangs_is_not_stored_and_later_ones_are_answered() {
    let agent = agent();
    let fault = agent.fault(Fault::Hang.nth_request(1));
    let mut client = Client::greeted(&agent);
    client.send(APPEND);
    client.expect_usable();
    assert_eq!(fault.hits().len(), 1);
    check_log(&agent, &Answered::Nothing, Stored::No);
}

#[test]
fn broken_answers_are_broken_byte_by_byte_and_the_events_are_stored() {
    let check = |fault: Fault, bytes: &str| {
        let see = |client: &mut Client| client.expect(bytes);
        check(fault, see, &Answered::Broken, Stored::Yes);
    };
    let reply = "00000001 00000003 00000000 00000001 00 00000002 0000";
    check(
        Fault::FlipByte(3),
        &reply.replacen("00000001", "000000fe", 1),
    );
    check(
        Fault::FlipByte(22),
        "00000001 00000003 00000000 00000001 00 00000002 00ff",
    );
    check(
        Fault::FlipByte(23 + 4),
        "00000001 ff000003 00000000 00000001 00 00000002 0000",
    );
    check(
        Fault::WrongSerial,
        &reply.replacen("00000001", "fffffffe", 1),
    );
    check(Fault::EmptyFrame, "00000001 00000000");
    check(Fault::HugeFrame, "00000001 00000001 7fffffff");
}

#[test]
fn half_an_answer_is_followed_by_the_end_of_the_stream() {
    let see = |client: &mut Client| {
        client.expect("00000001 00000003 000000");
        client.expect_fin();
    };
    check(Fault::CloseMidFrame, see, &Answered::Broken, Stored::Yes);
}

#[test]
fn answers_in_slices_are_whole_and_stay_so_for_the_connection() {
    let agent = agent();
    let are_seen = (0..100).any(|_| {
        let fault = agent.fault(Fault::OneByteSlices);
        let mut client = Client::greeted(&agent);
        drop(fault);
        client.send(APPEND);
        client.end();
        let reads = client.read_to_end();
        assert_eq!(reads.concat(), hex(&status(1, "00")));
        // Who reads late finds all of them at once.
        reads.len() > 1
    });
    assert!(are_seen);
}

#[test]
fn a_slow_reader_takes_its_time_for_requests_and_none_for_answers() {
    let agent = agent();
    let _fault = agent.fault(Fault::SlowReader(2_000));
    let start = Instant::now();
    let mut client = Client::greeted(&agent);
    client.send_bytes(&batch(3, 50));
    client.expect(&status(3, "00"));
    // 48 bytes of greeting, 12 of head, 15 of call, 150 of events.
    assert!(start.elapsed() >= Duration::from_secs(1) * 225 / 2_000);
}

#[test]
fn a_narrow_line_takes_its_time_both_ways() {
    let agent = agent();
    let _fault = agent.fault(Fault::Bandwidth(1_000));
    let start = Instant::now();
    let mut client = Client::greeted(&agent);
    client.send(APPEND);
    client.expect(&status(1, "00"));
    // The greeting, its answer, and the call.
    assert!(start.elapsed() >= Duration::from_millis(48 + 16 + 29));
}

#[test]
fn a_refused_connection_is_closed_before_a_byte_and_the_next_one_is_served() {
    let agent = agent();
    let fault = agent.fault(Fault::Refuse.nth_connection(2));
    Client::greeted(&agent).expect_usable();
    Client::connect(&agent).expect_fin();
    Client::greeted(&agent).expect_usable();
    let connections: Vec<_> = fault.hits().iter().map(|hit| hit.connection).collect();
    assert_eq!(connections, [2]);
}

#[test]
fn a_connection_may_be_reset_or_silent_from_its_start() {
    let agent = agent();
    let reset = agent.fault(Fault::Reset.times(1));
    Client::connect(&agent).expect_reset();
    drop(reset);
    let silent = agent.fault(Fault::Hang);
    let mut client = Client::connect(&agent);
    client.send(&[GREETING, APPEND].concat());
    client.end();
    client.expect_fin();
    assert_eq!((silent.hits().len(), agent.requests().len()), (1, 0));
}

#[test]
fn a_reset_after_some_bytes_comes_in_the_middle_of_a_request() {
    for (after, stored) in [(48 + 29 + 28, 1), (48 + 29 + 29, 2)] {
        let agent = agent();
        let _fault = agent.fault(Fault::DropBeforeCommit.after_bytes(after));
        let mut client = Client::connect(&agent);
        client.send(&[GREETING, APPEND, APPEND].concat());
        client.expect(GREETING_OK);
        for _ in 0..stored {
            client.expect(&status(1, "00"));
        }
        client.expect_fin();
        assert_eq!(agent.stats().events_accepted, stored);
    }
}

#[test]
fn silence_after_some_bytes_leaves_the_request_unread() {
    let agent = agent();
    let fault = agent.fault(Fault::Hang.after_bytes(60));
    let mut client = Client::greeted(&agent);
    client.send(&[APPEND, APPEND].concat());
    client.end();
    client.expect_fin();
    assert_eq!(fault.hits().len(), 1);
    assert_eq!(
        (agent.requests().len(), agent.stats().events_accepted),
        (1, 0)
    );
}

#[test]
fn a_handshake_answered_none_wants_the_protocol_and_does_not_execute_the_call() {
    let agent = agent();
    let fault = agent.fault(Fault::HandshakeNone.nth_request(1));
    let mut client = Client::connect(&agent);
    let first_call = format!(
        "00000001 00000001 00000033 {MD5} 00 {MD5} 00 00 0c617070656e64 02026b027600 046869"
    );
    client.send(&first_call);
    // One buffer: NONE, the text of 509 bytes, the MD5, no metadata.
    client.expect("00000001 00000001 00000213 04 02 fa07");
    client.expect_bytes(b"{\"protocol\":\"AvroSourceProtocol\"");
    client.skip(509 - 32);
    client.expect(&format!("02 {MD5} 00"));
    assert_eq!(agent.stats().events_accepted, 0);
    client.send(&first_call);
    client.expect("00000001 00000003 00000004 00000000 00000001 00 00000002 0000");
    check_log(&agent, &Answered::Ok, Stored::Yes);
    assert_eq!(fault.hits().len(), 1);
}

#[test]
fn a_handshake_answered_client_tells_the_protocol_and_executes_the_call() {
    let agent = agent();
    let _fault = agent.fault(Fault::HandshakeClient);
    let mut client = Client::connect(&agent);
    client.send(&format!(
        "00000001 00000001 00000033 {MD5} 00 {MD5} 00 00 0c617070656e64 02026b027600 046869"
    ));
    client.expect("00000001 00000003 00000213 02 02 fa07");
    client.skip(509);
    client.expect(&format!("02 {MD5} 00 00000001 00 00000002 0000"));
    check_log(&agent, &Answered::Ok, Stored::Yes);
}

#[test]
fn a_fault_may_pick_calls_by_headers_and_size() {
    let agent = agent();
    let _by_header = agent.fault(Fault::Failed.header("k", "v"));
    let _by_size = agent.fault(Fault::Unknown.size_over(100));
    let mut client = Client::greeted(&agent);
    client.send(APPEND);
    client.expect(&status(1, "02"));
    client.send_bytes(&batch(2, 10));
    client.expect(&status(2, "00"));
    client.send_bytes(&batch(3, 50));
    client.expect(&status(3, "04"));
    assert_eq!(agent.stats().events_accepted, 10);
}

#[test]
fn a_kept_rule_outlives_its_guard_and_a_wait_for_hits_ends_with_them() {
    let agent = agent();
    agent.fault(Fault::Failed.nth_request(1)).keep();
    let second = agent.fault(Fault::Failed.nth_request(2));
    assert!(!second.wait_hits(1, Duration::ZERO));
    let mut client = Client::greeted(&agent);
    for reply in ["02", "02", "00"] {
        client.send(APPEND);
        client.expect(&status(1, reply));
    }
    assert!(second.wait_hits(1, LIMIT));
}

#[test]
fn a_rule_that_makes_no_sense_is_refused_when_it_is_made() {
    let agent = agent();
    let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        agent.fault(Fault::Refuse.nth_request(1)).keep();
    }));
    assert!(made.is_err());
    Client::greeted(&agent).expect_usable();
}
