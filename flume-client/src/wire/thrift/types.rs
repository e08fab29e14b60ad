//! What both protocols have: types, and the heads of messages and fields.

use super::DecodeError;

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The compact protocol has it in the field's head: no bytes of its own.
    BoolInHead,
    Bool,
    Byte,
    Double,
    I16,
    I32,
    I64,
    /// Bytes or text.
    Binary,
    Struct,
    Map,
    /// A list or a set, which look alike.
    List,
}

/// What stands before the struct of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    pub(super) kind: MessageKind,
    pub(super) seqid: i32,
    pub(super) name: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageKind {
    Call = 1,
    Reply = 2,
    Exception = 3,
    /// A call that wants no reply; libthrift's servers do not look at the difference.
    OneWay = 4,
}

/// The head of a field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) id: i16,
    pub(super) kind: Kind,
}

impl MessageKind {
    pub(super) fn of(number: u8) -> Result<Self, DecodeError> {
        match number {
            1 => Ok(Self::Call),
            2 => Ok(Self::Reply),
            3 => Ok(Self::Exception),
            4 => Ok(Self::OneWay),
            kind => Err(DecodeError::OtherMessage {
                kind,
                expected: "call or reply",
            }),
        }
    }
}

/// A length or count as both protocols have it: a signed number.
pub(super) fn length(length: i32, what: &'static str) -> Result<u32, DecodeError> {
    u32::try_from(length).map_err(|_| DecodeError::Negative { what, length })
}
