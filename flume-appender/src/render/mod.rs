//! From records to events.
//!
//! | file | holds |
//! |---|---|
//! | `renderer` | the thread: takes records, hands events to the client |
//! | `lanes` | its ways to the client, one for each reliability |
//! | `writer` | one record to one event |
//! | `own_headers` | the headers of single events |
//! | `telling`, `voice` | when losses are told, and how |

pub(crate) mod lanes;
mod own_headers;
pub(crate) mod renderer;
#[cfg(test)]
pub(crate) mod stage;
pub(crate) mod telling;
#[cfg(test)]
mod tests;
pub(crate) mod voice;
pub(crate) mod writer;
