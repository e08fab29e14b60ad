//! What real Flume answers to calls, byte for byte.

use crate::on_both_versions;
use flume_tests::raw::{
    APPEND_BATCH, Connection, EMPTY_BATCH, FLUME_MD5, OK, avro_long, bytes, handshake, hex,
};

/// `01 00`, then "java.io.EOFException" as an Avro string.
const EOF_ERROR: [&str; 3] = ["", "00", "0100286a6176612e696f2e454f46457863657074696f6e"];

#[test]
fn a_handshake_with_an_empty_batch_in_the_first_frame_is_accepted() {
    on_both_versions(
        |settings| settings,
        |agent| {
            let mut connection = Connection::open(agent.addr());
            let first = handshake(FLUME_MD5, FLUME_MD5) + EMPTY_BATCH;
            assert_eq!(
                first.replace(' ', ""),
                "86aadae2c45474c0fe93ffd0f2350a650086aadae2c45474c0fe93ffd0f2350a6500\
                 0016617070656e64426174636800"
            );
            assert_eq!(connection.call(&first), ["00000000", "00", "0000"]);
            assert_eq!(connection.call(EMPTY_BATCH), OK);
        },
    );
}

#[test]
fn a_refused_call_gets_its_golden_answer_and_leaves_the_connection_usable() {
    let events = |count: u64| {
        // No headers, the body "x".
        let event = "00 0278".repeat(usize::try_from(count).unwrap());
        format!("00 {APPEND_BATCH} {} {event} 00", avro_long(count))
    };
    let no_such_message = bytes("010088016f72672e6170616368652e6176726f2e")
        .into_iter()
        .chain(*b"AvroRuntimeException: No such remote message: nosuch")
        .collect::<Vec<_>>();
    let no_such_message = hex(&no_such_message);
    let cases = [
        (
            "as many events as the transaction capacity",
            events(100),
            OK,
        ),
        (
            "more events than the transaction capacity",
            events(101),
            ["", "00", "0002"],
        ),
        (
            "unknown message",
            format!("00 0c {} 00", hex(b"nosuch")),
            ["", "00", &no_such_message],
        ),
        ("no parameters", format!("00 {APPEND_BATCH}"), EOF_ERROR),
        (
            "a body cut short",
            format!("00 {APPEND_BATCH} 02 00 0a 6162"),
            EOF_ERROR,
        ),
    ];
    on_both_versions(
        |settings| settings,
        |agent| {
            let mut connection = Connection::open_and_greet(agent.addr());
            for (name, call, answer) in &cases {
                assert_eq!(connection.call(call), *answer, "{name}");
                assert_eq!(connection.call(EMPTY_BATCH), OK, "after {name}");
            }
            let metrics = agent.metrics().unwrap();
            assert_eq!(
                metrics.counter("SOURCE.r1", "EventAcceptedCount"),
                Some(100)
            );
        },
    );
}

#[test]
fn a_call_before_the_handshake_is_an_error_and_the_handshake_still_works_after_it() {
    on_both_versions(
        |settings| settings,
        |agent| {
            let mut connection = Connection::open(agent.addr());
            assert_eq!(connection.call(EMPTY_BATCH), EOF_ERROR);
            let greeting = handshake(FLUME_MD5, FLUME_MD5) + EMPTY_BATCH;
            assert_eq!(connection.call(&greeting), ["00000000", "00", "0000"]);
            assert_eq!(connection.call(EMPTY_BATCH), OK);
        },
    );
}
