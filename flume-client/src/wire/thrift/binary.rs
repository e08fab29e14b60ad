//! Thrift's binary protocol. All numbers are big-endian.
//!
//! | value | bytes |
//! |---|---|
//! | message | `8001 00` kind, name, sequence id; from old clients: name, kind, sequence id |
//! | field | type, id as `i16` |
//! | end of a struct | `00` |
//! | list, set | type, count as `i32` |
//! | map | type of keys, type of values, count as `i32` |
//! | text, bytes | length as `i32`, bytes |
//!
//! The old form is told by its first bit, which a name's length does not have; Flume's sources
//! accept it, since libthrift does unless it is told to be strict.

use super::DecodeError;
use super::Protocol;
use super::input::Input;
use super::types::{self, Field, Head, Kind, MessageKind};

const VERSION: u32 = 0x8001_0000;
const VERSION_MASK: u32 = 0xffff_0000;

pub(super) fn head<'a>(input: &mut Input<'a>) -> Result<Head<'a>, DecodeError> {
    let what = "the message's head";
    let first = i32(input, what)?;
    if first >= 0 {
        let name = input.take(first as usize, "the method's name")?;
        let kind = MessageKind::of(input.byte(what)?)?;
        let seqid = i32(input, what)?;
        return Ok(Head { kind, seqid, name });
    }
    if first as u32 & VERSION_MASK != VERSION {
        let protocol = Protocol::Binary;
        return Err(DecodeError::OtherProtocol { protocol });
    }
    let kind = MessageKind::of(first as u8)?;
    let name = bytes(input, "the method's name")?;
    let seqid = i32(input, what)?;
    Ok(Head { kind, seqid, name })
}

#[inline]
pub(super) fn field(input: &mut Input<'_>) -> Result<Option<Field>, DecodeError> {
    let what = "a field";
    let number = input.byte(what)?;
    if number == 0 {
        return Ok(None);
    }
    let id = i16::from_be_bytes(input.array(what)?);
    let kind = kind(number, what)?;
    Ok(Some(Field { id, kind }))
}

pub(super) fn list(
    input: &mut Input<'_>,
    what: &'static str,
) -> Result<(u32, Option<Kind>), DecodeError> {
    let number = input.byte(what)?;
    let count = types::length(i32(input, what)?, what)?;
    let kind = (count > 0).then(|| kind(number, what)).transpose()?;
    Ok((count, kind))
}

pub(super) fn map(
    input: &mut Input<'_>,
    what: &'static str,
) -> Result<(u32, Option<(Kind, Kind)>), DecodeError> {
    let [key, value] = input.array(what)?;
    let count = types::length(i32(input, what)?, what)?;
    if count == 0 {
        return Ok((0, None));
    }
    let kinds = (kind(key, what)?, kind(value, what)?);
    Ok((count, Some(kinds)))
}

#[inline]
pub(super) fn bytes<'a>(
    input: &mut Input<'a>,
    what: &'static str,
) -> Result<&'a [u8], DecodeError> {
    let length = types::length(i32(input, what)?, what)?;
    input.take(length as usize, what)
}

#[inline]
pub(super) fn i32(input: &mut Input<'_>, what: &'static str) -> Result<i32, DecodeError> {
    input.array(what).map(i32::from_be_bytes)
}

pub(super) fn skip_number(
    input: &mut Input<'_>,
    kind: Kind,
    what: &'static str,
) -> Result<(), DecodeError> {
    let bytes = match kind {
        Kind::I16 => 2,
        Kind::I64 => 8,
        _ => 4,
    };
    input.take(bytes, what).map(drop)
}

fn kind(number: u8, what: &'static str) -> Result<Kind, DecodeError> {
    Ok(match number {
        2 => Kind::Bool,
        3 => Kind::Byte,
        4 => Kind::Double,
        6 => Kind::I16,
        8 => Kind::I32,
        10 => Kind::I64,
        11 => Kind::Binary,
        12 => Kind::Struct,
        13 => Kind::Map,
        14 | 15 => Kind::List,
        number => return Err(DecodeError::UnknownType { what, number }),
    })
}

fn type_number(kind: Kind) -> u8 {
    match kind {
        Kind::BoolInHead | Kind::Bool => 2,
        Kind::Byte => 3,
        Kind::Double => 4,
        Kind::I16 => 6,
        Kind::I32 => 8,
        Kind::I64 => 10,
        Kind::Binary => 11,
        Kind::Struct => 12,
        Kind::Map => 13,
        Kind::List => 15,
    }
}

pub(super) fn put_head(out: &mut Vec<u8>, head: &Head<'_>) {
    let version = VERSION | head.kind as u32;
    out.extend(version.to_be_bytes());
    put_bytes(out, head.name);
    put_i32(out, head.seqid);
}

#[inline]
pub(super) fn put_field(out: &mut Vec<u8>, field: Field) {
    out.push(type_number(field.kind));
    out.extend(field.id.to_be_bytes());
}

pub(super) fn put_list(out: &mut Vec<u8>, kind: Kind, count: u32) {
    out.push(type_number(kind));
    out.extend(count.to_be_bytes());
}

#[inline]
pub(super) fn put_map(out: &mut Vec<u8>, key: Kind, value: Kind, count: u32) {
    out.extend([type_number(key), type_number(value)]);
    out.extend(count.to_be_bytes());
}

#[inline]
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

#[inline]
pub(super) fn put_i32(out: &mut Vec<u8>, value: i32) {
    out.extend(value.to_be_bytes());
}
