//! Flume's messages, written and read by the crate `thrift`.

use flume_client::wire::thrift::Protocol;
use thrift::protocol::{
    TBinaryInputProtocol, TBinaryOutputProtocol, TCompactInputProtocol, TCompactOutputProtocol,
    TFieldIdentifier, TInputProtocol, TListIdentifier, TMapIdentifier, TMessageIdentifier,
    TMessageType, TOutputProtocol, TStructIdentifier, TType,
};
use thrift::{ApplicationError, ApplicationErrorKind};

/// An event whose headers keep their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

fn written(
    protocol: Protocol,
    write: impl FnOnce(&mut dyn TOutputProtocol) -> thrift::Result<()>,
) -> Vec<u8> {
    let mut out = Vec::new();
    match protocol {
        Protocol::Compact => write(&mut TCompactOutputProtocol::new(&mut out)),
        Protocol::Binary => write(&mut TBinaryOutputProtocol::new(&mut out, true)),
    }
    .unwrap();
    out
}

fn message(
    protocol: Protocol,
    kind: TMessageType,
    seqid: i32,
    write: impl FnOnce(&mut dyn TOutputProtocol) -> thrift::Result<()>,
) -> Vec<u8> {
    written(protocol, |out| {
        out.write_message_begin(&TMessageIdentifier::new("appendBatch", kind, seqid))?;
        write(out)?;
        out.write_message_end()
    })
}

/// An `appendBatch` of these events.
pub(crate) fn batch(protocol: Protocol, seqid: i32, records: &[Record]) -> Vec<u8> {
    message(protocol, TMessageType::Call, seqid, |out| {
        out.write_struct_begin(&TStructIdentifier::new("appendBatch_args"))?;
        out.write_field_begin(&TFieldIdentifier::new("events", TType::List, 1))?;
        let count = records.len() as i32;
        out.write_list_begin(&TListIdentifier::new(TType::Struct, count))?;
        records.iter().try_for_each(|record| put(out, record))?;
        out.write_list_end()?;
        end_struct(out)
    })
}

fn put(out: &mut dyn TOutputProtocol, record: &Record) -> thrift::Result<()> {
    out.write_struct_begin(&TStructIdentifier::new("ThriftFlumeEvent"))?;
    out.write_field_begin(&TFieldIdentifier::new("headers", TType::Map, 1))?;
    let count = record.headers.len() as i32;
    out.write_map_begin(&TMapIdentifier::new(TType::String, TType::String, count))?;
    for (key, value) in &record.headers {
        out.write_string(key)?;
        out.write_string(value)?;
    }
    out.write_map_end()?;
    out.write_field_end()?;
    out.write_field_begin(&TFieldIdentifier::new("body", TType::String, 2))?;
    out.write_bytes(&record.body)?;
    end_struct(out)
}

fn end_struct(out: &mut dyn TOutputProtocol) -> thrift::Result<()> {
    out.write_field_end()?;
    out.write_field_stop()?;
    out.write_struct_end()
}

/// The reply with the status of this number.
pub(crate) fn status(protocol: Protocol, seqid: i32, number: i32) -> Vec<u8> {
    message(protocol, TMessageType::Reply, seqid, |out| {
        out.write_struct_begin(&TStructIdentifier::new("appendBatch_result"))?;
        out.write_field_begin(&TFieldIdentifier::new("success", TType::I32, 0))?;
        out.write_i32(number)?;
        end_struct(out)
    })
}

/// An exception of the server's.
pub(crate) fn exception(
    protocol: Protocol,
    seqid: i32,
    kind: ApplicationErrorKind,
    text: &str,
) -> Vec<u8> {
    let error = ApplicationError::new(kind, text);
    message(protocol, TMessageType::Exception, seqid, |out| {
        thrift::Error::write_application_error_to_out_protocol(&error, out)
    })
}

/// The sequence id and the events of an `appendBatch`.
pub(crate) fn read_batch(protocol: Protocol, message: &[u8]) -> (i32, Vec<Record>) {
    match protocol {
        Protocol::Compact => read(&mut TCompactInputProtocol::new(message)),
        Protocol::Binary => read(&mut TBinaryInputProtocol::new(message, true)),
    }
    .unwrap()
}

fn read(input: &mut dyn TInputProtocol) -> thrift::Result<(i32, Vec<Record>)> {
    let head = input.read_message_begin()?;
    assert_eq!(head.name, "appendBatch");
    assert_eq!(head.message_type, TMessageType::Call);
    input.read_struct_begin()?;
    let field = input.read_field_begin()?;
    assert_eq!((field.id, field.field_type), (Some(1), TType::List));
    let list = input.read_list_begin()?;
    let records = (0..list.size).map(|_| event(input));
    let records = records.collect::<thrift::Result<_>>()?;
    input.read_list_end()?;
    expect_end(input)?;
    input.read_message_end()?;
    Ok((head.sequence_number, records))
}

fn event(input: &mut dyn TInputProtocol) -> thrift::Result<Record> {
    input.read_struct_begin()?;
    let field = input.read_field_begin()?;
    assert_eq!((field.id, field.field_type), (Some(1), TType::Map));
    let map = input.read_map_begin()?;
    let headers = (0..map.size).map(|_| Ok((input.read_string()?, input.read_string()?)));
    let headers = headers.collect::<thrift::Result<_>>()?;
    input.read_map_end()?;
    input.read_field_end()?;
    let field = input.read_field_begin()?;
    assert_eq!((field.id, field.field_type), (Some(2), TType::String));
    let body = input.read_bytes()?;
    expect_end(input)?;
    Ok(Record { headers, body })
}

fn expect_end(input: &mut dyn TInputProtocol) -> thrift::Result<()> {
    input.read_field_end()?;
    assert_eq!(input.read_field_begin()?.field_type, TType::Stop);
    input.read_struct_end()
}
