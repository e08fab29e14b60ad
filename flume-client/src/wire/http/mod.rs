//! HTTP as Flume's HTTP source speaks it with its `JSONHandler`: what a request carries, and what an
//! answer to it means.
//!
//! | part | file | holds |
//! |---|---|---|
//! | body of a request | [`json`] | a batch of Avro datums as an array of JSON |
//! | answer | [`answer`] | what became of the events, by status and `Retry-After` |
//!
//! Not here: requests, headers and connections, which are a library's, and reading JSON, which only
//! an agent does. What is spelled out comes from Flume's `HTTPSource` and `JSONHandler`.

pub mod answer;
pub mod json;
