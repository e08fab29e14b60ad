//! Sources: where events come in.

pub(crate) mod avro;
