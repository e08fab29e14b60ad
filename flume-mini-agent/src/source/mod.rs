//! Sources: where events come in.
//!
//! | file | holds |
//! |---|---|
//! | [`avro`], [`http`], [`netcat`] | a source each |
//! | [`intake`] | what the sources without frames do with a batch |
//! | [`listen`] | the accept loop of all |
//! | [`stream`] | how fast bytes go, and how a connection ends |

pub(crate) mod avro;
pub(crate) mod http;
pub(crate) mod intake;
pub(crate) mod listen;
pub(crate) mod netcat;
pub(crate) mod stream;

#[cfg(test)]
mod tests;
