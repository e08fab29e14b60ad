//! Thrift's compact protocol.
//!
//! | value | bytes |
//! |---|---|
//! | message | `82`, kind x 32 + version 1, sequence id, name |
//! | field | id's step from the last one (1 to 15) x 16 + type; or type, id as `i16` |
//! | end of a struct | `00` |
//! | list, set | count x 16 + type; from 15 on `f0` + type, count |
//! | map | count; unless 0: type of keys x 16 + type of values |
//! | text, bytes | length, bytes |
//! | `i16`, `i32`, `i64` | zigzag, seven bits a byte, the low ones first |
//!
//! A count, length or sequence id is written likewise, but without zigzag.

use super::DecodeError;
use super::Protocol;
use super::input::Input;
use super::types::{self, Field, Head, Kind, MessageKind};

const PROTOCOL_ID: u8 = 0x82;
const VERSION: u8 = 1;
/// A list's count from which on it stands in a number of its own.
const LONG_LIST: u32 = 15;

pub(super) fn head<'a>(input: &mut Input<'a>) -> Result<Head<'a>, DecodeError> {
    let what = "the message's head";
    let first = input.byte(what)?;
    let second = input.byte(what)?;
    if first != PROTOCOL_ID || second & 0x1f != VERSION {
        let protocol = Protocol::Compact;
        return Err(DecodeError::OtherProtocol { protocol });
    }
    let kind = MessageKind::of(second >> 5)?;
    let seqid = number(input, what)? as i32;
    let name = bytes(input, "the method's name")?;
    Ok(Head { kind, seqid, name })
}

#[inline]
pub(super) fn field(
    input: &mut Input<'_>,
    last_id: &mut i16,
) -> Result<Option<Field>, DecodeError> {
    let what = "a field";
    let byte = input.byte(what)?;
    let (step, number) = (byte >> 4, byte & 0x0f);
    if number == 0 {
        return Ok(None);
    }
    let id = match step {
        0 => i16::try_from(i32(input, what)?).ok(),
        step => last_id.checked_add(step.into()),
    };
    let id = id.ok_or(DecodeError::LongNumber { what })?;
    *last_id = id;
    let kind = match number {
        1 | 2 => Kind::BoolInHead,
        number => kind(number, what)?,
    };
    Ok(Some(Field { id, kind }))
}

pub(super) fn list(
    input: &mut Input<'_>,
    what: &'static str,
) -> Result<(u32, Option<Kind>), DecodeError> {
    let byte = input.byte(what)?;
    let count = match u32::from(byte >> 4) {
        LONG_LIST => types::length(number(input, what)? as i32, what)?,
        count => count,
    };
    let kind = (count > 0).then(|| kind(byte & 0x0f, what)).transpose()?;
    Ok((count, kind))
}

pub(super) fn map(
    input: &mut Input<'_>,
    what: &'static str,
) -> Result<(u32, Option<(Kind, Kind)>), DecodeError> {
    let count = types::length(number(input, what)? as i32, what)?;
    if count == 0 {
        return Ok((0, None));
    }
    let byte = input.byte(what)?;
    let kinds = (kind(byte >> 4, what)?, kind(byte & 0x0f, what)?);
    Ok((count, Some(kinds)))
}

#[inline]
pub(super) fn bytes<'a>(
    input: &mut Input<'a>,
    what: &'static str,
) -> Result<&'a [u8], DecodeError> {
    let length = types::length(number(input, what)? as i32, what)?;
    input.take(length as usize, what)
}

pub(super) fn i32(input: &mut Input<'_>, what: &'static str) -> Result<i32, DecodeError> {
    let zigzag = number(input, what)?;
    Ok((zigzag >> 1) as i32 ^ -((zigzag & 1) as i32))
}

pub(super) fn skip_number(
    input: &mut Input<'_>,
    kind: Kind,
    what: &'static str,
) -> Result<(), DecodeError> {
    let bits = match kind {
        Kind::I64 => 64,
        _ => 32,
    };
    input.varint(bits, what).map(drop)
}

#[inline]
fn number(input: &mut Input<'_>, what: &'static str) -> Result<u32, DecodeError> {
    input.varint(32, what).map(|number| number as u32)
}

fn kind(number: u8, what: &'static str) -> Result<Kind, DecodeError> {
    Ok(match number {
        1 | 2 => Kind::Bool,
        3 => Kind::Byte,
        4 => Kind::I16,
        5 => Kind::I32,
        6 => Kind::I64,
        7 => Kind::Double,
        8 => Kind::Binary,
        9 | 10 => Kind::List,
        11 => Kind::Map,
        12 => Kind::Struct,
        number => return Err(DecodeError::UnknownType { what, number }),
    })
}

fn type_number(kind: Kind) -> u8 {
    match kind {
        Kind::BoolInHead | Kind::Bool => 1,
        Kind::Byte => 3,
        Kind::I16 => 4,
        Kind::I32 => 5,
        Kind::I64 => 6,
        Kind::Double => 7,
        Kind::Binary => 8,
        Kind::List => 9,
        Kind::Map => 11,
        Kind::Struct => 12,
    }
}

pub(super) fn put_head(out: &mut Vec<u8>, head: &Head<'_>) {
    out.extend([PROTOCOL_ID, (head.kind as u8) << 5 | VERSION]);
    put_number(out, head.seqid as u32);
    put_bytes(out, head.name);
}

/// `last_id` is the field's before it, or 0.
#[inline]
pub(super) fn put_field(out: &mut Vec<u8>, field: Field, last_id: i16) {
    let number = type_number(field.kind);
    match u8::try_from(field.id.wrapping_sub(last_id)) {
        Ok(step @ 1..=15) => out.push(step << 4 | number),
        _ => {
            out.push(number);
            put_i32(out, field.id.into());
        }
    }
}

pub(super) fn put_list(out: &mut Vec<u8>, kind: Kind, count: u32) {
    let number = type_number(kind);
    if count < LONG_LIST {
        out.push((count as u8) << 4 | number);
    } else {
        out.push((LONG_LIST as u8) << 4 | number);
        put_number(out, count);
    }
}

#[inline]
pub(super) fn put_map(out: &mut Vec<u8>, key: Kind, value: Kind, count: u32) {
    put_number(out, count);
    if count > 0 {
        out.push(type_number(key) << 4 | type_number(value));
    }
}

#[inline]
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u32);
    out.extend_from_slice(bytes);
}

pub(super) fn put_i32(out: &mut Vec<u8>, value: i32) {
    put_number(out, ((value << 1) ^ (value >> 31)) as u32);
}

#[inline]
fn put_number(out: &mut Vec<u8>, value: u32) {
    let mut rest = value;
    while rest > 0x7f {
        out.push((rest as u8 & 0x7f) | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}
