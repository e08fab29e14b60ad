//! The codec of Flume's Thrift protocol against the crate `thrift`, in both directions: what one
//! writes the other reads, and of what we write every byte is the same.

// `cfg(test)` tells the linter that the helpers are test code, too.
#[cfg(test)]
mod agent;
#[cfg(test)]
mod oracle;

#[cfg(test)]
mod calls {
    use flume_client::Event;
    use flume_client::wire::thrift::Protocol;
    use flume_client::wire::thrift::call::{Call, put_append_batch};
    use flume_client::wire::thrift::session::ServerSession;
    use proptest::prelude::*;

    use crate::oracle::{self, Record};

    fn config() -> ProptestConfig {
        ProptestConfig {
            cases: 150,
            failure_persistence: None,
            ..ProptestConfig::default()
        }
    }

    /// Sizes around the steps of a length's bytes in either protocol and in a datum.
    fn size() -> impl Strategy<Value = usize> {
        prop_oneof![
            4 => 0_usize..20,
            2 => prop::sample::select(&[63_usize, 64, 65, 127, 128, 255, 256][..]),
            1 => prop::sample::select(&[8191_usize, 8192, 16_383, 16_384][..]),
        ]
    }

    fn text() -> impl Strategy<Value = String> {
        let random = prop::collection::vec(any::<char>(), 0..8).prop_map(String::from_iter);
        let sized = (size(), "[a-z]").prop_map(|(size, letter)| letter.repeat(size));
        let text = prop_oneof![random, sized];
        text.prop_filter("an event's header has no NUL", |text| !text.contains('\0'))
    }

    fn record() -> impl Strategy<Value = Record> {
        let count = prop_oneof![9 => 0_usize..6, 1 => 62_usize..=64];
        let headers = count.prop_flat_map(|count| prop::collection::vec(text(), count));
        let body = prop_oneof![
            (size(), any::<u8>()).prop_map(|(size, byte)| vec![byte; size]),
            prop::collection::vec(any::<u8>(), 0..100),
        ];
        (headers, body).prop_map(|(values, body)| {
            // Keys that differ.
            let pairs = values.into_iter().enumerate();
            let headers = pairs.map(|(at, value)| (format!("{at}:{value}"), value));
            let headers = headers.collect();
            Record { headers, body }
        })
    }

    fn records() -> impl Strategy<Value = Vec<Record>> {
        // From 15 on the compact protocol counts otherwise.
        prop_oneof![
            prop::collection::vec(record(), 0..5),
            prop::collection::vec(record(), 14..17),
        ]
    }

    fn protocol() -> impl Strategy<Value = Protocol> {
        prop::sample::select(&[Protocol::Compact, Protocol::Binary][..])
    }

    fn datums(records: &[Record]) -> Vec<u8> {
        let mut datums = Vec::new();
        for record in records {
            let mut event = Event::new(&record.body);
            for (key, value) in &record.headers {
                event.set_header(key, value);
            }
            datums.extend_from_slice(event.as_datum());
        }
        datums
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn a_batch_is_written_as_the_crate_writes_it_and_read_by_it(
            protocol in protocol(),
            seqid in any::<i32>(),
            records in records(),
        ) {
            let datums = datums(&records);
            let count = records.len() as u32;
            let mut written = Vec::new();
            put_append_batch(&mut written, protocol, seqid, count, [datums.as_slice()]).unwrap();
            let (head, message) = written.split_first_chunk::<4>().unwrap();
            prop_assert_eq!(u32::from_be_bytes(*head) as usize, message.len());
            let expected = oracle::batch(protocol, seqid, &records);
            prop_assert!(message == expected, "other bytes than the crate's");
            prop_assert_eq!(oracle::read_batch(protocol, message), (seqid, records));
        }

        #[test]
        fn a_batch_of_the_crate_is_read_as_the_same_events(
            protocol in protocol(),
            seqid in any::<i32>(),
            records in records(),
        ) {
            let message = oracle::batch(protocol, seqid, &records);
            let mut session = ServerSession::new(protocol);
            session.push(&(message.len() as u32).to_be_bytes());
            session.push(&message);
            let request = session.poll().unwrap().unwrap();
            prop_assert_eq!((request.seqid, request.method), (seqid, &b"appendBatch"[..]));
            let Ok(Call::AppendBatch(events)) = request.call else {
                panic!("not a batch");
            };
            prop_assert_eq!(events.len(), records.len());
            let mut stored = Vec::new();
            for (event, record) in events.zip(&records) {
                prop_assert_eq!(event.body(), record.body.as_slice());
                let headers = event.headers();
                let headers = headers.map(|(key, value)| (key.into_owned(), value.into_owned()));
                prop_assert_eq!(headers.collect::<Vec<_>>(), record.headers.clone());
                event.put_datum(&mut stored);
            }
            prop_assert!(stored == datums(&records), "other datums than the events'");
        }
    }
}

#[cfg(test)]
mod replies {
    use flume_client::wire::thrift::Protocol;
    use flume_client::wire::thrift::reply::{Exception, ExceptionKind, Reply};
    use proptest::prelude::*;
    use thrift::ApplicationErrorKind as Kind;

    use crate::oracle;

    const PROTOCOLS: [Protocol; 2] = [Protocol::Compact, Protocol::Binary];

    fn check(protocol: Protocol, seqid: i32, reply: &Reply, expected: &[u8]) {
        let mut written = Vec::new();
        reply.put(&mut written, protocol, seqid, b"appendBatch");
        let (_, message) = written.split_first_chunk::<4>().unwrap();
        assert_eq!(message, expected);
        assert_eq!(Reply::read(protocol, expected), Ok((seqid, reply.clone())));
    }

    #[test]
    fn a_status_is_written_and_read_as_the_crate_does() {
        let replies = [Reply::Ok, Reply::Failed, Reply::Error, Reply::Unknown];
        for protocol in PROTOCOLS {
            for (number, reply) in (0..).zip(&replies) {
                for seqid in [0, 1, 63, 64, 127, 128, i32::MAX, -1, i32::MIN] {
                    let expected = oracle::status(protocol, seqid, number);
                    check(protocol, seqid, reply, &expected);
                }
            }
        }
    }

    /// Each kind with the crate's of the same meaning.
    const KINDS: [(ExceptionKind, Kind); 11] = [
        (ExceptionKind::Unknown, Kind::Unknown),
        (ExceptionKind::UnknownMethod, Kind::UnknownMethod),
        (ExceptionKind::InvalidMessageType, Kind::InvalidMessageType),
        (ExceptionKind::WrongMethodName, Kind::WrongMethodName),
        (ExceptionKind::BadSequenceId, Kind::BadSequenceId),
        (ExceptionKind::MissingResult, Kind::MissingResult),
        (ExceptionKind::InternalError, Kind::InternalError),
        (ExceptionKind::ProtocolError, Kind::ProtocolError),
        (ExceptionKind::InvalidTransform, Kind::InvalidTransform),
        (ExceptionKind::InvalidProtocol, Kind::InvalidProtocol),
        (
            ExceptionKind::UnsupportedClientType,
            Kind::UnsupportedClientType,
        ),
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

        #[test]
        fn an_exception_is_written_and_read_as_the_crate_does(text in any::<String>(), seqid in any::<i32>()) {
            for protocol in PROTOCOLS {
                for (kind, of_the_crate) in KINDS {
                    let expected = oracle::exception(protocol, seqid, of_the_crate, &text);
                    let text = text.clone();
                    let reply = Reply::Exception(Exception { kind, text });
                    check(protocol, seqid, &reply, &expected);
                }
            }
        }
    }
}
